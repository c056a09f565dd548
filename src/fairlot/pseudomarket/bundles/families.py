r"""All strong equilibria of a very small economy.

At prices p an agent's optimal random consumptions are those on one face of the concave hull of
:math:`\{(p(A), u_i(A))\}`, the face that holds her budget: an edge, whose bundles she mixes so as to spend
all; a corner that costs exactly :math:`b_i`; or the last corner, where she is satiated. Which bundles lie on
that face splits the price space into finitely many polyhedral *cells*, given by linear equations and strict
inequalities in p and the :math:`\lambda_i`. Within a cell p is an equilibrium price exactly if weights
:math:`w \ge 0` of assignments of those bundles exist with :math:`\sum_t w_t = 1` and
:math:`\sum_t w_t\, p(A_i^t) = b_i` for the unsatiated.

Money spent is money received, one more linear equation in p. Cells in which p is then a single point are
decided by a linear program. On a segment :math:`p(s)` every basic solution :math:`w(s)` is a ratio of
polynomials in s, whose signs are found from their roots; the union over all bases is the answer. In
cells of higher dimension only one point is tried. Expected utilities depend on p alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import combinations

from fairlot.errors import NotSupportedError
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations.expressions import INFINITY, goods_in
from fairlot.pseudomarket.bundles.cells import Cell, assignments
from fairlot.pseudomarket.bundles.exact import exact_weights
from fairlot.pseudomarket.bundles.polynomials import Ends, nonnegative_ranges, through
from fairlot.pseudomarket.bundles.rational import echelon, minimise, nonnegative_solution, solve_system
from fairlot.verify.bundle_demand import best_affordable_bundles

MOST_GOODS = 3
"""Most goods of an economy all of whose equilibria are looked for."""
_ZERO, _ONE = Fraction(0), Fraction(1)
Row = tuple[Fraction, ...]
Gap = Callable[[int, int], Row]
"""A linear function of (p, λ): by how much one bundle beats another."""


@dataclass(frozen=True)
class EquilibriumFamily:
    """Equilibria of one cell: a point, or a segment of prices with its ends.

    Parameters
    ----------
    dimension : int
        Of the set of prices: 0, 1, or more, in which case ``prices`` is one of them.
    prices : tuple of price vectors
        One; or, for a segment, its two ends.
    supports : tuple of tuple of int
        Of each agent, the bundles (bitmasks) of which she may get some; inside the segment.
    satiated : tuple of bool
        Who keeps money.
    exact : bool
        Whether the prices are exact; else an end of the segment is irrational, and told to 18 digits.
    """

    dimension: int
    prices: tuple[tuple[Fraction, ...], ...]
    supports: tuple[tuple[int, ...], ...]
    satiated: tuple[bool, ...]
    exact: bool = True

    def utilities(self, economy: FiatEconomy) -> tuple[tuple[Fraction, ...], ...]:
        """Return everybody's expected utility at each of the prices."""
        return tuple(
            tuple(
                best_affordable_bundles(u, p, Fraction(b)).utility or _ZERO
                for u, b in zip(economy.valuations, economy.budgets, strict=True)
            )
            for p in self.prices
        )


@dataclass(frozen=True)
class EquilibriumSet:
    """All strong equilibria of an economy, as far as they could be decided.

    Parameters
    ----------
    families : tuple of EquilibriumFamily
        In ascending order of their first prices. Points that end a segment are part of the segment.
    undecided : int
        Cells of prices of dimension 2 or more of which not all points are known to be equilibria or not.
    """

    families: tuple[EquilibriumFamily, ...]
    undecided: int


