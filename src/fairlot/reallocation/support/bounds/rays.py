"""What a ray is worth by itself: its boxes, searched once for all menus that it may be part of.

A ray that takes off a block of tasks, one of them in full, lies in the same box whatever the other rays of
its menu take off. The sum of the rays' bounds bounds every menu; those that could still be worth more than
what is known are looked at more closely (:mod:`fairlot.reallocation.support.bounds.cells`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.reallocation.support.bounds.branching import refine_boxes
from fairlot.reallocation.support.bounds.partitions import SampleProgram

_STEPS, _FEW = 8000, 500
"""Boxes split at most, and where time is short."""


@dataclass(frozen=True, eq=False)
class RayBoxes:
    """Boxes that cover the rays with given tasks taken off.

    Parameters
    ----------
    lows, highs : FloatArray, shape (n_boxes, n_tasks)
        Their corners.
    bounds : FloatArray, shape (n_boxes,)
        What a ray in each is worth at most.
    axes : IntArray, shape (n_boxes,)
        Where each is to be split next.
    point : FloatArray, shape (n_tasks,)
        The best ray met.
    worth : float
        What it is worth.
    """

    lows: FloatArray
    highs: FloatArray
    bounds: FloatArray
    axes: IntArray
    point: FloatArray
    worth: float

    @property
    def bound(self) -> float:
        """What any ray is worth at most."""
        return float(self.bounds.max(initial=0.0))

    def above(self, threshold: float) -> RayBoxes:
        """Keep the boxes with a bound above the threshold."""
        kept = self.bounds > threshold
        return RayBoxes(
            self.lows[kept], self.highs[kept], self.bounds[kept], self.axes[kept], self.point, self.worth
        )


def refine_ray(
    program: SampleProgram, given: tuple[tuple[int, ...], int], *, gap: float, deadline: float
) -> RayBoxes:
    """Bound a ray by itself.

    Parameters
    ----------
    program : SampleProgram
        The sample.
    given : tuple of int, int
        The block that it takes off, and the task of it that is taken off in full.
    gap : float
        Relative distance from its bound to its worth that is near enough.
    deadline : float
        Of ``time.time``, after which few boxes have to do.
    """
    low, high = program.first_box(*given)
    steps = _FEW if time.time() > deadline else _STEPS
    return RayBoxes(*refine_boxes(program.sample, low, high, gap, steps))
