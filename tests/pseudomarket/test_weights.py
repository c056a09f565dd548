"""Nash weights as a road of its own: it arrives in easy markets and never comes back empty-handed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.equilibrium import claim_of
from fairlot.pseudomarket.weights import search_weights


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
