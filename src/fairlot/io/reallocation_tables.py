"""A reallocation problem as the settings and tables of a problem folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.reallocation import ALL, FLAGS
from fairlot.io.tables import Table
from fairlot.model.beliefs import FAMILIES
from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.tasks import ReallocationProblem


def reallocation_tables(problem: ReallocationProblem) -> tuple[dict[str, Any], dict[str, Table]]:
    """Write a problem as settings and tables, every pair in a row of its own.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.

    Returns
    -------
    settings : dict
        What ``problem.toml`` says.
    tables : dict of Table
        By section.

    Raises
    ------
    InvalidProblemError
        If an id is unprintable, has space around it, or is ``*``: it would not survive.
    """
    odd = [
        Issue("not possible in a problem folder", found=text, expected="printable text, no space around it")
        for text in (*problem.agents, *problem.tasks, problem.title)
        if text != text.strip() or not text.isprintable() or text == ALL
    ]
    if odd:
        raise InvalidProblemError(odd)
    settings: dict[str, Any] = {"format": 1, "kind": "reallocation"}
    if problem.title:
        settings["title"] = problem.title
    settings |= {"tasks": {}, "agents": {}, "status_quo": {}, "cost": {}, "preferences": {}}
    agents: dict[str, Sequence[str]] = {
        "agent": problem.agents,
        "size": [str(size) for size in problem.sizes.tolist()],
    }
    if (problem.beta == problem.beta[0]).all():
        settings["participation"] = {"beta": float(problem.beta[0])}
    else:
        agents["beta"] = [f"{beta:.17g}" for beta in problem.beta.tolist()]
        settings["participation"] = {"beta": "beta"}
    caps = {
        name: getattr(problem.caps, name)
        for name in ("load_growth", "task_growth")
        if getattr(problem.caps, name) is not None
    }
    if caps:
        settings["cap"] = {name: float(growth) for name, growth in caps.items()}
    tasks: dict[str, Sequence[str]] = {"task": problem.tasks}
    flags = {"transfer": problem.transfer, "total": problem.free_total, "burden": ~problem.burden}
    for column, flag in flags.items():
        if flag.any():
            usual, other = FLAGS[column]
            tasks[column] = [other if on else usual for on in flag.tolist()]
    everywhere = np.ones(problem.costs.shape, dtype=np.bool_)
    held = problem.status_quo > 0
    tables = {
        "tasks": _table("tasks", tasks),
        "agents": _table("agents", agents),
        "status_quo": _pair_table(problem, "status_quo", "amount", problem.status_quo, held),
        "cost": _pair_table(problem, "cost", "cost", problem.costs, everywhere),
        "preferences": _belief_table(problem),
    }
    if not np.array_equal(problem.endowment, problem.status_quo):
        settings["endowment"] = {}
        tables["endowment"] = _pair_table(
            problem, "endowment", "amount", problem.endowment, problem.endowment > 0
        )
    if problem.forbidden.any():
        settings["forbidden"] = {}
        tables["forbidden"] = _pair_table(problem, "forbidden", None, problem.costs, problem.forbidden)
    return settings, tables


def _table(section: str, columns: Mapping[str, Sequence[str]]) -> Table:
    cells = tuple(columns.values())
    return Table(f"{section}.csv", tuple(columns), cells, range(2, len(cells[0]) + 2))


def _pair_table(
    problem: ReallocationProblem, section: str, column: str | None, table: FloatArray, there: BoolArray
) -> Table:
    rows, columns = np.nonzero(there)
    cells: dict[str, Sequence[str]] = {
        "agent": [problem.agents[j] for j in rows.tolist()],
        "task": [problem.tasks[i] for i in columns.tolist()],
    }
    if column is not None:
        cells[column] = [f"{x:.17g}" for x in table[rows, columns].tolist()]
    return _table(section, cells)


def _belief_table(problem: ReallocationProblem) -> Table:
    beliefs = problem.beliefs
    if beliefs.samples is not None:
        n_samples = len(beliefs.samples)
        s, j, i = (part.ravel().tolist() for part in np.indices(beliefs.samples.shape))
        return _table(
            "preferences",
            {
                "sample": [str(k + 1) for k in s],
                "agent": [problem.agents[k] for k in j],
                "task": [problem.tasks[k] for k in i],
                "cost": [f"{x:.17g}" for x in beliefs.samples.reshape(n_samples, -1).ravel().tolist()],
            },
        )
    rows, columns = (part.ravel().tolist() for part in np.indices(beliefs.low.shape))
    codes = list(FAMILIES)
    families = [codes[code] for code in beliefs.family.ravel().tolist()]
    parameters = beliefs.parameters.reshape(-1, 2).tolist()
    return _table(
        "preferences",
        {
            "agent": [problem.agents[j] for j in rows],
            "task": [problem.tasks[i] for i in columns],
            "low": [f"{x:.17g}" for x in beliefs.low.ravel().tolist()],
            "high": ["" if np.isinf(x) else f"{x:.17g}" for x in beliefs.high.ravel().tolist()],
            "family": families,
            "parameters": [
                ";".join(
                    f"{name}={value:.17g}" for name, value in zip(FAMILIES[family], values, strict=False)
                )
                for family, values in zip(families, parameters, strict=True)
            ],
        },
    )
