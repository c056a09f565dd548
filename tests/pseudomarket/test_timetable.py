"""Markets whose quotas cross: kernels, equilibria, lotteries, and a brute-force twin of the outcome."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from fairlot.certificate import Status
from fairlot.lottery.wolfe import Polytope, nearest_lottery
from fairlot.model.conflicts import Conflict
from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.explanation import explain_agent
from fairlot.pseudomarket.timetable.compiled import compile_rows, incidence
from fairlot.pseudomarket.timetable.fallback import fair_lottery
from fairlot.pseudomarket.timetable.hull import separating_cut
from fairlot.pseudomarket.timetable.kernels import demand_factors, disjoint_first, factorise, solve_agents
from fairlot.pseudomarket.timetable.result import Outcome, TimetableEquilibrium
from fairlot.pseudomarket.timetable.solve import solve_timetable
from fairlot.pseudomarket.timetable.vertex import treat_alike, twins
from fairlot.testing import timetable_market
from fairlot.verify.impossibility import spending_margin
from fairlot.verify.timetable import verify_terms, verify_timetable

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"


def test_kernels_agree_with_dense_linear_algebra():
    compiled = compile_rows(timetable_market(6, 10, seed=3, slots=4, load=3, least=1))
    rng = np.random.default_rng(0)
    member = incidence(compiled)
    start, members = member.indptr.astype(np.int64), member.indices.astype(np.int64)
    _, disjoint = disjoint_first(compiled.node_start, start, members, compiled.n_pairs)
    counts = np.diff(compiled.node_start)
    factor_start = np.concatenate([[0], np.cumsum(disjoint + (counts - disjoint) * counts)])
    weight, theta = rng.uniform(0.1, 3.0, compiled.n_pairs), rng.uniform(0.1, 2.0, compiled.n_nodes)
    layout = compiled.node_start, disjoint, factor_start, start, members
    factors = factorise(*layout, weight, theta)
    force, shift = rng.normal(size=compiled.n_pairs), rng.normal(size=compiled.n_nodes)
    x, y, totals = solve_agents(*layout, factors, weight, theta, force, shift)
    dense = member.toarray()
    inner = np.diag(theta) + dense @ np.diag(weight) @ dense.T
    want = np.linalg.solve(inner, dense @ (weight * force) - shift)
    assert_allclose(y, want, rtol=1e-10, atol=1e-12)
    assert_allclose(x, weight * (force - dense.T @ want), rtol=1e-9, atol=1e-11)
    assert_allclose(totals, dense @ x, rtol=1e-9, atol=1e-10)
    money = rng.uniform(0.2, 1.0, compiled.n_agents)
    slopes = np.zeros((compiled.n_goods, compiled.n_goods))
    block = np.zeros((compiled.n_nodes, compiled.n_goods))
    used = demand_factors(0, 6, *layout, compiled.good, factors, weight, money, slopes, block)
    slopes -= block[:used].T @ block[:used]
    scaled = np.diag(weight * np.sqrt(money)[compiled.agent])
    cut = scaled @ dense.T @ np.linalg.solve(inner, dense @ scaled)
    goods = sp.csr_array((np.ones(compiled.n_pairs), (np.arange(compiled.n_pairs), compiled.good))).toarray()
    assert_allclose(slopes, -goods.T @ cut @ goods, rtol=1e-9, atol=1e-10)


@pytest.mark.parametrize(
    ("seed", "options"),
    [
        (0, {"ratio": 0.4}),
        (1, {"ratio": 1.2}),
        (2, {"meetings": True}),
        (3, {"tapers": True, "unequal_budgets": True}),
        (4, {"least": 1, "ratio": 0.9}),
        (5, {"kind": "types"}),
    ],
)
def test_timetables_are_exact_and_verified(seed, options):
    market = timetable_market(30, 12, seed, **{"ratio": 0.8, "slots": 4, "load": 3, **options})
    found = solve_timetable(market, seed=seed)
    assert found.status is Status.CERTIFIED
    assert found.outcome is Outcome.EXACT
    assert verify_terms(market, found.lottery(), found.shares).passed
    assert found.statement().startswith("In every possible draw no student")
    # Who entered the same has the same odds.
    number = twins(market)
    dense = found.shares.to_array()
    for group in range(number.max() + 1):
        rows = dense[number == group]
        assert_allclose(rows, np.broadcast_to(rows[0], rows.shape), atol=1e-9)


def test_equilibrium_twin_of_a_laminar_market():
    # Without crossing sets the other solver must find the same prices.
    from fairlot.pseudomarket.solve import solve_equilibrium

    rng = np.random.default_rng(5)
    market = PseudoMarket.from_arrays(rng.uniform(size=(12, 5)), 4, quotas=[Quota("load", max=2)])
    laminar, rows = solve_equilibrium(market), solve_timetable(market)
    assert laminar.status is Status.CERTIFIED
    assert rows.status is Status.CERTIFIED
    assert_allclose(rows.prices, laminar.prices, atol=1e-7)


def bundles_of(market: PseudoMarket, i: int) -> list[tuple[int, ...]]:
    """Every bundle that an agent may hold, by its definition."""
    goods = market.pair_good[market.pair_agent == i].tolist()
    clash = {tuple(pair) for pair in market.conflict_pairs.tolist()}
    found = []
    for size in range(len(goods) + 1):
        for bundle in itertools.combinations(goods, size):
            held = set(bundle)
            bounds = [
                (len(held & set(b.goods.tolist())), b.lower[i], b.upper[i])
                for b in market.bound_sets
                if not len(b.marginals)
            ]
            fits = all(low <= count <= high for count, low, high in bounds)
            if fits and not any(pair in clash for pair in itertools.combinations(sorted(bundle), 2)):
                found.append(bundle)
    return found


def exists_by_enumeration(market: PseudoMarket, found: TimetableEquilibrium) -> bool:
    """Whether a lottery over assignments is an equilibrium at the prices: all assignments, one program."""
    values = market.values.toarray()
    assert found.prices is not None
    prices, alpha, satiated = found.prices, found.money_values, found.satiated
    best = []
    for i in range(market.n_agents):
        worth = [
            (values[i, list(b)].sum() - alpha[i] * prices[list(b)].sum(), prices[list(b)].sum(), b)
            for b in bundles_of(market, i)
        ]
        top = max(w for w, _, _ in worth)
        mine = [(cost, b) for w, cost, b in worth if w >= top - 1e-7]
        if satiated[i]:
            least = min(cost for cost, _ in mine)
            mine = [(cost, b) for cost, b in mine if cost <= least + 1e-7]
        best.append(mine)
    columns = []
    for choice in itertools.product(*best):
        used = np.bincount([j for _, b in choice for j in b], minlength=market.n_goods)
        if (used <= market.capacities).all() and (used == market.capacities)[prices > 1e-9].all():
            columns.append([cost for (cost, _), full in zip(choice, satiated, strict=True) if not full])
    if not columns:
        return False
    table = np.array(columns).T.reshape(int((~satiated).sum()), len(columns))
    equal = np.vstack([table, np.ones(len(columns))])
    right = np.append(market.budgets[~satiated], 1.0)
    slack = np.concatenate([np.zeros(len(columns)), np.ones(2 * len(right))])
    matrix = np.hstack([equal, np.eye(len(right)), -np.eye(len(right))])
    return bool(linprog(slack, A_eq=matrix, b_eq=right, method="highs").fun < 1e-7)


def tiny_market(seed: int) -> PseudoMarket:
    """Four or five students, six sections of three courses in random slots, few seats."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 6))
    slot = rng.permutation(6) % 3
    goods = [f"g{j}" for j in range(6)]
    quotas = [Quota("load", max=2)]
    quotas += [Quota("course", goods[2 * k : 2 * k + 2], max=1, group=str(k)) for k in range(3)]
    quotas += [
        Quota("slot", [goods[j] for j in np.flatnonzero(slot == k)], max=1, group=str(k)) for k in range(3)
    ]
    values = rng.integers(1, 8, (n, 6)).astype(float)
    return PseudoMarket.from_arrays(values, rng.integers(1, 3, 6), goods=goods, quotas=quotas)


