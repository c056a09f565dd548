"""The outer program: duality, twins of its parts, any-time, replicas, simple menus, no belief."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog, minimize

from fairlot.certificate import Status
from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import LESS, Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.progress import NullReporter
from fairlot.reallocation.design import design_menus, search_pricers
from fairlot.reallocation.large_market.bound import outer_bound
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.fitting import fit_menus
from fairlot.reallocation.large_market.generation import best_gains, generate_columns
from fairlot.reallocation.large_market.master import Master
from fairlot.reallocation.large_market.mechanism import (
    AssignedMenus,
    RandomisedMechanism,
    assign_menus,
    menu_options,
)
from fairlot.reallocation.large_market.past_picks import beliefs_from_picks
from fairlot.reallocation.large_market.practical import Rules, practical_menus
from fairlot.reallocation.large_market.pricing import Workers, price_all
from fairlot.reallocation.large_market.replicas import replica_economy, study_replicas
from fairlot.reallocation.large_market.robust import least_regret, reference_problem
from fairlot.reallocation.large_market.two_classes import TwoClassPricer
from fairlot.reallocation.obvious.rays import conflicting_rays, full_extent, in_conflict
from fairlot.reallocation.simulation import pick_myopically, simulate
from fairlot.reallocation.value.acceptance import acceptance

TWO = np.array([True, False])


def random_problem(rng, n_agents=6, n_tasks=3, beliefs=None, **changes):
    return ReallocationProblem.from_arrays(
        rng.integers(1, 9, (n_agents, n_tasks)).astype(float),
        rng.uniform(0.5, 2.0, (n_agents, n_tasks)),
        Beliefs.uniform(0.5, 1.5) if beliefs is None else beliefs,
        **changes,
    )


def random_columns(rng, problem, per_agent=4):
    columns = []
    for j in range(problem.n_agents):
        for _ in range(per_agent):
            ray = rng.normal(size=problem.n_tasks)
            ray[rng.integers(problem.n_tasks)] = -1.0
            full = full_extent(problem, np.array([j]), ray[None])
            if full.any() and (full > 0).any():
                columns.append(Column(j, full, acceptance(problem.beliefs, np.array([j]), full)))
    return columns


@pytest.fixture(scope="module")
def market():
    """A solved large market of three tasks, some agents groups, with caps."""
    rng = np.random.default_rng(3)
    problem = random_problem(rng, 8, sizes=rng.integers(1, 4, 8), caps=Caps(load_growth=0.5))
    return generate_columns(problem, search_pricers(problem), tol=2e-3)


# ---- the program -------------------------------------------------------------------------------------------


def test_osp_proposition2_strong_duality_with_exact_support_functions():
    rng = np.random.default_rng(0)
    for _ in range(4):
        # beliefs that are samples: the closed form is then the support function itself
        samples = Beliefs.from_samples(rng.uniform(0.5, 1.5, (40, 5, 2)))
        problem = random_problem(rng, 5, 2, samples, sizes=rng.integers(1, 4, 5))
        pricers = [TwoClassPricer(problem, j, TWO) for j in range(5)]
        found = generate_columns(problem, pricers, tol=1e-9)

        def dual(prices, problem=problem, pricers=pricers):
            columns = [
                c
                for c in price_all(problem, pricers, prices, [[]] * 5, 0, 0, Workers(), NullReporter())
                if c is not None
            ]
            return float(problem.sizes @ best_gains(problem, columns, prices))

        least = minimize(
            dual, found.prices, method="Nelder-Mead", options={"xatol": 1e-10, "fatol": 1e-10, "maxiter": 300}
        ).fun
        assert_allclose(found.saving, least, rtol=1e-6)
        # the selections of Proposition 2: menus in use are best at the optimal prices, and clear the market
        mechanism = RandomisedMechanism.of(found)
        gains = best_gains(problem, found.columns, found.solution.prices)
        moved = np.zeros(2)
        for column, weight in zip(mechanism.columns, mechanism.weights, strict=True):
            worth = (found.solution.prices - problem.costs[column.agent]) @ column.displacement
            assert_allclose(worth, gains[column.agent], rtol=1e-6, atol=1e-9)
            moved += problem.sizes[column.agent] * weight * column.displacement
        assert_allclose(moved, 0, atol=1e-7)


def test_master_is_the_linear_program():
    rng = np.random.default_rng(1)
    for _ in range(20):
        problem = random_problem(rng, 5, 3, sizes=rng.integers(1, 4, 5))
        columns = random_columns(rng, problem)
        master = Master(problem)
        # added in two goes, so that the second solve starts from the first's basis
        master.extend(columns[: len(columns) // 2])
        master.solve()
        master.extend(columns)
        found = master.solve()
        size = np.array([problem.sizes[c.agent] for c in columns])
        moved = np.array([c.displacement for c in columns])
        cost = np.array([problem.costs[c.agent] for c in columns])
        owner = np.array([[c.agent == j for c in columns] for j in range(5)], dtype=float)
        twin = linprog(
            size * (cost * moved).sum(axis=1), owner, np.ones(5), (size[:, None] * moved).T, np.zeros(3)
        )
        assert_allclose(found.saving, -twin.fun, rtol=1e-7, atol=1e-9)
        # weak duality at the master's own prices, over the columns at hand
        assert problem.sizes @ best_gains(problem, columns, found.prices) >= found.saving - 1e-7


def test_a_column_is_added_once_and_with_its_parts():
    problem = random_problem(np.random.default_rng(2), 2, 3)
    rays = full_extent(problem, np.zeros(2, dtype=int), np.array([[-1.0, 2.0, 1.0], [2.0, -1.0, 0.0]]))
    column = Column(0, rays, np.array([0.4, 0.2]))
    master = Master(problem)
    assert master.add(column)
    assert len(master.columns) == 3
    assert not master.add(column)
    assert not master.add(Column(0, rays, np.zeros(2)))


def test_two_classes_by_brute_force():
    rng = np.random.default_rng(4)
    for _ in range(30):
        types = rng.uniform(0.5, 2.0, (int(rng.integers(1, 7)), 1, 3))
        problem = ReallocationProblem.from_arrays(
            [[1.0, 2.0, 3.0]], [[0.0, 0.0, 0.0]], Beliefs.from_samples(types), caps=Caps(load_growth=0.4)
        )
        in_a = np.array([True, False, True])
        values = rng.normal(size=3)
        found = TwoClassPricer(problem, 0, in_a).best(values)
        gain = float(found.acceptance @ (found.changes @ values)) if len(found.changes) else 0.0
        share_a, share_b = np.array([0.25, 0, 0.75]), np.array([0, 1.0, 0])
        ratio = (types[:, 0] @ share_b) / (types[:, 0] @ share_a)
        levels = np.concatenate([[r * (1 - 1e-9), r * (1 + 1e-9)] for r in ratio])
        offers = []
        for sign in (1, -1):
            rays = sign * (share_a - share_b / levels[:, None])
            full = full_extent(problem, np.zeros(len(rays), dtype=int), rays)
            chance = (types[:, 0] @ rays.T < -1e-12).mean(axis=0)
            offers.append(np.maximum(full @ values, 0) * chance)
        best = max(
            [0.0]
            + [max(offers[0].max(), offers[1].max())]
            + [
                offers[0][k] + offers[1][m]
                for k, t in enumerate(levels)
                for m, s in enumerate(levels)
                if t >= s
            ]
        )
        assert_allclose(gain, best, rtol=1e-6, atol=1e-9)
        assert not (len(found.changes) == 2 and in_conflict(*found.changes))


def test_workers_do_not_change_the_menus():
    problem = random_problem(np.random.default_rng(5), 3, 3)
    pricers = search_pricers(problem)
    prices = problem.costs.mean(axis=0)
    found = [
        price_all(problem, pricers, prices, [[]] * 3, 3, 7, workers, NullReporter())
        for workers in (Workers("serial"), Workers("joblib", 2))
    ]
    for one, other in zip(*found, strict=True):
        assert_array_equal(one.changes, other.changes)
        assert_array_equal(one.acceptance, other.acceptance)


def test_generation_closes_the_pseudo_gap_and_all_its_menus_are_polarized(market):
    problem = market.problem
    assert market.status is Status.UNCERTIFIED
    assert market.pseudo_gap <= 2e-3
    assert market.saving > 0.02 * problem.status_quo_cost
    savings = [r.saving for r in market.rounds]
    assert (np.diff(savings) >= -1e-9).all()
    for column in market.columns:
        first, second = np.triu_indices(len(column.changes), 1)
        assert not in_conflict(column.changes[first], column.changes[second]).any()
        assert (problem.endowment[column.agent] + column.changes >= -1e-9).all()
        growth = column.changes.sum(axis=1)
        assert (growth <= 0.5 * problem.endowment[column.agent].sum() + 1e-9).all()


def test_the_bound_is_above_every_mixture_and_meets_it_where_menus_are_exact():
    rng = np.random.default_rng(13)
    problem = random_problem(rng, 5, 2, sizes=rng.integers(1, 4, 5))
    found = design_menus(problem, bound=True, draws=5, tol=1e-4)
    assert found.outer_bound.kind == "certified"
    assert found.outer_bound.saving >= found.large_market_saving * (1 - 1e-3)
    assert_allclose(found.outer_bound.saving, found.large_market_saving, rtol=5e-3)
    assert found.to_dict()["bound_kind"] == "all menus, large market: certified"
    far = outer_bound(problem, problem.costs.max(axis=0))
    assert far.saving >= found.outer_bound.saving * (1 - 1e-9)


@pytest.mark.parametrize("n_tasks", [3, pytest.param(4, marks=pytest.mark.slow)])
def test_osp_proposition2_certified_bound_of_more_tasks_is_near_the_best_mixture(n_tasks):
    rng = np.random.default_rng(n_tasks)
    samples = Beliefs.from_samples(rng.uniform(0.5, 1.5, (96, 2, n_tasks)))
    problem = random_problem(rng, 2, n_tasks, samples, sizes=[2, 1])
    found = design_menus(problem, bound=True, draws=5, tol=1e-4)
    # every agent's support function is proved within 1% of her gain, or 2% for four tasks
    assert found.outer_bound.kind == "certified"
    assert found.large_market_saving <= found.outer_bound.saving * (1 + 1e-9)
    assert found.outer_bound.saving <= found.large_market_saving * 1.05
    assert_allclose(found.outer_bound.saving, problem.sizes @ found.outer_bound.gains, rtol=1e-12)
    assert_allclose(found.outer_bound.prices, found.prices, rtol=0, atol=0)
    # at any prices no mixture is worth more: the dual program
    other = outer_bound(problem, found.prices * rng.uniform(0.9, 1.1, n_tasks))
    assert other.saving >= found.large_market_saving * (1 - 1e-9)


def test_at_any_time_there_are_menus():
    problem = random_problem(np.random.default_rng(6), 5, 3)
    found = design_menus(problem, time_limit=0, draws=5)
    assert found.status is Status.CERTIFIED
    assert found.stats.parameters["search"] == "time limit"
    assert found.expected_saving >= 0


# ---- the mechanism -----------------------------------------------------------------------------------------


def test_few_agents_are_mixed_and_copies_are_in_proportion(market):
    mechanism = RandomisedMechanism.of(market)
    problem = market.problem
    assert len(mechanism.mixed) <= problem.n_tasks
    owner = np.array([c.agent for c in mechanism.columns])
    for n in (1, 2, 7, 1000):
        counts = mechanism.copies(n)
        of_agent = np.bincount(owner, weights=counts, minlength=problem.n_agents)
        assert (of_agent <= n * problem.sizes).all()
        assert (np.abs(counts - n * problem.sizes[owner] * mechanism.weights) <= 1 + 1e-6).all()
        economy, menus = replica_economy(mechanism, n)
        assert_allclose(economy.counts, n * problem.counts)
        assert_allclose(economy.status_quo_cost, n * problem.status_quo_cost)
        assert conflicting_rays(menus) == []


def test_assignment_by_trying_all():
    rng = np.random.default_rng(7)
    for _ in range(8):
        problem = random_problem(rng, 3, 2)
        columns = random_columns(rng, problem, 2)
        units = [[(c,) for c in columns if c.agent == j] for j in range(3)]
        best = 0.0
        for a in units[0] or [()]:
            for b in units[1] or [()]:
                for c in units[2] or [()]:
                    chosen = [column for choice in (a, b, c) for column in choice]
                    moved = np.array([column.displacement for column in chosen])
                    cost = [problem.costs[column.agent] @ column.displacement for column in chosen]
                    twin = linprog(cost, A_eq=moved.T, b_eq=np.zeros(2), bounds=(0, 1))
                    best = max(best, -twin.fun)
        found = assign_menus(problem, [unit for unit in units if unit])
        assert_allclose(found.saving, best, atol=1e-7)
        assert len({column.agent for column in found.columns}) == len(found.columns)


def test_osp_proposition3_the_shortfall_falls_with_the_number_of_copies(market):
    study = study_replicas(RandomisedMechanism.of(market), [1, 10, 200], draws=12)
    shares = [row.share for row in study.rows]
    assert shares == sorted(shares)
    assert shares[-1] > 0.93
    # in expectation, not draw by draw: with few copies some draws may save more than the large market
    assert all(row.saving - 3 * row.standard_error <= study.large_market_saving for row in study.rows)
    assert all(row.least >= 0 for row in study.rows)
    assert 0 < study.coefficient < 2
    with pytest.raises(InvalidProblemError, match="replicas: found '0'"):
        study_replicas(RandomisedMechanism.of(market), [0])


def test_wrong_beliefs_never_lose(market):
    problem = market.problem
    menus = assign_menus(problem, menu_options(RandomisedMechanism.of(market))).menus
    believed = simulate(problem, menus, draws=20)
    for truth in (
        Beliefs.uniform(0.01, 9.0),
        Beliefs.lognormal([1.0, 3.0, 0.3], 1.5),
        Beliefs.degenerate(1.0),
    ):
        found = simulate(problem, menus, draws=20, truth=truth)
        assert found.savings.min() >= -1e-9
        assert not np.array_equal(found.savings, believed.savings)
    with pytest.raises(InvalidProblemError, match="true beliefs"):
        simulate(problem, menus, truth=Beliefs.uniform(np.ones((5, 5)), 2))


def test_fitting_to_a_small_market_saves_more_in_its_draws(market):
    problem = market.problem
    assigned = assign_menus(problem, menu_options(RandomisedMechanism.of(market)))
    found = fit_menus(problem, assigned.columns, market.columns)
    assert found.after >= found.before
    assert len({column.agent for column in found.columns}) == len(found.columns)
    again = fit_menus(problem, found.columns, [])
    assert again.columns == found.columns
    assert_allclose(again.before, found.after, rtol=1e-9)
    # on other draws, by the selection that is used for good
    fitted = AssignedMenus(problem, found.columns, 0.0).menus
    after, before = (simulate(problem, menus, draws=150) for menus in (fitted, assigned.menus))
    assert after.mean > before.mean - 2 * (after.savings - before.savings).std() / np.sqrt(150)
    assert fit_menus(problem, (), ()).columns == ()


# ---- what is asked of menus --------------------------------------------------------------------------------


def test_every_rule_is_kept_and_has_its_price(market):
    problem = market.problem
    rules = Rules(max_lines=1, round_rates=4, min_exchange=2.0)
    assigned, steps, _ = practical_menus(market, rules)
    assert len(steps) == 4
    assert_allclose(market.saving - sum(step.price for step in steps), assigned.saving, atol=1e-9)
    assert assigned.saving > 0.3 * market.saving
    menus = assigned.menus
    assert (np.diff(menus.starts) <= 1).all()
    for name, change in zip(menus.ray_names, menus.changes, strict=True):
        assert -np.minimum(change, 0).sum() >= 2.0 - 1e-9
        if name != LESS:
            smallest = np.abs(change[np.abs(change) > 1e-9]).min()
            rates = [change / smallest * k for k in range(1, 5)]
            assert any(np.abs(r - np.rint(r)).max() < 1e-6 and np.abs(r).max() < 4.5 for r in rates)
    assert simulate(problem, menus, draws=5).savings.min() >= 0


def test_two_lines_stay_polarized_when_rates_are_rounded():
    rng = np.random.default_rng(8)
    problem = random_problem(rng, 6, 2)
    found = generate_columns(problem, search_pricers(problem))
    assigned, _, _ = practical_menus(found, Rules(round_rates=3))
    assert conflicting_rays(assigned.menus) == []


def test_a_group_shares_its_exchange_rates(market):
    problem = market.problem
    groups = ["one"] * 4 + ["other"] * 4
    assigned, steps, _ = practical_menus(market, Rules(groups=groups))
    assert steps[-1].name == "shared menus"
    for members in (range(4), range(4, 8)):
        directions = {
            tuple(
                np.round(np.sort(c.changes / np.abs(c.changes).max(axis=1, keepdims=True), axis=0), 6).ravel()
            )
            for c in assigned.columns
            if c.agent in members and not c.remedial
        }
        assert len(directions) <= 1
    assert simulate(problem, assigned.menus, draws=5).savings.min() >= 0


def test_rules_that_make_no_sense_are_refused():
    problem = random_problem(np.random.default_rng(9), 3, 2)
    with pytest.raises(InvalidProblemError) as caught:
        design_menus(problem, max_lines=0, round_rates=0, min_exchange=-1, group_menus=["a"])
    assert len(caught.value.issues) == 4
    with pytest.raises(InvalidProblemError, match="cannot be simplified"):
        design_menus(problem, method="bilateral", max_lines=1)
    with pytest.raises(InvalidProblemError, match="two classes"):
        design_menus(problem, class_a=[True, False])
    with pytest.raises(InvalidProblemError, match="at least one period"):
        design_menus(problem, method="past-picks")


# ---- without a belief --------------------------------------------------------------------------------------


def test_least_regret_by_trying_all():
    rng = np.random.default_rng(10)
    problem = reference_problem(random_problem(rng, 4, 2, Beliefs.uniform(0.5, 2.0)))
    found = generate_columns(problem, search_pricers(problem))
    chosen, regrets = least_regret(found)
    assert (regrets >= 0).all()
    assert (regrets <= 1).all()
    values = found.solution.prices - problem.costs
    angles = np.linspace(np.log(0.25), np.log(4.0), 2001)
    types = np.column_stack([np.ones_like(angles), np.exp(angles)])

    def worth(column):
        gains = np.maximum(column.changes @ values[column.agent], 0)
        if column.remedial:
            return np.full(len(types), gains.sum())
        return (types @ column.changes.T < 0) @ gains

    for column in chosen:
        pool = np.array([worth(c) for c in found.columns if c.agent == column.agent])
        missed = (pool.max(axis=0) - pool).max(axis=1)
        mine = (pool.max(axis=0) - worth(column)).max()
        assert mine <= missed.min() * 1.02 + 1e-9


def test_robust_menus_need_boxes_and_never_lose():
    rng = np.random.default_rng(11)
    problem = random_problem(rng, 5, 2)
    found = design_menus(problem, method="robust", draws=20)
    assert found.status is Status.CERTIFIED
    assert found.simulation.savings.min() >= 0
    assert 0 < found.stats.parameters["largest_regret"] < 1
    with pytest.raises(InvalidProblemError, match="a low above 0 and a finite high"):
        design_menus(random_problem(rng, 2, 2, Beliefs.lognormal(1.0, 0.5)), method="robust")


def test_beliefs_from_many_picks_are_the_truth():
    rng = np.random.default_rng(12)
    problem = random_problem(rng, 40, 3, Beliefs.lognormal([1.0, 1.0, 1.0], 0.6), sizes=5)
    truth = Beliefs.lognormal([1.0, 1.8, 0.6], 0.3).broadcast((40, 3))
    periods = []
    owners = np.repeat(np.arange(40), 5)
    for _ in range(4):
        rays = []
        for j in range(40):
            i, k = rng.permutation(3)[:2]
            ray = np.zeros(3)
            ray[i], ray[k] = -1.0, rng.uniform(0.4, 2.5)
            rays.append(
                Menu(problem.agents[j], (Ray("a", full_extent(problem, np.array([j]), ray[None])[0]),))
            )
        menus = Menus.of(problem.agents, problem.tasks, rays)
        types = truth.of(owners).types(rng.random((200, 3)))
        periods.append((menus, pick_myopically(menus, owners, types, problem.endowment[owners])))
    found = beliefs_from_picks(problem, periods)
    relative = found.medians / found.medians[0]
    assert_allclose(relative, [1.0, 1.8, 0.6], rtol=0.12)
    assert abs(found.sigma - 0.3) < 0.1
    assert found.offers == 800
    design = design_menus(problem, method="past-picks", past=periods, draws=3, time_limit=1)
    assert design.stats.parameters["sigma"] == found.sigma
    assert_allclose(design.simulation.problem.beliefs.low, problem.beliefs.low)
    nothing = Menus.of(problem.agents, problem.tasks, [])
    with pytest.raises(InvalidProblemError, match="no rays"):
        beliefs_from_picks(problem, [(nothing, np.full(200, -1))])


# ---- the demonstration -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_numbers_a_demonstration_of_doctors_with_menus():
    """40 doctors × 6 case types, 35 to 55 cases each, lognormal beliefs, loads capped at +20%."""
    rng = np.random.default_rng(1)
    ability = rng.normal(0.0, 0.15, (40, 1)) + 0.25 * rng.normal(size=(40, 6))
    mix, load = rng.dirichlet(np.full(6, 4.0), 40), rng.uniform(35, 55, (40, 1))
    problem = ReallocationProblem.from_arrays(
        mix * load,
        np.maximum(np.linspace(0.8, 2.2, 6) * (1 + ability), 0.05),
        Beliefs.lognormal(rng.uniform(0.8, 1.2, (40, 6)), 0.45),
        caps=Caps(load_growth=0.2),
    )
    total = problem.status_quo_cost
    found = design_menus(problem, tol=5e-3)
    assert_allclose(found.no_choice.saving, 0, atol=1e-6 * total)
    assert found.large_market_saving > 0.17 * total
    assert found.stats.parameters["pseudo_gap"] < 5e-3
    assert found.expected_saving > 0.11 * total
    assert found.simulation.savings.min() >= 0
    assert found.simulation.load_changes.mean() < -0.05
    pairs = design_menus(problem, method="bilateral")
    assert 0.04 * total < pairs.bilateral_saving < 0.07 * total
    assert found.expected_saving > 1.5 * pairs.expected_saving
    study = study_replicas(found.mechanism, [1, 2, 5, 10, 30, 100], draws=40)
    shares = [row.share for row in study.rows]
    assert_allclose(shares, [0.71, 0.83, 0.89, 0.93, 0.96, 0.979], atol=0.04)
    assert_allclose(study.coefficient, 0.3, atol=0.06)
    same = ReallocationProblem.from_arrays(
        problem.status_quo, np.tile(problem.costs[:1], (40, 1)), problem.beliefs, caps=problem.caps
    )
    assert design_menus(same, draws=5, time_limit=30).expected_saving == pytest.approx(0, abs=1e-9 * total)
