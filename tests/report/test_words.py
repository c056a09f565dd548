"""What people are told: no number without its unit, the same text everywhere, a sentence for every check."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.io.equilibrium import read_equilibrium
from fairlot.io.problem import problem_files
from fairlot.io.reallocation_results import read_offer
from fairlot.io.results import read_result
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.explanation import explain_agent, number_words
from fairlot.report.market import market_facts, market_lookup
from fairlot.report.tasks import is_outcome, task_facts, task_lookup
from fairlot.report.words import WORDS
from fairlot.testing import timetable_market

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"
NUMBER = re.compile(r"(?<![\w.,#-])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?")
UNIT = re.compile(
    r"%|\s*(units? of money|points?\b|copies|cost units|instances|agents|people|goods|of the work"
    r"|(fewer |more )?\*[^*]+\*|of \d+ (agents|people)|of [\d,]+ people|in the draw)"
)


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done


def bare_numbers(text: str, names: list[str]) -> list[str]:
    """Numbers in a text that no unit follows; names are not text."""
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<!\w){re.escape(name)}(?!\w)", "NAME", text)
    text = re.sub(r"\s+", " ", text)
    found = []
    for match in NUMBER.finditer(text):
        if not UNIT.match(text[match.end() :].lstrip()):
            found.append(text[max(0, match.start() - 30) : match.end() + 30])
    return found


def texts(files: Mapping[str, bytes]) -> tuple[list[str], list[str]]:
    """Everything the report says in sentences, and the names in it."""
    summary = json.loads(files["summary.json"])
    if "menus.csv" in files:
        problem, _ = read_offer(files)
        names = [*problem.agents]
        lookup = task_lookup(files)
        names += lookup["agents"]
        said = task_facts(files, summary)
        for page in ("menus.md", "letters.md"):
            if page in files:
                text = files[page].decode()
                assert "instances" in text or "nothing to choose" in text
                lines = [line for line in text.splitlines() if not line.startswith(("#", "|"))]
                said += ["\n".join(lines)]
    else:
        market = read_equilibrium(files).market
        names = [*market.agents, *market.goods]
        lookup, said = market_lookup(files), market_facts(files, summary)
    for entry in lookup["agents"].values():
        said += entry["text"]
    headers = [name for name in lookup["header"] if name not in ("good", "task", "why")]
    assert all("(" in name or "copies" in name for name in headers)  # columns of numbers name their unit
    return said, names


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("words")
    market = timetable_market(12, 6, 1, 0.6, slots=3, load=2, meetings=True)
    (folder / "problem").mkdir()
    for name, content in problem_files(market).items():
        (folder / "problem" / name).write_bytes(content)
    steps = [
        ("demo", "pseudomarket", "--out", folder / "pseudomarket"),
        ("demo", "reallocation", "--out", folder / "reallocation"),
        ("solve", folder / "problem", "--out", folder / "timetable"),
        ("new", folder / "tasks", "--kind", "reallocation"),
        ("design", folder / "tasks", "--out", folder / "design", "--draws", "20"),
    ]
    for step in steps:
        assert run(*step, "--quiet").exit_code == 0, step
    return {name: folder / name for name in ("pseudomarket", "reallocation", "timetable", "design")}


@pytest.mark.parametrize("name", ["pseudomarket", "reallocation", "timetable", "design"])
def test_no_number_stands_without_its_unit(results: dict[str, Path], name: str) -> None:
    said, names = texts(dict(read_result(results[name])))
    assert said
    assert [bare for text in said for bare in bare_numbers(text, names)] == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["agh-2003", "ariel", "glasgow-1", "umass-courses", "umass-timetable", "loan-desk"]
)
def test_no_number_stands_without_its_unit_on_real_data(name: str, tmp_path: Path) -> None:
    if not DATA.is_dir():
        pytest.skip("the shared data are not beside the checkout")
    verb = ("design", "--draws", "20", "--time-limit", "20") if name == "loan-desk" else ("solve",)
    run(verb[0], DATA / name, "--out", tmp_path / "result", *verb[1:], "--quiet")
    said, names = texts(dict(read_result(tmp_path / "result")))
    assert [bare for text in said for bare in bare_numbers(text, names)] == []


def test_the_search_for_bare_numbers_finds_them() -> None:
    assert bare_numbers("you had 3 for it", []) != []
    assert bare_numbers("It costs 1,200.5.", []) != []
    assert bare_numbers("ann had 2 points, 3 *cases* and 50% of CS-101", ["ann", "CS-101"]) == []


@pytest.mark.parametrize("name", ["pseudomarket", "reallocation"])
def test_the_command_says_what_the_report_says(results: dict[str, Path], name: str) -> None:
    files = dict(read_result(results[name]))
    entries = (task_lookup if is_outcome(files) and name == "reallocation" else market_lookup)(files)[
        "agents"
    ]
    agent = next(iter(entries))
    said = re.sub(r"\s+", " ", run("explain", results[name], "--agent", agent).stdout)
    for paragraph in entries[agent]["text"]:
        assert re.sub(r"\s+", " ", paragraph) in said


@pytest.mark.parametrize("name", ["pseudomarket", "reallocation", "timetable", "design"])
def test_every_check_has_a_sentence(results: dict[str, Path], name: str) -> None:
    checks = json.loads(run("verify", results[name], "--json").stdout)["checks"]
    assert [check["name"] for check in checks if not WORDS.get(check["name"])] == []


def test_somebody_with_nothing_is_told_why() -> None:
    import numpy as np

    from fairlot.model.shares import RandomAllocation

    market = PseudoMarket.from_arrays([[np.nan, np.nan], [3.0, 1.0]], capacities=[1, 0])
    shares = RandomAllocation(market.agents, market.goods, [[0, 0], [0, 0]])
    nobody = explain_agent(market, np.zeros(2), shares, "agent1").sentences()
    assert "You accept none of the goods" in nobody[1]
    assert len(nobody) == 3
    dear = explain_agent(market, np.array([9.0, 0.0]), shares, "agent2")
    assert dear.sentences()[1].startswith("You bought nothing and get nothing: ")
    assert bare_numbers(" ".join(dear.sentences()), ["agent2"]) == []


def test_numbers_are_written_as_people_do() -> None:
    assert [number_words(x) for x in (0.0, -1e-12, 1.0, 0.123456, 999.94, 25012.3)] == [
        "0",
        "0",
        "1",
        "0.1235",
        "999.9",
        "25,012",
    ]
