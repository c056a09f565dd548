"""``[[conflict]]`` of a problem folder: meeting times in columns of the goods, a table of pairs, or a list.

A blank ``days`` cell means that the good meets nowhere; several goods of one day and time conflict, and so do
those less than ``gap`` minutes apart, or less than ``travel`` minutes on two campuses.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.keys import Keys
from fairlot.io.source import Source
from fairlot.io.tables import COUNT, Table
from fairlot.model.conflicts import Conflict, Meeting, meeting_conflict, parse_days, parse_time


def section(k: int) -> str:
    """Name the table of the k-th ``[[conflict]]``, counted from 1."""
    return f"conflict-{k}"


def read_conflicts(entries: list[Keys], goods: Table | None, source: Source) -> list[Conflict]:
    """Read every ``[[conflict]]``.

    Parameters
    ----------
    entries : list of Keys
        One per table.
    goods : Table or None
        The goods; None if they could not be read.
    source : Source
        Gives tables of pairs; faults are recorded there.
    """
    conflicts = []
    for k, keys in enumerate(entries, start=1):
        name = keys.text("name", "conflict")
        ways = [way for way in ("meetings", "file", "pairs") if way in keys]
        if len(ways) != 1:
            expected = "one of meetings = { days, start, end }, file, or pairs"
            keys.fault("meetings", "missing" if not ways else "more than one way", ", ".join(ways), expected)
        if "file" in keys:
            conflicts.append(_of_table(name, source.table(section(k), keys), goods, source.issues))
        pairs, meetings = keys.get("pairs"), keys.get("meetings")
        gap, travel = _minutes(keys, "gap"), _minutes(keys, "travel")
        if pairs is not None:
            conflicts.append(_of_list(name, keys, pairs, goods))
        if meetings is not None and goods is not None:
            conflicts.append(_of_times(name, keys, meetings, goods, gap, travel, source.issues))
        keys.close()
    return conflicts


def _minutes(keys: Keys, key: str) -> int:
    minutes = keys.number(key, COUNT, 0.0)
    return 0 if np.isnan(minutes) else int(minutes)


def _of_table(name: str, table: Table | None, goods: Table | None, issues: list[Issue]) -> Conflict:
    if table is None or not table.require(("good_a", "good_b"), issues):
        return Conflict(name, ())
    known = set(goods["good"]) if goods is not None and "good" in goods else None
    pairs = []
    for row, a, b in zip(table.rows, table["good_a"], table["good_b"], strict=True):
        unknown = [] if known is None else [text for text in (a, b) if text not in known]
        for text in unknown:
            issues.append(Issue("unknown good", table.file, row, None, text, "a good of the table of goods"))
        if a == b:
            issues.append(Issue("a good with itself", table.file, row, None, a, "two different goods"))
        elif not unknown:
            pairs.append((a, b))
    return Conflict(name, tuple(pairs))


def _of_list(name: str, keys: Keys, pairs: Any, goods: Table | None) -> Conflict:
    shaped = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(one, str) for one in pair)
        for pair in pairs
    )
    if not shaped:
        keys.fault("pairs", "not understood", pairs, 'a list of pairs such as [["101", "102"]]')
        return Conflict(name, ())
    known = set(goods["good"]) if goods is not None and "good" in goods else None
    for one in dict.fromkeys(one for pair in pairs for one in pair):
        if known is not None and one not in known:
            keys.fault("pairs", "unknown good", one, "a good of the table of goods")
    fitting = [(a, b) for a, b in pairs if known is None or {a, b} <= known]
    return Conflict(name, tuple(fitting))


def _of_times(
    name: str, keys: Keys, columns: Any, goods: Table, gap: int, travel: int, issues: list[Issue]
) -> Conflict:
    needed, possible = {"days", "start", "end"}, {"days", "start", "end", "campus"}
    if not isinstance(columns, Mapping) or not needed <= columns.keys() <= possible:
        expected = '{ days = "days", start = "start", end = "end" }, and perhaps campus = "campus"'
        keys.fault("meetings", "not understood", columns, expected)
        return Conflict(name, ())
    absent = [str(column) for column in columns.values() if column not in goods]
    if absent or "good" not in goods:
        expected = f"columns of {goods.file}: {', '.join(goods.columns)}"
        keys.fault("meetings", "no such column", ", ".join(absent), expected)
        return Conflict(name, ())
    cells = {key: goods[column] for key, column in columns.items()}
    meetings: dict[str, list[Meeting]] = {}
    for k, (row, good) in enumerate(zip(goods.rows, goods["good"], strict=True)):
        text = {key: column[k].strip() for key, column in cells.items()}
        if not any(text[key] for key in needed):
            meetings[good] = []
            continue
        days, start, end = (
            _parsed(goods, row, str(columns[key]), text[key], key, issues) for key in ("days", "start", "end")
        )
        meetings[good] = []
        if days is None or start is None or end is None:
            continue
        if start >= end:
            found, expected = f"{text['start']} to {text['end']}", "a start before the end"
            issues.append(
                Issue("ends before it starts", goods.file, row, str(columns["end"]), found, expected)
            )
            continue
        meetings[good] = [Meeting(days, start, end, text.get("campus", ""))]
    try:
        return meeting_conflict(name, meetings, gap=gap, travel=travel)
    except InvalidProblemError as error:
        for fault in error.issues:
            keys.fault("meetings", fault.message, fault.found, fault.expected)
        return Conflict(name, ())


def _parsed(table: Table, row: int, column: str, text: str, kind: str, issues: list[Issue]) -> Any:
    try:
        return parse_days(text) if kind == "days" else parse_time(text)
    except ValueError:
        expected = "days such as MonWed or TR" if kind == "days" else "a time such as 13:00 or 1:00 PM"
        issues.append(Issue(f"not understood as {kind}", table.file, row, column, text, expected))
        return None
