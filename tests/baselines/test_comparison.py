"""One table for many mechanisms, whatever becomes of each."""

from __future__ import annotations

import numpy as np
import pytest
from small_markets import several, unit

from fairlot.baselines import comparison, exchanges, mechanisms, running
from fairlot.baselines.comparison import compare_mechanisms, run_apart
from fairlot.baselines.exchanges import Saved
from fairlot.baselines.measures import Measures
from fairlot.baselines.outcome import Outcome
from fairlot.baselines.running import Job, work
from fairlot.errors import InvalidProblemError
from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import ReallocationProblem
from fairlot.testing import timetable_market


def test_rows_come_in_the_order_asked_for_and_say_what_does_not_apply() -> None:
    market = several([[3, 2], [2, 3]])
    table = compare_mechanisms(market, ["top-trading-cycles", "round-robin"], n_draws=5)
    assert [row.mechanism.name for row in table.rows] == ["top-trading-cycles", "round-robin"]
    assert table["top-trading-cycles"].measures is None
    assert table["top-trading-cycles"].note == "does not apply: every agent must want exactly one copy"
    row = table["round-robin"]
    assert isinstance(row.measures, Measures)
    assert row.n_draws == 5
    assert row.seconds > 0
    assert row.memory_mb > 10


def test_a_run_apart_is_the_run_itself() -> None:
    job = Job("serial-dictatorship", unit([[3, 2, 1], [3, 1, 2], [1, 2, 3]]), 6, 4, None)
    apart, here = run_apart(job).found, work(job).found
    assert isinstance(apart, Outcome)
    assert isinstance(here, Outcome)
    np.testing.assert_array_equal(apart.draws, here.draws)


def test_a_mechanism_that_fails_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise ValueError("first line\nsecond line")

    own = mechanisms.Baseline("broken", "broken", broken, mechanisms.BASELINES[0].incentives)  # type: ignore[arg-type]
    monkeypatch.setattr(running, "BASELINES", (own,))
    answer = work(Job("broken", several([[1.0]]), 1, 0, None))
    assert (answer.found, answer.fault) == (None, "first line")


def test_a_process_that_dies_is_a_row_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comparison.sys, "executable", "false")
    answer = run_apart(Job("round-robin", several([[1.0]]), 2, 0, None))
    assert (answer.found, answer.fault) == (None, "crashed: 1")


def test_tasks_are_compared_by_what_is_saved() -> None:
    beliefs = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
    problem = ReallocationProblem.from_arrays([[4, 4], [4, 4]], [[1, 3], [3, 1]], beliefs)
    names = ["no-choice", "bilateral", "fixed-price", "first-best"]
    table = compare_mechanisms(problem, names, n_draws=40)
    saved = [table[name].measures for name in names]
    assert all(isinstance(one, Saved) for one in saved)
    means = [one.mean for one in saved if isinstance(one, Saved)]
    assert means[0] == 0.0
    assert max(means[1:3]) <= means[3] + 1e-9
    obvious = [one.obvious for one in saved if isinstance(one, Saved)]
    assert obvious == [True, True, True, False]  # of two tasks, opposite rays are polarized


def test_the_fixed_price_protocol_of_design_note_7_is_not_obvious() -> None:
    """Prices (1, 1) and amounts (2, 2): a type (1, 2) does best by (4, 0), which may leave her with 6."""
    beliefs = Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
    problem = ReallocationProblem.from_arrays([[2, 2], [2, 2]], [[1, 3], [3, 1]], beliefs)
    menus = exchanges.fixed_price_menus(problem, np.ones(2))
    assert menus.changes.tolist() == [[2, -2], [-2, 2]] * 2
    assert not exchanges.obvious_witness(problem, menus)  # two opposite rays alone are polarized
    three = ReallocationProblem.from_arrays(
        [[2, 2, 2], [2, 2, 2]], [[1, 3, 2], [3, 1, 2]], Beliefs.uniform([0.5] * 3, [1.5] * 3)
    )
    witness = exchanges.obvious_witness(three, exchanges.fixed_price_menus(three, np.ones(3)))
    assert "another pick one of only" in witness


def test_time_is_up_at_the_limit() -> None:
    values = np.random.default_rng(0).random((60, 60))
    job = Job("top-trading-cycles", unit(values), 5000, 0, 0.2)
    answer = run_apart(job)
    assert answer.found is None
    assert answer.fault == "stopped after 0.2 s"


def test_names_and_numbers_are_checked_together() -> None:
    with pytest.raises(InvalidProblemError) as caught:
        compare_mechanisms(several([[1.0]]), ["equilibrium", "lottery", "auction"], n_draws=0)
    assert [issue.found for issue in caught.value.issues] == ["lottery", "auction", "0"]


def test_timetables_are_refused_in_one_line() -> None:
    market = timetable_market(6, 4, slots=2, load=2)
    with pytest.raises(
        InvalidProblemError, match=r"^timetables cannot be compared .*fairlot solve"
    ) as refusal:
        compare_mechanisms(market, ["round-robin"], n_draws=2)
    assert len(refusal.value.issues) == 1
