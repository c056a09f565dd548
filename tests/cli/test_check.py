"""``new`` and ``check``."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
Fairlot = Callable[..., Any]


@pytest.fixture
def problem(tmp_path: Path, fairlot: Fairlot) -> Path:
    assert fairlot("new", tmp_path / "problem").code == 0
    return tmp_path / "problem"


def test_new_writes_a_problem_that_checks(problem: Path, fairlot: Fairlot) -> None:
    done = fairlot("check", problem)
    assert done.code == 0
    assert done.out.splitlines()[0] == (
        "Electives: 4 agents, 6 goods, 14 seats, 15 acceptable pairs, 7 quota sets, 2 taper sets, 1 limit"
    )
    assert "existence: nobody is forced to take anything" in done.out


def test_new_does_not_write_over_something(problem: Path, fairlot: Fairlot) -> None:
    done = fairlot("new", problem)
    assert done.code == 2
    assert done.err == f"{problem}: exists already: expected a new or empty folder\n"


def test_new_of_an_unknown_kind(tmp_path: Path, fairlot: Fairlot) -> None:
    done = fairlot("new", tmp_path / "p", "--kind", "auction")
    assert done.code == 2
    assert done.err.startswith("there is no template of kind 'auction' in this version")
    assert not (tmp_path / "p").exists()


def test_check_as_json(problem: Path, fairlot: Fairlot) -> None:
    report = fairlot("check", problem, "--json").json
    assert report["passed"] is True
    assert report["sizes"]["agents"] == 4
    assert {finding["name"] for finding in report["findings"]} >= {"laminar quotas", "feasible assignment"}
    assert all(finding.keys() == {"name", "severity", "passed", "text"} for finding in report["findings"])


def test_check_names_crossing_sets(problem: Path, fairlot: Fairlot) -> None:
    with (problem / "problem.toml").open("a") as file:
        file.write('[[quota]]\nname = "monday"\ngoods = ["LOGIC-1", "OPTICS"]\nmax = 1\n')
    done = fairlot("check", problem)
    assert done.code == 0
    assert "quota 'monday' and taper 'a third course of one department is worth 1 less'" in done.out
    assert "'LOGIC-1' is in both" in done.out
    assert "no theorem promises it here" in done.out


def test_check_fails_where_no_assignment_exists(problem: Path, fairlot: Fairlot) -> None:
    with (problem / "problem.toml").open("a") as file:
        file.write('[[quota]]\nname = "all take logic"\ngoods = { course = "LOGIC" }\nmin = 1\n')
    done = fairlot("check", problem)
    assert done.code == 1
    assert "FAULT    feasible assignment: no assignment exists" in done.out
    assert "'s4'" in done.out


def test_check_warns_and_exits_0(problem: Path, fairlot: Fairlot) -> None:
    agents = (problem / "agents.csv").read_text().replace("year,load\n", "year,load,budget\n")
    rows = [row if k == 0 else f"{row},{k}" for k, row in enumerate(agents.splitlines())]
    (problem / "agents.csv").write_text("\n".join(rows) + "\n")
    with (problem / "problem.toml").open("a") as file:
        file.write('[[quota]]\nname = "something"\nmin = 1\n')
    done = fairlot("check", problem)
    assert done.code == 0
    assert "warning  equal budgets" in done.out


@pytest.mark.parametrize(
    ("name", "code"), [("agh-2003", 0), ("umass-courses", 0), ("umass-timetable", 0), ("loan-desk", None)]
)
def test_public_data(name: str, code: int | None, fairlot: Fairlot) -> None:
    if not DATA.is_dir():
        pytest.skip(f"no public data at {DATA}")
    done = fairlot("check", DATA / name)
    assert done.code in (0, 2) if code is None else done.code == code
    assert "Traceback" not in done.err
