r"""Bounds over all menus with given blocks: cells of what is taken off and of rates.

A cell holds :math:`A_i \in [\underline A_i, \bar A_i]` and
:math:`\rho_{kl} = \log r_{kl} \in [\underline\rho_{kl}, \bar\rho_{kl}]`. In it ray k satisfies

.. math:: \kappa^k_i \in [-\bar A_i, -\underline A_i] \text{ on its own block}, \qquad
          \kappa^k_i \ge e^{\underline\rho_{kl}} \underline A_i \text{ on block } l,

and nothing ties it to the other rays any more: the menu is worth at most the sum of what each ray is
worth by itself, each bounded on boxes of its own (:mod:`fairlot.reallocation.support.bounds.boxes`). Boxes of
a ray in the cell of everything are the same whatever the other rays take off, and are searched once
(:mod:`fairlot.reallocation.support.bounds.rays`).
Where that sum cannot be brought down to the target the cell is cut in two, at the parameter on which the
rays disagree most.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.reallocation.support.bounds.boxes import ray_worth
from fairlot.reallocation.support.bounds.branching import cut_boxes, search_boxes, search_rays
from fairlot.reallocation.support.bounds.known import polished
from fairlot.reallocation.support.bounds.partitions import SampleProgram, owners
from fairlot.reallocation.support.bounds.rays import RayBoxes

_STEPS, _STEPS_OF_PAIRS = 150, 500
"""Boxes of a cell worked on before it is cut: two rays are mostly decided by their boxes."""
_PROMISING = 0.8
"""Share of the target from which a mended menu is improved by random steps."""
_MENDING = 200
_BATCH = 2000
_NARROW = 1e-4
_UNBOUNDED = 1e300


@dataclass(frozen=True, eq=False)
class PartBound:
    """What is known about one part of all menus.

    Parameters
    ----------
    bound : float
        No menu of the part gains more.
    known : float
        The best value known, before or after.
    finished : bool
        Whether the bound is within the tolerance; False where time ran out.
    boxes : int
        Boxes bounded.
    """

    bound: float
    known: float
    finished: bool
    boxes: int


def bound_single(
    program: SampleProgram, block: tuple[int, ...], *, known: float, tolerance: float, deadline: float
) -> PartBound:
    """Bound the menus of one ray that takes off a block.

    Parameters
    ----------
    program : SampleProgram
        The sample.
    block : tuple of int
        Tasks.
    known : float
        A value that some menu attains.
    tolerance : float
        Relative: menus worth no more than (1 + tolerance) times what is known are not looked for.
    deadline : float
        Of ``time.time``.
    """
    # what is worth nothing goes in full, and one such task is enough
    worthless = [i for i in block if program.w[i] <= 0]
    starts = [program.first_box(block, i) for i in worthless[:1] or block]
    capacity = 4096
    lows, highs = np.empty((capacity, program.n_tasks)), np.empty((capacity, program.n_tasks))
    bounds = np.empty(capacity)
    count = len(starts)
    for b, (low, high) in enumerate(starts):
        lows[b], highs[b], bounds[b] = low, high, _UNBOUNDED
    target, boxes = known * (1 + tolerance), 0
    while count:
        count, target, done = search_boxes(
            program.sample,
            lows,
            highs,
            bounds,
            count,
            target,
            tolerance,
            _BATCH,
        )
        boxes += done
        if count and (time.time() > deadline or done < _BATCH):
            break
    left = float(bounds[:count].max()) if count else 0.0
    return PartBound(max(target, left), max(target / (1 + tolerance), known), left <= target, boxes)


@dataclass(eq=False)
class _Cell:
    """Ranges of the parameters, and the boxes of each ray."""

    gives_low: FloatArray
    gives_high: FloatArray
    rates_low: FloatArray
    rates_high: FloatArray
    lows: list[FloatArray]
    highs: list[FloatArray]
    bounds: list[FloatArray]
    axes: list[IntArray]
    points: FloatArray
    worths: FloatArray
    bound: float


@dataclass(frozen=True, eq=False)
class Part:
    """Menus whose rays take off given blocks, which are all that she has, each one task of its block in full.

    Parameters
    ----------
    blocks : tuple of tuple of int
        What each ray takes off.
    full : tuple of int
        The task of each block that is taken off in full.
    rays : tuple of RayBoxes
        What each ray can be worth by itself.
    """

    blocks: tuple[tuple[int, ...], ...]
    full: tuple[int, ...]
    rays: tuple[RayBoxes, ...]

    @property
    def bound(self) -> float:
        """What the menus are worth at most, whatever ties their rays to each other."""
        return sum(ray.bound for ray in self.rays)


def bound_blocks(
    program: SampleProgram, part: Part, *, known: float, tolerance: float, deadline: float
) -> PartBound:
    """Bound the menus of a part.

    Parameters
    ----------
    program, known, tolerance, deadline
        As in :func:`bound_single`.
    part : Part
        The menus.
    """
    search = _Blocks(program, part, known * (1 + tolerance), tolerance, deadline)
    search.run()
    attained = max(search.target / (1 + tolerance), known)
    finished = search.unfinished <= search.target
    return PartBound(max(search.target, search.unfinished), attained, finished, search.boxes)


class _Blocks:
    """The search over cells, depth first, for given blocks and tasks taken off in full."""

    def __init__(
        self, program: SampleProgram, part: Part, target: float, tolerance: float, deadline: float
    ) -> None:
        self.program, self.tolerance, self.deadline = program, tolerance, deadline
        self.target, self.unfinished, self.boxes = target, 0.0, 0
        self.owner = owners(part.blocks, program.n_tasks)
        self.n_rays = len(part.blocks)
        self.full = part.full
        # beyond these rates one of the two rays is accepted by nobody
        reach = np.array([program.reach(block) for block in part.blocks])
        self.rate_limit = np.log(reach[:, self.full] / program.endowment[list(self.full)])
        self.stack = [self._first(part)]
        self._load = np.empty(program.types.shape[1])

    def run(self) -> None:
        """Bound everything, or as much as time allows."""
        while self.stack:
            cell = self.stack.pop()
            if cell.bound <= self.target:
                continue
            if time.time() > self.deadline:
                self.unfinished = max([cell.bound, *(left.bound for left in self.stack)])
                return
            bound = self._narrow(cell)
            if bound > self.target:
                cell.bound = min(cell.bound, bound)
                self._try_menu(cell)
                self._split(cell)

    def _first(self, part: Part) -> _Cell:
        program = self.program
        gives_low = np.zeros(program.n_tasks)
        gives_low[list(self.full)] = program.endowment[list(self.full)]
        kept = [ray.above(self.target - (part.bound - ray.bound)) for ray in part.rays]
        return _Cell(
            gives_low=gives_low,
            gives_high=program.endowment.copy(),
            rates_low=-self.rate_limit.T,
            rates_high=self.rate_limit.copy(),
            lows=[ray.lows for ray in kept],
            highs=[ray.highs for ray in kept],
            bounds=[ray.bounds for ray in kept],
            axes=[ray.axes for ray in kept],
            points=np.array([ray.point for ray in kept]),
            worths=np.array([ray.worth for ray in kept]),
            bound=part.bound,
        )

    def _narrow(self, cell: _Cell) -> float:
        """Narrow the rays' bounds, each by itself; returns their sum."""
        program, n_rays = self.program, self.n_rays
        filled = np.array([len(bounds) for bounds in cell.bounds], dtype=np.int64)
        steps = _STEPS_OF_PAIRS if n_rays == 2 else _STEPS
        capacity = int(filled.max(initial=0)) + 2 * steps + 2
        lows, highs = (
            np.empty((n_rays, capacity, program.n_tasks)),
            np.empty((n_rays, capacity, program.n_tasks)),
        )
        bounds, axes = np.empty((n_rays, capacity)), np.empty((n_rays, capacity), dtype=np.int64)
        for k in range(n_rays):
            n = filled[k]
            lows[k, :n], highs[k, :n] = cell.lows[k], cell.highs[k]
            bounds[k, :n], axes[k, :n] = cell.bounds[k], cell.axes[k]
        total, done = search_rays(
            program.sample,
            lows,
            highs,
            bounds,
            axes,
            filled,
            cell.points,
            cell.worths,
            self.target,
            steps,
        )
        self.boxes += done
        if total > self.target:
            cell.lows = [lows[k, : filled[k]].copy() for k in range(n_rays)]
            cell.highs = [highs[k, : filled[k]].copy() for k in range(n_rays)]
            cell.bounds = [bounds[k, : filled[k]].copy() for k in range(n_rays)]
            cell.axes = [axes[k, : filled[k]].copy() for k in range(n_rays)]
        return total

    def _try_menu(self, cell: _Cell) -> None:
        """Mend the rays' best points into a menu, and keep it if it is better than what is known."""
        program, middle = self.program, 0.5 * (cell.rates_low + cell.rates_high)
        rays = cell.points.copy()
        for k in range(self.n_rays):
            for i in np.flatnonzero((self.owner >= 0) & (self.owner != k)).tolist():
                need = np.exp(middle[k, self.owner[i]]) * -cell.points[self.owner[i], i]
                rays[k, i] = max(rays[k, i], need)
        worth = sum(ray_worth(program.sample, ray, self._load) for ray in rays)
        if worth * (1 + self.tolerance) > _PROMISING * self.target:
            worth = max(worth, polished(program, rays, _MENDING, self.boxes)[0])
            self.target = max(self.target, worth * (1 + self.tolerance))

    def _split(self, cell: _Cell) -> None:
        kind, first, second = _widest_disagreement(
            cell.points,
            self.owner,
            cell.gives_low,
            cell.gives_high,
            cell.rates_low,
            cell.rates_high,
            -self.rate_limit.T,
            self.program.endowment,
        )
        if kind < 0:
            self.unfinished = max(self.unfinished, cell.bound)
            return
        for side in range(2):
            gives_low, gives_high = cell.gives_low.copy(), cell.gives_high.copy()
            rates_low, rates_high = cell.rates_low.copy(), cell.rates_high.copy()
            if kind == 0:
                cut = 0.5 * (rates_low[first, second] + rates_high[first, second])
                if side == 0:
                    rates_high[first, second], rates_low[second, first] = cut, -cut
                else:
                    rates_low[first, second], rates_high[second, first] = cut, -cut
            else:
                cut = 0.5 * (gives_low[first] + gives_high[first])
                if side == 0:
                    gives_high[first] = cut
                else:
                    gives_low[first] = cut
            child = self._restricted(cell, gives_low, gives_high, rates_low, rates_high)
            if child is not None:
                self.stack.append(child)

    def _restricted(
        self,
        cell: _Cell,
        gives_low: FloatArray,
        gives_high: FloatArray,
        rates_low: FloatArray,
        rates_high: FloatArray,
    ) -> _Cell | None:
        """Cut the boxes of each ray to new ranges; None where a ray has none left."""
        program, owner = self.program, self.owner
        free = program.w > 0
        lows, highs, bounds, axes = [], [], [], []
        points, worths = cell.points.copy(), np.zeros(self.n_rays)
        rates = np.where(rates_low <= -self.rate_limit.T, 0.0, np.exp(rates_low))
        for k in range(self.n_rays):
            own, other = owner == k, (owner != k) & (owner >= 0)
            floor = np.where(other, rates[k, np.maximum(owner, 0)] * gives_low, -_UNBOUNDED)
            floor = np.where(own, -gives_high, floor)
            ceiling = np.where(own, -gives_low, _UNBOUNDED)
            low, high, bound, axis = cut_boxes(
                cell.lows[k], cell.highs[k], cell.bounds[k], cell.axes[k], floor, ceiling, free, own
            )
            if not len(bound):
                return None
            lows.append(low)
            highs.append(high)
            bounds.append(bound)
            axes.append(axis)
            points[k] = np.clip(points[k], floor, np.where(own & ~free, floor, ceiling))
            points[k] = np.where(other & ~free, floor, points[k])
            worths[k] = ray_worth(program.sample, points[k], self._load)
        total = sum(float(part.max()) for part in bounds)
        return _Cell(
            gives_low,
            gives_high,
            rates_low,
            rates_high,
            lows,
            highs,
            bounds,
            axes,
            points,
            worths,
            min(total, cell.bound),
        )


