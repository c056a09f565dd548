"""Definitions of the slides as checks: M♮-concavity, substitutes, modules, hierarchies; planted faults."""

from fractions import Fraction
from itertools import permutations
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fairlot.model.valuations import (
    Additive,
    AssignmentValuation,
    Bound,
    Cardinality,
    LowerBound,
    Oracle,
    Satiation,
    Table,
    UnitDemand,
    Valuation,
)
from fairlot.testing import valuations
from fairlot.verify.valuations import verify_constraint, verify_substitutes, verify_valuation

NEG, INF = float("-inf"), float("inf")
EXAMPLE_1 = Table([0 if mask.bit_count() < 2 else 2 for mask in range(8)])
EXAMPLE_2 = (Table([0, 10, 8, 11]), Table([0, 10, 2, 11]))


def broken_pairs(u: Valuation) -> list[tuple[set[int], set[int], int]]:
    """All (A, B, j) that violate the exchange property, by its definition."""
    n = u.n_goods
    sets = [{j for j in range(n) if mask >> j & 1} for mask in range(1 << n)]
    return [
        (a, b, j)
        for a in sets
        for b in sets
        for j in a - b
        if u.value(a) > NEG and u.value(b) > NEG
        if not any(
            u.value(a - {j} | d) + u.value(b - d | {j}) >= u.value(a) + u.value(b)
            for d in [set(), *({k} for k in b - a)]
        )
    ]


small = st.integers(2, 3).flatmap(
    lambda n: st.lists(st.one_of(st.integers(0, 3), st.just(NEG)), min_size=2**n, max_size=2**n).filter(
        lambda values: max(values) > NEG
    )
)


@settings(max_examples=80, deadline=None)
@given(small)
def test_pm_definition_m_natural_concavity(values: list[int]) -> None:
    u = Table(values)
    check = verify_valuation(u)["exchange property"]
    assert check.passed == (not broken_pairs(u))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=8, max_size=8), st.integers(1, 10**6))
def test_floats_and_fractions_are_judged_as_integers_are(values: list[int], unit: int) -> None:
    reference = verify_valuation(Table(values))["exchange property"]
    scaled = verify_valuation(Table([Fraction(v, unit) for v in values]))["exchange property"]
    floats = verify_valuation(Table([v / unit for v in values]))["exchange property"]
    assert scaled.passed == floats.passed == reference.passed
    np.testing.assert_allclose(
        [scaled.residual, floats.residual], reference.residual / unit, rtol=1e-9, atol=1e-15
    )


def test_huge_numbers_do_not_lose_a_violation_of_one() -> None:
    big = 10**40
    u = Table([0, big, big, 2 * big + 1])
    check = verify_valuation(u)["exchange property"]
    assert not check.passed
    assert check.residual == 1.0
    assert verify_valuation(Table([0, big, big, 2 * big])).passed


def test_pm_example1_is_not_m_natural_concave() -> None:
    check = verify_valuation(EXAMPLE_1).failed
    assert [c.name for c in check] == ["exchange property"]
    assert check[0].residual == 2
    assert check[0].witness == "A = {0, 1}, B = {}, j = 0: u(A) + u(B) = 2, the best exchange gives 0"
    assert ({0, 1}, set(), 0) in broken_pairs(EXAMPLE_1)


def test_pm_example2_is_m_natural_concave() -> None:
    assert all(verify_valuation(u).passed for u in EXAMPLE_2)


def test_pm_slide_with_five_goods() -> None:
    """A = a1 a2 c, B = c b1 b2: a1 leaves A for B, and b2 comes back, or nothing."""
    a1, a2, c, b1, b2 = range(5)
    u = AssignmentValuation([[3, 1, 0, 2, 0], [0, 2, 2, 0, 3]])
    a, b = {a1, a2, c}, {c, b1, b2}
    options = [u.value(a - {a1} | d) + u.value(b - d | {a1}) for d in (set(), {b1}, {b2})]
    assert max(options) >= u.value(a) + u.value(b)
    assert verify_valuation(u).passed


