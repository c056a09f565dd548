"""Progress on long work: stage, residual and time left on a terminal, silence everywhere else."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from numpy.testing import assert_allclose
from typer.testing import CliRunner

import fairlot.progress
from fairlot.cli import app
from fairlot.progress import Outlook


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def on_terminal(program: str, *arguments: object) -> tuple[str, str]:
    """Run a program with a terminal for its standard error; return that and its standard output."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", program, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "150"},
    )
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        seen += part
    os.close(ours)
    out = process.communicate()[0].decode()
    assert process.returncode == 0
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", seen.decode()), out


SLOWLY = """
import time
from fairlot.progress import RichReporter
with RichReporter() as reporter:
    reporter.stage("joint path")
    for k in range(6):
        reporter.update(residual=10.0**-k)
        time.sleep(0.15)
    reporter.stage("lottery [bold]")
    for k in range(5):
        reporter.update(k / 5)
        time.sleep(0.15)
"""


def test_a_terminal_is_told_stage_residual_and_time_left() -> None:
    seen, out = on_terminal(SLOWLY)
    assert "joint path" in seen
    assert re.search(r"residual 1\.0e-0\d", seen)
    assert re.search(r"about \d+ s left", seen)
    assert "lottery [bold]" in seen
    assert out == ""


def test_solving_on_a_terminal(tmp_path: Path) -> None:
    run("new", tmp_path / "problem", "--quiet")
    program = "from fairlot.cli import main; main()"
    seen, out = on_terminal(program, "solve", tmp_path / "problem", "--out", tmp_path / "result")
    assert "path" in seen or "lottery" in seen
    assert "path" not in out.splitlines()[0].split(";")[0]
    seen, out = on_terminal(
        program, "solve", tmp_path / "problem", "--out", tmp_path / "result", "--force", "--quiet"
    )
    assert seen == out == ""


def test_the_time_left_is_what_the_pace_says() -> None:
    outlook = Outlook()
    outlook.stage(10.0)
    assert outlook.update(None, None, 10.0) == (None, None)
    assert outlook.update(0.0, None, 11.0) == (0.0, None)
    done, left = outlook.update(0.25, None, 12.0)
    assert done == 0.25
    assert_allclose(left, 6.0, rtol=1e-12)


def test_a_residual_falls_by_digits_and_a_fold_is_no_way_back() -> None:
    outlook = Outlook()
    outlook.stage(0.0)
    assert outlook.update(None, 10.0, 0.0) == (0.0, None)
    done, left = outlook.update(None, 1e-5, 3.0)
    assert_allclose([done, left], [0.5, 3.0], rtol=1e-9)
    assert outlook.update(None, 1e-3, 4.0)[0] == done
    for odd in (0.0, float("nan"), float("inf"), -1.0):
        assert outlook.update(None, odd, 4.0) == (None, None)
    assert outlook.update(None, 1e-300, 5.0)[0] == 1.0


def test_stages_that_share_one_work_share_its_pace() -> None:
    """As in a comparison: each mechanism is a stage, the fraction is of all."""
    outlook = Outlook()
    outlook.stage(0.0)
    outlook.update(0.0, None, 0.0)
    outlook.stage(10.0)
    outlook.update(0.25, None, 10.0)
    outlook.stage(20.0)
    done, left = outlook.update(0.5, None, 20.0)
    assert_allclose([done, left], [0.5, 20.0], rtol=1e-12)


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the stages that a verb would show."""
    names: list[str] = []

    class Listening(fairlot.progress.RichReporter):
        def stage(self, name: str) -> None:
            names.append(name)

    monkeypatch.setattr(fairlot.progress, "RichReporter", Listening)
    return names


@pytest.mark.slow
def test_every_long_verb_tells_its_stages(told: list[str], tmp_path: Path) -> None:
    market, tasks = tmp_path / "market", tmp_path / "tasks"
    run("new", market, "--quiet")
    run("new", tasks, "--kind", "reallocation", "--quiet")
    design = tmp_path / "design"
    verbs: list[tuple[object, ...]] = [
        ("solve", market, "--out", tmp_path / "result"),
        ("value", tasks, "--draws", 4),
        ("design", tasks, "--out", design, "--draws", 4),
        (
            *("reallocate", tasks, "--menus", design / "menus.csv"),
            *("--picks", design / "picks.csv", "--out", tmp_path / "outcome"),
        ),
        ("simulate", market, "--study", "preferences", "--draws", 2),
        ("simulate", tasks, "--menus", design, "--draws", 4),
        ("compare", market, "--mechanism", "round-robin", "--draws", 2),
        ("report", tmp_path / "result", "--out", tmp_path / "page.html"),
    ]
    for verb in verbs:
        told.clear()
        done = run(*verb)
        assert done.exit_code == 0, (verb, done.output)
        assert told, verb
        assert done.stderr == ""  # no terminal, no progress
    for verb in verbs[:1]:
        told.clear()
        assert run(*verb, "--force", "--quiet").output == ""
        assert told == []
        run(*verb, "--force", "--json")
        assert told == []
