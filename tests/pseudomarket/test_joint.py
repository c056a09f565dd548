"""The joint road: published numbers, hostile markets, and residuals recomputed from the market alone."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.shares import RandomAllocation
from fairlot.progress import NullReporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.joint import solve as joint
from fairlot.pseudomarket.joint import solve_joint
from fairlot.pseudomarket.joint.arclength import turn
from fairlot.pseudomarket.joint.smoothing import Effort, centre, descend
from fairlot.pseudomarket.joint.start import fair_copies, prices_of_money, rough_state
from fairlot.pseudomarket.joint.system import JointSystem
from fairlot.pseudomarket.polish import residual
from fairlot.verify.equilibrium import verify_equilibrium

ONE = [Quota("one", max=1)]


def complementarity(compiled: CompiledMarket, point: Point) -> float:
    """Largest violation of the system in ``compiled``, with loops over everything: a slow twin.

    A satiated agent's ``alpha`` is the price of money; her unspent money then costs her nothing.
    """
    price = compiled.rows.T @ point.q
    epsilon = prices_of_money(compiled)
    totals, sold = np.zeros(compiled.n_nodes), np.zeros(compiled.n_goods)
    spent = compiled.forced_matrix @ price
    worst = [max(0.0, *(-point.x)), max(0.0, *(-point.q)), max(0.0, *(-point.alpha))]
    for k in range(compiled.n_pairs):
        i, j, nodes = compiled.agent[k], compiled.good[k], [a for a in compiled.chain[k] if a >= 0]
        totals[nodes] += point.x[k]
        sold[j] += point.x[k]
        spent[i] += price[j] * point.x[k]
        gain = compiled.value[k] - point.alpha[i] * price[j] - sum(point.y[a] for a in nodes)
        room = compiled.cap[k] - point.x[k]
        worst += [min(point.x[k], max(-gain, 0.0)), -room]
        worst.append(min(room, max(gain, 0.0)) if compiled.capped[k] else gain)
    for a in range(compiled.n_nodes):
        over, y = totals[a] - compiled.upper[a], point.y[a]
        if np.isfinite(compiled.penalty[a]):
            worst += [-y, y - compiled.penalty[a]]
            worst += [min(y, max(-over, 0.0)), min(compiled.penalty[a] - y, max(over, 0.0))]
        else:
            worst += [over, compiled.lower[a] - totals[a]]
            worst += [min(max(y, 0.0), -over), min(max(-y, 0.0), totals[a] - compiled.lower[a])]
    for i in range(compiled.n_agents):
        left = compiled.budget[i] - spent[i]
        worst += [-left, min(max(left, 0.0), max(point.alpha[i] - epsilon[i], 0.0))]
    for spare, q in zip(compiled.supply - compiled.rows @ sold, point.q, strict=True):
        worst += [-spare, min(q, max(spare, 0.0))]
    return float(max(worst))


def claim(compiled: CompiledMarket, point: Point) -> tuple[np.ndarray, RandomAllocation]:
    market = compiled.market
    prices = np.maximum(compiled.rows.T @ point.q, 0.0) * compiled.budget_scale
    copies = compiled.copies(point.x)
    shares = sp.csr_array((copies, market.values.indices, market.values.indptr), shape=market.values.shape)
    return prices, RandomAllocation(market.agents, market.goods, shares)


def worst_check(compiled: CompiledMarket, point: Point) -> float:
    prices, shares = claim(compiled, point)
    row_prices = np.maximum(point.q, 0.0) * compiled.budget_scale
    certificate = verify_equilibrium(compiled.market, prices, shares, row_prices=row_prices)
    return max(check.residual for check in certificate.checks)


def solve(market: PseudoMarket, **options: object) -> tuple[CompiledMarket, Point]:
    compiled = compile_market(market)
    return compiled, solve_joint(compiled, **options)


def assert_equilibrium(market: PseudoMarket, **options: object) -> tuple[np.ndarray, np.ndarray]:
    """Solve, check in two independent ways, and return prices and utilities."""
    compiled, point = solve(market, **options)
    assert complementarity(compiled, point) < 1e-4
    assert worst_check(compiled, point) < 1e-5
    prices, _ = claim(compiled, point)
    return prices, utilities(market, compiled.copies(point.x))


def test_hylland_zeckhauser_numbers():
    market = PseudoMarket.from_arrays([[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, quotas=ONE)
    prices, won = assert_equilibrium(market)
    assert_allclose(prices, [2, 1, 0], atol=1e-6)
    assert_allclose(won, [50, 50, 80], atol=1e-5)


def test_hylland_zeckhauser_zero_prices():
    market = PseudoMarket.from_arrays([[5, 3, 2, 1], [5, 3, 2, 2]], 1, quotas=ONE)
    prices, won = assert_equilibrium(market)
    assert_allclose(prices[2:], 0, atol=1e-6)
    assert_allclose(won, [4, 4], atol=1e-5)


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize("seed", range(12))
def test_random_markets(seed, ties):
    assert_equilibrium(random_market(seed, ties=ties))


def test_identical_agents_share_alike():
    _, won = assert_equilibrium(PseudoMarket.from_arrays(np.tile([3.0, 2.0, 1.0], (4, 1)), 1, quotas=ONE))
    assert_allclose(won, np.full(4, 1.5), atol=1e-6)


def test_one_agent_takes_what_she_wants_for_what_she_has():
    prices, won = assert_equilibrium(PseudoMarket.from_arrays([[2.0, 1.0]], 1))
    assert_allclose(won, [3.0], atol=1e-6)
    assert prices.sum() <= 1.0 + 1e-6


def test_one_good_is_split_by_budgets():
    market = PseudoMarket.from_arrays([[1.0], [1.0], [1.0]], 1, [1.0, 2.0, 3.0])
    prices, won = assert_equilibrium(market)
    assert_allclose(prices, [6.0], rtol=1e-6)
    assert_allclose(won, [1 / 6, 2 / 6, 3 / 6], atol=1e-6)


def test_plenty_satiates_everybody_at_price_zero():
    prices, won = assert_equilibrium(PseudoMarket.from_arrays([[2.0, 1.0], [1.0, 2.0]], 2, quotas=ONE))
    assert_allclose(prices, 0, atol=1e-6)
    assert_allclose(won, [2, 2], atol=1e-6)


def test_a_satiated_agent_takes_the_cheapest_of_her_best():
    # Agent 1 likes both goods equally; agents 2 and 3 compete for the first.
    values = [[1.0, 1.0], [1.0, np.nan], [1.0, np.nan]]
    market = PseudoMarket.from_arrays(values, 1, quotas=ONE)
    prices, won = assert_equilibrium(market)
    assert_allclose(prices[0], 2, atol=1e-6)
    assert prices[1] <= 1
    assert_allclose(won, [1, 0.5, 0.5], atol=1e-5)


def test_agents_who_want_nothing_and_zero_values():
    values = np.array([[0.0, 0.0], [3.0, 0.0], [2.0, 1.0]])
    _, won = assert_equilibrium(PseudoMarket.from_arrays(values, 1, quotas=ONE))
    assert won[0] == 0.0


def test_budgets_differing_by_a_million():
    budgets = [1e-3, 1.0, 1e3]
    values = [[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 1.0, 2.0]]
    assert_equilibrium(PseudoMarket.from_arrays(values, 1, budgets, quotas=ONE))


def test_tapers_bend_demand():
    taper = Taper("second", [0.0, -1.5], ["a", "b"])
    market = PseudoMarket.from_arrays(
        [[3.0, 2.0, 1.0], [3.0, 2.5, 1.0]],
        1,
        goods=["a", "b", "c"],
        tapers=[taper],
        quotas=[Quota("load", max=2)],
    )
    assert_equilibrium(market)


def test_a_limit_carries_a_price_of_its_own():
    limit = Limit("wing", max=1, goods=["a", "b"])
    values = [[3.0, 2.0, 1.0], [2.0, 3.0, 1.0]]
    market = PseudoMarket.from_arrays(values, 1, goods=["a", "b", "c"], limits=[limit], quotas=ONE)
    compiled, point = solve(market)
    assert worst_check(compiled, point) < 1e-6
    assert point.q[3] > 0.1


def test_lower_quotas_that_use_up_all_supply():
    rng = np.random.default_rng(5)
    quota = [Quota("exactly two", min=2, max=2)]
    market = PseudoMarket.from_arrays(rng.uniform(0.1, 1, (6, 4)), 3, quotas=quota)
    assert_equilibrium(market)


def test_several_copies_for_one_agent():
    market = PseudoMarket.from_arrays(
        [[2.0, 1.0], [1.0, 2.0]], [3, 2], per_agent=2, quotas=[Quota("load", max=3)]
    )
    assert_equilibrium(market)


def test_another_seed_is_another_path_to_an_equilibrium():
    market = random_market(4, ties=True)
    assert_equilibrium(market, seed=1)


def test_same_seed_same_point():
    market = random_market(2)
    (_, first), (_, second) = solve(market, seed=3), solve(market, seed=3)
    assert (first.x == second.x).all()
    assert (first.q == second.q).all()


def test_a_start_close_by_is_used():
    market = random_market(1, ties=True)
    compiled, cold = solve(market)
    warm = solve_joint(compiled, start=cold)
    assert worst_check(compiled, warm) < 1e-6
    assert warm.iterations < cold.iterations


def test_a_start_far_off_does_no_harm():
    market = random_market(1, ties=True)
    compiled, cold = solve(market)
    wild = replace(cold, x=cold.x * 0, q=cold.q + 100.0, alpha=cold.alpha * 0, y=cold.y - 5.0)
    assert worst_check(compiled, solve_joint(compiled, start=wild)) < 1e-6


def test_a_deadline_in_the_past_is_no_error():
    _, point = solve(random_market(0), deadline=time.monotonic() - 1.0)
    assert not point.finished
    assert point.note == "time is up"
    assert np.isfinite(point.x).all()


def test_no_pairs_is_no_error():
    compiled, point = solve(PseudoMarket.from_arrays([[0.0]], 1))
    assert compiled.n_pairs == 0
    assert point.x.shape == (0,)


def test_prices_of_money_are_below_the_least_difference_an_agent_can_tell():
    values = [[10.0, 9.0, 5.0], [4.0, 4.0, 4.0]]
    compiled = compile_market(PseudoMarket.from_arrays(values, 1))
    assert_allclose(prices_of_money(compiled), [0.03, 0.3], rtol=1e-12)


def test_arclength_passes_a_fold_that_stops_the_descent():
    # i.i.d. values and unit demand: a market whose path turns back.
    values = np.random.default_rng(4).uniform(size=(100, 100))
    compiled = compile_market(PseudoMarket.from_arrays(values, 1, quotas=ONE))
    system = JointSystem(compiled, prices_of_money(compiled))
    effort = Effort(None, NullReporter())
    mu = float(fair_copies(compiled).mean())
    with np.errstate(all="ignore"):
        start = centre(system, rough_state(system, mu), mu, effort, patient=True)
        assert start is not None
        stuck = descend(system, start, 1e-9, effort)[-1][1]
        anchor = centre(system, start.state, mu, effort, size=1e-2)
        assert anchor is not None
        beyond = turn(system, anchor, 0.5 * stuck, effort)
    assert stuck > 1e-8
    assert beyond is not None
    assert beyond.mu < 0.5 * stuck


def test_a_price_of_money_that_keeps_agents_from_their_best_is_lowered(monkeypatch):
    # Agent 1 can afford the good she likes best, at price 1; at ε = 0.5 she saves the money.
    values = [[1.0, 0.9], [1.0, np.nan], [1.0, np.nan]]
    compiled = compile_market(PseudoMarket.from_arrays(values, [2, 1], [2.0, 0.5, 0.5], quotas=ONE))
    monkeypatch.setattr(joint, "prices_of_money", lambda compiled: np.full(compiled.n_agents, 0.5))
    assert worst_check(compiled, solve_joint(compiled)) < 1e-6
    monkeypatch.setattr(joint, "MONEY_ROUNDS", 1)
    stopped = solve_joint(compiled)
    assert worst_check(compiled, stopped) > 0.01
    assert stopped.note == "satiated agents miss their greatest utility"


@pytest.mark.parametrize("most", [0, 1, 7, 11])
def test_a_limit_on_factorisations_is_kept(most):
    compiled = compile_market(random_market(3))
    point = solve_joint(compiled, max_iter=most)
    assert point.iterations <= most
    assert not point.finished
    assert point.note == "no factorisations are left"


def test_deep_trees():
    # Sets within sets within sets, nine deep, with bounds of both kinds on the way.
    rng = np.random.default_rng(3)
    goods = [f"g{j}" for j in range(20)]
    quotas = [Quota(f"first {k}", goods[:k], max=max(1, k // 2 - 1)) for k in range(2, 19, 2)]
    quotas += [Quota("load", max=9), Quota("some of them", goods[:18], min=2)]
    tapers = [Taper("two", [0.0, 0.0, -0.1], goods[:9])]
    values = rng.uniform(0.1, 1.0, (12, 20))
    assert_equilibrium(
        PseudoMarket.from_arrays(values, 4, goods=goods, quotas=quotas, tapers=tapers), tol=1e-9
    )


def test_polishing_at_the_end_leaves_rounding_only():
    compiled, point = solve(random_market(5))
    assert point.finished
    assert residual(compiled, point) < 1e-12
