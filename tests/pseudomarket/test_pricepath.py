"""The price path: its ends recomputed from the market alone, published numbers, hostile markets, folds."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose, assert_array_equal

from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.shares import RandomAllocation
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.pricepath import solve_price_path
from fairlot.verify.equilibrium import verify_equilibrium

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
ONE = [Quota("one", max=1)]


class Trace:
    """A reporter that keeps every μ."""

    def __init__(self) -> None:
        self.levels: list[float] = []

    def stage(self, name: str) -> None:
        assert name == "price path"

    def update(self, fraction: float | None = None, residual: float | None = None) -> None:
        assert residual is not None
        self.levels.append(residual)


def certify(compiled: CompiledMarket, point: Point, tol: float = 1e-5) -> None:
    """Demand a strong equilibrium, by the verifier that knows no solver."""
    market = compiled.market
    copies = compiled.copies(point.x)
    shares = np.zeros((market.n_agents, market.n_goods))
    shares[market.pair_agent, market.pair_good] = np.where(copies < 1e-8, 0.0, copies)
    q = np.where(point.q < 1e-8, 0.0, point.q) * compiled.budget_scale
    allocation = RandomAllocation(market.agents, market.goods, shares)
    certificate = verify_equilibrium(market, compiled.rows.T @ q, allocation, row_prices=q, tol=tol)
    assert certificate.passed, [check for check in certificate.checks if not check.passed]


def largest_product(compiled: CompiledMarket, point: Point) -> float:
    """Largest violation of the complementarity system of agents who spend everything: a slow twin."""
    price = compiled.rows.T @ point.q
    totals, sold = np.zeros(compiled.n_nodes), np.zeros(compiled.n_goods)
    spent = compiled.forced_matrix @ price
    for k in range(compiled.n_pairs):
        totals[[a for a in compiled.chain[k] if a >= 0]] += point.x[k]
        sold[compiled.good[k]] += point.x[k]
        spent[compiled.agent[k]] += price[compiled.good[k]] * point.x[k]
    unspent = compiled.budget - spent
    satiated = point.alpha < unspent
    worst = [0.0, *-point.x, *-unspent, *np.where(satiated, 0.0, unspent)]
    for k in range(compiled.n_pairs):
        i, room = compiled.agent[k], compiled.cap[k] - point.x[k]
        dual = sum(point.y[a] for a in compiled.chain[k] if a >= 0)
        gain = compiled.value[k] - point.alpha[i] * price[compiled.good[k]] - dual
        worst.append(-room)
        if not satiated[i]:
            worst += [min(point.x[k], -gain), min(room, gain) if compiled.capped[k] else gain]
    for a in range(compiled.n_nodes):
        over, under, y = totals[a] - compiled.upper[a], compiled.lower[a] - totals[a], point.y[a]
        if np.isfinite(compiled.penalty[a]):
            worst += [-y, y - compiled.penalty[a], min(y, -over), min(compiled.penalty[a] - y, over)]
        else:
            worst += [over, under, min(y, -over), min(-y, -under)]
    for spare, q in zip(compiled.supply - compiled.rows @ sold, point.q, strict=True):
        worst += [-spare, -q, min(spare, q)]
    return max(worst)


def solved(market: PseudoMarket, tol: float = 1e-5) -> tuple[CompiledMarket, Point]:
    compiled = compile_market(market)
    point = solve_price_path(compiled)
    assert point.finished, point.note
    # The smaller of two numbers with product μ = 1e-10 is at most 1e-5.
    assert largest_product(compiled, point) < 1.1e-5
    certify(compiled, point, tol)
    return compiled, point


@pytest.mark.parametrize("seed", range(25))
@pytest.mark.parametrize("ties", [False, True])
def test_random_markets_with_every_kind_of_constraint(seed: int, ties: bool) -> None:
    solved(random_market(seed, ties=ties))


@pytest.mark.parametrize("seed", range(10))
def test_random_markets_with_unequal_budgets(seed: int) -> None:
    solved(random_market(100 + seed, lower=False))


def test_pm_hylland_zeckhauser_example() -> None:
    """Two equilibria: prices (2, 1, 0) with U = (50, 50, 80), and (5/2, 1/2, 0) with (40, 40, 85)."""
    market = PseudoMarket.from_arrays([[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, quotas=ONE)
    compiled, point = solved(market)
    found = np.array([*point.q, *utilities(market, compiled.copies(point.x))])
    known = np.array([[2, 1, 0, 50, 50, 80], [2.5, 0.5, 0, 40, 40, 85]])
    assert np.abs(known - found).max(axis=1).min() < 1e-6


def test_pm_hylland_zeckhauser_zero_prices() -> None:
    market = PseudoMarket.from_arrays([[5, 3, 2, 1], [5, 3, 2, 2]], 1, quotas=ONE)
    compiled, point = solved(market)
    assert_allclose(point.q[2:], 0.0, atol=1e-8)
    assert_allclose(utilities(market, compiled.copies(point.x)), [4.0, 4.0], rtol=1e-8)


def test_pm_example2_lies_in_the_family_of_equilibria() -> None:
    """u_1 = (ab 11, a 10, b 8), u_2 = u_3 = (11, 10, 2): additive with a taper per agent."""
    tapers = [
        Taper("first", [0, -7], agents=["agent1"]),
        Taper("second", [0, -1], agents=["agent2", "agent3"]),
    ]
    market = PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], 1, tapers=tapers)
    compiled, point = solved(market)
    x = 5.0 - utilities(market, compiled.copies(point.x))[1]
    assert abs(x) < 1e-7 or 5 / 9 - 1e-7 < x < 1 + 1e-7
    assert_allclose(point.q, [10 / (5 - x), 3 - 10 / (5 - x)], rtol=1e-7)
    assert_allclose(utilities(market, compiled.copies(point.x)), [8 + 3 * x / 5, 5 - x, 5 - x], rtol=1e-7)


def iid(n: int, n_goods: int, seed: int, capacity: int = 1) -> PseudoMarket:
    values = np.random.default_rng(seed).uniform(size=(n, n_goods))
    return PseudoMarket.from_arrays(values, capacity, quotas=ONE)


def test_folds_are_followed() -> None:
    compiled = compile_market(iid(40, 40, 2))
    trace = Trace()
    point = solve_price_path(compiled, reporter=trace)
    assert point.finished
    assert any(later > earlier for earlier, later in zip(trace.levels, trace.levels[1:], strict=False))
    certify(compiled, point)


def test_the_end_is_where_the_tolerance_says() -> None:
    compiled = compile_market(iid(20, 10, 0, capacity=2))
    rough, fine = (solve_price_path(compiled, tol=tol) for tol in (1e-3, 1e-9))
    assert rough.finished
    assert fine.finished
    assert rough.iterations < fine.iterations
    assert largest_product(compiled, fine) < 1e-5 < largest_product(compiled, rough) < 0.1


def test_same_seed_same_bytes_and_other_weights_another_road() -> None:
    compiled = compile_market(iid(30, 15, 3, capacity=2))
    first, again, other = (solve_price_path(compiled, seed=seed) for seed in (5, 5, 6))
    assert_array_equal(first.x, again.x)
    assert_array_equal(first.q, again.q)
    assert first.iterations != other.iterations or (first.q != other.q).any()
    certify(compiled, other)


def test_prices_of_another_point_are_a_start() -> None:
    compiled = compile_market(iid(30, 15, 4, capacity=2))
    point = solve_price_path(compiled)
    again = solve_price_path(compiled, start=point)
    assert again.finished
    certify(compiled, again)


def test_out_of_time_returns_the_best_point_so_far() -> None:
    compiled = compile_market(iid(30, 15, 4, capacity=2))
    point = solve_price_path(compiled, deadline=time.monotonic())
    assert not point.finished
    assert point.note == "time limit"
    assert point.x.shape == (compiled.n_pairs,)
    assert (point.x > 0).all()
    assert (point.q >= 0).all()


def test_too_few_steps_and_no_road_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlot.pseudomarket.pricepath.solve._MOST_FACTORIZATIONS", 10)
    compiled = compile_market(iid(30, 15, 4, capacity=2))
    point = solve_price_path(compiled)
    assert (point.finished, point.note) == (False, "step limit")


def test_someone_who_cannot_pay_for_her_minimum_is_said() -> None:
    """Agent 1 must have one of two goods that richer agents want as much."""
    market = PseudoMarket.from_arrays(
        np.ones((5, 2)),
        1,
        [0.1, 5.0, 5.0, 5.0, 5.0],
        quotas=[Quota("her minimum", min=1, max=2, agents=["agent1"]), Quota("one", max=2)],
    )
    compiled = compile_market(market)
    point = solve_price_path(compiled)
    assert not point.finished
    assert "hardly afford" in point.note


HOSTILE = {
    "one agent, one good": PseudoMarket.from_arrays([[1.0]], 1),
    "one good, many agents": PseudoMarket.from_arrays(np.ones((4, 1)), 1),
    "one agent, many goods": PseudoMarket.from_arrays([[3.0, 2.0, 1.0]], 1, quotas=ONE),
    "identical agents": PseudoMarket.from_arrays([[3.0, 2.0, 1.0]] * 6, 2, quotas=ONE),
    "ties everywhere": PseudoMarket.from_arrays(np.ones((6, 4)), 1, quotas=ONE),
    "twin goods": PseudoMarket.from_arrays([[3, 3, 1], [2, 2, 1], [1, 1, 2]], 1, quotas=ONE),
    "zero values": PseudoMarket.from_arrays([[0, 0, 1], [0, 0, 0], [1, 0, 0]], 1, quotas=ONE),
    "nothing of value": PseudoMarket.from_arrays(np.zeros((2, 2)), 1, quotas=ONE),
    "no supply": PseudoMarket.from_arrays([[1.0, 2.0], [2.0, 1.0]], [0, 1], quotas=ONE),
    "more than enough": PseudoMarket.from_arrays([[1.0, 2.0], [2.0, 1.0]], 9, quotas=ONE),
    "a good that nobody wants": PseudoMarket.from_arrays([[1, np.nan], [2, np.nan]], 1, quotas=ONE),
    "an agent who wants nothing": PseudoMarket.from_arrays([[1, 2], [np.nan, np.nan], [2, 2]], 1, quotas=ONE),
    "budgets": PseudoMarket.from_arrays([[3, 2], [3, 1], [1, 2]], 1, [1e-3, 1.0, 1e3], quotas=ONE),
    "values": PseudoMarket.from_arrays([[3e-9, 2e-9], [3e9, 1e9], [1, 2]], 1, quotas=ONE),
    "separate markets": PseudoMarket.from_arrays(
        [[1, 2, np.nan, np.nan], [2, 2, np.nan, np.nan], [np.nan, np.nan, 1, 3], [np.nan, np.nan, 2, 3]],
        1,
        quotas=ONE,
    ),
    "exactly one each": PseudoMarket.from_arrays(
        [[3, 2, 1], [3, 1, 2], [3, 2, 1]], 1, quotas=[Quota("one", min=1, max=1)]
    ),
    "nested limits": PseudoMarket.from_arrays(
        np.arange(1, 13).reshape(4, 3),
        2,
        quotas=ONE,
        limits=[Limit("pair", 2, ["good1", "good2"]), Limit("all", 3)],
    ),
    "a limit of nothing": PseudoMarket.from_arrays(
        np.arange(1, 13).reshape(4, 3), 2, quotas=ONE, limits=[Limit("closed", 0, ["good1"])]
    ),
    "equalities that add up": PseudoMarket.from_arrays(
        [[3, 2, 1, 2], [1, 2, 3, 1]],
        2,
        quotas=[
            Quota("left", ["good1", "good2"], min=1, max=1),
            Quota("right", ["good3", "good4"], min=1, max=1),
            Quota("both", min=2, max=2),
        ],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_market(name: str) -> None:
    solved(HOSTILE[name])


def real(name: str) -> PseudoMarket:
    if not (DATA / name).exists():
        pytest.skip(f"{DATA / name} is absent")
    from fairlot.io.problem import read_problem

    market = read_problem(DATA / name)
    assert isinstance(market, PseudoMarket)
    return market


@pytest.mark.parametrize("name", ["glasgow-1", "glasgow-2", "glasgow-3", "agh-2003", "ariel"])
def test_real_rankings_and_points(name: str) -> None:
    solved(real(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["umass-courses", "umass-slots", "reviews-2015"])
def test_real_courses_and_reviews(name: str) -> None:
    solved(real(name))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_iid_unit_demand(seed: int) -> None:
    solved(iid(100, 100, seed))
