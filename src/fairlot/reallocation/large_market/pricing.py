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
from typing import Any, Protocol

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.parallel import Engine, pmap
from fairlot.progress import Reporter
from fairlot.reallocation.large_market.columns import Column, remedial_column


@dataclass(frozen=True, eq=False)
class Priced:
    r"""A menu found at some values.

    Parameters
    ----------
    changes : FloatArray, shape (n_rays, n_tasks)
        Polarized rays at full extent; none where nothing is worth offering.
    acceptance : FloatArray, shape (n_rays,)
        :math:`P_j(c \cdot \kappa^k < 0)`.
    start : object
        Where to begin at values close by.
    """

    changes: FloatArray
    acceptance: FloatArray
    start: Any = None


class Pricer(Protocol):
    """Finds good menus for one agent; may cross to another process."""

    def best(self, values: FloatArray, start: Any) -> Priced:
        r"""Find a menu that is worth much at the values, beginning at what was found before, if anything.

        Parameters
        ----------
        values : FloatArray, shape (n_tasks,)
            :math:`w = \lambda - \pi_j`.
        start : object
            Of the last :class:`Priced`, None the first time.
        """


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
    starts: list[Any],
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
    starts : list
        Where each agent's search begins; replaced by where the next one should.
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
    work = list(zip(pricers, values, starts, strict=True))
    found = pmap(
        partial(_price, workers.deadline),
        work,
        engine=workers.engine,
        n_jobs=workers.n_jobs,
        reporter=reporter,
    )
    columns: list[Column | None] = []
    for j, priced in enumerate(found):
        options = [remedial_column(problem, j, values[j])]
        if priced is not None:
            starts[j] = priced.start
            if len(priced.changes):
                options.append(Column(j, priced.changes, priced.acceptance))
        gains = [float(values[j] @ option.displacement) for option in options]
        best = int(np.argmax(gains))
        columns.append(options[best] if gains[best] > 0 else None)
    return columns


def _price(deadline: float | None, task: tuple[Pricer, FloatArray, Any]) -> Priced | None:
    if deadline is not None and time.time() >= deadline:
        return None
    pricer, values, start = task
    return pricer.best(values, start)
