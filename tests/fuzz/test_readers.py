"""Whatever is in a file, its reader ends with what it read or with clear lines: no traceback, bounded memory.

Few inputs here, many with ``python tests/fuzz/run.py`` (``make fuzz``), which prints how many were tried.
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import pytest
from bombs import BOMBS
from hostile import Choose
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from readers import (
    FAIRPYX,
    MAPPING,
    MARKET,
    MARKET_RESULT,
    OUTCOME_RESULT,
    PREFLIB,
    READERS,
    SAMPLES,
    SHEETS,
    TASKS,
    VALUATION,
    WIDE,
    outcome,
)

from fairlot.io.formats.fairpyx import read_fairpyx
from fairlot.io.formats.mapping import read_mapping
from fairlot.io.formats.preflib import read_preflib
from fairlot.io.problem import parse_problem_files, parse_reallocation_files
from fairlot.io.verification import verify_files
from fairlot.model.valuations import Valuation

HERE = Path(__file__).parent
SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example]


def chooser(data: st.DataObject) -> Choose:
    """Let hypothesis choose."""
    return lambda n: data.draw(st.integers(0, n - 1))


def test_the_input_that_is_mangled_is_good() -> None:
    """Else the readers would refuse everything for the same reason."""
    for files in (MARKET, WIDE):
        parse_problem_files(files)
    for files in (TASKS, SAMPLES):
        parse_reallocation_files(files)
    for files in (MARKET_RESULT, OUTCOME_RESULT):
        found = verify_files(files)
        assert found.passed, found.failed
    for kind, data in PREFLIB.items():
        read_preflib(data, f"x.{kind}")
    read_fairpyx(FAIRPYX, "x.json")
    read_mapping(MAPPING, "mapping.toml")
    assert Valuation.from_json(VALUATION)
    assert SHEETS


@pytest.mark.parametrize("name", READERS)
def test_a_few_hostile_inputs(name: str) -> None:
    """The same few on every run, cheap: a generator chooses."""
    for seed in range(25):
        choose = random.Random(f"{name} {seed}").randrange
        assert outcome(READERS[name], READERS[name].make(choose)) in ("read", "refused")


@pytest.mark.parametrize(
    "name", ["problem folder, market", "problem folder, tasks", "import of spreadsheets"]
)
@settings(max_examples=25, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_hostile_inputs_that_shrink(name: str, data: st.DataObject) -> None:
    outcome(READERS[name], READERS[name].make(chooser(data)))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
@settings(max_examples=1500, deadline=None, suppress_health_check=SLOW)
@given(data=st.data())
def test_many_hostile_inputs(name: str, data: st.DataObject) -> None:
    outcome(READERS[name], READERS[name].make(chooser(data)))


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_small_files_that_would_fill_the_memory(name: str) -> None:
    """Each is refused in clear lines within 3 GB of address space, in a process of its own."""
    command = [sys.executable, str(HERE / "bombs.py"), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