# In the market of seed 276 a bundle costs exactly the budget, and α is any number of an interval.
@pytest.mark.parametrize("seed", [*range(12), 276])
def test_outcome_by_enumeration(seed):
    market = tiny_market(seed)
    found = solve_timetable(market, seed=seed)
    assert found.outcome is not Outcome.CLOSE
    assert exists_by_enumeration(market, found) == (found.outcome is Outcome.EXACT)
    if found.impossibility is not None:
        assert found.prices is not None
        assert found.row_prices is not None
        proof = found.impossibility
        assert spending_margin(market, found.prices, found.row_prices, proof.direction) > 1e-9
        assert 0.5 < proof.guarantee <= proof.guarantee_bound + 1e-9 <= 1.0 + 2e-6
        assert verify_terms(market, found.lottery(), found.shares).passed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12, 300))
def test_outcome_by_enumeration_of_many(seed):
    test_outcome_by_enumeration(seed)


@pytest.mark.parametrize("seed", [3, 21, 35])
def test_extra_seats_only_on_request(seed):
    market = tiny_market(seed)
    without = solve_timetable(market, seed=seed)
    assert without.outcome is Outcome.IMPOSSIBLE
    assert without.extra_seats == ()
    assert without.market is market
    found = solve_timetable(market, seed=seed, extra_seats=2)
    assert found.outcome is Outcome.EXACT
    assert found.status is Status.CERTIFIED
    # One seat in each of the goods named, no other difference, and none where it was not needed.
    assert 1 <= len(found.extra_seats) <= 2
    more = dict(found.extra_seats)
    assert set(more.values()) == {1}
    expected = market.capacities + np.array([more.get(good, 0) for good in market.goods])
    assert found.market.capacities.tolist() == expected.tolist()
    assert exists_by_enumeration(found.market, found)
    assert verify_terms(found.market, found.lottery(), found.shares).passed
    # Under the seats there were, the same lottery breaks capacities and nothing else.
    failed = verify_terms(market, found.lottery(), found.shares).failed
    assert [check.name for check in failed] == ["capacities"]


