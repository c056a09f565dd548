r"""What every agent's best menu is worth at given prices: the support functions, many agents at a time.

At prices :math:`\lambda` agent j's menu is worth what :math:`S_j(\lambda - \pi_j)` has above
:math:`(\lambda - \pi_j) \cdot \eta_j` (Valenzuela-Stookey, section 4.2). Agents are independent of each other
here, so that they are priced in parallel.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.parallel import Engine, pmap
from fairlot.progress import Reporter
from fairlot.reallocation.large_market.columns import Column, remedial_column
from fairlot.reallocation.support.pricing import Pricer as SupportPricer
from fairlot.reallocation.support.terms import Terms
from fairlot.reallocation.value.acceptance import acceptance

_SCORING = 2**31
"""Seed of the types that menus are scored on, apart from those that they are searched on."""


@dataclass(frozen=True, eq=False)
class Priced:
    r"""A menu found at some values.

    Parameters
    ----------
    changes : FloatArray, shape (n_rays, n_tasks)
        Polarized rays at full extent; none where nothing is worth offering.
    acceptance : FloatArray, shape (n_rays,)
        :math:`P_j(c \cdot \kappa^k < 0)`.
    """

    changes: FloatArray
    acceptance: FloatArray


class Pricer(Protocol):
    """Finds good menus for one agent; may cross to another process."""

    def best(self, values: FloatArray, start: Sequence[FloatArray], *, explore: int, seed: int) -> Priced:
        r"""Find a menu, other than the remedial one, that is worth much at the values.

        Parameters
        ----------
        values : FloatArray, shape (n_tasks,)
            :math:`w = \lambda - \pi_j`.
        start : sequence of FloatArray
            Menus that are good at these values, of those found before.
        explore : int
            In how many other places to look.
        seed : int
            Of what is random about the search: nothing else may be.
        """


@dataclass(frozen=True, eq=False)
class SearchPricer:
    """Prices one agent by the search for her support function.

    Parameters
    ----------
    terms : Terms
        The agent.
    """

    terms: Terms

    def best(self, values: FloatArray, start: Sequence[FloatArray], *, explore: int, seed: int) -> Priced:
        """Climb from the start and from elsewhere; what becomes of the menu is seen on other types."""
        # made afresh, so that the search does not depend on what this process searched before
        pricer = SupportPricer(self.terms, seed=seed)
        found = pricer.best(values, list(start), explore=explore)
        if found.kind == "remedial" or not len(found.rays):
            return Priced(np.zeros((0, len(values))), np.zeros(0))
        owner = np.zeros(len(found.rays), dtype=np.int64)
        return Priced(found.rays, acceptance(self.terms.belief, owner, found.rays, seed=_SCORING))


@dataclass(frozen=True)
class Workers:
    """Where menus are priced.

    Parameters
    ----------
    engine, n_jobs
        As in :func:`fairlot.parallel.pmap`.
    deadline : float, optional
        Time (``time.time()``) from which on agents are skipped.
    """

    engine: Engine = "joblib"
    n_jobs: int | None = 1
    deadline: float | None = None


def price_all(
    problem: ReallocationProblem,
    pricers: Sequence[Pricer],
    prices: FloatArray,
    starts: Sequence[Sequence[FloatArray]],
    explore: int,
    seed: int,
    workers: Workers,
    reporter: Reporter,
) -> list[Column | None]:
    """Price every agent once.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    pricers : sequence of Pricer
        One per agent.
    prices : FloatArray, shape (n_tasks,)
        Values of the tasks.
    starts : sequence
        Menus that each agent's search begins with.
    explore : int
        In how many other places to look.
    seed : int
        Of the searches.
    workers : Workers
        Who does it.
    reporter : Reporter
        Told how many agents are done.

    Returns
    -------
    list of Column or None
        The better of the menu found and the remedial menu; None where neither is worth anything, or there
        was no time.
    """
    values = prices - problem.costs
    found = pmap(
        partial(_price, workers.deadline, explore, seed),
        list(zip(pricers, values, starts, strict=True)),
        engine=workers.engine,
        n_jobs=workers.n_jobs,
        reporter=reporter,
    )
    columns: list[Column | None] = []
    for j, priced in enumerate(found):
        options = [remedial_column(problem, j, values[j])]
        if priced is not None and len(priced.changes):
            options.append(Column(j, priced.changes, priced.acceptance))
        gains = [float(values[j] @ option.displacement) for option in options]
        best = int(np.argmax(gains))
        columns.append(options[best] if gains[best] > 0 else None)
    return columns


def _price(
    deadline: float | None,
    explore: int,
    seed: int,
    task: tuple[Pricer, FloatArray, Sequence[FloatArray]],
) -> Priced | None:
    if deadline is not None and time.time() >= deadline:
        return None
    pricer, values, start = task
    return pricer.best(values, start, explore=explore, seed=seed)