@njit(cache=True)
def _widest_disagreement(
    points: FloatArray,
    owner: IntArray,
    gives_low: FloatArray,
    gives_high: FloatArray,
    rates_low: FloatArray,
    rates_high: FloatArray,
    rates_zero: FloatArray,
    endowment: FloatArray,
) -> tuple[int, int, int]:
    """Choose what to cut: (0, k, l) for a rate, (1, i, 0) for what is taken off, (-1, 0, 0) for nothing.

    A cut asks rays to hold more of what others take off than their best points do; the one that asks for
    most, in units of load, is chosen, else the widest range.
    """
    n_rays, n_tasks = points.shape
    kind, first, second, most = -1, 0, 0, 1e-9
    asked = np.zeros(n_tasks)
    for k in range(n_rays):
        for m in range(k + 1, n_rays):
            short = 0.0
            for turn in range(2):
                p, q = (k, m) if turn == 0 else (m, k)
                floor = 0.0 if rates_low[p, q] <= rates_zero[p, q] else np.exp(rates_low[p, q])
                raised = np.exp(0.5 * (rates_low[p, q] + rates_high[p, q]))
                for i in range(n_tasks):
                    if owner[i] == q and points[q, i] < 0:
                        gives = -points[q, i]
                        gap = raised * gives - points[p, i]
                        if gap > 0:
                            short += min(gap, (raised - floor) * gives)
                            asked[i] += min(gap, floor * (gives - gives_low[i]))
            if rates_high[k, m] - rates_low[k, m] > 1e-3 and short > most:
                kind, first, second, most = 0, k, m, short
    for i in range(n_tasks):
        if owner[i] >= 0 and gives_high[i] - gives_low[i] > _NARROW * endowment[i] and asked[i] > most:
            kind, first, second, most = 1, i, 0, asked[i]
    if kind >= 0:
        return kind, first, second
    widest = _NARROW
    for k in range(n_rays):
        for m in range(k + 1, n_rays):
            width = 0.3 * (rates_high[k, m] - rates_low[k, m])
            if width > widest:
                kind, first, second, widest = 0, k, m, width
    for i in range(n_tasks):
        if owner[i] >= 0 and endowment[i] > 0:
            width = (gives_high[i] - gives_low[i]) / endowment[i]
            if width > widest:
                kind, first, second, widest = 1, i, 0, width
    return kind, first, second
