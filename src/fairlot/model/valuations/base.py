r"""Valuations: what a bundle is worth, and what is demanded at prices.

A valuation is :math:`u : 2^H \to \mathbf R \cup \{-\infty\}` on goods :math:`H = \{0, \dots, L-1\}`; its
domain, the consumption set, is :math:`\operatorname{dom} u = \{A : u(A) > -\infty\}`. It is **M♮-concave**
if for all :math:`A, B \in \operatorname{dom} u` and :math:`j \in A \setminus B` there is
:math:`D \subset B \setminus A`, :math:`|D| \le 1`, with

.. math:: u((A \setminus \{j\}) \cup D) + u((B \setminus D) \cup \{j\}) \ge u(A) + u(B).

Then a bundle that no adding, dropping or swapping of single goods improves is the best of all, and stays
so when a modular function is added. Every demand below is found by such a *steepest ascent*, with tuples
compared from the left in place of numbers: any M♮-concave function and any priorities do.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.valuations.expressions import (
    INFINITY,
    Expression,
    Number,
    finite,
    goods_in,
    mask_of,
)

MOST_ENUMERATED = 16
"""Most goods of which all bundles are listed."""


class Valuation(Expression):
    r"""A set function :math:`u` on goods ``0..n_goods - 1``; the subclasses are its families and operations.

    Values are integers or fractions where what they are made of is, and then every answer is exact.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> u = UnitDemand([5, 3])
    >>> u.value([0, 1]), u.demand([4, 1]), u.table()
    (5, frozenset({1}), (0, 5, 3, 5))
    """

    @property
    @abstractmethod
    def n_goods(self) -> int:
        """Number of goods L."""

    @abstractmethod
    def _value(self, mask: int) -> Number:
        """Compute the value of the bundle with this bitmask."""

    def _some_bundle(self) -> int:
        """Return the bitmask of one bundle of the domain: where ascents start."""
        return 0

    def value(self, bundle: Collection[int]) -> Number:
        r"""Compute :math:`u(A)`; :math:`-\infty` outside the domain.

        Parameters
        ----------
        bundle : collection of int
            Goods, in any order.

        Raises
        ------
        InvalidProblemError
            If it names something that is no good.
        """
        return self._value(self._mask(bundle))

    def __call__(self, bundle: Collection[int]) -> Number:
        """Compute :math:`u(A)`, as :meth:`value` does."""
        return self.value(bundle)

    def table(self) -> tuple[Number, ...]:
        """List the values of all bundles, shape (2**n_goods,): bundle A is at the bitmask of A.

        Raises
        ------
        NotSupportedError
            If there are more than :data:`MOST_ENUMERATED` goods.
        """
        known: tuple[Number, ...] | None = getattr(self, "_table", None)
        if known is None:
            if self.n_goods > MOST_ENUMERATED:
                msg = (
                    f"listing all bundles of {self.n_goods} goods; at most {MOST_ENUMERATED} goods are listed"
                )
                raise NotSupportedError(msg)
            known = tuple(self._value(mask) for mask in range(1 << self.n_goods))
            self._set(_table=known)
        return known

    def demand(self, prices: Sequence[Any], money_value: Any = 1) -> frozenset[int]:
        r"""Find one bundle that maximises :math:`u(A) - \alpha\,p(A)`.

        Parameters
        ----------
        prices : sequence of numbers, shape (n_goods,)
            p, money per good.
        money_value : number
            α, utility per unit of money, at least 0.

        Raises
        ------
        InvalidProblemError
            If the prices are not a finite number per good, or the value of money is negative.
        """
        cost, prices = self._costs(prices, money_value)
        zero = [0] * self.n_goods
        return frozenset(goods_in(self._argmax(zero, cost, zero)))

    def cheapest_demand(self, prices: Sequence[Any], money_value: Any = 1) -> frozenset[int]:
        r"""Find a bundle of least price :math:`p(A)` among the maximisers of :math:`u(A) - \alpha\,p(A)`.

        At :math:`\alpha = 0` this is the cheapest bundle of a satiated agent.

        Parameters
        ----------
        prices, money_value
            As in :meth:`demand`.
        """
        cost, prices = self._costs(prices, money_value)
        return frozenset(goods_in(self._argmax([0] * self.n_goods, cost, prices)))

    def dearest_demand(self, prices: Sequence[Any], money_value: Any = 1) -> frozenset[int]:
        r"""Find a bundle of greatest price :math:`p(A)` among the maximisers of :math:`u(A) - \alpha\,p(A)`.

        Parameters
        ----------
        prices, money_value
            As in :meth:`demand`.
        """
        cost, prices = self._costs(prices, money_value)
        return frozenset(goods_in(self._argmax([0] * self.n_goods, cost, [-p for p in prices])))

    def demand_set(
        self, prices: Sequence[Any], money_value: Any = 1, tol: Number = 0
    ) -> tuple[frozenset[int], ...]:
        r"""List :math:`D_u(p)`, all maximisers of :math:`u(A) - \alpha\,p(A)`, by enumeration.

        Parameters
        ----------
        prices, money_value
            As in :meth:`demand`.
        tol : number
            How far below the maximum a bundle still counts; 0 is right for exact numbers.

        Raises
        ------
        NotSupportedError
            If there are more than :data:`MOST_ENUMERATED` goods.
        """
        cost, _ = self._costs(prices, money_value)
        spent: list[Number] = [0]
        for c in cost:
            spent += [c + rest for rest in spent]
        surplus = [value - price for value, price in zip(self.table(), spent, strict=True)]
        best = max(surplus)
        return tuple(frozenset(goods_in(mask)) for mask, s in enumerate(surplus) if best - s <= tol)

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        """Maximise (-before(A), u(A) - cost(A), -after(A)), compared from the left, over the domain.

        Everything that composes valuations uses this one question: ``before`` outweighs any value (it
        keeps goods out), ``after`` breaks ties.
        """
        return steepest_ascent(self._worth(before, cost, after), self._some_bundle(), self.n_goods)

    def _worth(
        self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]
    ) -> Callable[[int], tuple[Number, ...] | None]:
        """Return what :meth:`_argmax` maximises, as a function of bitmasks; None outside the domain."""

        def worth(mask: int) -> tuple[Number, ...] | None:
            value = self._value(mask)
            if value == -INFINITY:
                return None
            goods = goods_in(mask)
            return (
                -sum(before[j] for j in goods),
                value - sum(cost[j] for j in goods),
                -sum(after[j] for j in goods),
            )

        return worth

    def _costs(self, prices: Sequence[Any], money_value: Any) -> tuple[list[Number], list[Number]]:
        """Check prices and value of money; return α p and p."""
        if len(prices) != self.n_goods:
            raise InvalidProblemError(
                [Issue("prices", found=f"{len(prices)} numbers", expected=f"{self.n_goods}, one per good")]
            )
        checked = [finite(price, f"price of good {j}") for j, price in enumerate(prices)]
        alpha = finite(money_value, "value of money")
        if alpha < 0:
            raise InvalidProblemError([Issue("value of money", found=str(alpha), expected="at least 0")])
        return [alpha * price for price in checked], checked

    def _mask(self, bundle: Collection[int]) -> int:
        for j in bundle:
            if not 0 <= j < self.n_goods:
                expected = f"a good from 0 to {self.n_goods - 1}"
                raise InvalidProblemError([Issue("bundle", found=repr(j), expected=expected)])
        return mask_of(bundle)


def steepest_ascent(worth: Callable[[int], tuple[Number, ...] | None], start: int, n_goods: int) -> int:
    """Climb from a bundle by the best addition or removal, else the best swap, until none improves.

    For an M♮-concave ``worth`` the end is the best bundle of all.

    Parameters
    ----------
    worth : callable
        From a bitmask to a tuple, compared from the left, or None outside the domain.
    start : int
        Bitmask of a bundle in the domain.
    n_goods : int
        Number of goods.

    Returns
    -------
    int
        Bitmask of the bundle reached.
    """
    here = start
    best = worth(here)
    if best is None:
        msg = f"a search began at bundle {goods_in(start)}, which is outside the domain"
        raise ValueError(msg)
    while True:
        inside = goods_in(here)
        outside = [j for j in range(n_goods) if not here >> j & 1]
        single = [here ^ 1 << j for j in range(n_goods)]
        swaps = (here ^ 1 << k | 1 << j for j in outside for k in inside)
        # Swaps are many: they are looked at only where no single good helps.
        step = None
        for nearby in (single, swaps):
            for mask in nearby:
                found = worth(mask)
                if found is not None and found > best:
                    step, best = mask, found
            if step is not None:
                break
        if step is None:
            return here
        here = step
