"""What the page of a reallocation shows: what she has, and each line in words and as bars."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fairlot.model.menus import KEEP
from fairlot.rounds.lines import Line, MenuForm
from fairlot.web.translation import Words


def menu_context(form: MenuForm, pick: str | None, words: Words) -> dict[str, Any]:
    """Gather what the form shows.

    Parameters
    ----------
    form : MenuForm
        What she is asked.
    pick : str or None
        What counts now, or what she sent.
    words : Words
        Her language.
    """
    widest = max(
        list(form.has.values())
        + [form.has[task] + change for line in form.lines for task, change in line.change.items()]
    )
    return {
        "has": words.gettext("You now have %(amounts)s.", amounts=amounts_words(form.has, form.money, words)),
        "has_bars": [
            _bar(task, amount, 0.0, widest, words) for task, amount in form.has.items() if amount > 0
        ],
        "pick": pick,
        "options": [
            {
                "name": line.name,
                "text": line_words(line, words),
                "smaller": smaller_words(line, words),
                "bars": [
                    _bar(task, form.has[task], change, widest, words) for task, change in line.change.items()
                ],
            }
            for line in form.lines
        ],
    }


def chosen_line(form: MenuForm, pick: str, words: Words) -> str:
    """Say what she picked."""
    if pick == KEEP:
        return words.gettext("You keep what you have.")
    line = next(line for line in form.lines if line.name == pick)
    return f"{line_words(line, words)} {smaller_words(line, words)}".strip()


def line_words(line: Line, words: Words) -> str:
    """Say what a line allows at its full extent.

    Examples
    --------
    >>> from fairlot.web.translation import words_in
    >>> line_words(Line("a", {"abuse": -3, "neglect": 5}, False), words_in("en"))
    'Have 3 fewer “abuse” and get 5 more “neglect”.'
    """
    fewer = words.listed(
        [
            words.gettext("%(amount)s fewer “%(task)s”", amount=words.number(-change), task=task)
            for task, change in line.change.items()
            if change < 0
        ]
    )
    more = words.listed(
        [
            words.gettext("%(amount)s more “%(task)s”", amount=words.number(change), task=task)
            for task, change in line.change.items()
            if change > 0
        ]
    )
    if line.less:
        return words.gettext("Have less: up to %(fewer)s, and nothing more of anything.", fewer=fewer)
    if fewer and more:
        return words.gettext("Have %(fewer)s and get %(more)s.", fewer=fewer, more=more)
    return (
        words.gettext("Have %(fewer)s.", fewer=fewer) if fewer else words.gettext("Get %(more)s.", more=more)
    )


def smaller_words(line: Line, words: Words) -> str:
    """Say that less than the full extent may come."""
    if line.less:
        return words.gettext("It may be any part of that, task by task.")
    return words.gettext("Or any smaller exchange in that proportion.")


def amounts_words(amounts: Mapping[str, float], money: frozenset[str], words: Words) -> str:
    """List amounts of tasks, and how many they are in all."""
    held = {task: amount for task, amount in amounts.items() if amount > 1e-9}
    if not held:
        return words.gettext("nothing")
    listed = words.listed(
        [
            words.gettext("%(amount)s “%(task)s”", amount=words.number(amount), task=task)
            for task, amount in held.items()
        ]
    )
    work = [amount for task, amount in held.items() if task not in money]
    if len(work) < 2:
        return listed
    return words.gettext("%(amounts)s (%(total)s in all)", amounts=listed, total=words.number(sum(work)))


def _bar(task: str, had: float, change: float, widest: float, words: Words) -> dict[str, Any]:
    unit = 98.0 / widest if widest > 0 else 0.0
    after = had + change
    shown = words.number(had) if change == 0 else f"{words.number(had)} → {words.number(after)}"
    return {
        "task": task,
        "kept": round(unit * min(had, after), 2),
        "more": round(unit * max(change, 0.0), 2),
        "less": round(unit * max(-change, 0.0), 2),
        "words": shown,
    }
