"""A small problem folder to damage, and spreadsheets written by hand."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from xml.sax.saxutils import escape

import pytest

from fairlot.errors import InvalidProblemError
from fairlot.io.problem import read_problem

PROBLEM = """\
format = 1
kind = "pseudomarket"
title = "Small"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
[values]
file = "values.csv"
"""
GOODS = "good,capacity,course,department\na1,2,A,PHIL\na2,1,A,PHIL\nb,3,B,PHYS\nc,1,,PHYS\n"
AGENTS = "agent,year,load\ns1,1,2\ns2,1,1\ns3,2,3\n"
VALUES = "agent,good,value\ns1,a1,5\ns1,b,3\ns2,a1,1.5\ns2,a2,0\ns3,c,7\ns3,b,\n"


def folder(path: Path, rules: str = "", **changed: str | bytes | None) -> Path:
    """Write the small problem; ``changed`` replaces tables by name, None leaves one out."""
    files: dict[str, str | bytes | None] = {
        "problem.toml": PROBLEM + rules,
        "goods.csv": GOODS,
        "agents.csv": AGENTS,
        "values.csv": VALUES,
    }
    for name, content in changed.items():
        files["problem.toml" if name == "problem" else f"{name}.csv"] = content
    path.mkdir(exist_ok=True)
    for name, content in files.items():
        if content is not None:
            (path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def faults(path: Path) -> list[str]:
    """Return the faults of a problem folder, one line each."""
    with pytest.raises(InvalidProblemError) as caught:
        read_problem(path)
    return [str(issue) for issue in caught.value.issues]


def xlsx(rows: list[list[object]]) -> bytes:
    """Write a workbook of one sheet; a tuple (formula, value) is a formula, a leading # an error."""
    lines = []
    for r, row in enumerate(rows, start=1):
        cells = []
        for c, cell in enumerate(row):
            place = f'r="{_letters(c)}{r}"'
            match cell:
                case None:
                    continue
                case (formula, None):
                    cells.append(f"<c {place}><f>{formula}</f></c>")
                case (formula, value):
                    cells.append(f"<c {place}><f>{formula}</f><v>{value}</v></c>")
                case bool():
                    cells.append(f'<c {place} t="b"><v>{int(cell)}</v></c>')
                case int() | float():
                    cells.append(f"<c {place}><v>{cell!r}</v></c>")
                case str() if cell.startswith("#"):
                    cells.append(f'<c {place} t="e"><v>{cell}</v></c>')
                case _:
                    cells.append(f'<c {place} t="inlineStr"><is><t>{escape(str(cell))}</t></is></c>')
        lines.append(f'<row r="{r}">{"".join(cells)}</row>')
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    package = "http://schemas.openxmlformats.org/package/2006"
    sheets = '<sheets><sheet name="Table" sheetId="1" r:id="rId1"/></sheets>'
    link = f'<Relationship Id="rId1" Type="{office}/%s" Target="%s"/>'
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Default Extension="xml" ContentType="application/xml"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships">'
        f"{link % ('officeDocument', 'xl/workbook.xml')}</Relationships>",
        "xl/workbook.xml": f'<workbook xmlns="{main}" xmlns:r="{office}">{sheets}</workbook>',
        "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{package}/relationships">'
        f"{link % ('worksheet', 'worksheets/sheet1.xml')}</Relationships>",
        "xl/worksheets/sheet1.xml": f'<worksheet xmlns="{main}"><sheetData>{"".join(lines)}</sheetData>'
        "</worksheet>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as book:
        for name, text in parts.items():
            book.writestr(name, f'<?xml version="1.0" encoding="UTF-8"?>{text}')
    return out.getvalue()


def _letters(column: int) -> str:
    letters = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        letters = chr(65 + rest) + letters
    return letters
