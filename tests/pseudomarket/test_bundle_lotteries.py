"""Lotteries of road C: column generation against the listed one; exact programs against enumeration."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fairlot.certificate import Status
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import Table
from fairlot.pseudomarket.bundles.lotteries import column_lottery
from fairlot.pseudomarket.bundles.polynomials import Ends, nonnegative_ranges, roots, through, value
from fairlot.pseudomarket.bundles.rational import (
    UndecidedError,
    minimise,
    nonnegative_solution,
    solve_system,
)
from fairlot.pseudomarket.bundles.road import travel
from fairlot.pseudomarket.bundles.solve import solve_economy
from fairlot.testing.economies import FAMILIES, random_economy
from fairlot.verify.economies import verify_walrasian

F = Fraction


@pytest.mark.parametrize("seed", range(6))
def test_column_generation_keeps_the_shares_and_demands(seed: int) -> None:
    economy = random_economy(4, 3, seed)
    point = travel(economy).point
    assert point is not None
    lottery = column_lottery(economy, point)
    assert lottery is not None
    expected = np.zeros((3, 4))
    for row, mine in zip(expected, point.consumptions, strict=True):
        for mask, share in mine.items():
            row += share * np.array([mask >> j & 1 for j in range(4)])
    assert_allclose(np.array(lottery.shares(4), dtype=float), expected, rtol=0, atol=1e-9)
    assert verify_walrasian(
        economy, point.prices(economy), lottery, limit_prices=point.limit_prices, tol=1e-9
    ).passed


def test_column_generation_refuses_what_is_not_concave() -> None:
    # Example 1's utility: the expected shares of a point of the columns are no mean of demanded bundles.
    pair = Table(tuple(2 if mask.bit_count() >= 2 else 0 for mask in range(8)))
    economy = FiatEconomy((pair, pair), (1, 1))
    point = travel(economy).point
    assert point is not None
    lottery = column_lottery(economy, point)
    assert lottery is None or not verify_walrasian(economy, point.prices(economy), lottery, tol=1e-9).passed


def test_economies_too_large_to_list_by_oracles_only() -> None:
    rg = random.Random(4)
    names = ["unit demand", "uniform", "laminar", "additive", "cardinality"]
    economy = FiatEconomy(
        tuple(FAMILIES[rg.choice(names)](17, rg) for _ in range(5)), tuple(rg.randint(1, 3) for _ in range(5))
    )
    found = solve_economy(economy, method="bundles")
    assert found.status is Status.CERTIFIED
    assert found.stats.parameters["columns"] < 5 * 200


# -- linear algebra and programs in fractions


def test_systems_in_fractions() -> None:
    rg = random.Random(3)
    for _ in range(40):
        m, n = rg.randint(1, 4), rg.randint(1, 5)
        rows = [[F(rg.randint(-3, 3), rg.randint(1, 3)) for _ in range(n)] for _ in range(m)]
        right = [F(rg.randint(-3, 3)) for _ in range(m)]
        found = solve_system(rows, right, n)
        floats = np.array(rows, dtype=float)
        rank = np.linalg.matrix_rank(floats)
        solvable = np.linalg.matrix_rank(np.column_stack([floats, np.array(right, dtype=float)])) == rank
        assert (found is not None) == solvable
        if found is None:
            continue
        assert len(found.directions) == n - rank
        for row, b in zip(rows, right, strict=True):
            assert sum(a * x for a, x in zip(row, found.point, strict=True)) == b
            for direction in found.directions:
                assert sum(a * x for a, x in zip(row, direction, strict=True)) == 0


def _best_basis(cost: list[Fraction], rows: list[list[Fraction]], right: list[Fraction]) -> Fraction | None:
    """Look at every basic solution."""
    best = None
    for columns in combinations(range(len(cost)), len(rows)):
        solved = solve_system([[row[k] for k in columns] for row in rows], right, len(rows))
        if solved is None or solved.directions or min(solved.point) < 0:
            continue
        here = sum((cost[k] * x for k, x in zip(columns, solved.point, strict=True)), F(0))
        best = here if best is None else min(best, here)
    return best


@pytest.mark.parametrize("seed", range(12))
def test_programs_in_fractions_agree_with_all_bases(seed: int) -> None:
    rg = random.Random(seed)
    rows = [[F(rg.randint(0, 4), 3) for _ in range(5)] + [F(r == s) for s in range(2)] for r in range(2)]
    right = [F(rg.randint(1, 5)) for _ in range(2)]
    cost = [F(rg.randint(-4, 4)) if rows[0][k] and rows[1][k] else F(1) for k in range(7)]
    found = minimise(cost, rows, right)
    assert found.value == _best_basis(cost, rows, right)
    for row, b in zip(rows, right, strict=True):
        assert sum(a * x for a, x in zip(row, found.x, strict=True)) == b
    assert sum(y * b for y, b in zip(found.duals, right, strict=True)) == found.value


def test_infeasibility_is_proved() -> None:
    assert nonnegative_solution([[F(1), F(1)], [F(1), F(1)]], [F(1), F(2)], 2) is None
    assert nonnegative_solution([[F(1), F(-1)]], [F(-1, 3)], 2) == (0, F(1, 3))
    assert nonnegative_solution([[]], [F(1)], 0) is None


def test_floats_are_not_believed() -> None:
    # The optimum lies 1e-30 away from a basis that looks the same in floating point.
    tiny = F(1, 10**30)
    try:
        found = minimise([F(1), F(1) - tiny], [[F(1), F(1)]], [F(1)])
    except UndecidedError:
        return
    assert found.value == 1 - tiny


# -- polynomials


def test_polynomials() -> None:
    cubic = through([F(k) for k in range(4)], [F(k**3 - 2 * k) for k in range(4)])
    assert cubic == (0, -2, 0, 1)
    assert value(cubic, F(3)) == 21
    found = roots(cubic, F(-2), F(2))
    assert [exact for _, exact in found] == [False, True, False]
    assert_allclose([float(x) for x, _ in found], [-(2**0.5), 0, 2**0.5], rtol=0, atol=1e-15)
    double = (F(1, 4), F(-1), F(1))  # (x - 1/2)^2
    assert roots(double, F(0), F(1)) == [(F(1, 2), True)]
    assert through([F(0), F(1)], [F(0), F(0)]) == ()


def test_where_quotients_are_not_negative() -> None:
    # x (1 - x) / (x - 3) on [-1, 4]: from -1 to 0, and from 1 to 3 (where it ends).
    ranges = nonnegative_ranges([(F(0), F(1), F(-1))], (F(-3), F(1)), (F(-1), F(4)))
    assert ranges == [Ends(F(-1), F(0), True), Ends(F(1), F(3), True)]
    # -(x - 1/2)^2 is not negative at one point.
    assert nonnegative_ranges([(F(-1, 4), F(1), F(-1))], (F(1),), (F(0), F(1))) == [
        Ends(F(1, 2), F(1, 2), True)
    ]
    assert Ends.union([Ends(F(0), F(1), True), Ends(F(1), F(2), True)]) == [Ends(F(0), F(2), True)]