def test_seats_are_not_added_where_a_lottery_is_exact():
    market = tiny_market(0)
    assert solve_timetable(market, extra_seats=3).extra_seats == ()


def odd_cycle() -> tuple[np.ndarray, Polytope]:
    """Three cells of which any two exclude each other, each half: no lottery over assignments."""
    rows = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0], [1.0, 0.0, 1.0]])
    polytope = Polytope(sp.csr_array(rows), np.full(3, -np.inf), np.ones(3), np.zeros(3), np.ones(3))
    return np.full(3, 0.5), polytope


def test_wolfe_separates_what_is_no_lottery():
    target, polytope = odd_cycle()
    found = nearest_lottery(target, polytope)
    assert found.direction is not None
    assert_allclose(found.direction, np.full(3, 3**-0.5), atol=1e-9)
    # The nearest point is a third each, which the sum of the direction proves: 1.5 > 1.
    assert_allclose(found.beyond, 0.5 * 3**-0.5, atol=1e-9)
    assert found.integer_programs > 0


@pytest.mark.parametrize("seed", range(8))
def test_wolfe_finds_what_is_a_lottery(seed):
    rng = np.random.default_rng(seed)
    matrix = sp.csr_array((rng.random((6, 10)) < 0.3).astype(float))
    polytope = Polytope(matrix, np.full(6, -np.inf), np.full(6, 2.0), np.zeros(10), np.ones(10))
    points = np.array([z for z in itertools.product((0, 1), repeat=10) if (matrix @ np.array(z) <= 2).all()])
    target = rng.dirichlet(np.ones(len(points))) @ points
    found = nearest_lottery(target, polytope, tol=1e-11)
    assert found.direction is None
    assert_allclose(found.weights.sum(), 1.0, atol=1e-12)
    assert_allclose(found.weights @ found.terms, target, atol=1e-9)
    assert all((matrix @ term <= 2).all() for term in found.terms)


def test_margin_by_listing():
    # At these prices both students want the dear good only, which one can get: no assignment at all.
    market = PseudoMarket.from_arrays([[1.0, 0.9], [1.0, 0.9]], 1, quotas=[Quota("one", max=1)])
    prices = np.array([1.0, 1.0])
    assert spending_margin(market, prices, prices, np.ones(2)) == np.inf
    # At these one gets each, and on average both spend a budget: no direction separates.
    prices = np.array([1.1, 0.9])
    values = PseudoMarket.from_arrays([[1.0, 0.95], [1.0, 0.95]], 1, quotas=[Quota("one", max=1)])
    for direction in ([1.0, 1.0], [1.0, -1.0], [-1.0, 0.5]):
        assert spending_margin(values, prices, prices, np.array(direction)) <= 1e-12


def test_fallback_is_the_largest_level():
    market = PseudoMarket.from_arrays([[2.0, 1.0], [2.0, 1.0]], 1, quotas=[Quota("one", max=1)])
    found = fair_lottery(market, np.array([2.0, 2.0]))
    assert found is not None
    # Each gets the better one half of the time: 1.5 of 2.
    assert_allclose([found.level, found.bound], 0.75, atol=1e-6)


def test_identical_students_get_the_mean():
    market = PseudoMarket.from_arrays(
        [[2.0, 1.0], [2.0, 1.0], [1.0, 2.0]], 1, conflicts=[Conflict("c", [("good1", "good2")])]
    )
    compiled = compile_rows(market)
    x = treat_alike(compiled, np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0]))
    assert_allclose(x, [0.5, 0.5, 0.5, 0.5, 0.0, 0.0], atol=1e-15)


def long_class_market() -> PseudoMarket:
    """A long class overlaps three short ones, and two classes may be taken: rows promise too much."""
    overlap = Conflict("overlap", [("long", "one"), ("long", "two"), ("long", "three")])
    return PseudoMarket.from_arrays(
        [[4.0, 3.0, 3.0, 3.0], [4.0, 3.0, 3.0, 3.0]],
        [2, 2, 2, 2],
        goods=["long", "one", "two", "three"],
        quotas=[Quota("load", max=2)],
        conflicts=[overlap],
    )


