r"""What one ray can be worth at most when it lies in a box.

Over types :math:`c_1, \dots, c_M` the ray's worth is
:math:`P(\kappa)\, (w \cdot \kappa)\, \bar y(\kappa)`. On a box of rays, with :math:`\hat z_t` the largest
:math:`c_t \cdot \kappa`, the concave envelope of acceptance is

.. math:: 1[z < 0] \le \min(1, (\hat z_t - z) / \hat z_t),

so that log of its mean plus :math:`\log w \cdot \kappa` is concave, and its tangent at any point has its
maximum over the box in closed form. Beside it stands the corner: acceptance at the low end times the
largest :math:`w \cdot \kappa`. Both are multiplied by the extent at the low end, where it is largest.

Private kernels; ``tests/reallocation/support/test_bounds.py`` holds them to plain NumPy. Everything is in
units of load: task i times its median cost.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray

NOT_SPLIT = -1
"""The axis of a box that need not or cannot be split."""
_TINY = 1e-12
"""Loads this small count as accepted by a bound, and as refused by a value."""
_TANGENTS = 3


class Sample(NamedTuple):
    """What the worth of a ray depends on.

    Parameters
    ----------
    types : FloatArray, shape (n_tasks, n_types)
        Scaled types, task by task.
    w, per_room, counts : FloatArray, shape (n_tasks,)
        Values, reciprocals of rooms, instances per unit of load.
    per_load : float
        Reciprocal of the room of the load.
    """

    types: FloatArray
    w: FloatArray
    per_room: FloatArray
    counts: FloatArray
    per_load: float


@njit(cache=True, fastmath=True)
def _extent(sample: Sample, ray: FloatArray) -> float:
    """Return the extent of a ray under the caps, at most 1."""
    _, _, per_room, counts, per_load = sample
    use, growth = 1.0, 0.0
    for i in range(len(ray)):
        growth += counts[i] * ray[i]
        if ray[i] > 0:
            use = max(use, ray[i] * per_room[i])
    return float(1.0 / max(use, growth * per_load))


@njit(cache=True, fastmath=True)
def _loads(types: FloatArray, ray: FloatArray, n_types: int, out: FloatArray) -> None:
    """Overwrite ``out`` with the load of a ray for each of the first types."""
    for i in range(len(ray)):
        x, row = ray[i], types[i]
        if i == 0:
            for t in range(n_types):
                out[t] = x * row[t]
        else:
            for t in range(n_types):
                out[t] += x * row[t]


@njit(cache=True, fastmath=True)
def ray_worth(sample: Sample, ray: FloatArray, load: FloatArray) -> float:
    """Return what a ray is worth on the sample; ``load`` is overwritten."""
    types, w, _, _, _ = sample
    n_tasks, n_types = types.shape
    worth = 0.0
    for i in range(n_tasks):
        worth += w[i] * ray[i]
    _loads(types, ray, n_types, load)
    if worth <= 0:
        return 0.0
    accepted = 0
    for t in range(n_types):
        accepted += load[t] < -_TINY
    return float(accepted / n_types * worth * _extent(sample, ray))


@njit(cache=True, fastmath=True)
def box_bound(
    sample: Sample,
    low: FloatArray,
    high: FloatArray,
    threshold: float,
    point: FloatArray,
    work: FloatArray,
) -> tuple[float, int, float]:
    """Bound a ray's worth on a box from above.

    Parameters
    ----------
    sample : Sample
        Types and values.
    low, high : FloatArray, shape (n_tasks,)
        The box; ``low`` is raised where everything below is worth no more than the threshold.
    threshold : float
        What is of no interest.
    point : FloatArray, shape (n_tasks,)
        Overwritten by the better of the points tried.
    work : FloatArray, shape (5 + n_tasks, n_types)
        Scratch.

    Returns
    -------
    bound, axis, worth : float, int, float
        The bound, the task to split next (-1 if none), and what ``point`` is worth.
    """
    types, w, per_room, _, _ = sample
    n_tasks, n_types = types.shape
    most = 0.0
    for i in range(n_tasks):
        most += w[i] * (high[i] if w[i] > 0 else low[i])
    extent = _extent(sample, low)
    if most <= 0 or extent <= 0:
        return 0.0, NOT_SPLIT, 0.0
    least, greatest, steep, load, slope, open_types = work[0], work[1], work[2], work[3], work[4], work[5:]
    _loads(types, low, n_types, least)
    accepted_low = 0
    for t in range(n_types):
        accepted_low += least[t] < _TINY
    capped = 0.0
    for i in range(n_tasks):
        if w[i] > 0:
            room = 1.0 / per_room[i] if per_room[i] > 0 else high[i]
            capped += w[i] * max(min(high[i], room), 0.0)
        else:
            capped += w[i] * min(low[i], 0.0)
    bound = accepted_low / n_types * min(most * extent, capped)
    if bound <= threshold:
        return bound, NOT_SPLIT, 0.0

    _loads(types, high, n_types, greatest)
    # types who accept all over the box, or nowhere in it, are counted once; few are left
    which = np.empty(n_types + 1, dtype=np.int64)
    sure, n_open = 0, 0
    for t in range(n_types):
        sure += greatest[t] < -_TINY
        which[n_open] = t
        n_open += (least[t] < _TINY) & (greatest[t] >= -_TINY)
    for m in range(n_open):
        at = greatest[which[m]]
        steep[m] = 1.0 / at if at > _TINY else 0.0
    for i in range(n_tasks):
        for m in range(n_open):
            open_types[i, m] = types[i, which[m]]
    trial = np.empty(n_tasks)
    for i in range(n_tasks):
        trial[i] = 0.5 * (low[i] + high[i])
    slopes = np.empty(n_tasks)
    axis, best_worth = NOT_SPLIT, 0.0
    for attempt in range(_TANGENTS):
        worth = 0.0
        for i in range(n_tasks):
            worth += w[i] * trial[i]
        if worth < 0.05 * most:
            # towards the most valuable corner, far enough to be worth something
            share = min(1.0, (0.05 * most - worth) / (most - worth))
            for i in range(n_tasks):
                corner = high[i] if w[i] > 0 else low[i]
                trial[i] += share * (corner - trial[i])
            worth = 0.05 * most
        _loads(open_types, trial, n_open, load)
        accepted, envelope = sure, float(accepted_low)
        for t in range(n_open):
            accepted += load[t] < -_TINY
            slope[t] = steep[t] if load[t] > 0 else 0.0
            envelope -= load[t] * slope[t]
        here = accepted / n_types * worth * _extent(sample, trial)
        if here > best_worth:
            best_worth = here
            for i in range(n_tasks):
                point[i] = trial[i]
        if envelope <= 0:
            break
        for i in range(n_tasks):
            row, total = open_types[i], 0.0
            for t in range(n_open):
                total += slope[t] * row[t]
            slopes[i] = -total / envelope + w[i] / worth
        if attempt == 0:
            widest = -1.0
            for i in range(n_tasks):
                if high[i] > low[i]:
                    width = (high[i] - low[i]) * (abs(slopes[i] - w[i] / worth) + abs(w[i]) / worth + 1e-6)
                    if width > widest:
                        widest, axis = width, i
        rise = 0.0
        for i in range(n_tasks):
            rise += max(slopes[i] * (low[i] - trial[i]), slopes[i] * (high[i] - trial[i]))
        bound = min(bound, envelope / n_types * worth * np.exp(min(rise, 500.0)) * extent)
        if bound <= threshold:
            return bound, axis, best_worth
        for i in range(n_tasks):
            target = high[i] if slopes[i] > 0 else low[i]
            trial[i] += 0.5 * min(1.0, 2.0 * abs(slopes[i]) * (high[i] - low[i])) * (target - trial[i])
    if axis == NOT_SPLIT:
        widest = 0.0
        for i in range(n_tasks):
            if high[i] - low[i] > widest:
                widest, axis = high[i] - low[i], i
    if threshold > 0:
        spare = most - threshold * (1 - 1e-9) * n_types / (accepted_low * extent)
        for i in range(n_tasks):
            if w[i] > 0 and high[i] - spare / w[i] > low[i]:
                low[i] = min(high[i] - spare / w[i], high[i])
    return bound, axis, best_worth
