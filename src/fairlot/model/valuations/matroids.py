r"""Matroids, and their weighted rank as a valuation.

A matroid on goods H is a family of *independent* sets, closed under taking subsets, in which all maximal
independent subsets of any :math:`A \subset H` have one size, the rank of A. Each class answers one
question, from which the rest follows: which goods does one keep who scans them in some order and keeps
all that are independent of those kept?
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import combinations
from typing import Any, ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import Valuation
from fairlot.model.valuations.bounds import Bound, check_hierarchy, goods_mask
from fairlot.model.valuations.expressions import Expression, Number, goods_in, mask_of
from fairlot.model.valuations.simple import non_negative


def _count(given: Any, name: str) -> int:
    if type(given) is not int or given < 0:
        raise InvalidProblemError([Issue(name, found=repr(given), expected="an integer of at least 0")])
    return given


class Matroid(Expression):
    """A matroid on goods ``0..size - 1``; the subclasses are its kinds."""

    size: int

    @abstractmethod
    def basis(self, order: Iterable[int]) -> tuple[int, ...]:
        """Scan goods in this order and keep each that is independent of those kept.

        Parameters
        ----------
        order : iterable of int
            Goods without repetition.
        """

    def rank(self, bundle: Collection[int]) -> int:
        """Count the goods of a largest independent subset."""
        return len(self.basis(bundle))

    def independent(self, bundle: Collection[int]) -> bool:
        """Say whether the bundle is independent."""
        return self.rank(bundle) == len(bundle)


@dataclass(frozen=True)
class UniformMatroid(Matroid):
    """Any bundle of at most ``most`` goods is independent.

    Parameters
    ----------
    size, most : int
        Number of goods; rank.
    """

    kind: ClassVar[str] = "uniform-matroid"
    size: int
    most: int

    def __post_init__(self) -> None:
        _count(self.size, "size")
        _count(self.most, "most")

    def basis(self, order: Iterable[int]) -> tuple[int, ...]:
        """Keep the first goods, at most ``most``."""
        return tuple(order)[: self.most]


@dataclass(frozen=True)
class LaminarMatroid(Matroid):
    """A bundle is independent if it meets upper bounds on a hierarchy of sets.

    A *partition matroid* is the case of disjoint sets.

    Parameters
    ----------
    size : int
        Number of goods.
    bounds : sequence of Bound or of (goods, most)
        Upper bounds only.

    Raises
    ------
    InvalidProblemError
        Telling which sets cross.

    Examples
    --------
    >>> LaminarMatroid(3, [([0, 1], 1), ([0, 1, 2], 2)]).independent([0, 2])
    True
    """

    kind: ClassVar[str] = "laminar-matroid"
    size: int
    bounds: tuple[Bound, ...]

    def __post_init__(self) -> None:
        _count(self.size, "size")
        bounds = tuple(b if isinstance(b, Bound) else Bound(b[0], upper=b[1]) for b in self.bounds)
        self._set(bounds=bounds)
        issues = check_hierarchy(bounds, self.size)
        for k, bound in enumerate(bounds):
            if bound.lower or bound.upper is None:
                issues.append(Issue(f"bound {k}", found=str(bound), expected="an upper bound alone"))
        if issues:
            raise InvalidProblemError(issues)

    def basis(self, order: Iterable[int]) -> tuple[int, ...]:
        """Keep a good if no set that holds it is full."""
        room = [bound.upper or 0 for bound in self.bounds]
        kept = []
        for j in order:
            holding = [k for k, bound in enumerate(self.bounds) if j in bound.goods]
            if all(room[k] for k in holding):
                kept.append(j)
                for k in holding:
                    room[k] -= 1
        return tuple(kept)


@dataclass(frozen=True)
class GraphicMatroid(Matroid):
    """Goods are the edges of a graph; a bundle is independent if it contains no cycle.

    Parameters
    ----------
    edges : graph, or sequence of pairs of vertices
        A networkx graph (anything with ``edges``), or its edges; good j is the j-th edge. Vertices may be
        anything hashable and are renumbered in order of appearance.

    Examples
    --------
    >>> triangle = GraphicMatroid([("a", "b"), ("b", "c"), ("c", "a")])
    >>> triangle.rank([0, 1, 2])
    2
    """

    kind: ClassVar[str] = "graphic-matroid"
    edges: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        listed = [tuple(edge) for edge in getattr(self.edges, "edges", self.edges)]
        issues = [
            Issue(f"edge {j}", found=repr(edge), expected="two vertices")
            for j, edge in enumerate(listed)
            if len(edge) < 2  # networkx multigraphs add a key
        ]
        if issues:
            raise InvalidProblemError(issues)
        name = {v: k for k, v in enumerate(dict.fromkeys(v for edge in listed for v in edge[:2]))}
        self._set(edges=tuple((name[edge[0]], name[edge[1]]) for edge in listed))

    @classmethod
    def complete(cls, n_vertices: int) -> GraphicMatroid:
        """Take all edges of the complete graph, in lexicographic order."""
        return cls(tuple(combinations(range(n_vertices), 2)))

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of edges."""
        return len(self.edges)

    def basis(self, order: Iterable[int]) -> tuple[int, ...]:
        """Keep an edge if it joins two components of those kept."""
        parent: dict[int, int] = {}

        def root(v: int) -> int:
            while (above := parent.setdefault(v, v)) != v:
                parent[v] = v = parent[above]
            return v

        kept = []
        for j in order:
            ends = [root(v) for v in self.edges[j]]
            if ends[0] != ends[1]:
                parent[ends[0]] = ends[1]
                kept.append(j)
        return tuple(kept)


