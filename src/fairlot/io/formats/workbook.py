"""Lists of what was drawn as one workbook (``.xlsx``): every assignment, and the same by agent and by good.

Nothing in the workbook is a formula. Ids are text, and text that a spreadsheet would run if it were typed is
marked as quoted, as the spreadsheet itself marks it; only capacities and amounts are numbers. The same result
gives the same bytes.
"""

from __future__ import annotations

import datetime
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.tables import COUNT, Table, escape, numbers, read_table

if TYPE_CHECKING:
    from xlsxwriter.format import Format
    from xlsxwriter.workbook import Workbook

_MOST_ROWS = 1_048_576
_MOST_LETTERS = 32_767
_WIDEST = 40
_LISTED = 20

Row = Sequence[str | int]


@dataclass(frozen=True)
class _Sheet:
    """One sheet: a header and rows; whole numbers are numbers, all else is text."""

    name: str
    columns: tuple[str, ...]
    rows: list[Row]


def assignment_workbook(files: Mapping[str, bytes]) -> bytes:
    """Write what was drawn as a workbook of three lists.

    Parameters
    ----------
    files : mapping
        A result folder after the draw, of a pseudo-market or a reallocation.

    Returns
    -------
    bytes
        A workbook with the sheets ``Assignments`` (a row per agent and good, with the attributes of both),
        ``Agents`` (what each has, also those who have nothing) and ``Goods`` or ``Tasks`` (how much is taken,
        of a good how much is left, and by whom).

    Raises
    ------
    InvalidProblemError
        If nothing was drawn, or the lists do not fit a sheet.
    """
    issues: list[Issue] = []
    if "assignment.csv" not in files:
        expected = "a result that was drawn (fairlot commit, then fairlot draw)"
        raise InvalidProblemError([Issue("nothing to list", "assignment.csv", expected=expected)])
    noun, number, plural = ("good", "copies", "goods")
    if "input/tasks.csv" in files:
        noun, number, plural = ("task", "amount", "tasks")
    drawn = _read(files, "assignment.csv", ("agent", noun, number), issues)
    agents = _read(files, "input/agents.csv", ("agent",), issues)
    things = _read(files, f"input/{plural}.csv", (noun,), issues)
    if drawn is None or agents is None or things is None or issues:
        raise InvalidProblemError(issues)
    counts = numbers(drawn, number, COUNT, issues)
    seats = None if "capacity" not in things else numbers(things, "capacity", COUNT, issues)
    if issues:
        raise InvalidProblemError(issues)
    amounts = [int(count) for count in counts]
    capacities = None if seats is None else [int(count) for count in seats]
    sheets = [
        _assignments(drawn, agents, things, noun, number, amounts),
        _by_agent(drawn, agents, noun, number, amounts),
        _by_thing(drawn, things, noun, number, amounts, capacities),
    ]
    _check(sheets)
    return _written(sheets)


def _read(
    files: Mapping[str, bytes], name: str, columns: tuple[str, ...], issues: list[Issue]
) -> Table | None:
    table = read_table(lambda file: files.get(file, b""), name, issues)
    return table if table is not None and table.require(columns, issues) else None


def _attributes(table: Table, key: str, but: Sequence[str]) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """Return the names of a table's other columns, and their cells by id."""
    names = tuple(column for column in table.columns if column != key and column not in but)
    cells = {name: [table[column][k] for column in names] for k, name in enumerate(table[key])}
    return names, cells


def _owner(agent: str, known: Mapping[str, object]) -> str:
    """Return the row of the agents' table for a drawn id: a member of a group is ``group#1``."""
    return agent if agent in known else agent.rpartition("#")[0]


def _assignments(
    drawn: Table, agents: Table, things: Table, noun: str, number: str, amounts: list[int]
) -> _Sheet:
    of_agents, agent_cells = _attributes(agents, "agent", ("budget", "size"))
    of_things, thing_cells = _attributes(things, noun, ("capacity", "per_agent", "count"))
    columns = (
        "agent",
        *(f"agent: {name}" for name in of_agents),
        noun,
        *(f"{noun}: {name}" for name in of_things),
        number,
    )
    rows: list[Row] = []
    for agent, thing, amount in zip(drawn["agent"], drawn[noun], amounts, strict=True):
        hers = agent_cells.get(_owner(agent, agent_cells), [""] * len(of_agents))
        its = thing_cells.get(thing, [""] * len(of_things))
        rows.append((agent, *hers, thing, *its, amount))
    return _Sheet("Assignments", columns, rows)