def equilibrium_set(economy: FiatEconomy) -> EquilibriumSet:
    """Find all strong equilibria of a very small economy.

    Parameters
    ----------
    economy : FiatEconomy
        With at most :data:`MOST_GOODS` goods, a few agents and no limits.

    Raises
    ------
    NotSupportedError
        If it has more goods, or limits.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> found = equilibrium_set(FiatEconomy([UnitDemand([2]), UnitDemand([1])], budgets=1))
    >>> [[str(p) for p in family.prices[0]] for family in found.families]
    [['2']]
    """
    if economy.n_goods > MOST_GOODS or economy.limits:
        msg = f"the set of all equilibria is found for at most {MOST_GOODS} goods, without limits"
        raise NotSupportedError(msg)
    found: list[EquilibriumFamily] = []
    undecided = 0
    for cell, region in _cells(economy):
        families, complete = _decide(economy, cell, region)
        found += families
        undecided += not complete
    ends = {p for family in found if family.dimension == 1 for p in family.prices}
    kept = [family for family in found if family.dimension or family.prices[0] not in ends]
    return EquilibriumSet(tuple(sorted(kept, key=lambda family: family.prices)), undecided)


@dataclass(frozen=True)
class _Region:
    """Equations and strict inequalities ``row · v > right`` on v = (p, λ) ≥ 0."""

    equal: tuple[tuple[Row, Fraction], ...] = ()
    above: tuple[tuple[Row, Fraction], ...] = ()

    def with_(self, equal: Sequence[tuple[Row, Fraction]], above: Sequence[tuple[Row, Fraction]]) -> _Region:
        return _Region((*self.equal, *equal), (*self.above, *above))

    def open_point(self, width: int) -> tuple[Fraction, ...] | None:
        """Find a point with all strict inequalities; None if there is none."""
        rows = [row for row, _ in self.equal]
        right = [b for _, b in self.equal]
        m = len(self.above)
        # Columns: v, the margin (at most 1), a slack per inequality, the margin's slack.
        table = [[*row, _ZERO, *[_ZERO] * m, _ZERO] for row in rows]
        for k, (row, _) in enumerate(self.above):
            table.append([*row, -_ONE, *[-_ONE if k == r else _ZERO for r in range(m)], _ZERO])
        table.append([_ZERO] * width + [_ONE] + [_ZERO] * m + [_ONE])
        right = [*right, *[b for _, b in self.above], _ONE]
        start = nonnegative_solution(table, right, width + m + 2)
        if start is None:
            return None
        if start[width] > 0:
            return start[:width]
        cost = [_ZERO] * (width + m + 2)
        cost[width] = -_ONE
        best = minimise(cost, table, right)
        return best.x[:width] if best.value < 0 else None

    def span(self, row: Row, width: int) -> tuple[Fraction, Fraction]:
        """Return the least and greatest value of a bounded linear function over the closed region."""
        m = len(self.above)
        table = [[*r, *[_ZERO] * m] for r, _ in self.equal]
        table += [
            [*r, *[-_ONE if k == s else _ZERO for s in range(m)]] for k, (r, _) in enumerate(self.above)
        ]
        right = [b for _, b in (*self.equal, *self.above)]
        least = minimise([*row, *[_ZERO] * m], table, right).value
        most = -minimise([*(-entry for entry in row), *[_ZERO] * m], table, right).value
        return least, most


@dataclass(frozen=True)
class _Face:
    """One face of an agent's hull: its bundles, whether she keeps money, and when it holds her budget."""

    support: tuple[int, ...]
    satiated: bool
    region: _Region = field(default_factory=_Region)


def _cells(economy: FiatEconomy) -> Iterator[tuple[Cell, _Region]]:
    """Go through the cells that are not empty, for every set of goods that have a price."""
    n, n_goods = economy.n_agents, economy.n_goods
    width = n_goods + n
    for zero in range(1 << n_goods):
        equal: list[tuple[Row, Fraction]] = []
        above: list[tuple[Row, Fraction]] = []
        for j in range(n_goods):
            unit = tuple(_ONE if k == j else _ZERO for k in range(width))
            (equal if zero >> j & 1 else above).append((unit, _ZERO))
        region = _Region(tuple(equal), tuple(above))
        priced = tuple(j for j in range(n_goods) if not zero >> j & 1)
        faces = [list(_faces(economy, i, region)) for i in range(n)]
        yield from _combine(economy, faces, priced, (), region)


