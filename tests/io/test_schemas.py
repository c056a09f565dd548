"""The JSON schemas fit what is really written and read, and refuse planted faults."""

from __future__ import annotations

import copy
import csv
import io
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_problem import folder
from test_fuzzed_input import TEMPLATE, VALUES
from typer.testing import CliRunner

import fairlot.io
from fairlot.cli import app
from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.io.demo import demo_pseudomarket
from fairlot.io.formats.mapping import ColumnMapping, write_mapping
from fairlot.io.hospital import demo_reallocation, reallocation_template
from fairlot.io.keys import write_toml
from fairlot.io.problem import parse_problem_files
from fairlot.io.results import read_result
from fairlot.io.tables import unescape
from fairlot.lottery.protocol.ceremony import Ceremony

FOLDER = Path(fairlot.io.__file__).parent / "schemas"
SCHEMAS = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in FOLDER.glob("*.json")}
DOCUMENTS = ("summary", "certificate", "lottery", "manifest", "commitment", "transcript", "ceremony")


def validator(name: str) -> jsonschema.Draft202012Validator:
    """Return the schema of a document, or of a row of a table as ``tables/NAME``."""
    document, _, table = name.partition("/")
    if not table:
        return jsonschema.Draft202012Validator(SCHEMAS[document])
    return jsonschema.Draft202012Validator({**SCHEMAS[document], "$ref": f"#/$defs/{table}"})


def table_rows(data: bytes) -> list[dict[str, str]]:
    """Return the rows of a CSV file by header, the apostrophe of escaped cells taken off."""
    records = csv.DictReader(io.StringIO(data.decode("utf-8-sig")))
    return [{key: unescape(cell) for key, cell in record.items()} for record in records]


