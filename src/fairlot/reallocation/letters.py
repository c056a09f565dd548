"""Menus and outcomes in plain words, for the people who choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.menus import KEEP, LESS, Menus, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.outcome import Outcome

_NOTHING = 1e-9


def number_words(number: float) -> str:
    """Write an amount as people do: whole if it nearly is, else with two decimals, or two digits if tiny.

    Parameters
    ----------
    number : float
        The amount.

    Examples
    --------
    >>> number_words(3.0000001), number_words(2.5), number_words(0.00123)
    ('3', '2.5', '0.0012')
    """
    if abs(number - round(number)) < 0.005 and round(number) != 0:
        return str(round(number))
    if abs(number) < 0.005:
        return f"{number:.2g}"
    return f"{number:.2f}".rstrip("0").rstrip(".")


def ray_words(tasks: Sequence[str], ray: Ray) -> str:
    """Say what picking a ray allows.

    Parameters
    ----------
    tasks : sequence of str
        Names of the tasks.
    ray : Ray
        The ray, at full extent.

    Examples
    --------
    >>> print(ray_words(["abuse", "neglect"], Ray("a", [-3, 5])))
    Have 3 fewer *abuse* and get 5 more *neglect* (or any smaller exchange in that proportion).
    """
    nothing = _NOTHING * float(np.abs(ray.change).max())
    moved = list(zip(tasks, ray.change, strict=True))
    fewer = [f"{number_words(-x)} fewer *{task}*" for task, x in moved if x < -nothing]
    more = [f"{number_words(x)} more *{task}*" for task, x in moved if x > nothing]
    if ray.name == LESS:
        return f"Have less: up to {_listed(fewer)}, task by task, and nothing more of anything."
    parts = ([f"have {_listed(fewer)}"] if fewer else []) + ([f"get {_listed(more)}"] if more else [])
    sentence = " and ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]} (or any smaller exchange in that proportion)."


def menu_words(problem: ReallocationProblem, menus: Menus, agent: str) -> str:
    """Write the page that an agent is handed before she picks.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        All menus.
    agent : str
        Whose page.
    """
    j = problem.agents.index(agent)
    lines = [
        f"## {agent}",
        "",
        f"You now have {amounts_words(problem.tasks, problem.endowment[j], problem.transfer)}.",
        "",
    ]
    menu = menus[agent]
    if not menu.rays:
        lines.append("There is nothing to choose this time: you keep what you have.")
        return "\n".join(lines)
    lines += ["Pick one:", ""]
    lines.append(f"- `{KEEP}`: You may keep what you have.")
    lines += [f"- `{ray.name}`: {ray_words(problem.tasks, ray)}" for ray in menu.rays]
    lines += [
        "",
        "Pick an exchange if you would rather have it than keep what you have, and only then. Nobody can "
        "give you more than you accept here, and what others pick does not change that. This menu was fixed "
        "before anybody picked. An *instance* is one piece of work: a case, a ticket, a shift.",
    ]
    return "\n".join(lines)


def menus_document(problem: ReallocationProblem, menus: Menus) -> str:
    """Write all pages, one agent after the other.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        All menus.
    """
    title = problem.title or "Reallocation"
    pages = [menu_words(problem, menus, agent) for agent in problem.agents]
    return "\n\n".join([f"# {title}: menus", *pages]) + "\n"


def letter(outcome: Outcome, member: str) -> str:
    """Write to a member what she had, what she picked and what she gets.

    Parameters
    ----------
    outcome : Outcome
        What was selected.
    member : str
        Her id; in a group, the group's with ``#`` and a number.
    """
    return _letter(outcome, outcome.members.index(member))


def _letter(outcome: Outcome, m: int) -> str:
    problem, menus = outcome.problem, outcome.menus
    j, r = int(outcome.member_agents[m]), int(outcome.picks[m])
    had, change = problem.endowment[j], outcome.displacements[m]
    ray = None if r < 0 else Ray(menus.ray_names[r], menus.changes[r])
    lines = [f"## {outcome.members[m]}", ""]
    for paragraph in outcome_words(problem.tasks, had, ray, change, problem.transfer):
        lines += [paragraph, ""]
    if ray is None or _moves_nothing(had, ray, change):
        return "\n".join(lines)
    lines += [
        "| task | you had (instances) | you get (instances) | change (instances) |",
        "|---|---|---|---|",
    ]
    for task, before, moved in zip(problem.tasks, had, change, strict=True):
        moved = 0.0 if abs(moved) <= _nothing(had, ray) else moved
        after = 0.0 if before + moved <= _nothing(had, ray) else before + moved
        sign = "+" if moved > 0 else ""
        lines.append(
            f"| {task} | {number_words(before)} | {number_words(after)} | {sign}{number_words(moved)} |"
        )
    lines += ["", f"{DRAW_WORDS} {SAFETY_WORDS}", ""]
    return "\n".join(lines)


DRAW_WORDS = (
    "Where an amount is not whole, it is an average: a public draw decides, and what you then get differs "
    "from the average by less than one per task and less than one in all."
)
"""What a member is told of the draw."""

SAFETY_WORDS = (
    "Anybody who would rather have the exchange you picked than keep what she had is, on average, not worse "
    "off with this."
)
"""What a member who picked an exchange is promised."""


def outcome_words(
    tasks: Sequence[str],
    had: FloatArray,
    ray: Ray | None,
    change: FloatArray,
    transfer: BoolArray | None = None,
) -> list[str]:
    """Say what a member had, what she picked and what she gets, a paragraph an entry.

    Parameters
    ----------
    tasks : sequence of str
        Names.
    had : FloatArray, shape (n_tasks,)
        Instances before.
    ray : Ray or None
        Her pick; None where she kept.
    change : FloatArray, shape (n_tasks,)
        Expected displacement.
    transfer : BoolArray, shape (n_tasks,), optional
        Which tasks are money.
    """
    paragraphs = [f"You had {amounts_words(tasks, had, transfer)}."]
    if ray is None:
        return [*paragraphs, "You kept what you had, and nothing changes for you."]
    paragraphs.append(f"You picked `{ray.name}`: {ray_words(tasks, ray)}")
    if _moves_nothing(had, ray, change):
        paragraphs.append("It was not needed this time: you keep what you had.")
    elif ray.name != LESS:
        paragraphs.append(f"You get {number_words(100 * extent_along(ray, change))}% of that exchange.")
    return paragraphs


def extent_along(ray: Ray, change: FloatArray) -> float:
    """Measure how far a displacement goes along a ray: 0 not at all, 1 to its full extent."""
    return float(change @ ray.change / (ray.change @ ray.change))


def _nothing(had: FloatArray, ray: Ray) -> float:
    return _NOTHING * max(float(had.max()), float(np.abs(ray.change).max()))


def _moves_nothing(had: FloatArray, ray: Ray, change: FloatArray) -> bool:
    return bool(np.abs(change).max() <= _nothing(had, ray))


def letters_document(outcome: Outcome) -> str:
    """Write all letters, one member after the other.

    Parameters
    ----------
    outcome : Outcome
        What was selected.
    """
    title = outcome.problem.title or "Reallocation"
    return "\n".join([f"# {title}: letters", "", *(_letter(outcome, m) for m in range(len(outcome.members)))])


def amounts_words(tasks: Sequence[str], amounts: FloatArray, transfer: BoolArray | None = None) -> str:
    """List amounts of tasks.

    Parameters
    ----------
    tasks : sequence of str
        Names.
    amounts : FloatArray, shape (n_tasks,)
        Instances.
    transfer : BoolArray, shape (n_tasks,), optional
        Which tasks are money, and not added to the rest.

    Examples
    --------
    >>> amounts_words(["abuse", "neglect", "fraud"], [3, 0, 2.5])
    '3 *abuse* and 2.5 *fraud* (5.5 instances in all)'
    """
    nothing = _NOTHING * max(float(x) for x in amounts)
    held = [f"{number_words(x)} *{task}*" for task, x in zip(tasks, amounts, strict=True) if x > nothing]
    if not held:
        return "nothing"
    work = np.asarray(amounts, dtype=np.float64)[... if transfer is None else ~transfer]
    total = f" ({number_words(float(work.sum()))} instances in all)" if (work > nothing).sum() > 1 else ""
    return _listed(held) + total


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
