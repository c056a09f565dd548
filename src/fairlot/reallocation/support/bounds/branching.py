r"""Branching on boxes of rays: the best first for menus and for rays alone, depth first for proofs.

A box is known by its corners, its bound (:func:`fairlot.reallocation.support.bounds.boxes.box_bound`) and the
axis on which it is to be split. Private kernels.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.reallocation.support.bounds.boxes import NOT_SPLIT, Sample, box_bound, ray_worth

NOT_BOUNDED = -2
"""The axis of a box whose bound is that of a larger one."""
_SLIVER = 1e-9
_ROUNDING = 1e-15


@njit(cache=True)
def split_at(low: float, high: float) -> float:
    """Return where to cut an interval: half way, nearer its low end if that is 0 and the other far."""
    if low >= 0 and high > 4 * (low + 0.02):
        return float(np.sqrt((low + 0.02) * (high + 0.02)) - 0.02)
    return 0.5 * (low + high)


@njit(cache=True)
def search_boxes(
    sample: Sample,
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
    sample : Sample
        Types and values.
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
    n_tasks, n_types = sample.types.shape
    work = np.empty((5 + n_tasks, n_types))
    point = np.empty(n_tasks)
    for step in range(steps):
        if count == 0 or count + 2 > len(bounds):
            return count, target, step
        count -= 1
        if bounds[count] <= target:
            continue
        low, high = lows[count].copy(), highs[count].copy()
        bound, axis, worth = box_bound(sample, low, high, target, point, work)
        if worth * (1 + tolerance) > target:
            target = worth * (1 + tolerance)
        bound = min(bound, bounds[count])
        if bound <= target:
            continue
        if axis == NOT_SPLIT:
            # a point: types that are indifferent there accept with a little less to do
            for i in range(n_tasks):
                point[i] = low[i] * (1 - _SLIVER) if low[i] > 0 else low[i]
            worth = ray_worth(sample, point, work[0])
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
            new_bounds[left], new_axes[left] = bounds[b], axes[b] if same else NOT_BOUNDED
            left += 1
    return new_lows[:left], new_highs[:left], new_bounds[:left], new_axes[:left]


@njit(cache=True)
def refine_boxes(
    sample: Sample,
    low: FloatArray,
    high: FloatArray,
    gap: float,
    steps: int,
) -> tuple[FloatArray, FloatArray, FloatArray, IntArray, FloatArray, float]:
    """Cut a ray's box into smaller ones, the best first, until its bound is near what it can be worth.

    Parameters
    ----------
    sample : Sample
        Types and values.
    low, high : FloatArray, shape (n_tasks,)
        The box.
    gap : float
        Relative distance from bound to worth that is near enough.
    steps : int
        Boxes to work on at most.

    Returns
    -------
    lows, highs, bounds, axes
        The boxes with a ray that is worth something, as of one ray in :func:`search_rays`.
    point : FloatArray, shape (n_tasks,)
        The best ray met.
    worth : float
        What it is worth.
    """
    n_tasks, n_types = sample.types.shape
    capacity = 2 * steps + 3
    lows, highs = np.empty((capacity, n_tasks)), np.empty((capacity, n_tasks))
    bounds, axes = np.empty(capacity), np.empty(capacity, dtype=np.int64)
    lows[0], highs[0], bounds[0], axes[0] = low, high, np.inf, NOT_BOUNDED
    heap = np.zeros(capacity, dtype=np.int64)
    filled, written, worth = 1, 1, 0.0
    point, best = np.empty(n_tasks), 0.5 * (low + high)
    work = np.empty((5 + n_tasks, n_types))
    for _ in range(steps):
        if filled == 0 or bounds[heap[0]] <= (1 + gap) * worth or axes[heap[0]] == NOT_SPLIT:
            break
        filled, written, worth = _split_best(
            sample, lows, highs, bounds, axes, heap, filled, written, 0.0, best,
            worth, point, work,
        )  # fmt: skip
    kept = heap[:filled]
    return lows[kept], highs[kept], bounds[kept], axes[kept], best, worth


@njit(cache=True)
def search_rays(
    sample: Sample,
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
    sample : Sample
        Types and values.
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
    n_types = sample.types.shape[1]
    work = np.empty((5 + n_tasks, n_types))
    point = np.empty(n_tasks)
    # boxes stay where they are written; the heaps order them
    heaps = np.empty((n_rays, capacity), dtype=np.int64)
    written = filled.copy()
    for k in range(n_rays):
        if filled[k] == 0:
            return target, 0
        n_boxes = filled[k]
        filled[k] = 0
        for b in range(n_boxes):
            filled[k] = _pushed(heaps[k], filled[k], bounds[k], b)
    total, done = target, 0
    while done < steps:
        total, known = 0.0, 0.0
        for k in range(n_rays):
            total += bounds[k, heaps[k, 0]]
            known += worths[k]
        if total <= target or known > target:
            break
        ray, widest = -1, 1e-3 * target / n_rays
        for k in range(n_rays):
            gap = bounds[k, heaps[k, 0]] - worths[k]
            if gap > widest and written[k] + 2 <= capacity and axes[k, heaps[k, 0]] != NOT_SPLIT:
                ray, widest = k, gap
        if ray < 0:
            break
        done += 1
        filled[ray], written[ray], worths[ray] = _split_best(
            sample, lows[ray], highs[ray], bounds[ray], axes[ray], heaps[ray],
            filled[ray], written[ray], target - (total - bounds[ray, heaps[ray, 0]]), points[ray],
            worths[ray], point, work,
        )  # fmt: skip
        if filled[ray] == 0:
            total = target
            break
        total = 0.0
        for k in range(n_rays):
            total += bounds[k, heaps[k, 0]]
    if total <= target:
        return target, done
    for k in range(n_rays):
        kept = heaps[k, : filled[k]].copy()
        lows[k, : len(kept)], highs[k, : len(kept)] = lows[k][kept], highs[k][kept]
        bounds[k, : len(kept)], axes[k, : len(kept)] = bounds[k][kept], axes[k][kept]
    return total, done


@njit(cache=True)
def _split_best(
    sample: Sample,
    lows: FloatArray,
    highs: FloatArray,
    bounds: FloatArray,
    axes: IntArray,
    heap: IntArray,
    filled: int,
    written: int,
    threshold: float,
    best: FloatArray,
    worth: float,
    point: FloatArray,
    work: FloatArray,
) -> tuple[int, int, float]:
    """Put the halves of a ray's best box in its place, those that are worth more than the threshold.

    A box that has yet to be bounded is only bounded. Returns how many boxes are on the heap, how many have
    been written, and what the best ray met is worth, which is kept in ``best``.
    """
    b = heap[0]
    filled = _popped(heap, filled, bounds)
    axis = axes[b]
    for side in range(1 if axis == NOT_BOUNDED else 2):
        low, high = lows[written], highs[written]
        low[:], high[:] = lows[b], highs[b]
        if axis != NOT_BOUNDED:
            cut = split_at(low[axis], high[axis])
            if side == 0:
                high[axis] = cut
            else:
                low[axis] = cut
        bound, next_axis, here = box_bound(sample, low, high, threshold, point, work)
        if here > worth:
            worth = here
            best[:] = point
        bound = min(bound, bounds[b])
        if bound > threshold:
            bounds[written], axes[written] = bound, next_axis
            filled = _pushed(heap, filled, bounds, written)
            written += 1
    return filled, written, worth


@njit(cache=True)
def _pushed(heap: IntArray, size: int, bounds: FloatArray, box: int) -> int:
    """Add a box to a heap with the largest bound first; returns its new size."""
    at = size
    while at > 0 and bounds[heap[(at - 1) // 2]] < bounds[box]:
        heap[at] = heap[(at - 1) // 2]
        at = (at - 1) // 2
    heap[at] = box
    return size + 1


@njit(cache=True)
def _popped(heap: IntArray, size: int, bounds: FloatArray) -> int:
    """Take the first box off a heap; returns its new size."""
    size -= 1
    box, at = heap[size], 0
    while 2 * at + 1 < size:
        child = 2 * at + 1
        if child + 1 < size and bounds[heap[child + 1]] > bounds[heap[child]]:
            child += 1
        if bounds[heap[child]] <= bounds[box]:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = box
    return size
