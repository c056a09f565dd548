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

import numpy as np
from numba import njit

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray

_TINY = 1e-12
"""Loads this small count as accepted by a bound, and as refused by a value."""
_SLIVER = 1e-9
_ROUNDING = 1e-15
_TANGENTS = 3
_NOT_BOUNDED = -2
_NOT_SPLIT = -1


@njit(cache=True, fastmath=True)
def _extent(ray: FloatArray, per_room: FloatArray, counts: FloatArray, per_load: float) -> float:
    """Return the extent of a ray under the caps, at most 1."""
    use, growth = 1.0, 0.0
    for i in range(len(ray)):
        growth += counts[i] * ray[i]
        if ray[i] > 0:
            use = max(use, ray[i] * per_room[i])
    return float(1.0 / max(use, growth * per_load))


@njit(cache=True, fastmath=True)
def ray_worth(
    types: FloatArray,
    w: FloatArray,
    per_room: FloatArray,
    counts: FloatArray,
    per_load: float,
    ray: FloatArray,
    load: FloatArray,
) -> float:
    """Return what a ray is worth on the sample; ``load`` is overwritten."""
    n_tasks, n_types = types.shape
    worth = 0.0
    load[:] = 0.0
    for i in range(n_tasks):
        worth += w[i] * ray[i]
        x, row = ray[i], types[i]
        for t in range(n_types):
            load[t] += x * row[t]
    if worth <= 0:
        return 0.0
    accepted = 0
    for t in range(n_types):
        accepted += load[t] < -_TINY
    return float(accepted / n_types * worth * _extent(ray, per_room, counts, per_load))


@njit(cache=True, fastmath=True)
def box_bound(
    types: FloatArray,
    w: FloatArray,
    per_room: FloatArray,
    counts: FloatArray,
    per_load: float,
    low: FloatArray,
    high: FloatArray,
    threshold: float,
    point: FloatArray,
    work: FloatArray,
) -> tuple[float, int, float]:
    """Bound a ray's worth on a box from above.

    Parameters
    ----------
    types : FloatArray, shape (n_tasks, n_types)
        Scaled types, task by task.
    w, per_room, counts : FloatArray, shape (n_tasks,)
        Values, reciprocals of rooms, instances per unit of load.
    per_load : float
        Reciprocal of the room of the load.
    low, high : FloatArray, shape (n_tasks,)
        The box; ``low`` is raised where everything below is worth no more than the threshold.
    threshold : float
        What is of no interest.
    point : FloatArray, shape (n_tasks,)
        Overwritten by the better of the points tried.
    work : FloatArray, shape (4, n_types)
        Scratch.

    Returns
    -------
    bound, axis, worth : float, int, float
        The bound, the task to split next (-1 if none), and what ``point`` is worth.
    """
    n_tasks, n_types = types.shape
    most = 0.0
    for i in range(n_tasks):
        most += w[i] * (high[i] if w[i] > 0 else low[i])
    extent = _extent(low, per_room, counts, per_load)
    if most <= 0 or extent <= 0:
        return 0.0, _NOT_SPLIT, 0.0
    least_load, steep, load, slope = work[0], work[1], work[2], work[3]
    least_load[:] = 0.0
    for i in range(n_tasks):
        a, row = low[i], types[i]
        for t in range(n_types):
            least_load[t] += a * row[t]
    accepted_low = 0
    for t in range(n_types):
        accepted_low += least_load[t] < _TINY
    capped = 0.0
    for i in range(n_tasks):
        if w[i] > 0:
            room = 1.0 / per_room[i] if per_room[i] > 0 else high[i]
            capped += w[i] * max(min(high[i], room), 0.0)
        else:
            capped += w[i] * min(low[i], 0.0)
    bound = accepted_low / n_types * min(most * extent, capped)
    if bound <= threshold:
        return bound, _NOT_SPLIT, 0.0

    steep[:] = 0.0
    for i in range(n_tasks):
        b, row = high[i], types[i]
        for t in range(n_types):
            steep[t] += b * row[t]
    for t in range(n_types):
        steep[t] = 1.0 / steep[t] if least_load[t] < _TINY and steep[t] > _TINY else 0.0
    trial = np.empty(n_tasks)
    for i in range(n_tasks):
        trial[i] = 0.5 * (low[i] + high[i])
    slopes = np.empty(n_tasks)
    axis, best_worth = _NOT_SPLIT, 0.0
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
        load[:] = 0.0
        for i in range(n_tasks):
            x, row = trial[i], types[i]
            for t in range(n_types):
                load[t] += x * row[t]
        accepted, envelope = 0, float(accepted_low)
        for t in range(n_types):
            accepted += load[t] < -_TINY
            slope[t] = steep[t] if load[t] > 0 else 0.0
            envelope -= load[t] * slope[t]
        here = accepted / n_types * worth * _extent(trial, per_room, counts, per_load)
        if here > best_worth:
            best_worth = here
            for i in range(n_tasks):
                point[i] = trial[i]
        if envelope <= 0:
            break
        for i in range(n_tasks):
            row, total = types[i], 0.0
            for t in range(n_types):
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
    if axis == _NOT_SPLIT:
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


