"""Ids that one table defines and another uses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fairlot.errors import Issue
from fairlot.io.tables import Table
from fairlot.model.hierarchy import IntArray


class Lookup:
    """Positions of ids, with a hint where an unknown one differs by case, zeros or blanks alone.

    Parameters
    ----------
    noun : str
        What the ids name.
    table : Table
        Where they are defined.
    ids : sequence of str
        The ids.
    """

    def __init__(self, noun: str, table: Table, ids: Sequence[str]) -> None:
        self._noun = noun
        self._table = table
        self._at = {identifier: k for k, identifier in enumerate(ids)}
        self._alike = {_plain(identifier): identifier for identifier in ids}

    def positions(
        self,
        texts: Sequence[str],
        table: Table,
        rows: Sequence[int],
        column: str | None,
        issues: list[Issue],
    ) -> IntArray:
        """Look ids up; -1 and a fault where one is unknown."""
        found = np.array([self._at.get(text, -1) for text in texts], dtype=np.int64)
        # A fault of the other table may be all that is wrong; it has been told already.
        if self._table.complete and self._at:
            for k in np.flatnonzero(found < 0).tolist():
                alike = self._alike.get(_plain(texts[k]))
                expected = (
                    f"'{alike}'?"
                    if alike and texts[k]
                    else f"{with_article(self._noun)} of {self._table.file}"
                )
                message = f"unknown {self._noun}" if texts[k] else "blank"
                issues.append(Issue(message, table.file, rows[k], column, texts[k], expected))
        return found


def _plain(identifier: str) -> str:
    return "".join(identifier.casefold().split()).lstrip("0").removesuffix(".0")


def with_article(noun: str) -> str:
    """Put the indefinite article before a noun."""
    return f"an {noun}" if noun[0] in "aeiou" else f"a {noun}"
