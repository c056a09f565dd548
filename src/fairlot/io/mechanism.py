"""The randomised mechanism behind published menus as tables.

``mechanism.csv``: ``agent,menu,weight``, what an agent's weights lack to 1 being that of no choice.
``mechanism_menus.csv``: ``agent,menu,ray,chance,task,change``, how likely the ray is picked, and
displacements at full extent. ``mechanism_prices.csv``: ``task,price``, what one more instance of a task is
worth. Where a bound on all mechanisms was asked for, ``mechanism_bounds.csv``: ``agent,bound``, on what a
menu for one member is worth at these prices.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from fairlot.certificate import Check
from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.lookup import Lookup
from fairlot.io.menus import mechanism_csv
from fairlot.io.tables import FINITE, NON_NEGATIVE, Table, numbers, read_table, write_csv
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import LESS, Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.design import Design
from fairlot.reallocation.large_market.columns import Column
from fairlot.reallocation.large_market.mechanism import RandomisedMechanism
from fairlot.reallocation.value.acceptance import acceptance
from fairlot.verify.mechanism import ClaimedBound, OfferedMenu, verify_mechanism

MECHANISM = "mechanism.csv"
MECHANISM_MENUS = "mechanism_menus.csv"
MECHANISM_PRICES = "mechanism_prices.csv"
MECHANISM_BOUNDS = "mechanism_bounds.csv"


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
        for k, (ray, chance) in enumerate(zip(column.changes, column.acceptance.tolist(), strict=True)):
            name = LESS if column.remedial else f"ray{k + 1}"
            changes += [
                (agent, menu, name, f"{chance:.17g}", problem.tasks[i], f"{ray[i]:.17g}")
                for i in np.flatnonzero(ray).tolist()
            ]
    files = {
        MECHANISM: write_csv(("agent", "menu", "weight"), weights),
        MECHANISM_MENUS: write_csv(("agent", "menu", "ray", "chance", "task", "change"), changes),
    }
    # the beliefs that past picks gave are not in the folder, so that nothing else could be recomputed
    if design.prices is not None and problem is design.problem:
        files[MECHANISM_PRICES] = _pairs(("task", "price"), problem.tasks, design.prices)
    if design.outer_bound is not None:
        files[MECHANISM_BOUNDS] = _pairs(("agent", "bound"), problem.agents, design.outer_bound.gains)
    return files


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
    path = Path(folder)
    offers = _offers(lambda name: (path / name).read_bytes(), problem)
    columns = []
    for offer in offers:
        owner = np.full(len(offer.changes), offer.agent)
        chance = np.ones(1) if offer.remedial else acceptance(problem.beliefs, owner, offer.changes)
        columns.append(Column(offer.agent, offer.changes, chance, offer.remedial))
    weights = np.array([offer.weight for offer in offers], dtype=np.float64)
    saving = -sum(
        problem.sizes[c.agent] * q * float(problem.costs[c.agent] @ c.displacement)
        for c, q in zip(columns, weights.tolist(), strict=True)
    )
    return RandomisedMechanism(problem, tuple(columns), weights, float(saving))


def mechanism_checks(
    files: Mapping[str, bytes], problem: ReallocationProblem, menus: Menus
) -> tuple[Check, ...]:
    """Recompute what a design's result folder claims of the mechanism behind its menus.

    Parameters
    ----------
    files : mapping
        Contents by name.
    problem : ReallocationProblem
        What is under ``input/``.
    menus : Menus
        The published menus.

    Returns
    -------
    tuple of Check
        Those of :mod:`fairlot.verify.mechanism`.

    Raises
    ------
    InvalidProblemError
        If a file cannot be read.
    """

    def read(name: str) -> bytes:
        if name not in files:
            raise FileNotFoundError(name)
        return files[name]

    try:
        summary = json.loads(read("summary.json"))
        saving, low = float(summary["large_market_saving"]), float(summary["expected_saving_interval"][0])
        bounded = float(summary["bound"])
    except (OSError, ValueError, TypeError, KeyError, IndexError):
        expected = "large_market_saving, expected_saving_interval and bound"
        raise InvalidProblemError(
            [Issue("summary.json", found="something else", expected=expected)]
        ) from None
    prices = _column(read, MECHANISM_PRICES, "task", "price", problem.tasks)
    bound = None
    if MECHANISM_BOUNDS in files:
        bound = ClaimedBound(
            bounded, prices, _column(read, MECHANISM_BOUNDS, "agent", "bound", problem.agents)
        )
    offers = _offers(read, problem)
    return verify_mechanism(
        problem, offers, saving, prices, bound=bound, menus=menus, expected_saving=low
    ).checks


def _column(
    read: Callable[[str], bytes], name: str, noun: str, column: str, ids: tuple[str, ...]
) -> FloatArray:
    """Read a table of one number for each id, in their order."""
    issues: list[Issue] = []
    table = read_table(read, name, issues)
    if table is None or issues or not table.require((noun, column), issues):
        raise InvalidProblemError(issues)
    found = numbers(table, column, FINITE, issues)
    if tuple(table[noun]) != ids:
        issues.append(Issue(f"{noun}s", name, expected="those of the input, in its order"))
    if issues:
        raise InvalidProblemError(issues)
    return found


def _offers(read: Callable[[str], bytes], problem: ReallocationProblem) -> list[OfferedMenu]:
    """Read menus, weights and, where they are told, chances."""
    issues: list[Issue] = []
    weights = read_table(read, MECHANISM, issues)
    moves = read_table(read, MECHANISM_MENUS, issues)
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
    told = "chance" in moves.columns
    chances = numbers(moves, "chance", NON_NEGATIVE, issues) if told else np.full(len(changes), np.nan)
    if issues:
        raise InvalidProblemError(issues)
    rays: dict[tuple[int, str], dict[str, FloatArray]] = {}
    chance: dict[tuple[int, str, str], float] = {}
    for k, (j, i) in enumerate(zip(row_agent.tolist(), row_task.tolist(), strict=True)):
        menu = rays.setdefault((j, moves["menu"][k]), {})
        menu.setdefault(moves["ray"][k], np.zeros(problem.n_tasks))[i] = changes[k]
        chance[j, moves["menu"][k], moves["ray"][k]] = float(chances[k])
    offers = []
    for k, j in enumerate(owner.tolist()):
        name = weights["menu"][k]
        menu = rays.get((j, name), {})
        if not menu:
            found = f"menu '{name}' of agent '{weights['agent'][k]}'"
            issues.append(
                Issue("no rays", weights.file, weights.rows[k], "menu", found, f"rows in {MECHANISM_MENUS}")
            )
            continue
        activation = np.array([chance[j, name, ray] for ray in menu])
        offers.append(
            OfferedMenu(j, float(shares[k]), np.array(list(menu.values())), activation, set(menu) == {LESS})
        )
    total = np.bincount(owner, weights=shares, minlength=problem.n_agents)
    for j in np.flatnonzero(total > 1 + 1e-6).tolist():
        message = f"weights of agent '{problem.agents[j]}'"
        issues.append(Issue(message, weights.file, found=f"{total[j]:g}", expected="at most 1 together"))
    if issues:
        raise InvalidProblemError(issues)
    return offers


def _pairs(header: tuple[str, str], ids: tuple[str, ...], values: FloatArray) -> bytes:
    return write_csv(header, [(name, f"{x:.17g}") for name, x in zip(ids, values.tolist(), strict=True)])