@pytest.mark.parametrize(
    ("values", "failing", "witness"),
    [
        ([0, 3, 2, 2], "monotonicity", "u({0}) = 3, with good 1 2"),
        ([0, 1, 1, 3], "exchange property", "A = {0, 1}, B = {}, j = 0: u(A) + u(B) = 3"),
        ([-2, -1, 0, 0], "values", "u({}) = -2"),
    ],
)
def test_planted_faults_fail_exactly_one_check(values: list[int], failing: str, witness: str) -> None:
    certificate = verify_valuation(Table(values))
    assert [check.name for check in certificate.failed] == [failing]
    assert certificate[failing].witness.startswith(witness)


def test_planted_faults_of_the_domain() -> None:
    """A domain that is no M♮-convex set, one that is left by adding a good, and one without any bundle."""
    hole = verify_valuation(Table([0, NEG, NEG, 0]))
    assert hole["exchange property"].residual == INF
    assert hole["monotonicity"].residual == INF

    class Nowhere(Additive):
        def _value(self, mask: int) -> float:
            return NEG

    class Everywhere(Additive):
        def _value(self, mask: int) -> float:
            return INF

    assert [c.name for c in verify_valuation(Nowhere([1])).failed] == ["domain"]
    assert verify_valuation(Everywhere([1]))["values"].residual == INF


def test_beyond_enumeration_a_sample_decides_and_says_so() -> None:
    good = AssignmentValuation(np.random.default_rng(2).integers(0, 9, (4, 14)).tolist())
    certificate = verify_valuation(good, samples=600)
    assert certificate.passed
    assert "600 random cases: with 99% confidence at most 0.0076" in certificate["coverage"].witness
    few = verify_valuation(good, samples=50)
    assert [check.name for check in few.failed] == ["coverage"]
    bad = Oracle(lambda b: len(b) ** 2, size=14, spot_checks=0)
    assert "exchange property" in [check.name for check in verify_valuation(bad, samples=50).failed]
    falling = Oracle(lambda b: -len(b), size=14, spot_checks=0)
    assert not verify_valuation(falling, samples=50)["monotonicity"].passed
    assert verify_valuation(good, samples=60, seed=1) == verify_valuation(good, samples=60, seed=1)


def substitutes_by_enumeration(u: Valuation) -> bool:
    """Kelso and Crawford's condition on a grid that is fine enough for integer values on two goods."""
    n = u.n_goods
    grid = [k / 2 + 0.25 for k in range(-18, 18)]
    masks = range(1 << n)
    for j, other in permutations(range(n), 2):
        for p in grid:
            best = []
            for side in (1, 0):
                worth = {m: u.table()[m] - (p if m >> other & 1 else 0) for m in masks if m >> j & 1 == side}
                top = max(worth.values())
                best.append([m for m, w in worth.items() if w == top])
            if max(map(len, best)) == 1 and best[0][0] & ~best[1][0] != 1 << j:
                return False
    return True


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 8), min_size=4, max_size=4))
def test_price_substitutes_against_a_grid_of_prices(values: list[int]) -> None:
    u = Table(values)
    assert verify_substitutes(u, samples=300, coverage=1)[
        "price substitutes"
    ].passed == substitutes_by_enumeration(u)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=8, max_size=8))
def test_pm_step3_fujishige_yang_equivalence(gains: list[int]) -> None:
    """:math:`u + m` satisfies substitutes if and only if u is M♮-concave."""
    values = [0] * 8
    for mask in range(1, 8):
        values[mask] = max(values[mask ^ 1 << j] for j in range(3) if mask >> j & 1) + gains[mask]
    u = Table(values)
    concave = verify_valuation(u)["exchange property"].passed
    assert verify_substitutes(u, samples=600, coverage=1)["price substitutes"].passed == concave


@settings(max_examples=15, deadline=None)
@given(valuations(4, depth=1))
def test_pm_step1_substitutes_of_all_families(u: Valuation) -> None:
    certificate = verify_substitutes(u, samples=500)
    assert certificate.passed, certificate.failed


def test_substitutes_tells_what_drops_out_with_what() -> None:
    check = verify_substitutes(EXAMPLE_1).failed[0]
    assert check.name == "price substitutes"
    assert "a rising price of good" in check.witness
    assert [c.name for c in verify_substitutes(UnitDemand([1, 2]), samples=10).failed] == ["coverage"]


