"""``solve`` and ``verify`` where the agents are in parts."""

import pytest

from fairlot.io.partitions import partition_problem
from fairlot.io.problem import write_problem
from fairlot.testing import course_market


@pytest.fixture(scope="module")
def problem(tmp_path_factory):
    """An ordinary folder, and the same in two parts."""
    folder = tmp_path_factory.mktemp("shards")
    write_problem(course_market(40, 8, 4, 0.9, departments=2), folder / "whole")
    partition_problem(folder / "whole", folder / "cut", 2)
    return folder


def test_parts_are_solved_and_verified_where_they_are(fairlot, problem, tmp_path):
    run = fairlot("solve", problem / "cut", "--out", tmp_path / "r", "--engine", "serial", "--json")
    assert run.code == 0
    assert (run.json["status"], run.json["n_parts"], run.json["n_agents"]) == ("certified", 2, 40)
    told = fairlot("verify", tmp_path / "r")
    assert told.code == 0
    assert "All of these checks pass." in told.out
    again = fairlot("solve", problem / "cut", "--out", tmp_path / "r", "--engine", "serial")
    assert again.code == 2
    assert "exists already" in again.err
    once_more = fairlot("solve", problem / "cut", "--out", tmp_path / "r", "--engine", "serial", "--force")
    assert once_more.code == 0
    assert "40 agents in 2 parts" in once_more.out
    assert "Certified: all 10 conditions" in once_more.out


def test_shards_of_an_ordinary_folder_give_an_ordinary_result(fairlot, problem, tmp_path):
    run = fairlot("solve", problem / "whole", "--out", tmp_path / "r", "--shards", 3, "--engine", "serial")
    assert run.code == 0
    assert "shards" in run.out
    assert (tmp_path / "r" / "lottery.json").is_file()
    assert fairlot("verify", tmp_path / "r").code == 0


def test_options_without_meaning_for_parts_are_refused(fairlot, problem, tmp_path):
    run = fairlot("solve", problem / "cut", "--out", tmp_path / "r", "--method", "nash", "--seed", 3)
    assert run.code == 2
    assert "--method: not with parts: found 'nash'" in run.err
    assert "--seed: not with parts: found '3'" in run.err
