r"""Bounds on every menu for one agent: certified on a sample, at 95% for a continuous belief.

With a sample as the distribution, branch and bound over all single rays and all partitions of the tasks
(:mod:`fairlot.reallocation.support.bounds.cells`) proves that no menu gains more than the bound. For a
continuous belief a menu that is best for it gains on average as much on R independent scrambles of the
Sobol sequence, and the best menu of each scramble at least as much; the mean of the R bounds plus a
quantile of the t distribution times their error therefore holds with 95% confidence.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from scipy.stats import t as student

from fairlot.model.hierarchy import FloatArray
from fairlot.parallel import pmap
from fairlot.reallocation.support.bounds.cells import PartBound, bound_blocks, bound_single
from fairlot.reallocation.support.bounds.known import best_known
from fairlot.reallocation.support.bounds.partitions import SampleProgram, partitions, single_blocks
from fairlot.reallocation.support.no_choice import remedial_gain
from fairlot.reallocation.support.terms import Terms

_TOGETHER = 8
"""Parts that are worked on with the same known value, whatever the number of workers."""
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
    program = SampleProgram.of(terms, types, w)
    known = max(remedial_gain(terms, w), best_known(terms, types, w, menus, seed))
    # gains that are nothing beside what she has need no proof
    reference = max(known, _NOTHING * float(np.abs(w) @ terms.endowment))
    bound, boxes, finished = known, 0, True
    for function, parts in _rounds(program):
        for at in range(0, len(parts), _TOGETHER):
            work = partial(function, program, known=reference, tolerance=tolerance, deadline=deadline)
            for part in pmap(work, parts[at : at + _TOGETHER], n_jobs=n_jobs):
                bound = max(bound, part.bound)
                if part.known > reference:
                    known = reference = part.known
                boxes += part.boxes
                finished &= part.finished
    limit = max(first_best_gain(terms, types, w), known)
    return SampleBound(min(bound, limit), known, finished, boxes, time.perf_counter() - began)


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


_Part = Callable[..., PartBound]


def _rounds(program: SampleProgram) -> list[tuple[_Part, list[tuple[object, ...]]]]:
    """List what is to be bounded: single rays, then partitions into two blocks, three, ..."""
    rounds: list[tuple[_Part, list[tuple[object, ...]]]] = [(bound_single, list(single_blocks(program)))]
    if (program.open & (program.w > 0)).any():
        by_size: dict[int, list[tuple[object, ...]]] = {}
        for blocks in partitions(program.tasks):
            by_size.setdefault(len(blocks), []).append(blocks)
        rounds += [(bound_blocks, by_size[size]) for size in sorted(by_size)]
    return rounds