def test_pm_definition_module() -> None:
    """B is a module if u(A) = u(A ∩ B) + u(A ∩ Bᶜ)."""
    u = Table([v + w for w in (0, 2, 3, 3) for v in (0, 4, 1, 4)])
    for goods in ([0, 1], [2, 3]):
        assert verify_constraint(u, [Bound(goods)])["modules"].passed
    for goods in ([0], [1, 2], [0, 1, 2]):
        check = verify_constraint(u, [Bound(goods)])["modules"]
        sums = [
            (a, u.value(a) - u.value(a & set(goods)) - u.value(a - set(goods)))
            for a in ({j for j in range(4) if m >> j & 1} for m in range(16))
        ]
        assert check.residual == max(abs(gap) for _, gap in sums) > 0
    assert verify_constraint(LowerBound(Additive([1, 2, 3]), 1), [Bound([0, 1, 2], 1)]).passed
    assert not verify_constraint(LowerBound(Additive([1, 2, 3]), 1), [Bound([0, 1])])["modules"].passed


def test_pm_definition_hierarchy() -> None:
    u = Additive([1, 1, 1, 1])
    nested = [Bound([0, 1], 0, 1), Bound([0, 1, 2], 0, 2), Bound([3], 1, 1)]
    assert verify_constraint(u, nested).passed
    crossing = verify_constraint(u, [Bound([0, 1]), Bound([1, 2]), Bound([2, 3])])
    assert [check.name for check in crossing.failed] == ["hierarchy"]
    assert crossing["hierarchy"].residual == 2
    assert crossing["hierarchy"].witness == "{0, 1} and {1, 2} cross; {1, 2} and {2, 3} cross"


def test_pm_definition_hierarchical_constraint_has_a_plan() -> None:
    u = Additive([1, 1, 1])
    none = verify_constraint(u, [Bound([0, 1], 2, 2), Bound([0, 1, 2], 0, 1)])
    assert [check.name for check in none.failed] == ["feasible"]
    assert none["feasible"].residual == 1
    wide = Additive([1] * 20)
    assert verify_constraint(wide, [Bound(range(5), 3, 4), Bound(range(20), 7, 7)], samples=500).passed
    assert not verify_constraint(wide, [Bound(range(5), 3, 4), Bound(range(20), 0, 2)], samples=500)[
        "feasible"
    ].passed
    few = verify_constraint(wide, [Bound(range(5), 3, 4)], samples=50)
    assert [check.name for check in few.failed] == ["coverage"]


def constrained_by_definition(u: Valuation, goods: int, least: int, most: int) -> Table:
    """Cap or lower bound on the goods of a set, whether or not it is a module."""
    t = u.table()
    return Table(
        [
            max(
                (t[s] for s in range(len(t)) if s & ~mask == 0 and least <= (s & goods).bit_count() <= most),
                default=NEG,
            )
            for mask in range(len(t))
        ]
    )


def test_bounds_on_a_set_that_is_no_module_break_concavity_often_on_all_goods_never() -> None:
    """Random assignment valuations on four goods (design: a cap broke 143 of 200, a lower bound 164)."""
    random = Random(4)
    broken = {"cap": 0, "lower bound": 0}
    for _ in range(40):
        u = AssignmentValuation([[random.randrange(10) for _ in range(4)] for _ in range(3)])
        subset = sum(1 << j for j in random.sample(range(4), random.choice((2, 3))))
        k = 1
        for name, least, most in (("cap", 0, k), ("lower bound", k, 4)):
            on_part = constrained_by_definition(u, subset, least, most)
            broken[name] += not verify_valuation(on_part)["exchange property"].passed
            on_all = constrained_by_definition(u, 15, least, most)
            assert verify_valuation(on_all)["exchange property"].passed
            operation = Satiation(u, k) if name == "cap" else LowerBound(u, k)
            assert operation.table() == on_all.table()
    assert min(broken.values()) > 14, broken


def test_all_certificates_ask_for_all_their_checks() -> None:
    names = [check.name for check in verify_valuation(Cardinality([0, 1])).checks]
    assert names == ["domain", "values", "monotonicity", "exchange property", "coverage"]
