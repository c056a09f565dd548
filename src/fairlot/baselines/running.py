"""A run of one mechanism: what to run, what came of it, and what it cost."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from fairlot.baselines.exchanges import EXCHANGES, Saved
from fairlot.baselines.mechanisms import BASELINES
from fairlot.baselines.outcome import Outcome
from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem


@dataclass(frozen=True)
class Job:
    """What to run.

    Parameters
    ----------
    name : str
        The mechanism.
    problem : PseudoMarket or ReallocationProblem
        What it is run on.
    n_draws, seed : int
        Draws of a mechanism that leaves things to chance, or of preferences.
    time_limit : float or None
        Seconds, told to mechanisms that keep to one themselves.
    """

    name: str
    problem: PseudoMarket | ReallocationProblem
    n_draws: int
    seed: int
    time_limit: float | None


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Parameters
    ----------
    found : Outcome, Saved or None
        None if the mechanism failed.
    fault : str
        Why it failed, in a line.
    seconds : float
        Of the mechanism alone.
    memory_mb : float
        Peak of the whole process.
    """

    found: Outcome | Saved | None
    fault: str
    seconds: float
    memory_mb: float


def _run(job: Job) -> Outcome | Saved:
    settings = job.n_draws, job.seed, job.time_limit
    if isinstance(job.problem, PseudoMarket):
        return next(b for b in BASELINES if b.name == job.name).run(job.problem, *settings)
    return next(e for e in EXCHANGES if e.name == job.name).run(job.problem, *settings)


def work(job: Job) -> Answer:
    """Run a job in this process."""
    began = time.perf_counter()
    found, fault = None, ""
    try:
        found = _run(job)
    except Exception as error:  # a peer's crash is a row of the table
        fault = (str(error).splitlines() or [""])[0] or type(error).__name__
    seconds = time.perf_counter() - began
    return Answer(found, fault, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
