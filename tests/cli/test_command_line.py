"""What every verb promises: its place in the help, one shape of errors, exit codes, JSON and nothing else."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fairlot.cli import app

ORDER = """new import demo check solve value design reallocate commit draw ceremony explain verify compare
simulate report export serve""".split()  # noqa: SIM905


def shell(*arguments: object, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fairlot", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, **options)


def test_help_shows_the_verbs_in_their_order() -> None:
    help_text = shell("--help").stdout
    commands = re.findall(r"^  ([a-z]+) ", help_text.split("Commands:")[1], flags=re.MULTILINE)
    assert commands == [verb for verb in ORDER if verb in commands]
    assert {"new", "check", "explain", "verify"} <= set(commands)


def test_every_verb_has_help_and_common_options(fairlot: Callable[..., Any]) -> None:
    for command in app.registered_commands:
        name = command.name or command.callback.__name__  # type: ignore[union-attr]
        text = fairlot(name, "--help").out
        assert "--json" in text, name
        assert "--quiet" in text, name


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom fairlot.cli import app\n"
        "CliRunner().invoke(app, ['--help'])\n"
        "heavy = ('numpy', 'scipy', 'numba', 'polars', 'highspy', 'rich.console')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_version() -> None:
    assert re.fullmatch(r"fairlot \d+\.\d+\.\d+\n", shell("--version").stdout)


@pytest.mark.parametrize(
    "arguments", [("solv",), ("check",), ("check", "--colour"), ("new", "x", "--kind"), ("verify",)]
)
def test_bad_usage_exits_2_without_a_traceback(arguments: tuple[str, ...]) -> None:
    done = shell(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_bad_input_exits_2_with_one_line_per_fault(tmp_path: Path) -> None:
    assert shell("new", tmp_path / "p").returncode == 0
    values = tmp_path / "p" / "values.csv"
    values.write_text(values.read_text() + "s9,HEAT,1\ns1,HEAT,-2\n")
    done = shell("check", tmp_path / "p")
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.splitlines() == [
        "values.csv, row 17, column agent: unknown agent: found 's9', expected an agent of agents.csv",
        "values.csv, row 18, column value: negative: found '-2', "
        "expected a number of at least 0 (0, or from 1e-15 to 1e15)",
    ]


def test_bad_input_as_json(tmp_path: Path, fairlot: Callable[..., Any]) -> None:
    done = fairlot("check", tmp_path / "nowhere", "--json")
    assert done.code == 2
    assert done.json == {
        "errors": [
            {
                "message": "no such folder",
                "file": str(tmp_path / "nowhere"),
                "row": None,
                "column": None,
                "found": None,
                "expected": "a problem folder (fairlot new makes one)",
            }
        ]
    }


def test_trouble_with_the_system_exits_2_without_a_traceback(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = shell("new", tmp_path / "file" / "p")
    assert done.returncode == 2
    assert done.stderr.splitlines() == [f"{tmp_path}/file: File exists"]
    done = shell("new", tmp_path / "file" / "p", "--json")
    assert json.loads(done.stdout) == {"errors": [{"message": f"{tmp_path}/file: File exists"}]}


def test_a_closed_pipe_is_no_error(tmp_path: Path) -> None:
    assert shell("new", tmp_path / "p").returncode == 0
    command = f"{sys.executable} -m fairlot check {tmp_path / 'p'} | true"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False, timeout=60)
    assert done.stderr == ""


def test_quiet_says_nothing(tmp_path: Path, fairlot: Callable[..., Any]) -> None:
    assert fairlot("new", tmp_path / "p", "--quiet").out == ""
    assert fairlot("check", tmp_path / "p", "--quiet").out == ""
