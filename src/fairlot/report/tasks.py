"""What the page says of a reallocation: menus, picks, moves, savings per agent and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlot.io.assignment import drawn_copies
from fairlot.io.reallocation_results import PublishedOutcome, read_offer, read_outcome
from fairlot.plot.style import BLUE, ORANGE
from fairlot.reallocation.explanation import explain_member, explain_offer
from fairlot.reallocation.outcome import member_ids
from fairlot.report.market import number
from fairlot.report.pictures import Picture, draw_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def is_outcome(files: Mapping[str, bytes]) -> bool:
    """Tell an outcome from a design, which has no picks yet."""
    return "shares.csv" in files


def task_facts(files: Mapping[str, bytes], summary: Mapping[str, Any]) -> list[str]:
    """Say in a few sentences what was decided."""
    if not is_outcome(files):
        problem, menus = read_offer(files)
        offered = len(set(menus.ray_agents.tolist()))
        return [
            f"{offered:,} of {problem.n_agents:,} agents are offered an exchange; everybody may keep what "
            "she has.",
            f"The present split costs {number(problem.status_quo_cost)} per period; the menus are expected "
            f"to save {number(summary['expected_saving'])} of that.",
        ]
    found = read_outcome(files)
    picked = int((found.picks >= 0).sum())
    return [
        f"{picked:,} of {len(found.picks):,} people picked an exchange; nobody is moved beyond her pick.",
        f"The work costs {number(summary['cost'])} per period, was {number(summary['status_quo_cost'])}: a "
        f"saving of {number(summary['saving'])}.",
    ]


def task_pictures(files: Mapping[str, bytes]) -> list[Picture]:
    """Draw how much of each task changed hands, which tells nothing of single agents."""
    if not is_outcome(files):
        return []
    found = read_outcome(files)
    moves = _moved(found)
    table = [
        (task, number(had), number(taken), number(saved))
        for task, had, taken, saved in zip(found.problem.tasks, *moves, strict=True)
    ]
    caption = "For each task: instances that someone else does from now on, and what that saves."
    title = "What moved, by task"
    return [
        Picture(
            title,
            caption,
            draw_svg(title, lambda ax: _plot_moves(found, ax)),
            ("task", "instances per period", "instances that move", "saving"),
            table,
        )
    ]


def _moved(found: PublishedOutcome) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    problem = found.problem
    owner = np.repeat(np.arange(problem.n_agents), problem.sizes)
    change = found.amounts - problem.endowment[owner]
    had = problem.sizes @ problem.endowment
    return had, np.maximum(change, 0).sum(axis=0), -(problem.costs[owner] * change).sum(axis=0)


def _plot_moves(found: PublishedOutcome, ax: Axes) -> None:
    _, taken, saved = _moved(found)
    place = np.arange(len(taken))
    ax.barh(place + 0.2, taken, height=0.4, color=BLUE, label="instances that move")
    ax.set_yticks(place, labels=list(found.problem.tasks))
    ax.invert_yaxis()
    ax.set_xlabel("instances per period")
    below = ax.twiny()
    below.barh(place - 0.2, saved, height=0.4, color=ORANGE, hatch="//", label="saving")
    below.set_xlabel("saving per period (unit of the cost table, hatched)")


def task_lookup(files: Mapping[str, bytes]) -> dict[str, Any]:
    """Explain every member's outcome, or of a design every agent's offer, by id."""
    entries: dict[str, Any]
    if not is_outcome(files):
        problem, menus = read_offer(files)
        offers = {agent: explain_offer(problem, menus, agent).text for agent in problem.agents}
        return {
            "header": [],
            "agents": {agent: {"text": [text], "rows": []} for agent, text in offers.items()},
        }
    found = read_outcome(files)
    drawn = drawn_copies(files, "task", "amount")
    entries = {}
    for m, member in enumerate(member_ids(found.problem)):
        got = None if drawn is None else drawn.get(member, {})
        why = explain_member(
            found.problem, found.menus, found.picks, found.amounts, found.prices, member, drawn=got
        )
        rows = [
            [task, number(had), number(gets)]
            for task, had, gets in zip(found.problem.tasks, why.had, found.amounts[m], strict=True)
        ]
        entries[member] = {"text": why.sentences(), "rows": rows}
    return {"header": ["task", "had", "gets in expectation"], "agents": entries}
