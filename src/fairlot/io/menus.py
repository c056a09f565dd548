"""Menus and picks as tables: ``menus.csv``, ``picks.csv``, ``mechanism.csv``."""

from __future__ import annotations

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.lookup import Lookup
from fairlot.io.tables import FINITE, POSITIVE_COUNT, Table, fits_memory, numbers, write_csv
from fairlot.model.hierarchy import IntArray
from fairlot.model.menus import KEEP, Menus
from fairlot.model.tasks import ReallocationProblem

MENUS = "menus.csv"
PICKS = "picks.csv"


def menus_csv(menus: Menus) -> bytes:
    """Write menus: a row per ray and task that it changes, at full extent, 17 significant digits.

    Parameters
    ----------
    menus : Menus
        All menus.
    """
    ray, task = np.nonzero(menus.changes)
    records = [
        (menus.agents[menus.ray_agents[r]], menus.ray_names[r], menus.tasks[i], f"{menus.changes[r, i]:.17g}")
        for r, i in zip(ray.tolist(), task.tolist(), strict=True)
    ]
    return write_csv(("agent", "ray", "task", "change"), records)


def mechanism_csv(menus: Menus) -> bytes:
    """Write the mechanism behind the menus: here one menu for each agent who has a choice, for certain.

    Parameters
    ----------
    menus : Menus
        All menus.
    """
    with_choice = [menus.agents[j] for j in np.unique(menus.ray_agents).tolist()]
    return write_csv(("agent", "menu", "weight"), [(agent, "1", "1") for agent in with_choice])


def read_menus(table: Table, problem: ReallocationProblem) -> Menus:
    """Read ``menus.csv``.

    Parameters
    ----------
    table : Table
        With columns agent, ray, task, change.
    problem : ReallocationProblem
        Whose agents and tasks are meant.

    Raises
    ------
    InvalidProblemError
        Listing every fault.
    """
    issues: list[Issue] = []
    if not table.require(("agent", "ray", "task", "change"), issues):
        raise InvalidProblemError(issues)
    rows, columns = _positions(table, problem, issues)
    changes = numbers(table, "change", FINITE, issues)
    rays: dict[tuple[int, str], dict[int, float]] = {}
    for k, (j, i) in enumerate(zip(rows.tolist(), columns.tolist(), strict=True)):
        name = table["ray"][k]
        if not name:
            issues.append(Issue("blank", table.file, table.rows[k], "ray", "", "the id of the ray"))
        of_ray = rays.setdefault((j, name), {})
        if i in of_ray:
            found = f"ray '{name}' of agent '{table['agent'][k]}', task '{table['task'][k]}'"
            issues.append(
                Issue("duplicate row", table.file, table.rows[k], None, found, "each task of a ray once")
            )
        of_ray[i] = float(changes[k])
    if issues:
        raise InvalidProblemError(issues)
    ordered = sorted(rays, key=lambda key: key[0])
    table_of_changes = np.zeros((len(ordered), problem.n_tasks))
    for r, key in enumerate(ordered):
        for i, change in rays[key].items():
            table_of_changes[r, i] = change
    try:
        return Menus(
            problem.agents,
            problem.tasks,
            np.array([j for j, _ in ordered], dtype=np.int64),
            tuple(name for _, name in ordered),
            table_of_changes,
        )
    except InvalidProblemError as error:
        raise InvalidProblemError(
            Issue(fault.message, table.file, found=fault.found, expected=fault.expected)
            for fault in error.issues
        ) from None


