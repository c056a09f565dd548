"""Reallocation folders: round trips, every fault in its place, menus and picks, the verbs."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose
from outcome_cases import random_case
from typer.testing import CliRunner

from fairlot.cli import app
from fairlot.cli.demo import Half, demo
from fairlot.errors import InvalidProblemError
from fairlot.io.hospital import demo_reallocation, reallocation_template
from fairlot.io.menus import menus_csv, picks_csv
from fairlot.io.problem import (
    parse_reallocation_files,
    problem_files,
    read_problem,
    read_problem_files,
    write_problem,
)
from fairlot.io.reallocation_results import (
    outcome_files,
    read_menus_file,
    read_outcome,
    read_picks_file,
    reallocation_checks,
)
from fairlot.io.verification import verify_result
from fairlot.model.beliefs import FAMILIES, Beliefs
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.outcome import pick_positions, reallocate, reallocate_positions
from fairlot.reallocation.value.conditions import theorem1

LOAN_DESK = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "loan-desk"

FILES = {
    "problem.toml": """\
format = 1
kind = "reallocation"
title = "Two desks"
[tasks]
file = "tasks.csv"
[agents]
file = "agents.csv"
[status_quo]
file = "status_quo.csv"
[cost]
file = "cost.csv"
layout = "wide"
[preferences]
file = "preferences.csv"
[participation]
beta = "slack"
[cap]
load_growth = 0.5
""",
    "tasks.csv": "task,count\nabuse,6\nneglect,\nfraud,1\n",
    "agents.csv": "agent,size,slack\nann,1,1\nbob,2,1.2\n",
    "status_quo.csv": "agent,task,amount\nann,abuse,2\nann,neglect,1\nbob,abuse,2\nbob,fraud,0.5\n",
    "cost.csv": "agent,abuse,neglect,fraud\nann,1,2,\nbob,3,1,1\n",
    "preferences.csv": "agent,task,low,high,family,parameters\n"
    "*,*,0.5,1.5,uniform,\n"
    "*,fraud,1,2,triangular,mode=1.5\n"
    "bob,*,,,lognormal,median=1;sigma=0.5\n"
    "bob,fraud,1,3,beta,a=2;b=0.5\n",
    "forbidden.csv": "agent,task\nann,fraud\n",
}


def parse(**changes):
    """Parse the folder with some files changed; a dot in a name is written as two underscores."""
    named = {name.replace("__", "."): text for name, text in changes.items()}
    files = {**FILES, **named}
    return parse_reallocation_files(
        {name: text.encode() for name, text in files.items() if text is not None}
    ).problem


def test_a_folder_with_everything_is_read():
    problem = parse()
    assert problem.agents == ("ann", "bob")
    assert problem.tasks == ("abuse", "neglect", "fraud")
    assert_allclose(problem.status_quo, [[2, 1, 0], [2, 0, 0.5]], rtol=0)
    assert_allclose(problem.costs, [[1, 2, 0], [3, 1, 1]], rtol=0)
    assert_allclose(problem.beta, [1, 1.2], rtol=0)
    assert problem.caps == Caps(load_growth=0.5)
    assert problem.forbidden.tolist() == [[False, False, True], [False, False, False]]
    names = np.array(list(FAMILIES))[problem.beliefs.family].tolist()
    assert names == [["uniform", "uniform", "triangular"], ["lognormal", "lognormal", "beta"]]
    assert_allclose(problem.beliefs.parameters[1, 0], [1, 0.5], rtol=0)
    assert np.isinf(problem.beliefs.high[1, 0])


def test_a_count_that_differs_rescales_with_a_warning():
    with pytest.warns(UserWarning, match="task 'abuse': the status quo adds up to 6, its count is 12"):
        problem = parse(tasks__csv="task,count\nabuse,12\nneglect,\nfraud,1\n")
    assert_allclose(problem.status_quo[:, 0], [4, 4], rtol=0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks__csv": "task\nabuse\nabuse\nfraud\n"}, "tasks.csv, row 3, column task: duplicate task"),
        ({"tasks__csv": "task,burden\nabuse,maybe\nneglect,\nfraud,\n"}, "row 2, column burden: not known"),
        ({"agents__csv": "agent,size,slack\nann,1.5,1\nbob,2,1\n"}, "row 2, column size: not a whole number"),
        ({"agents__csv": "agent,slack\nann,0.9\nbob,1\n"}, "agents.csv, row 2, column slack: too small"),
        ({"agents__csv": "agent,slack\n*,1\nbob,1\n"}, "column agent: not possible as an id"),
        (
            {"status_quo__csv": "agent,task,amount\nAnn,abuse,2\n"},
            "status_quo.csv, row 2, column agent: unknown agent: found 'Ann', expected 'ann'?",
        ),
        ({"status_quo__csv": "agent,task,amount\nann,abuse,-2\n"}, "row 2, column amount: negative"),
        (
            {"status_quo__csv": "agent,task,amount\nann,abuse,2\nann,abuse,3\n"},
            "status_quo.csv, row 3: duplicate pair",
        ),
        (
            {"cost__csv": "agent,abuse,neglect,fraud\nann,1,,\nbob,3,1,1\n"},
            "no cost for agent 'ann', task 'neglect'",
        ),
        ({"cost__csv": "agent,abuse,neglect,theft\nann,1,2,\nbob,3,1,1\n"}, "unknown task: found 'theft'"),
        (
            {"preferences__csv": "agent,task,low,high,family\n*,abuse,1,2,uniform\n"},
            "no belief for agent 'ann', task 'neglect'",
        ),
        (
            {"preferences__csv": "agent,task,low,high,family\n*,*,1,2,cauchy\n"},
            "row 2, column family: not known: found 'cauchy'",
        ),
        ({"preferences__csv": "agent,task,low,high,family\n*,*,1,,uniform\n"}, "row 2, column high: blank"),
        (
            {"preferences__csv": "agent,task,low,high,family,parameters\n*,*,1,2,beta,a=1\n"},
            "parameters do not fit the family: found 'a=1', expected a=number;b=number",
        ),
        (
            {"preferences__csv": "agent,task,low,high,family\n*,*,2,1,uniform\n"},
            "preferences.csv, row 2, column high: below low: found '1', expected at least low (2)",
        ),
        (
            {"forbidden__csv": "agent,task\nann,abuse\nann,fraud\n"},
            "agent 'ann' has task 'abuse', which is forbidden",
        ),
        (
            {"problem__toml": FILES["problem.toml"].replace("load_growth", "load_groth")},
            "problem.toml, column [cap] load_groth: unknown key: found 'load_groth', expected 'load_growth'?",
        ),
        (
            {"problem__toml": FILES["problem.toml"].replace('"slack"', "0.5")},
            "[participation] beta: too small",
        ),
        ({"problem__toml": FILES["problem.toml"].replace('"slack"', '"loose"')}, "no column 'loose'"),
        ({"cost__csv": None}, "cost.csv: no such file"),
        (
            {"preferences__csv": "sample,agent,task,cost\n1,ann,abuse,1\n1,ann,abuse,2\n"},
            "sample '1', agent 'ann', task 'abuse': found '2 rows', expected one row",
        ),
    ],
)
def test_faults_are_told_with_their_place(changes, message):
    with pytest.raises(InvalidProblemError) as caught:
        parse(**changes)
    assert any(message in str(issue) for issue in caught.value.issues), str(caught.value)


def test_samples_of_whole_types_are_read():
    pairs = list(itertools.product(("1", "2"), ("ann", "bob"), ("abuse", "neglect", "fraud")))
    rows = [f"{s},{a},{t},{k + 1}" for k, (s, a, t) in enumerate(pairs)]
    problem = parse(preferences__csv="sample,agent,task,cost\n" + "\n".join(rows) + "\n")
    assert_allclose(problem.beliefs.samples, np.arange(1, 13).reshape(2, 2, 3), rtol=0)


def same(one: ReallocationProblem, other: ReallocationProblem) -> None:
    assert (one.agents, one.tasks, one.title, one.caps) == (
        other.agents,
        other.tasks,
        other.title,
        other.caps,
    )
    for name in ("status_quo", "costs", "endowment", "sizes", "beta", "forbidden", "transfer", "burden"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    for name in ("low", "high", "family", "parameters"):
        assert np.array_equal(getattr(one.beliefs, name), getattr(other.beliefs, name), equal_nan=True), name


def test_what_is_written_is_read_back_the_same(tmp_path):
    rng = np.random.default_rng(0)
    for k in range(5):
        problem, _, _ = random_case(rng, groups=k % 2 == 0, caps=Caps(0.1, None))
        write_problem(problem, tmp_path / str(k))
        same(read_problem(tmp_path / str(k)), problem)
    full = parse()
    write_problem(full, tmp_path / "full")
    same(read_problem(tmp_path / "full"), full)
    sampled = ReallocationProblem.from_arrays(
        [[1, 2]], [[1, 2]], Beliefs.from_samples(rng.random((4, 1, 2))), transfer=[False, True]
    )
    again = parse_reallocation_files(problem_files(sampled)).problem
    same(again, sampled)
    assert np.array_equal(again.beliefs.samples, sampled.beliefs.samples)


def test_the_canonical_copy_is_canonical():
    files = {name: text.encode() for name, text in FILES.items()}
    first = parse_reallocation_files(files)
    second = parse_reallocation_files(first.files)
    same(first.problem, second.problem)
    assert first.files == second.files


def test_the_other_kind_is_refused_in_words(tmp_path):
    problem, _, _ = random_case(np.random.default_rng(0))
    write_problem(problem, tmp_path / "r")
    with pytest.raises(InvalidProblemError, match="a problem of another kind: found 'reallocation'"):
        read_problem_files(tmp_path / "r")


# ---- menus and picks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("groups", [False, True])
def test_menus_and_picks_survive_the_table(tmp_path, groups):
    rng = np.random.default_rng(1)
    problem, menus, picks = random_case(rng, groups=groups)
    positions = pick_positions(problem, menus, picks)
    (tmp_path / "m.csv").write_bytes(menus_csv(menus))
    again = read_menus_file(tmp_path / "m.csv", problem)
    assert again.ray_names == menus.ray_names
    assert np.array_equal(again.changes, menus.changes)
    (tmp_path / "p.csv").write_bytes(picks_csv(problem, menus, positions))
    assert np.array_equal(read_picks_file(tmp_path / "p.csv", problem, again), positions)
    (tmp_path / "blank.csv").write_bytes(picks_csv(problem, menus))
    assert (read_picks_file(tmp_path / "blank.csv", problem, again) == -1).all()


def test_faults_of_menus_and_picks(tmp_path):
    problem, menus, _ = random_case(np.random.default_rng(2))
    agent = menus.agents[menus.ray_agents[0]]
    text = (
        f"agent,ray,task,change\n{agent},a,task1,x\nzoe,a,task1,1\n{agent},keep,task2,1\n{agent},,task3,1\n"
    )
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(InvalidProblemError) as caught:
        read_menus_file(tmp_path / "m.csv", problem)
    said = "\n".join(map(str, caught.value.issues))
    assert "m.csv, row 2, column change: not a number" in said
    assert "m.csv, row 3, column agent: unknown agent: found 'zoe'" in said
    assert "m.csv, row 5, column ray: blank" in said
    (tmp_path / "p.csv").write_text(f"agent,ray\n{agent},wrong\n{agent},keep\nzoe,keep\n")
    with pytest.raises(InvalidProblemError) as caught:
        read_picks_file(tmp_path / "p.csv", problem, menus)
    said = "\n".join(map(str, caught.value.issues))
    assert "p.csv, row 2, column ray: not offered: found 'wrong', expected" in said
    assert "p.csv, row 3, column agent: second pick" in said
    assert "p.csv, row 4, column agent: unknown agent" in said
    with pytest.raises(InvalidProblemError, match="no such file"):
        read_picks_file(tmp_path / "absent.csv", problem, menus)


# ---- result folders ----------------------------------------------------------------------------------------


def published(groups=False):
    problem, menus, picks = random_case(np.random.default_rng(3), groups=groups)
    outcome = reallocate(problem, menus, picks)
    inputs = parse_reallocation_files(problem_files(problem)).files
    return outcome, outcome_files(outcome, outcome.lottery(), inputs)


@pytest.mark.parametrize("groups", [False, True])
def test_a_published_outcome_checks(groups):
    outcome, files = published(groups)
    found = read_outcome(files)
    assert_allclose(found.amounts, outcome.amounts, rtol=0, atol=0)
    checks = reallocation_checks(files)
    assert all(check.passed for check in checks), [check for check in checks if not check.passed]
    assert json.loads(files["summary.json"])["saving"] == outcome.saving


def test_planted_lies_are_found():
    _, files = published()

    def failing(**changes):
        changed = {**files, **{name.replace("__", "."): data for name, data in changes.items()}}
        return [check.name for check in reallocation_checks(changed) if not check.passed]

    assert failing() == []
    head, *rows = files["shares.csv"].decode().splitlines()
    agent, task, share = rows[0].split(",")
    more = "\n".join([head, f"{agent},{task},{float(share) + 0.25:.17g}", *rows[1:]]) + "\n"
    found = failing(shares__csv=more.encode())
    assert "outcome: everything assigned" in found
    assert "lottery: sets" in found
    assert "summary" in found  # it claims that all passed
    assert failing(prices__csv=b"task,price\nx,1\n") == ["published", "summary"]
    wrong = files["prices.csv"].decode().replace("task1,", "task1,1").encode()
    assert "outcome: best selection" in failing(prices__csv=wrong)
    assert failing(lottery__json=b"{}") == ["lottery: file"]
    tampered = {**files, "input/cost.csv": files["input/cost.csv"] + b"\n"}
    assert [c.name for c in reallocation_checks(tampered) if not c.passed] == ["input"]


# ---- the verbs ---------------------------------------------------------------------------------------------


@pytest.fixture
def run():
    def invoke(*arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(4)
    problem = ReallocationProblem.from_arrays(
        rng.integers(2, 9, (5, 3)),
        rng.uniform(0.5, 2, (5, 3)),
        Beliefs.uniform(0.5, 1.5),
        agents=[f"a{k}" for k in range(5)],
        title="Small",
    )
    write_problem(problem, tmp_path / "problem")
    return tmp_path / "problem"


@pytest.mark.parametrize("method", ["bilateral", "two-price"])
def test_from_check_to_letters(run, folder, tmp_path, method):
    assert "Choice can improve on the present split: yes" in run("check", folder).stdout
    said = run("value", folder, "--draws", 3)
    assert said.exit_code == 0
    assert "The present split costs" in said.stdout
    design = tmp_path / "design"
    assert run("design", folder, "--out", design, "--method", method, "--draws", 20).exit_code == 0
    assert "Pick one:" in (design / "menus.md").read_text()
    first = {}
    for line in (design / "menus.csv").read_text().splitlines()[1:]:
        agent, ray = line.split(",")[:2]
        first.setdefault(agent, ray)
    picks = tmp_path / "picks.csv"
    picks.write_text("agent,ray\n" + "".join(f"{agent},{ray}\n" for agent, ray in first.items()))
    result = tmp_path / "result"
    arguments = ["--menus", design / "menus.csv", "--picks", picks, "--out", result]
    said = run("reallocate", folder, *arguments)
    assert said.exit_code == 0, said.stderr
    assert "Certified: all 8 checks" in said.stdout
    files = {p.relative_to(result).as_posix(): p.read_bytes() for p in result.rglob("*") if p.is_file()}
    assert all(check.passed for check in reallocation_checks(files))
    assert run("reallocate", folder, *arguments).exit_code == 2  # the folder is there already
    agent = next(iter(first))
    told = json.loads(run("explain", result, "--agent", agent, "--json").stdout)
    assert told["picked"] == first[agent]
    assert run("explain", result, "--agent", agent).stdout.startswith(f"{agent}: you had ")
    assert "Pick one:" in run("explain", design, "--agent", agent).stdout
    assert run("explain", design, "--agent", "nobody").exit_code == 2
    simulated = run("simulate", folder, "--menus", design / "menus.csv", "--draws", 5, "--json")
    assert json.loads(simulated.stdout)["mean_saving"] >= 0


def test_json_and_quiet(run, folder, tmp_path):
    found = json.loads(run("value", folder, "--draws", 2, "--json").stdout)
    assert found["choice_improves"] is True
    assert json.loads(run("check", folder, "--json").stdout)["kind"] == "reallocation"
    assert run("design", folder, "--out", tmp_path / "d", "--draws", 2, "--jobs", 1, "--quiet").stdout == ""


def test_bad_input_exits_2_and_leaves_nothing(run, folder, tmp_path):
    (folder / "cost.csv").write_text("agent,task,cost\na0,task1,x\n")
    said = run("design", folder, "--out", tmp_path / "d")
    assert said.exit_code == 2
    assert "cost.csv, row 2, column cost: not a number" in said.stderr
    assert not (tmp_path / "d").exists()


def test_a_rescaled_count_is_told(run, folder):
    text = (folder / "tasks.csv").read_text().splitlines()
    (folder / "tasks.csv").write_text("\n".join(["task,count", *(f"{line},100" for line in text[1:])]) + "\n")
    assert "warning: task 'task1': the status quo adds up to" in run("check", folder).stderr


def test_the_template_and_the_invented_hospital_are_problem_folders(tmp_path, capsys):
    template = parse_reallocation_files(reallocation_template()).problem
    assert theorem1(template).improves
    hospital = parse_reallocation_files(demo_reallocation()).problem
    assert (hospital.n_agents, hospital.n_tasks) == (16, 5)
    assert hospital.forbidden.sum() == 2
    demo(Half.REALLOCATION, out=tmp_path / "demo")
    said = capsys.readouterr().out
    steps = ("VALUE", "DESIGN", "REALLOCATE", "COMMIT", "DRAW", "VERIFY", "WHAT TO LOOK AT")
    assert [line.split("  ")[0] for line in said.splitlines() if line.split("  ")[0] in steps] == list(steps)
    assert "All of it is invented" in said
    assert "Certified: all 8 checks" in said
    assert "All of these checks pass." in said
    assert said.count("no salt opened") == 1
    assert "the rows of 16 agents" in said
    files = {p.relative_to(tmp_path / "demo").as_posix(): p.read_bytes() for p in _files(tmp_path / "demo")}
    assert all(check.passed for check in reallocation_checks(files))
    assert verify_result(tmp_path / "demo").passed
    assert {"menus.md", "letters.md", "lottery.json", "assignment.csv"} <= files.keys()
    assert json.loads(files["summary.json"])["saving"] > 0


def _files(folder):
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.skipif(not LOAN_DESK.is_dir(), reason="needs the loan desk data beside the checkout")
def test_the_loan_desk_is_read_and_saves():
    problem = read_problem(LOAN_DESK)
    assert (problem.n_agents, problem.n_tasks) == (35, 4)
    from fairlot.reallocation.design import design_menus

    design = design_menus(problem, method="bilateral", draws=20)
    assert design.certificate.passed
    assert design.no_choice.saving == pytest.approx(0, abs=1e-6)
    assert 0.04 < design.bilateral_saving / problem.status_quo_cost < 0.06
    assert design.expected_saving > 0.04 * problem.status_quo_cost
    everybody = np.arange(design.menus.n_rays)
    picks = np.full(problem.n_agents, -1)
    picks[design.menus.ray_agents] = everybody
    assert reallocate_positions(problem, design.menus, picks).saving > 0.1 * problem.status_quo_cost
