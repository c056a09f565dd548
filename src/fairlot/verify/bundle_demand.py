r"""What an agent of a small economy can at best afford, in exact arithmetic.

At prices p the best affordable expected utility as a function of the budget is the concave hull of the
points :math:`(p(A), u(A))` over all bundles A of the domain. Two neighbours on the hull, one within the
budget and one not, are mixed so as to spend it; their slope is :math:`\alpha = 1/\lambda`, the utility of
another unit of money. An agent who can pay for her greatest utility is *satiated*: :math:`\alpha = 0`.

Up to :data:`MOST_LISTED` goods every bundle is looked at, so that nothing is assumed of the utility. Beyond,
the hull is searched by asking for demand at one value of money after the other, which is right for
M♮-concave utilities.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from fairlot.model.valuations import Valuation

MOST_LISTED = 12
"""Most goods of which all bundles are looked at."""
_DOUBLINGS = 200


@dataclass(frozen=True)
class BestAffordable:
    r"""The best that an agent can afford on average.

    Parameters
    ----------
    utility : Fraction or None
        :math:`\max \{\mathbb E\,u(A) : \mathbb E\,p(A) \le b\}`; None if she can afford no bundle of her
        domain.
    cost : Fraction
        Least expected cost of it; where nothing is affordable, the cheapest cost found.
    money_value : Fraction
        :math:`\alpha`; 0 where satiated.
    surplus : Fraction
        :math:`\max_A u(A) - \alpha\,p(A)`.
    bundles : tuple of frozenset of int
        One or two bundles that she would mix; the cheaper one first.
    """

    utility: Fraction | None
    cost: Fraction
    money_value: Fraction
    surplus: Fraction
    bundles: tuple[frozenset[int], ...]

    @property
    def satiated(self) -> bool:
        """Whether she can pay for her greatest utility."""
        return self.utility is not None and self.money_value == 0


@dataclass(frozen=True)
class _Spot:
    """A bundle in the plane of cost and utility."""

    cost: Fraction
    utility: Fraction
    bundle: frozenset[int]


def best_affordable_bundles(
    valuation: Valuation, prices: Sequence[Fraction], budget: Fraction
) -> BestAffordable:
    """Find the best affordable expected utility, and its least expected cost.

    Parameters
    ----------
    valuation : Valuation
        u, monotone; M♮-concave where there are more than :data:`MOST_LISTED` goods.
    prices : sequence of Fraction, shape (n_goods,)
        Not negative.
    budget : Fraction
        b.

    Examples
    --------
    >>> from fairlot.model.valuations import Table
    >>> found = best_affordable_bundles(Table([0, 10, 8, 11]), [Fraction(9, 4), Fraction(3, 4)], Fraction(1))
    >>> found.utility, found.money_value, [sorted(bundle) for bundle in found.bundles]
    (Fraction(25, 3), Fraction(4, 3), [[1], [0, 1]])
    """
    if valuation.n_goods <= MOST_LISTED:
        return _on_hull(_hull(_spots(valuation, prices)), budget)
    return _on_hull(_searched(valuation, prices, budget), budget)


def _on_hull(hull: list[_Spot], budget: Fraction) -> BestAffordable:
    """Read off the hull, whose spots rise in cost and utility."""
    within = [spot for spot in hull if spot.cost <= budget]
    if not within:
        return BestAffordable(None, hull[0].cost, Fraction(0), Fraction(0), (hull[0].bundle,))
    low = within[-1]
    if low is hull[-1]:
        return BestAffordable(low.utility, low.cost, Fraction(0), low.utility, (low.bundle,))
    high = hull[len(within)]
    alpha = (high.utility - low.utility) / (high.cost - low.cost)
    utility = low.utility + alpha * (budget - low.cost)
    bundles = (low.bundle,) if low.cost == budget else (low.bundle, high.bundle)
    return BestAffordable(utility, budget, alpha, low.utility - alpha * low.cost, bundles)


def _spots(valuation: Valuation, prices: Sequence[Fraction]) -> list[_Spot]:
    cost = [Fraction(0)]
    bundles: list[tuple[int, ...]] = [()]
    for j, price in enumerate(prices):
        cost += [c + price for c in cost]
        bundles += [(*bundle, j) for bundle in bundles]
    return [
        _Spot(c, Fraction(value), frozenset(bundle))
        for c, value, bundle in zip(cost, valuation.table(), bundles, strict=True)
        if value != -float("inf")
    ]


def _hull(spots: list[_Spot]) -> list[_Spot]:
    """Return the corners of the concave hull that rise, from the cheapest on."""
    hull: list[_Spot] = []
    for spot in sorted(spots, key=lambda spot: (spot.cost, -spot.utility)):
        if hull and spot.utility <= hull[-1].utility:
            continue
        while len(hull) > 1 and not _above(hull[-1], hull[-2], spot):
            hull.pop()
        hull.append(spot)
    return hull


def _above(middle: _Spot, left: _Spot, right: _Spot) -> bool:
    """Whether a spot lies above the line through its neighbours."""
    return (middle.utility - left.utility) * (right.cost - left.cost) > (right.utility - left.utility) * (
        middle.cost - left.cost
    )


def _searched(valuation: Valuation, prices: Sequence[Fraction], budget: Fraction) -> list[_Spot]:
    """Find the corners of the hull on both sides of the budget, by demand at values of money."""

    def spot(bundle: frozenset[int]) -> _Spot:
        cost = sum((prices[j] for j in bundle), Fraction(0))
        return _Spot(cost, Fraction(valuation.value(bundle)), bundle)

    high = spot(valuation.cheapest_demand(prices, 0))
    if high.cost <= budget:
        return [high]
    alpha, low = Fraction(1), high
    for _ in range(_DOUBLINGS):
        low = spot(valuation.cheapest_demand(prices, alpha))
        if low.cost <= budget:
            break
        alpha *= 2
    else:
        return [low]
    while True:
        alpha = (high.utility - low.utility) / (high.cost - low.cost)
        found = spot(valuation.cheapest_demand(prices, alpha))
        if found.utility - alpha * found.cost <= low.utility - alpha * low.cost:
            return [low, high]
        if found.cost <= budget:
            low = found
        else:
            high = found
