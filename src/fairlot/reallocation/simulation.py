r"""What menus are worth when people pick as the designer believes: drawn preferences, drawn replicas.

In each draw every agent (every member of a group, N of each in the N-replica economy of
section 4.3) draws a type, picks the ray she gains most from, or keeps, and the best allocation is
selected. Agents who pick the same ray share alike, so that a draw only needs the number of picks per ray.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import partial

import numpy as np

from fairlot.certificate import Stats
from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.parallel import Engine, pmap
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.outcome import check_menus, select_counts

_MOST_CELLS = 2_000_000
_TIE = 1e-12


@dataclass(frozen=True, eq=False)
class Simulation:
    """Savings over draws of the preferences.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    savings : FloatArray, shape (n_draws,)
        Social cost below the status quo's, per replica.
    load_changes : FloatArray, shape (n_draws,)
        Mean over members of the relative change of the load as they see it themselves.
    acceptances : FloatArray, shape (n_rays,)
        Mean share of members who picked each ray.
    replicas : int
        N.
    stats : Stats
        Seed and seconds.
    """

    problem: ReallocationProblem
    savings: FloatArray
    load_changes: FloatArray
    acceptances: FloatArray
    replicas: int
    stats: Stats

    @property
    def mean(self) -> float:
        """Mean saving."""
        return float(self.savings.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean; NaN for one draw."""
        n = len(self.savings)
        return float(self.savings.std(ddof=1) / np.sqrt(n)) if n > 1 else float("nan")


def pick_myopically(menus: Menus, owners: IntArray, types: FloatArray, endowment: FloatArray) -> IntArray:
    r"""Let agents pick the ray they gain most from.

    Parameters
    ----------
    menus : Menus
        All menus.
    owners : IntArray, shape (n_members,)
        Agent of each member.
    types : FloatArray, shape (n_members, n_tasks)
        Private costs.
    endowment : FloatArray, shape (n_members, n_tasks)
        What they have: a gain that is rounding beside its load is a tie.

    Returns
    -------
    IntArray, shape (n_members,)
        Position of the ray with the smallest :math:`c \cdot \kappa < 0`; -1 where there is none. From a
        polarized menu at most one qualifies. A tie keeps.
    """
    best = -_TIE * (types * endowment).sum(axis=1)
    picks: IntArray = np.full(len(owners), -1, dtype=np.int64)
    sizes = np.diff(menus.starts)
    for k in range(int(sizes.max(initial=0))):
        member = np.flatnonzero(sizes[owners] > k)
        ray = menus.starts[owners[member]] + k
        gain = (types[member] * menus.changes[ray]).sum(axis=1)
        better = gain < best[member]
        best[member[better]] = gain[better]
        picks[member[better]] = ray[better]
    return picks


def simulate(
    problem: ReallocationProblem,
    menus: Menus,
    *,
    draws: int = 100,
    replicas: int = 1,
    truth: Beliefs | None = None,
    seed: int = 0,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
    reporter: Reporter | None = None,
) -> Simulation:
    """Draw preferences, let everybody pick, select.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        Its menus.
    draws : int
        Number of draws.
    replicas : int
        Copies N of every agent and of every task, with preferences of their own.
    truth : Beliefs, optional
        What preferences are drawn from, where the problem's beliefs are wrong: whatever it is, no draw saves
        less than nothing (section 3.1).
    seed : int
        Of all draws.
    engine, n_jobs
        Who draws and selects, see :func:`~fairlot.parallel.pmap`; the result does not depend on it.
    reporter : Reporter, optional
        Told how many draws are done.
    """
    problem.require_fixed_burdens()
    check_menus(problem, menus)
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("draws")
    began = time.perf_counter()
    beliefs = problem.beliefs if truth is None else _spread(truth, problem)
    work = partial(_draw, problem, menus, beliefs, replicas, seed)
    found = pmap(work, range(draws), engine=engine, n_jobs=n_jobs, reporter=reporter)
    start = problem.status_quo_cost - float(problem.sizes @ (problem.costs * problem.endowment).sum(axis=1))
    savings = np.array([start - value / replicas for value, _, _ in found])
    loads = np.array([load for _, load, _ in found])
    accepted = np.sum([chosen for _, _, chosen in found], axis=0, dtype=np.float64)
    accepted /= draws * replicas * problem.sizes[menus.ray_agents]
    stats = Stats("simulation", draws, time.perf_counter() - began, {"seed": seed, "replicas": replicas})
    return Simulation(problem, savings, loads, accepted, replicas, stats)


def _draw(
    problem: ReallocationProblem, menus: Menus, beliefs: Beliefs, replicas: int, seed: int, d: int
) -> tuple[float, float, IntArray]:
    """Return the value of one draw's selection, the mean load, and how many picked each ray."""
    members = np.repeat(np.arange(problem.n_agents, dtype=np.int64), problem.sizes * replicas)
    generator = np.random.default_rng([seed, d])
    chosen = np.zeros(menus.n_rays, dtype=np.int64)
    weights = np.zeros((menus.n_rays, problem.n_tasks))
    for block in np.array_split(members, 1 + len(members) * problem.n_tasks // _MOST_CELLS):
        types = beliefs.of(block).types(generator.random((len(block), problem.n_tasks)))
        endowment = problem.endowment[block]
        picks = pick_myopically(menus, block, types, endowment)
        picking = picks >= 0
        chosen += np.bincount(picks[picking], minlength=menus.n_rays)
        relative = types[picking] / (types * endowment).sum(axis=1)[picking, None]
        np.add.at(weights, picks[picking], relative)
    selection, moved = select_counts(problem, menus, chosen, seed=seed)
    each = moved / np.maximum(chosen, 1)[:, None]
    return selection.value, float((weights * each).sum() / len(members)), chosen


def _spread(truth: Beliefs, problem: ReallocationProblem) -> Beliefs:
    try:
        spread = truth.broadcast((problem.n_agents, problem.n_tasks))
    except ValueError:
        expected = f"shape {(problem.n_agents, problem.n_tasks)}"
        raise InvalidProblemError(
            [Issue("true beliefs", found=f"shape {truth.low.shape}", expected=expected)]
        ) from None
    issues = spread.issues(problem.agents, problem.tasks)
    if issues:
        raise InvalidProblemError(issues)
    return spread
