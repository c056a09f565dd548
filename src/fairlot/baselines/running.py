"""A run of one mechanism: what to run, what came of it, and what it cost."""

from __future__ import annotations

import resource
import time
from dataclasses import dataclass

from fairlot.baselines.mechanisms import BASELINES
from fairlot.baselines.outcome import Outcome
from fairlot.model.market import PseudoMarket


@dataclass(frozen=True)
class Job:
    """What to run.

    Parameters
    ----------
    name : str
        The mechanism.
    market : PseudoMarket
    n_draws, seed : int
    time_limit : float or None
        Seconds, told to mechanisms that keep to one themselves.
    """

    name: str
    market: PseudoMarket
    n_draws: int
    seed: int
    time_limit: float | None


@dataclass(frozen=True)
class Answer:
    """What came of it.

    Parameters
    ----------
    outcome : Outcome or None
        None if the mechanism failed.
    fault : str
        Why it failed, in a line.
    seconds : float
        Of the mechanism alone.
    memory_mb : float
        Peak of the whole process.
    """

    outcome: Outcome | None
    fault: str
    seconds: float
    memory_mb: float


def work(job: Job) -> Answer:
    """Run a job in this process."""
    run = next(baseline for baseline in BASELINES if baseline.name == job.name).run
    began = time.perf_counter()
    outcome, fault = None, ""
    try:
        outcome = run(job.market, job.n_draws, job.seed, job.time_limit)
    except Exception as error:  # a peer's crash is a row of the table
        fault = (str(error).splitlines() or [""])[0] or type(error).__name__
    seconds = time.perf_counter() - began
    return Answer(outcome, fault, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
