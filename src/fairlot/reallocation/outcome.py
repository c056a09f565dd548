"""Picks in, outcome out: the reallocation of one period."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Certificate, Stats, Status
from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery import lottery_from_shares
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.lotteries import Lottery
from fairlot.model.menus import KEEP, Menus
from fairlot.model.shares import RandomAllocation
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.obvious.rays import ray_extents
from fairlot.reallocation.selection import Selection, select
from fairlot.verify.reallocation import verify_outcome

_ROUNDING = 1e-9

Picks = Mapping[str, str | Sequence[str]]
"""The ray each agent picked, or ``keep``; for a group one per member. No entry means keep."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """What everybody gets in expectation, and what it saves.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        What was offered.
    picks : IntArray, shape (n_members,)
        Position of the picked ray, members of the first agent first; -1 keeps.
    displacements : FloatArray, shape (n_members, n_tasks)
        Expected amounts less the endowment.
    prices : FloatArray, shape (n_tasks,)
        Social cost per instance at the optimum, which proves it.
    status : Status
        As the certificate found it.
    certificate : Certificate
        See :mod:`fairlot.verify.reallocation`.
    stats : Stats
        Rounds of sifting, seconds.
    """

    problem: ReallocationProblem
    menus: Menus
    picks: IntArray
    displacements: FloatArray
    prices: FloatArray
    status: Status
    certificate: Certificate
    stats: Stats

    @cached_property
    def members(self) -> tuple[str, ...]:
        """Ids of the members: the agent's, with ``#`` and a number where she stands for a group."""
        return member_ids(self.problem)

    @cached_property
    def member_agents(self) -> IntArray:
        """Position of each member's agent, shape (n_members,)."""
        return np.repeat(np.arange(self.problem.n_agents, dtype=np.int64), self.problem.sizes)

    @cached_property
    def amounts(self) -> FloatArray:
        """Expected amounts, shape (n_members, n_tasks)."""
        amounts = self.problem.endowment[self.member_agents] + self.displacements
        return np.asarray(np.maximum(amounts, 0.0))

    @cached_property
    def shares(self) -> RandomAllocation:
        """Expected amounts by member and task."""
        return RandomAllocation(self.members, self.problem.tasks, sp.csr_array(self.amounts))

    @property
    def status_quo_cost(self) -> float:
        """Social cost of the status quo."""
        return self.problem.status_quo_cost

    @property
    def cost(self) -> float:
        """Expected social cost."""
        return self.status_quo_cost - self.saving

    @property
    def saving(self) -> float:
        """What the status quo costs more; exactly 0 where nothing moves."""
        problem = self.problem
        apart = problem.sizes @ (problem.costs * (problem.status_quo - problem.endowment)).sum(axis=1)
        return float(apart - (problem.costs[self.member_agents] * self.displacements).sum())

    @property
    def moved(self) -> float:
        """Expected instances that change hands."""
        return float(np.maximum(self.displacements, 0.0).sum())

    def lottery(self) -> Lottery:
        """Make the lottery over integer assignments with exactly these expectations.

        Everybody's amount of every task, her load, and the total of every task are rounded to a
        neighbouring integer. Transfers are paid as expected, not drawn.
        """
        return lottery_from_shares(
            drawn_shares(self.problem, self.members, self.amounts), kind="reallocation"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the findings for ``summary.json``."""
        return {
            "status_quo_cost": self.status_quo_cost,
            "cost": self.cost,
            "saving": self.saving,
            "moved": self.moved,
        }


def reallocate(problem: ReallocationProblem, menus: Menus, picks: Picks, *, seed: int = 0) -> Outcome:
    """Select the best allocation that respects all picks.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        What was offered.
    picks : mapping from agent to ray, or to one ray per member
        ``keep`` or nothing leaves her where she is.
    seed : int
        Of the sample that sifting starts from; the saving does not depend on it.

    Raises
    ------
    InvalidProblemError
        Listing picks that were not offered, and menus that leave the orthant or break a cap.

    References
    ----------
    Valenzuela-Stookey, section 3, ex-post optimal polarized ray mechanisms.

    Examples
    --------
    >>> from fairlot.model.beliefs import Beliefs
    >>> from fairlot.model.menus import Menu, Ray
    >>> problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], [[1, 3], [3, 1]], Beliefs.uniform(1, 2))
    >>> menus = Menus.of(
    ...     problem.agents,
    ...     problem.tasks,
    ...     [Menu("agent1", (Ray("a", [2, -2]),)), Menu("agent2", (Ray("a", [-2, 2]),))],
    ... )
    >>> outcome = reallocate(problem, menus, {"agent1": "a", "agent2": "a"})
    >>> outcome.saving, outcome.status.value
    (8.0, 'certified')
    >>> reallocate(problem, menus, {"agent1": "a"}).saving
    0.0
    """
    return reallocate_positions(problem, menus, pick_positions(problem, menus, picks), seed=seed)


def reallocate_positions(
    problem: ReallocationProblem, menus: Menus, picks: IntArray, *, seed: int = 0
) -> Outcome:
    """Select the best allocation that respects picks given by position.

    Parameters
    ----------
    problem, menus, seed
        As in :func:`reallocate`.
    picks : IntArray, shape (n_members,)
        Position of the ray in the menus, members of the first agent first; -1 keeps.
    """
    problem.require_fixed_burdens()
    began = time.perf_counter()
    check_menus(problem, menus)
    chosen = np.bincount(picks[picks >= 0], minlength=menus.n_rays)
    selection, moved = select_counts(problem, menus, chosen, seed=seed)
    each = moved / np.maximum(chosen, 1)[:, None]
    displacements = np.vstack([each, np.zeros(problem.n_tasks)])[picks]
    certificate = verify_outcome(problem, menus, picks, displacements, selection.prices)
    status = Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED
    seconds = time.perf_counter() - began
    stats = Stats("sifting", selection.rounds, seconds, {"seed": seed})
    return Outcome(problem, menus, picks, displacements, selection.prices, status, certificate, stats)


def select_counts(
    problem: ReallocationProblem, menus: Menus, chosen: IntArray, *, seed: int = 0
) -> tuple[Selection, FloatArray]:
    """Select, given how many members picked each ray.

    Parameters
    ----------
    problem, menus, seed
        As in :func:`reallocate`.
    chosen : IntArray, shape (n_rays,)
        Members who picked the ray.

    Returns
    -------
    selection : Selection
        Of the program's columns.
    moved : FloatArray, shape (n_rays, n_tasks)
        Displacement of all who picked the ray together.
    """
    picked = np.flatnonzero(chosen > 0)
    plain, less = picked[~menus.remedial_rays[picked]], picked[menus.remedial_rays[picked]]
    ray, task = np.nonzero(menus.changes[less])
    parts = np.zeros((len(ray), problem.n_tasks))
    parts[np.arange(len(ray)), task] = menus.changes[less][ray, task]
    owner = np.concatenate([plain, less[ray]])
    columns = np.vstack([menus.changes[plain], parts])
    costs = (problem.costs[menus.ray_agents[owner]] * columns).sum(axis=1)
    selection = select(columns, costs, chosen[owner].astype(np.float64), seed=seed)
    moved = np.zeros((menus.n_rays, problem.n_tasks))
    np.add.at(moved, owner, selection.extents[:, None] * columns)
    return selection, moved


def member_ids(problem: ReallocationProblem) -> tuple[str, ...]:
    """Name the members: the agent's id, with ``#`` and a number where she stands for a group."""
    return tuple(
        agent if size == 1 else f"{agent}#{m + 1}"
        for agent, size in zip(problem.agents, problem.sizes.tolist(), strict=True)
        for m in range(size)
    )


