"""Families given by numbers: unit demand, additive, concave of cardinality, laminar concave, tables."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import MOST_ENUMERATED, Valuation
from fairlot.model.valuations.bounds import Bound, check_hierarchy, goods_mask
from fairlot.model.valuations.expressions import INFINITY, Expression, Number, finite, goods_in, number


def non_negative(values: Sequence[Any], name: str) -> tuple[Number, ...]:
    """Check that values are finite numbers of at least 0."""
    checked = tuple(finite(value, f"{name} {j}") for j, value in enumerate(values))
    issues = [
        Issue(f"{name} {j}", found=str(value), expected="at least 0")
        for j, value in enumerate(checked)
        if value < 0
    ]
    if issues:
        raise InvalidProblemError(issues)
    return checked


def _concave(steps: Sequence[Any], name: str) -> tuple[Number, ...]:
    """Check that a sequence g(0), g(1), ... is concave."""
    g = tuple(finite(value, f"{name} at {k}") for k, value in enumerate(steps))
    if not g:
        raise InvalidProblemError([Issue(name, found="no value", expected="its values at 0, 1, 2, ...")])
    gains = [after - before for before, after in pairwise(g)]
    for k, (first, second) in enumerate(pairwise(gains)):
        if second > first:
            raise InvalidProblemError(
                [
                    Issue(
                        f"{name} is not concave: it gains {first} from {k} to {k + 1}, then {second}",
                        expected="gains that never grow",
                    )
                ]
            )
    return g


@dataclass(frozen=True)
class UnitDemand(Valuation):
    r"""Unit demand: :math:`u(A) = \max_{j \in A} v_j`, and 0 for the empty bundle.

    One-to-one matching. Closed under :class:`Restriction`; a :class:`Convolution` of unit demands is an
    :class:`AssignmentValuation`.

    Parameters
    ----------
    values : sequence of numbers, shape (n_goods,)
        v, at least 0.

    Examples
    --------
    >>> UnitDemand([3, 5]).value([0, 1])
    5
    """

    kind: ClassVar[str] = "unit-demand"
    values: Sequence[Number]

    def __post_init__(self) -> None:
        self._set(values=non_negative(self.values, "value of good"))

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return len(self.values)

    def _value(self, mask: int) -> Number:
        return max((self.values[j] for j in goods_in(mask)), default=0)


@dataclass(frozen=True)
class Additive(Valuation):
    r"""Additive: :math:`u(A) = \sum_{j \in A} v_j`. Every set of goods is a module.

    Parameters
    ----------
    values : sequence of numbers, shape (n_goods,)
        v, at least 0.

    Examples
    --------
    >>> Additive([3, 5]).value([0, 1])
    8
    """

    kind: ClassVar[str] = "additive"
    values: Sequence[Number]

    def __post_init__(self) -> None:
        self._set(values=non_negative(self.values, "value of good"))

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return len(self.values)

    def _value(self, mask: int) -> Number:
        return sum(self.values[j] for j in goods_in(mask))


@dataclass(frozen=True)
class Cardinality(Valuation):
    r"""Concave of cardinality: :math:`u(A) = f(|A|)` for concave f.

    Parameters
    ----------
    levels : sequence of numbers, shape (n_goods + 1,)
        f(0), f(1), ..., f(L), concave.

    Raises
    ------
    InvalidProblemError
        Telling where f is not concave.

    Examples
    --------
    >>> Cardinality([0, 3, 5, 6]).value([0, 2])
    5
    """

    kind: ClassVar[str] = "cardinality"
    levels: Sequence[Number]

    def __post_init__(self) -> None:
        self._set(levels=_concave(self.levels, "f"))

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return len(self.levels) - 1

    def _value(self, mask: int) -> Number:
        return self.levels[mask.bit_count()]


@dataclass(frozen=True)
class Taste(Expression):
    r"""One term :math:`g(|A \cap S|)` of a laminar concave valuation.

    Parameters
    ----------
    goods : iterable of int
        S.
    levels : sequence of numbers
        g(0), g(1), ..., g(\|S\|), concave.
    """

    kind: ClassVar[str] = "taste"
    goods: Collection[int]
    levels: Sequence[Number]

    def __post_init__(self) -> None:
        self._set(
            goods=Bound(self.goods).goods,
            levels=_concave(self.levels, "g"),
        )
        if len(self.levels) != len(self.goods) + 1:
            expected = f"{len(self.goods) + 1}, for 0 to {len(self.goods)} goods"
            raise InvalidProblemError([Issue("levels", found=str(len(self.levels)), expected=expected)])


@dataclass(frozen=True)
class LaminarConcave(Valuation):
    r"""Laminar concave: :math:`u(A) = \sum_{S \in \mathcal H} g_S(|A \cap S|)`, a hierarchy of concave g.

    A sum of laminar concave valuations on one hierarchy is laminar concave.

    Parameters
    ----------
    size : int
        Number of goods.
    terms : sequence of Taste or of (goods, levels)
        The sets and their g.

    Raises
    ------
    InvalidProblemError
        Telling which sets cross, or where a g is not concave.

    Examples
    --------
    >>> u = LaminarConcave(3, [([0], [0, 4]), ([1], [0, 4]), ([0, 1], [0, 0, -3])])
    >>> u.value([0, 1]), u.value([0, 2])
    (5, 4)
    """

    kind: ClassVar[str] = "laminar-concave"
    size: int
    terms: tuple[Taste, ...]

    def __post_init__(self) -> None:
        terms = tuple(term if isinstance(term, Taste) else Taste(*term) for term in self.terms)
        self._set(terms=terms)
        issues = check_hierarchy([Bound(term.goods) for term in terms], self.size, "term")
        if issues:
            raise InvalidProblemError(issues)
        self._set(_masks=tuple(Bound(term.goods).mask for term in terms))

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.size

    def _value(self, mask: int) -> Number:
        masks: tuple[int, ...] = self._masks  # type: ignore[attr-defined]
        return sum(
            term.levels[(mask & members).bit_count()] for term, members in zip(self.terms, masks, strict=True)
        )


@dataclass(frozen=True)
class Table(Valuation):
    r"""An explicit table: the value of every bundle.

    Whatever the table holds is taken, and demand is found by looking at all bundles;
    :func:`fairlot.verify_valuation` says whether it is M♮-concave, on which operations and equilibria rely.

    Parameters
    ----------
    values : sequence of numbers, shape (2**n_goods,)
        Bundle A is at the bitmask of A (good j is bit j); ``-inf`` outside the domain.

    Raises
    ------
    InvalidProblemError
        If the length is no power of two, or no bundle has a value.

    Examples
    --------
    >>> Table([0, 10, 8, 11]).value([1])
    8
    """

    kind: ClassVar[str] = "table"
    values: Sequence[Number]

    def __post_init__(self) -> None:
        self._set(values=tuple(number(value, f"value {mask}") for mask, value in enumerate(self.values)))
        size = len(self.values)
        if not size or size & (size - 1) or size > 1 << MOST_ENUMERATED:
            expected = f"2**n_goods values, at most {MOST_ENUMERATED} goods"
            raise InvalidProblemError([Issue("table", found=f"{size} values", expected=expected)])
        if max(self.values) in (INFINITY, -INFINITY):
            expected = "finite values, -inf outside the domain, and not all -inf"
            raise InvalidProblemError([Issue("table", found=str(max(self.values)), expected=expected)])

    @classmethod
    def of(cls, valuation: Valuation) -> Table:
        """Write a valuation out as a table."""
        return cls(valuation.table())

    @classmethod
    def from_bundles(cls, n_goods: int, values: Any, missing: Any = -INFINITY) -> Table:
        """Make a table from a mapping of bundles to values.

        Parameters
        ----------
        n_goods : int
            Number of goods.
        values : mapping
            From a collection of goods (a tuple or frozenset) to a number.
        missing : number
            Value of bundles that are not listed; the default leaves them outside the domain.

        Examples
        --------
        >>> Table.from_bundles(2, {(): 0, (0,): 10, (1,): 8, (0, 1): 11})
        Table(values=(0, 10, 8, 11))
        """
        filled = [missing] * (1 << n_goods)
        for bundle, value in values.items():
            filled[Bound(goods_mask(bundle, n_goods, "bundle")).mask if bundle else 0] = value
        return cls(tuple(filled))

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return len(self.values).bit_length() - 1

    def _value(self, mask: int) -> Number:
        return self.values[mask]

    def _some_bundle(self) -> int:
        return next(mask for mask, value in enumerate(self.values) if value != -INFINITY)

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        # All bundles are at hand: the answer is right whatever the table holds.
        kept_out, spent, ties = (_sums(prices) for prices in (before, cost, after))
        known = (mask for mask, value in enumerate(self.values) if value != -INFINITY)
        return max(known, key=lambda mask: (-kept_out[mask], self.values[mask] - spent[mask], -ties[mask]))


def _sums(prices: Sequence[Number]) -> list[Number]:
    """Add up prices over all bundles, by bitmask."""
    sums: list[Number] = [0]
    for price in prices:
        sums += [price + rest for rest in sums]
    return sums
