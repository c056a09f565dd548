"""The recorded path: it ends at the equilibrium, and its folds are where μ turns."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

import fairlot as fl
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.trace import Leg, begin_path, pass_point
from fairlot.testing import course_market, timetable_market


@pytest.mark.parametrize("method", ["joint", "path"])
def test_the_path_ends_at_the_equilibrium(method: str) -> None:
    market = course_market(30, 8, seed=2)
    recorder = fl.PathRecorder()
    found = fl.solve_equilibrium(market, method=method, reporter=recorder)  # type: ignore[call-overload]
    assert found.status is fl.Status.CERTIFIED
    leg = recorder.legs[-1]
    assert leg.mu[-1] == leg.mu.min()
    assert leg.prices.shape == (len(leg.mu), market.n_goods)
    assert_allclose(leg.prices[-1], found.prices, atol=1e-5)


def test_recording_changes_nothing() -> None:
    market = course_market(30, 8, seed=2)
    recorded = fl.solve_equilibrium(market, reporter=fl.PathRecorder())
    alone = fl.solve_equilibrium(market)
    assert recorded.prices is not None
    assert alone.prices is not None
    assert recorded.prices.tobytes() == alone.prices.tobytes()


def test_timetables_are_recorded_too() -> None:
    market = timetable_market(12, 6, 1, 0.6, slots=3, load=2, meetings=True)
    assert market.crossings
    recorder = fl.PathRecorder()
    fl.solve_equilibrium(market, reporter=recorder)
    assert recorder.legs[0].road == "equilibrium"


def test_folds_are_where_the_barrier_weight_turns() -> None:
    leg = Leg("a road", np.array([1.0, 0.5, 0.2, 0.3, 0.4, 0.1]), np.zeros((6, 1)))
    assert leg.folds.tolist() == [2, 4]
    assert Leg("a road", np.array([1.0, 0.5, 0.2]), np.zeros((3, 1))).folds.tolist() == []


def test_a_solver_that_goes_back_has_its_detour_forgotten() -> None:
    compiled = compile_market(fl.PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=1))
    recorder = fl.PathRecorder()
    begin_path(recorder, "a road", compiled)
    for mu, price in ((1.0, 0.0), (0.5, 1.0), (0.2, 9.0), (0.5, 1.0), (0.6, 2.0)):
        pass_point(recorder, mu, np.array([price]), np.array([0]))
    (leg,) = recorder.legs
    assert leg.mu.tolist() == [1.0, 0.5, 0.6]
    assert_allclose(leg.prices[:, 0], np.array([0, 1, 2]) * compiled.budget_scale, atol=0)
    assert_allclose(leg.prices[:, 1], 0, atol=0)


def test_stages_and_residuals_are_passed_on() -> None:
    told: list[object] = []

    class Listener:
        def stage(self, name: str) -> None:
            told.append(name)

        def update(self, fraction: float | None = None, residual: float | None = None) -> None:
            told.append(residual)

    market = fl.PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=1)
    fl.solve_equilibrium(market, reporter=fl.PathRecorder(Listener()))
    assert told[0] in ("joint path", "price path")
    assert any(isinstance(entry, float) for entry in told)
