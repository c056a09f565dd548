"""Spreadsheets as people keep them: titles above the table, headers in two rows, semicolons, decimal commas.

What cannot be told apart is not guessed: ``1,234`` alone may be a thousand or one and a bit.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import PurePath

from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.tables import Table, as_table, csv_records, decode, parquet_records, xlsx_records

ENDINGS = (".csv", ".tsv", ".txt", ".xlsx", ".parquet")
"""Endings of files that are read as tables."""
_SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_LOOKS_NUMERIC = re.compile(r"[+-]?[0-9]+(?:[.,][0-9]+)*(?:[eE][+-]?[0-9]+)?")
_COMMA = re.compile(r"[+-]?[0-9]+,[0-9]+")
_POINT = re.compile(r"[+-]?[0-9]+\.[0-9]+")
_SAMPLE = 200
"""Lines that the separator is found from."""


@dataclass(frozen=True, eq=False)
class Sheet:
    """One table, and how it was read.

    Parameters
    ----------
    table : Table
        Header and records as text.
    notes : tuple of str
        What was understood, a line each.
    """

    table: Table
    notes: tuple[str, ...]


def read_sheet(data: bytes, file: str, header_row: int | None = None) -> Sheet:
    """Read a spreadsheet or a text file of any usual separator.

    Parameters
    ----------
    data : bytes
        Contents; of a workbook the first sheet is read.
    file : str
        Name, for messages; the ending says which format.
    header_row : int, optional
        Row of the header as a spreadsheet counts; found if absent.

    Raises
    ------
    InvalidProblemError
        Listing every fault found.
    """
    issues: list[Issue] = []
    notes: list[str] = []
    ending = PurePath(file).suffix.lower()
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        raise InvalidProblemError([Issue("empty file", file, expected="a header row")])
    if ending == ".xlsx":
        records = xlsx_records(data, file, issues)
    elif ending == ".parquet":
        records = parquet_records(data, file, issues)
    else:
        text = decode(data, file, issues)
        records = None if text is None else _separated(text, file, issues, notes)
    if records is None or issues:
        raise InvalidProblemError(issues)
    records = _from_header(records, file, header_row, ending, notes)
    table = as_table(file, records, issues)
    for column in table.columns if table else ():
        if not column.isprintable():
            expected = "letters, digits, signs and spaces"
            issues.append(Issue("unprintable character in the header", file, None, None, column, expected))
    if table is None or issues:
        raise InvalidProblemError(issues)
    return Sheet(table, tuple(notes))


def is_numeric(text: str) -> bool:
    """Say whether a cell looks like a number, with a point or a comma.

    Examples
    --------
    >>> [is_numeric(text) for text in ("3", "2,5", "1.234,5", "-1e3", "s1", "")]
    [True, True, True, True, False, False]
    """
    return _LOOKS_NUMERIC.fullmatch(text) is not None


def decimal_mark(texts: Iterable[str]) -> str | None:
    """Tell decimal commas from points; None where the cells allow both readings.

    Examples
    --------
    >>> decimal_mark(["2,5", "3"]), decimal_mark(["2.5"]), decimal_mark(["1,234"])
    ('comma', 'point', None)
    """
    commas: set[str] = set()
    points = False
    for text in texts:
        if _COMMA.fullmatch(text):
            commas.add(text)
        elif _POINT.fullmatch(text):
            points = True
    if not commas:
        return "point"
    if points or all(len(text.rpartition(",")[2]) == 3 for text in commas):
        return None
    return "comma"


def with_points(texts: Sequence[str], decimal: str | None) -> list[str]:
    """Write numbers with decimal commas as ones with points.

    Examples
    --------
    >>> with_points(["2,5", "1.234,5", "7", ""], "comma")
    ['2.5', '1234.5', '7', '']
    """
    if decimal != "comma":
        return list(texts)
    return [text.replace(".", "").replace(",", ".") if is_numeric(text) else text for text in texts]


def _separated(text: str, file: str, issues: list[Issue], notes: list[str]) -> list[list[str]] | None:
    head = "\n".join(text.split("\n", _SAMPLE)[:_SAMPLE])
    separator = max(_SEPARATORS, key=lambda mark: _consistency(head, mark))
    if separator != ",":
        notes.append(f"cells are separated by {_SEPARATORS[separator]}")
    return csv_records(text, file, issues, separator)


def _consistency(text: str, separator: str) -> tuple[float, int]:
    """Score a separator: the share of lines that it cuts into the usual number of cells, and that number."""
    lines = [line for line in text.splitlines() if line.strip()]
    widths = Counter(line.count(separator) for line in lines if separator in line)
    if not widths:
        return 0.0, 0
    width, times = max(widths.items(), key=lambda pair: (pair[1], pair[0]))
    return times / len(lines), width


def _from_header(
    records: list[list[str]], file: str, header_row: int | None, ending: str, notes: list[str]
) -> list[list[str]]:
    """Blank what is above the header, join a header of two rows; rows keep their numbers."""
    filled = [k for k, record in enumerate(records) if any(record)]
    if header_row is not None:
        if header_row - 1 not in filled:
            expected = f"a row with text, from 1 to {len(records)}"
            raise InvalidProblemError([Issue("no header", file, header_row, None, None, expected)])
        return [[]] * (header_row - 1) + [_unwrapped(records[header_row - 1])] + records[header_row:]
    if ending == ".parquet" or not filled:
        return records
    wide = [k for k in filled if sum(map(bool, records[k])) > 1]
    header = wide[0] if wide else filled[0]
    for k in filled:
        if k < header:
            text = " ".join(" ".join(records[k]).split())
            notes.append(f"row {k + 1} is above the table{f': {text[:60]}' if text.isprintable() else ''}")
    rows: list[list[str]] = [[]] * header + [_unwrapped(records[header])] + records[header + 1 :]
    if (below := next((k for k in filled if k > header), None)) is not None:
        joined = _joined(rows[header], _unwrapped(records[below]), [records[k] for k in filled if k > below])
        if joined is not None:
            notes.append(f"rows {header + 1} and {below + 1} are read as one header (merged cells)")
            rows[header], rows[below] = joined, []
    return rows


def _unwrapped(header: list[str]) -> list[str]:
    """Write names that a spreadsheet shows on several lines on one."""
    return [" ".join(name.split()) for name in header]


def _joined(upper: list[str], lower: list[str], body: list[list[str]]) -> list[str] | None:
    """Join a header with merged cells and the row below that names its columns; None if it is none."""
    if len(upper) != len(lower) or all(upper) or any(map(is_numeric, lower)):
        return None
    gaps = [k for k, cell in enumerate(upper) if not cell]
    if not any(lower[k] for k in gaps) or not any(
        is_numeric(row[k]) for row in body for k in gaps if k < len(row)
    ):
        return None
    names = [below or above for above, below in zip(upper, lower, strict=True)]
    return names if len(set(names)) == len(names) else None
