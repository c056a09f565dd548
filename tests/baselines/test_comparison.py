"""One table for many mechanisms, whatever becomes of each."""

from __future__ import annotations

import numpy as np
import pytest
from small_markets import several, unit

from fairlot.baselines import mechanisms, running
from fairlot.baselines.comparison import compare_mechanisms, run_apart
from fairlot.baselines.running import Job, work
from fairlot.errors import InvalidProblemError


def test_rows_come_in_the_order_asked_for_and_say_what_does_not_apply() -> None:
    market = several([[3, 2], [2, 3]])
    table = compare_mechanisms(market, ["top-trading-cycles", "round-robin"], n_draws=5)
    assert [row.baseline.name for row in table.rows] == ["top-trading-cycles", "round-robin"]
    assert table["top-trading-cycles"].measures is None
    assert table["top-trading-cycles"].note == "does not apply: every agent must want exactly one copy"
    row = table["round-robin"]
    assert row.measures is not None
    assert row.n_draws == 5
    assert row.seconds > 0
    assert row.memory_mb > 10


def test_a_run_apart_is_the_run_itself() -> None:
    job = Job("serial-dictatorship", unit([[3, 2, 1], [3, 1, 2], [1, 2, 3]]), 6, 4, None)
    apart, here = run_apart(job).outcome, work(job).outcome
    assert apart is not None
    assert here is not None
    np.testing.assert_array_equal(apart.draws, here.draws)


def test_a_mechanism_that_fails_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("first line\nsecond line")

    own = mechanisms.Baseline("broken", "broken", broken, mechanisms.BASELINES[0].incentives)  # type: ignore[arg-type]
    monkeypatch.setattr(running, "BASELINES", (own,))
    answer = work(Job("broken", several([[1.0]]), 1, 0, None))
    assert (answer.outcome, answer.fault) == (None, "first line")


def test_a_process_that_dies_is_a_row_with_the_reason() -> None:
    answer = run_apart(Job("no such mechanism", several([[1.0]]), 1, 0, None))
    assert answer.outcome is None
    assert answer.fault.startswith("crashed: ")


def test_time_is_up_at_the_limit() -> None:
    values = np.random.default_rng(0).random((200, 200))
    job = Job("serial-dictatorship", unit(values), 100_000, 0, 0.2)
    answer = run_apart(job)
    assert answer.outcome is None
    assert answer.fault == "stopped after 0.2 s"


def test_names_and_numbers_are_checked_together() -> None:
    with pytest.raises(InvalidProblemError) as caught:
        compare_mechanisms(several([[1.0]]), ["equilibrium", "lottery", "auction"], n_draws=0)
    assert [issue.found for issue in caught.value.issues] == ["lottery", "auction", "0"]
