"""The three tutorials, followed to the letter: files saved, commands typed, code run, in order."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

DOCS = Path(__file__).resolve().parents[1] / "docs"
SEED = "5eed" * 16
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
pytestmark = pytest.mark.slow


def blocks(page: str) -> list[tuple[str, str, str]]:
    """List the code blocks: language, what is in them, and the paragraph before."""
    text = (DOCS / page).read_text(encoding="utf-8")
    found = []
    for match in FENCE.finditer(text):
        before = text[: match.start()].rstrip().rpartition("\n\n")[2]
        found.append((match[1], match[2], before))
    return found


def follow(page: str, folder: Path) -> list[str]:
    """Do what the page says; return the commands that were typed."""
    typed: list[str] = []
    python: list[str] = []
    for language, text, before in blocks(page):
        if language == "text" and (file := re.search(r"`([\w.]+\.csv)`:$", before)):
            (folder / file[1]).write_text(text, encoding="utf-8")
        elif language == "toml":
            settings = folder / "electives" / "problem.toml"
            settings.write_text(f"{settings.read_text(encoding='utf-8')}\n{text}", encoding="utf-8")
            tomllib.loads(settings.read_text(encoding="utf-8"))
        elif language == "python":
            python.append(text)
        elif language == "console":
            for line in text.splitlines():
                command = line.removeprefix("$ ").replace("64HEXDIGITS", SEED)
                run(folder, "-m", *shlex.split(command))
                typed.append(command)
    if python:
        run(folder, "-c", "\n".join(python))
    return typed


def run(folder: Path, *arguments: str) -> None:
    """Run Python in a folder; all must go well."""
    command = [sys.executable, *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, f"{arguments}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"


def test_the_registrar(tmp_path: Path) -> None:
    typed = follow("registrar.md", tmp_path)
    verbs = [command.split()[1] for command in typed]
    assert verbs[:6] == ["import", "check", "solve", "commit", "draw", "explain"]
    for name in ("report.html", "lists.xlsx", "enrollments.csv", "electives/mapping.toml"):
        assert (tmp_path / name).stat().st_size > 0


def test_the_operations_lead(tmp_path: Path) -> None:
    typed = follow("operations-lead.md", tmp_path)
    assert {"design", "reallocate", "simulate", "report"} <= {command.split()[1] for command in typed}
    for name in ("october.html", "october.xlsx", "menus/menus.md", "october/assignment.csv"):
        assert (tmp_path / name).stat().st_size > 0


def test_the_researcher(tmp_path: Path) -> None:
    follow("researcher.md", tmp_path)
    assert "Clubs" in (tmp_path / "clubs.html").read_text(encoding="utf-8")