def test_cut_is_a_facet_of_the_hull_of_bundles():
    market = long_class_market()
    # Half of everything is within all rows, and worth 6.5, more than any bundle.
    cut = separating_cut(market, 0, np.full(8, 0.5))
    assert cut is not None
    times = np.zeros(4)
    times[cut.pairs] = cut.times
    assert times.tolist() == [2.0, 1.0, 1.0, 1.0]
    assert cut.upper == 2
    assert separating_cut(market, 0, np.tile([0.5, 1 / 3, 1 / 3, 1 / 3], 2)) is None


def test_agents_outside_their_own_hull_get_a_row_more():
    found = solve_timetable(long_class_market())
    assert found.outcome is Outcome.EXACT
    assert_allclose(found.shares.to_array().sum(axis=1) if found.shares else 0.0, 2.0, atol=1e-9)


def test_lower_bounds_that_nobody_can_meet_are_told():
    conflict = Conflict("noon", [("good1", "good2")])
    market = PseudoMarket.from_arrays(
        [[1.0, 1.0], [1.0, 1.0]], 2, quotas=[Quota("both", min=2)], conflicts=[conflict]
    )
    found = solve_timetable(market)
    assert found.status is Status.INFEASIBLE
    assert found.infeasibility is not None
    assert found.infeasibility.agents == ("agent1", "agent2")
    with pytest.raises(ValueError, match="nothing to draw from"):
        found.lottery()


def planted() -> tuple[PseudoMarket, TimetableEquilibrium]:
    market = timetable_market(12, 6, 1, 0.6, slots=3, load=2, meetings=True)
    found = solve_timetable(market)
    assert found.outcome is Outcome.EXACT
    return market, found


def test_wrong_prices_fail_what_they_break():
    market, found = planted()
    assert found.prices is not None
    assert found.shares is not None
    wrong = found.prices * 1.01
    certificate = verify_timetable(market, wrong, found.shares, found.lottery())
    assert {"over-spending"} <= {check.name for check in certificate.failed}
    none = verify_timetable(market, found.prices, found.shares, None)
    assert {check.name for check in none.failed} == {"terms optimal", "envy"}


def test_terms_that_break_a_conflict_fail_only_that():
    market = timetable_market(12, 8, 1, 1.2, slots=4, load=2, meetings=True)
    found = solve_timetable(market)
    lottery = found.lottery()
    assert found.shares is not None
    assert lottery.terms is not None
    first = lottery.assignment(lottery.terms.copies(0)).matrix
    held = [first[[i]].indices for i in range(market.n_agents)]
    one, other = next(goods for goods in held if len(goods) == 2)
    clashing = Conflict("more", [(lottery.goods[one], lottery.goods[other])])
    stricter = PseudoMarket(
        market.agents,
        market.goods,
        market.capacities,
        market.budgets,
        market.values,
        market.per_agent,
        market.quotas,
        conflicts=(*market.conflicts, clashing),
    )
    assert [check.name for check in verify_terms(stricter, lottery, found.shares).failed] == ["conflicts"]
    tighter = PseudoMarket(
        market.agents,
        market.goods,
        np.maximum(market.capacities - 1, 0),
        market.budgets,
        market.values,
        market.per_agent,
        market.quotas,
        conflicts=market.conflicts,
    )
    assert [check.name for check in verify_terms(tighter, lottery, found.shares).failed] == ["capacities"]


def test_explanation_names_what_excludes():
    market, found = planted()
    assert found.prices is not None
    assert found.shares is not None
    lines = [
        line
        for agent in market.agents
        for line in explain_agent(market, found.prices, found.shares, agent).lines
    ]
    assert any(line.quota for line in lines)


def test_tapers_bend_terms_on_one_side_only():
    taper = Taper("third", (0.0, 0.0, -1.0))
    quotas = [Quota("a", ["good1", "good2"], max=1), Quota("b", ["good2", "good3"], max=1)]
    values = np.random.default_rng(3).integers(1, 5, (6, 5)).astype(float)
    market = PseudoMarket.from_arrays(values, 3, quotas=quotas, tapers=[taper])
    assert solve_timetable(market).outcome is Outcome.EXACT


@pytest.mark.slow
def test_umass_timetable_is_exact():
    from fairlot.io.problem import read_problem

    folder = DATA / "umass-timetable"
    if not folder.exists():
        pytest.skip("no shared data beside the checkout")
    found = solve_timetable(read_problem(folder))
    assert found.outcome is Outcome.EXACT
