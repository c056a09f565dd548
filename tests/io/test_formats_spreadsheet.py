"""Arbitrary spreadsheets: layouts, merged headers, decimal commas; what is unclear is asked."""

from __future__ import annotations

import io
import zipfile
from contextlib import suppress
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problem import xlsx
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.errors import InvalidProblemError, Issue
from fairlot.io.formats.columns import understand
from fairlot.io.formats.mapping import ColumnMapping, read_mapping, write_mapping
from fairlot.io.formats.sheet import read_sheet
from fairlot.io.formats.spreadsheet import capacity_columns, spreadsheet_draft
from fairlot.io.problem import parse_problem_files, read_problem
from fairlot.io.template import template_files
from fairlot.model.market import PseudoMarket

WIDE = "Student ID,Year,Chess,Choir\ns1,1,2.5,1\ns2,2,,3.75\n"
GIVEN = ColumnMapping(seats=2, load=1)


def imported(
    data: str | bytes, given: ColumnMapping = GIVEN, file: str = "bids.csv", capacities: str | None = None
) -> PseudoMarket:
    raw = data.encode() if isinstance(data, str) else data
    sheet = read_sheet(raw, file, given.header_row)
    seats = None if capacities is None else read_sheet(capacities.encode(), "seats.csv").table
    goods = () if seats is None else tuple(seats[seats.columns[0]])
    mapping, questions = understand(sheet.table, given, goods)
    assert not questions, [q.text for q in questions]
    problem = parse_problem_files(spreadsheet_draft(sheet.table, mapping, seats).files()).problem
    # The mapping that is kept for next term says the same without a question.
    again, questions = understand(sheet.table, read_mapping(write_mapping(mapping), "mapping.toml"), goods)
    assert not questions
    assert again == mapping
    return problem


def questions(data: str, given: ColumnMapping = GIVEN) -> list[str]:
    return [q.key for q in understand(read_sheet(data.encode(), "bids.csv").table, given)[1]]


def pairs(market: PseudoMarket) -> dict[tuple[str, str], float]:
    return {
        (market.agents[i], market.goods[j]): value
        for i, j, value in zip(market.pair_agent, market.pair_good, market.values.data, strict=True)
    }


WANTED = {("s1", "Chess"): 2.5, ("s1", "Choir"): 1.0, ("s2", "Choir"): 3.75}


@pytest.mark.parametrize(
    "text",
    [
        WIDE,
        "\ufeff" + WIDE,
        WIDE.replace("\n", "\r\n"),
        "Bids for electives,,,\n\n" + WIDE,
        WIDE.replace(",", ";").replace(".", ","),
        WIDE.replace(",", "\t"),
        "Student ID,Year,Clubs,\n,,Chess,Choir\ns1,1,2.5,1\ns2,2,,3.75\n",
        "Student,Course,Points,Year\ns1,Chess,2.5,1\ns1,Choir,1,1\ns2,Choir,3.75,2\n",
        "sep=;\nStudent;Course;Points\ns1;Chess;2,5\ns1;Choir;1\ns2;Choir;3,75\n",
        '"Student\nID","Chess","Choir "\ns1,2.5,1\ns2,,3.75\n',
        "Student;Course;Points\ns1;Chess;2,5\ns1;Choir;1\ns2;Choir;3,75\n",
    ],
)
def test_one_table_in_many_shapes(text: str) -> None:
    market = imported(text)
    assert pairs(market) == WANTED
    assert market.capacities.tolist() == [2, 2]
    assert [quota.name for quota in market.quotas] == ["load"]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_every_rendering_of_a_table_reads_the_same(data: st.DataObject) -> None:
    """Layout, separator, decimal mark, title and byte-order mark do not change what is read."""
    agents = [f"s{k}" for k in range(data.draw(st.integers(1, 4)))]
    goods = [f"Club {letter}" for letter in "ABCD"[: data.draw(st.integers(2, 4))]]
    quarters = st.none() | st.integers(0, 4000).map(lambda k: k / 4)
    bids = {(a, g): data.draw(quarters, label=f"{a} {g}") for a in agents for g in goods}
    bids[agents[0], goods[0]] = 7.25
    comma = data.draw(st.booleans(), label="comma")
    separator = data.draw(st.sampled_from(";\t|" if comma else ",;\t|"), label="separator")

    def cell(value: float | None) -> str:
        return "" if value is None else str(value).replace(".", "," if comma else ".")

    if data.draw(st.booleans(), label="long"):
        lines = [["Student", "Course", "Points"]]
        lines += [[a, g, cell(value)] for (a, g), value in bids.items()]
    else:
        lines = [["Student", *goods], *([a, *(cell(bids[a, g]) for g in goods)] for a in agents)]
    text = "\r\n".join(separator.join(line) for line in lines)
    if data.draw(st.booleans(), label="title"):
        text = f"Bids for the autumn{separator}\n\n" + text
    if data.draw(st.booleans(), label="byte-order mark"):
        text = "\ufeff" + text
    market = imported(text, ColumnMapping(seats=1, load=1, scale="value"))
    assert pairs(market) == {pair: value for pair, value in bids.items() if value is not None}
    assert market.agents == tuple(agents)


