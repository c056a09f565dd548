"""The residuals of the certificate against their definitions, bundle by bundle."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose

from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.testing import acceptable_bundles, best_use, pseudo_markets, unit_demand, utility_of_mean
from fairlot.verify.demand import best_affordable, open_trees
from fairlot.verify.envy import worst_envy
from fairlot.verify.equilibrium import verify_equilibrium


def random_lotteries(market: PseudoMarket, rng: np.random.Generator) -> np.ndarray | None:
    """Mix two acceptable bundles for every agent; None if somebody accepts none."""
    copies = np.zeros((market.n_agents, market.n_goods))
    for i in range(market.n_agents):
        bundles = acceptable_bundles(market, i, existing=True).copies
        if not len(bundles):
            return None
        share = rng.choice([0.25, 0.5, 1.0])
        mix = bundles[rng.integers(len(bundles), size=2)]
        copies[i] = share * mix[0] + (1 - share) * mix[1]
    return copies


@settings(max_examples=60, deadline=None)
@given(pseudo_markets(max_agents=3, max_goods=4), st.integers(0, 10**6))
def test_residuals_of_random_claims(market: PseudoMarket, seed: int) -> None:
    rng = np.random.default_rng(seed)
    copies = random_lotteries(market, rng)
    assume(copies is not None)
    rows = np.round(rng.exponential(0.4, market.n_goods + len(market.limits)), 2)
    rows[rng.random(len(rows)) < 0.4] = 0.0
    membership, bounds = market.supply_sets
    prices = membership.T @ rows
    shares = RandomAllocation(market.agents, market.goods, sp.csr_array(copies))
    found = verify_equilibrium(market, prices, shares, row_prices=rows)

    used = membership @ copies.sum(axis=0)
    cost, budgets = copies @ prices, market.budgets
    assert found["prices"].residual < 1e-15
    assert found["quotas"].residual < 1e-15
    over = np.max((used - bounds) / np.maximum(bounds, 1))
    assert_allclose(found["supply"].residual, max(over, 0), atol=1e-12)
    slack = (bounds - used) / np.maximum(bounds, 1)
    idle = np.max(np.minimum(slack, rows / budgets.mean()))
    assert_allclose(found["clearing"].residual, max(idle, 0), atol=1e-12)
    assert_allclose(found["over-spending"].residual, max(np.max(cost / budgets - 1), 0), atol=1e-12)

    demand = best_affordable(market, prices)
    utility = np.array([utility_of_mean(market, i, copies[i]) for i in range(market.n_agents)])
    # Who can afford nothing acceptable misses all of it.
    loss = np.where(np.isneginf(demand.value), np.inf, (demand.value - utility) / demand.scale)
    assert_allclose(found["utility gap"].residual, max(np.max(loss), 0), rtol=1e-6, atol=1e-6)
    if np.isfinite(demand.value).all():
        unspent = np.where(demand.satiated, 0, 1 - cost / budgets)
        assert_allclose(found["unspent money"].residual, max(np.max(unspent), 0), atol=1e-12)

    if np.ptp(budgets) == 0 and market.n_agents > 1:
        gains = [
            (best_use(market, i, copies[k]) - utility[i]) / demand.scale[i]
            for i in range(market.n_agents)
            for k in range(market.n_agents)
            if i != k
        ]
        assert_allclose(found["envy"].residual, max(0, *gains, 0), rtol=1e-6, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(pseudo_markets(max_agents=3, max_goods=4, limits=False, equal_budgets=True), st.integers(0, 10**6))
def test_envy_of_random_lotteries(market: PseudoMarket, seed: int) -> None:
    copies = random_lotteries(market, np.random.default_rng(seed))
    assume(copies is not None)
    utility = np.array([utility_of_mean(market, i, copies[i]) for i in range(market.n_agents)])
    envy, who, whom = worst_envy(
        market, open_trees(market), sp.csr_array(copies), utility, np.ones(market.n_agents)
    )
    slow = [
        best_use(market, i, copies[k]) - utility[i]
        for i in range(market.n_agents)
        for k in range(market.n_agents)
        if i != k
    ]
    assert_allclose(envy, max([0.0, *slow]), rtol=1e-7, atol=1e-7)
    assert (who < 0) == (envy == 0)
    if who >= 0:
        assert_allclose(best_use(market, who, copies[whom]) - utility[who], envy, rtol=1e-7, atol=1e-7)


def test_nobody_envies_a_richer_agent() -> None:
    market = PseudoMarket.from_arrays([[1.0], [1.0]], capacities=1, budgets=[1, 2])
    shares = RandomAllocation(market.agents, market.goods, sp.csr_array([[1 / 3], [2 / 3]]))
    assert verify_equilibrium(market, np.array([3.0]), shares).passed


def test_the_same_residuals_in_other_units() -> None:
    market = unit_demand(6, 4, seed=2)
    rng = np.random.default_rng(3)
    prices = rng.random(4)
    matrix = sp.csr_array(rng.random((6, 4)) / 4)
    shares = RandomAllocation(market.agents, market.goods, matrix)
    first = verify_equilibrium(market, prices, shares)
    scaled = PseudoMarket.from_arrays(
        market.values.toarray() * 1e6,
        market.capacities,
        1e-3,
        agents=market.agents,
        goods=market.goods,
        quotas=market.quotas,
    )
    second = verify_equilibrium(scaled, prices * 1e-3, shares)
    for one, other in zip(first.checks, second.checks, strict=True):
        assert_allclose(other.residual, one.residual, rtol=1e-9, atol=1e-12)
