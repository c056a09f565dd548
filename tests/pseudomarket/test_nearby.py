"""Earlier equilibria as starts: duals from prices and copies alone, and what a small change costs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.certificate import Status
from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.nearby import node_duals, point_near
from fairlot.pseudomarket.polish import residual
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import course_market


def without(market: PseudoMarket, gone: int) -> PseudoMarket:
    """The market after one agent has dropped out."""
    stays = np.arange(market.n_agents) != gone

    def cut(bound):
        return [b for b, stay in zip(bound, stays, strict=True) if stay] if isinstance(bound, list) else bound

    return replace(
        market,
        agents=tuple(agent for agent, stay in zip(market.agents, stays, strict=True) if stay),
        budgets=market.budgets[stays],
        values=market.values[stays],
        quotas=tuple(replace(quota, min=cut(quota.min), max=cut(quota.max)) for quota in market.quotas),
    )


def with_seats(market: PseudoMarket, good: int, more: int) -> PseudoMarket:
    capacities = market.capacities.copy()
    capacities[good] += more
    return replace(market, capacities=capacities)


@pytest.mark.parametrize("seed", range(16))
def test_an_equilibrium_of_the_same_market_is_a_point_without_residual(seed):
    market = random_market(seed)
    found = solve_equilibrium(market)
    compiled = compile_market(market)
    assert residual(compiled, point_near(compiled, found)) < 1e-9


def test_duals_of_a_tree_by_hand():
    # Load 3 full, department {a, b, c} at its upper bound of 2, {d, e} at its lower bound of 1.
    market = PseudoMarket.from_arrays(
        [[9.0, 8.0, 7.0, 2.0, 1.0, 4.0]],
        1,
        goods=list("abcdef"),
        quotas=[
            Quota("load", max=3),
            Quota("first", ["a", "b", "c"], max=2),
            Quota("second", ["d", "e"], min=1),
        ],
    )
    compiled = compile_market(market)
    x = np.array([1.0, 1.0, 0.0, 1.0, 0.0, 0.0])
    duals = node_duals(compiled, x, compiled.value * 9.0)
    # θ: load at least 4, as f stays out, and at most 8; first between 7 and 8; second between 1 and 2.
    load, first, second = (np.flatnonzero(compiled.upper == h)[0] for h in (3.0, 2.0, np.inf))
    assert_allclose(duals[load], 6.0)
    assert_allclose(duals[load] + duals[first], 7.5)
    assert_allclose(duals[load] + duals[second], 1.5)


@pytest.mark.parametrize(("copies", "dual"), [([1.0, 0.0], 0.2), ([1.0, 1.0], 0.5), ([0.0, 0.0], 0.0)])
def test_duals_at_and_above_a_breakpoint(copies, dual):
    market = PseudoMarket.from_arrays([[1.0, 1.0]], 1, tapers=[Taper("second", [0.0, -0.5])])
    compiled = compile_market(market)
    gain = np.array([0.4, 0.0]) if dual == 0.2 else np.full(2, 0.6 if dual else -0.1)
    assert_allclose(node_duals(compiled, np.array(copies), gain), [dual])


def test_a_change_that_touches_nothing_scarce_costs_no_factorisation():
    market = course_market(60, 12, seed=0, ratio=1.3, departments=3)
    found = solve_equilibrium(market)
    spare = int(np.flatnonzero(found.prices == 0.0)[0])
    again = solve_equilibrium(with_seats(market, spare, 1), start=found)
    assert again.status is Status.CERTIFIED
    assert again.stats.iterations == 0
    assert again.stats.method == "start"


def test_a_student_drops_out_or_a_seat_is_added():
    for seed in range(3):
        market = course_market(80, 16, seed=seed, ratio=0.8, departments=4)
        found = solve_equilibrium(market)
        scarce = int(np.argmax(found.prices))
        for changed in (without(market, 7), with_seats(market, scarce, 1)):
            again = solve_equilibrium(changed, start=found)
            assert again.status is Status.CERTIFIED
            assert again.stats.method == "pivots"


def test_new_agents_and_goods_begin_with_nothing():
    market = course_market(40, 12, seed=1, departments=3)
    found = solve_equilibrium(without(market, 3))
    again = solve_equilibrium(market, start=found)
    assert again.status is Status.CERTIFIED


def test_a_result_without_prices_is_no_start():
    crowded = PseudoMarket.from_arrays(np.ones((3, 1)), 2, quotas=[Quota("one", min=1)])
    roomy = PseudoMarket.from_arrays(np.ones((3, 1)), 3, quotas=[Quota("one", min=1)])
    assert point_near(compile_market(roomy), solve_equilibrium(crowded)) is None
    assert solve_equilibrium(roomy, start=solve_equilibrium(crowded)).status is Status.CERTIFIED
