"""``fairlot design`` and ``fairlot simulate`` from the outside."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.io.mechanism import read_mechanism
from fairlot.io.problem import read_problem, write_problem
from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import ReallocationProblem


def run(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def write(folder, beliefs):
    rng = np.random.default_rng(0)
    problem = ReallocationProblem.from_arrays(
        rng.integers(3, 9, (6, 2)).astype(float), rng.uniform(0.5, 2.0, (6, 2)), beliefs, tasks=["a", "b"]
    )
    write_problem(problem, folder)
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write(tmp_path_factory.mktemp("desk") / "problem", Beliefs.uniform(0.5, 1.5))


@pytest.fixture(scope="module")
def designed(folder):
    out = folder.parent / "designed"
    said = run("design", folder, "--out", out, "--jobs", 1, "--draws", 20, "--bound")
    assert said.exit_code == 0, said.stderr
    return out, said.stdout


def test_design_says_what_menus_are_worth_and_writes_the_mechanism(folder, designed):
    out, said = designed
    for words in ("Expected saving", "large market (certified)", "pseudo-gap", "not a bound", "Certified"):
        assert words in said
    summary = json.loads((out / "summary.json").read_text())
    assert summary["method"] == "menus"
    assert summary["large_market_saving"] <= summary["bound"] * (1 + 1e-3)
    mechanism = read_mechanism(out, read_problem(folder))
    assert mechanism.saving == pytest.approx(summary["large_market_saving"], rel=1e-6)
    assert run("verify", out).exit_code == 0


def test_simulate_tells_replicas_and_what_wrong_beliefs_do(folder, designed, tmp_path):
    out, _ = designed
    said = run("simulate", folder, "--menus", out, "--replicas", "1,20", "--draws", 10, "--json")
    document = json.loads(said.stdout)
    shares = [row["share"] for row in document["large_market"]["replicas"]]
    assert 0 < shares[0] < shares[1] < 1.05
    assert (
        "Shortfall about"
        in run("simulate", folder, "--menus", out, "--replicas", "1,20", "--draws", 5).stdout
    )
    truth = write(tmp_path / "truth", Beliefs.uniform(0.1, 5.0))
    said = run("simulate", folder, "--menus", out / "menus.csv", "--truth", truth, "--draws", 10, "--json")
    assert json.loads(said.stdout)["quantiles"]["0"] >= 0
    said = run("simulate", folder, "--menus", out / "menus.csv", "--replicas", "1,2", "--draws", 3, "--json")
    assert [economy["replicas"] for economy in json.loads(said.stdout)["economies"]] == [1, 2]
    bad = run("simulate", folder, "--menus", out, "--replicas", "1,x,0")
    assert bad.exit_code == 2
    assert len(bad.stderr.splitlines()) == 2


def test_design_with_rules_classes_groups_and_past_picks(folder, designed, tmp_path):
    out, _ = designed
    groups = tmp_path / "groups.csv"
    groups.write_text("agent,group\nagent1,day\nagent2,day\n")
    rules = ("--max-lines", 1, "--round-rates", 3, "--min-exchange", 1, "--share-menus", groups)
    said = run("design", folder, "--out", tmp_path / "r", "--jobs", 1, "--draws", 5, *rules)
    assert said.exit_code == 0, said.stderr
    for words in ("at most 1 lines", "numbers up to 3", "at least 1", "shared menus"):
        assert words in said.stdout
    said = run(
        "design", folder, "--out", tmp_path / "t", "--method", "two-price", "--class-a", "a", "--draws", 5
    )
    assert said.exit_code == 0, said.stderr
    past = ("--past-menus", out / "menus.csv", "--past-picks", out / "picks.csv")
    said = run(
        "design", folder, "--out", tmp_path / "p", "--method", "past-picks", *past, "--jobs", 1, "--draws", 5
    )
    assert "Beliefs from" in said.stdout
    said = run("design", folder, "--out", tmp_path / "o", "--method", "robust", "--jobs", 1, "--draws", 5)
    assert "Nobody's menu forgoes more than" in said.stdout
    bad = run("design", folder, "--out", tmp_path / "x", "--method", "two-price", "--class-a", "z")
    assert (bad.exit_code, bad.stderr.count("\n")) == (2, 1)
    bad = run("design", folder, "--out", tmp_path / "x", "--past-menus", out / "menus.csv")
    assert bad.exit_code == 2
    groups.write_text("agent,group\nnobody,day\n")
    bad = run("design", folder, "--out", tmp_path / "x", "--share-menus", groups)
    assert "unknown agent" in bad.stderr
    assert not (tmp_path / "x").exists()
