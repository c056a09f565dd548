r"""Every menu of one ray and of several, cut into parts that are bounded by themselves.

Rays may be scaled freely before they are cut at their full extent, so that some :math:`A^k_i = \eta_i` in
each ray k. One ray: by the set of tasks that it takes off. Several: by a partition of *all* tasks that she
has into as many blocks. A task that no ray takes off belongs to a block of its own whose ray nobody picks,
which is a limit :math:`r_{kl} \to 0`; so all menus of two rays or more are covered.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from fairlot.errors import NotSupportedError
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.reallocation.support.bounds.boxes import Sample
from fairlot.reallocation.support.terms import Terms


@dataclass(frozen=True, eq=False)
class SampleProgram:
    """The best-menu program with a sample as the distribution, in units of load.

    Parameters
    ----------
    types : FloatArray, shape (n_tasks, n_types)
        Scaled types over the mean cost of each task.
    w, endowment, per_room : FloatArray, shape (n_tasks,)
        Values and endowment, and reciprocals of rooms (0 without a cap).
    counts : FloatArray, shape (n_tasks,)
        Instances per unit of load.
    per_load : float
        Reciprocal of the room of the number of instances.
    open : BoolArray, shape (n_tasks,)
        Tasks of which she may get more.
    """

    types: FloatArray
    w: FloatArray
    endowment: FloatArray
    per_room: FloatArray
    counts: FloatArray
    per_load: float
    open: BoolArray

    @classmethod
    def of(cls, terms: Terms, types: FloatArray, w: FloatArray) -> SampleProgram:
        """Take an agent's terms, scaled types of shape (n_types, n_tasks), and values.

        Raises
        ------
        NotSupportedError
            If a type does not mind some task at all.
        """
        if (types <= 0).any():
            msg = "a bound needs types with costs above 0"
            raise NotSupportedError(msg)
        mean = types.mean(axis=0)
        with np.errstate(divide="ignore"):
            per_room = np.where(np.isinf(terms.room), 0.0, 1.0 / np.maximum(terms.room * mean, 1e-290))
        return cls(
            types=np.ascontiguousarray((types / mean).T),
            w=w / mean,
            endowment=terms.endowment * mean,
            per_room=np.where(terms.closed, 1e290, per_room),
            counts=1.0 / mean,
            per_load=0.0 if np.isinf(terms.load_room) else 1.0 / max(terms.load_room, 1e-290),
            open=~terms.closed,
        )

    @cached_property
    def sample(self) -> Sample:
        """What kernels need of it."""
        return Sample(self.types, self.w, self.per_room, self.counts, self.per_load)

    @property
    def n_tasks(self) -> int:
        """Number of tasks."""
        return len(self.w)

    @property
    def tasks(self) -> list[int]:
        """Tasks that she has."""
        return np.flatnonzero(self.endowment > 0).tolist()

    def reach(self, block: tuple[int, ...]) -> FloatArray:
        """Find the amount of each task that no type takes on for all of a block, shape (n_tasks,)."""
        taken_off = self.endowment[list(block)] @ self.types[list(block)]
        return np.asarray((taken_off / self.types).max(axis=1))

    def first_box(self, block: tuple[int, ...], full: int) -> tuple[FloatArray, FloatArray]:
        """Build the box of all rays that take off a block only, and all of one task of it."""
        low, high = np.zeros(self.n_tasks), np.where(self.open & (self.w > 0), self.reach(block), 0.0)
        for i in block:
            low[i] = -self.endowment[i]
            high[i] = 0.0 if self.w[i] > 0 else low[i]
        high[full] = low[full]
        return low, high


def single_blocks(program: SampleProgram) -> list[tuple[int, ...]]:
    """List the sets of tasks that a ray by itself may take off; worthless tasks always go."""
    tasks = program.tasks
    worthless = [i for i in tasks if program.w[i] <= 0]
    others = [i for i in tasks if program.w[i] > 0]
    gains = program.open & (program.w > 0)
    found = []
    for size in range(len(others) + 1):
        for chosen in itertools.combinations(others, size):
            block = tuple(sorted([*worthless, *chosen]))
            if block and gains[np.setdiff1d(np.arange(program.n_tasks), block)].any():
                found.append(block)
    return found


def partitions(tasks: list[int], most: int | None = None) -> Iterator[tuple[tuple[int, ...], ...]]:
    """List the partitions of tasks into two blocks or more, few blocks first.

    Parameters
    ----------
    tasks : list of int
        Tasks.
    most : int, optional
        Blocks at most.
    """
    limit = len(tasks) if most is None else most

    def grow(rest: list[int], blocks: list[list[int]]) -> Iterator[tuple[tuple[int, ...], ...]]:
        if not rest:
            yield tuple(tuple(block) for block in blocks)
            return
        for k in range(len(blocks)):
            yield from grow(rest[1:], [[*b, rest[0]] if m == k else b for m, b in enumerate(blocks)])
        if len(blocks) < limit:
            yield from grow(rest[1:], [*blocks, [rest[0]]])

    found = [blocks for blocks in grow(tasks, []) if len(blocks) >= 2] if tasks else []
    return iter(sorted(found, key=len))


def owners(blocks: tuple[tuple[int, ...], ...], n_tasks: int) -> IntArray:
    """Tell which block each task is in, -1 if in none, shape (n_tasks,)."""
    owner: IntArray = np.full(n_tasks, -1, dtype=np.int64)
    for k, block in enumerate(blocks):
        owner[list(block)] = k
    return owner