def _combine(
    economy: FiatEconomy,
    faces: list[list[_Face]],
    priced: tuple[int, ...],
    chosen: tuple[_Face, ...],
    region: _Region,
) -> Iterator[tuple[Cell, _Region]]:
    width = economy.n_goods + economy.n_agents
    if len(chosen) == economy.n_agents:
        cell = Cell(tuple(f.support for f in chosen), tuple(f.satiated for f in chosen), priced)
        if assignments(economy, cell, most=1):
            row = [_ONE if j in priced else _ZERO for j in range(width)]
            income = _ZERO
            for face, budget in zip(chosen, economy.budgets, strict=True):
                if not face.satiated:
                    income += Fraction(budget)
                    continue
                for j in goods_in(face.support[0]):
                    row[j] -= _ONE
            closed = region.with_([(tuple(row), income)], [])
            if closed.open_point(width) is not None:
                yield cell, closed
        return
    for face in faces[len(chosen)]:
        both = region.with_(face.region.equal, face.region.above)
        if not chosen or both.open_point(width) is not None:
            yield from _combine(economy, faces, priced, (*chosen, face), both)


def _faces(economy: FiatEconomy, agent: int, prices: _Region) -> Iterator[_Face]:
    """List the faces of an agent's hull that hold her budget at some prices."""
    u, budget = economy.valuations[agent], Fraction(economy.budgets[agent])
    width = economy.n_goods + economy.n_agents
    values = {mask: Fraction(v) for mask, v in enumerate(u.table()) if v != -INFINITY}
    most = max(values.values())

    def row(mask: int, sign: int = 1, scale: Fraction = _ZERO) -> list[Fraction]:
        entries = [Fraction(sign * (mask >> j & 1)) for j in range(economy.n_goods)]
        entries += [scale if i == agent else _ZERO for i in range(economy.n_agents)]
        return entries

    def gap(first: int, other: int) -> Row:
        """By how much ``first`` beats ``other``: λ (u(first) - u(other)) - p(first) + p(other)."""
        mine = row(first, -1, values[first] - values[other])
        return tuple(a + b for a, b in zip(mine, row(other), strict=True))

    def cheaper(first: int, other: int) -> Row:
        return tuple(b - a for a, b in zip(row(first), row(other), strict=True))

    still = (tuple(_ONE if k == economy.n_goods + agent else _ZERO for k in range(width)), _ZERO)
    # Satiated: λ says nothing and is set to 0.
    tops = [mask for mask, value in values.items() if value == most]
    for support in _tight_sets(tops, cheaper, prices.with_([still], []), width):
        region = _splitting(support, tops, cheaper)
        keeps = (tuple(-entry for entry in row(support[0])), -budget)
        whole = region.with_([still], [keeps])
        if prices.with_(whole.equal, whole.above).open_point(width) is not None:
            yield _Face(support, True, whole)
    for support in _tight_sets(list(values), gap, prices.with_([], [still]), width):
        region = _splitting(support, list(values), gap).with_([], [still])
        low = min(support, key=lambda mask: values[mask])
        high = max(support, key=lambda mask: values[mask])
        if values[low] == values[high]:
            whole = region.with_([(tuple(row(low)), budget)], [])
        else:
            below = (tuple(-entry for entry in row(low)), -budget)
            whole = region.with_([], [below, (tuple(row(high)), budget)])
        if prices.with_(whole.equal, whole.above).open_point(width) is not None:
            yield _Face(support, False, whole)


def _splitting(support: Sequence[int], masks: Sequence[int], gap: Gap) -> _Region:
    """All of the support alike, everything else worse."""
    first = support[0]
    return _Region(
        tuple((gap(first, mask), _ZERO) for mask in support[1:]),
        tuple((gap(first, mask), _ZERO) for mask in masks if mask not in support),
    )


def _tight_sets(masks: list[int], gap: Gap, base: _Region, width: int) -> Iterator[tuple[int, ...]]:
    """List the sets of bundles that are, at some point of a region, exactly the best ones."""

    def extend(k: int, support: tuple[int, ...], region: _Region) -> Iterator[tuple[int, ...]]:
        if region.open_point(width) is None:
            return
        if k == len(masks):
            yield support
            return
        form = (gap(support[0], masks[k]), _ZERO)
        yield from extend(k + 1, (*support, masks[k]), region.with_([form], []))
        yield from extend(k + 1, support, region.with_([], [form]))

    for k, first in enumerate(masks):
        worse = [(gap(first, mask), _ZERO) for mask in masks[:k]]
        yield from extend(k + 1, (first,), base.with_([], worse))