def picks_csv(problem: ReallocationProblem, menus: Menus, picks: IntArray | None = None) -> bytes:
    """Write ``picks.csv``: blank to fill in for all who have a choice, or as picked by everybody.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem. Where some agent stands for a group there is a column ``member``.
    menus : Menus
        All menus.
    picks : IntArray, shape (n_members,), optional
        Position of the ray, -1 to keep.
    """
    offered = set(menus.ray_agents.tolist())
    grouped = bool((problem.sizes > 1).any())
    names = [*menus.ray_names, KEEP]  # the last also answers for -1
    records = []
    m = 0
    for j, (agent, size) in enumerate(zip(problem.agents, problem.sizes.tolist(), strict=True)):
        for k in range(size):
            if picks is not None or j in offered:
                cell = "" if picks is None else names[picks[m + k]]
                records.append((agent, str(k + 1), cell) if grouped else (agent, cell))
        m += size
    columns = ("agent", "member", "ray") if grouped else ("agent", "ray")
    return write_csv(columns, records)


def read_picks(table: Table, problem: ReallocationProblem, menus: Menus) -> IntArray:
    """Read ``picks.csv``.

    Parameters
    ----------
    table : Table
        With columns agent, ray, and member where some agent stands for a group.
    problem : ReallocationProblem
        The problem.
    menus : Menus
        What was offered.

    Returns
    -------
    IntArray, shape (n_members,)
        Position of the ray; -1 to keep, which a blank cell and a missing row mean too.

    Raises
    ------
    InvalidProblemError
        Listing every fault.
    """
    issues: list[Issue] = []
    grouped = bool((problem.sizes > 1).any())
    needed = ("agent", "member", "ray") if grouped else ("agent", "ray")
    if not table.require(needed, issues):
        raise InvalidProblemError(issues)
    agents = Lookup("agent", _of_problem(table, problem), problem.agents)
    rows = agents.positions(table["agent"], table, table.rows, "agent", issues)
    members = (
        numbers(table, "member", POSITIVE_COUNT, issues, blank=1)
        if "member" in table
        else np.ones(len(table.rows))
    )
    if not fits_memory(int(problem.sizes.sum()), 1, table.file, "members", issues):
        raise InvalidProblemError(issues)
    start = np.concatenate([[0], np.cumsum(problem.sizes)])
    owners = zip(menus.ray_agents.tolist(), menus.ray_names, strict=True)
    position = {owner: r for r, owner in enumerate(owners)}
    picks: IntArray = np.full(int(start[-1]), -1, dtype=np.int64)
    seen: dict[int, int] = {}
    for k, j in enumerate(rows.tolist()):
        if j < 0 or np.isnan(members[k]):
            continue
        row, agent, ray = table.rows[k], table["agent"][k], table["ray"][k]
        if members[k] > problem.sizes[j]:
            expected = f"from 1 to {problem.sizes[j]} for agent '{agent}'"
            issues.append(Issue("no such member", table.file, row, "member", f"{members[k]:g}", expected))
            continue
        m = int(start[j] + members[k] - 1)
        if m in seen:
            expected = f"one row each (it is in row {seen[m]} already)"
            issues.append(Issue("second pick", table.file, row, "agent", agent, expected))
        elif ray not in ("", KEEP):
            if (j, ray) in position:
                picks[m] = position[j, ray]
            else:
                offered = menus.ray_names[menus.starts[j] : menus.starts[j + 1]]
                expected = " or ".join([*offered, KEEP])
                issues.append(Issue("not offered", table.file, row, "ray", ray, expected))
        seen.setdefault(m, row)
    if issues:
        raise InvalidProblemError(issues)
    return picks


def _positions(table: Table, problem: ReallocationProblem, issues: list[Issue]) -> tuple[IntArray, IntArray]:
    whole = _of_problem(table, problem)
    agents, tasks = Lookup("agent", whole, problem.agents), Lookup("task", whole, problem.tasks)
    return (
        agents.positions(table["agent"], table, table.rows, "agent", issues),
        tasks.positions(table["task"], table, table.rows, "task", issues),
    )


def _of_problem(table: Table, problem: ReallocationProblem) -> Table:
    """Stand for the problem, whose ids are complete, as the table that defines them."""
    return Table(problem.title or "the problem", (), (), (), complete=True)
