"""The operations of the slides that preserve M♮-concavity, and how they combine."""

from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairlot.errors import InvalidProblemError
from fairlot.model.valuations import (
    Additive,
    AssignmentValuation,
    Bound,
    Constrained,
    Convolution,
    Endowment,
    GraphicMatroid,
    LowerBound,
    Restriction,
    Satiation,
    Scaling,
    Table,
    UniformMatroid,
    UnitDemand,
    Valuation,
    WeightedRank,
)
from fairlot.testing import valuations
from fairlot.verify.valuations import verify_valuation

NEG = float("-inf")
GOODS = (0, 1, 2, 3)
ALL = [tuple(j for j in GOODS if mask >> j & 1) for mask in range(16)]
bundle = st.sets(st.sampled_from(GOODS)).map(lambda s: tuple(sorted(s)))
exact = settings(max_examples=25, deadline=None)


def same(first: Valuation, second: Valuation) -> bool:
    return first.table() == second.table()


def concave(u: Valuation) -> bool:
    return verify_valuation(u)["exchange property"].passed


@exact
@given(valuations(4), bundle, bundle)
def test_pm_operation_endowment(v: Valuation, held: tuple[int, ...], more: tuple[int, ...]) -> None:
    assume(v.value(held) > NEG)
    u = Endowment(v, held)
    assert all(u.value(a) == v.value({*a, *held}) - v.value(held) for a in ALL)
    assert concave(u)
    assert same(Endowment(u, more), Endowment(v, {*held, *more}))


@exact
@given(valuations(4, empty=True), bundle, bundle)
def test_pm_operation_restriction(v: Valuation, kept: tuple[int, ...], other: tuple[int, ...]) -> None:
    u = Restriction(v, kept)
    assert all(u.value(a) == v.value(set(a) & set(kept)) for a in ALL)
    assert concave(u)
    assert same(Restriction(u, other), Restriction(v, set(kept) & set(other)))


@exact
@given(valuations(4), valuations(4), valuations(4, depth=0))
def test_pm_operation_convolution(v: Valuation, w: Valuation, third: Valuation) -> None:
    try:
        u = Convolution([v, w])
    except InvalidProblemError:  # both need goods of which there are too few
        assume(False)
    for mask, a in enumerate(ALL):
        parts = [sub for sub in range(16) if sub & ~mask == 0]
        assert u.value(a) == max(v.table()[sub] + w.table()[mask ^ sub] for sub in parts)
    assert concave(u)
    assert same(u, Convolution([w, v]))
    assert same(Convolution([u, third]), Convolution([v, w, third]))


@exact
@given(valuations(4), st.integers(0, 4), st.integers(0, 4))
def test_pm_operation_satiation(v: Valuation, k: int, m: int) -> None:
    try:
        u, twice = Satiation(v, k), Satiation(v, min(k, m))
    except InvalidProblemError:
        assume(False)
    for mask, a in enumerate(ALL):
        small = [sub for sub in range(16) if sub & ~mask == 0 and sub.bit_count() <= k]
        assert u.value(a) == max(v.table()[sub] for sub in small)
    assert concave(u)
    assert same(Satiation(u, m), twice)


@exact
@given(valuations(4), st.integers(0, 4), st.integers(0, 4))
def test_pm_operation_lower_bound(v: Valuation, k: int, m: int) -> None:
    u = LowerBound(v, k)
    assert all(u.value(a) == (v.value(a) if len(a) >= k else NEG) for a in ALL)  # v is monotone
    assert concave(u)
    assert same(LowerBound(u, m), LowerBound(v, max(k, m)))


@exact
@given(valuations(4, empty=True), st.fractions(0, 3), st.fractions(0, 3))
def test_operation_scaling(v: Valuation, c: Fraction, d: Fraction) -> None:
    u = Scaling(v, c)
    assert all(u.value(a) == c * v.value(a) for a in ALL)
    assert concave(u)
    assert same(Scaling(u, d), Scaling(v, c * d))
    assert Scaling(LowerBound(v, 1), 0).value(()) == NEG


@exact
@given(valuations(4, depth=0), st.integers(0, 2), st.integers(0, 2))
def test_pm_four_to_six_classes(v: Valuation, least: int, extra: int) -> None:
    """The slide's :math:`u_4^6`: a satiation of a lower bound, here with other numbers."""
    both = Satiation(LowerBound(v, least), least + extra)
    assert same(both, Constrained(v, [Bound(GOODS, least, least + extra)]))
    assert all((both.value(a) == NEG) == (len(a) < least) for a in ALL)
    assert concave(both)


@exact
@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=1, max_size=2), bundle)
def test_laws_of_the_families(units: list[list[int]], kept: tuple[int, ...]) -> None:
    """What the docstrings say operations make of families."""
    u = AssignmentValuation(units)
    assert same(u, Convolution([UnitDemand(row) for row in units]))
    assert same(
        Restriction(u, kept), AssignmentValuation([[v * (j in kept) for j, v in enumerate(r)] for r in units])
    )
    assert same(Convolution([u, u]), AssignmentValuation(units + units))
    rank = WeightedRank(GraphicMatroid([(0, 1), (1, 2), (2, 0), (2, 3)]), units[0])
    assert same(Satiation(Additive(units[0]), 2), WeightedRank(UniformMatroid(4, 2), units[0]))
    assert concave(Satiation(rank, 2))


