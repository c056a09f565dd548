"""Tables as spreadsheets write them, read as text with every fault in its place.

A table is a header row and records of text cells; a blank cell is the empty text. Cells are stripped of
surrounding space. Rows are counted as a spreadsheet shows them: the header is row 1, blank rows count
but hold nothing. Numbers of ``.xlsx`` and ``.parquet`` become text as a person would type them (101.0
reads ``101``), formulas read as their values.

CSV that fairlot writes is safe to open in a spreadsheet: text that a spreadsheet would run (it begins
with ``=``, ``+``, ``-`` or ``@``, perhaps after apostrophes) gets one more apostrophe in front, and
reading takes one off, so that every id survives the round trip.
"""

from __future__ import annotations

import csv
import datetime
import decimal
import io
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePath
from typing import Any

import numpy as np

from fairlot.errors import Issue
from fairlot.model.hierarchy import FloatArray

_RUNNABLE = re.compile(r"'*[=+\-@]")
_ESCAPED = re.compile(r"'+[=+\-@]")
_QUOTED = re.compile(r'[,"\n\r]')
_FORMATS = ".csv, .xlsx or .parquet"


@dataclass(frozen=True, eq=False)
class Table:
    """The text cells of one table.

    Parameters
    ----------
    file : str
        As the user named it.
    columns : tuple of str
        Header cells, unique.
    cells : tuple of list of str
        One list per column, "" where blank.
    rows : sequence of int
        Row in the file of each record; the header is row 1.
    complete : bool
        False where faulty rows were left out, so that an id may be missing for that reason alone.
    """

    file: str
    columns: tuple[str, ...]
    cells: tuple[Sequence[str], ...]
    rows: Sequence[int]
    complete: bool = True

    @cached_property
    def _at(self) -> dict[str, int]:
        return {column: k for k, column in enumerate(self.columns)}

    def __contains__(self, column: str) -> bool:
        return column in self._at

    def __getitem__(self, column: str) -> Sequence[str]:
        return self.cells[self._at[column]]

    def require(self, columns: Iterable[str], issues: list[Issue]) -> bool:
        """Record a fault for each missing column; say whether all are there."""
        missing = [column for column in columns if column not in self]
        for column in missing:
            found = ", ".join(self.columns[:6]) + (", ..." if len(self.columns) > 6 else "")
            issues.append(Issue(f"no column '{column}'", self.file, 1, None, found, f"a column '{column}'"))
        return not missing


@dataclass(frozen=True)
class Rule:
    """Which numbers a column or key may hold.

    Parameters
    ----------
    text : str
        The rule in words.
    low, high : float
        Inclusive bounds.
    integer : bool
        Whether only whole numbers will do.
    or_zero : bool
        Whether 0 will do below ``low``.
    """

    text: str
    low: float
    high: float
    integer: bool = False
    or_zero: bool = False

    def complaint(self, number: float) -> str:
        """Say what is wrong with the number; empty if nothing is."""
        if not np.isfinite(number):
            return "not a finite number"
        if self.integer and number != np.floor(number):
            return "not a whole number"
        if number > self.high:
            return "too large"
        if number < self.low and not (self.or_zero and number == 0):
            return "negative" if number < 0 <= self.low else "too small"
        return ""


MOST_CELLS = 20_000_000
"""Cells, or pairs of two ids, beyond which input is refused rather than left to fill the memory."""
LARGEST = 1e15
"""Beyond this a number in a table is taken for a mistake: doubles no longer hold its units."""
COUNT = Rule("a whole number from 0 to 1000000000", 0, 1e9, integer=True)
POSITIVE_COUNT = Rule("a whole number from 1 to 1000000000", 1, 1e9, integer=True)
POSITIVE = Rule("a number above 0 (from 1e-15 to 1e15)", 1 / LARGEST, LARGEST)
NON_NEGATIVE = Rule("a number of at least 0 (0, or from 1e-15 to 1e15)", 1 / LARGEST, LARGEST, or_zero=True)
FINITE = Rule("a number from -1e15 to 1e15", -LARGEST, LARGEST)


def read_table(read: Callable[[str], bytes], file: str, issues: list[Issue]) -> Table | None:
    """Read a table of a problem folder.

    Parameters
    ----------
    read : callable
        Gives the bytes of a file by its path inside the folder, or raises OSError.
    file : str
        Path inside the folder; the ending says which format.
    issues : list of Issue
        Faults are appended here.

    Returns
    -------
    Table or None
        None if nothing could be read.
    """
    path = PurePath(file)
    if path.is_absolute() or ".." in path.parts:
        issues.append(Issue("outside the folder", "problem.toml", None, "file", file, "a file in the folder"))
        return None
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        issues.append(Issue("format not known", file, found=path.suffix, expected=_FORMATS))
        return None
    data = read_file(read, file, issues, "a file in the folder")
    if data is None:
        return None
    if not data.strip(b"\xef\xbb\xbf \t\r\n"):
        issues.append(Issue("empty file", file, expected="a header row"))
        return None
    records = reader(data, file, issues)
    return None if records is None else as_table(file, records, issues)