@dataclass(frozen=True)
class LinearMatroid(Matroid):
    """Goods are the rows of a matrix; a bundle is independent if its rows are linearly independent.

    Parameters
    ----------
    rows : array_like or sequence of sequences, shape (n_goods, n_columns)
        Integers or fractions.
    prime : int, optional
        Independence over the field of integers modulo this prime; None: over the rationals.

    Examples
    --------
    >>> rows = [[1, 1, 0], [0, 1, 1], [1, 0, 1]]
    >>> LinearMatroid(rows).rank([0, 1, 2]), LinearMatroid(rows, prime=2).rank([0, 1, 2])
    (3, 2)
    """

    kind: ClassVar[str] = "linear-matroid"
    rows: Sequence[Sequence[int | Fraction]]
    prime: int | None = None

    def __post_init__(self) -> None:
        issues = []
        if self.prime is not None and not _is_prime(self.prime):
            issues.append(Issue("prime", found=repr(self.prime), expected="a prime number, or None"))
        exact = tuple(tuple(_rational(entry, j, issues) for entry in row) for j, row in enumerate(self.rows))
        if len({len(row) for row in exact}) > 1:
            issues.append(Issue("rows", found="different lengths", expected="equally many entries each"))
        if self.prime is not None and not issues:
            issues += [
                Issue(f"row {j}", found=str(entry), expected=f"no denominator divisible by {self.prime}")
                for j, row in enumerate(exact)
                for entry in row
                if entry.denominator % self.prime == 0
            ]
        if issues:
            raise InvalidProblemError(issues)
        self._set(rows=exact)

    @property
    def size(self) -> int:  # type: ignore[override]
        """Number of rows."""
        return len(self.rows)

    def basis(self, order: Iterable[int]) -> tuple[int, ...]:
        """Keep a row if eliminating those kept leaves something of it."""
        p = self.prime
        reduced: list[tuple[int, list[int | Fraction]]] = []  # pivot column, row with 1 there
        kept = []
        for j in order:
            row: list[int | Fraction] = [
                entry if p is None else entry.numerator * pow(entry.denominator, -1, p) % p
                for entry in self.rows[j]
            ]
            for pivot, other in reduced:
                if factor := row[pivot]:
                    row = [a - factor * b for a, b in zip(row, other, strict=True)]
                    row = row if p is None else [a % p for a in row]
            lead = next((column for column, entry in enumerate(row) if entry), None)
            if lead is None:
                continue
            inverse = Fraction(1) / row[lead] if p is None else pow(int(row[lead]), -1, p)
            row = [a * inverse for a in row] if p is None else [a * inverse % p for a in row]
            reduced.append((lead, row))
            kept.append(j)
        return tuple(kept)


