"""What the page says of a reallocation: menus, picks, moves, savings per agent and task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from fairlot.io.assignment import drawn_copies
from fairlot.io.reallocation_results import PublishedOutcome, read_offer, read_outcome
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.plot.style import BLUE, ORANGE, ink, legend, name_ticks, say
from fairlot.pseudomarket.explanation import number_words
from fairlot.reallocation.explanation import explain_member, explain_offer
from fairlot.reallocation.outcome import member_ids
from fairlot.report.pictures import Picture, picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COST_UNIT = "cost units"
COST_WORDS = "A cost unit is what the cost table counts in: minutes, say, or money."
"""Costs have the unit in which the cost table counts them, which no file names."""


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
            f"The present split costs {number_words(problem.status_quo_cost)} cost units per period; the "
            f"menus are expected to save {number_words(summary['expected_saving'])} cost units of that.",
            COST_WORDS,
        ]
    found = read_outcome(files)
    picked = int((found.picks >= 0).sum())
    return [
        f"{picked:,} of {len(found.picks):,} people picked an exchange; nobody is moved beyond her pick.",
        f"The work costs {number_words(summary['cost'])} cost units per period, it was "
        f"{number_words(summary['status_quo_cost'])} cost units: a saving of "
        f"{number_words(summary['saving'])} cost units.",
        COST_WORDS,
    ]


def task_pictures(files: Mapping[str, bytes], *, private: bool) -> list[Picture]:
    """Draw what is offered, or what was picked, moved and saved; with ``private`` nobody's own."""
    if not is_outcome(files):
        problem, menus = read_offer(files)
        fewer, more = _offered(problem, menus)
        return [
            picture(
                "What the menus offer, by task",
                "For each task: how many agents may pick an exchange that gives them fewer of it, and how "
                "many one that gives them more.",
                lambda ax: _plot_offers(problem, fewer, more, ax),
                ("task", "agents who may have fewer", "agents who may have more"),
                list(zip(problem.tasks, fewer.tolist(), more.tolist(), strict=True)),
            )
        ]
    found = read_outcome(files)
    problem, (had, taken, saved) = found.problem, _moved(found)
    pictures = [
        picture(
            "What moved, by task",
            "For each task: instances that someone else does from now on, and what that saves.",
            lambda ax: _plot_moves(problem, taken, saved, ax),
            ("task", "instances per period", "instances that move", f"saving per period ({COST_UNIT})"),
            list(zip(problem.tasks, had.tolist(), taken.tolist(), saved.tolist(), strict=True)),
        )
    ]
    return pictures if private else [*pictures, _people(found)]


def _people(found: PublishedOutcome) -> Picture:
    problem, menus = found.problem, found.menus
    owner = np.repeat(np.arange(problem.n_agents), problem.sizes)
    change = found.amounts - problem.endowment[owner]
    saving = -(problem.costs[owner] * change).sum(axis=1)
    offered = np.bincount(menus.ray_agents, minlength=problem.n_agents)[owner]
    work = ~problem.transfer
    moved = np.abs(change[:, work]).sum(axis=1)
    picks = ["keep" if ray < 0 else menus.ray_names[ray] for ray in found.picks.tolist()]
    return picture(
        "What each person's change saves",
        "Everybody's change in the cost of her own work, the largest saving first. Below 0 the work costs "
        "more than before, because she makes room for somebody else.",
        lambda ax: _plot_people(saving, ax),
        (
            "person",
            "exchanges offered",
            "picked",
            "instances per period that change",
            f"saving on her own work per period ({COST_UNIT})",
        ),
        list(
            zip(
                member_ids(problem),
                offered.tolist(),
                picks,
                moved.tolist(),
                (saving + 0.0).tolist(),
                strict=True,
            )
        ),
    )


def _offered(problem: ReallocationProblem, menus: Menus) -> tuple[IntArray, IntArray]:
    """Count the agents with a ray that takes from each task, and with one that adds to it."""
    counts = []
    for moves in (menus.changes < 0, menus.changes > 0):
        any_ray = np.zeros((problem.n_agents, problem.n_tasks), dtype=bool)
        np.logical_or.at(any_ray, menus.ray_agents, moves)
        counts.append(any_ray.sum(axis=0))
    return counts[0], counts[1]


def _moved(found: PublishedOutcome) -> tuple[FloatArray, FloatArray, FloatArray]:
    problem = found.problem
    owner = np.repeat(np.arange(problem.n_agents), problem.sizes)
    change = found.amounts - problem.endowment[owner]
    had = problem.sizes @ problem.endowment
    return had, np.maximum(change, 0).sum(axis=0), -(problem.costs[owner] * change).sum(axis=0)


def _plot_offers(problem: ReallocationProblem, fewer: IntArray, more: IntArray, ax: Axes) -> None:
    place = np.arange(problem.n_tasks)
    ax.barh(place - 0.2, fewer, height=0.4, color=BLUE, label="may have fewer")
    ax.barh(place + 0.2, more, height=0.4, color=ORANGE, hatch="//", label="may have more")
    ax.invert_yaxis()
    name_ticks(ax, list(problem.tasks), "tasks", "y")
    say(ax, x="agents")
    ax.locator_params(axis="x", integer=True)
    legend(ax)


def _plot_moves(problem: ReallocationProblem, taken: FloatArray, saved: FloatArray, ax: Axes) -> None:
    place = np.arange(len(taken))
    ax.barh(place - 0.2, taken, height=0.4, color=BLUE)
    ax.invert_yaxis()
    name_ticks(ax, list(problem.tasks), "tasks", "y")
    say(ax, x="instances per period that move (plain)")
    above = ax.twiny()
    above.barh(place + 0.2, saved, height=0.4, color=ORANGE, hatch="//")
    if not taken.any():  # nothing moved, nothing saved: axes of their own accord would go below 0
        ax.set_xlim(0, 1)
        above.set_xlim(0, 1)
    say(above, x=f"saving per period ({COST_UNIT}, hatched)")


def _plot_people(saving: FloatArray, ax: Axes) -> None:
    ordered = np.sort(saving)[::-1]
    ax.stairs(ordered, np.arange(len(ordered) + 1) + 0.5, fill=True, color=BLUE)
    ax.axhline(0, color=ink(), linewidth=0.8)
    if not saving.any():
        ax.set_ylim(-1, 1)
    ax.locator_params(axis="x", integer=True)
    say(ax, x=f"{len(ordered):,} people, largest saving first", y=f"saving per period ({COST_UNIT})")


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
            [task, number_words(had), number_words(gets)]
            for task, had, gets in zip(found.problem.tasks, why.had, found.amounts[m], strict=True)
        ]
        entries[member] = {"text": why.sentences(), "rows": rows}
    return {"header": ["task", "had (instances)", "gets on average (instances)"], "agents": entries}
