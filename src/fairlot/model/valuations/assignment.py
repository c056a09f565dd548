r"""Assignment valuations (OXS): goods are matched to units, each of which uses one.

.. math:: u(A) = \max_{\text{matchings } M \text{ of units to goods of } A} \sum_{(r, j) \in M} v_{rj}.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm
from typing import ClassVar

import numpy as np
import scipy.optimize

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.valuations.base import Valuation, steepest_ascent
from fairlot.model.valuations.expressions import Number, goods_in, mask_of
from fairlot.model.valuations.partition import best_partition, extended
from fairlot.model.valuations.simple import UnitDemand, non_negative

_EXACT = 2**50
"""Integers below this are added exactly by the float matching."""


@dataclass(frozen=True)
class AssignmentValuation(Valuation):
    r"""The best matching of units to goods: an OR of unit demands (OXS).

    :class:`Convolution` joins the units of both, :class:`Restriction` keeps columns.

    Parameters
    ----------
    units : sequence of sequences of numbers, shape (n_units, n_goods)
        v, at least 0: what unit r makes of good j.

    References
    ----------
    Lehmann, B., D. Lehmann and N. Nisan (2006), "Combinatorial auctions with decreasing marginal
    utilities", Games and Economic Behavior 55.

    Examples
    --------
    >>> u = AssignmentValuation([[5, 4, 1], [3, 3, 0]])
    >>> u.value([0, 1]), u.value([0, 1, 2])
    (8, 8)
    """

    kind: ClassVar[str] = "assignment"
    units: Sequence[Sequence[Number]]

    def __post_init__(self) -> None:
        units = tuple(non_negative(row, f"unit {r}, good") for r, row in enumerate(self.units))
        if len({len(row) for row in units}) != 1:
            expected = "at least one row, all of one length"
            raise InvalidProblemError([Issue("units", found=f"{len(units)} rows", expected=expected)])
        self._set(units=units)
        # Exact values become integers, so that the float matching makes no error.
        listed = [value for row in units for value in row]
        matrix, scale = None, 1
        if any(isinstance(value, float) for value in listed):
            matrix = np.array([[float(value) for value in row] for row in units])
        else:
            scale = lcm(*(Fraction(value).denominator for value in listed))
            if max(listed) * scale * (len(units) + len(units[0])) < _EXACT:
                matrix = np.array([[float(value * scale) for value in row] for row in units])
        self._set(_matrix=matrix)

    @property
    def n_goods(self) -> int:
        """Number of goods."""
        return len(self.units[0])

    def _value(self, mask: int) -> Number:
        goods = goods_in(mask)
        matrix: np.ndarray | None = self._matrix  # type: ignore[attr-defined]
        if matrix is None:  # numbers too large for floats
            return _by_exchanges(self.units, mask)
        rows, columns = scipy.optimize.linear_sum_assignment(matrix[:, goods], maximize=True)
        used: list[Number] = [self.units[r][goods[c]] for r, c in zip(rows, columns, strict=True)]
        return sum(used)

    def _argmax(self, before: Sequence[int], cost: Sequence[Number], after: Sequence[Number]) -> int:
        # A matching at the prices, in floats, is where the exact ascent begins; nearly always it ends there.
        start = 0
        if self._matrix is not None:  # type: ignore[attr-defined]
            keep = [j for j in range(self.n_goods) if before[j] <= 0]
            gain = np.array([[float(row[j] - cost[j]) for j in keep] for row in self.units])
            if keep:
                rows, columns = scipy.optimize.linear_sum_assignment(np.maximum(gain, 0), maximize=True)
                start = mask_of(keep[c] for r, c in zip(rows, columns, strict=True) if gain[r, c] > 0)
        return steepest_ascent(self._worth(before, cost, after), start, self.n_goods)


def _by_exchanges(units: Sequence[Sequence[Number]], mask: int) -> Number:
    worths = [extended(UnitDemand(row)) for row in units]
    bundles = best_partition(worths, goods_in(mask))
    return sum(worth(bundle)[1] for worth, bundle in zip(worths, bundles, strict=True))
