r"""Bounds on every menu for one agent: certified on a sample, at 95% for a continuous belief.

With a sample as the distribution, branch and bound over all single rays and all partitions of the tasks
(:mod:`fairlot.reallocation.support.bounds.cells`) proves that no menu gains more than the bound. For a
continuous belief a menu that is best for it gains on average as much on R independent scrambles of the
Sobol sequence, and the best menu of each scramble at least as much; the mean of the R bounds plus a
quantile of the t distribution times their error therefore holds with 95% confidence.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from scipy.stats import t as student

from fairlot.model.hierarchy import FloatArray
from fairlot.parallel import pmap
from fairlot.reallocation.support.bounds.cells import Part, PartBound, bound_blocks, bound_single
from fairlot.reallocation.support.bounds.known import best_known
from fairlot.reallocation.support.bounds.partitions import SampleProgram, partitions, single_blocks
from fairlot.reallocation.support.bounds.rays import refine_ray
from fairlot.reallocation.support.no_choice import remedial_gain
from fairlot.reallocation.support.terms import Terms

_TOGETHER = 8
"""Parts that are worked on with the same known value, whatever the number of workers."""
_RAY_GAP = 0.2
"""How near the bounds of rays by themselves shall be, beside the tolerance."""
_MOST_TASKS = 8
"""With more the parts are too many to list, and the first best is the bound."""
_CONFIDENCE = 0.95
_NOTHING = 1e-6


@dataclass(frozen=True, eq=False)
class SampleBound:
    """A bound on the gain of every menu on a sample.

    Parameters
    ----------
    bound : float
        No menu gains more on the sample.
    known : float
        The best gain known on the sample.
    finished : bool
        Whether the bound is within the tolerance of what is known; a bound it is in any case.
    boxes : int
        Boxes bounded.
    seconds : float
        Wall time.
    """

    bound: float
    known: float
    finished: bool
    boxes: int
    seconds: float


@dataclass(frozen=True, eq=False)
class ConfidenceBound:
    """A bound on the gain of every menu under a continuous belief.

    Parameters
    ----------
    bound : float
        No menu gains more, with 95% confidence.
    samples : tuple of SampleBound
        One for each scramble.
    """

    bound: float
    samples: tuple[SampleBound, ...]

    @property
    def finished(self) -> bool:
        """Whether every scramble was done within its tolerance."""
        return all(sample.finished for sample in self.samples)


def first_best_gain(terms: Terms, types: FloatArray, w: FloatArray) -> float:
    r"""Evaluate the gain if her type were known, caps aside: a benchmark and a weak bound.

    .. math:: E[\max(0, \max_i w_i / c_i)\, c \cdot \eta] - w \cdot \eta

    Parameters
    ----------
    terms : Terms
        The agent.
    types : FloatArray, shape (n_types, n_tasks)
        Scaled types.
    w : FloatArray, shape (n_tasks,)
        Values.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        best = np.where(w > 0, w / types, 0.0).max(axis=1)
    return float((best * (types @ terms.endowment)).mean() - w @ terms.endowment)


def sample_bound(
    terms: Terms,
    types: FloatArray,
    w: FloatArray,
    menus: Sequence[FloatArray] = (),
    *,
    tolerance: float = 0.02,
    time_limit: float | None = None,
    n_jobs: int | None = 1,
    seed: int = 0,
) -> SampleBound:
    """Bound the gain of every menu on a sample.

    Parameters
    ----------
    terms : Terms
        The agent.
    types : FloatArray, shape (n_types, n_tasks)
        Scaled types, which are the distribution.
    w : FloatArray, shape (n_tasks,)
        Values.
    menus : sequence of FloatArray
        Good menus, shape (n_rays, n_tasks) each: the better they are, the less there is to search.
    tolerance : float
        Relative gap that is good enough.
    time_limit : float, optional
        Seconds.
    n_jobs : int, optional
        Workers, over sets and partitions of the tasks.
    seed : int
        Of the random steps that improve the menus.

    Raises
    ------
    NotSupportedError
        If a type does not mind some task at all.
    """
    began = time.perf_counter()
    deadline = np.inf if time_limit is None else time.time() + time_limit
    halfway = np.inf if time_limit is None else time.time() + 0.5 * time_limit
    program = SampleProgram.of(terms, types, w)
    known = max(remedial_gain(terms, w), best_known(terms, types, w, menus, seed))
    first_best = first_best_gain(terms, types, w)
    if len(program.tasks) > _MOST_TASKS:
        return SampleBound(max(first_best, known), known, False, 0, time.perf_counter() - began)
    # gains that are nothing beside what she has need no proof
    least = _NOTHING * float(np.abs(w) @ terms.endowment)
    found = _Found(known, max(known, least), tolerance, deadline)
    singles = single_blocks(program)
    for at in range(0, len(singles), _TOGETHER):
        found.take(pmap(found.search(bound_single, program), singles[at : at + _TOGETHER], n_jobs=n_jobs))
    if (program.open & (program.w > 0)).any():
        parts = _parts(program, tolerance * _RAY_GAP, halfway, n_jobs)
        for at in range(0, len(parts), _TOGETHER):
            if parts[at].bound <= found.target or time.time() > deadline:
                found.leave(parts[at].bound)
                break
            found.take(pmap(found.search(bound_blocks, program), parts[at : at + _TOGETHER], n_jobs=n_jobs))
    return SampleBound(
        bound=min(found.bound, max(first_best, found.known)),
        known=found.known,
        finished=found.finished,
        boxes=found.boxes,
        seconds=time.perf_counter() - began,
    )


