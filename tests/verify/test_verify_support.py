"""Certificates of support functions: a planted wrong answer for each check."""

import numpy as np
import pytest

from fairlot.model.beliefs import Beliefs
from fairlot.model.menus import Menu, Ray
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.verify.support import SUPPORT_REQUIRED, verify_support

W = np.array([1.0, 1.0])
RAYS = np.array([[-1.0, 1.5], [1.5, -1.0]])


def claim(**changed):
    problem = ReallocationProblem.from_arrays(
        [[1.0, 1.0]], [[1.0, 1.0]], Beliefs.uniform(0.5, 1.5), caps=Caps(changed.pop("load_growth", None))
    )
    claimed = {
        "rays": RAYS,
        "activation": np.full(2, 3 / 16),
        "gain": 3 / 16,
        "value": 2 + 3 / 16,
        "upper_bound": 2.2,
    } | changed
    rays = claimed.pop("rays")
    menu = Menu("agent1", tuple(Ray(f"r{k}", ray) for k, ray in enumerate(rays)))
    return verify_support(problem, "agent1", W, menu, **claimed)


def test_a_right_claim_passes():
    found = claim()
    assert found.passed
    assert sorted(check.name for check in found.checks) == sorted(SUPPORT_REQUIRED)


@pytest.mark.parametrize(
    ("changed", "name"),
    [
        (
            {"rays": RAYS[:1] * 1.2, "activation": np.full(1, 3 / 16), "gain": 0.1125, "value": 2.1125},
            "non-negative",
        ),
        ({"load_growth": 0.1}, "caps"),
        (
            {
                "rays": np.array([[-1.0, 1.2], [0.8, -1.0]]),
                "activation": np.array([0.3375, 0.69375]),
                "gain": 0.0675,
                "value": 2.0675,
            },
            "polarized menu",
        ),
        ({"activation": np.full(2, 0.2), "gain": 0.2, "value": 2.2}, "activation"),
        ({"gain": 0.18, "value": 2.18}, "gain"),
        ({"value": 2.19}, "value"),
        ({"upper_bound": 2.18}, "bound"),
        ({"gain": np.nan, "value": np.nan}, None),
    ],
)
def test_each_planted_fault_fails_exactly_its_check(changed, name):
    found = claim(**changed)
    assert not found.passed
    if name is not None:
        assert [check.name for check in found.failed] == [name]
