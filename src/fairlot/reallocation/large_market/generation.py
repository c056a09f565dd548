r"""Column generation on the outer program.

The restricted master gives prices :math:`\lambda`; at prices between those and the best so far (*in-out*
smoothing) every agent's best menu is looked for and added. Narrow searches begin with the best menus at hand;
when they find little more, a wide one looks elsewhere too, without smoothing, and the work ends when that
finds little more either. The value of the master is that of a randomised mechanism that exists. With the
gains :math:`G_j(w) = S_j(w) - w \cdot \eta_j` that were *found*,

.. math:: \sum_j s_j\, G_j(\lambda - \pi_j)

would bound every mechanism's saving if the menus found were the best ones (Proposition 2); since in general
they need not be, the distance to it is called the pseudo-gap, and is no bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairlot.certificate import Status
from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.master import Master, MasterSolution
from fairlot.reallocation.large_market.pricing import Pricer, Workers, price_all

_SMOOTHING = 0.4
_STARTS = 2
_NARROW, _WIDE = 4, 12
"""In how many places to look besides the starts."""


@dataclass(frozen=True, eq=False)
class Round:
    """One round of column generation.

    Parameters
    ----------
    saving : float
        Of the master after the round.
    gains : float
        Sum of the gains of all menus found so far, at the best prices so far.
    columns : int
        New ones.
    wide : bool
        Whether the searches looked far.
    seconds : float
        Since the beginning.
    """

    saving: float
    gains: float
    columns: int
    wide: bool
    seconds: float

    @property
    def gap(self) -> float:
        """The pseudo-gap, as a share of the gains."""
        return max(0.0, 1.0 - self.saving / self.gains) if self.gains > 0 else 0.0


@dataclass(frozen=True, eq=False)
class LargeMarket:
    """What column generation ends with.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    columns : tuple of Column
        All menus found.
    solution : MasterSolution
        The best mixture of them.
    prices : FloatArray, shape (n_tasks,)
        The best ones found.
    rounds : tuple of Round
        What happened.
    status : Status
        ``UNCERTIFIED`` where the pseudo-gap closed, which proves nothing; else the limit that was met.
    """

    problem: ReallocationProblem
    columns: tuple[Column, ...]
    solution: MasterSolution
    prices: FloatArray
    rounds: tuple[Round, ...]
    status: Status

    @property
    def saving(self) -> float:
        """Of the best mixture, against the endowment."""
        return self.solution.saving

    @property
    def pseudo_gap(self) -> float:
        """Of the last round."""
        return self.rounds[-1].gap


def generate_columns(
    problem: ReallocationProblem,
    pricers: Sequence[Pricer],
    *,
    columns: Sequence[Column] = (),
    tol: float = 2e-3,
    max_iter: int = 60,
    seed: int = 0,
    workers: Workers | None = None,
    reporter: Reporter | None = None,
) -> LargeMarket:
    """Generate menus until the pseudo-gap closes, the rounds are over or the time is.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    pricers : sequence of Pricer
        One per agent.
    columns : sequence of Column
        To begin with.
    tol : float
        Pseudo-gap to stop at.
    max_iter : int
        Rounds.
    seed : int
        Of the searches.
    workers : Workers, optional
        Who prices; by default this process.
    reporter : Reporter, optional
        Told the round and the pseudo-gap.
    """
    reporter = NullReporter() if reporter is None else reporter
    workers = Workers() if workers is None else workers
    began = time.time()
    master = Master(problem)
    master.extend(columns)
    centre = first_prices(problem)
    rounds: list[Round] = []
    status = Status.ITERATION_LIMIT
    saving, wide = 0.0, True
    for k in range(max_iter):
        prices = master.solve().prices if master.columns else centre
        if not wide:
            prices = _SMOOTHING * centre + (1 - _SMOOTHING) * prices
        reporter.stage(f"menus, round {k + 1}" + (", looking wide" if wide else ""))
        starts = _starts(problem, master.columns, prices)
        explore = _WIDE if wide else _NARROW
        found = price_all(problem, pricers, prices, starts, explore, seed + k, workers, reporter)
        new = master.extend(found)
        before, saving = saving, master.solve().saving
        gains = [float(problem.sizes @ best_gains(problem, master.columns, at)) for at in (centre, prices)]
        if gains[1] <= gains[0]:
            centre = prices
        rounds.append(Round(saving, min(gains), new, wide, time.time() - began))
        gap = rounds[-1].gap
        reporter.update(residual=gap)
        if workers.deadline is not None and time.time() >= workers.deadline:
            status = Status.TIME_LIMIT
            break
        little = saving - before <= tol * saving
        if wide and k and gap <= tol and (little or not new):
            status = Status.UNCERTIFIED
            break
        wide = gap <= tol or not new
    return LargeMarket(problem, tuple(master.columns), master.solve(), centre, tuple(rounds), status)


def _starts(
    problem: ReallocationProblem, columns: Sequence[Column], prices: FloatArray
) -> list[list[FloatArray]]:
    """List the best menus at hand of each agent."""
    ranked: list[list[tuple[float, int]]] = [[] for _ in problem.agents]
    for k, column in enumerate(columns):
        if not column.remedial:
            value = float((prices - problem.costs[column.agent]) @ column.displacement)
            ranked[column.agent].append((-value, k))
    return [[columns[k].changes for _, k in sorted(of_agent)[:_STARTS]] for of_agent in ranked]


def best_gains(problem: ReallocationProblem, columns: Sequence[Column], prices: FloatArray) -> FloatArray:
    """Evaluate the best of the columns at hand for each agent, and the remedial menu.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    columns : sequence of Column
        Menus.
    prices : FloatArray, shape (n_tasks,)
        Values of the tasks.

    Returns
    -------
    FloatArray, shape (n_agents,)
        Per member, at least 0.
    """
    values = prices - problem.costs
    best = (np.maximum(-values, 0.0) * problem.endowment).sum(axis=1)
    if columns:
        owner = np.array([column.agent for column in columns])
        moved = np.array([column.displacement for column in columns])
        np.maximum.at(best, owner, (values[owner] * moved).sum(axis=1))
    return np.asarray(best)


def first_prices(problem: ReallocationProblem) -> FloatArray:
    """Guess prices: the median cost of each task, over instances that somebody may do.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.

    Returns
    -------
    FloatArray, shape (n_tasks,)
    """
    allowed = np.where(problem.forbidden, np.nan, problem.costs)
    some = ~np.isnan(allowed).all(axis=0)
    prices = np.zeros(problem.n_tasks)
    prices[some] = np.nanmedian(allowed[:, some], axis=0)
    return prices
