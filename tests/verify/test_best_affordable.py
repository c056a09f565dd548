"""The best affordable utility against enumeration of all bundles."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fairlot.model.constraints import Quota, Taper, by_group
from fairlot.model.market import PseudoMarket
from fairlot.testing import acceptable_bundles, best_affordable_lottery, course_market, pseudo_markets
from fairlot.verify.demand import best_affordable

ONE = (Quota("one", max=1),)
PRICES = st.one_of(st.sampled_from([0.0, 0.5, 1.0, 2.0]), st.integers(0, 500).map(lambda k: k / 100))


@settings(max_examples=120, deadline=None)
@given(pseudo_markets(max_agents=2), st.lists(PRICES, min_size=5, max_size=5))
def test_agrees_with_enumeration(market: PseudoMarket, prices: list[float]) -> None:
    p = np.array(prices[: market.n_goods])
    demand = best_affordable(market, p)
    for i in range(market.n_agents):
        slow = best_affordable_lottery(market, i, p)
        size = demand.scale[i]
        assert_allclose(demand.value[i], slow.utility, rtol=1e-12, atol=1e-11 * size)
        if np.isfinite(slow.utility):
            assert demand.satiated[i] == slow.satiated
            bundles = acceptable_bundles(market, i, existing=True)
            cost = bundles.copies @ p
            assert_allclose(demand.floor_cost[i], cost.min(), rtol=1e-12, atol=1e-12)
            assert_allclose(demand.peak[i], bundles.utility.max(), rtol=1e-12, atol=1e-11 * size)
            alpha = demand.money_value[i]
            best = (bundles.utility - alpha * cost).max()
            assert_allclose(demand.surplus[i], best, rtol=1e-10, atol=1e-11 * size)
        if slow.satiated:
            assert_allclose(demand.peak_cost[i], slow.cost, rtol=1e-12, atol=1e-12)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.2, 3.0))
def test_agrees_with_a_linear_program_on_courses(seed: int, dear: float) -> None:
    """The concave closure over the agent's polytope, written out as rows and solved by HiGHS."""
    from scipy.optimize import linprog

    market = course_market(3, 12, seed, departments=4, load=4, unequal_budgets=True)
    p = np.random.default_rng(seed).exponential(dear / 4, market.n_goods)
    demand = best_affordable(market, p)
    for i in range(market.n_agents):
        rows, bounds = [p], [market.budgets[i]]
        for bound in market.bound_sets:
            inside = np.isin(np.arange(market.n_goods), bound.goods).astype(float)
            rows += [inside, -inside]
            bounds += [bound.upper[i], -bound.lower[i]]
        found = linprog(-market.values.toarray()[i], A_ub=np.array(rows), b_ub=bounds, bounds=(0, 1))
        if found.status == 2:
            assert demand.value[i] == -np.inf
        else:
            assert_allclose(demand.value[i], -found.fun, rtol=1e-8, atol=1e-9)


def test_mixes_the_best_good_with_a_cheaper_one() -> None:
    market = PseudoMarket.from_arrays([[100, 20, 0], [100, 80, 0]], capacities=1, quotas=ONE)
    demand = best_affordable(market, np.array([2.0, 1.0, 0.0]))
    assert_allclose(demand.value, [50.0, 80.0], rtol=1e-15)
    assert_allclose(demand.money_value[0], 50.0, rtol=1e-15)
    assert not demand.satiated.any()


def test_satiated_agents_take_the_cheapest_of_their_best_bundles() -> None:
    market = PseudoMarket.from_arrays([[5, 5, 5, 1]], capacities=1, quotas=ONE)
    demand = best_affordable(market, np.array([0.7, 0.3, 0.5, 0.0]))
    assert demand.satiated.tolist() == [True]
    assert_allclose(demand.peak_cost, [0.3], rtol=1e-15)


def test_ties_that_only_rounding_breaks_are_ties() -> None:
    # Under the taper the second good of the pair is worth 0.3 - 0.1, the lone one 0.2.
    market = PseudoMarket.from_arrays(
        [[1.0, 0.3, 0.2]],
        capacities=1,
        goods=["a", "b", "c"],
        quotas=[Quota("two", max=2)],
        tapers=[Taper("variety", (0.0, -0.1), ("a", "b"))],
    )
    assert 0.3 - 0.1 != 0.2
    for p in ([0.0, 0.1, 0.5], [0.0, 0.5, 0.1]):
        assert_allclose(best_affordable(market, np.array(p)).peak_cost, [0.1], rtol=1e-12)


def test_minimums_may_be_out_of_reach() -> None:
    market = PseudoMarket.from_arrays(
        [[1.0, 2.0], [1.0, np.nan]], capacities=1, quotas=[Quota("two", min=2, max=2)]
    )
    demand = best_affordable(market, np.array([0.6, 0.6]))
    assert demand.value[0] == -np.inf
    assert_allclose(demand.floor_cost[0], 1.2, rtol=1e-15)
    assert np.isnan(demand.value[1])


def test_goods_without_supply_do_not_exist() -> None:
    market = PseudoMarket.from_arrays([[10.0, 1.0]], capacities=[0, 1])
    assert_allclose(best_affordable(market, np.zeros(2)).value, [1.0], rtol=0)


def test_nobody_counts_on_more_copies_than_there_are() -> None:
    market = PseudoMarket.from_arrays([[1.0]], capacities=2, per_agent=5)
    assert_allclose(best_affordable(market, np.zeros(1)).value, [2.0], rtol=0)


@pytest.mark.parametrize("spread", [1e-9, 1e9])
def test_values_of_very_different_size_count(spread: float) -> None:
    market = PseudoMarket.from_arrays([[1.0, spread]], capacities=1)
    demand = best_affordable(market, np.array([0.25, 0.5]))
    assert demand.satiated.tolist() == [True]
    assert_allclose(demand.peak_cost, [0.75], rtol=1e-15)


def test_many_small_groups() -> None:
    groups = {f"g{j}": str(j // 2) for j in range(200)}
    quotas = [Quota("load", max=7), *by_group(Quota("one a course", max=1), groups)]
    rng = np.random.default_rng(0)
    values = rng.random((1, 200))
    market = PseudoMarket.from_arrays(values, capacities=1, goods=list(groups), quotas=quotas)
    best = np.sort(values.reshape(100, 2).max(axis=1))[-7:]
    assert_allclose(best_affordable(market, np.zeros(200)).peak, [best.sum()], rtol=1e-14)
