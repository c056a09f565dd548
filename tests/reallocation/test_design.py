"""Menus by method: two prices held to a direct minimisation, the design's numbers, the demonstration."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.design import design_menus
from fairlot.reallocation.large_market.two_classes import TwoClassPricer
from fairlot.reallocation.obvious.rays import conflicting_rays
from fairlot.reallocation.outcome import reallocate
from fairlot.reallocation.simulation import simulate
from fairlot.reallocation.two_price import best_two_price
from fairlot.reallocation.value.no_choice import best_without_choice, first_best

SQUARE = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])


def beside_willing_neighbours(w):
    """Make a market in which a saving is what agent 1 gains at values w: the others take any swap.

    Agent 2 hardly minds task 2, agent 3 hardly minds task 1, and neither costs the designer anything.
    """
    easy = 1e-9
    low = np.array([[0.5, 0.5], [1.0, easy], [easy, 1.0]])
    high = np.array([[1.5, 1.5], [1.0, easy], [easy, 1.0]])
    return ReallocationProblem.from_arrays(
        [[1.0, 1.0], [50.0, 50.0], [50.0, 50.0]],
        [[-w[0], -w[1]], [0.0, 0.0], [0.0, 0.0]],
        Beliefs.uniform(low, high),
    )


def test_numbers_no_choice_eight_fifteenths_and_remedial_a_fifth():
    problem = beside_willing_neighbours((1.0, -0.2))
    assert_allclose(best_without_choice(problem).saving, 8 / 15, rtol=1e-6)
    menus = Menus.of(
        problem.agents,
        problem.tasks,
        [
            Menu("agent1", (Ray("less", [-1, -1]),)),
            Menu("agent2", (Ray("a", [-1e-6, 1.0]),)),
            Menu("agent3", (Ray("a", [1e-6, -1e-6]),)),
        ],
    )
    found = reallocate(problem, menus, {"agent1": "less", "agent2": "a", "agent3": "a"})
    assert_allclose(found.saving, 0.2, atol=1e-5, rtol=0)


def test_numbers_first_best_of_the_square():
    found = first_best(beside_willing_neighbours((1.0, 1.0)), draws=400, seed=1)
    expected = (9 * np.log(3) - 8) / 4
    assert_allclose(expected, 0.471878, atol=1e-6, rtol=0)
    assert abs(found.saving - expected) < 4 * found.standard_error
    assert found.standard_error < 0.04


def test_reading_3_costs_near_zero_are_told_by_the_family():
    for beliefs, infinite in ((Beliefs.beta(0, 1, 0.5, 0.5), True), (Beliefs.lognormal(1.0, 0.5), False)):
        problem = ReallocationProblem.from_arrays(np.ones((2, 2)), np.ones((2, 2)), beliefs)
        assert problem.beliefs.infinite_reciprocal_pairs.all() == infinite


# ---- two prices --------------------------------------------------------------------------------------------


def random_problem(rng, n_agents=4, n_tasks=3, **changes):
    return ReallocationProblem.from_arrays(
        rng.integers(1, 9, (n_agents, n_tasks)).astype(float),
        rng.uniform(0.5, 2.0, (n_agents, n_tasks)),
        Beliefs.uniform(0.5, 1.5),
        **changes,
    )


def bic_saving(problem):
    """Solve the large-market program over all Bayesian incentive compatible mechanisms."""
    n, n_types, n_tasks = problem.n_agents, len(problem.beliefs.samples), 2
    size = n * n_types * n_tasks

    def at(j, t):
        return np.arange((j * n_types + t) * n_tasks, (j * n_types + t + 1) * n_tasks)

    rows, bounds = [], []
    for j in range(n):
        types = problem.beliefs.samples[:, j] / problem.beliefs.samples[:, j].sum(axis=1, keepdims=True)
        for t in range(n_types):
            row = np.zeros(size)
            row[at(j, t)] = types[t]
            rows.append(row)
            bounds.append(types[t] @ problem.endowment[j])
            for other in set(range(n_types)) - {t}:
                row = np.zeros(size)
                row[at(j, t)] += types[t]
                row[at(j, other)] -= types[t]
                rows.append(row)
                bounds.append(0.0)
    cost = np.concatenate([np.tile(problem.costs[j] / n_types, n_types) for j in range(n)])
    clearing = np.tile(np.eye(n_tasks) / n_types, n * n_types)
    members = np.repeat(problem.sizes, n_types * n_tasks)
    found = linprog(
        cost * members, np.array(rows), bounds, clearing * members, problem.counts, method="highs"
    )
    return problem.status_quo_cost - found.fun


def test_two_price_optimum_is_that_of_the_bayesian_program():
    rng = np.random.default_rng(0)
    saved = 0
    for _ in range(12):
        n_agents, n_types = int(rng.integers(2, 5)), int(rng.integers(1, 6))
        problem = ReallocationProblem.from_arrays(
            rng.integers(1, 9, (n_agents, 2)).astype(float),
            rng.uniform(0.5, 2.0, (n_agents, 2)),
            Beliefs.from_samples(rng.uniform(0.5, 2.0, (n_types, n_agents, 2))),
            sizes=rng.integers(1, 3, n_agents),
        )
        design = best_two_price(problem)
        assert_allclose(design.saving, bic_saving(problem), rtol=1e-6, atol=1e-7 * problem.status_quo_cost)
        saved += design.saving > 0.01 * problem.status_quo_cost
    assert saved > 6


def test_numbers_both_offers_of_the_square_are_worth_three_sixteenths():
    problem = ReallocationProblem.from_arrays(np.ones((2, 2)), [[0.0, 1.0], [1.0, 0.0]], SQUARE)
    pricer = TwoClassPricer(problem, 0, np.array([True, False]))
    found = pricer.best(np.ones(2))
    assert_allclose(found.acceptance @ found.changes.sum(axis=1), 3 / 16, rtol=5e-3)
    rates = np.sort(-found.changes[:, 0] / found.changes[:, 1])
    assert abs(rates - (2 / 3 if len(rates) == 1 and rates[0] < 1 else 3 / 2)).min() < 0.08


def test_numbers_one_ray_of_the_square_at_uneven_values():
    problem = ReallocationProblem.from_arrays(np.ones((2, 2)), [[0.0, 1.0], [1.0, 0.0]], SQUARE)
    found = TwoClassPricer(problem, 0, np.array([True, False])).best(np.array([1.0, -0.2]))
    assert_allclose(found.acceptance @ (found.changes @ [1.0, -0.2]), 0.705536, rtol=1e-3)
    assert_allclose(-found.changes[0, 1] / found.changes[0, 0], 1 / 0.700426, rtol=0.05)


def test_two_price_menus_are_always_polarized_and_worth_their_value_in_expectation():
    rng = np.random.default_rng(1)
    for n_tasks in (2, 3, 6):
        problem = random_problem(rng, n_agents=6, n_tasks=n_tasks, caps=Caps(task_growth=1.0))
        design = best_two_price(problem)
        menus = design.menus
        assert conflicting_rays(menus) == []
        many = simulate(problem, menus, draws=10, replicas=40).mean
        assert many <= design.saving * 1.05
        both = ~np.isnan(design.prices).any(axis=1)
        assert (design.prices[both, 0] <= design.prices[both, 1] * (1 + 1e-6)).all()


def test_classes_are_searched_or_given():
    problem = random_problem(np.random.default_rng(5), n_agents=8)
    given = best_two_price(problem, in_a=[True, False, False])
    assert given.in_a.tolist() == [True, False, False]
    assert best_two_price(problem).saving >= given.saving - 1e-9
    with pytest.raises(InvalidProblemError, match="class A: found '3 tasks'"):
        best_two_price(problem, in_a=[True, True, True])


def test_two_prices_beat_trades_of_pairs_where_there_are_two_tasks():
    problem = random_problem(np.random.default_rng(2), n_agents=12, n_tasks=2)
    two = design_menus(problem, method="two-price", draws=30, n_jobs=1)
    pairs = design_menus(problem, method="bilateral", draws=30, n_jobs=1)
    assert two.certificate.passed
    assert pairs.certificate.passed
    assert two.expected_saving > 0
    assert pairs.expected_saving >= pairs.bilateral_saving - 3 * pairs.simulation.standard_error
    summary = two.to_dict()
    assert summary["expected_saving_interval"][0] < summary["expected_saving"]
    assert summary["expected_saving"] < summary["bound"]
    assert summary["large_market_saving"] > 0


def test_a_method_that_is_not_there_is_refused():
    with pytest.raises(InvalidProblemError, match="method: found 'best', expected menus or two-price or"):
        design_menus(random_problem(np.random.default_rng(3)), method="best")


@pytest.mark.parametrize("method", ["menus", "bilateral", "two-price", "robust"])
def test_identical_agents_get_no_menus(method):
    problem = ReallocationProblem.from_arrays(np.ones((3, 2)), [[1.0, 2.0]] * 3, SQUARE)
    found = design_menus(problem, method=method, draws=5)
    assert found.menus.n_rays == 0
    assert found.expected_saving == 0


# ---- the demonstration -------------------------------------------------------------------------------------


@pytest.mark.slow
def test_numbers_a_demonstration_of_doctors():
    """40 groups of doctors × 6 case types, 35 to 55 cases each, lognormal beliefs, capped loads."""
    rng = np.random.default_rng(4)
    loads = rng.uniform(35, 55, 40)
    problem = ReallocationProblem.from_arrays(
        rng.dirichlet(np.full(6, 4.0), 40) * loads[:, None],
        rng.lognormal(0.0, 0.35, (40, 6)),
        Beliefs.lognormal(1.0, 0.45),
        caps=Caps(load_growth=0.2),
    )
    found = design_menus(problem, method="bilateral", draws=30, n_jobs=1)
    total = problem.status_quo_cost
    assert_allclose(found.no_choice.saving, 0, atol=1e-6)
    assert found.bilateral_saving > 0.03 * total
    assert found.expected_saving > found.bilateral_saving
    assert found.simulation.savings.min() >= 0
    assert found.simulation.load_changes.mean() < -0.01
    many = simulate(problem, found.menus, draws=10, replicas=100)
    assert many.mean > found.expected_saving
    wrong = ReallocationProblem.from_arrays(
        problem.status_quo, problem.costs, Beliefs.uniform(0.01, 5.0), caps=problem.caps
    )
    assert simulate(wrong, found.menus, draws=30).savings.min() >= 0
