"""Partitioned problem folders, and results in parts."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from numpy.testing import assert_array_equal

from fairlot.errors import InvalidProblemError
from fairlot.io.partitioned_results import solve_partition
from fairlot.io.partitions import partition_problem, read_part, read_partition
from fairlot.io.problem import read_problem, write_problem
from fairlot.io.results import ResultFolderError
from fairlot.io.verification import verify_result
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import course_market

SETTINGS = """
format = 1
kind = "pseudomarket"
goods = { file = "goods.csv" }
agents = { file = "agents.csv" }
values = { file = "values.csv" }
[[quota]]
name = "load"
max = 2
[[quota]]
name = "first year"
goods = ["a", "b"]
agents = { year = 1 }
max = 1
[[quota]]
name = "some years"
goods = ["a", "b"]
agents = { year = [2, 3] }
max = 1
[[quota]]
name = "two people"
goods = ["c"]
agents = ["ann", "dan"]
max = 1
"""


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    """A market, its partitioned folder, and its result in parts."""
    folder = tmp_path_factory.mktemp("parts")
    market = course_market(60, 10, 1, 0.9, departments=3, limits=True, unequal_budgets=True)
    write_problem(market, folder / "whole")
    partition = partition_problem(folder / "whole", folder / "cut", 3)
    found = solve_partition(partition, folder / "result", engine="serial")
    return market, partition, found, folder / "result"


@pytest.fixture
def result(solved, tmp_path):
    """A copy of the result, to be tampered with."""
    return Path(shutil.copytree(solved[3], tmp_path / "result"))


def small(folder):
    folder.mkdir()
    (folder / "problem.toml").write_text(SETTINGS)
    (folder / "goods.csv").write_text("good,capacity\na,1\nb,2\nc,3\n")
    (folder / "agents.csv").write_text("agent,year\nann,1\nbob,1\ncat,2\ndan,3\n")
    rows = [
        f"{agent},{good},{k + 1}" for agent in ("ann", "bob", "cat", "dan") for k, good in enumerate("abc")
    ]
    (folder / "values.csv").write_text("\n".join(["agent,good,value", *rows, ""]))
    return folder


def test_parts_together_are_the_problem(solved):
    market, partition, _, _ = solved
    parts = [read_part(partition.folder, name) for name in partition.names]
    assert [part.n_agents for part in parts] == [20, 20, 20]
    assert sum((part.agents for part in parts), ()) == market.agents
    assert_array_equal(np.vstack([part.values.toarray() for part in parts]), market.values.toarray())
    assert_array_equal(np.concatenate([part.budgets for part in parts]), market.budgets)
    assert read_partition(partition.folder.parent / "whole") is None


def test_rules_bind_those_who_are_in_the_part(tmp_path):
    whole = read_problem(small(tmp_path / "whole"))
    partition = partition_problem(tmp_path / "whole", tmp_path / "cut", 2)
    done = 0
    for name in partition.names:
        part = read_part(partition.folder, name)
        mine = slice(done, done + part.n_agents)
        labels = {bound.label: bound for bound in part.bound_sets}
        for bound in whole.bound_sets:
            binds = bound.upper[mine] < 2**31 - 1
            assert binds.any() == (bound.label in labels)
            if binds.any():
                assert_array_equal(labels[bound.label].upper, bound.upper[mine])
        done += part.n_agents


def test_a_result_in_parts_is_the_equilibrium_and_is_verified_in_parts(solved):
    market, partition, found, folder = solved
    whole = solve_equilibrium(market, method="joint")
    np.testing.assert_allclose(found.prices, whole.prices, rtol=0, atol=1e-12)
    check = verify_result(folder)
    assert check.passed
    names = [one.name for one in check.checks]
    assert names[:3] == ["manifest", "input", "published"]
    assert "equilibrium: envy" in names
    frames = [pl.read_parquet(folder / "shares" / name) for name in partition.names]
    assert {frame.columns[2] for frame in frames} == {"share"}
    np.testing.assert_allclose(
        sum(frame["share"].sum() for frame in frames), whole.shares.matrix.sum(), rtol=1e-12
    )
    summary = json.loads((folder / "summary.json").read_bytes())
    assert (summary["status"], summary["n_parts"], summary["n_agents"]) == ("certified", 3, 60)
    assert not list(folder.rglob(".*"))


def failed(folder):
    return {check.name: check.witness for check in verify_result(folder).failed}


def test_a_changed_share_fails(result):
    path = result / "shares" / "00001.parquet"
    frame = pl.read_parquet(path)
    frame.with_columns(share=pl.col("share") * 0.9).write_parquet(path)
    found = failed(result)
    assert found["manifest"] == "shares/00001.parquet has changed since it was written"
    assert "equilibrium: clearing" in found
    assert found["summary"] == "certificate.json claims that all passed"


@pytest.mark.parametrize(
    ("change", "check", "witness"),
    [
        (lambda r: (r / "shares" / "00001.parquet").unlink(), "published", "no such file"),
        (lambda r: (r / "prices.csv").write_text("good,price\n"), "published", "capacity_price"),
        (lambda r: (r / "prices.csv").unlink(), "published", "no prices in this result"),
        (lambda r: (r / "manifest.json").write_text("{"), "manifest", "cannot be read"),
        (lambda r: (r / "summary.json").unlink(), "summary", "cannot be read"),
        (lambda r: (r / "input" / "agents" / "00001.parquet").unlink(), "input", "no such part"),
        (
            lambda r: [
                shutil.copy(r / folder / "00000.parquet", r / folder / "00001.parquet")
                for folder in ("shares", "input/agents", "input/values")
            ],
            "input",
            "20 agents are in several parts",
        ),
        (
            lambda r: shutil.copy(r / "shares" / "00000.parquet", r / "shares" / "00001.parquet"),
            "published",
            "unknown agent",
        ),
    ],
)
def test_what_is_missing_or_torn_fails_its_check(result, change, check, witness):
    change(result)
    assert witness in failed(result)[check]


def test_parts_that_do_not_match_are_told(tmp_path):
    small(tmp_path / "whole")
    cut = partition_problem(tmp_path / "whole", tmp_path / "cut", 2).folder
    (cut / "values" / "00001.parquet").rename(cut / "values" / "other.parquet")
    with pytest.raises(InvalidProblemError) as caught:
        read_partition(cut)
    assert {issue.file for issue in caught.value.issues} == {"values/00001.parquet", "agents/other.parquet"}
    shutil.rmtree(cut / "values")
    with pytest.raises(InvalidProblemError, match="no folder of parts"):
        read_partition(cut)
    for path in (cut / "agents").iterdir():
        path.unlink()
    with pytest.raises(InvalidProblemError, match="no parts"):
        read_partition(cut)


def test_a_fault_in_a_part_is_told_with_its_place(tmp_path):
    small(tmp_path / "whole")
    partition = partition_problem(tmp_path / "whole", tmp_path / "cut", 2)
    path = partition.folder / "values" / "00001.parquet"
    pl.read_parquet(path).with_columns(value=pl.lit("much")).write_parquet(path)
    with pytest.raises(
        InvalidProblemError, match=r"values/00001\.parquet, row 2, column value: not a number"
    ):
        solve_partition(partition, tmp_path / "result", engine="serial")
    assert not (tmp_path / "result").exists()
    assert not list(tmp_path.glob(".result*"))


def test_what_cannot_be_cut_or_written_is_refused(solved, tmp_path):
    small(tmp_path / "whole")
    with pytest.raises(InvalidProblemError, match="1 to 4, the number of agents"):
        partition_problem(tmp_path / "whole", tmp_path / "cut", 5)
    with pytest.raises(InvalidProblemError, match="exists already"):
        partition_problem(tmp_path / "whole", tmp_path / "whole", 2)
    _, partition, _, folder = solved
    with pytest.raises(ResultFolderError, match="exists already"):
        solve_partition(partition, folder)
