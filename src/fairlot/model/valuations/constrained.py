r"""Individual constraints: the best sub-bundle that meets bounds.

For bounds C, :math:`u_C(A) = \max \{v(B) : B \subseteq A, B \in \mathcal A_C\}`, and :math:`-\infty` where A
holds no bundle that meets C. One bound on the number of goods gives :class:`Satiation` and
:class:`LowerBound`; a hierarchy of bounds on modules of v :class:`Constrained`.

How far B misses the bounds, :math:`\sum_k`, is laminar concave, and with such sets v stays M♮-concave beside
it; so one ascent that compares first the excess, then the rest, finds the best B.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from typing import ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import Valuation, steepest_ascent
from fairlot.model.valuations.bounds import Bound, check_hierarchy
from fairlot.model.valuations.expressions import INFINITY, Number, goods_in, mask_of, rounding

_MODULES_ENUMERATED = 10
"""Most goods of which a constraint's modules are checked on all bundles."""
_MODULE_CHECKS = 300


@dataclass(frozen=True)
class _BestWithin(Valuation):
    """The best sub-bundle that meets :meth:`limits`."""

    valuation: Valuation
    _base: ClassVar[Valuation]  # what the ascent climbs: the valuation, or what it constrains itself
    _limits: ClassVar[tuple[Bound, ...]]
    _known: ClassVar[dict[int, Number]]
    _first: ClassVar[int]

    @property
    @abstractmethod
    def limits(self) -> tuple[Bound, ...]:
        """The bounds."""

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.valuation.n_goods

    def _prepare(self) -> None:
        """Find a bundle that meets the bounds, or refuse."""
        base, limits = self.valuation, self.limits
        if isinstance(base, _BestWithin) and not any(bound.lower for bound in limits):
            # A part of what stays below upper bounds stays below them: both constraints are one.
            merged = limits + base._limits
            if not check_hierarchy(merged, self.n_goods):
                base, limits = base._base, merged
        self._set(_base=base, _limits=limits, _known={})
        zero = [0] * self.n_goods
        first = self._best_inner(zero, zero, zero)
        if any(bound.excess(first) for bound in limits):
            expected = "bounds that some bundle of the domain meets"
            raise InvalidProblemError(
                [Issue("no bundle meets the bounds", found=str(self.limits), expected=expected)]
            )
        self._set(_first=first)

    def _best_inner(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        """Find the sub-bundle B that best meets the bounds and then does best at prices."""
        worth = self._base._worth(before, cost, after)
        limits = self._limits

        def bounded(mask: int) -> tuple[Number, ...] | None:
            found = worth(mask)
            return found and (-sum(bound.excess(mask) for bound in limits), *found)

        start = getattr(self, "_first", self._base._some_bundle())
        return steepest_ascent(bounded, start, self.n_goods)

    def _value(self, mask: int) -> Number:
        if mask not in self._known:
            out = [1 - (mask >> j & 1) for j in range(self.n_goods)]
            zero = [0] * self.n_goods
            best = self._best_inner(out, zero, zero)
            self._known[mask] = -INFINITY if best & ~mask else self._base._value(best)
        return self._known[mask]

    def _some_bundle(self) -> int:
        return self._first

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        # A good with a negative price is taken in any case, inside B or beside it.
        prices = list(zip(before, cost, after, strict=True))
        anyway = mask_of(j for j, price in enumerate(prices) if price < (0, 0, 0))
        paid = [(0, 0, 0) if anyway >> j & 1 else price for j, price in enumerate(prices)]
        return anyway | self._best_inner([p[0] for p in paid], [p[1] for p in paid], [p[2] for p in paid])


@dataclass(frozen=True)
class Satiation(_BestWithin):
    r"""Satiation: :math:`u(A) = \max_{B \subseteq A, |B| \le k} v(B)`, the best k goods.

    Satiations take the smaller k: ``Satiation(Satiation(v, 3), 2)`` equals ``Satiation(v, 2)``.

    Parameters
    ----------
    valuation : Valuation
        v; some bundle of at most k goods must be in its domain.
    most : int
        k.

    Examples
    --------
    >>> from fairlot.model.valuations import Additive
    >>> Satiation(Additive([5, 4, 1]), 2).value([0, 1, 2])
    9
    """

    kind: ClassVar[str] = "satiation"
    most: int

    def __post_init__(self) -> None:
        _count(self.most, "most")
        self._prepare()

    @property
    def limits(self) -> tuple[Bound, ...]:
        """The bound on all goods."""
        return (Bound(tuple(range(self.n_goods)), upper=self.most),)


@dataclass(frozen=True)
class LowerBound(_BestWithin):
    r"""Lower bound: :math:`u(A) = \max_{B \subseteq A, |B| \ge k} v(B)`; :math:`-\infty` if :math:`|A| < k`.

    Lower bounds take the larger k: ``LowerBound(LowerBound(v, 3), 2)`` equals ``LowerBound(v, 3)``.

    Parameters
    ----------
    valuation : Valuation
        v; some bundle of at least k goods must be in its domain.
    least : int
        k.

    Examples
    --------
    >>> from fairlot.model.valuations import Additive
    >>> LowerBound(Additive([5, 4]), 1).table()
    (-inf, 5, 4, 9)
    """

    kind: ClassVar[str] = "lower-bound"
    least: int

    def __post_init__(self) -> None:
        _count(self.least, "least")
        self._prepare()

    @property
    def limits(self) -> tuple[Bound, ...]:
        """The bound on all goods."""
        return (Bound(tuple(range(self.n_goods)), lower=self.least),)


@dataclass(frozen=True)
class Constrained(_BestWithin):
    r"""The C-constrained valuation :math:`u_C` of a hierarchical constraint on modules of v.

    A set B is a *module* if v is separable across it, :math:`v(A) = v(A \cap B) + v(A \setminus B)` where
    :math:`v(\emptyset) = 0`; then :math:`u_C` is M♮-concave (Theorem 2, Step 1). A bound on all goods needs
    no module. ``Constrained(Constrained(v, C), D)`` equals ``Constrained(v, C + D)`` where D has no lower
    bounds and its sets are still modules of the inner valuation.

    Parameters
    ----------
    valuation : Valuation
        v.
    bounds : sequence of Bound
        C.

    Raises
    ------
    InvalidProblemError
        Telling which sets cross, which set is no module (all bundles of up to 10 goods are looked at, of
        more a sample), or that no bundle meets the bounds.

    Examples
    --------
    >>> from fairlot.model.valuations import Additive, Bound
    >>> Constrained(Additive([5, 4, 1]), [Bound([0, 1], upper=1), Bound([2], lower=1)]).table()
    (-inf, -inf, -inf, -inf, 1, 6, 5, 6)
    """

    kind: ClassVar[str] = "constrained"
    bounds: Sequence[Bound]

    def __post_init__(self) -> None:
        self._set(bounds=tuple(self.bounds))
        issues = check_hierarchy(self.bounds, self.n_goods) or _not_modules(self.valuation, self.bounds)
        if issues:
            raise InvalidProblemError(issues)
        self._prepare()

    @property
    def limits(self) -> tuple[Bound, ...]:
        """The bounds C."""
        return tuple(self.bounds)


def _count(given: object, name: str) -> None:
    if type(given) is not int or given < 0:
        raise InvalidProblemError([Issue(name, found=repr(given), expected="an integer of at least 0")])


def _not_modules(valuation: Valuation, bounds: Sequence[Bound]) -> list[Issue]:
    """Tell the sets across which the valuation is seen not to be separable."""
    n_goods = valuation.n_goods
    everything = (1 << n_goods) - 1
    bundles = list(range(1 << n_goods)) if n_goods <= _MODULES_ENUMERATED else _sample(valuation)
    issues = []
    for k, bound in enumerate(bounds):
        inside = bound.mask
        if inside == everything:
            continue
        bundle = separability_failure(valuation, inside, bundles)
        if bundle is not None:
            told = f"bound {k} is on {list(bound.goods)}, which is no module of the valuation"
            expected = "a set across which values add up"
            issues.append(Issue(f"{told}: see bundle {list(goods_in(bundle))}", expected=expected))
    return issues


def _sample(valuation: Valuation) -> list[int]:
    random = Random(0)
    return [random.getrandbits(valuation.n_goods) for _ in range(_MODULE_CHECKS)]


def separability_failure(valuation: Valuation, inside: int, bundles: Sequence[int]) -> int | None:
    """Return a bundle of which inside and outside parts do not add up, against one bundle of the domain."""
    value = valuation._value
    base = valuation._some_bundle()
    for mask in bundles:
        whole = (value(mask), value(base))
        parts = (value(mask & inside | base & ~inside), value(base & inside | mask & ~inside))
        if -INFINITY in whole or -INFINITY in parts:
            if (-INFINITY in whole) != (-INFINITY in parts):
                return mask
            continue
        gap = sum(whole) - sum(parts)
        if max(gap, -gap) > rounding(whole + parts):
            return mask
    return None
