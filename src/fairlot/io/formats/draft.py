"""A pseudo-market on its way from another format into a problem folder.

A draft holds the three tables as text, so that what comes along with ids and numbers (years, departments,
titles) stays in the folder and can be used in its rules. The files are read back before they are handed
out: what an import writes is a problem that fairlot reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.problem import parse_problem_files, table_files
from fairlot.io.pseudomarket import NOT_ACCEPTABLE
from fairlot.io.tables import Table

MOST_PAIRS = 5_000_000
"""Pairs of agent and good beyond which an import is refused rather than left to fill the memory."""

Columns = Mapping[str, Sequence[str]]


@dataclass(frozen=True, eq=False)
class Draft:
    """The tables of a pseudo-market, and what was understood of their source.

    Parameters
    ----------
    goods, agents, values : mapping
        Cells by column: ``good, capacity``; ``agent``; ``agent, good, value``; and any attributes.
    load : int or str or None
        Copies one agent may hold: a number, a numeric column of ``agents``, or None for no bound.
    conflicts : sequence of (str, str)
        Goods that nobody may hold together.
    title : str
        For people.
    notes, warnings : tuple of str
        What was understood, and what to look at, a line each.
    """

    goods: Columns
    agents: Columns
    values: Columns
    load: int | str | None = None
    conflicts: Sequence[tuple[str, str]] = ()
    title: str = ""
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def files(self) -> dict[str, bytes]:
        """Write the draft as the files of a problem folder.

        Raises
        ------
        InvalidProblemError
            Listing every fault that reading the folder would find.
        """
        settings: dict[str, Any] = {"format": 1, "kind": "pseudomarket"}
        if self.title:
            settings["title"] = self.title
        settings |= {"goods": {}, "agents": {}, "values": {"layout": "long", "missing": NOT_ACCEPTABLE}}
        if self.load is not None:
            settings["quota"] = [{"name": "load", "goods": "all", "max": self.load}]
        if self.conflicts:
            pairs = [list(pair) for pair in self.conflicts]
            settings["conflict"] = [{"name": "not together", "pairs": pairs}]
        tables = {name: _table(name, getattr(self, name)) for name in ("goods", "agents", "values")}
        files = table_files(settings, tables)
        parse_problem_files(files)
        return files


def _table(name: str, columns: Columns) -> Table:
    cells = tuple(columns.values())
    return Table(f"{name}.csv", tuple(columns), cells, range(2, len(cells[0]) + 2))


def refuse_too_many(pairs: int, file: str) -> None:
    """Refuse more pairs than fit a usual memory.

    Raises
    ------
    InvalidProblemError
        If there are more than :data:`MOST_PAIRS`.
    """
    if pairs > MOST_PAIRS:
        expected = f"at most {MOST_PAIRS} pairs of agent and good"
        raise InvalidProblemError([Issue("too large to import", file, found=str(pairs), expected=expected)])
