"""What has to be known of an ``.xlsx`` sheet before a fast reader gets it.

A formula that was never computed, and an error such as ``#REF!``, read as blank by every fast reader. In
a table of values a blank cell means "not acceptable", so they have to be found and told. And a fast reader
makes room for the whole rectangle up to the last cell: one stray cell in the far corner of a sheet would
fill the memory.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
import zlib
from xml.etree import ElementTree

from fairlot.io.tables import MOST_CELLS

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
# What the standard library raises for archives that are damaged, encrypted or of an unknown kind.
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    ElementTree.ParseError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    StopIteration,
)
_LARGEST = 1 << 29
"""Bytes that the parts of a workbook may hold."""
_LINK = "{http://schemas.openxmlformats.org/officeDocument/2006/relationships}id"


def unreadable_cells(data: bytes) -> list[tuple[int, str, str]]:
    """List the first sheet's formulas without a value and its error cells.

    Parameters
    ----------
    data : bytes
        The workbook.

    Returns
    -------
    list of (row, column letters, what is there)

    Raises
    ------
    ValueError
        If the file is no workbook, or its sheet is too large to be read.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            size = sum(part.file_size for part in book.infolist())
            if size > _LARGEST:
                raise ValueError(f"{size} bytes unpacked, more than {_LARGEST}")
            sheet = book.read(_first_sheet(book))
        _check_extent(sheet)
        return _scan(sheet)
    except _BROKEN as error:
        raise ValueError(str(error)) from error


def _check_extent(sheet: bytes) -> None:
    """Refuse a sheet whose last row and last column span more cells than fit a usual memory."""
    letters = {found[1] for found in re.finditer(rb"""\br=["']([A-Za-z]{1,3})[0-9]""", sheet)}
    widest = max((_column_number(name.decode().upper()) for name in letters), default=0)
    rows = re.finditer(rb"""\br=["'][A-Za-z]{0,3}([0-9]{1,9})["']""", sheet)
    lowest = max((int(found[1]) for found in rows), default=0)
    if widest * lowest > MOST_CELLS:
        raise ValueError(
            f"{lowest} rows and {widest} columns, more than {MOST_CELLS} cells; delete what is far out"
        )


def _column_number(letters: str) -> int:
    number = 0
    for letter in letters:
        number = 26 * number + ord(letter) - ord("A") + 1
    return number


def _scan(sheet: bytes) -> list[tuple[int, str, str]]:
    # Parsing takes seconds on a large sheet; most hold neither formulas nor errors.
    if b"<f" not in sheet and b":f" not in sheet and not re.search(rb"""t=["']e["']""", sheet):
        return []
    found = []
    for _, cell in ElementTree.iterparse(io.BytesIO(sheet)):
        if cell.tag != f"{_MAIN}c":
            continue
        formula, value = cell.find(f"{_MAIN}f"), cell.find(f"{_MAIN}v")
        text = "" if value is None else value.text or ""
        if cell.get("t") == "e":
            found.append((*_place(cell), text))
        elif formula is not None and text == "" and cell.get("t") != "str":
            found.append((*_place(cell), f"={formula.text or ''}"))
        cell.clear()
    return found


def _place(cell: ElementTree.Element) -> tuple[int, str]:
    reference = cell.get("r", "")
    column = reference.rstrip("0123456789")
    return int(reference[len(column) :] or 0), column


def _first_sheet(book: zipfile.ZipFile) -> str:
    """Follow the workbook's first sheet to its part."""
    sheet = ElementTree.fromstring(book.read("xl/workbook.xml")).find(f"{_MAIN}sheets/{_MAIN}sheet")
    if sheet is None:
        raise KeyError("no sheet")
    links = ElementTree.fromstring(book.read("xl/_rels/workbook.xml.rels"))
    target = next(link.get("Target", "") for link in links if link.get("Id") == sheet.get(_LINK))
    return posixpath.normpath(posixpath.join("/xl", target)).lstrip("/")
