r"""The search for one agent's best menu.

Given which tasks each ray takes off her (the *blocks*), the complete parametrisation leaves a smooth
maximisation in a box (:mod:`fairlot.reallocation.support.smooth`). Blocks are searched: first structured
ones, tasks in the order of value per burden, on 512 types; then neighbours of the best, by moving a task,
swapping two, joining or splitting blocks; the best few are refined on 2,048 and 8,192 types.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.reallocation.support.smooth import Blocks, Climber
from fairlot.reallocation.support.terms import Terms

_SCREEN, _REFINE, _FINAL = 512, 2048, 8192
_WIDE = (0.05, 0.02)
_NARROW = (0.02, 0.008)


@dataclass(frozen=True, eq=False)
class Candidate:
    """One climb's end.

    Parameters
    ----------
    value : float
        Gain on the sample it was climbed on.
    blocks : Blocks
        What each ray takes off.
    x : FloatArray
        Parameters in the layout of the blocks' shape.
    changes : FloatArray, shape (n_rays, n_tasks)
        The rays worth offering, at full extent.
    """

    value: float
    blocks: Blocks
    x: FloatArray
    changes: FloatArray


def climb_from(
    climber: Climber,
    blocks: Blocks,
    start: FloatArray,
    widths: tuple[float, ...] = _WIDE,
    iterations: int = 25,
) -> Candidate:
    """Climb from a start and score the end.

    Parameters
    ----------
    climber : Climber
        Agent, sample and values.
    blocks : Blocks
        What each ray takes off.
    start : FloatArray
        Parameters.
    widths : tuple of float
        Smoothing, wide to narrow.
    iterations : int
        At each width.
    """
    shape = climber.shape(blocks)
    x = climber.climb(shape, start, widths, iterations)
    changes = climber.rays(shape, x)
    return Candidate(climber.value(changes), blocks, x, changes)


def rough_start(climber: Climber, blocks: Blocks, rng: np.random.Generator) -> FloatArray:
    """Guess parameters: most of each block for less of a good task, at rates of weights."""
    terms, w = climber.terms, climber.w
    shape = climber.shape(blocks)
    give = rng.uniform(0.6, 1.0, len(shape.give_ray))
    weight = np.bincount(
        shape.give_ray,
        give * (terms.endowment / terms.unit)[shape.give_task],
        minlength=len(blocks),
    )
    extra = np.zeros(len(shape.extra_ray))
    appeal = (w * terms.unit)[shape.extra_task]
    for k in range(len(blocks)):
        own = np.flatnonzero(shape.extra_ray == k)
        if len(own):
            best = own[np.argmax(appeal[own] * rng.uniform(0.7, 1.3, len(own)))]
            extra[best] = rng.uniform(0.3, 0.8) * weight[k]
    weight = np.maximum(weight, 1e-9)
    rates = [
        np.log(weight[k] / weight[m]) + 0.3 * rng.standard_normal()
        for k, m in itertools.combinations(range(len(blocks)), 2)
    ]
    return np.concatenate([give, extra, np.array(rates)])


def value_order(terms: Terms, w: FloatArray) -> IntArray:
    """Sort the tasks that she has by value per burden, the least valuable at her first."""
    tasks: IntArray = np.flatnonzero(terms.givable)
    return tasks[np.argsort((w * terms.unit)[tasks], kind="stable")]


def structured_blocks(terms: Terms, w: FloatArray, rng: np.random.Generator) -> list[Blocks]:
    """List blocks to begin with: prefixes, all but one, with or without the rest; pairs and triples."""
    order = value_order(terms, w).tolist()
    shared = [i for i in order if not terms.closed[i]]
    found: list[Blocks] = []
    for cut in range(1, len(order) + 1):
        found.append(_sorted_blocks([order[:cut]]))
    for cut in range(1, len(shared)):
        found.append(_sorted_blocks([shared[:cut], shared[cut:]]))
    for i in order:
        found.append(_sorted_blocks([[m for m in order if m != i]]))
    for i in shared:
        found.append(_sorted_blocks([[m for m in shared if m != i], [i]]))
    for _ in range(len(shared)):
        found.append(_random_blocks(shared, 2, rng))
    triples = list(itertools.combinations(shared, 3))
    rng.shuffle(triples)
    found += [tuple((i,) for i in triple) for triple in triples[:10]]
    return [blocks for blocks in dict.fromkeys(found) if blocks]


def neighbour(blocks: Blocks, terms: Terms, rng: np.random.Generator) -> Blocks:
    """Move a task, swap two, join two blocks or split one."""
    parts = [list(block) for block in blocks]
    shared = np.flatnonzero(terms.givable & ~terms.closed).tolist()
    step = rng.random()
    if step < 0.6 and shared:
        task = int(rng.choice(shared))
        parts = [[i for i in part if i != task] for part in parts]
        home = int(rng.integers(-1, len(parts) + 1))
        if home == len(parts):
            parts.append([task])
        elif home >= 0:
            parts[home].append(task)
    elif step < 0.8 and len(parts) >= 2:
        a, b = rng.choice(len(parts), 2, replace=False).tolist()
        i, m = int(rng.choice(parts[a])), int(rng.choice(parts[b]))
        parts[a] = [m if task == i else task for task in parts[a]]
        parts[b] = [i if task == m else task for task in parts[b]]
    elif step < 0.9 and len(parts) >= 2:
        a, b = sorted(rng.choice(len(parts), 2, replace=False).tolist())
        parts[a] += parts.pop(b)
    else:
        a = int(rng.integers(len(parts)))
        if len(parts[a]) >= 2:
            cut = rng.permutation(parts[a]).tolist()
            size = int(rng.integers(1, len(cut)))
            parts[a : a + 1] = [cut[:size], cut[size:]]
    return _sorted_blocks(parts, terms)


def best_menu(
    terms: Terms,
    w: FloatArray,
    *,
    seed: int = 0,
    start: Sequence[FloatArray] = (),
    time_limit: float | None = None,
) -> tuple[list[Candidate], int]:
    """Search for the best menu of rays.

    Parameters
    ----------
    terms : Terms
        The agent.
    w : FloatArray, shape (n_tasks,)
        Values.
    seed : int
        Of samples and random starts.
    start : sequence of FloatArray
        Menus to improve upon, shape (n_rays, n_tasks) each.
    time_limit : float, optional
        Seconds after which no further climb begins.

    Returns
    -------
    candidates : list of Candidate
        The best few, scored on 8,192 types, the best first; empty where no ray gains anything.
    climbs : int
        How many were made.
    """
    deadline = np.inf if time_limit is None else time.perf_counter() + time_limit
    rng = np.random.default_rng(seed)
    types = terms.types(_FINAL, seed)
    small, middle, large = (Climber(terms, types[:n], w) for n in (_SCREEN, _REFINE, _FINAL))
    if not small.wanted.any() or not terms.givable.any():
        return [], 0
    climbs = 0

    def screened(blocks: Blocks) -> Candidate:
        nonlocal climbs
        climbs += 1
        return climb_from(small, blocks, rough_start(small, blocks, rng))

    def late() -> bool:
        return time.perf_counter() > deadline

    pool: list[Candidate] = []
    for blocks in structured_blocks(terms, w, rng):
        pool += [screened(blocks) for _ in range(2 if len(blocks) < 3 else 3)]
        if late():
            break
    pool = _best(pool, 10)
    pool = _best([climb_from(middle, c.blocks, c.x, _NARROW, 40) for c in pool], 5)
    for _ in range(10 + 3 * terms.n_tasks):
        if late():
            break
        origin = pool[min(int(rng.geometric(0.45)) - 1, len(pool) - 1)]
        blocks = neighbour(origin.blocks, terms, rng)
        if not blocks:
            continue
        trial = screened(blocks)
        if trial.value > 0.97 * pool[-1].value:
            pool = _best([*pool, climb_from(middle, blocks, trial.x, _NARROW, 40)], 5)
    final = [climb_from(large, c.blocks, c.x, _NARROW[1:], 40) for c in pool[:3]]
    final += [Candidate(large.value(c.changes), c.blocks, c.x, c.changes) for c in pool[:3]]
    final += [Candidate(large.value(changes), (), np.empty(0), changes) for changes in start]
    return [c for c in _best(final, 3) if c.value > 0], climbs


def _best(candidates: list[Candidate], count: int) -> list[Candidate]:
    """Keep the best; of those with the same blocks one."""
    kept: dict[Blocks, Candidate] = {}
    for candidate in sorted(candidates, key=lambda c: -c.value):
        kept.setdefault(candidate.blocks, candidate)
    return list(kept.values())[:count]


def _random_blocks(tasks: list[int], count: int, rng: np.random.Generator) -> Blocks:
    """Deal most tasks to blocks at random."""
    if len(tasks) < count:
        return ()
    dealt = rng.permutation(tasks).tolist()
    parts = [[i] for i in dealt[:count]]
    for i in dealt[count:]:
        if rng.random() < 0.9:
            parts[int(rng.integers(count))].append(i)
    return _sorted_blocks(parts)


def _sorted_blocks(parts: list[list[int]], terms: Terms | None = None) -> Blocks:
    """Drop what is empty and sort; of two blocks or more none takes off what no other ray may put on."""
    kept = [part for part in parts if part]
    if terms is not None and len(kept) > 1:
        kept = [[i for i in part if not terms.closed[i]] for part in kept]
    return tuple(sorted(tuple(sorted(part)) for part in kept if part))
