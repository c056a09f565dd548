"""Damaged tables: one clear line per fault, with file, row, column, what was found and what is right."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest
from small_problem import AGENTS, GOODS, PROBLEM, VALUES, faults, folder, xlsx

from fairlot.errors import ISSUES_TOLD, InvalidProblemError
from fairlot.io.problem import read_problem

UTF8 = "expected UTF-8 (in a spreadsheet: save as 'CSV UTF-8')"
VALUE = "expected a number of at least 0 (0, or from 1e-15 to 1e15)"


def test_a_sound_folder_reads(tmp_path: Path) -> None:
    market = read_problem(folder(tmp_path))
    assert market.title == "Small"
    assert market.agents == ("s1", "s2", "s3")
    assert market.goods == ("a1", "a2", "b", "c")
    assert market.capacities.tolist() == [2, 1, 3, 1]
    assert market.budgets.tolist() == [1, 1, 1]
    stored = market.values.tocoo()
    assert list(zip(stored.row.tolist(), stored.col.tolist(), stored.data.tolist(), strict=True)) == [
        (0, 0, 5.0),
        (0, 2, 3.0),
        (1, 0, 1.5),
        (1, 1, 0.0),
        (2, 3, 7.0),
    ]


def test_byte_order_mark_crlf_blank_rows_and_spaces_are_fine(tmp_path: Path) -> None:
    plain = read_problem(folder(tmp_path / "plain"))
    messy = read_problem(
        folder(
            tmp_path / "messy",
            problem=b"\xef\xbb\xbf" + PROBLEM.replace("\n", "\r\n").encode(),
            values=b"\xef\xbb\xbf" + VALUES.replace("\n", " \r\n").replace("s2,a1", " s2 , a1").encode(),
            agents="\n" + AGENTS.replace("s2", ",,\ns2") + ",,\n\n",
            goods=GOODS.replace("\n", ",\n"),
        )
    )
    assert plain.agents == messy.agents
    assert plain.goods == messy.goods
    assert (plain.values != messy.values).nnz == 0


@pytest.mark.parametrize(
    ("changed", "lines"),
    [
        ({"values": VALUES.encode("utf-16")}, [f"values.csv: wrong encoding: found 'UTF-16', {UTF8}"]),
        ({"values": VALUES.encode("utf-16-be")}, [f"values.csv: wrong encoding: found 'UTF-16', {UTF8}"]),
        (
            {"agents": AGENTS.replace("s2", "Zoë").encode("latin-1")},
            [f"agents.csv, row 3: wrong encoding: found 'byte 0xeb', {UTF8}"],
        ),
        (
            {"agents": AGENTS.replace("s2", "s\0002")},
            ["agents.csv, row 3: damaged file: found 'a NUL byte', expected text"],
        ),
        ({"goods": ""}, ["goods.csv: empty file: expected a header row"]),
        ({"goods": "\n,,\n"}, ["goods.csv: empty file: expected a header row"]),
        ({"goods": b"\xef\xbb\xbf\r\n"}, ["goods.csv: empty file: expected a header row"]),
        ({"values": None}, ["values.csv: no such file: expected a file in the folder"]),
        (
            {"goods": "good,capacity\n"},
            ["goods.csv: no goods: expected at least one row below the header"],
        ),
        (
            {"agents": AGENTS.replace("s2,1,1", "s2,1")},
            ["agents.csv, row 3: ragged row: found '2 cells', expected 3 cells, as in the header"],
        ),
        (
            {"values": VALUES + "s3,a1,4,5\n"},
            ["values.csv, row 8: ragged row: found '4 cells', expected 3 cells, as in the header"],
        ),
        (
            {"goods": GOODS.replace("course,", "capacity,")},
            [
                "goods.csv, row 1, column 3: duplicate column: found 'capacity', expected each name once "
                "in the header"
            ],
        ),
        (
            {"goods": GOODS.replace("course", "")},
            ["goods.csv, row 1, column 3: column without a name: found '', expected a name in the header"],
        ),
        (
            {"values": VALUES.split("\n", 1)[1]},
            [
                "values.csv, row 1: no column 'agent': found 's1, a1, 5', expected a column 'agent'",
                "values.csv, row 1: no column 'good': found 's1, a1, 5', expected a column 'good'",
                "values.csv, row 1: no column 'value': found 's1, a1, 5', expected a column 'value'",
            ],
        ),
        (
            {"values": VALUES.replace(",", ";")},
            ["values.csv, row 1: wrong separator: found 'semicolons', expected commas between the cells"],
        ),
        (
            {"values": VALUES.replace(",", "\t")},
            ["values.csv, row 1: wrong separator: found 'tabs', expected commas between the cells"],
        ),
        (
            {"values": VALUES + 's3,"a1,4\n'},
            ["values.csv, row 8: broken CSV (unexpected end of data): expected quotes in pairs"],
        ),
        (
            {"agents": AGENTS + "s1,2,2\n"},
            [
                "agents.csv, row 5, column agent: duplicate agent: found 's1', "
                "expected each agent once (it is in row 2 already)"
            ],
        ),
        (
            {"goods": GOODS + "a1,2,,\n"},
            [
                "goods.csv, row 6, column good: duplicate good: found 'a1', "
                "expected each good once (it is in row 2 already)"
            ],
        ),
        (
            {"agents": AGENTS + ",2,2\n"},
            ["agents.csv, row 5, column agent: blank: found '', expected the id of the agent"],
        ),
        (
            {"agents": AGENTS + '"s\n4",2,2\n'},
            [
                "agents.csv, row 5, column agent: unprintable character: found 's\\n4', "
                "expected letters, digits, signs and spaces"
            ],
        ),
        (
            {"values": VALUES + "s9,a1,1\nS1,A1 ,1\n,b,1\n"},
            [
                "values.csv, row 8, column agent: unknown agent: found 's9', expected an agent of agents.csv",
                "values.csv, row 9, column agent: unknown agent: found 'S1', expected 's1'?",
                "values.csv, row 10, column agent: blank: found '', expected an agent of agents.csv",
                "values.csv, row 9, column good: unknown good: found 'A1', expected 'a1'?",
            ],
        ),
        (
            {"values": VALUES + "s1,a1,9\n"},
            [
                "values.csv, row 8: duplicate pair: found \"agent 's1', good 'a1'\", "
                "expected each pair once (it is in row 2 already)"
            ],
        ),
        (
            {"values": VALUES + "s1,c,-1\ns2,c,nan\ns2,b,inf\ns3,a1,1e300\ns3,a2,1e-300\n"},
            [
                f"values.csv, row 8, column value: negative: found '-1', {VALUE}",
                f"values.csv, row 9, column value: not a finite number: found 'nan', {VALUE}",
                f"values.csv, row 10, column value: not a finite number: found 'inf', {VALUE}",
                f"values.csv, row 11, column value: too large: found '1e300', {VALUE}",
                f"values.csv, row 12, column value: too small: found '1e-300', {VALUE}",
            ],
        ),
        (
            {"values": VALUES + 's1,c,"1,5"\ns2,c,1_0\ns2,b,=1+1\ns3,a1,٣\n'},
            [
                f"values.csv, row 8, column value: not a number: found '1,5', {VALUE}",
                f"values.csv, row 9, column value: not a number: found '1_0', {VALUE}",
                f"values.csv, row 10, column value: not a number: found '=1+1', {VALUE}",
                f"values.csv, row 11, column value: not a number: found '٣', {VALUE}",
            ],
        ),
        (
            {"goods": "good,capacity\na1,-2\na2,1.5\nb,\nc,1e10\n"},
            [
                f"goods.csv, row {row}, column capacity: {message}: found '{found}', "
                "expected a whole number from 0 to 1000000000"
                for row, message, found in (
                    (2, "negative", "-2"),
                    (3, "not a whole number", "1.5"),
                    (4, "blank", ""),
                    (5, "too large", "1e10"),
                )
            ],
        ),
        (
            {"goods": "good,capacity,per_agent\na1,2,0\na2,1,2\nb,1,\nc,1,1\n"},
            [
                "goods.csv, row 2, column per_agent: too small: found '0', "
                "expected a whole number from 1 to 1000000000"
            ],
        ),
        (
            {"agents": "agent,budget\ns1,0\ns2,-1\ns3,\n"},
            [
                f"agents.csv, row {row}, column budget: {message}: found '{found}', "
                "expected a number above 0 (from 1e-15 to 1e15)"
                for row, message, found in ((2, "too small", "0"), (3, "negative", "-1"), (4, "blank", ""))
            ],
        ),
    ],
)
def test_one_line_per_fault(tmp_path: Path, changed: dict[str, str], lines: list[str]) -> None:
    assert faults(folder(tmp_path, **changed)) == lines


def test_faults_of_all_files_come_together(tmp_path: Path) -> None:
    lines = faults(
        folder(
            tmp_path,
            rules='colour = "red"\n',
            goods=GOODS.replace("a2,1", "a2,-1"),
            agents=AGENTS + "s1,1,1\n",
            values=VALUES + "s1,x,1\n",
        )
    )
    assert [line.split(":")[0] for line in lines] == [
        "goods.csv, row 3, column capacity",
        "agents.csv, row 5, column agent",
        "values.csv, row 8, column good",
        "problem.toml, column [values] colour",
    ]


def test_many_faults_are_counted_in_the_message_and_kept_in_the_error(tmp_path: Path) -> None:
    values = VALUES + "".join(f"s1,z{k},1\n" for k in range(1000))
    with pytest.raises(InvalidProblemError) as caught:
        read_problem(folder(tmp_path, values=values))
    assert len(caught.value.issues) == 1000
    lines = str(caught.value).splitlines()
    assert len(lines) == ISSUES_TOLD + 1
    assert lines[-1] == f"and {1000 - ISSUES_TOLD} more faults"


def test_ten_thousand_columns(tmp_path: Path) -> None:
    ids = [f"g{k}" for k in range(10_000)]
    wide = ",".join(["agent", *ids]) + "\n" + ",".join(["s1", *["1"] * 9_999, ""]) + "\n"
    market = read_problem(
        folder(
            tmp_path,
            problem=PROBLEM + 'layout = "wide"\n',
            goods="good,capacity\n" + "".join(f"{i},1\n" for i in ids),
            values=wide,
        )
    )
    assert market.values.shape == (3, 10_000)
    assert market.values.nnz == 9_999


def test_wide_values(tmp_path: Path) -> None:
    path = folder(
        tmp_path, problem=PROBLEM + 'layout = "wide"\n', values="agent,b,a1\ns2,,4\ns1,0,-1\ns2,1,1\n"
    )
    assert faults(path) == [
        "values.csv, row 4, column agent: duplicate agent: found 's2', "
        "expected each agent once (it is in row 2 already)",
        f"values.csv, row 3, column a1: negative: found '-1', {VALUE}",
    ]
    (path / "values.csv").write_text("agent,b,zz,a1\ns2,,,4\ns1,0,,\n")
    assert faults(path) == ["values.csv, row 1: unknown good: found 'zz', expected a good of goods.csv"]
    (path / "values.csv").write_text("agent,b,a1\ns2,,4\ns1,0,\n")
    assert read_problem(path).values.toarray().tolist() == [[0, 0, 0, 0], [4, 0, 0, 0], [0, 0, 0, 0]]
    assert read_problem(path).values.nnz == 2


def test_missing_can_be_a_number(tmp_path: Path) -> None:
    market = read_problem(folder(tmp_path, problem=PROBLEM + "missing = 0.5\n"))
    assert market.values.nnz == 12
    assert market.values.toarray().tolist() == [[5, 0.5, 3, 0.5], [1.5, 0, 0.5, 0.5], [0.5, 0.5, 0.5, 7]]


def test_spreadsheet_numbers_read_as_typed(tmp_path: Path) -> None:
    path = folder(
        tmp_path,
        problem=PROBLEM.replace("goods.csv", "goods.xlsx").replace("agents.csv", "agents.XLSX"),
        values="agent,good,value\n7,101,1\n8,0.5,2\n8,TRUE,2\n",
    )
    (path / "goods.xlsx").write_bytes(
        xlsx([["good", "capacity"], [101.0, ("1+1", 2)], [0.5, 3.0], [True, 1], [None, None]])
    )
    (path / "agents.XLSX").write_bytes(xlsx([[None, "agent"], [None, 7], [None, " 8 "], [None, None]]))
    market = read_problem(path)
    assert market.goods == ("101", "0.5", "TRUE")
    assert market.capacities.tolist() == [2, 3, 1]
    assert market.agents == ("7", "8")


def test_spreadsheet_cells_without_a_value_are_no_blanks(tmp_path: Path) -> None:
    path = folder(tmp_path, problem=PROBLEM.replace("values.csv", "values.xlsx"))
    (path / "values.xlsx").write_bytes(
        xlsx([["agent", "good", "value"], ["s1", "b", "#REF!"], ["s1", "c", ("A1*2", None)], ["s2", "b", 2]])
    )
    assert faults(path) == [
        f"values.xlsx, row {row}, column C: cell without a value: found '{found}', "
        "expected a value (open it in the spreadsheet, mend it and save)"
        for row, found in ((2, "#REF!"), (3, "=A1*2"))
    ]


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"hello", xlsx([["agent"]])[:-40]])
def test_broken_spreadsheet(tmp_path: Path, data: bytes) -> None:
    path = folder(tmp_path, problem=PROBLEM.replace("values.csv", "values.xlsx"))
    (path / "values.xlsx").write_bytes(data)
    (line,) = faults(path)
    assert line.startswith("values.xlsx: ")


def test_parquet(tmp_path: Path) -> None:
    path = folder(tmp_path, problem=PROBLEM.replace("values.csv", "values.parquet"))
    frame = pl.DataFrame({"agent": ["s1", "s2", "s3"], "good": ["b", "b", "c"], "value": [1.0, 2.5, None]})
    frame.write_parquet(path / "values.parquet")
    assert read_problem(path).values.toarray().tolist() == [[0, 0, 1, 0], [0, 0, 2.5, 0], [0, 0, 0, 0]]
    frame.with_columns(value=pl.Series([float("nan"), float("inf"), -1.0])).write_parquet(
        path / "values.parquet"
    )
    assert [line.split(": ")[1] for line in faults(path)] == [
        "not a finite number",
        "not a finite number",
        "negative",
    ]
    pl.DataFrame({"agent": [["s1"]]}).write_parquet(path / "values.parquet")
    assert faults(path) == [
        "values.parquet, column agent: no text or number: found 'List(String)', expected text or numbers"
    ]
    (path / "values.parquet").write_bytes(b"PAR1 but no more")
    (line,) = faults(path)
    assert line.startswith("values.parquet: not a readable .parquet file")


def test_tables_stay_inside_the_folder_and_in_known_formats(tmp_path: Path) -> None:
    outside = PROBLEM.replace("goods.csv", "../goods.csv").replace("agents.csv", "/etc/passwd")
    assert faults(folder(tmp_path, problem=outside.replace("values.csv", "values.ods"))) == [
        "problem.toml, column file: outside the folder: found '../goods.csv', expected a file in the folder",
        "problem.toml, column file: outside the folder: found '/etc/passwd', expected a file in the folder",
        "values.ods: format not known: found '.ods', expected .csv, .xlsx or .parquet",
    ]


def test_a_folder_where_a_table_should_be(tmp_path: Path) -> None:
    path = folder(tmp_path, values=None)
    (path / "values.csv").mkdir()
    assert faults(path) == ["values.csv: cannot be read: Is a directory"]


def test_nothing_in_the_input_steers_a_terminal(tmp_path: Path) -> None:
    agents = AGENTS.replace("year", "ye\x1b[31mar")
    (line,) = faults(
        folder(tmp_path, rules='[[quota]]\nname = "q"\nmax = 1\nagents = { year = 1 }\n', agents=agents)
    )
    assert line.endswith("expected a column of agents.csv: ye\\x1b[31mar, load")