def fits_memory(rows: int, columns: int, file: str, what: str, issues: list[Issue]) -> bool:
    """Record a fault for more than :data:`MOST_CELLS` of something; say whether there are fewer."""
    if rows * columns <= MOST_CELLS:
        return True
    issues.append(Issue("too large", file, None, None, f"{rows} x {columns} {what}", f"at most {MOST_CELLS}"))
    return False


def read_file(read: Callable[[str], bytes], file: str, issues: list[Issue], expected: str) -> bytes | None:
    """Read a file, or record why not."""
    try:
        return read(file)
    except FileNotFoundError:
        issues.append(Issue("no such file", file, expected=expected))
    except OSError as error:
        issues.append(Issue(f"cannot be read: {error.strerror or error}", file))
    return None


def decode(data: bytes, file: str, issues: list[Issue]) -> str | None:
    """Decode UTF-8 with or without a byte-order mark; anything else is a fault."""
    expected = "UTF-8 (in a spreadsheet: save as 'CSV UTF-8')"
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:200].count(0) > len(data[:200]) // 4:
        issues.append(Issue("wrong encoding", file, found="UTF-16", expected=expected))
        return None
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        found = f"byte 0x{data[error.start]:02x}"
        issues.append(Issue("wrong encoding", file, row, None, found, expected))
        return None
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        issues.append(Issue("damaged file", file, row, None, "a NUL byte", "text"))
        return None
    return text


def numbers(
    table: Table, column: str, rule: Rule, issues: list[Issue], *, blank: float | None = None
) -> FloatArray:
    """Read a column of numbers.

    Parameters
    ----------
    table : Table
        Holds the column.
    column : str
        Its name.
    rule : Rule
        What is allowed; every cell that breaks it is a fault.
    issues : list of Issue
        Faults are appended here.
    blank : float, optional
        What a blank cell stands for; a fault if None.

    Returns
    -------
    FloatArray, shape (n_records,)
        NaN where there was a fault.
    """
    return parse_numbers(table[column], table.rows, Issue("", table.file, None, column), rule, issues, blank)


def parse_numbers(
    texts: Sequence[str],
    rows: Sequence[int],
    place: Issue,
    rule: Rule,
    issues: list[Issue],
    blank: float | None = None,
) -> FloatArray:
    """Read numbers from text cells; ``place`` says file and column of a fault, ``rows`` the row."""
    try:
        parsed = np.array([float(text) for text in texts], dtype=np.float64)
    except ValueError:
        parsed = np.array([_number(text) for text in texts], dtype=np.float64)
    wrong = ~np.isfinite(parsed) | (parsed < rule.low) | (parsed > rule.high)
    if rule.integer:
        wrong |= parsed != np.floor(parsed)
    if rule.or_zero:
        wrong &= parsed != 0
    # Python reads 1_000 and digits of every script as numbers; a spreadsheet does not.
    wrong |= np.array([not text.isascii() or "_" in text for text in texts], dtype=bool)
    for k in np.flatnonzero(wrong).tolist():
        text = texts[k]
        if text == "" and blank is not None:
            parsed[k] = blank
            continue
        number = _number(text)
        if text == "":
            message = "blank"
        elif np.isnan(number) and text.lower().lstrip("+-") != "nan":
            message = "not a number"
        else:
            message = rule.complaint(number)
        issues.append(Issue(message, place.file, rows[k], place.column, text, rule.text))
        parsed[k] = np.nan
    return parsed


def _number(text: str) -> float:
    try:
        return float(text) if text.isascii() and "_" not in text else np.nan
    except ValueError:
        return np.nan


def unique_ids(table: Table, column: str, issues: list[Issue]) -> tuple[str, ...]:
    """Read a column of ids; blank, repeated and unprintable ones are faults."""
    first: dict[str, int] = {}
    for identifier, row in zip(table[column], table.rows, strict=True):
        if identifier == "":
            issues.append(Issue("blank", table.file, row, column, "", f"the id of the {column}"))
        elif not identifier.isprintable():
            expected = "letters, digits, signs and spaces"
            issues.append(Issue("unprintable character", table.file, row, column, identifier, expected))
        elif identifier in first:
            expected = f"each {column} once (it is in row {first[identifier]} already)"
            issues.append(Issue(f"duplicate {column}", table.file, row, column, identifier, expected))
        else:
            first[identifier] = row
    return tuple(first)


def write_csv(columns: Sequence[str], records: Iterable[Sequence[str]]) -> bytes:
    """Write text cells as CSV: UTF-8, LF, cells that a spreadsheet would run escaped."""
    lines = [",".join(map(_cell, columns)), *(",".join(map(_cell, record)) for record in records)]
    # A record of one blank cell must not look like a blank row.
    return "".join((line or '""') + "\n" for line in lines).encode()


def _cell(text: str) -> str:
    safe = escape(text)
    return '"' + safe.replace('"', '""') + '"' if _QUOTED.search(safe) else safe


def escape(text: str) -> str:
    """Put an apostrophe before text that a spreadsheet would run.

    Examples
    --------
    >>> escape("=HYPERLINK(1)"), escape("plain"), unescape(escape("=x"))
    ("'=HYPERLINK(1)", 'plain', '=x')
    """
    return f"'{text}" if _RUNNABLE.match(text) else text


