"""What is certified is a strong equilibrium by the definition, and efficient, bundle by bundle."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, assume, given, settings
from numpy.testing import assert_allclose
from scipy.optimize import linprog

from fairlot.certificate import Status
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import acceptable_bundles, best_affordable_lottery, pseudo_markets, utility_of_mean


def room_for_improvement(market: PseudoMarket, utility: np.ndarray) -> float:
    """Maximise the sum of utilities over all random allocations that make nobody worse off."""
    membership, bounds = market.supply_sets
    bundles = [acceptable_bundles(market, i, existing=True) for i in range(market.n_agents)]
    used = np.hstack([membership @ b.copies.T for b in bundles])
    worth = sp.block_diag([b.utility[None, :] for b in bundles])
    one = sp.block_diag([np.ones((1, len(b.utility))) for b in bundles])
    found = linprog(
        -np.concatenate([b.utility for b in bundles]),
        A_ub=sp.vstack([sp.csr_array(used), -worth]),
        b_ub=np.concatenate([bounds, -utility + 1e-9 * (1 + np.abs(utility))]),
        A_eq=one,
        b_eq=np.ones(market.n_agents),
        method="highs",
    )
    assert found.status == 0
    return -float(found.fun) - utility.sum()


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
@given(pseudo_markets(max_agents=3, max_goods=4))
def test_certified_means_strong_equilibrium(market: PseudoMarket) -> None:
    found = solve_equilibrium(market, time_limit=1.0)
    assume(found.status == Status.CERTIFIED)
    assert found.prices is not None
    assert found.row_prices is not None
    assert found.shares is not None
    x, p, q = found.shares.to_array(), found.prices, found.row_prices
    membership, bounds = market.supply_sets
    utility = np.array([utility_of_mean(market, i, x[i]) for i in range(market.n_agents)])
    assert_allclose(membership.T @ q, p, rtol=1e-9, atol=1e-9)
    left = bounds - membership @ x.sum(axis=0)
    assert left.min() > -1e-8
    assert (np.minimum(left, q) < 1e-8).all()
    for i in range(market.n_agents):
        best = best_affordable_lottery(market, i, p)
        size = 1 + abs(best.utility)
        assert utility[i] == pytest.approx(best.utility, abs=1e-6 * size)
        assert x[i] @ p == pytest.approx(best.cost, abs=1e-7 * (1 + market.budgets[i]))
        assert found.satiated[i] == best.satiated
    assert room_for_improvement(market, utility) < 1e-5 * (1 + np.abs(utility).sum())
