"""Whatever is in the files, reading ends with a problem or with a list of faults, never with a traceback."""

from __future__ import annotations

import tomllib
from contextlib import suppress
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from small_problem import xlsx

from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.io.keys import write_toml
from fairlot.io.problem import parse_problem_files
from fairlot.io.tables import read_table
from fairlot.io.template import template_files

TEMPLATE = template_files("pseudomarket")
SETTINGS = tomllib.loads(TEMPLATE["problem.toml"].decode())


def read(files: dict[str, bytes]) -> None:
    """Read; every fault must be one line that says something."""
    issues: tuple[Issue, ...] = ()
    with suppress(NotSupportedError):
        try:
            parse_problem_files(files)
        except InvalidProblemError as error:
            issues = error.issues or (Issue(""),)
    for issue in issues:
        assert issue.message
        assert len(str(issue).splitlines()) == 1


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_bytes_in_any_file(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(TEMPLATE)))
    original = TEMPLATE[name]
    start = data.draw(st.integers(0, len(original)))
    end = data.draw(st.integers(start, min(len(original), start + 12)))
    odd = st.sampled_from(
        [b'"', b"\n", b",", b"\r", b"\x00", b"\xff\xfe", b"=", b"'", b"nan", b"1e309", b"\xef\xbb\xbf"]
    )
    put = data.draw(st.one_of(st.binary(max_size=6), odd))
    read({**TEMPLATE, name: original[:start] + put + original[end:]})


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.sampled_from(
            [
                "all",
                "load",
                "year",
                "course",
                "goods.csv",
                "x.xlsx",
                "",
                "long",
                "wide",
                "not acceptable",
                "s1",
                "HEAT",
            ]
        ),
        st.integers(-3, 10),
        st.sampled_from([10**400, -(10**18), 0.5, 1e300, float("inf"), float("nan")]),
        st.booleans(),
        st.text(max_size=4),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["year", "course", "good", "agent", "zzz"]), inner, max_size=2),
    ),
    max_leaves=4,
)


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_values_of_any_key(data: st.DataObject) -> None:
    document = tomllib.loads(TEMPLATE["problem.toml"].decode())
    section = data.draw(st.sampled_from(sorted(document)))
    value = data.draw(VALUES)
    if not isinstance(document[section], dict | list) or data.draw(st.integers(0, 4)) == 0:
        document[section] = value
    else:
        table = document[section]
        table = table if isinstance(table, dict) else data.draw(st.sampled_from(table))
        keys = [
            "file",
            "name",
            "goods",
            "agents",
            "by",
            "min",
            "max",
            "marginals",
            "budget",
            "missing",
            "layout",
        ]
        table[data.draw(st.sampled_from(keys))] = value
    read({**TEMPLATE, "problem.toml": write_toml(document)})


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 3000), st.sampled_from([".xlsx", ".parquet", ".csv"]))
def test_damaged_spreadsheets(put: bytes, at: int, ending: str) -> None:
    book = xlsx([["good", "capacity"], ["a", 1], ["b", ("A1", None)]])
    damaged = book[: at % len(book)] + put + book[at % len(book) + len(put) :]
    issues: list[Any] = []
    table = read_table(lambda _: damaged, f"t{ending}", issues)
    assert table is not None or issues
