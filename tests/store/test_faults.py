"""Promises "saved means saved" and "faults"; ``make test-faults`` runs the same at full length."""

import os
from pathlib import Path

import pytest

pytest.importorskip("sqlalchemy")

import faults

if os.environ.get("FAIRLOT_TEST_DATABASE") or not hasattr(os, "fork"):
    pytest.skip("faults are made in files of SQLite, by forks", allow_module_level=True)


def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path) -> None:
    counts = faults.kill_runs(tmp_path, 30, seed=1, batch=30)
    assert counts.runs == 30
    assert counts.acknowledged > 0
    assert not counts.faults


def test_a_full_disk_gives_no_false_saved(tmp_path: Path) -> None:
    counts = faults.disk_full(tmp_path)
    assert counts.refused == 10
    assert not counts.faults


def test_an_io_error_gives_no_false_saved(tmp_path: Path) -> None:
    counts = faults.io_error(tmp_path)
    assert counts.refused == 10
    assert not counts.faults


def test_a_clock_that_jumps_harms_nothing(tmp_path: Path) -> None:
    assert not faults.clock_jumps(tmp_path).faults


def test_a_worker_killed_while_it_solves_leaves_no_half_result(tmp_path: Path) -> None:
    assert not faults.worker_killed(tmp_path, 1).faults


@pytest.mark.slow
def test_kill_9_a_thousand_times(tmp_path: Path) -> None:
    counts = faults.kill_runs(tmp_path, 1000)
    assert not counts.faults
