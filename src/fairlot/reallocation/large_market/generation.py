r"""Column generation on the outer program.

The restricted master gives prices :math:`\lambda`; at prices between those and the best so far (*in-out*
smoothing, off in the last rounds) every agent's best menu is looked for and added, until nothing new is
found. The value of the master is that of a randomised mechanism that exists. With the gains
:math:`G_j(w) = S_j(w) - w \cdot \eta_j` that were *found*,

.. math:: \sum_j s_j\, G_j(\lambda - \pi_j)

would bound every mechanism's saving if the menus found were the best ones (Proposition 2); since in general
they need not be, the distance to it is called the pseudo-gap, and is no bound.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlot.certificate import Status
from fairlot.model.hierarchy import FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.master import Master, MasterSolution
from fairlot.reallocation.large_market.pricing import Pricer, Workers, price_all

_SMOOTHING = 0.4
_LAST_ROUNDS = 3


@dataclass(frozen=True, eq=False)
class Round:
    """One round of column generation.

    Parameters
    ----------
    saving : float
        Of the master before the round.
    gains : float
        Sum of the gains found at the round's prices.
    columns : int
        New ones.
    seconds : float
        Since the beginning.
    """

    saving: float
    gains: float
    columns: int
    seconds: float


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
    pseudo_bound : float
        Least sum of gains found at any prices: the saving would be at most this if those menus were the best.
    prices : FloatArray, shape (n_tasks,)
        Where that was.
    rounds : tuple of Round
        What happened.
    status : Status
        ``CERTIFIED`` is never claimed here: ``UNCERTIFIED`` where the pseudo-gap closed, else the limit.
    """

    problem: ReallocationProblem
    columns: tuple[Column, ...]
    solution: MasterSolution
    pseudo_bound: float
    prices: FloatArray
    rounds: tuple[Round, ...]
    status: Status

    @property
    def saving(self) -> float:
        """Of the best mixture, against the endowment."""
        return self.solution.saving

    @property
    def pseudo_gap(self) -> float:
        """Distance to the pseudo-bound, as a share of it."""
        if self.pseudo_bound <= 0:
            return 0.0
        return max(0.0, 1.0 - self.saving / self.pseudo_bound)


def generate_columns(
    problem: ReallocationProblem,
    pricers: Sequence[Pricer],
    *,
    columns: Sequence[Column] = (),
    tol: float = 2e-3,
    max_iter: int = 40,
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
    starts: list[Any] = [None] * problem.n_agents
    pseudo_bound, centre = np.inf, first_prices(problem)
    rounds: list[Round] = []
    status, smoothing = Status.ITERATION_LIMIT, _SMOOTHING
    for k in range(max_iter):
        solution = master.solve()
        prices = solution.prices if master.columns else centre
        if master.columns and smoothing:
            prices = smoothing * centre + (1 - smoothing) * prices
        reporter.stage(f"menus, round {k + 1}")
        found = price_all(problem, pricers, prices, starts, workers, reporter)
        if workers.deadline is not None and time.time() >= workers.deadline:
            master.extend(found)
            status = Status.TIME_LIMIT
            break
        new = master.extend(found)
        gains = float(problem.sizes @ best_gains(problem, master.columns, prices))
        if gains < pseudo_bound:
            pseudo_bound, centre = gains, prices
        saving = master.solve().saving
        rounds.append(Round(saving, gains, new, time.time() - began))
        gap = 1 - saving / pseudo_bound if pseudo_bound > 0 else 0.0
        reporter.update(residual=max(gap, 0.0))
        if gap <= tol:
            status = Status.UNCERTIFIED
            break
        if k >= max_iter - 1 - _LAST_ROUNDS or not new:
            if not smoothing and not new:
                status = Status.UNCERTIFIED
                break
            smoothing = 0.0
    solution = master.solve()
    return LargeMarket(
        problem=problem,
        columns=tuple(master.columns),
        solution=solution,
        pseudo_bound=max(pseudo_bound, solution.saving),
        prices=centre,
        rounds=tuple(rounds),
        status=status,
    )


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