def _by_agent(drawn: Table, agents: Table, noun: str, number: str, amounts: list[int]) -> _Sheet:
    held: dict[str, list[int]] = {}
    for k, agent in enumerate(drawn["agent"]):
        held.setdefault(agent, []).append(k)
    with_members = {_owner(agent, dict.fromkeys(agents["agent"])) for agent in held}
    everybody = dict.fromkeys([*held, *(agent for agent in agents["agent"] if agent not in with_members)])
    rows: list[Row] = [
        (
            agent,
            sum(amounts[k] for k in held.get(agent, ())),
            _listed([(drawn[noun][k], amounts[k]) for k in held.get(agent, ())]),
        )
        for agent in everybody
    ]
    return _Sheet("Agents", ("agent", number, f"{noun}s"), rows)


def _by_thing(
    drawn: Table, things: Table, noun: str, number: str, amounts: list[int], seats: list[int] | None
) -> _Sheet:
    takers: dict[str, list[tuple[str, int]]] = {name: [] for name in things[noun]}
    for agent, thing, amount in zip(drawn["agent"], drawn[noun], amounts, strict=True):
        takers.setdefault(thing, []).append((agent, amount))
    names, cells = _attributes(things, noun, ("capacity", "per_agent", "count"))
    rows: list[Row] = []
    for k, name in enumerate(things[noun]):
        taken = sum(amount for _, amount in takers[name])
        left: Row = () if seats is None else (seats[k], taken, seats[k] - taken)
        rows.append((name, *cells[name], *(left or (taken,)), _listed(takers[name])))
    numbers_of = ("capacity", number, "left") if seats is not None else (number,)
    return _Sheet("Goods" if noun == "good" else "Tasks", (noun, *names, *numbers_of, "agents"), rows)


def _listed(entries: Sequence[tuple[str, int]]) -> str:
    """Name the first entries and count the rest; the sheet of assignments has them all."""
    shown = ", ".join(name if times == 1 else f"{name} ({times})" for name, times in entries[:_LISTED])
    rest = len(entries) - _LISTED
    return f"{shown} and {rest} more" if rest > 0 else shown


def _check(sheets: Sequence[_Sheet]) -> None:
    issues = []
    for sheet in sheets:
        if len(sheet.rows) >= _MOST_ROWS:
            found, expected = (
                f"{len(sheet.rows)} rows",
                f"at most {_MOST_ROWS - 1}; assignment.csv has no bound",
            )
            issues.append(Issue(f"too long for a sheet '{sheet.name}'", found=found, expected=expected))
        texts = [text for row in (sheet.columns, *sheet.rows) for text in row if isinstance(text, str)]
        issues += [
            Issue("too long for a cell", found=text, expected=f"at most {_MOST_LETTERS} letters")
            for text in texts
            if len(text) > _MOST_LETTERS
        ]
    if issues:
        raise InvalidProblemError(issues)


def _written(sheets: Sequence[_Sheet]) -> bytes:
    from xlsxwriter.workbook import Workbook

    out = io.BytesIO()
    book: Workbook = Workbook(out, {"in_memory": True})
    # The date of making would make every export another file.
    book.set_properties({"created": datetime.datetime(2000, 1, 1)})
    header = book.add_format({"bold": True, "bottom": 1, "text_wrap": True, "valign": "top"})
    quoted = book.add_format({"quote_prefix": True})
    for sheet in sheets:
        _write(book, sheet, header, quoted)
    book.close()
    return out.getvalue()


def _write(book: Workbook, sheet: _Sheet, header: Format, quoted: Format) -> None:
    page: Any = book.add_worksheet(sheet.name)
    for j, name in enumerate(sheet.columns):
        page.write_string(0, j, name, header)
    for i, row in enumerate(sheet.rows, start=1):
        for j, cell in enumerate(row):
            if isinstance(cell, int):
                page.write_number(i, j, cell)
            elif cell:
                page.write_string(i, j, cell, quoted if escape(cell) != cell else None)
    page.freeze_panes(1, 1)
    page.autofilter(0, 0, max(len(sheet.rows), 1), len(sheet.columns) - 1)
    for j, name in enumerate(sheet.columns):
        longest = max([len(name), *(len(str(row[j])) for row in sheet.rows)])
        page.set_column(j, j, min(max(longest + 2, 8), _WIDEST))
