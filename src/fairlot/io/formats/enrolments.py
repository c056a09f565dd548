"""Enrolment lists for Canvas (SIS import) and OneRoster 1.1, from what was drawn.

Both are tables with one row per seat. Canvas: ``course_id, user_id, role, section_id, status``; where the
goods have a column ``course``, the good is the section and that column the course, else the good is the
course. OneRoster: ``enrollments.csv`` of a bulk file, in which status and date stay blank; the id of a row is
made from class and user alone, so that the same seat keeps it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.tables import Table, escape, read_table, write_csv

ASSIGNMENT = "assignment.csv"
_GOODS = "input/goods.csv"
_ONEROSTER = (
    "sourcedId",
    "status",
    "dateLastModified",
    "classSourcedId",
    "schoolSourcedId",
    "userSourcedId",
    "role",
    "primary",
    "beginDate",
    "endDate",
)


def canvas_enrolments(files: Mapping[str, bytes]) -> bytes:
    """Write what was drawn as an enrolment list for Canvas.

    Parameters
    ----------
    files : mapping
        A result folder of a pseudo-market, after the draw.

    Raises
    ------
    InvalidProblemError
        If nothing was drawn, or an id cannot go into such a list.
    """
    seats = _seats(files)
    goods = _table(files, _GOODS, ("good",))
    courses = dict(zip(goods["good"], goods["course"], strict=True)) if "course" in goods else {}
    _check(courses.values())
    rows = [
        (courses[good], agent, "student", good, "active")
        if courses.get(good)
        else (good, agent, "student", "", "active")
        for agent, good in seats
    ]
    return write_csv(("course_id", "user_id", "role", "section_id", "status"), rows)


def oneroster_enrolments(files: Mapping[str, bytes], school: str) -> bytes:
    """Write what was drawn as ``enrollments.csv`` of OneRoster 1.1.

    Parameters
    ----------
    files : mapping
        A result folder of a pseudo-market, after the draw.
    school : str
        The organisation's ``sourcedId``.

    Raises
    ------
    InvalidProblemError
        If nothing was drawn, or an id cannot go into such a list.
    """
    seats = _seats(files)
    if not school.strip():
        raise InvalidProblemError([Issue("no school", expected="the organisation's sourcedId (--school)")])
    _check([school])
    rows = [
        (_row_id(good, agent), "", "", good, school.strip(), agent, "student", "", "", "")
        for agent, good in seats
    ]
    return write_csv(_ONEROSTER, rows)


def _row_id(good: str, agent: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps([good, agent])))


def _seats(files: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """List agent and good of each seat drawn; several copies of one good are one enrolment."""
    if ASSIGNMENT not in files:
        expected = "a result that was drawn (fairlot commit, then fairlot draw)"
        raise InvalidProblemError([Issue("nothing to enrol", ASSIGNMENT, expected=expected)])
    table = _table(files, ASSIGNMENT, ("agent", "good"))
    seats = list(zip(table["agent"], table["good"], strict=True))
    _check(text for seat in seats for text in seat)
    return seats


def _table(files: Mapping[str, bytes], file: str, columns: tuple[str, ...]) -> Table:
    issues: list[Issue] = []
    table = read_table(lambda name: files.get(name, b""), file, issues)
    if table is None or not table.require(columns, issues) or issues:
        raise InvalidProblemError(issues)
    return table


def _check(ids: Iterable[str]) -> None:
    """Refuse ids that a spreadsheet would run: escaped, they would name nobody."""
    issues = [
        Issue(
            "not possible in an enrolment list",
            found=text,
            expected="an id that does not begin like a formula",
        )
        for text in dict.fromkeys(ids)
        if escape(text) != text
    ]
    if issues:
        raise InvalidProblemError(issues)
