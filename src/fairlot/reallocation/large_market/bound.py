r"""What no randomised mechanism of plain menus can save: the dual program, with bounds on support functions.

For any prices :math:`\lambda`, by weak duality (section 4.2) the large-market saving is at most

.. math:: \sum_j s_j\, \big(\bar S_j(\lambda - \pi_j) - (\lambda - \pi_j) \cdot \eta_j\big) ,
   \qquad \bar S_j \ge S_j ,

and so is, in expectation, that of any mechanism of this market. It is a bound if every :math:`\bar S_j` is:
with two tasks they are exact, with up to five they come from branch and bound
(:mod:`fairlot.reallocation.support.bounds`).
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.parallel import pmap
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.large_market.pricing import Workers
from fairlot.reallocation.support.support import support_function

_KINDS = ("certified", "95%", "not certified")


@dataclass(frozen=True, eq=False)
class OuterBound:
    """A bound on the large-market saving.

    Parameters
    ----------
    saving : float
        The bound, against the endowment, over all members.
    kind : str
        ``certified``: proved; ``95%``: each agent's part holds with that confidence; ``not certified``: some
        proof did not end in time, so that it is loose, or no bound.
    prices : FloatArray, shape (n_tasks,)
        That it was found at.
    gains : FloatArray, shape (n_agents,)
        Bounds on what a menu for one member is worth at these prices, beyond keeping.
    """

    saving: float
    kind: str
    prices: FloatArray
    gains: FloatArray


def outer_bound(
    problem: ReallocationProblem,
    prices: FloatArray,
    *,
    workers: Workers | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> OuterBound:
    """Bound the large-market saving from above.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    prices : FloatArray, shape (n_tasks,)
        Any; the nearer to the best, the tighter.
    workers : Workers, optional
        Who bounds the agents; their deadline is shared evenly.
    seed : int
        Of the samples where beliefs are none.
    reporter : Reporter, optional
        Told how many agents are done.
    """
    reporter = NullReporter() if reporter is None else reporter
    workers = Workers() if workers is None else workers
    reporter.stage("bounds")
    limit = None
    if workers.deadline is not None:
        limit = max(workers.deadline - time.time(), 0.0) / problem.n_agents * (workers.n_jobs or 1)
    parts = pmap(
        partial(_part, problem, prices, limit, seed),
        range(problem.n_agents),
        engine=workers.engine,
        n_jobs=workers.n_jobs,
        reporter=reporter,
    )
    gains = np.array([gain for gain, _ in parts])
    kind = max((kind for _, kind in parts), key=_KINDS.index)
    return OuterBound(float(problem.sizes @ gains), kind, np.array(prices), gains)


def _part(
    problem: ReallocationProblem, prices: FloatArray, limit: float | None, seed: int, agent: int
) -> tuple[float, str]:
    """Bound one member's gain."""
    values = prices - problem.costs[agent]
    found = support_function(problem, agent, values, bound=True, time_limit=limit, seed=seed)
    base = float(values @ problem.endowment[agent])
    if found.upper_bound is None or found.bound_kind is None:
        return found.value - base, "not certified"
    return found.upper_bound - base, found.bound_kind