def test_pm_c_constrained_utility_by_its_definition() -> None:
    v = Additive([5, 4, 1, 2])
    c = [Bound([0, 1], 0, 1), Bound([2, 3], 1, 2)]
    u = Constrained(v, c)
    for mask, a in enumerate(ALL):
        plans = [sub for sub in range(16) if sub & ~mask == 0 and all(bound.excess(sub) == 0 for bound in c)]
        assert u.value(a) == max((v.table()[sub] for sub in plans), default=NEG)


@exact
@given(st.data())
def test_pm_theorem2_step1_hierarchical_modular_constraints_preserve_concavity(data: st.DataObject) -> None:
    """u is a sum over modules {0, 1} and {2, 3}; the constraint bounds them, single goods and everything."""
    left, right = (data.draw(valuations(2, depth=0)).table() for _ in range(2))
    u = Table([left[mask & 3] + right[mask >> 2] for mask in range(16)])
    bounds = []
    for goods in ([0, 1], [2, 3], GOODS):
        low = data.draw(st.integers(0, 2))
        bounds.append(Bound(goods, low, low + data.draw(st.integers(0, 2))))
    if not any(all(b.excess(mask) == 0 for b in bounds) for mask in range(16)):
        with pytest.raises(InvalidProblemError, match="no bundle meets the bounds"):
            Constrained(u, bounds)
        return
    constrained = Constrained(u, bounds)
    expected = [
        max(
            (u.table()[s] for s in range(16) if s & ~mask == 0 and not any(b.excess(s) for b in bounds)),
            default=NEG,
        )
        for mask in range(16)
    ]
    assert list(constrained.table()) == expected
    assert concave(constrained)
    certificate = verify_valuation(constrained)
    assert certificate.passed


@exact
@given(
    st.lists(st.integers(0, 5), min_size=4, max_size=4),
    st.integers(0, 2),
    st.integers(0, 3),
    st.integers(0, 2),
)
def test_upper_bounds_on_top_of_constraints_unite(values: list[int], low: int, high: int, cap: int) -> None:
    v = Additive(values)
    inner, outer = Bound([0, 1], low, low + high), Bound([0, 1, 2], 0, low + cap)
    both = Constrained(v, [inner, outer])
    assert same(Constrained(Constrained(v, [inner]), [outer]), both)
    flat = Table.of(Constrained(v, [inner]))  # not known to be a constraint: nothing to unite
    assert [Satiation(flat, cap + low).value(a) for a in ALL] == [
        max(flat.table()[s] for s in range(16) if s & ~m == 0 and s.bit_count() <= cap + low)
        for m in range(16)
    ]


def test_pm_production_set_as_a_valuation_of_agent_0() -> None:
    """What is left over, A, is producible if H minus A is: :math:`|A \\cap A_k| \\ge |A_k| - h_k`.

    The slide gives agent 0 the values 1 and 0. Then goods may be complements to her; with -inf in place of 0
    her valuation is M♮-concave, as the proof needs.
    """
    limits = [Bound([0, 1], 0, 0), Bound([0, 1, 2], 0, 1)]
    left = [15 & ~mask for mask in range(16)]
    producible = [all(limit.excess(rest) == 0 for limit in limits) for rest in left]
    literal = Table([int(p) for p in producible])
    assert not concave(literal)
    strict = Constrained(Additive([0] * 4), [Bound(b.goods, len(b.goods) - (b.upper or 0)) for b in limits])
    assert list(strict.table()) == [0 if p else NEG for p in producible]
    assert verify_valuation(strict).passed


def test_constraints_that_are_no_hierarchy_or_not_modular_are_refused() -> None:
    with pytest.raises(InvalidProblemError, match="cross: good 1 is in both"):
        Constrained(Additive([1, 1, 1]), [Bound([0, 1], 0, 1), Bound([1, 2], 0, 1)])
    with pytest.raises(InvalidProblemError, match=r"\[0, 1\], which is no module .* see bundle \[0, 2\]"):
        Constrained(UnitDemand([1, 1, 1]), [Bound([0, 1], 0, 1)])
    with pytest.raises(InvalidProblemError, match="goods from 0 to 2"):
        Constrained(UnitDemand([1, 1, 1]), [Bound([3], 0, 1)])
    wide = UnitDemand([1] * 20)  # beyond enumeration a sample shows it
    with pytest.raises(InvalidProblemError, match="no module"):
        Constrained(wide, [Bound([0, 1], 0, 1)])


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Endowment(LowerBound(Additive([1, 1]), 2), [0]),
        lambda: Restriction(LowerBound(Additive([1, 1]), 2), [0]),
        lambda: Convolution([]),
        lambda: Convolution([Additive([1]), Additive([1, 2])]),
        lambda: Convolution([LowerBound(Additive([1, 1]), 2), LowerBound(Additive([1, 1]), 1)]),
        lambda: Satiation(LowerBound(Additive([1, 1]), 2), 1),
        lambda: Satiation(Additive([1]), -1),
        lambda: LowerBound(Additive([1]), 2),
        lambda: Scaling(Additive([1]), -1),
        lambda: Restriction(Additive([1]), [4]),
    ],
)
def test_operations_refuse_what_has_no_value_anywhere(wrong: object) -> None:
    with pytest.raises(InvalidProblemError):
        wrong()  # type: ignore[operator]
