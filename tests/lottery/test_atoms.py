"""The cycle walk over bundles: exact expectations over all its branches, bundles of demand only."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import pytest

from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.lottery.atoms import draw_bundles, walk
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import (
    AssignmentValuation,
    Cardinality,
    UniformMatroid,
    UnitDemand,
    WeightedRank,
)
from fairlot.pseudomarket.bundles.solve import solve_economy
from fairlot.verify.bundle_demand import best_affordable_bundles

HALF = Fraction(1, 2)
Outcome = tuple[tuple[int, ...], ...]


def branches(shares: list[list[Fraction]], demands: list[list[frozenset[int]]]) -> Iterator[
    tuple[Fraction, Outcome]
]:  # fmt: skip
    """Go through all ways in which the coins of a walk may fall."""
    waiting: list[list[bool]] = [[]]
    while waiting:
        script = waiting.pop()
        chance = Fraction(1)
        tossed = 0

        def toss(p: Fraction, script: list[bool] = script) -> bool:
            nonlocal chance, tossed
            if tossed == len(script):
                waiting.append([*script, False])
                script.append(True)
            side = script[tossed]
            chance *= p if side else 1 - p
            tossed += 1
            return side

        outcome = walk(shares, demands, toss)
        yield chance, outcome


def assert_fair(shares: list[list[Fraction]], demands: list[list[frozenset[int]]]) -> int:
    total = Fraction(0)
    expected = [[Fraction(0)] * len(shares[0]) for _ in shares]
    n = 0
    for chance, outcome in branches(shares, demands):
        n += 1
        total += chance
        assert sorted(j for bundle in outcome for j in bundle) == list(range(len(shares[0])))
        for row, bundle, demand in zip(expected, outcome, demands, strict=True):
            assert frozenset(bundle) in demand
            for j in bundle:
                row[j] += chance
    assert total == 1
    assert expected == shares
    return n


def test_two_agents_two_goods() -> None:
    either = [frozenset({0}), frozenset({1})]
    assert assert_fair([[HALF, HALF], [HALF, HALF]], [either, either]) == 2


def test_sizes_vary_through_the_null_good() -> None:
    any_of = [frozenset(), frozenset({0}), frozenset({1}), frozenset({0, 1})]
    third = Fraction(1, 3)
    assert_fair([[third, HALF], [1 - third, HALF]], [any_of, any_of])


def _equilibrium(seed: int) -> tuple[list[list[Fraction]], list[list[frozenset[int]]]]:
    """Shares and demand of an exact equilibrium; the last agent holds what is left over."""
    rg = random.Random(seed)
    kinds = (
        lambda: UnitDemand([rg.randint(1, 20) for _ in range(4)]),
        lambda: Cardinality([0, 9, 15, 18, 19]),
        lambda: WeightedRank(UniformMatroid(4, 2), [rg.randint(1, 20) for _ in range(4)]),
        lambda: AssignmentValuation([[rg.randint(0, 20) for _ in range(4)] for _ in range(2)]),
    )
    economy = FiatEconomy(tuple(rg.choice(kinds)() for _ in range(3)), 1)
    for attempt in range(8):
        found = solve_economy(economy, method="exact", seed=attempt)
        if found.prices is not None and found.enclosure is None:
            break
    assert found.prices is not None
    assert found.lottery is not None
    prices = [Fraction(price) for price in found.prices]
    demands = []
    for u, b in zip(economy.valuations, economy.budgets, strict=True):
        best = best_affordable_bundles(u, prices, Fraction(b))
        held = [
            bundle
            for bundle in u.demand_set(prices, best.money_value)
            if not best.satiated or sum(prices[j] for j in bundle) == best.cost
        ]
        demands.append(held)
    free = [j for j, price in enumerate(prices) if not price]
    demands.append(
        [frozenset(j for k, j in enumerate(free) if mask >> k & 1) for mask in range(1 << len(free))]
    )
    shares = [list(map(Fraction, row)) for row in found.lottery.shares(4)]
    shares.append([1 - sum(row[j] for row in shares) for j in range(4)])
    return shares, demands


@pytest.mark.parametrize("seed", range(6))
def test_walk_keeps_the_shares_of_equilibria(seed: int) -> None:
    assert_fair(*_equilibrium(seed))


def test_same_seed_same_draw() -> None:
    shares, demands = _equilibrium(0)
    assert draw_bundles(shares, demands, 5) == draw_bundles(shares, demands, 5)


def test_shares_outside_what_is_demanded_are_refused() -> None:
    both = [frozenset(), frozenset({0, 1})]
    with pytest.raises(InvalidProblemError, match="shares of agent 0"):
        draw_bundles([[Fraction(1, 3), HALF], [Fraction(2, 3), HALF]], [[frozenset({0})], both], 0)
    with pytest.raises(InvalidProblemError, match="shares of good 1"):
        draw_bundles([[HALF, 0], [HALF, 0]], [[frozenset(), frozenset({0})]] * 2, 0)


def test_bundles_that_are_no_convex_set_are_found_out() -> None:
    # Both or none: Example 1's kind of set. Three agents, two goods, a third of the time each.
    both = [frozenset(), frozenset({0, 1})]
    third = Fraction(1, 3)
    with pytest.raises(NotSupportedError, match="M♮-convex"):
        draw_bundles([[third, third]] * 3, [both] * 3, 0)
