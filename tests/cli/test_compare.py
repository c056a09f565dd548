"""``compare``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Fairlot = Callable[..., Any]


@pytest.fixture
def problem(tmp_path: Path, fairlot: Fairlot) -> Path:
    assert fairlot("new", tmp_path / "problem").code == 0
    return tmp_path / "problem"


def test_one_row_per_mechanism_on_the_screen_in_json_and_in_a_table(
    problem: Path, tmp_path: Path, fairlot: Fairlot
) -> None:
    names = ["equilibrium", "serial-dictatorship", "top-trading-cycles"]
    options = [part for name in names for part in ("--mechanism", name)]
    done = fairlot("compare", problem, *options, "--draws", 5, "--out", tmp_path / "t.parquet")
    assert done.code == 0
    assert "strong equilibrium (fairlot)" in done.out
    assert "does not apply" in done.out
    assert max(len(line) for line in done.out.splitlines() if not line.startswith("Wrote ")) <= 81
    table = pl.read_parquet(tmp_path / "t.parquet")
    assert table["mechanism"].to_list() == names
    assert table["envy_ex_ante"][0] < 1e-9
    assert table["welfare"][2] is None


def test_json_holds_the_witness_of_a_lie(problem: Path, fairlot: Fairlot) -> None:
    done = fairlot("compare", problem, "--mechanism", "round-robin", "--draws", 3, "--json")
    [row] = done.json["rows"]
    assert row["truth"] == "no"
    assert "the first agent expects 12 by the truth, 15 by reporting (8, 6, 2, 7)" in row["witness"]


def test_names_that_cannot_be_are_refused_before_the_work(
    problem: Path, tmp_path: Path, fairlot: Fairlot
) -> None:
    done = fairlot("compare", problem, "--mechanism", "auction")
    assert done.code == 2
    assert "mechanism: found 'auction', expected equilibrium, " in done.err.replace('"', "'")
    done = fairlot("compare", problem, "--out", tmp_path / "none" / "table.txt")
    assert done.code == 2
    assert len(done.err.splitlines()) == 2


def test_what_is_almost_zero_has_no_sign() -> None:
    from fairlot.cli.compare import _figure
    from fairlot.cli.reallocation import saving_words

    assert [_figure(number, 5, 2) for number in (-1e-9, -0.0, 0.004, -0.01)] == [
        " 0.00",
        " 0.00",
        " 0.00",
        "-0.01",
    ]
    assert saving_words(-0.0, 5.0) == "0 (0.00%)"
    assert saving_words(-1e-7, 5.0).endswith("(0.00%)")
