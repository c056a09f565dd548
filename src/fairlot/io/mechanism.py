"""The randomised mechanism behind published menus as tables.

``mechanism.csv``: ``agent,menu,weight``, what an agent's weights lack to 1 being that of no choice.
``mechanism_menus.csv``: ``agent,menu,ray,task,change``, displacements at full extent.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.lookup import Lookup
from fairlot.io.menus import mechanism_csv
from fairlot.io.tables import FINITE, NON_NEGATIVE, Table, numbers, read_table, write_csv
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import LESS
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.design import Design
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.mechanism import RandomisedMechanism
from fairlot.reallocation.value.acceptance import acceptance

MECHANISM = "mechanism.csv"
MECHANISM_MENUS = "mechanism_menus.csv"


def mechanism_files(design: Design) -> dict[str, bytes]:
    """Write the mechanism behind a design's menus: of a method without one, the menus for certain.

    Parameters
    ----------
    design : Design
        As designed.
    """
    mechanism = design.mechanism
    if mechanism is None:
        return {MECHANISM: mechanism_csv(design.menus)}
    problem = mechanism.problem
    weights, changes = [], []
    number = dict.fromkeys(range(problem.n_agents), 0)
    for column, weight in zip(mechanism.columns, mechanism.weights.tolist(), strict=True):
        number[column.agent] += 1
        agent, menu = problem.agents[column.agent], str(number[column.agent])
        weights.append((agent, menu, f"{weight:.17g}"))
        for k, ray in enumerate(column.changes):
            name = LESS if column.remedial else f"ray{k + 1}"
            changes += [
                (agent, menu, name, problem.tasks[i], f"{ray[i]:.17g}") for i in np.flatnonzero(ray).tolist()
            ]
    return {
        MECHANISM: write_csv(("agent", "menu", "weight"), weights),
        MECHANISM_MENUS: write_csv(("agent", "menu", "ray", "task", "change"), changes),
    }


def read_mechanism(folder: str | Path, problem: ReallocationProblem) -> RandomisedMechanism:
    """Read the mechanism out of a design's result folder.

    Parameters
    ----------
    folder : str or Path
        The result folder.
    problem : ReallocationProblem
        Whose mechanism it is; its beliefs give what it saves.

    Raises
    ------
    InvalidProblemError
        Listing every fault; where a file is missing, the method had no mechanism behind its menus.
    """
    path, issues = Path(folder), list[Issue]()
    weights = read_table(lambda name: (path / name).read_bytes(), MECHANISM, issues)
    moves = read_table(lambda name: (path / name).read_bytes(), MECHANISM_MENUS, issues)
    if weights is None or moves is None or issues:
        raise InvalidProblemError(issues)
    if not (
        weights.require(("agent", "menu", "weight"), issues)
        & moves.require(("agent", "menu", "ray", "task", "change"), issues)
    ):
        raise InvalidProblemError(issues)
    whole = Table("the problem", (), (), (), complete=True)
    agents, tasks = Lookup("agent", whole, problem.agents), Lookup("task", whole, problem.tasks)
    owner = agents.positions(weights["agent"], weights, weights.rows, "agent", issues)
    shares = numbers(weights, "weight", NON_NEGATIVE, issues)
    row_agent = agents.positions(moves["agent"], moves, moves.rows, "agent", issues)
    row_task = tasks.positions(moves["task"], moves, moves.rows, "task", issues)
    changes = numbers(moves, "change", FINITE, issues)
    if issues:
        raise InvalidProblemError(issues)
    rays: dict[tuple[int, str], dict[str, FloatArray]] = {}
    for k, (j, i) in enumerate(zip(row_agent.tolist(), row_task.tolist(), strict=True)):
        menu = rays.setdefault((j, moves["menu"][k]), {})
        menu.setdefault(moves["ray"][k], np.zeros(problem.n_tasks))[i] = changes[k]
    columns = []
    for k, j in enumerate(owner.tolist()):
        menu = rays.get((j, weights["menu"][k]), {})
        if not menu:
            found = f"menu '{weights['menu'][k]}' of agent '{weights['agent'][k]}'"
            issues.append(
                Issue("no rays", weights.file, weights.rows[k], "menu", found, f"rows in {MECHANISM_MENUS}")
            )
            continue
        remedial = set(menu) == {LESS}
        full = np.array(list(menu.values()))
        chance = np.ones(1) if remedial else acceptance(problem.beliefs, np.full(len(full), j), full)
        columns.append(Column(j, full, chance, remedial))
    total = np.bincount(owner, weights=shares, minlength=problem.n_agents)
    for j in np.flatnonzero(total > 1 + 1e-6).tolist():
        message = f"weights of agent '{problem.agents[j]}'"
        issues.append(Issue(message, weights.file, found=f"{total[j]:g}", expected="at most 1 together"))
    if issues:
        raise InvalidProblemError(issues)
    saving = -sum(
        problem.sizes[c.agent] * q * float(problem.costs[c.agent] @ c.displacement)
        for c, q in zip(columns, shares.tolist(), strict=True)
    )
    return RandomisedMechanism(problem, tuple(columns), shares, float(saving))
