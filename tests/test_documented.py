"""Everything a user can name is documented: public names, commands, options, settings, files of a result."""

from __future__ import annotations

import re
import runpy
from pathlib import Path
from types import ModuleType

import pytest

import fairlot
import fairlot.plot
import fairlot.testing
from fairlot.cli import app

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path.read_text(encoding="utf-8") for path in DOCS.rglob("*.md")}


def test_the_command_reference_is_what_the_command_line_makes() -> None:
    made = runpy.run_path(str(DOCS / "command_reference.py"))["reference"]()
    assert PAGES["command-reference.md"] == made, "run: python docs/command_reference.py"


def test_every_verb_is_on_the_page_of_commands() -> None:
    verbs = {command.name or command.callback.__name__ for command in app.registered_commands}  # type: ignore[union-attr]
    told = set(re.findall(r"^\| `fairlot (\w+)", PAGES["commands.md"], flags=re.MULTILINE))
    assert told == verbs


def test_every_option_that_a_page_names_exists() -> None:
    known = set(re.findall(r"`(--[a-z-]+)`", PAGES["command-reference.md"])) | {"--help", "--version"}
    for name, text in PAGES.items():
        for line in re.findall(r"fairlot [a-z]+ [^`\n]*", text):
            unknown = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", line)) - known
            assert not unknown, f"{name}: {line}"


PUBLIC = [fairlot, fairlot.plot, fairlot.testing]


@pytest.mark.parametrize("module", PUBLIC, ids=lambda module: module.__name__)
def test_every_public_name_is_documented(module: ModuleType) -> None:
    pattern = r"^\.\. auto(?:function|class|data|exception):: (\S+)"
    entries = {entry for text in PAGES.values() for entry in re.findall(pattern, text, re.MULTILINE)}
    assert not set(module.__all__) - {entry.rpartition(".")[2] for entry in entries}
    for name in module.__all__:
        assert (getattr(module, name).__doc__ or "").strip(), name


@pytest.mark.parametrize("page", sorted(PAGES))
def test_links_between_pages_lead_somewhere(page: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", PAGES[page]):
        if "://" in target or target.startswith("gallery/"):  # made when the pages are
            continue
        place = (DOCS / page).parent / target
        assert place.exists() or place.with_name(f"{place.name}.md").exists(), f"{page}: {target}"