@dataclass(frozen=True)
class TransversalMatroid(Matroid):
    """A bundle is independent if its goods can be given to different sets that hold them.

    Parameters
    ----------
    size : int
        Number of goods.
    sets : sequence of iterables of int
        The sets.

    Examples
    --------
    >>> TransversalMatroid(3, [[0, 1], [1, 2]]).independent([0, 1, 2])
    False
    """

    kind: ClassVar[str] = "transversal-matroid"
    size: int
    sets: Sequence[Collection[int]]

    def __post_init__(self) -> None:
        _count(self.size, "size")
        self._set(sets=tuple(goods_mask(s, self.size, f"set {k}") for k, s in enumerate(self.sets)))

    def basis(self, order: Iterable[int]) -> tuple[int, ...]:
        """Keep a good if an alternating path finds it a set."""
        owner: dict[int, int] = {}

        def place(j: int, seen: set[int]) -> bool:
            for k, members in enumerate(self.sets):
                if j in members and k not in seen:
                    seen.add(k)
                    if k not in owner or place(owner[k], seen):
                        owner[k] = j
                        return True
            return False

        return tuple(j for j in order if place(j, set()))


@dataclass(frozen=True)
class WeightedRank(Valuation):
    r"""Weighted matroid rank: :math:`u(A) = \max \{ w(I) : I \subseteq A \text{ independent} \}`.

    Closed under :class:`Restriction`, :class:`Endowment` and :class:`Satiation` (restriction, contraction
    and truncation of the matroid).

    Parameters
    ----------
    matroid : Matroid
        Which goods go together.
    weights : sequence of numbers, optional
        w, at least 0; default 1 each, so that u is the rank.

    Examples
    --------
    >>> u = WeightedRank(GraphicMatroid.complete(3), [3, 2, 1])
    >>> u.value([0, 1, 2]), u.value([1, 2])
    (5, 3)
    """

    kind: ClassVar[str] = "weighted-rank"
    matroid: Matroid
    weights: Sequence[Number] | None = None

    def __post_init__(self) -> None:
        given = [1] * self.matroid.size if self.weights is None else self.weights
        self._set(weights=non_negative(given, "weight of good"))
        if len(given) != self.matroid.size:
            expected = f"{self.matroid.size}, one per good"
            raise InvalidProblemError([Issue("weights", found=f"{len(given)}", expected=expected)])

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.matroid.size

    def _weight(self, good: int) -> Number:
        return (self.weights or ())[good]

    def _value(self, mask: int) -> Number:
        order = sorted(goods_in(mask), key=self._weight, reverse=True)
        return sum(self._weight(j) for j in self.matroid.basis(order))

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        # The greedy algorithm: goods taken anyway (their price is negative) enter at no further price.
        free, gain = 0, {}
        for j in range(self.n_goods):
            alone = (-before[j], -cost[j], -after[j])
            price = (0, 0, 0) if alone > (0, 0, 0) else alone
            free |= (alone > (0, 0, 0)) << j
            gain[j] = (price[0], self._weight(j) + price[1], price[2])
        worth = [j for j in sorted(gain, key=lambda j: gain[j], reverse=True) if gain[j] > (0, 0, 0)]
        return free | mask_of(self.matroid.basis(worth))


def _is_prime(p: Any) -> bool:
    return type(p) is int and p > 1 and all(p % d for d in range(2, int(p**0.5) + 1))


def _rational(entry: Any, row: int, issues: list[Issue]) -> int | Fraction:
    try:
        exact = Fraction(entry if isinstance(entry, int | Fraction) else float(entry))
    except (TypeError, ValueError, OverflowError):
        exact = None
    if exact is None or (not isinstance(entry, Fraction) and exact.denominator > 1):
        issues.append(Issue(f"row {row}", found=repr(entry), expected="integers or fractions"))
        return 0
    return int(exact) if exact.denominator == 1 else exact