def unescape(text: str) -> str:
    """Take the apostrophe of :func:`escape` off."""
    return text[1:] if _ESCAPED.match(text) else text


def _from_csv(data: bytes, file: str, issues: list[Issue]) -> list[list[str]] | None:
    text = decode(data, file, issues)
    records = None if text is None else csv_records(text, file, issues)
    header = next((record for record in records or [] if record), [])
    for mark, name in ((";", "semicolons"), ("\t", "tabs")):
        if len(header) == 1 and mark in header[0]:
            issues.append(Issue("wrong separator", file, 1, None, name, "commas between the cells"))
            return None
    return records


def csv_records(text: str, file: str, issues: list[Issue], separator: str = ",") -> list[list[str]] | None:
    """Cut CSV into records of stripped cells, row by row; None and a fault where quotes are broken."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        records = list(reader)
    except csv.Error as error:
        issues.append(Issue(f"broken CSV ({error})", file, reader.line_num, expected="quotes in pairs"))
        return None
    if "'" in text:
        records = [[unescape(cell) for cell in record] for record in records]
    return [[cell.strip() for cell in record] for record in records]


def xlsx_records(data: bytes, file: str, issues: list[Issue]) -> list[list[str]] | None:
    """Read the first sheet of a workbook as text, row by row; cells without a value are faults."""
    from python_calamine import CalamineError, CalamineWorkbook

    from fairlot.io.spreadsheet import unreadable_cells

    try:
        faults = unreadable_cells(data)
        with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
            sheet = book.get_sheet_by_index(0)
            rows = sheet.to_python(skip_empty_area=False)
    except (CalamineError, ValueError) as error:
        issues.append(Issue(f"not a readable spreadsheet ({error})", file, expected="an .xlsx file"))
        return None
    for number, column, found in faults:
        expected = "a value (open it in the spreadsheet, mend it and save)"
        issues.append(Issue("cell without a value", file, number, column, found, expected))
    return [[cell_text(cell) for cell in row] for row in rows]


def parquet_records(data: bytes, file: str, issues: list[Issue]) -> list[list[str]] | None:
    """Read a Parquet file as text, the names of its columns first."""
    import polars as pl

    from fairlot.io.parquet import read_parquet

    try:
        frame = read_parquet(data)
    except ValueError as error:
        issues.append(Issue(f"not a readable .parquet file ({error})", file, expected="a .parquet file"))
        return None
    for series in frame:
        if series.dtype.is_nested() or series.dtype in (pl.Binary, pl.Object):
            found = str(series.dtype)
            issues.append(Issue("no text or number", file, None, series.name, found, "text or numbers"))
            return None
    return [list(frame.columns)] + [[cell_text(cell) for cell in record] for record in frame.iter_rows()]


_READERS: Mapping[str, Callable[[bytes, str, list[Issue]], list[list[str]] | None]] = {
    ".csv": _from_csv,
    ".xlsx": xlsx_records,
    ".parquet": parquet_records,
}


def cell_text(cell: Any) -> str:
    """Write a cell as a person would type it."""
    match cell:
        case None:
            return ""
        case str():
            return cell.strip()
        case bool():
            return str(cell).upper()
        case float() if cell.is_integer() and abs(cell) < 1e16:
            return str(int(cell))
        case decimal.Decimal():
            return f"{cell.normalize():f}"
        case datetime.datetime():
            return cell.date().isoformat() if cell.time() == datetime.time() else cell.isoformat(" ")
        case datetime.time():
            return cell.isoformat("minutes" if not (cell.second or cell.microsecond) else "auto")
        case _:
            return str(cell)


def as_table(file: str, records: list[list[str]], issues: list[Issue]) -> Table | None:
    """Take header and records apart; blank records and columns that hold nothing are left out."""
    filled = [(row, record) for row, record in enumerate(records, start=1) if any(record)]
    if not filled:
        issues.append(Issue("empty file", file, expected="a header row"))
        return None
    (header_row, header), body = filled[0], filled[1:]
    width = len(header)
    ragged = [(row, record) for row, record in body if len(record) != width]
    for row, record in ragged:
        issues.append(
            Issue("ragged row", file, row, None, f"{len(record)} cells", f"{width} cells, as in the header")
        )
    if ragged:
        body = [(row, record) for row, record in body if len(record) == width]
    cells = [list(column) for column in zip(*(record for _, record in body), strict=True)]
    cells = cells or [[] for _ in header]
    keep: dict[str, int] = {}
    for k, name in enumerate(header):
        if name == "":
            if any(cells[k]):
                issues.append(
                    Issue("column without a name", file, header_row, str(k + 1), "", "a name in the header")
                )
        elif name in keep:
            issues.append(
                Issue("duplicate column", file, header_row, str(k + 1), name, "each name once in the header")
            )
        else:
            keep[name] = k
    return Table(
        file,
        tuple(keep),
        tuple(cells[k] for k in keep.values()),
        [row for row, _ in body],
        complete=not ragged,
    )
