r"""What the large-market solution saves in economies of finite size (Proposition 3).

In the N-replica economy there are N copies of every agent, with preferences of their own, and N times as
many instances of every task. The randomised mechanism is replicated copy by copy, everybody picks, and
the best allocation is selected. Saving per replica tends to the large-market saving as N grows; the part
that is lacking falls about like :math:`a / \sqrt N`. It does so in expectation, not draw by draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.hierarchy import IntArray
from fairlot.model.menus import Menu, Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.parallel import Engine
from fairlot.progress import Reporter
from fairlot.reallocation.large_market.mechanism import RandomisedMechanism
from fairlot.reallocation.simulation import Simulation, simulate


@dataclass(frozen=True)
class ReplicaRow:
    """Savings in one replica economy.

    Parameters
    ----------
    replicas : int
        N.
    saving : float
        Mean saving per replica.
    standard_error : float
        Of the mean.
    least : float
        Smallest saving of all draws.
    share : float
        Of the large-market saving.
    """

    replicas: int
    saving: float
    standard_error: float
    least: float
    share: float


@dataclass(frozen=True)
class ReplicaStudy:
    r"""Savings by the size of the economy.

    Parameters
    ----------
    large_market_saving : float
        What they tend to.
    rows : tuple of ReplicaRow
        By N.
    coefficient : float
        a of the fit :math:`1 - \text{share} = a / \sqrt N`, least squares; NaN where nothing is saved.
    """

    large_market_saving: float
    rows: tuple[ReplicaRow, ...]
    coefficient: float

    def to_dict(self) -> dict[str, Any]:
        """Return the table for ``--json``."""
        return {
            "large_market_saving": self.large_market_saving,
            "replicas": [vars(row) for row in self.rows],
            "shortfall_times_root_n": self.coefficient if np.isfinite(self.coefficient) else None,
        }


def study_replicas(
    mechanism: RandomisedMechanism,
    replicas: Sequence[int],
    *,
    draws: int = 100,
    seed: int = 0,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> ReplicaStudy:
    """Simulate replica economies.

    Parameters
    ----------
    mechanism : RandomisedMechanism
        The large-market solution.
    replicas : sequence of int
        Values of N, at least 1.
    draws : int
        Of everybody's preferences, at least 2, for each N.
    seed : int
        Of the draws.
    engine, n_jobs
        Who draws and selects, see :func:`~fairlot.parallel.pmap`.
    reporter : Reporter, optional
        Told how many draws are done.
    """
    wrong = [n for n in replicas if n < 1]
    if wrong or not replicas:
        found = str(wrong[0]) if wrong else "none"
        raise InvalidProblemError([Issue("replicas", found=found, expected="numbers of at least 1")])
    rows = []
    for n in sorted(set(replicas)):
        simulated = simulate_replica(
            mechanism, n, draws=draws, seed=seed, engine=engine, n_jobs=n_jobs, reporter=reporter
        )
        saving = simulated.savings / n
        error = float(saving.std(ddof=1) / np.sqrt(draws)) if draws > 1 else float("nan")
        mean = float(saving.mean())
        share = mean / mechanism.saving if mechanism.saving > 0 else float("nan")
        rows.append(ReplicaRow(n, mean, error, float(saving.min()), share))
    inverse = np.array([1 / np.sqrt(row.replicas) for row in rows])
    short = np.array([1 - row.share for row in rows])
    return ReplicaStudy(mechanism.saving, tuple(rows), float(inverse @ short / (inverse @ inverse)))


def simulate_replica(
    mechanism: RandomisedMechanism,
    replicas: int,
    *,
    draws: int = 100,
    seed: int = 0,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> Simulation:
    """Simulate one replica economy; savings are over all copies.

    Parameters
    ----------
    mechanism, draws, seed, engine, n_jobs, reporter
        As in :func:`study_replicas`.
    replicas : int
        N.
    """
    problem, menus = replica_economy(mechanism, replicas)
    return simulate(problem, menus, draws=draws, seed=seed, engine=engine, n_jobs=n_jobs, reporter=reporter)


def replica_economy(mechanism: RandomisedMechanism, replicas: int) -> tuple[ReallocationProblem, Menus]:
    """Make the N-replica economy, copies of an agent who are offered the same menu being a group.

    Parameters
    ----------
    mechanism : RandomisedMechanism
        The large-market solution.
    replicas : int
        N.
    """
    problem = mechanism.problem
    counts = mechanism.copies(replicas)
    owner = np.array([column.agent for column in mechanism.columns], dtype=np.int64)
    offered = np.bincount(owner, weights=counts, minlength=problem.n_agents)
    keeping = problem.sizes * replicas - np.rint(offered).astype(np.int64)
    some, rest = np.flatnonzero(counts > 0), np.flatnonzero(keeping > 0)
    agents: IntArray = np.concatenate([owner[some], rest])
    names = tuple(f"{problem.agents[j]}/{k + 1}" for k, j in enumerate(agents.tolist()))
    economy = ReallocationProblem(
        agents=names,
        tasks=problem.tasks,
        status_quo=problem.status_quo[agents],
        costs=problem.costs[agents],
        beliefs=problem.beliefs.of(agents),
        sizes=np.concatenate([counts[some], keeping[rest]]),
        beta=problem.beta[agents],
        endowment=problem.endowment[agents],
        caps=problem.caps,
        forbidden=problem.forbidden[agents],
        transfer=problem.transfer,
        free_total=problem.free_total,
        burden=problem.burden,
        title=problem.title,
    )
    menus = [Menu(names[k], mechanism.columns[c].menu(problem).rays) for k, c in enumerate(some.tolist())]
    return economy, Menus.of(names, problem.tasks, menus)
