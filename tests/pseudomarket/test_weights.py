"""Nash weights as a road of its own: it arrives in easy markets and never comes back empty-handed."""

from __future__ import annotations

import dataclasses
import time

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.equilibrium import claim_of
from fairlot.pseudomarket.weights import _Search, search_weights
from fairlot.verify.equilibrium import verify_equilibrium


def test_it_finds_equilibrium_prices():
    # Fisher market without quotas: agent i's spending is her weight, so that b = w at once.
    market = PseudoMarket.from_arrays([[2.0, 1.0], [1.0, 2.0], [1.0, 1.0]], 1, [1.0, 1.0, 2.0])
    point = search_weights(compile_market(market))
    assert point.finished
    prices = point.q * 4 / 3
    assert_allclose(prices.sum(), 4.0, atol=1e-7)
    assert_allclose(prices, [2.0, 2.0], atol=1e-6)


def test_unit_demand():
    one = Quota("one", max=1)
    market = PseudoMarket.from_arrays([[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, quotas=[one])
    compiled = compile_market(market)
    point = search_weights(compiled)
    claim = claim_of(compiled, point, "nash", 1e-5)
    assert claim.certificate.passed


@pytest.mark.parametrize("seed", range(10))
def test_every_end_is_feasible_clears_and_is_an_equilibrium_for_what_it_spends(seed):
    market = random_market(seed)
    compiled = compile_market(market)
    point = search_weights(compiled, deadline=time.monotonic() + 0.05 * seed, max_programs=20)
    claim = claim_of(compiled, point, "nash", 1e-9)
    for name in ("quotas", "supply", "clearing"):
        assert claim.certificate[name].residual <= 1e-7
    spent = np.asarray(claim.shares.matrix @ claim.prices)
    pays = spent > 1e-3
    assert pays.any() or (claim.prices < 1e-6).all()


@pytest.mark.parametrize("seed", range(4))
def test_response_of_spending_matches_differences(seed):
    compiled = compile_market(random_market(seed, lower=False))
    search, rng = _Search(compiled), np.random.default_rng(seed)
    weights = 2.0 * compiled.budget * np.exp(0.1 * rng.standard_normal(compiled.n_agents))
    state, _, solved = search.program.solve(weights, 1e-4)
    assert solved
    change, h = rng.standard_normal(compiled.n_agents), 1e-5
    spent = []
    for side in (h, -h):
        moved, _, solved = search.program.solve(weights * np.exp(side * change), 1e-4)
        assert solved
        spent.append(search.program.cost(moved.x, moved.q))
    found = search.program.response(state).matvec(change)
    assert_allclose(found, (spent[0] - spent[1]) / (2 * h), atol=2e-2 * np.abs(found).max())


@pytest.mark.parametrize("seed", range(6))
def test_what_it_returns_is_an_equilibrium_for_what_it_spends(seed):
    """Certified for the budgets p · x instead of the agents' own, whenever the search was cut off."""
    market = random_market(seed, lower=False, tapers=False)
    compiled = compile_market(market)
    point = search_weights(compiled, max_programs=3)
    claim = claim_of(compiled, point, "nash", 1e-9)
    q = np.where(claim.row_prices > 1e-7, claim.row_prices, 0.0)  # what the last μ leaves of a price of 0
    prices = np.asarray(compiled.rows.T @ q)
    spent = np.asarray(claim.shares.matrix @ prices)
    told = dataclasses.replace(market, budgets=np.maximum(spent, 1e-4))
    certificate = verify_equilibrium(told, prices, claim.shares, row_prices=q, tol=1e-4)
    assert certificate.passed, [check for check in certificate.checks if not check.passed]


def test_limits_are_kept():
    compiled = compile_market(random_market(2))
    point = search_weights(compiled, max_iter=20)
    assert point.iterations < 150  # the programs under way are finished, and the last is made exact
    late = search_weights(compiled, deadline=time.monotonic())
    assert late.x.shape == (compiled.n_pairs,)
