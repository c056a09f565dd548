"""A result folder is checked from its files alone, and each planted fault fails the check that names it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from numpy.testing import assert_array_equal
from solved_market import MARKET, result_files, solved

from fairlot.errors import InvalidProblemError
from fairlot.io.equilibrium import published_market, read_equilibrium
from fairlot.io.results import MANIFEST, ResultFolderError, manifest, write_result
from fairlot.io.verification import verify_files, verify_result
from fairlot.lottery.protocol.record import commit_result, draw_result, public_part
from fairlot.lottery.protocol.salts import new_salts

Files = dict[str, bytes]


def sealed(files: Mapping[str, bytes]) -> Files:
    return {**files, MANIFEST: manifest(files)}


def failed(files: Mapping[str, bytes]) -> list[str]:
    return [check.name for check in verify_files(files).failed]


def replaced(files: Mapping[str, bytes], name: str, old: str, new: str) -> Files:
    text = files[name].decode()
    assert old in text
    return {**files, name: text.replace(old, new).encode()}


def without(files: Mapping[str, bytes], name: str) -> Files:
    return {other: data for other, data in files.items() if other != name}


def test_a_true_result_passes(tmp_path: Path) -> None:
    write_result(tmp_path / "r", result_files())
    certificate = verify_result(tmp_path / "r")
    assert certificate.passed, certificate.failed
    assert {name.split(":")[0] for name in certificate.required} == {
        "manifest",
        "input",
        "published",
        "summary",
        "equilibrium",
        "lottery",
    }


def test_what_is_published_reads_back_exactly() -> None:
    equilibrium = solved()
    found = read_equilibrium(result_files())
    assert found.market.agents == MARKET.agents
    assert_array_equal(found.prices, equilibrium.prices)
    assert_array_equal(found.row_prices, equilibrium.row_prices)
    assert_array_equal(found.shares.to_array(), equilibrium.shares.to_array())


def test_the_files_are_those_of_the_contract() -> None:
    files = result_files()
    assert sorted(files) == [
        "certificate.json",
        "input/agents.csv",
        "input/goods.csv",
        "input/problem.toml",
        "input/values.csv",
        "limits.csv",
        "lottery.json",
        "prices.csv",
        "shares.csv",
        "summary.json",
    ]
    assert files["prices.csv"].decode() == "good,price,capacity_price\na,2,2\nb,1,0\n'-c,0,0\n"
    assert files["limits.csv"].decode() == "limit,price\nlaboratory,1\n"
    assert files["shares.csv"].decode() == (
        "agent,good,share\nann,a,0.5\nann,'-c,0.5\n'=bob,a,0.5\n'=bob,'-c,0.5\neve,b,1\n"
    )
    certificate = json.loads(files["certificate.json"])
    assert certificate["passed"] is True
    assert certificate["checks"][0].keys() == {"name", "residual", "tolerance", "passed", "witness"}
    summary = json.loads(files["summary.json"])
    assert {"kind", "status", "method", "seconds", "peak_memory_mb", "version"} <= summary.keys()
    assert {"utility_gap", "envy", "budget_gap", "clearing", "satiated", "max_price"} <= summary.keys()
    assert (summary["kind"], summary["status"], summary["max_price"]) == ("pseudomarket", "certified", 2.0)
    assert summary["peak_memory_mb"] > 1


def test_shares_keep_17_digits() -> None:
    third = 1 / 3
    equilibrium = solved(shares=((third, 0, 1 - third), (1 - third, 0, third), (0, 1, 0)))
    files = result_files(equilibrium)
    assert "0.33333333333333331" in files["shares.csv"].decode()
    assert_array_equal(read_equilibrium(files).shares.to_array(), equilibrium.shares.to_array())


@pytest.mark.parametrize(
    ("damage", "checks"),
    [
        (lambda f: f | {"shares.csv": f["shares.csv"] + b"\n"}, ["manifest"]),
        (lambda f: f | {"notes.txt": b""}, ["manifest"]),
        (lambda f: without(f, "summary.json"), ["manifest", "summary"]),
    ],
)
def test_damage_under_the_old_seal(damage: Callable[[Files], Files], checks: list[str]) -> None:
    assert failed(damage(sealed(result_files()))) == checks


@pytest.mark.parametrize(
    ("damage", "checks"),
    [
        (lambda f: replaced(f, "input/goods.csv", "\nb,", "\n\nb,"), ["input"]),
        (lambda f: {**f, "input/more.csv": b"x\n"}, ["input"]),
        (lambda f: replaced(f, "input/goods.csv", "b,9,1", "b,-9,1"), ["input", "published"]),
        (lambda f: replaced(f, "prices.csv", "b,1,0", "d,1,0"), ["published"]),
        (lambda f: replaced(f, "prices.csv", "b,1,0", "a,1,0"), ["published"]),
        (lambda f: replaced(f, "prices.csv", "b,1,0", "b,nan,0"), ["published"]),
        (lambda f: replaced(f, "limits.csv", "laboratory", "library"), ["published"]),
        (lambda f: replaced(f, "shares.csv", "eve,b", "zoe,b"), ["published"]),
        (lambda f: f | {"shares.csv": f["shares.csv"] + b"eve,b,0.5\n"}, ["published"]),
        (lambda f: without(f, "shares.csv"), ["published"]),
        (lambda f: without(f, "lottery.json"), ["lottery: file"]),
        (lambda f: replaced(f, "lottery.json", "ann", "zoe"), ["lottery: file"]),
        (lambda f: f | {"lottery.json": b"[]"}, ["lottery: file"]),
        (
            lambda f: replaced(f, "certificate.json", '"passed": true,\n "c', '"passed": false,\n "c'),
            ["summary"],
        ),
        (lambda f: f | {"certificate.json": b"{}"}, ["summary"]),
        (lambda f: replaced(f, "summary.json", '"certified"', '"uncertified"'), ["summary"]),
        (lambda f: replaced(f, "summary.json", '"certified"', '"infeasible"'), ["infeasibility"]),
    ],
)
def test_damage_under_a_fresh_seal(damage: Callable[[Files], Files], checks: list[str]) -> None:
    files = sealed(damage(result_files()))
    assert [name for name in failed(files) if name.split(":")[0] != "equilibrium"] == checks


def test_a_false_equilibrium_fails_its_conditions_and_the_claim() -> None:
    false = sealed(replaced(result_files(), "prices.csv", "a,2,2", "a,1.5,1.5"))
    names = failed(false)
    assert "equilibrium: unspent money" in names
    assert "summary" in names
    honest = sealed(result_files(solved(prices=(1.5, 1, 0), row_prices=(1.5, 0, 0, 1))))
    assert "summary" not in failed(honest)
    assert "equilibrium: unspent money" in failed(honest)


def test_a_lottery_of_other_shares_fails() -> None:
    other = solved(shares=((0.25, 0, 0.75), (0.75, 0, 0.25), (0, 1, 0)))
    files = result_files() | {"lottery.json": result_files(other)["lottery.json"]}
    assert failed(sealed(files)) == ["lottery: expectations"]


def test_no_result_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(ResultFolderError):
        verify_result(tmp_path)
    with pytest.raises(InvalidProblemError):
        published_market({})


def drawn(files: Files, seed: int = 7) -> Files:
    _, change = commit_result(files, "electives", salts=new_salts("electives", files))
    files = {**files, **change.write}
    _, change = draw_result(files, bytes([seed] * 32))
    return {**files, **change.write}


def test_a_commitment_and_a_draw_are_checked_too() -> None:
    files = sealed(result_files())
    _, change = commit_result(files, "electives", salts=new_salts("electives", files))
    committed = sealed({**files, **change.write})
    names = {check.name for check in verify_files(committed).checks if check.name.startswith("draw: ")}
    assert failed(committed) == []
    assert names == {f"draw: {name}" for name in ("lottery", "commitment", "frozen files", "personal tables")}
    done = sealed(drawn(files))
    assert failed(done) == []
    assert {"draw: seed", "draw: assignment", "draw: bounds"} < {c.name for c in verify_files(done).checks}


def test_a_published_part_is_checked_as_far_as_it_goes() -> None:
    files = sealed(drawn(sealed(result_files())))
    public = sealed(public_part(files))
    verification = verify_files(public)
    assert verification.passed
    assert not any(check.name.startswith("equilibrium") for check in verification.checks)
    assert "input/agents.csv, input/values.csv is kept back" in verification.unseen[0]
    assert any(note.startswith("how the public seed came about") for note in verify_files(files).unseen)
    assert verification.to_dict()["unseen"] == list(verification.unseen)
    assert failed(sealed({**public, "assignment.csv": b"agent,good,copies\n"})) == [
        "draw: assignment",
        "draw: bounds",
    ]


@pytest.mark.parametrize(
    ("damage", "check"),
    [
        (lambda f: {**f, "assignment.csv": b"agent,good,copies\nann,a,1\n"}, "draw: assignment"),
        (lambda f: replaced(f, "input/goods.csv", "b,9,1", "b,8,1"), "draw: frozen files"),
        (lambda f: {**f, "transcript.json": b"{}"}, "draw: record"),
    ],
)
def test_damage_after_the_draw(damage: Callable[[Files], Files], check: str) -> None:
    assert check in failed(sealed(damage(drawn(sealed(result_files())))))
