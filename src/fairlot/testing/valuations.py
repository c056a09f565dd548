"""Valuations for tests: a hypothesis strategy over all families and operations, and values by definition."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from fairlot.errors import InvalidProblemError, MissingExtraError
from fairlot.model.valuations import (
    Additive,
    AssignmentValuation,
    Bound,
    Cardinality,
    Constrained,
    Convolution,
    Endowment,
    GraphicMatroid,
    LaminarConcave,
    LaminarMatroid,
    LinearMatroid,
    LowerBound,
    Matroid,
    Number,
    Restriction,
    Satiation,
    Scaling,
    Taste,
    TransversalMatroid,
    UniformMatroid,
    UnitDemand,
    Valuation,
    WeightedRank,
)
from fairlot.model.valuations.expressions import INFINITY, goods_in, mask_of

if TYPE_CHECKING:
    from hypothesis.strategies import DrawFn, SearchStrategy


def valuations(n_goods: int, *, depth: int = 1, empty: bool = False) -> SearchStrategy[Valuation]:
    """Draw monotone M♮-concave valuations with exact values: every family, and operations on them.

    Parameters
    ----------
    n_goods : int
        Number of goods.
    depth : int
        Operations on top of each other, at most.
    empty : bool
        Whether the empty bundle must be in the domain.

    Raises
    ------
    MissingExtraError
        If hypothesis is not installed.
    """
    try:
        from hypothesis import assume
        from hypothesis import strategies as st
    except ImportError as error:
        raise MissingExtraError("fairlot.testing.valuations", "dev") from error

    goods = range(n_goods)
    value = st.one_of(st.integers(0, 6), st.fractions(0, 4, max_denominator=3))
    values = st.lists(value, min_size=n_goods, max_size=n_goods)
    some = st.sets(st.integers(0, n_goods - 1)).map(tuple)

    def rising(draw: DrawFn, size: int) -> list[int]:
        gains = sorted(draw(st.lists(st.integers(0, 4), min_size=size, max_size=size)), reverse=True)
        return [sum(gains[:k]) for k in range(size + 1)]

    def matroid(draw: DrawFn) -> Matroid:
        kind = draw(st.integers(0, 4))
        if kind == 0:
            return UniformMatroid(n_goods, draw(st.integers(0, n_goods)))
        if kind == 1:
            cut = draw(st.integers(1, n_goods))
            return LaminarMatroid(
                n_goods, (Bound(goods, 0, draw(st.integers(0, 4))), Bound(range(cut), 0, 1))
            )
        if kind == 2:
            vertex = st.integers(0, 3)
            edges = st.lists(st.tuples(vertex, vertex), min_size=n_goods, max_size=n_goods)
            return GraphicMatroid(tuple(draw(edges)))
        if kind == 3:
            row = st.lists(st.integers(0, 2), min_size=3, max_size=3)
            rows = draw(st.lists(row, min_size=n_goods, max_size=n_goods))
            return LinearMatroid(rows, draw(st.sampled_from([None, 2, 3])))
        return TransversalMatroid(n_goods, draw(st.lists(some, max_size=3)))

    @st.composite
    def family(draw: DrawFn) -> Valuation:
        kind = draw(st.integers(0, 5))
        if kind == 0:
            return UnitDemand(draw(values))
        if kind == 1:
            return Additive(draw(values))
        if kind == 2:
            return Cardinality(rising(draw, n_goods))
        if kind == 3:
            return WeightedRank(matroid(draw), draw(values))
        if kind == 4:
            return AssignmentValuation(draw(st.lists(values, min_size=1, max_size=3)))
        singles = [Taste([j], [0, draw(value)]) for j in goods]
        cut = draw(st.integers(1, n_goods))
        nested = (Taste(range(cut), rising(draw, cut)), Taste(goods, rising(draw, n_goods)))
        return LaminarConcave(n_goods, (*singles, *nested))

    def operation(inner: SearchStrategy[Valuation]) -> SearchStrategy[Valuation]:
        @st.composite
        def composed(draw: DrawFn) -> Valuation:
            v, kind = draw(inner), draw(st.integers(0, 5))
            try:
                if kind == 0:
                    return Endowment(v, draw(some))
                if kind == 1:
                    return Restriction(v, draw(some))
                if kind == 2:
                    return Convolution([v, draw(inner)])
                if kind == 3:
                    return Scaling(v, Fraction(draw(st.integers(0, 4)), 2))
                if kind == 4:
                    return Satiation(v, draw(st.integers(0, n_goods)))
                return LowerBound(v, draw(st.integers(0, n_goods)))
            except InvalidProblemError:  # bounds that no bundle meets
                return v

        return composed()

    drawn: SearchStrategy[Valuation] = family()
    for _ in range(depth):
        drawn = st.one_of(drawn, operation(drawn))
    if not empty:
        return drawn

    @st.composite
    def with_empty(draw: DrawFn) -> Valuation:
        v = draw(drawn)
        assume(v.value(()) > -INFINITY)
        return v

    return with_empty()


def table_by_definition(valuation: Valuation) -> list[Number]:
    """List the values of all bundles by trying every sub-bundle, partition, matching or independent set."""
    n_goods = valuation.n_goods
    bundles = range(1 << n_goods)

    def within(mask: int) -> list[int]:
        return [other for other in bundles if other & ~mask == 0]

    match valuation:
        case Endowment(v, held):
            inner, have = table_by_definition(v), mask_of(held)
            return [inner[mask | have] - inner[have] for mask in bundles]
        case Restriction(v, kept):
            inner = table_by_definition(v)
            return [inner[mask & mask_of(kept)] for mask in bundles]
        case Convolution(parts):
            total = table_by_definition(parts[0])
            for part in map(table_by_definition, parts[1:]):
                total = [max(total[b] + part[mask ^ b] for b in within(mask)) for mask in bundles]
            return total
        case Scaling(v, factor):
            return [value if value == -INFINITY else factor * value for value in table_by_definition(v)]
        case Satiation() | LowerBound() | Constrained():
            inner, limits = table_by_definition(valuation.valuation), valuation.limits
            return [
                max((inner[b] for b in within(mask) if _meets(b, limits)), default=-INFINITY)
                for mask in bundles
            ]
        case WeightedRank(matroid, weights):
            independent = [b for b in bundles if matroid.independent(goods_in(b))]
            worth = {b: sum((weights or ())[j] for j in goods_in(b)) for b in independent}
            return [max(worth[b] for b in within(mask) if b in worth) for mask in bundles]
        case AssignmentValuation(units):
            total = [0] * len(bundles)
            for row in units:
                single = [max((row[j] for j in goods_in(mask)), default=0) for mask in bundles]
                total = [max(total[b] + single[mask ^ b] for b in within(mask)) for mask in bundles]
            return total
    return list(valuation.table())


def _meets(mask: int, limits: tuple[Bound, ...]) -> bool:
    counts = [(sum(j in bound.goods for j in goods_in(mask)), bound) for bound in limits]
    return all(bound.lower <= n and (bound.upper is None or n <= bound.upper) for n, bound in counts)