def _decide(economy: FiatEconomy, cell: Cell, region: _Region) -> tuple[list[EquilibriumFamily], bool]:
    """Find the equilibria of a cell, and whether these are all of them."""
    n_goods, width = economy.n_goods, economy.n_goods + economy.n_agents
    terms = assignments(economy, cell)
    solved = solve_system([row for row, _ in region.equal], [b for _, b in region.equal], width)
    inner = region.open_point(width)
    if solved is None or inner is None:
        return [], True
    basis, pivots = echelon([direction[:n_goods] for direction in solved.directions], n_goods)
    family = EquilibriumFamily(len(basis), (inner[:n_goods],), cell.supports, cell.satiated)
    if len(basis) != 1:
        weights = exact_weights(economy, cell.satiated, terms, inner[:n_goods])
        complete = not basis or all(cell.satiated)
        return ([family] if weights is not None else []), complete
    pivot, direction = pivots[0], basis[0]
    low, high = region.span(tuple(_ONE if k == pivot else _ZERO for k in range(width)), width)

    def at(s: Fraction) -> tuple[Fraction, ...]:
        return tuple(a + (s - inner[pivot]) * d for a, d in zip(inner[:n_goods], direction, strict=True))

    families = []
    for ends in _ranges(economy, cell, terms, at, (low, high)):
        exact = ends.exact
        if ends.low == ends.high:
            point = replace(family, dimension=0, prices=(at(ends.low),), exact=exact)
            families.append(point)
        else:
            families.append(replace(family, prices=(at(ends.low), at(ends.high)), exact=exact))
    return families, True


def _ranges(
    economy: FiatEconomy,
    cell: Cell,
    terms: list[tuple[int, ...]],
    at: Callable[[Fraction], tuple[Fraction, ...]],
    span: tuple[Fraction, Fraction],
) -> list[Ends]:
    """Find where on a segment of prices there are weights that spend the budgets."""
    spenders = [i for i, content in enumerate(cell.satiated) if not content][:-1]
    right = [_ONE] + [Fraction(economy.budgets[i]) for i in spenders]

    def matrix(s: Fraction) -> list[list[Fraction]]:
        prices = at(s)
        rows = [[_ONE] * len(terms)]
        rows += [[sum((prices[j] for j in goods_in(term[i])), _ZERO) for term in terms] for i in spenders]
        return rows

    middle = (span[0] + span[1]) / 2
    _, kept = echelon(list(zip(*matrix(middle), strict=True)), len(right))
    rank = len(kept)
    samples = [span[0] + (span[1] - span[0]) * k / (rank + 1) for k in range(rank + 2)]
    tables = [matrix(s) for s in samples]
    ranges: list[Ends] = []
    for columns in combinations(range(len(terms)), rank):
        minors = [[[table[r][c] for c in columns] + [right[r]] for r in kept] for table in tables]
        denominator = through(samples, [_determinant([row[:-1] for row in minor]) for minor in minors])
        if not any(denominator):
            continue
        numerators = [
            through(
                samples,
                [_determinant([[*row[:k], row[-1], *row[k + 1 : -1]] for row in minor]) for minor in minors],
            )
            for k in range(rank)
        ]
        ranges += nonnegative_ranges(numerators, denominator, span)
    # Equations that were left out as redundant must hold as well.
    return [
        ends
        for ends in Ends.union(ranges)
        if exact_weights(economy, cell.satiated, terms, at((ends.low + ends.high) / 2)) is not None
    ]


def _determinant(rows: list[list[Fraction]]) -> Fraction:
    work = [list(row) for row in rows]
    value = _ONE
    for column in range(len(work)):
        found = next((k for k in range(column, len(work)) if work[k][column]), None)
        if found is None:
            return _ZERO
        if found != column:
            work[column], work[found] = work[found], work[column]
            value = -value
        value *= work[column][column]
        for k in range(column + 1, len(work)):
            factor = work[k][column] / work[column][column]
            work[k] = [a - factor * b for a, b in zip(work[k], work[column], strict=True)]
    return value
