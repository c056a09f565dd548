"""``demo``, ``solve``, ``explain`` and ``verify``, end to end."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairlot.io.problem import problem_files
from fairlot.io.results import MANIFEST
from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket

Fairlot = Callable[..., Any]


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, solved once."""
    from typer.testing import CliRunner

    from fairlot.cli import app

    home = tmp_path_factory.mktemp("solved")
    for arguments in (
        ["new", str(home / "problem")],
        ["solve", str(home / "problem"), "--out", str(home / "result")],
    ):
        assert CliRunner().invoke(app, arguments).exit_code == 0
    return home


@pytest.fixture
def result(solved: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(solved / "result", tmp_path / "result"))


def test_solve_says_what_came_out(solved: Path, tmp_path: Path, fairlot: Fairlot) -> None:
    done = fairlot("solve", solved / "problem", "--out", tmp_path / "r")
    assert done.code == 0
    assert done.err == ""
    lines = done.out.splitlines()
    assert lines[0].startswith("Electives: 4 agents, 6 goods; ")
    assert lines[1].startswith("Certified: all 10 conditions of a strong equilibrium hold; largest residual ")
    assert lines[-1] == f"Wrote {tmp_path / 'r'}; next: fairlot verify {tmp_path / 'r'}"


def test_same_input_same_bytes(solved: Path, tmp_path: Path, fairlot: Fairlot) -> None:
    assert fairlot("solve", solved / "problem", "--out", tmp_path / "r", "--quiet").out == ""
    for path in (solved / "result").rglob("*.*"):
        if path.name not in (MANIFEST, "summary.json"):  # time and memory differ
            assert path.read_bytes() == (tmp_path / "r" / path.relative_to(solved / "result")).read_bytes()


def test_solve_as_json(solved: Path, tmp_path: Path, fairlot: Fairlot) -> None:
    report = fairlot("solve", solved / "problem", "--out", tmp_path / "r", "--json").json
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert report["result"] == str(tmp_path / "r")
    assert report["status"] == summary["status"] == "certified"
    assert report.keys() == {"result", *summary.keys()}


def test_an_existing_result_is_refused_before_the_work_and_replaced_on_demand(
    solved: Path, result: Path, fairlot: Fairlot
) -> None:
    done = fairlot("solve", solved / "problem", "--out", result)
    assert done.code == 2
    assert done.err.splitlines() == [
        f"{result}: exists already; choose another name, or replace it with --force (force=True)"
    ]
    assert fairlot("solve", solved / "problem", "--out", result, "--force").code == 0
    done = fairlot("solve", solved / "problem", "--out", solved, "--force")
    assert done.code == 2
    assert "is no result folder" in done.err


def test_no_assignment_is_a_result_with_exit_1(solved: Path, tmp_path: Path, fairlot: Fairlot) -> None:
    problem = Path(shutil.copytree(solved / "problem", tmp_path / "problem"))
    with (problem / "problem.toml").open("a") as file:
        file.write('[[quota]]\nname = "all take heat"\ngoods = ["HEAT"]\nmin = 1\n')
    done = fairlot("solve", problem, "--out", tmp_path / "r")
    assert done.code == 1
    assert "NOT certified (infeasible)" in done.out
    assert "No assignment exists: " in done.out
    assert "quota 'all take heat'" in done.out
    summary = json.loads((tmp_path / "r" / "summary.json").read_text())
    assert summary["status"] == "infeasible"
    assert not (tmp_path / "r" / "prices.csv").exists()
    assert fairlot("verify", tmp_path / "r").code == 0
    done = fairlot("explain", tmp_path / "r", "--agent", "s1")
    assert done.code == 2
    assert done.err.startswith("prices.csv: no prices in this result")