@dataclass
class _Found:
    """What has been found so far."""

    known: float
    reference: float
    tolerance: float
    deadline: float
    bound: float = 0.0
    boxes: int = 0
    finished: bool = True

    def __post_init__(self) -> None:
        self.bound = self.known

    @property
    def target(self) -> float:
        """What is near enough to what is known."""
        return self.reference * (1 + self.tolerance)

    def search(
        self, function: Callable[..., PartBound], program: SampleProgram
    ) -> Callable[[Any], PartBound]:
        """Prepare the work on a part."""
        return partial(
            function, program, known=self.reference, tolerance=self.tolerance, deadline=self.deadline
        )

    def take(self, parts: Sequence[PartBound]) -> None:
        """Note what is known of some parts."""
        for part in parts:
            self.bound = max(self.bound, part.bound)
            if part.known > self.reference:
                self.known = self.reference = part.known
            self.boxes += part.boxes
            self.finished &= part.finished

    def leave(self, bound: float) -> None:
        """Leave parts that are worth no more than a bound."""
        self.bound = max(self.bound, bound)
        self.finished &= bound <= self.target


def _parts(program: SampleProgram, gap: float, deadline: float, n_jobs: int | None) -> list[Part]:
    """List menus of two rays and more in parts, those first that might be worth most."""
    found = list(partitions(program.tasks))
    given = sorted({(block, i) for blocks in found for block in blocks for i in block})
    refined = pmap(partial(refine_ray, program, gap=gap, deadline=deadline), given, n_jobs=n_jobs)
    rays = dict(zip(given, refined, strict=True))
    parts = [
        Part(blocks, full, tuple(rays[block, i] for block, i in zip(blocks, full, strict=True)))
        for blocks in found
        for full in itertools.product(*blocks)
    ]
    return sorted(parts, key=lambda part: -part.bound)


def confidence_bound(
    terms: Terms,
    w: FloatArray,
    menus: Sequence[FloatArray] = (),
    *,
    n_types: int = 1024,
    scrambles: int = 8,
    tolerance: float = 0.02,
    time_limit: float | None = None,
    n_jobs: int | None = 1,
    seed: int = 0,
) -> ConfidenceBound:
    """Bound the gain of every menu under the belief, with 95% confidence.

    Parameters
    ----------
    terms, w, menus, tolerance, n_jobs, seed
        As in :func:`sample_bound`.
    n_types : int
        Size of each scramble, a power of 2.
    scrambles : int
        How many, at least 2.
    time_limit : float, optional
        Seconds for all of them together.
    """
    found = []
    for scramble in range(scrambles):
        stream = np.random.SeedSequence([seed, scramble]).generate_state(1)[0]
        types = terms.types(n_types, int(stream))
        left = None if time_limit is None else time_limit / scrambles
        found.append(
            sample_bound(
                terms, types, w, menus, tolerance=tolerance, time_limit=left, n_jobs=n_jobs, seed=scramble
            )
        )
    bounds = np.array([sample.bound for sample in found])
    margin = float(student.ppf(_CONFIDENCE, scrambles - 1)) * float(bounds.std(ddof=1)) / np.sqrt(scrambles)
    return ConfidenceBound(float(bounds.mean() + margin), tuple(found))
