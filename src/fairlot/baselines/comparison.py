r"""One problem, many mechanisms, one table.

Every mechanism sees the same problem and seed, runs in a process of its own
(:mod:`fairlot.baselines.worker`) and is measured by the same code (:mod:`fairlot.baselines.measures`). One
that does not apply, lacks an extra, runs out of time or crashes is a row that says so.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, cast

from fairlot.baselines.exchanges import EXCHANGES, Exchange, Saved
from fairlot.baselines.measures import Measures, measure
from fairlot.baselines.mechanisms import BASELINES, Baseline
from fairlot.baselines.running import Answer, Job
from fairlot.baselines.worker import READY
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.market import PseudoMarket
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter


@dataclass(frozen=True, eq=False)
class Row:
    """One mechanism's line.

    Parameters
    ----------
    mechanism : Baseline or Exchange
        Which.
    measures : Measures, Saved or None
        Of a mechanism for goods or for tasks; None where there is nothing to measure, and ``note`` says why.
    seconds, memory_mb : float
        Of the run, compilation aside, and of the process at its peak; 0 where there was none.
    n_draws : int
        Assignments, or draws of the preferences, that were measured.
    note : str
        What the user should know.
    """

    mechanism: Baseline | Exchange
    measures: Measures | Saved | None
    seconds: float
    memory_mb: float
    n_draws: int
    note: str


@dataclass(frozen=True, eq=False)
class Comparison:
    """A problem's table.

    Parameters
    ----------
    problem : PseudoMarket or ReallocationProblem
        What was compared on.
    rows : tuple of Row
        In the order of the mechanisms asked for.
    n_draws, seed : int
        Draws of each mechanism, and the seed of all.
    """

    problem: PseudoMarket | ReallocationProblem
    rows: tuple[Row, ...]
    n_draws: int
    seed: int

    def __getitem__(self, name: str) -> Row:
        """Return the row of a mechanism by name."""
        return next(row for row in self.rows if row.mechanism.name == name)


def compare_mechanisms(
    problem: PseudoMarket | ReallocationProblem,
    mechanisms: Sequence[str] | None = None,
    *,
    n_draws: int = 100,
    seed: int = 0,
    time_limit: float | None = 60.0,
    reporter: Reporter | None = None,
) -> Comparison:
    """Run mechanisms on a problem and measure what each does to it.

    Parameters
    ----------
    problem : PseudoMarket or ReallocationProblem
        The problem, with values, or beliefs about private costs, taken as true.
    mechanisms : sequence of str, optional
        Names out of :data:`~fairlot.baselines.mechanisms.BASELINES` or
        :data:`~fairlot.baselines.exchanges.EXCHANGES`; default all.
    n_draws : int
        Draws of each mechanism that leaves things to chance, or of everybody's preferences; at least 2.
    seed : int
        The same for all.
    time_limit : float, optional
        Seconds for each mechanism, and again for the search for a Pareto improvement; None for no limit.
    reporter : Reporter, optional
        Told which mechanism runs.

    Raises
    ------
    InvalidProblemError
        For names that are not mechanisms, timetables (quotas that cross, conflicts), and too few draws.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[3, 2], [3, 1]], capacities=1)
    >>> table = compare_mechanisms(market, ["utilitarian", "round-robin"], n_draws=10)
    >>> round(table["utilitarian"].measures.value, 3)
    2.5
    """
    choice: Sequence[Baseline | Exchange]
    if isinstance(problem, PseudoMarket):
        choice = BASELINES
        if problem.crossings:  # of the market as a whole, not of one mechanism after another
            what = "timetables cannot be compared with other mechanisms, only solved (fairlot solve)"
            found, expected = "conflicts or quotas that cross", "quotas that are nested or disjoint"
            raise InvalidProblemError([Issue(what, found=found, expected=expected)])
    else:
        choice = EXCHANGES
        problem.require_fixed_burdens()
    known = {mechanism.name: mechanism for mechanism in choice}
    names = list(known) if mechanisms is None else list(mechanisms)
    issues = [
        Issue("mechanism", found=name, expected=", ".join(known)) for name in names if name not in known
    ]
    if n_draws < 2:
        issues.append(Issue("draws", found=str(n_draws), expected="at least 2"))
    if issues:
        raise InvalidProblemError(issues)
    reporter = NullReporter() if reporter is None else reporter
    rows = []
    for k, name in enumerate(names):
        reporter.stage(known[name].title)
        reporter.update(k / len(names))
        rows.append(_row(known[name], Job(name, problem, n_draws, seed, time_limit)))
    return Comparison(problem, tuple(rows), n_draws, seed)


def _row(mechanism: Baseline | Exchange, job: Job) -> Row:
    if isinstance(mechanism, Baseline) and isinstance(job.problem, PseudoMarket):
        objection = mechanism.objection(job.problem)
        if objection:
            return Row(mechanism, None, 0.0, 0.0, 0, f"does not apply: {objection}")
    answer = run_apart(job)
    cost = answer.seconds, answer.memory_mb
    if answer.found is None:
        return Row(mechanism, None, *cost, 0, answer.fault)
    if isinstance(answer.found, Saved):
        return Row(mechanism, answer.found, *cost, job.n_draws, answer.found.witness)
    measures = measure(cast(PseudoMarket, job.problem), answer.found, time_limit=job.time_limit)
    return Row(mechanism, measures, *cost, len(answer.found.draws), answer.found.note)


def run_apart(job: Job) -> Answer:
    """Run a job in a process of its own, and end the process when its time is up."""
    with (
        tempfile.TemporaryFile() as question,
        tempfile.TemporaryFile() as errors,
    ):
        pickle.dump(job, question)
        question.seek(0)
        process = subprocess.Popen(
            [sys.executable, "-m", "fairlot.baselines.worker"],
            stdin=question,
            stdout=subprocess.PIPE,
            stderr=errors,
            bufsize=0,  # or reading the first byte takes more out of the pipe than that
        )
        ready = cast(IO[bytes], process.stdout).read(len(READY)) == READY
        # Mechanisms that keep to a limit themselves get a moment to answer.
        patience = None if job.time_limit is None or not ready else job.time_limit * 1.1 + 1.0
        try:
            answer, _ = process.communicate(timeout=patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            return Answer(None, f"stopped after {job.time_limit:g} s", float(job.time_limit or 0.0), 0.0)
        if process.returncode == 0:
            return cast(Answer, pickle.loads(answer))
        errors.seek(0)
        lines = errors.read().decode(errors="replace").strip().splitlines()
        return Answer(None, f"crashed: {lines[-1] if lines else process.returncode}", 0.0, 0.0)
