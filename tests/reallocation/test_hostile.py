"""Hostile problems from value to letters: nothing to choose, nothing to move, ties, extreme sizes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.design import design_menus
from fairlot.reallocation.letters import letters_document, menus_document
from fairlot.reallocation.outcome import reallocate_positions
from fairlot.reallocation.value.choice import value_of_choice

UNIFORM = Beliefs.uniform(0.5, 1.5)
rng = np.random.default_rng(0)

CASES = {
    "one agent": {"status_quo": [[2, 3]], "costs": [[1, 2]]},
    "one task": {"status_quo": [[2], [3]], "costs": [[1], [2]]},
    "one of each": {"status_quo": [[1]], "costs": [[1]]},
    "an agent with nothing": {"status_quo": [[2, 3], [0, 0], [1, 4]], "costs": rng.random((3, 2))},
    "a task of nobody": {"status_quo": [[2, 0, 3], [3, 0, 1]], "costs": rng.random((2, 3))},
    "nobody shares a task": {"status_quo": [[2, 0], [0, 3]], "costs": rng.random((2, 2))},
    "nothing at all": {"status_quo": np.zeros((2, 2)), "costs": rng.random((2, 2))},
    "costs of zero": {"status_quo": [[2, 1], [1, 2]], "costs": np.zeros((2, 2))},
    "negative costs": {"status_quo": [[2, 1], [1, 2]], "costs": [[-1, 2], [3, -4]]},
    "ties everywhere": {"status_quo": np.ones((5, 3)), "costs": np.tile([[1.0, 2.0, 1.0]], (5, 1))},
    "tiny": {"status_quo": 1e-9 * np.ones((3, 2)), "costs": rng.random((3, 2))},
    "huge": {"status_quo": 1e8 * np.ones((3, 2)), "costs": 1e6 * rng.random((3, 2))},
    "very unequal": {"status_quo": [[1e6, 1e-3], [1e-3, 1e6], [1, 1]], "costs": rng.random((3, 2))},
    "no room to grow": {
        "status_quo": np.ones((3, 2)),
        "costs": rng.random((3, 2)),
        "caps": Caps(load_growth=0.0, task_growth=0.0),
    },
    "known types": {
        "status_quo": [[2, 1], [1, 2]],
        "costs": [[1, 3], [3, 1]],
        "beliefs": Beliefs.degenerate([[2.0, 1.0], [1.0, 2.0]]),
    },
    "known types, all ties": {
        "status_quo": [[2, 1], [1, 2]],
        "costs": [[1, 3], [3, 1]],
        "beliefs": Beliefs.degenerate(1.0),
    },
    "two samples": {
        "status_quo": [[2, 1], [1, 2]],
        "costs": [[1, 3], [3, 1]],
        "beliefs": Beliefs.from_samples(rng.random((2, 2, 2))),
    },
    "costs may be zero": {
        "status_quo": [[2, 1], [1, 2]],
        "costs": [[1, 3], [3, 1]],
        "beliefs": Beliefs.uniform(0.0, 1.0),
    },
    "a large group": {"status_quo": [[2, 1], [1, 2]], "costs": [[1, 3], [3, 1]], "sizes": [30, 1]},
    "money that is paid": {
        "status_quo": [[2, 1], [1, 2]],
        "costs": [[1, 3], [3, 1]],
        "transfer": [False, True],
    },
}


@pytest.mark.parametrize("name", CASES)
def test_from_value_to_letters(name):
    problem = ReallocationProblem.from_arrays(**{"beliefs": UNIFORM, **CASES[name]})
    size = max(1e-300, float(np.abs(problem.costs * problem.status_quo).sum()))
    found = value_of_choice(problem, draws=2)
    assert found.words()
    assert found.no_choice.saving >= -1e-9 * size
    assert found.bilateral.saving >= 0
    for method in ("bilateral", "two-price"):
        design = design_menus(problem, method=method, draws=3)
        assert design.certificate.passed, design.certificate.failed
        assert (design.simulation.savings >= -1e-9 * size).all()
        menus = design.menus
        assert menus_document(problem, menus)
        members = np.repeat(np.arange(problem.n_agents), problem.sizes)
        first = menus.starts[members]
        has_choice = menus.starts[members + 1] > first
        outcome = reallocate_positions(problem, menus, np.where(has_choice, first, -1))
        assert outcome.certificate.passed, outcome.certificate.failed
        assert outcome.saving >= -1e-9 * size
        assert letters_document(outcome)
        lottery = outcome.lottery()
        assert lottery.kind == "reallocation"


def test_an_endowment_apart_from_the_status_quo_is_where_trades_start():
    problem = ReallocationProblem.from_arrays(
        [[2, 1], [1, 2]], [[1, 3], [3, 1]], UNIFORM, endowment=[[1, 2], [2, 1]]
    )
    outcome = reallocate_positions(problem, design_menus(problem, draws=2).menus, np.array([-1, -1]))
    assert_allclose(outcome.amounts, problem.endowment, rtol=0)
    # what they keep is not what they may insist on: said, not hidden
    assert [check.name for check in outcome.certificate.failed] == ["participation"]