@njit(cache=True)
def split_at(low: float, high: float) -> float:
    """Return where to cut an interval: half way, nearer its low end if that is 0 and the other far."""
    if low >= 0 and high > 4 * (low + 0.02):
        return float(np.sqrt((low + 0.02) * (high + 0.02)) - 0.02)
    return 0.5 * (low + high)


@njit(cache=True)
def search_boxes(
    types: FloatArray,
    w: FloatArray,
    per_room: FloatArray,
    counts: FloatArray,
    per_load: float,
    lows: FloatArray,
    highs: FloatArray,
    bounds: FloatArray,
    count: int,
    target: float,
    tolerance: float,
    steps: int,
) -> tuple[int, float, int]:
    """Go on with the search for one ray, depth first, for a number of steps.

    Parameters
    ----------
    types, w, per_room, counts, per_load
        As in :func:`box_bound`.
    lows, highs : FloatArray, shape (capacity, n_tasks)
        Stack of boxes; overwritten.
    bounds : FloatArray, shape (capacity,)
        Their bounds.
    count : int
        Boxes on the stack.
    target : float
        Boxes worth no more are dropped: the best known value times 1 + tolerance.
    tolerance : float
        Relative.
    steps : int
        Boxes to work on at most.

    Returns
    -------
    count, target, done : int, float, int
        Boxes left, the target raised, steps made.
    """
    n_tasks, n_types = types.shape
    work = np.empty((4, n_types))
    point = np.empty(n_tasks)
    for step in range(steps):
        if count == 0 or count + 2 > len(bounds):
            return count, target, step
        count -= 1
        if bounds[count] <= target:
            continue
        low, high = lows[count].copy(), highs[count].copy()
        bound, axis, worth = box_bound(types, w, per_room, counts, per_load, low, high, target, point, work)
        if worth * (1 + tolerance) > target:
            target = worth * (1 + tolerance)
        bound = min(bound, bounds[count])
        if bound <= target:
            continue
        if axis == _NOT_SPLIT:
            # a point: types that are indifferent there accept with a little less to do
            for i in range(n_tasks):
                point[i] = low[i] * (1 - _SLIVER) if low[i] > 0 else low[i]
            worth = ray_worth(types, w, per_room, counts, per_load, point, work[0])
            target = max(target, worth * (1 + tolerance))
            if bound > target:
                bounds[count] = bound
                return count + 1, target, step
            continue
        cut = split_at(low[axis], high[axis])
        for side in range(2):
            lows[count + side] = low
            highs[count + side] = high
            bounds[count + side] = bound
        highs[count, axis] = cut
        lows[count + 1, axis] = cut
        count += 2
    return count, target, steps


@njit(cache=True)
def cut_boxes(
    lows: FloatArray,
    highs: FloatArray,
    bounds: FloatArray,
    axes: IntArray,
    floor: FloatArray,
    ceiling: FloatArray,
    free: BoolArray,
    own: BoolArray,
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray]:
    """Cut the boxes of a ray to a range, and drop those outside.

    Parameters
    ----------
    lows, highs, bounds, axes
        Boxes, as of one ray in :func:`search_rays`; not changed.
    floor, ceiling : FloatArray, shape (n_tasks,)
        The range.
    free : BoolArray, shape (n_tasks,)
        Tasks that are worth something; the others lie at their lower end.
    own : BoolArray, shape (n_tasks,)
        Tasks that the ray takes off: if not free, all that the range allows.

    Returns
    -------
    lows, highs, bounds, axes
        Of the boxes left; those that were cut have yet to be bounded.
    """
    n_boxes, n_tasks = lows.shape
    left, new_lows, new_highs = 0, np.empty_like(lows), np.empty_like(highs)
    new_bounds, new_axes = np.empty_like(bounds), np.empty_like(axes)
    for b in range(n_boxes):
        same, inside = True, True
        for i in range(n_tasks):
            low, high = max(lows[b, i], floor[i]), min(highs[b, i], ceiling[i])
            if not free[i]:
                if own[i]:
                    low = floor[i]
                high = low
            inside &= low <= high + _ROUNDING
            new_lows[left, i], new_highs[left, i] = low, max(high, low)
            same &= low == lows[b, i] and high == highs[b, i]
        if inside:
            new_bounds[left], new_axes[left] = bounds[b], axes[b] if same else _NOT_BOUNDED
            left += 1
    return new_lows[:left], new_highs[:left], new_bounds[:left], new_axes[:left]


