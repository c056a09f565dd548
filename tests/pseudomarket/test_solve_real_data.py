"""Real markets, beside the checkout: every one certified to 1e-9."""

from __future__ import annotations

from pathlib import Path

import pytest

from fairlot.certificate import Status
from fairlot.io.problem import read_problem
from fairlot.pseudomarket.solve import solve_equilibrium

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data"

SMALL = ["agh-2003", "ariel", "glasgow-1", "glasgow-2", "glasgow-3"]
LARGE = ["umass-courses", "umass-slots", "reviews-2015"]


@pytest.mark.parametrize("name", [*SMALL, *(pytest.param(name, marks=pytest.mark.slow) for name in LARGE)])
def test_real_market_is_certified(name):
    if not (DATA / name).is_dir():
        pytest.skip(f"{DATA / name} is not there")
    found = solve_equilibrium(read_problem(DATA / name))
    failed = [(check.name, check.residual, check.witness) for check in found.certificate.failed]
    assert found.status is Status.CERTIFIED, failed
    assert found.certificate.worst <= 1e-9
    assert found.utility_loss.max() <= 1e-9
    assert max(found.envy, found.budget_gap, found.clearing) <= 1e-9
