"""``fairlot commit``, ``draw`` and ``ceremony`` on result folders."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import typer
from javascript import NODE, TWIN, needs_node
from small_results import ROUND, SIGNATURE, seed, solved
from typer.testing import CliRunner

from fairlot.cli.draw import ceremony, commit, draw
from fairlot.io.results import add_to_result, read_result, write_result
from fairlot.lottery.protocol.record import commit_result
from fairlot.lottery.protocol.salts import Salts
from fairlot.lottery.protocol.seeds import Source
from fairlot.verify import draw as twin
from fairlot.verify.transcript import verify_draw

app = typer.Typer()
for verb in (commit, draw, ceremony):
    app.command()(verb)


@dataclass(frozen=True)
class Run:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Fairlot = Callable[..., Run]


@pytest.fixture
def fairlot() -> Fairlot:
    def run(*arguments: object, typed: str | None = None) -> Run:
        result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=typed)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Run(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def result(tmp_path: Path) -> Path:
    folder = tmp_path / "electives"
    write_result(folder, {k: v for k, v in solved().items() if k != "manifest.json"})
    return folder


def certify(folder: Path) -> None:
    salts = folder.with_name(f"{folder.name}-salts.json")
    opened = salts.read_bytes() if salts.exists() else None
    certificate = verify_draw(read_result(folder), salts=opened)
    assert certificate.passed, certificate.failed


def test_commit_draw_verify(fairlot: Fairlot, result: Path) -> None:
    frozen = fairlot("commit", result)
    assert frozen.code == 0
    commitment = re.search(r"\b[0-9a-f]{64}\b", frozen.out)
    assert commitment
    assert "No source of the seed is announced" in frozen.out
    private = result.with_name("electives-salts.json")
    assert private.stat().st_mode & 0o777 == 0o600
    assert Salts.from_json(private.read_bytes()).agents.keys() == {"ann", "bob"}
    drawn = fairlot("draw", result, "--seed", seed(1).hex(), "--json")
    assert drawn.code == 0
    assert drawn.json["status"] == "drawn"
    assert drawn.json["commitment"] == commitment[0]
    assert drawn.json["copies"] == 2
    assert (result / "assignment.csv").read_text().startswith("agent,good,copies\n")
    certify(result)


@pytest.mark.parametrize("command", [[sys.executable, twin.__file__], [NODE, TWIN]], ids=["python", "node"])
def test_the_standalone_checkers_run_on_a_folder(fairlot: Fairlot, result: Path, command: list[str]) -> None:
    if command[0] is None:
        pytest.skip("node is not installed: the JavaScript twin is not run")
    commitment = fairlot("commit", result, "--json").json["commitment"]
    fairlot("draw", result, "--seed", seed(1).hex())

    def check(*options: str) -> subprocess.CompletedProcess[str]:
        line = [*map(str, command), str(result), *options]
        return subprocess.run(line, capture_output=True, text=True, check=False, timeout=60)

    option = ["--commitment"] if command[0] == sys.executable else []
    done = check(*option, commitment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:4] for line in done.stdout.splitlines()] == ["ok  "] * len(twin.CHECKS)
    assert check(*option, "0" * 64).returncode == 1
    (result / "assignment.csv").write_bytes(b"agent,good,copies\n")
    broken = check()
    assert broken.returncode == 1
    assert "FAIL assignment" in broken.stdout


def test_the_standalone_checker_imports_nothing_but_the_standard_library() -> None:
    code = f"import runpy, sys; runpy.run_path({twin.__file__!r}); print('\\n'.join(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    # An editable install may add a finder of its own at start-up.
    strange = {n for n in loaded - set(sys.stdlib_module_names) if not n.startswith(("_", "a1_"))}
    assert not strange & {"fairlot", "numpy", "scipy", "numba"}
    source = Path(twin.__file__).read_text()
    imported = set(re.findall(r"^(?:from|import) (\w+)", source, flags=re.MULTILINE))
    assert imported <= set(sys.stdlib_module_names)


def test_draw_before_commit_and_draw_twice(fairlot: Fairlot, result: Path) -> None:
    early = fairlot("draw", result, "--seed", seed(1).hex())
    assert (early.code, early.out) == (2, "")
    assert "not committed" in early.err
    fairlot("commit", result)
    assert fairlot("commit", result).code == 2
    fairlot("draw", result, "--seed", seed(1).hex())
    first = (result / "assignment.csv").read_bytes()
    twice = fairlot("draw", result, "--seed", seed(2).hex(), "--json")
    assert twice.code == 2
    assert "reason" in twice.json["errors"][0]["message"]
    assert fairlot("draw", result, "--seed", seed(2).hex(), "--reason", "the list was outdated").code == 0
    assert (result / "draws" / "001" / "assignment.csv").read_bytes() == first
    certify(result)


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--seed", "17"],
        ["--seed", "0" * 63],
        ["--seed", "x" * 64],
        ["--seed", " ".join(["00"] * 32)],
        ["--seed", "0" * 64, "--drand-round", "5"],
        ["--drand-round", "5"],
        ["--signature", "00" * 48],
        ["--drand-round", "5", "--signature", "00"],
        ["--abort"],
    ],
)
def test_unclear_draws_are_refused_and_change_nothing(
    fairlot: Fairlot, result: Path, options: list[str]
) -> None:
    fairlot("commit", result)
    before = read_result(result)
    assert fairlot("draw", result, *options).code == 2
    assert read_result(result) == before


def test_quiet_says_nothing(fairlot: Fairlot, result: Path) -> None:
    assert fairlot("commit", result, "--quiet") == Run(0, "", "")
    assert fairlot("draw", result, "--seed", seed(1).hex(), "--quiet") == Run(0, "", "")


def test_an_aborted_draw_and_another(fairlot: Fairlot, result: Path) -> None:
    fairlot("commit", result, "--official", "Ann")
    assert fairlot("draw", result, "--seed", seed(1).hex()).code == 2
    assert fairlot("draw", result, "--abort", "--reason", "Ann is ill").code == 0
    assert fairlot("commit", result).code == 2
    assert fairlot("commit", result, "--again").code == 0
    assert fairlot("draw", result, "--seed", seed(1).hex(), "--reason", "Ann is ill").code == 0
    certify(result)


def test_a_round_of_the_past_cannot_be_announced(fairlot: Fairlot, result: Path) -> None:
    past = fairlot("commit", result, "--drand-round", 1000)
    assert past.code == 2
    assert "2023-08-23" in past.err
    both = fairlot("commit", result, "--drand-round", 10**9, "--official", "Ann")
    assert both.code == 2
    future = fairlot("commit", result, "--drand-round", 10**9)
    assert future.code == 0
    assert "drand's round 1000000000, signed at 2118-" in future.out


@pytest.mark.skipif(importlib.util.find_spec("py_ecc") is None, reason="the extra 'beacon' is not installed")
def test_the_announced_round_is_drawn(fairlot: Fairlot, result: Path) -> None:
    files = read_result(result)
    salts = Salts("electives", {"ann": "1" * 64, "bob": "2" * 64}, {"input/values.csv": "3" * 64})
    change = commit_result(files, "electives", source=Source("drand", round=ROUND), salts=salts)[1]
    add_to_result(result, change.write)
    wrong = fairlot("draw", result, "--drand-round", ROUND + 1, "--signature", SIGNATURE.hex())
    assert wrong.code == 2
    done = fairlot("draw", result, "--signature", SIGNATURE.hex())
    assert done.code == 0
    assert "(drand)" in done.out
    certify(result)


def test_a_ceremony_in_one_room(fairlot: Fairlot, result: Path) -> None:
    fairlot("commit", result, "--official", "Ann", "--official", "Bob")
    own = fairlot("ceremony", result, "--seal", "Bob", "--json").json
    begun = fairlot("ceremony", result, typed=f"\n\n{own['seal']}\n\n")
    assert begun.code == 0
    assert "waiting for the dice" in begun.out
    anns = re.search(r"Your number is ([0-9a-f]{64})", begun.err)
    assert anns
    assert anns[1] not in begun.out
    assert fairlot("draw", result).code == 2
    rolled = fairlot("ceremony", result, typed="4 1 6 4 1 5 2 3 6 4 3 1 2 2 5 4 6 2 1 3\n\n\n")
    assert "waiting for Ann, Bob" in rolled.out
    wrong = fairlot("ceremony", result, typed=f"{own['number']}\n")
    assert wrong.code == 2
    assert "not the number that Ann sealed" in wrong.err
    done = fairlot("ceremony", result, "--json", typed=f"{anns[1]}\n{own['number']}\n")
    assert done.code == 0
    assert done.json["waiting"] == []
    drawn = fairlot("draw", result, "--json")
    assert drawn.json["public_seed"] == done.json["public_seed"]
    assert not (result / "ceremony.json").exists()
    certify(result)
    assert fairlot("ceremony", result).code == 2


def test_an_official_who_refuses_is_on_record(fairlot: Fairlot, result: Path) -> None:
    fairlot("commit", result)
    typed = "Ann; Bob\n" + "1" * 64 + "\n" + "2" * 64 + "\n" + "3" * 20 + "\n\n\n"
    assert "waiting for Ann, Bob" in fairlot("ceremony", result, typed=typed).out
    assert fairlot("draw", result, "--abort", "--reason", "both refused").code == 0
    transcript = json.loads((result / "transcript.json").read_bytes())
    assert transcript["origin"]["officials"] == [["Ann", "1" * 64, None], ["Bob", "2" * 64, None]]
    certify(result)


def test_what_is_published_holds_no_preferences(fairlot: Fairlot, result: Path, tmp_path: Path) -> None:
    fairlot("commit", result)
    assert fairlot("draw", result, "--seed", seed(1).hex(), "--public", result).code == 2
    public = tmp_path / "public"
    assert fairlot("draw", result, "--seed", seed(1).hex(), "--public", public).code == 0
    assert "input/values.csv" in read_result(result)
    assert "input/values.csv" not in read_result(public)
    certify(public)


@needs_node
def test_an_agent_opens_her_row_with_the_javascript_twin(fairlot: Fairlot, result: Path) -> None:
    from javascript import ask

    from fairlot.verify.personal import agent_rows

    fairlot("commit", result)
    salts = Salts.from_json(result.with_name("electives-salts.json").read_bytes())
    row = agent_rows({"input/values.csv": (result / "input/values.csv").read_bytes()})["ann"]
    (found,) = ask([("row", {"salt": salts.agents["ann"], "row": row.hex()})])
    frozen = json.loads((result / "commitment.json").read_bytes())["frozen"]
    assert dict(frozen["agents"])["ann"] == found