def test_xlsx_with_a_title_and_merged_headers() -> None:
    rows = [["Electives 2026"], ["Student", None, "Clubs", None], ["id", "Year", "Chess", "Choir"]]
    rows += [["s1", 1, 2.5, 1], ["s2", 2, None, 3.75]]
    assert pairs(imported(xlsx(rows), ColumnMapping(seats=2, load=1), "bids.xlsx")) == WANTED


def test_a_stray_cell_in_the_far_corner_is_told() -> None:
    """A reader that makes room for the whole rectangle would end the process."""
    book = io.BytesIO(xlsx([["Student", "Chess"], ["s1", 3]]))
    out = io.BytesIO()
    with zipfile.ZipFile(book) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            text = source.read(name).replace(b'"B2"', b'"XFD1048576"')
            target.writestr(name, text)
    with pytest.raises(InvalidProblemError, match="1048576 rows and 16384 columns"):
        read_sheet(out.getvalue(), "far.xlsx")


def test_parquet() -> None:
    frame = pl.DataFrame({"student": ["s1", "s2"], "Chess": [2.5, None], "Choir": [1.0, 3.75]})
    out = io.BytesIO()
    frame.write_parquet(out)
    assert pairs(imported(out.getvalue(), file="bids.parquet")) == WANTED


def test_choices_and_ranks_become_borda_values() -> None:
    expected = {("s1", "Chess"): 2.0, ("s1", "Choir"): 1.0, ("s2", "Choir"): 2.0}
    choices = "Student,Choice 2,Choice 1\ns1,Choir,Chess\ns2,,Choir\n"
    assert pairs(imported(choices)) == expected
    ranks = "Student,Course,Rank\ns1,Chess,1\ns1,Choir,2\ns2,Choir,1\n"
    assert pairs(imported(ranks)) == expected
    wide = "Student,Chess,Choir\ns1,1,2\ns2,,1\n"
    assert pairs(imported(wide, ColumnMapping(seats=1, load=1, scale="rank"))) == expected


def test_a_form_on_the_web_knows_people_by_their_address() -> None:
    text = "Timestamp,Email Address,Chess,Choir\n10:00,s1@x,5,4\n10:01,s2@x,,3\n"
    assert imported(text).agents == ("s1@x", "s2@x")


def test_a_problem_folder_imports_as_itself() -> None:
    template = template_files("pseudomarket")
    original = parse_problem_files(template).problem
    goods = template["goods.csv"].decode()
    market = imported(template["values.csv"], ColumnMapping(load=3), "values.csv", goods)
    assert pairs(market) == pairs(original)
    assert (market.goods, market.capacities.tolist()) == (original.goods, original.capacities.tolist())


def test_goods_whose_ids_are_numbers() -> None:
    text = "Student,Course,Points\ns1,101,2.5\ns2,102,3\n"
    assert pairs(imported(text)) == {("s1", "101"): 2.5, ("s2", "102"): 3}
    text = "Student,Choice 1,Choice 2\ns1,101,102\n"
    seats = "course,capacity\n101,1\n102,1\n"
    market = imported(text, ColumnMapping(load=1), capacities=seats)
    assert pairs(market) == {("s1", "101"): 2, ("s1", "102"): 1}


def test_sections_of_courses_are_the_goods() -> None:
    seats = "section,capacity,course\nChess,2,GAMES\nChoir,2,MUSIC\nGo,1,GAMES\n"
    table = read_sheet(seats.encode(), "seats.csv").table
    assert capacity_columns(table) == ("section", "capacity")