def test_what_is_not_certified_exits_1_and_says_what_fails(
    solved: Path, tmp_path: Path, fairlot: Fairlot, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from fairlot.certificate import Status
    from fairlot.pseudomarket import solve as module
    from fairlot.verify.equilibrium import verify_equilibrium

    solve_equilibrium = module.solve_equilibrium

    def dearer(market: Any, **options: Any) -> Any:
        found = solve_equilibrium(market, **options)
        prices, rows = 2 * found.prices, 2 * found.row_prices
        certificate = verify_equilibrium(market, prices, found.shares, row_prices=rows)
        return replace(
            found, prices=prices, row_prices=rows, certificate=certificate, status=Status.UNCERTIFIED
        )

    monkeypatch.setattr(module, "solve_equilibrium", dearer)
    done = fairlot("solve", solved / "problem", "--out", tmp_path / "r")
    assert done.code == 1
    assert "NOT certified (uncertified)" in done.out
    assert "over-spending: " in done.out
    assert fairlot("solve", solved / "problem", "--out", tmp_path / "s", "--json").code == 1
    done = fairlot("verify", tmp_path / "r")
    assert done.code == 1
    assert "FAIL  equilibrium: over-spending" in done.out
    assert "ok    summary" in done.out


def test_crossing_quotas_are_solved_term_by_term(solved: Path, tmp_path: Path, fairlot: Fairlot) -> None:
    problem = Path(shutil.copytree(solved / "problem", tmp_path / "problem"))
    with (problem / "problem.toml").open("a") as file:
        file.write('[[quota]]\nname = "monday"\ngoods = ["LOGIC-1", "OPTICS"]\nmax = 1\n')
    done = fairlot("solve", problem, "--out", tmp_path / "r", "--json")
    assert done.code == 0
    assert done.json["outcome"] == "exact"
    assert done.json["statement"].endswith("it is not a theorem for all timetables.")
    assert fairlot("solve", problem, "--out", tmp_path / "s", "--method", "path").code == 2


def test_extra_seats_are_said_and_published(tmp_path: Path, fairlot: Fairlot) -> None:
    # Two classes each of six that exclude each other in a circle, and a seat too few for a lottery.
    values = [
        [3, 4, 5, 4, 2, 2],
        [5, 6, 1, 1, 4, 3],
        [7, 4, 3, 4, 5, 5],
        [2, 6, 6, 7, 6, 2],
        [3, 5, 5, 5, 7, 3],
    ]
    pairs = ["g0 g1", "g2 g3", "g4 g5", "g1 g5", "g3 g4", "g0 g2"]
    quotas = [Quota("load", max=2), *(Quota(pair, pair.split(), max=1) for pair in pairs)]
    goods = [f"g{j}" for j in range(6)]
    market = PseudoMarket.from_arrays(values, [2, 1, 1, 2, 2, 1], goods=goods, quotas=quotas)
    (tmp_path / "problem").mkdir()
    for name, content in problem_files(market).items():
        (tmp_path / "problem" / name).write_bytes(content)
    done = fairlot("solve", tmp_path / "problem", "--out", tmp_path / "r", "--json")
    assert (done.code, done.json["outcome"], done.json["extra_seats"]) == (1, "impossible", {})
    done = fairlot("solve", tmp_path / "problem", "--out", tmp_path / "s", "--extra-seats", 1)
    assert done.code == 0
    assert "Added, as allowed: 1 seat in 'g1'" in done.out
    # What was solved is the problem with that seat: the folder says so and verifies.
    assert "g1,2" in (tmp_path / "s" / "input" / "goods.csv").read_text()
    assert fairlot("verify", tmp_path / "s").code == 0


@pytest.mark.parametrize("option", ["--method=lemke", "--tol=x", "--tol=-1", "--time-limit=-1", "--seed=-1"])
def test_options_out_of_range(solved: Path, tmp_path: Path, fairlot: Fairlot, option: str) -> None:
    assert fairlot("solve", solved / "problem", "--out", tmp_path / "r", option).code == 2


def test_verify_a_true_result(result: Path, fairlot: Fairlot) -> None:
    done = fairlot("verify", result)
    assert done.code == 0
    assert done.out.splitlines()[-1] == "All of these checks pass."
    report = fairlot("verify", result, "--json").json
    assert report["passed"] is True
    assert "equilibrium: envy" in {check["name"] for check in report["checks"]}


def test_verify_a_damaged_result(result: Path, fairlot: Fairlot) -> None:
    with (result / "shares.csv").open("a") as file:
        file.write("s1,HEAT,0.5\n")
    done = fairlot("verify", result)
    assert done.code == 1
    assert "FAIL  manifest" in done.out
    assert "shares.csv has changed since it was written" in done.out
    assert done.out.splitlines()[-1] == "This result does NOT check."
    assert fairlot("verify", result, "--json").code == 1


def test_verify_nothing(tmp_path: Path, fairlot: Fairlot) -> None:
    done = fairlot("verify", tmp_path / "nowhere")
    assert done.code == 2
    assert done.err == f"{tmp_path / 'nowhere'}: no result folder (it has no manifest.json)\n"


def test_explain(result: Path, fairlot: Fairlot) -> None:
    done = fairlot("explain", result, "--agent", "s1")
    assert done.code == 0
    assert done.out.startswith("s1: you had 1 unit of money")
    rows = [line.split()[0] for line in done.out.splitlines()[-5:]]
    assert rows[0] == "good"
    assert set(rows[1:]) == {"LOGIC-1", "LOGIC-2", "ETHICS", "OPTICS"}
    report = fairlot("explain", result, "--agent", "s1", "--json").json
    assert report["agent"] == "s1"
    assert report["drawn"] is None
    done = fairlot("explain", result, "--agent", "s9")
    assert done.code == 2
    assert done.err == "unknown agent: found 's9', expected an id of agents.csv\n"


def test_from_solve_to_draw(result: Path, fairlot: Fairlot) -> None:
    commitment = fairlot("commit", result, "--json").json["commitment"]
    assert fairlot("draw", result, "--seed", "5a" * 32).code == 0
    done = fairlot("verify", result)
    assert done.code == 0
    assert "draw: assignment" in done.out
    salts = result.with_name("result-salts.json")
    assert fairlot("verify", result, "--commitment", commitment, "--salts", salts).code == 0
    done = fairlot("verify", result, "--commitment", "0" * 64)
    assert done.code == 1
    assert "another commitment than the published one" in done.out
    drawn = fairlot("explain", result, "--agent", "s3", "--json").json["drawn"]
    rows = [row.split(",") for row in (result / "assignment.csv").read_text().splitlines()]
    assert drawn == {good: int(copies) for agent, good, copies in rows[1:] if agent == "s3"}


def test_demo(tmp_path: Path, fairlot: Fairlot) -> None:
    done = fairlot("demo", "--out", tmp_path / "r")
    assert done.code == 0
    for heading in ("SOLVE", "Certified", "COMMIT", "DRAW", "VERIFY", "WHAT TO LOOK AT"):
        assert heading in done.out
    assert (tmp_path / "r" / "assignment.csv").exists()
    assert fairlot("verify", tmp_path / "r", "--quiet").code == 0
    again = fairlot("demo", "--out", tmp_path / "r", "--force", "--json")
    assert again.json["status"] == "certified"
    done = fairlot("demo", "auction", "--out", tmp_path / "s")
    assert done.code == 2
    assert "'auction' is not one of" in done.err