def problem_rows(files: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
    """Give every document and row of a problem folder with the name of its schema."""
    problem = tomllib.loads(files["problem.toml"].decode())
    yield "problem", problem
    for section, value in problem.items():
        if not isinstance(value, dict) or "file" not in value:
            continue
        rows = table_rows(files[value["file"]])
        layout = value.get("layout", "long")
        name = {
            "values": f"values-{layout}",
            "status_quo": "status_quo-long" if layout == "long" else "pairs-wide",
            "endowment": "status_quo-long" if layout == "long" else "pairs-wide",
            "cost": "cost-long" if layout == "long" else "pairs-wide",
            "preferences": "samples" if rows and "sample" in rows[0] else "preferences",
        }.get(section, section)
        for row in rows:
            yield f"tables/{name}", row


def result_rows(files: Mapping[str, bytes]) -> Iterator[tuple[str, Any]]:
    """Give every document and row of a result folder with the name of its schema."""
    inputs = {name.removeprefix("input/"): data for name, data in files.items() if name.startswith("input/")}
    yield from problem_rows(inputs)
    tasks = "task-" if "tasks.csv" in inputs else ""
    for path, data in files.items():
        stem, ending = Path(path).stem, Path(path).suffix
        if path.startswith("input/"):
            continue
        if ending == ".json":
            yield stem, json.loads(data)
        elif ending == ".csv":
            prefix = tasks if stem in ("prices", "shares", "assignment") else ""
            for row in table_rows(data):
                yield f"tables/{prefix}{stem}", row


def check(pairs: Iterator[tuple[str, Any]]) -> set[str]:
    """Validate; return the names of the schemas that were used."""
    validators: dict[str, jsonschema.Draft202012Validator] = {}
    for name, instance in pairs:
        validators.setdefault(name, validator(name)).validate(instance)
    return set(validators)


def run(*arguments: object) -> Any:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


CROSSING = """
[[quota]]
name = "load"
max = "load"
[[conflict]]
name = "times"
pairs = [["a1", "b"], ["a2", "c"]]
"""
INFEASIBLE = """
[[quota]]
name = "load"
min = 3
"""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Write a result folder of each kind with the command line itself."""
    root = tmp_path_factory.mktemp("schemas")
    seed = "ab" * 32
    run("new", root / "market")
    folder(root / "timetable", CROSSING)
    folder(root / "infeasible", INFEASIBLE)
    run("new", root / "desk", "--kind", "reallocation")
    names = ("market", "timetable", "infeasible")
    for name in names:
        run("solve", root / name, "--out", root / f"{name}-result")
    run("design", root / "desk", "--method", "bilateral", "--draws", 5, "--out", root / "design-result")
    menus, picks = (root / "design-result" / f"{name}.csv" for name in ("menus", "picks"))
    run("reallocate", root / "desk", "--menus", menus, "--picks", picks, "--out", root / "outcome-result")
    for name in ("market", "timetable", "outcome"):
        run("commit", root / f"{name}-result", "--salts", root / f"{name}-salts.json")
        run("draw", root / f"{name}-result", "--seed", seed)
    run("commit", root / "market-result", "--again", "--salts", root / "again.json")
    run("draw", root / "market-result", "--reason", "nobody was there", "--abort")
    return {name: root / f"{name}-result" for name in (*names, "design", "outcome")}


def test_the_schemas_are_schemas() -> None:
    for schema in SCHEMAS.values():
        jsonschema.Draft202012Validator.check_schema(schema)


def test_every_written_result_fits(results: dict[str, Path]) -> None:
    used = {name for path in results.values() for name in check(result_rows(read_result(path)))}
    ceremony = Ceremony.begin("ab" * 32, {"ann": "cd" * 32})
    used |= check(iter([("ceremony", json.loads(ceremony.to_json()))]))
    rolled = ceremony.roll("1" * 20)
    used |= check(iter([("ceremony", json.loads(rolled.to_json()))]))
    assert set(DOCUMENTS) <= used
    expected = {"prices", "task-prices", "shares", "task-shares", "assignment", "task-assignment", "menus"}
    assert {f"tables/{name}" for name in (*expected, "picks", "mechanism", "limits")} <= used


def test_every_written_problem_fits() -> None:
    for files in (TEMPLATE, demo_pseudomarket(), demo_reallocation(), reallocation_template()):
        assert "problem" in check(problem_rows(files))
    canonical = parse_problem_files(TEMPLATE)
    check(problem_rows(canonical.files))


def test_a_mapping_fits() -> None:
    mapping = ColumnMapping("wide", 3, "id", ("Chess",), None, "value", "comma", None, 2, "money", "load")
    validator("mapping").validate(tomllib.loads(write_mapping(mapping).decode()))


def test_faults_as_json_fit(tmp_path: Path) -> None:
    (tmp_path / "problem.toml").write_text('format = 2\nkind = "x"\n')
    for target in (tmp_path, tmp_path / "nowhere"):
        validator("errors").validate(json.loads(run("check", target, "--json").stdout))


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_what_the_reader_takes_the_schema_takes(data: st.DataObject) -> None:
    """The schema is no stricter than the reader: tables apart, it knows every key and every value."""
    document = tomllib.loads(TEMPLATE["problem.toml"].decode())
    section = data.draw(st.sampled_from(sorted(document)))
    table = document[section]
    table = (
        table
        if isinstance(table, dict)
        else data.draw(st.sampled_from(table))
        if isinstance(table, list)
        else None
    )
    if table is None:
        document[section] = data.draw(VALUES)
    else:
        keys = ["file", "name", "goods", "agents", "by", "min", "max", "marginals", "budget", "missing"]
        table[data.draw(st.sampled_from([*keys, "layout"]))] = data.draw(VALUES)
    try:
        parse_problem_files({**TEMPLATE, "problem.toml": write_toml(document)})
    except (InvalidProblemError, NotSupportedError):
        return
    validator("problem").validate(document)


GONE = object()
FAULTS: dict[str, list[tuple[str, Any]]] = {
    "summary": [("status", "fine"), ("kind", GONE), ("utility_gap", -1), ("n_goods", "3"), ("envy", GONE)],
    "certificate": [("checks", []), ("checks.0.tolerance", -1), ("checks.0.passed", GONE), ("passed", 1)],
    "lottery": [
        ("denominator", 0),
        ("denominator", 0.5),
        ("cells.0.2", 0),
        ("cells.0", [0, 0]),
        ("agent_sets.0.0", -2),
        ("good_sets.0.2", -1),
        ("goods", GONE),
        ("draw", "terms"),
        ("colour", "red"),
    ],
    "manifest": [("files.summary\\.json", "abc"), ("format", 2)],
    "commitment": [("commitment", "AB" * 32), ("frozen.source", {"kind": "drand"}), ("frozen.salt", "x")],
    "transcript": [
        ("status", "aborted"),
        ("seed", None),
        ("number", 0),
        ("origin.kind", "mine"),
        ("reason", GONE),
    ],
}


@pytest.mark.parametrize(
    ("name", "path", "value"), [(n, p, v) for n, entries in FAULTS.items() for p, v in entries]
)
def test_planted_faults_in_results_are_refused(
    results: dict[str, Path], name: str, path: str, value: Any
) -> None:
    source = results["market"] / (f"draws/001/{name}.json" if name == "transcript" else f"{name}.json")
    document = json.loads(source.read_bytes())
    validator(name).validate(document)
    assert not validator(name).is_valid(planted(document, path, value))


def planted(document: Any, path: str, value: Any) -> Any:
    """Return a copy with another entry, or none, at a path of keys and positions."""
    changed = copy.deepcopy(document)
    *way, last = (part.replace("\\", "") for part in re.split(r"(?<!\\)\.", path))
    place = changed
    for part in way:
        place = place[int(part) if isinstance(place, list) else part]
    if value is GONE:
        del place[last]
    else:
        place[int(last) if isinstance(place, list) else last] = value
    return changed


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("kind", "auction"),
        ("format", GONE),
        ("goods.file", GONE),
        ("values.layout", "tall"),
        ("values.missing", "zero"),
        ("values.missing", -1),
        ("agents.budget", 0),
        ("quota.0.max", -1),
        ("quota.0.max", 1.5),
        ("quota.0.maximum", 2),
        ("quota.0.goods", {}),
        ("taper.0.marginals", []),
        ("limit.0.min", 1),
        ("limit.0.max", "many"),
        ("conflict", [{"name": "x"}]),
        ("conflict", [{"name": "x", "pairs": [["a"]]}]),
    ],
)
def test_planted_faults_in_problems_are_refused_by_schema_and_reader(path: str, value: Any) -> None:
    document = tomllib.loads(TEMPLATE["problem.toml"].decode())
    changed = planted(document, path, value)
    assert not validator("problem").is_valid(changed)
    with pytest.raises(InvalidProblemError):
        parse_problem_files({**TEMPLATE, "problem.toml": write_toml(changed)})


@pytest.mark.parametrize(
    ("table", "row"),
    [
        ("goods", {"good": "a", "capacity": "-1"}),
        ("goods", {"good": " ", "capacity": "1"}),
        ("goods", {"good": "a"}),
        ("agents", {"agent": "a", "budget": "much"}),
        ("values-long", {"agent": "a", "good": "b", "value": "-2"}),
        ("values-wide", {"agent": "a", "b": "x"}),
        ("assignment", {"agent": "a", "good": "b", "copies": "0"}),
        ("shares", {"agent": "a", "good": "b", "share": "-0.5"}),
        ("preferences", {"agent": "*", "task": "t", "low": "1", "high": "2", "family": "cauchy"}),
        ("tasks", {"task": "t", "burden": "maybe"}),
        ("menus", {"agent": "a", "ray": "r", "task": "t"}),
    ],
)
def test_planted_faults_in_rows_are_refused(table: str, row: dict[str, str]) -> None:
    assert not validator(f"tables/{table}").is_valid(row)
