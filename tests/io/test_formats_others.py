"""fairpyx instances in; Canvas, OneRoster and PrefLib out; the verbs on all of them."""

from __future__ import annotations

import csv
import io
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.errors import InvalidProblemError
from fairlot.io.formats.enrolments import canvas_enrolments, oneroster_enrolments
from fairlot.io.formats.fairpyx import fairpyx_draft, read_fairpyx
from fairlot.io.problem import parse_problem_files, read_problem
from fairlot.io.results import write_result
from fairlot.io.template import template_files
from fairlot.model.market import PseudoMarket

INSTANCE: dict[str, Any] = {
    "valuations": {"ann": {"x": 5, "y": 0}, "bob": {"x": 3.5, "y": 4, "z": 1}},
    "agent_capacities": {"ann": 1, "bob": 2},
    "item_capacities": {"x": 2, "y": 1, "z": 3},
    "agent_conflicts": {"bob": ["z"]},
    "item_conflicts": {"x": ["y"], "y": ["x"]},
    "agent_entitlements": {"ann": 1, "bob": 2},
}


def market(instance: Any) -> PseudoMarket:
    return parse_problem_files(fairpyx_draft(instance).files()).problem


def test_fairpyx_dictionaries() -> None:
    found = market(INSTANCE)
    assert (found.agents, found.goods) == (("ann", "bob"), ("x", "y", "z"))
    assert found.values.toarray().tolist() == [[5, 0, 0], [3.5, 4, 0]]
    assert found.values.nnz == 4  # ann's 0 is acceptable; bob's z is barred, ann's is left out
    assert found.capacities.tolist() == [2, 1, 3]
    assert found.budgets.tolist() == [1, 2]
    assert found.bound_sets[0].upper.tolist() == [1, 2]
    assert found.conflict_pairs.tolist() == [[0, 1]]
    again = parse_problem_files(read_fairpyx(json.dumps(INSTANCE).encode(), "i.json").files()).problem
    assert again.values.toarray().tolist() == found.values.toarray().tolist()


def test_fairpyx_lists_numbers_and_defaults() -> None:
    found = market({"valuations": [[1, 2, 3], [3, 2, 1]], "agent_capacities": 2})
    assert (found.agents, found.goods) == (("0", "1"), ("0", "1", "2"))
    assert found.capacities.tolist() == [1, 1, 1]
    assert found.bound_sets[0].upper.tolist() == [2, 2]
    assert not market({"valuations": {"a": [1]}, "items": ["0"]}).quotas


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"valuations": {"ann": {"x": -1}}}, "column valuations.ann.x: negative"),
        ({"valuations": {"ann": {"q": 1}}}, "column valuations.ann: unknown item"),
        ({"valuations": 7}, "column valuations: not a dictionary or list"),
        ({"item_capacities": {"x": 1.5, "y": 1, "z": 1}}, "column item_capacities.x: not a whole number"),
        ({"agent_capacities": {"ann": 1}}, "column agent_capacities.bob: missing"),
        ({"item_weights": {"x": 3, "y": 1, "z": 1}}, "column item_weights: not possible"),
        ({"agent_entitlements": 0}, "column agent_entitlements: too small"),
        ({"colour": "red"}, "column colour: unknown key"),
        ({"item_conflicts": {"x": 3}}, "column item_conflicts.x: not a list"),
    ],
)
def test_fairpyx_faults_name_their_key(change: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidProblemError) as caught:
        fairpyx_draft({**INSTANCE, **change}, "i.json")
    assert any(told in str(issue) for issue in caught.value.issues), str(caught.value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(key=st.sampled_from(sorted(INSTANCE)), value=json_values)
def test_any_json_is_an_instance_or_told(key: str, value: Any) -> None:
    with suppress(InvalidProblemError):
        read_fairpyx(json.dumps({**INSTANCE, key: value}).encode(), "i.json").files()


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=40) | st.integers(1, 3000).map(lambda n: b"[" * n))
def test_any_bytes_are_told(data: bytes) -> None:
    with pytest.raises(InvalidProblemError):
        read_fairpyx(data, "i.json")


# ---- enrolment lists ---------------------------------------------------------------------------------------

GOODS = b"good,capacity,course\nlogic-1,2,LOGIC\nlogic-2,2,LOGIC\nethics,3,\n"
DRAWN = {
    "input/goods.csv": GOODS,
    "assignment.csv": b"agent,good,copies\ns1,ethics,1\ns1,logic-1,1\ns2,logic-2,2\n",
}


def rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def test_canvas() -> None:
    found = rows(canvas_enrolments(DRAWN))
    assert [(r["course_id"], r["user_id"], r["role"], r["section_id"], r["status"]) for r in found] == [
        ("ethics", "s1", "student", "", "active"),
        ("LOGIC", "s1", "student", "logic-1", "active"),
        ("LOGIC", "s2", "student", "logic-2", "active"),
    ]


def test_oneroster() -> None:
    found = rows(oneroster_enrolments(DRAWN, "school-7"))
    assert [(r["classSourcedId"], r["userSourcedId"]) for r in found] == [
        ("ethics", "s1"),
        ("logic-1", "s1"),
        ("logic-2", "s2"),
    ]
    assert {(r["schoolSourcedId"], r["role"], r["status"]) for r in found} == {("school-7", "student", "")}
    assert len({r["sourcedId"] for r in found}) == 3
    assert oneroster_enrolments(DRAWN, "school-7") == oneroster_enrolments(DRAWN, "school-7")


def test_what_cannot_be_enrolled_is_told() -> None:
    with pytest.raises(InvalidProblemError, match="fairlot draw"):
        canvas_enrolments({"input/goods.csv": GOODS})
    with pytest.raises(InvalidProblemError, match="sourcedId"):
        oneroster_enrolments(DRAWN, " ")
    runnable = {**DRAWN, "assignment.csv": b"agent,good,copies\n'=1+1,ethics,1\n"}
    with pytest.raises(InvalidProblemError, match="found '=1\\+1'"):
        canvas_enrolments(runnable)


# ---- the verbs ---------------------------------------------------------------------------------------------


def run(*arguments: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_export_and_import_again(tmp_path: Path) -> None:
    folder = tmp_path / "p"
    assert run("new", folder)[0] == 0
    result = {f"input/{name}": data for name, data in template_files("pseudomarket").items()}
    write_result(tmp_path / "r", {**result, "assignment.csv": DRAWN["assignment.csv"]})
    for source in (folder, tmp_path / "r"):
        out = tmp_path / f"{source.name}.toi"
        assert run("export", source, "--format", "preflib", "--out", out)[0] == 0
    assert (tmp_path / "p.toi").read_bytes() == (tmp_path / "r.toi").read_bytes()
    code, _, err = run("import", tmp_path / "p.toi", "--out", tmp_path / "q", "--seats", 2, "--load", 2)
    assert code == 0
    assert "cardinal values matter" in err
    original, back = read_problem(folder), read_problem(tmp_path / "q")
    assert isinstance(original, PseudoMarket)
    assert isinstance(back, PseudoMarket)
    assert (back.goods, back.n_agents, back.values.nnz) == (
        original.goods,
        original.n_agents,
        original.values.nnz,
    )
    code, out_text, _ = run(
        "export", tmp_path / "r", "--format", "canvas", "--out", tmp_path / "c.csv", "--json"
    )
    assert json.loads(out_text)["lines"] == 4
    assert run("export", tmp_path / "r", "--format", "oneroster", "--out", tmp_path / "e.csv")[0] == 2
    (tmp_path / "r" / "assignment.csv").write_text("agent,good,copies\n")
    code, _, err = run("export", tmp_path / "r", "--format", "canvas", "--out", tmp_path / "d.csv")
    assert code == 2
    assert "has changed since it was written" in err


def test_import_of_fairpyx_and_bad_files(tmp_path: Path) -> None:
    (tmp_path / "i.json").write_text(json.dumps(INSTANCE))
    code, out, _ = run("import", tmp_path / "i.json", "--out", tmp_path / "p", "--json")
    assert code == 0
    assert json.loads(out)["files"] == ["problem.toml", "goods.csv", "agents.csv", "values.csv"]
    for options in (("--seats", 2), ("--capacities", tmp_path / "i.json")):
        code, _, err = run("import", tmp_path / "i.json", "--out", tmp_path / "q", *options)
        assert code == 2
        assert "options for spreadsheets" in err
    (tmp_path / "votes.soc").write_text("# NUMBER ALTERNATIVES: 1\n1: 1\n")
    assert len(run("import", tmp_path / "votes.soc", "--out", tmp_path / "q")[2].splitlines()) == 2
    for name, data in (
        ("x.doc", b"x"),
        ("x.csv", b""),
        ("x.csv", b"\xff\xfea\x00"),
        ("x.xlsx", b"PK\x03\x04"),
    ):
        (tmp_path / name).write_bytes(data)
        code, _, err = run("import", tmp_path / name, "--out", tmp_path / "q")
        assert (code, len(err.splitlines())) == (2, 1), err
    code, _, err = run("import", tmp_path / "absent.csv", "--out", tmp_path / "q")
    assert (code, len(err.splitlines())) == (2, 1)
    assert not (tmp_path / "q").exists()
