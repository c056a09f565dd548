"""What the page of an agent shows after publication: what she got, why, and how to check it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from fairlot.pseudomarket.explanation import Explanation
from fairlot.pseudomarket.explanation import Reason as GoodReason
from fairlot.reallocation.explanation import MemberExplanation, Reason
from fairlot.rounds import AgentOutcome
from fairlot.rounds.lines import Line
from fairlot.web.menu_page import amounts_words, line_words
from fairlot.web.translation import Words


def outcome_context(found: AgentOutcome, titles: Mapping[str, str], words: Words) -> dict[str, Any]:
    """Gather what the page shows.

    Parameters
    ----------
    found : AgentOutcome
        What she got.
    titles : mapping of str to str
        Of goods, by id.
    words : Words
        Her language.
    """
    why = found.explanation
    if isinstance(why, Explanation):
        return {"outcome": found, **_market(found, why, titles, words)}
    return {"outcome": found, **_tasks(found, why, words)}


def _market(found: AgentOutcome, why: Explanation, titles: Mapping[str, str], words: Words) -> dict[str, Any]:
    number = words.number
    named = [(titles.get(good, good), copies) for good, copies in found.drawn.items() if copies]
    got = [good if copies == 1 else f"{number(copies)} × {good}" for good, copies in named]
    reasons = {
        GoodReason.CERTAIN: words.gettext("certain: no draw decides about it"),
        GoodReason.PART: words.gettext("by the draw"),
        GoodReason.DEAR: words.gettext("too dear for what it is worth to you"),
        GoodReason.FULL: words.gettext("a rule leaves no room beside what you get"),
        GoodReason.WORTHLESS: words.gettext("you gave it no points"),
        GoodReason.CLOSED: words.gettext("there are no copies"),
    }
    paragraphs = [
        words.gettext(
            "You had %(budget)s of money that is worth nothing outside. With it you could buy any lottery "
            "over what you accept, within your rules, whose average price is at most that.",
            budget=number(why.budget),
        ),
        words.gettext(
            "Your lottery costs %(cost)s on average and is worth %(utility)s points to you. The best lottery "
            "you could afford at these prices is worth %(best)s.",
            cost=number(why.cost, 4),
            utility=number(why.utility),
            best=number(why.best),
        ),
    ]
    if why.money_value == 0:
        paragraphs.append(
            words.gettext(
                "Your money sufficed for the best you can ask for, and you pay the least it can cost."
            )
        )
    else:
        paragraphs.append(
            words.gettext(
                "One more unit of money would have brought you %(alpha)s points. So each good leaves you its "
                "points less %(alpha)s times its price. You get the goods that leave most, as far as your "
                "rules reach; where several leave the same, the draw decides among them.",
                alpha=number(why.money_value),
            )
        )
    if not why.lines:
        paragraphs = [words.gettext("You asked for nothing.")]
    return {
        "half": "pseudomarket",
        "got": got,
        "before": [],
        "paragraphs": paragraphs,
        "rows": [
            (
                titles.get(line.good, line.good),
                [
                    (words.gettext("chance"), words.percent(line.share))
                    if line.share <= 1
                    else (words.gettext("on average"), number(line.share)),
                    (words.gettext("price"), number(line.price, 4)),
                    (words.gettext("your points"), number(line.value)),
                ],
                reasons[line.reason] + (f": {_rule_name(line.quota)}" if line.quota else ""),
            )
            for line in why.lines
        ],
    }


def _rule_name(label: str) -> str:
    """Take name and group out of a quota's label, as messages write it."""
    found = re.fullmatch(r"\w+ '(.*)'(?: \[(?:.* = )?(.*)\])?", label, re.DOTALL)
    if found is None:
        return label
    return found[1] if found[2] is None else f"{found[1]} ({found[2]})"


def _tasks(found: AgentOutcome, why: MemberExplanation, words: Words) -> dict[str, Any]:
    number = words.number
    money = frozenset(task for task, is_money in zip(why.tasks, why.transfer, strict=True) if is_money)
    had = dict(zip(why.tasks, why.had.tolist(), strict=True))
    gets = dict(zip(why.tasks, why.gets.tolist(), strict=True))
    drawn = {task: float(found.drawn.get(task, 0)) for task in why.tasks if task not in money}
    whole = {**gets, **drawn}
    paragraphs = []
    if why.picked is None:
        paragraphs.append(
            words.gettext("You kept what you had, and nothing changes for you.")
            if why.offered
            else words.gettext("There was nothing to choose for you this time: you keep what you had.")
        )
    else:
        line = Line(
            why.picked.name,
            {task: float(x) for task, x in zip(why.tasks, why.picked.change, strict=True) if abs(x) > 1e-9},
            why.picked.name == "less",
        )
        paragraphs.append(words.gettext("You picked: %(line)s", line=line_words(line, words)))
        paragraphs.append(_extent(why, line.less, words))
        paragraphs.append(
            words.gettext(
                "Anybody who would rather have the exchange you picked than keep what she had is, on "
                "average, not worse off with this."
            )
        )
    return {
        "half": "reallocation",
        "got": [amounts_words(whole, money, words)],
        "before": [words.gettext("You had %(amounts)s.", amounts=amounts_words(had, money, words))],
        "paragraphs": paragraphs,
        "rows": [
            (
                task,
                [
                    (words.gettext("you had"), number(had[task])),
                    (words.gettext("on average you get"), number(gets[task], 3)),
                    (words.gettext("the draw gave you"), number(whole[task])),
                    (words.gettext("price"), number(found.prices.get(task, 0.0))),
                ],
                "",
            )
            for task in why.tasks
            if had[task] or gets[task] > 1e-9
        ],
    }


def _extent(why: MemberExplanation, less: bool, words: Words) -> str:
    share = words.percent(why.extent)
    balance = words.gettext(
        "Every task must be done by somebody: what you give up others must have picked to take, and what you "
        "take they must have picked to give up."
    )
    if why.reason is Reason.FULL:
        return words.gettext("It was carried out in full. More than that you did not accept, and do not get.")
    if why.reason is Reason.PART and less:
        return words.gettext("It was carried out as far as others picked to take it.") + f" {balance}"
    if why.reason is Reason.PART:
        return words.gettext("You get %(share)s of that exchange.", share=share) + f" {balance}"
    return words.gettext("It was not needed this time: you keep what you had.") + f" {balance}"