def test_goods_that_nobody_names_are_told() -> None:
    sheet = read_sheet(WIDE.encode(), "bids.csv")
    seats = read_sheet(b"course,capacity\nChess,1\nChoire,1\n", "seats.csv")
    mapping, _ = understand(sheet.table, ColumnMapping(load=1), seats.table["course"])
    draft = spreadsheet_draft(sheet.table, mapping, seats.table)
    assert draft.warnings == (
        "nobody accepts 1 of the goods (no column, or no value): Choire",
        "columns of numbers that are not taken for goods: Choir",
    )


def test_capacities_loads_budgets_and_attributes() -> None:
    text = "Student,Email,Tokens,Wanted,Course,Points,Seats,Campus\n"
    text += "s1,a@x,100,2,Chess,5,3,north\ns1,a@x,100,2,Choir,4,1,south\ns2,b@x,50,1,Choir,1,1,south\n"
    market = imported(text, ColumnMapping())
    assert market.capacities.tolist() == [3, 1]
    assert market.budgets.tolist() == [100, 50]
    assert market.bound_sets[0].upper.tolist() == [2, 1]
    seats = "course,seats,room\nChess,3,A\nChoir,1,B\nDrama,9,C\n"
    market = imported(WIDE, ColumnMapping(load=1), capacities=seats)
    assert dict(zip(market.goods, market.capacities.tolist(), strict=True)) == {
        "Chess": 3,
        "Choir": 1,
        "Drama": 9,
    }
    assert pairs(market) == WANTED


@pytest.mark.parametrize(
    ("text", "given", "keys"),
    [
        (WIDE, ColumnMapping(), ["seats", "load"]),
        ("Student,Chess,Choir\ns1,1,2\ns2,2,1\n", GIVEN, ["scale"]),
        ('Student,Chess,Choir\ns1,"1,234",7\n', GIVEN, ["decimal"]),
        ("Student,Preference 1,Preference 2\ns1,101,102\n", GIVEN, ["layout"]),
        ("Student,Course\ns1,Chess\n", GIVEN, ["value"]),
        ("Course,Points\n1,2\n1,2\n", GIVEN, ["agent"]),
        ("Student,Note\ns1,x\n", GIVEN, ["layout"]),
        ("Timestamp,Chess,Choir\n2026-01-01 10:00,5,4\n2026-01-01 10:02,3,3\n", GIVEN, ["agent"]),
    ],
)
def test_what_is_unclear_is_asked(text: str, given: ColumnMapping, keys: list[str]) -> None:
    assert questions(text, given) == keys


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("Student,Course,Points\ns1,Chess,1\ns1,Chess,2\n", "row 3, column Course: duplicate pair"),
        ("Student,Course,Points\ns1,Chess,1\n,Choir,2\n", "row 3, column Student: blank"),
        ("Student,Course,Points\ns1,Chess,1\ns1,,2\n", "row 3, column Course: blank"),
        ("Student,Chess,Choir\ns1,3,4\ns1,1,2\n", "row 3, column Student: duplicate agent"),
        ("Student,Chess,Choir\ns1,3,4\ns2,-1,2\n", "row 3, column Chess: negative"),
        ("Student,Choice 1,Choice 2\ns1,A,A\n", "row 2, column Choice 2: good chosen twice"),
        ("Student,Chess,Chess\ns1,3,4\n", "duplicate column"),
        ("Student,Chess,Choir\ns1,3\n", "row 2: ragged row"),
        ("Student,Course,Points\ns1,Chess,n/a\ns2,Chess,3\n", "row 2, column Points: not a number"),
        ("Student,Wanted,Course,Points\ns1,2,Chess,1\ns1,3,Choir,2\n", "differs from row to row"),
    ],
)
def test_faults_name_row_and_column_of_the_users_file(text: str, told: str) -> None:
    given = ColumnMapping(seats=1, load=None if "Wanted" in text else 1, scale="value")
    with pytest.raises(InvalidProblemError) as caught:
        imported(text, given)
    (line,) = str(caught.value).splitlines()
    assert line.startswith("bids.csv")
    assert told in line


