"""``simulate`` on folders: every study says its table, its sentence and its JSON."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

FILES = {
    "problem.toml": """
format = 1
kind = "pseudomarket"
title = "Four seats"
[goods]
file = "goods.csv"
[agents]
file = "agents.csv"
[values]
file = "values.csv"
layout = "wide"
[[quota]]
name = "one"
max = 1
""",
    "goods.csv": "good,capacity\na,1\nb,1\nc,2\n",
    "agents.csv": "agent,years,name\nann,1,x\nbob,2,y\ncid,2,z\n",
    "values.csv": "agent,a,b,c\nann,5,3,1\nbob,4,4,2\ncid,1,2,5\n",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--lie", "copy", "--agents", "2", "--share", "0.5", "--draws", "1"), "gains its teller"),
        (("--mechanism", "serial-dictatorship", "--replicas", "1,2"), "best of these"),
        (("--study", "preferences", "--draws", "2"), "If values are off by about 10%"),
        (("--study", "budgets", "--column", "years", "--ratio", "2"), "With 2 times the money"),
        (("--study", "withdrawal", "--agent", "ann", "--good", "b"), "an agent who leaves"),
    ],
)
def test_a_study_says_what_it_means(
    folder: Path, tmp_path: Path, fairlot: Callable[..., Any], arguments: tuple[str, ...], says: str
) -> None:
    table = tmp_path / "out.csv"
    run = fairlot("simulate", folder, *arguments, "--out", table)
    assert (run.code, run.err) == (0, "")
    assert says in run.out
    lines = [line for line in run.out.splitlines() if "Wrote" not in line]
    assert max(map(len, lines)) <= 80
    observations = fairlot("simulate", folder, *arguments, "--json").json["observations"]
    assert len(pl.read_csv(table)) == len(observations)
    assert list(observations[0]) == pl.read_csv(table).columns
    assert observations[0]["seed"] == 0


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (("--study", "budgets", "--lie", "copy"), "--lie has no meaning for the study budgets"),
        (("--study", "budgets", "--column", "name"), "agents.csv, row 2, column name"),
        (("--study", "budgets", "--column", "age"), "no column 'age'"),
        (("--study", "preferences", "--spread", "0.1,x"), "--spread: found 'x'"),
        (("--replicas", "0"), "replicas: found '0', expected at least 1"),
        (("--replicas", "1.5"), "--replicas: found '1.5'"),
        (("--mechanism", "auction"), "--mechanism: found 'auction'"),
        (("--agent", "zed"), "unknown agent: found 'zed'"),
        (("--truth", "."), "--truth has no meaning for the study misreports"),
        (("--out", "table.xlsx"), "table: found 'table.xlsx'"),
        (("--menus", "menus.csv", "--share", "1"), "--share has no meaning for menus of tasks"),
    ],
)
def test_a_fault_is_a_line(
    folder: Path, fairlot: Callable[..., Any], arguments: tuple[str, ...], fault: str
) -> None:
    run = fairlot("simulate", folder, *arguments)
    assert run.code == 2
    assert fault in run.err
    assert all("Traceback" not in line for line in run.err.splitlines())


def test_tasks_need_menus(tmp_path: Path, fairlot: Callable[..., Any]) -> None:
    fairlot("new", tmp_path / "tasks", "--kind", "reallocation")
    run = fairlot("simulate", tmp_path / "tasks")
    assert run.code == 2
    assert run.err.splitlines()[-1].startswith("--menus: found 'none'")
