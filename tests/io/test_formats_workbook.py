"""A drawn result as a workbook: every seat in it, nothing in it runs, the same bytes every time."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest
from python_calamine import CalamineWorkbook
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.errors import InvalidProblemError
from fairlot.io.formats.workbook import assignment_workbook
from fairlot.io.results import write_result

GOODS = b"good,capacity,course,title\nlogic-1,2,LOGIC,'=1+1\nlogic-2,2,LOGIC,Logic\nethics,1,ETHICS,\n"
AGENTS = b"agent,year,budget\n'=s1,1,1\ns2,2,1\ns3,2,1.5\n"
DRAWN = {
    "input/goods.csv": GOODS,
    "input/agents.csv": AGENTS,
    "assignment.csv": b"agent,good,copies\n'=s1,ethics,1\n'=s1,logic-1,2\ns2,logic-2,1\n",
}
TASKS = {
    "input/tasks.csv": b"task,count\nstroke,9\nflu,4\n",
    "input/agents.csv": b"agent,size,site\nward,2,north\nann,1,south\n",
    "assignment.csv": b"agent,task,amount\nward#1,stroke,4\nward#2,stroke,3\nward#2,flu,4\nann,stroke,2\n",
}


def sheets(data: bytes) -> dict[str, list[list[object]]]:
    with CalamineWorkbook.from_filelike(io.BytesIO(data)) as book:
        return {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}


def test_every_seat_is_listed_by_agent_and_by_good() -> None:
    assert sheets(assignment_workbook(DRAWN)) == {
        "Assignments": [
            ["agent", "agent: year", "good", "good: course", "good: title", "copies"],
            ["=s1", "1", "ethics", "ETHICS", "", 1.0],
            ["=s1", "1", "logic-1", "LOGIC", "=1+1", 2.0],
            ["s2", "2", "logic-2", "LOGIC", "Logic", 1.0],
        ],
        "Agents": [
            ["agent", "copies", "goods"],
            ["=s1", 3.0, "ethics, logic-1 (2)"],
            ["s2", 1.0, "logic-2"],
            ["s3", 0.0, ""],
        ],
        "Goods": [
            ["good", "course", "title", "capacity", "copies", "left", "agents"],
            ["logic-1", "LOGIC", "=1+1", 2.0, 2.0, 0.0, "=s1 (2)"],
            ["logic-2", "LOGIC", "Logic", 2.0, 1.0, 1.0, "s2"],
            ["ethics", "ETHICS", "", 1.0, 1.0, 0.0, "=s1"],
        ],
    }


def test_members_of_a_group_have_their_groups_attributes() -> None:
    found = sheets(assignment_workbook(TASKS))
    assert found["Assignments"][1:3] == [
        ["ward#1", "north", "stroke", 4.0],
        ["ward#2", "north", "stroke", 3.0],
    ]
    assert [row[0] for row in found["Agents"][1:]] == ["ward#1", "ward#2", "ann"]
    assert found["Tasks"][1:] == [
        ["stroke", 9.0, "ward#1 (4), ward#2 (3), ann (2)"],
        ["flu", 4.0, "ward#2 (4)"],
    ]


def test_nothing_in_it_runs_and_the_bytes_are_the_same() -> None:
    data = assignment_workbook(DRAWN)
    assert data == assignment_workbook(DRAWN)
    with zipfile.ZipFile(io.BytesIO(data)) as book:
        parts = {name: book.read(name) for name in book.namelist()}
    assert not any(b"<f>" in part or b"<f " in part or b"hyperlink" in part for part in parts.values())
    assert b'quotePrefix="1"' in parts["xl/styles.xml"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"assignment.csv": None}, "fairlot draw"),
        ({"input/agents.csv": None}, "input/agents.csv: empty file"),
        ({"assignment.csv": b"agent,good,copies\ns2,logic-2,x\n"}, "row 2, column copies: not a number"),
        ({"input/goods.csv": GOODS + b"x,1," + b"y" * 40_000 + b",\n"}, "too long for a cell"),
    ],
)
def test_what_cannot_be_listed_is_told(changed: Mapping[str, bytes | None], told: str) -> None:
    files = {name: data for name, data in ({**DRAWN, **changed}).items() if data is not None}
    with pytest.raises(InvalidProblemError, match=told):
        assignment_workbook(files)


def test_export(tmp_path: Path) -> None:
    write_result(tmp_path / "r", DRAWN)
    arguments = ["export", str(tmp_path / "r"), "--format", "xlsx", "--out", str(tmp_path / "lists.xlsx")]
    done = CliRunner().invoke(app, [*arguments, "--json"])
    data = (tmp_path / "lists.xlsx").read_bytes()
    assert (done.exit_code, json.loads(done.stdout)["bytes"]) == (0, len(data))
    assert data == assignment_workbook(DRAWN)
    assert CliRunner().invoke(app, arguments).exit_code == 2  # it is there already
    arguments[-1] = str(tmp_path / "lists.csv")
    assert CliRunner().invoke(app, arguments).exit_code == 2
