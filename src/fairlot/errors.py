"""What fairlot raises, and how a fault in somebody's input is told.

Bad input is never reported one fault at a time: readers and constructors collect every
:class:`Issue` and raise one :class:`InvalidProblemError` that carries them all.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

ISSUES_TOLD = 50
"""Faults that a message spells out; the rest is counted."""


@dataclass(frozen=True)
class Issue:
    """One fault in an input: where it is, what was found, what would be right.

    Parameters
    ----------
    message : str
        What is wrong, in one line of plain words.
    file : str, optional
        The file, as the user named it.
    row : int, optional
        Line of the file, counted from 1 with the header as line 1.
    column : str, optional
        Column or key.
    found, expected : str, optional
        The offending value, and what would be accepted.

    Examples
    --------
    >>> print(Issue("not a number", "values.csv", 3, "value", "x", "a number of at least 0"))
    values.csv, row 3, column value: not a number: found 'x', expected a number of at least 0
    """

    message: str
    file: str | None = None
    row: int | None = None
    column: str | None = None
    found: str | None = None
    expected: str | None = None

    def __str__(self) -> str:
        place = [
            part
            for part in (
                None if self.file is None else _short(self.file),
                None if self.row is None else f"row {self.row}",
                None if self.column is None else f"column {_short(self.column)}",
            )
            if part is not None
        ]
        detail = [
            part
            for part in (
                None if self.found is None else f"found {self.found[:80]!r}",
                None if self.expected is None else f"expected {_short(self.expected)}",
            )
            if part is not None
        ]
        message = _short(self.message)
        text = ": ".join([", ".join(place), message] if place else [message])
        line = f"{text}: {', '.join(detail)}" if detail else text
        # One line, whatever was in the input: nothing in it may break lines or steer a terminal.
        return line if line.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in line)


def _short(text: str) -> str:
    """Cut a text that would fill a screen: a table may have ten thousand columns."""
    return text if len(text) <= 400 else f"{text[:400]}..."


class FairlotError(Exception):
    """Base of every error that fairlot raises on purpose."""


class InvalidProblemError(FairlotError, ValueError):
    """The input is not a valid problem; ``issues`` lists every fault that was found.

    Parameters
    ----------
    issues : iterable of Issue
        At least one fault. The message tells the first :data:`ISSUES_TOLD`.
    """

    def __init__(self, issues: Iterable[Issue]) -> None:
        self.issues: tuple[Issue, ...] = tuple(issues)
        lines = [str(issue) for issue in self.issues[:ISSUES_TOLD]]
        if len(self.issues) > ISSUES_TOLD:
            lines.append(f"and {len(self.issues) - ISSUES_TOLD} more faults")
        super().__init__("\n".join(lines))

    def __reduce__(self) -> tuple[type[InvalidProblemError], tuple[tuple[Issue, ...]]]:
        return type(self), (self.issues,)  # a worker's error is pickled on its way back


class NotSupportedError(FairlotError, NotImplementedError):
    """The problem is well formed, but this version of fairlot does not solve it."""


class MissingExtraError(FairlotError, ImportError):
    """An optional dependency is not installed; the message names the extra to install."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs an optional part of fairlot: pip install 'fairlot[{extra}]'")
        self.feature = feature
        self.extra = extra

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str]]:
        return type(self), (self.feature, self.extra)
