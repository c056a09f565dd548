"""Menus and outcomes in plain words, for the people who choose."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlot.model.hierarchy import FloatArray
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
    lines = [f"## {agent}", "", f"You now have {amounts_words(problem.tasks, problem.endowment[j])}.", ""]
    menu = menus[agent]
    if not menu.rays:
        lines.append("There is nothing to choose this time: you keep what you have.")
        return "\n".join(lines)
    lines += ["Pick one:", ""]
    lines.append(f"- `{KEEP}`: You may keep what you have.")
    lines += [f"- `{ray.name}`: {ray_words(problem.tasks, ray)}" for ray in menu.rays]
    lines += [
        "",
        "Nobody can give you more than you accept here. Pick an exchange if and only if you would rather "
        "have it than keep what you have; what others pick does not change that. This menu was fixed "
        "before anybody picked.",
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
    problem, menus, member = outcome.problem, outcome.menus, outcome.members[m]
    j, r = int(outcome.member_agents[m]), int(outcome.picks[m])
    had, change = problem.endowment[j], outcome.displacements[m]
    lines = [f"## {member}", "", f"You had {amounts_words(problem.tasks, had)}.", ""]
    if r < 0:
        lines += ["You kept what you had, and nothing changes for you.", ""]
        return "\n".join(lines)
    ray = Ray(menus.ray_names[r], menus.changes[r])
    lines += [f"You picked `{ray.name}`: {ray_words(problem.tasks, ray)}", ""]
    nothing = _NOTHING * max(float(had.max()), float(np.abs(ray.change).max()))
    if np.abs(change).max() <= nothing:
        lines += ["It was not needed this time: you keep what you had.", ""]
        return "\n".join(lines)
    if ray.name != LESS:
        share = float(change @ ray.change / (ray.change @ ray.change))
        lines += [f"You get {number_words(100 * share)}% of that exchange.", ""]
    lines += ["| task | you had | you get | change |", "|---|---|---|---|"]
    for task, before, moved in zip(problem.tasks, had, change, strict=True):
        moved = 0.0 if abs(moved) <= nothing else moved
        after = 0.0 if before + moved <= nothing else before + moved
        sign = "+" if moved > 0 else ""
        lines.append(
            f"| {task} | {number_words(before)} | {number_words(after)} | {sign}{number_words(moved)} |"
        )
    lines += [
        "",
        "Where an amount is not whole, it is an average: a public draw decides, and what you then get "
        "differs from the average by less than one per task and less than one in all. Anybody who would "
        "rather have the exchange you picked than keep what she had is, on average, not worse off with this.",
        "",
    ]
    return "\n".join(lines)


def letters_document(outcome: Outcome) -> str:
    """Write all letters, one member after the other.

    Parameters
    ----------
    outcome : Outcome
        What was selected.
    """
    title = outcome.problem.title or "Reallocation"
    return "\n".join([f"# {title}: letters", "", *(_letter(outcome, m) for m in range(len(outcome.members)))])


def amounts_words(tasks: Sequence[str], amounts: FloatArray) -> str:
    """List amounts of tasks.

    Parameters
    ----------
    tasks : sequence of str
        Names.
    amounts : FloatArray, shape (n_tasks,)
        Instances.

    Examples
    --------
    >>> amounts_words(["abuse", "neglect", "fraud"], [3, 0, 2.5])
    '3 *abuse* and 2.5 *fraud* (5.5 in all)'
    """
    nothing = _NOTHING * max(float(x) for x in amounts)
    held = [f"{number_words(x)} *{task}*" for task, x in zip(tasks, amounts, strict=True) if x > nothing]
    if not held:
        return "nothing"
    return _listed(held) + (f" ({number_words(float(np.sum(amounts)))} in all)" if len(held) > 1 else "")


def _listed(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