def drawn_shares(
    problem: ReallocationProblem, members: tuple[str, ...], amounts: FloatArray
) -> RandomAllocation:
    """Leave out what is paid as expected and not drawn: transfers.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    members : tuple of str
        Ids of the rows.
    amounts : FloatArray, shape (n_members, n_tasks)
        Expected amounts.
    """
    drawn = ~problem.transfer
    tasks = tuple(task for task, kept in zip(problem.tasks, drawn, strict=True) if kept)
    return RandomAllocation(members, tasks, sp.csr_array(np.maximum(amounts[:, drawn], 0.0)))


def pick_positions(problem: ReallocationProblem, menus: Menus, picks: Picks) -> IntArray:
    """Look up picks in the menus.

    Parameters
    ----------
    problem, menus, picks
        As in :func:`reallocate`.

    Returns
    -------
    IntArray, shape (n_members,)
        Position of the ray; -1 keeps.
    """
    names = list(zip(menus.ray_agents.tolist(), menus.ray_names, strict=True))
    position = {name: r for r, name in enumerate(names)}
    start = np.concatenate([[0], np.cumsum(problem.sizes)]).tolist()
    agents = {agent: j for j, agent in enumerate(problem.agents)}
    found: IntArray = np.full(start[-1], -1, dtype=np.int64)
    issues = []
    for agent, given in picks.items():
        if agent not in agents:
            issues.append(Issue("pick of an unknown agent", found=agent))
            continue
        j = agents[agent]
        rays = [given] if isinstance(given, str) else list(given)
        if len(rays) != problem.sizes[j]:
            expected = f"one per member ({problem.sizes[j]})"
            issues.append(Issue(f"picks of agent '{agent}'", found=f"{len(rays)} picks", expected=expected))
            continue
        for m, ray in enumerate(rays):
            if (j, ray) in position:
                found[start[j] + m] = position[j, ray]
            elif ray not in ("", KEEP):
                offered = [menus.ray_names[r] for r in range(menus.starts[j], menus.starts[j + 1])]
                expected = " or ".join([*offered, KEEP])
                issues.append(Issue(f"pick of agent '{agent}'", found=ray, expected=expected))
    if issues:
        raise InvalidProblemError(issues)
    return found


def check_menus(problem: ReallocationProblem, menus: Menus) -> None:
    """Refuse menus for other agents or tasks, and rays that leave the orthant or break a cap.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        Its menus.

    Raises
    ------
    InvalidProblemError
        Naming the rays.
    """
    if (menus.agents, menus.tasks) != (problem.agents, problem.tasks):
        raise InvalidProblemError([Issue("menus", expected="the problem's agents and tasks, in its order")])
    extents = ray_extents(problem, menus.ray_agents, menus.changes)
    issues = [
        Issue(
            f"ray '{menus.ray_names[r]}' of agent '{menus.agents[menus.ray_agents[r]]}'",
            found=f"a change that is {1 / extents[r]:.6g} times too large" if extents[r] > 0 else "a change",
            expected="amounts of at least 0, within the caps",
        )
        for r in np.flatnonzero(extents < 1 - _ROUNDING).tolist()
    ]
    if issues:
        raise InvalidProblemError(issues)
