"""Several equilibria: against a sweep over all prices, exact, of markets with one free price."""

from __future__ import annotations

import dataclasses
import time
from fractions import Fraction

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import fairlot as fl
from fairlot.certificate import Status
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.enumeration import find_equilibria

STEPS = 240


def first_good(values: list[int], prices: tuple[Fraction, ...]) -> tuple[Fraction, Fraction]:
    """Least and most of the first good in the cheapest of an agent's best lotteries with budget 1."""
    worth, cost = [*map(Fraction, values), Fraction(0)], [*prices, Fraction(0)]
    mixes = []
    for cheap in (k for k, c in enumerate(cost) if c <= 1):
        mixes.append((worth[cheap], -cost[cheap], Fraction(cheap == 0)))
        for dear in (k for k, c in enumerate(cost) if c > 1):
            t = (1 - cost[cheap]) / (cost[dear] - cost[cheap])
            mixes.append(
                (
                    (1 - t) * worth[cheap] + t * worth[dear],
                    -Fraction(1),
                    (1 - t) * (cheap == 0) + t * (dear == 0),
                )
            )
    best = max(mix[:2] for mix in mixes)
    amounts = [mix[2] for mix in mixes if mix[:2] == best]
    return min(amounts), max(amounts)


def swept(values: list[list[int]]) -> list[tuple[float, float]]:
    """Intervals of the first good's price that hold an equilibrium of three agents, one unit each.

    Nobody wants the third good, and everybody spends all her money on the other two: p = (a, 3 - a, 0).
    """
    found, before = [], 0
    for k in range(1, STEPS):
        price = Fraction(3 * k, STEPS)
        ranges = [first_good(v, (price, 3 - price, Fraction(0))) for v in values]
        least, most = sum(r[0] for r in ranges) - 1, sum(r[1] for r in ranges) - 1
        sign = 0 if least <= 0 <= most else (1 if least > 0 else -1)
        step = 3 / STEPS
        if sign == 0:
            found.append((float(price) - 1e-6, float(price) + 1e-6))
        elif before == -sign:
            found.append((float(price) - step, float(price)))
        before = sign
    return found


MARKETS = [
    [[100, 20, 0], [100, 20, 0], [100, 80, 0]],
    [[16, 5, 0], [8, 6, 0], [9, 2, 0]],
    [[12, 8, 0], [18, 8, 0], [17, 2, 0]],
]


@pytest.mark.parametrize("values", MARKETS)
def test_every_equilibrium_of_the_sweep_is_found_and_no_other(values: list[list[int]]) -> None:
    known = swept(values)
    assert known
    market = PseudoMarket.from_arrays(values, 1, quotas=[fl.Quota("one", max=1)])
    found = find_equilibria(market, n_starts=12)
    assert found.status is Status.CERTIFIED
    assert sum(found.counts) <= found.n_starts == 12
    prices = sorted(float(equilibrium.prices[0]) for equilibrium in found)
    assert all(equilibrium.certificate.passed for equilibrium in found)
    assert len(prices) == len(known)
    assert all(low <= price <= high for price, (low, high) in zip(prices, known, strict=True))


def test_hylland_zeckhauser_has_two() -> None:
    market = PseudoMarket.from_arrays(MARKETS[0], 1, quotas=[fl.Quota("one", max=1)])
    found = fl.find_equilibria(market)
    utilities = found.utilities()
    assert utilities.shape == (2, 3)
    order = utilities[:, 0].argsort()
    assert_allclose(utilities[order], [[40, 40, 85], [50, 50, 80]], rtol=1e-9)
    again = fl.find_equilibria(market)
    for first, second in zip(found, again, strict=True):
        assert_array_equal(first.prices, second.prices)


def test_stretched_prices_are_no_other_equilibrium() -> None:
    """Everything is scarce and everybody holds one thing: prices 1 + γ(p - 1) support the same shares."""
    market = PseudoMarket.from_arrays([[3.0, 1.0], [3.0, 2.0]], 1, quotas=[fl.Quota("one", min=1, max=1)])
    found = fl.find_equilibria(market, n_starts=9)
    assert len(found) == 1
    assert sum(found.counts) >= 6


def test_infeasible_out_of_time_and_bad_options() -> None:
    short = PseudoMarket.from_arrays([[1.0], [1.0]], 1, quotas=[fl.Quota("one", min=1)])
    found = fl.find_equilibria(short)
    assert found.status is Status.INFEASIBLE
    assert found.infeasibility is not None
    assert found.utilities().shape == (0, 2)
    market = PseudoMarket.from_arrays(MARKETS[0], 1, quotas=[fl.Quota("one", max=1)])
    began = time.monotonic()
    late = fl.find_equilibria(market, n_starts=100_000, time_limit=0.5)
    assert late.status is Status.TIME_LIMIT
    assert late.n_starts < 100_000
    assert time.monotonic() - began < 30
    with pytest.raises(ValueError, match="n_starts"):
        fl.find_equilibria(market, n_starts=0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        late.counts = ()


def test_a_continuum_of_prices_shows_as_several() -> None:
    """Agent 3 is satiated with the second good, whose price may be anything up to her budget."""
    market = PseudoMarket.from_arrays([[10, 3, 0], [9, 4, 0], [3, 11, 0]], 1, quotas=[fl.Quota("one", max=1)])
    found = fl.find_equilibria(market, n_starts=6)
    assert_allclose(found.utilities(), np.tile([5.0, 4.5, 11.0], (len(found), 1)), rtol=1e-9)
    for equilibrium in found:
        assert equilibrium.prices is not None
        assert_allclose(equilibrium.prices[[0, 2]], [2.0, 0.0], atol=1e-9)
        assert equilibrium.prices[1] <= 1.0 + 1e-9


def test_shapes_of_results() -> None:
    values = np.random.default_rng(0).random((6, 4))
    found = fl.find_equilibria(
        PseudoMarket.from_arrays(values, 2, quotas=[fl.Quota("one", max=1)]), n_starts=3
    )
    assert len(found) == len(found.equilibria) == len(found.counts) >= 1
