"""A certificate put together from parts: the whole one's, envy told by its bound."""

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose

from fairlot.model.constraints import Limit, Quota
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.pseudomarket.sharded import split_market
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import course_market
from fairlot.verify.equilibrium import REQUIRED, verify_equilibrium
from fairlot.verify.parts import combine_parts, examine_part

ONE = (Quota("one", max=1),)


def certificates(market, prices, copies, row_prices=None, n_parts=3):
    prices = np.array(prices, dtype=float)
    rows = None if row_prices is None else np.array(row_prices, dtype=float)
    matrix = sp.csr_array(np.array(copies, dtype=float))
    shares = RandomAllocation(market.agents, market.goods, matrix)
    whole = verify_equilibrium(market, prices, shares, row_prices=rows)
    findings, done = [], 0
    for part in split_market(market, n_parts):
        mine = RandomAllocation(part.agents, part.goods, matrix[np.arange(done, done + part.n_agents)])
        findings.append(examine_part(part, prices, mine, row_prices=rows))
        done += part.n_agents
    money = float(market.budgets.mean())
    return whole, combine_parts(market, prices, findings, money=money, row_prices=rows)


def hylland_zeckhauser(budgets=1.0, quotas=ONE, limits=()):
    values = [[100, 20, 0], [100, 20, 0], [100, 80, 0]]
    return PseudoMarket.from_arrays(values, 1, budgets, quotas=quotas, limits=limits)


PRICES, SHARES = [2.0, 1.0, 0.0], [[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1, 0]]

PLANTED = {
    "nothing": (hylland_zeckhauser(), PRICES, SHARES, None),
    "prices": (hylland_zeckhauser(limits=[Limit("all", 3)]), PRICES, SHARES, [2.0, 0.5, 0, 0]),
    "negative": (hylland_zeckhauser(), [2.0, 1.0, -1e-6], SHARES, None),
    "quotas": (hylland_zeckhauser(), PRICES, [[0.5, 0, 0.5], [0.5, 0, 0.6], [0, 1, 0]], None),
    "supply": (hylland_zeckhauser(), PRICES, [[0.5, 0, 0.5], [0.5, 0, 0.5], [0.1, 1, 0]], None),
    "clearing": (hylland_zeckhauser(), PRICES, [[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 0.9, 0]], None),
    "over-spending": (hylland_zeckhauser([0.9, 1, 1]), PRICES, SHARES, None),
    "unspent": (hylland_zeckhauser([1.1, 1, 1]), PRICES, SHARES, None),
    "cheapness": (hylland_zeckhauser(), [2.0, 1.0, 0.5], SHARES, None),
    "nan": (hylland_zeckhauser(), [2.0, np.nan, 0.0], SHARES, None),
    "nan share": (hylland_zeckhauser(), PRICES, [[0.5, 0, 0.5], [0.5, 0, np.nan], [0, 1, 0]], None),
    "envy": (hylland_zeckhauser(), PRICES, [[0.9, 0, 0.1], [0.1, 0, 0.9], [0, 1, 0]], None),
}


@pytest.mark.parametrize("name", PLANTED)
def test_parts_find_what_the_whole_finds(name):
    whole, parts = certificates(*PLANTED[name])
    assert parts.required == REQUIRED
    assert parts.passed == whole.passed == (name == "nothing")
    for check in whole.checks:
        mine = parts[check.name]
        if check.name == "envy":
            assert not mine.residual < check.residual
        else:
            assert_allclose(mine.residual, check.residual, rtol=1e-12, atol=1e-14)
            assert mine.witness == check.witness or check.residual < 1e-12
    assert {check.name for check in whole.failed} <= {check.name for check in parts.failed}


@pytest.mark.parametrize("seed", range(3))
def test_the_bound_on_envy_holds_and_is_tight_in_equilibrium(seed):
    market = course_market(40, 8, seed, 0.9, departments=2, unequal_budgets=seed == 2)
    found = solve_equilibrium(market)
    assert found.status.value == "certified"
    shares = found.shares.matrix.toarray()
    whole, parts = certificates(market, found.prices, shares, found.row_prices, 4)
    assert whole.passed
    assert parts.passed
    shuffled = shares[np.random.default_rng(seed).permutation(len(shares))]
    whole, parts = certificates(market, found.prices, shuffled, found.row_prices, 4)
    assert parts["envy"].residual >= whole["envy"].residual - 1e-12