def test_mappings_are_checked() -> None:
    full = ColumnMapping("long", 3, "a", ("b",), "c", "rank", "comma", "d", 4, "e", "f")
    assert read_mapping(write_mapping(full), "m.toml") == full
    bad = b'format = 1\nlayout = "tall"\nseats = -1\ngoods = 3\ncolour = "red"\n'
    with pytest.raises(InvalidProblemError) as caught:
        read_mapping(bad, "m.toml")
    assert len(caught.value.issues) == 4
    assert all(str(issue).startswith("m.toml") for issue in caught.value.issues)
    with pytest.raises(InvalidProblemError, match="no column 'Pupil'"):
        imported(WIDE, ColumnMapping(agent="Pupil"))


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_import_asks_nobody_when_there_is_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "bids.csv").write_text(WIDE)
    code, out, err = run("import", tmp_path / "bids.csv", "--out", tmp_path / "p")
    assert (code, out) == (2, "")
    assert len(err.splitlines()) == 2
    assert "--load N" in err
    assert not (tmp_path / "p").exists()


def test_import_and_again_with_its_mapping(tmp_path: Path) -> None:
    (tmp_path / "bids.csv").write_text(WIDE)
    flags = ("--seats", 2, "--load", 1, "--title", "Clubs")
    code, out, _ = run("import", tmp_path / "bids.csv", "--out", tmp_path / "p", *flags)
    assert code == 0
    assert "agents: column 'Student ID' (2)" in out
    market = read_problem(tmp_path / "p")
    assert isinstance(market, PseudoMarket)
    assert (pairs(market), market.title) == (WANTED, "Clubs")
    mapping = tmp_path / "p" / "mapping.toml"
    code, _, err = run("import", tmp_path / "bids.csv", "--out", tmp_path / "q", "--mapping", mapping)
    assert (code, err) == (0, "")
    for name in ("goods.csv", "agents.csv", "values.csv", "mapping.toml"):
        assert (tmp_path / "p" / name).read_bytes() == (tmp_path / "q" / name).read_bytes()
    code, _, err = run("import", tmp_path / "bids.csv", "--out", tmp_path / "q", "--mapping", mapping)
    assert code == 2
    assert "exists already" in err


def test_questions_are_answered_at_a_terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlot.cli.imports._asks", lambda output: True)
    (tmp_path / "bids.csv").write_text("Student,Chess,Choir\ns1,1,2\ns2,2,1\n")
    arguments = ["import", str(tmp_path / "bids.csv"), "--out", str(tmp_path / "p")]
    done = CliRunner().invoke(app, arguments, input="maybe\nrank\n3\n1\n")
    assert done.exit_code == 0, done.output
    market = read_problem(tmp_path / "p")
    assert isinstance(market, PseudoMarket)
    assert market.capacities.tolist() == [3, 3]
    assert pairs(market)["s1", "Chess"] == 2


@pytest.mark.parametrize(
    "option", [("--layout", "tall"), ("--scale", "x"), ("--decimal", "x"), ("--load", "x")]
)
def test_bad_options_are_one_line(tmp_path: Path, option: tuple[str, str]) -> None:
    (tmp_path / "bids.csv").write_text(WIDE)
    code, _, err = run(
        "import", tmp_path / "bids.csv", "--out", tmp_path / "p", "--seats", 1, "--load", 1, *option
    )
    assert code == 2
    assert len(err.splitlines()) == 1


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_spreadsheets_are_told_in_lines(data: st.DataObject) -> None:
    original = data.draw(st.sampled_from([WIDE.encode(), xlsx([["Student", "Chess"], ["s1", 3]])]))
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, len(original)))
    damaged = original[:start] + data.draw(st.binary(max_size=12)) + original[end:]
    survive(damaged, "x.xlsx" if original[:2] == b"PK" else "x.csv")


@settings(max_examples=60, deadline=None)
@given(text=st.text("ab1,2;.\t|\"'=-\n\r \ufeff\u00e9", max_size=60))
def test_any_text_is_read_or_told(text: str) -> None:
    survive(text.encode(), "x.csv")


def survive(data: bytes, file: str) -> None:
    issues: tuple[Issue, ...] = ()
    try:
        sheet = read_sheet(data, file)
        given = ColumnMapping(seats=1, load=1, scale="value", decimal="point")
        mapping, unclear = understand(sheet.table, given)
        if not unclear:
            spreadsheet_draft(sheet.table, mapping).files()
    except InvalidProblemError as error:
        issues = error.issues or (Issue(""),)
    for issue in issues:
        assert issue.message
        assert len(str(issue).splitlines()) == 1


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=80))
def test_any_bytes_are_a_mapping_or_told(data: bytes) -> None:
    with suppress(InvalidProblemError):
        read_mapping(data, "mapping.toml")
