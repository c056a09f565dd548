"""The reallocation problem: what is refused, in which words, and what is derived."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_allclose

from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.model.beliefs import Beliefs
from fairlot.model.tasks import Caps, ReallocationProblem
from fairlot.reallocation.obvious.rays import ray_extents

GOOD = {"status_quo": [[2.0, 1.0], [1.0, 2.0]], "costs": [[1.0, 3.0], [2.0, 1.0]]}
UNIFORM = Beliefs.uniform(0.5, 1.5)


def make(beliefs=UNIFORM, **changes):
    return ReallocationProblem.from_arrays(**{**GOOD, **changes}, beliefs=beliefs)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"status_quo": [[-1.0, 1.0], [1.0, 2.0]]}, "status quo of agent 'agent1', task 'task1'"),
        ({"status_quo": [[np.nan, 1.0], [1.0, 2.0]]}, "status quo of agent 'agent1', task 'task1'"),
        ({"costs": [[np.inf, 1.0], [1.0, 2.0]]}, "cost of agent 'agent1', task 'task1'"),
        ({"costs": [[1e300, 1.0], [1.0, 2.0]]}, "cost of agent 'agent1', task 'task1'"),
        ({"sizes": [1, 0]}, "size of agent 'agent2'"),
        ({"sizes": [1, 1.5]}, "size of agent 'agent2'"),
        ({"beta": 0.9}, "beta of agent 'agent1'"),
        ({"agents": ["a", "a"]}, "duplicate agent id"),
        ({"tasks": ["", "a"]}, "task id is empty"),
        ({"caps": Caps(load_growth=-0.1)}, "cap load_growth"),
        ({"caps": Caps(task_growth=np.nan)}, "cap task_growth"),
        ({"forbidden": [[True, False], [False, False]]}, "task 'task1', which is forbidden to her"),
        ({"endowment": [[2.0, 1.0], [2.0, 2.0]]}, "endowment of task 'task1' does not add up"),
        ({"free_total": [True, False]}, "task 'task1' has a free total"),
        ({"counts": [3.0, -1.0]}, "count of task 'task2'"),
        ({"counts": [3.0]}, "counts: found 'shape (1,)'"),
        ({"beliefs": Beliefs.uniform(-1.0, 1.0)}, "low of agent 'agent1', task 'task1'"),
        ({"beliefs": Beliefs.uniform(2.0, 1.0)}, "high of agent 'agent1', task 'task1'"),
        ({"beliefs": Beliefs.uniform(0.0, 0.0)}, "high of agent 'agent1', task 'task1'"),
        ({"beliefs": Beliefs.uniform(0.0, np.inf)}, "high of agent 'agent1', task 'task1'"),
        ({"beliefs": Beliefs.triangular(1.0, 2.0, mode=3.0)}, "mode of agent 'agent1'"),
        ({"beliefs": Beliefs.beta(1.0, 2.0, a=0.0, b=1.0)}, "a of agent 'agent1'"),
        ({"beliefs": Beliefs.beta(1.0, 2.0, a=1.0, b=np.nan)}, "b of agent 'agent1'"),
        ({"beliefs": Beliefs.lognormal(-1.0, 0.5)}, "median of agent 'agent1'"),
        ({"beliefs": Beliefs.lognormal(1.0, 0.0)}, "sigma of agent 'agent1'"),
        ({"beliefs": Beliefs.normal(np.nan, 1.0)}, "mean of agent 'agent1'"),
        ({"beliefs": Beliefs.normal(1.0, -1.0)}, "sd of agent 'agent1'"),
        ({"beliefs": Beliefs.marginals("degenerate", 1.0, 2.0)}, "high of agent 'agent1'"),
        ({"beliefs": Beliefs.uniform([1.0, 1.0, 1.0], 2.0)}, "beliefs: found 'shape (1, 3)'"),
    ],
)
def test_faults_name_their_place(changes, message):
    with pytest.raises(InvalidProblemError) as caught:
        make(**changes)
    assert any(message in str(issue) for issue in caught.value.issues), str(caught.value)


def test_every_fault_is_told_at_once():
    with pytest.raises(InvalidProblemError) as caught:
        make(status_quo=[[-1.0, np.nan], [1.0, 2.0]], beta=0.5, sizes=0)
    assert len(caught.value.issues) == 6


def test_counts_costs_and_groups_are_per_member():
    problem = make(sizes=[3, 2])
    assert_allclose(problem.counts, [8, 7], rtol=0)
    assert_allclose(problem.status_quo_cost, 3 * 5 + 2 * 4, rtol=0)


def test_a_count_rescales_its_column_and_says_so():
    with pytest.warns(UserWarning, match="task 'task1': the status quo adds up to 3, its count is 6"):
        problem = make(counts=[6, 3])
    assert_allclose(problem.status_quo, [[4, 1], [2, 2]], rtol=1e-15)


def test_nobody_can_be_rescaled_to_something():
    with pytest.raises(InvalidProblemError, match="nobody has task 'task2'"):
        make(status_quo=[[1.0, 0.0], [1.0, 0.0]], counts=[2, 1])


def test_caps_and_forbidden_tasks_become_ceilings():
    forbidden = [[False, False], [True, False]]
    problem = make(
        status_quo=[[2.0, 1.0], [0.0, 2.0]], caps=Caps(load_growth=0.5, task_growth=0.25), forbidden=forbidden
    )
    assert_allclose(problem.amount_ceilings, [[2.5, 1.25], [0, 2.5]], rtol=0)
    assert_allclose(problem.load_ceilings, [4.5, 3.0], rtol=0)
    assert np.isinf(make().amount_ceilings).all()


@pytest.mark.parametrize("library", [pd, pl])
def test_frames_are_matched_by_ids(library):
    status_quo = library.DataFrame({"agent": ["x", "y"], "p": [2.0, 1.0], "q": [1.0, 2.0]})
    costs = library.DataFrame({"agent": ["y", "x"], "q": [1.0, 3.0], "p": [2.0, 1.0]})
    problem = ReallocationProblem.from_arrays(status_quo, costs, UNIFORM)
    assert problem.agents == ("x", "y")
    assert problem.tasks == ("p", "q")
    assert_allclose(problem.costs, GOOD["costs"], rtol=0)
    with pytest.raises(InvalidProblemError, match="no row or column for task 'q'"):
        ReallocationProblem.from_arrays(status_quo, costs[["agent", "p"]], UNIFORM)


def test_goods_and_free_transfers_are_refused_where_they_are_not_built():
    make(transfer=[True, False]).require_fixed_burdens()
    with pytest.raises(NotSupportedError, match="rather have more of are not supported yet: task2"):
        make(burden=[True, False]).require_fixed_burdens()
    with pytest.raises(NotSupportedError, match="free total are not supported yet: task1"):
        make(transfer=[True, False], free_total=[True, False]).require_fixed_burdens()


def test_transfers_are_no_load():
    problem = make(transfer=[False, True], caps=Caps(load_growth=0.5))
    assert_allclose(problem.load_ceilings, [3.0, 1.5], rtol=0)
    extents = ray_extents(problem, np.array([0, 0]), np.array([[1.0, -0.5], [-1.0, 1.0]]))
    assert_allclose(extents, [1.0, 2.0], rtol=1e-12)  # the second adds money only


def test_the_input_is_copied_and_nothing_can_be_changed():
    amounts = np.array(GOOD["status_quo"])
    problem = make(status_quo=amounts)
    amounts[0, 0] = 7
    assert problem.status_quo[0, 0] == 2
    with pytest.raises(ValueError, match="read-only"):
        problem.costs[0, 0] = 1


def test_frames_without_numbers_are_told_by_column():
    status_quo = pd.DataFrame({"agent": ["x", "y"], "p": ["two", "1"], "q": [1.0, 2.0]})
    with pytest.raises(InvalidProblemError, match=r"column p: status_quo: found .*, expected numbers"):
        ReallocationProblem.from_arrays(status_quo, [[1.0, 2.0]] * 2, UNIFORM)
    with pytest.raises(InvalidProblemError, match="a column 'agent'"):
        ReallocationProblem.from_arrays(status_quo[["q"]], [[1.0]] * 2, UNIFORM)