@njit(cache=True)
def search_rays(
    types: FloatArray,
    w: FloatArray,
    per_room: FloatArray,
    counts: FloatArray,
    per_load: float,
    lows: FloatArray,
    highs: FloatArray,
    bounds: FloatArray,
    axes: IntArray,
    filled: IntArray,
    points: FloatArray,
    worths: FloatArray,
    target: float,
    steps: int,
) -> tuple[float, int]:
    """Narrow what the rays of a menu can be worth, each by itself, the best box first.

    Parameters
    ----------
    types, w, per_room, counts, per_load
        As in :func:`box_bound`.
    lows, highs : FloatArray, shape (n_rays, capacity, n_tasks)
        Boxes of each ray; overwritten.
    bounds : FloatArray, shape (n_rays, capacity)
        Their bounds.
    axes : IntArray, shape (n_rays, capacity)
        Where each is to be split; -2 if its bound is that of a larger box.
    filled : IntArray, shape (n_rays,)
        Number of boxes; overwritten.
    points : FloatArray, shape (n_rays, n_tasks)
        The best point of each ray; overwritten.
    worths : FloatArray, shape (n_rays,)
        What they are worth; overwritten.
    target : float
        What is of no interest.
    steps : int
        Boxes to work on at most.

    Returns
    -------
    bound, done : float, int
        Sum of the rays' bounds, at most the target where the menus are worth no more; steps made.
    """
    n_rays, capacity, n_tasks = lows.shape
    n_types = types.shape[1]
    work = np.empty((4, n_types))
    point = np.empty(n_tasks)
    tops = np.zeros(n_rays, dtype=np.int64)
    for k in range(n_rays):
        if filled[k] == 0:
            return target, 0
        tops[k] = np.argmax(bounds[k, : filled[k]])
    for step in range(steps):
        total, known = 0.0, 0.0
        for k in range(n_rays):
            total += bounds[k, tops[k]]
            known += worths[k]
        if total <= target:
            return target, step
        if known > target:
            return total, step
        ray, widest = -1, 0.0
        for k in range(n_rays):
            gap = bounds[k, tops[k]] - worths[k]
            if gap > widest and filled[k] + 1 < capacity and axes[k, tops[k]] != _NOT_SPLIT:
                ray, widest = k, gap
        if ray < 0 or widest < 1e-3 * target / n_rays:
            return total, step
        b = tops[ray]
        threshold = target - (total - bounds[ray, b])
        low, high, axis = lows[ray, b].copy(), highs[ray, b].copy(), axes[ray, b]
        old = bounds[ray, b]
        filled[ray] -= 1
        last = filled[ray]
        lows[ray, b], highs[ray, b] = lows[ray, last], highs[ray, last]
        bounds[ray, b], axes[ray, b] = bounds[ray, last], axes[ray, last]
        halves = 1 if axis == _NOT_BOUNDED else 2
        for side in range(halves):
            part_low, part_high = low.copy(), high.copy()
            if halves == 2:
                cut = split_at(low[axis], high[axis])
                if side == 0:
                    part_high[axis] = cut
                else:
                    part_low[axis] = cut
            bound, next_axis, worth = box_bound(
                types, w, per_room, counts, per_load, part_low, part_high, threshold, point, work
            )
            if worth > worths[ray]:
                worths[ray] = worth
                points[ray] = point
            bound = min(bound, old)
            if bound > threshold:
                at = filled[ray]
                lows[ray, at], highs[ray, at] = part_low, part_high
                bounds[ray, at], axes[ray, at] = bound, next_axis
                filled[ray] += 1
        if filled[ray] == 0:
            return target, step + 1
        tops[ray] = np.argmax(bounds[ray, : filled[ray]])
    total = 0.0
    for k in range(n_rays):
        total += bounds[k, tops[k]]
    return (target if total <= target else total), steps
