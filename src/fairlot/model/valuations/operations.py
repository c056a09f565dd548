r"""Operations that keep valuations M♮-concave: endowment, restriction, convolution, scaling.

Each object answers by asking its parts, so that values and demands are exact if theirs are. Sub-bundles
that meet bounds are in ``constrained.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import Valuation
from fairlot.model.valuations.bounds import goods_mask
from fairlot.model.valuations.expressions import INFINITY, Number, finite, goods_in, mask_of
from fairlot.model.valuations.partition import Worth, best_partition, extended

_FREE = (0, 0, 0)
"""A good whose price is below this is taken even by one to whom it is worth nothing."""


@dataclass(frozen=True)
class Endowment(Valuation):
    r"""Endowment: :math:`u(A) = v(A \cup B) - v(B)`, the value of A to one who holds B.

    Endowments add up: ``Endowment(Endowment(v, B), C)`` equals ``Endowment(v, B | C)``.

    Parameters
    ----------
    valuation : Valuation
        v.
    goods : iterable of int
        B, a bundle of the domain of v.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> Endowment(UnitDemand([3, 5, 4]), [2]).table()
    (0, 0, 1, 1, 0, 0, 1, 1)
    """

    kind: ClassVar[str] = "endowment"
    valuation: Valuation
    goods: Collection[int]

    def __post_init__(self) -> None:
        self._set(goods=goods_mask(self.goods, self.valuation.n_goods, "endowment"))
        held = self.valuation.value(self.goods)
        if held == -INFINITY:
            expected = "a bundle of the domain"
            raise InvalidProblemError([Issue("endowment", found=str(list(self.goods)), expected=expected)])
        self._set(_held=held)

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.valuation.n_goods

    def _value(self, mask: int) -> Number:
        held: Number = self._held  # type: ignore[attr-defined]
        return self.valuation._value(mask | mask_of(self.goods)) - held

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        held = mask_of(self.goods)
        # Whatever the prices say, the endowment is there; buying it again is worth nothing.
        force = 1 + 2 * sum(map(abs, before))
        best = self.valuation._argmax(
            [-force if held >> j & 1 else b for j, b in enumerate(before)],
            [0 if held >> j & 1 else c for j, c in enumerate(cost)],
            [0 if held >> j & 1 else a for j, a in enumerate(after)],
        )
        again = mask_of(j for j in self.goods if (before[j], cost[j], after[j]) < _FREE)
        return best & ~held | again


@dataclass(frozen=True)
class Restriction(Valuation):
    r"""Restriction: :math:`u(A) = v(A \cap B)`; goods outside B are worth nothing.

    Restrictions intersect: ``Restriction(Restriction(v, B), C)`` equals ``Restriction(v, B & C)``.

    Parameters
    ----------
    valuation : Valuation
        v; some bundle within B must be in its domain.
    goods : iterable of int
        B.

    Examples
    --------
    >>> from fairlot.model.valuations import Additive
    >>> Restriction(Additive([3, 5]), [0]).value([0, 1])
    3
    """

    kind: ClassVar[str] = "restriction"
    valuation: Valuation
    goods: Collection[int]

    def __post_init__(self) -> None:
        self._set(goods=goods_mask(self.goods, self.valuation.n_goods, "restriction"))
        kept, zero = mask_of(self.goods), [0] * self.n_goods
        out = [1 - (kept >> j & 1) for j in range(self.n_goods)]
        first = self.valuation._argmax(out, zero, zero)
        if first & ~kept:
            expected = "goods that hold a bundle of the domain"
            raise InvalidProblemError([Issue("restriction", found=str(list(self.goods)), expected=expected)])
        self._set(_first=first)

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.valuation.n_goods

    def _value(self, mask: int) -> Number:
        return self.valuation._value(mask & mask_of(self.goods))

    def _some_bundle(self) -> int:
        first: int = self._first  # type: ignore[attr-defined]
        return first

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        kept = mask_of(self.goods)
        forbid = 1 + 2 * sum(map(abs, before))
        best = self.valuation._argmax(
            [b if kept >> j & 1 else forbid for j, b in enumerate(before)],
            cost,
            after,
        )
        prices = zip(before, cost, after, strict=True)
        return best | mask_of(j for j, price in enumerate(prices) if not kept >> j & 1 and price < _FREE)


@dataclass(frozen=True)
class Convolution(Valuation):
    r"""Convolution: :math:`u(A) = \max \{\sum_i v_i(B_i) : \text{the } B_i \text{ partition } A\}`.

    What agents with valuations :math:`v_i` make of A together. Commutative and associative; convolving with a
    valuation that is always 0 lets goods be thrown away.

    Parameters
    ----------
    parts : sequence of Valuation
        The :math:`v_i`, at least one, on the same goods.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> Convolution([UnitDemand([5, 4, 1]), UnitDemand([3, 3, 0])]).value([0, 1])
    8
    """

    kind: ClassVar[str] = "convolution"
    parts: Sequence[Valuation]

    def __post_init__(self) -> None:
        self._set(parts=tuple(self.parts))
        sizes = sorted({part.n_goods for part in self.parts})
        if len(sizes) != 1:
            expected = "at least one valuation, all on the same goods"
            raise InvalidProblemError([Issue("parts", found=f"on {sizes} goods", expected=expected)])
        self._set(_worths=[extended(part) for part in self.parts], _known={})
        zero = [0] * sizes[0]
        self._set(_first=self._argmax(zero, zero, zero))
        if self._value(self._some_bundle()) == -INFINITY:
            expected = "parts whose domains hold disjoint bundles"
            raise InvalidProblemError([Issue("parts", found="no common division", expected=expected)])

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.parts[0].n_goods

    def _value(self, mask: int) -> Number:
        known: dict[int, Number] = self._known  # type: ignore[attr-defined]
        if mask not in known:
            known[mask] = self._divided(mask)
        return known[mask]

    def _divided(self, mask: int) -> Number:
        worths: list[Callable[[int], Worth]] = self._worths  # type: ignore[attr-defined]
        bundles = best_partition(worths, goods_in(mask))
        divided = [worth(bundle) for worth, bundle in zip(worths, bundles, strict=True)]
        if any(missing for missing, _ in divided):
            return -INFINITY
        return sum(value for _, value in divided)

    def _some_bundle(self) -> int:
        first: int = self._first  # type: ignore[attr-defined]
        return first

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        # One more agent, whom leaving a good pays its price, and who gets what nobody is worth it to.
        def part(worth: Callable[[int], Worth]) -> Callable[[int], Worth]:
            def padded(mask: int) -> Worth:
                missing, value = worth(mask)
                return missing, 0, value, 0

            return padded

        def left(mask: int) -> Worth:
            goods = goods_in(mask)
            return 0, sum(before[j] for j in goods), sum(cost[j] for j in goods), sum(after[j] for j in goods)

        worths = [*map(part, self._worths), left]  # type: ignore[attr-defined]
        bundles = best_partition(worths, range(self.n_goods))
        return (1 << self.n_goods) - 1 & ~bundles[-1]


@dataclass(frozen=True)
class Scaling(Valuation):
    r"""Scaling: :math:`u(A) = c\,v(A)`, on the domain of v also where c = 0.

    Scalings multiply. Lemma 1 scales by :math:`\lambda_i`, the passage to fiat money by n.

    Parameters
    ----------
    valuation : Valuation
        v.
    factor : number
        c, at least 0.
    """

    kind: ClassVar[str] = "scaling"
    valuation: Valuation
    factor: Number

    def __post_init__(self) -> None:
        self._set(factor=finite(self.factor, "factor"))
        if self.factor < 0:
            raise InvalidProblemError([Issue("factor", found=str(self.factor), expected="at least 0")])

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return self.valuation.n_goods

    def _value(self, mask: int) -> Number:
        value = self.valuation._value(mask)
        return value if value == -INFINITY else self.factor * value

    def _some_bundle(self) -> int:
        return self.valuation._some_bundle()

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        if self.factor == 0:
            return super()._argmax(before, cost, after)
        factor = self.factor if isinstance(self.factor, float) else Fraction(self.factor)
        return self.valuation._argmax(before, [c / factor for c in cost], after)
