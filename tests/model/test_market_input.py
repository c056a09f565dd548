"""What a market accepts, and how it tells every fault at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse as sp
from numpy.testing import assert_allclose, assert_array_equal

from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Limit, Quota, Taper, by_group
from fairlot.model.hierarchy import UNBOUNDED
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation


def faults(*args: Any, **kwargs: Any) -> list[str]:
    with pytest.raises(InvalidProblemError) as caught:
        PseudoMarket.from_arrays(*args, **kwargs)
    return [str(issue) for issue in caught.value.issues]


def test_every_fault_is_told_at_once() -> None:
    told = faults(
        [[1, -2], [np.inf, 3]],
        capacities=[-1, 1.5],
        budgets=[0, np.nan],
        agents=["x", "x"],
        goods=["a", ""],
        per_agent=[0, 1],
        quotas=[
            Quota("minmax", min=2, max=1),
            Quota("who", agents=["nobody"]),
            Quota("what", ["nothing"]),
            Quota("half", max=0.5),  # type: ignore[arg-type]
            Quota("many", max=[1, 2, 3]),
        ],
        tapers=[Taper("rising", (0, 1)), Taper("none", ()), Taper("nan", (np.nan,))],
        limits=[Limit("negative", -1), Limit("one", 1, ["a"]), Limit("unknown", 1, ["zz"])],
    )
    expected = [
        "duplicate agent id: found 'x'",
        "good id is empty",
        "capacity of good 'a': found '-1', expected an integer of at least 0",
        "capacity of good '': found '1.5'",
        "per_agent of good 'a': found '0', expected an integer of at least 1",
        "budget of agent 'x': found '0', expected a finite number above 0",
        "budget of agent 'x': found 'nan'",
        "value of agent 'x', good '': found '-2.0'",
        "value of agent 'x', good 'a': found 'inf'",
        "quota 'minmax': min is above max for 2 agents, first for 'x': found 'min 2, max 1'",
        "quota 'who': unknown agent: found 'nobody'",
        "quota 'what': unknown good: found 'nothing'",
        "quota 'half': max: found '0.5', expected integers of at least 0",
        "quota 'many': max: found '3 numbers'",
        "taper 'rising': marginals rise",
        "taper 'none': marginals",
        "taper 'nan': marginals",
        "limit 'negative': max: found '-1', expected an integer of at least 0",
        "limit 'unknown': unknown good: found 'zz'",
    ]
    assert len(told) == len(expected), told
    for line in expected:
        assert any(t.startswith(line) for t in told), line


def test_crossing_limits_are_refused() -> None:
    told = faults(
        [[1, 1, 1]],
        capacities=1,
        goods=["0", "1", "2"],
        limits=[Limit("left", 1, ["0", "1"]), Limit("right", 1, ["1", "2"])],
    )
    assert told == [
        "limit 'left' and limit 'right' cross: '1' is in both, '0' only in the first, "
        "'2' only in the second: expected sets that are nested or disjoint; narrow one of the two, or drop it"
    ]


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("capacity", {"capacities": [1, 2, 3]}),
        ("budgets", {"budgets": [1, 2, 3]}),
        ("per_agent", {"per_agent": [1, 2, 3]}),
    ],
)
def test_wrong_lengths(name: str, arguments: dict[str, Any]) -> None:
    assert faults([[1, 2]], **({"capacities": 1} | arguments))[0].startswith(f"{name}: found 'shape (3,)'")


def test_no_agents() -> None:
    assert faults(np.empty((0, 2)), capacities=1) == ["no agents: expected at least one agent"]


def test_no_goods() -> None:
    assert faults(np.empty((2, 0)), capacities=np.empty(0)) == ["no goods: expected at least one good"]


@pytest.mark.parametrize("bad", [1e300, 2.0**31])
def test_capacities_beyond_counting(bad: float) -> None:
    assert "capacity of good" in faults([[1.0]], capacities=bad)[0]


def test_zero_is_acceptable_and_nan_is_not() -> None:
    market = PseudoMarket.from_arrays([[0.0, np.nan], [1.0, 2.0]], capacities=1)
    assert market.pair_agent.tolist() == [0, 1, 1]
    assert market.pair_good.tolist() == [0, 0, 1]


def test_sparse_values_keep_stored_zeros() -> None:
    matrix = sp.coo_array(([0.0, 3.0], ([0, 1], [1, 0])), shape=(2, 2))
    market = PseudoMarket.from_arrays(matrix, capacities=1)
    assert market.values.nnz == 2
    assert market.pair_good.tolist() == [1, 0]


def test_a_pair_stored_twice_is_one_pair_or_a_fault() -> None:
    doubled = sp.csr_array((np.array([1.0, 2.0]), np.array([0, 0]), np.array([0, 2])), shape=(1, 1))
    told = faults(doubled, capacities=1)
    assert told == ["value of agent 'agent1', good 'good1': stored twice: expected one value per pair"]


@pytest.mark.parametrize("library", [pd, pl])
def test_wide_frames(library: Any) -> None:
    frame = library.DataFrame({"agent": ["x", "y"], "a": [1.0, None], "b": [0.0, 2.0]})
    market = PseudoMarket.from_arrays(frame, capacities=[1, 2])
    assert market.agents == ("x", "y")
    assert market.goods == ("a", "b")
    assert market.pair_agent.tolist() == [0, 0, 1]
    assert_allclose(market.values.data, [1, 0, 2])


@pytest.mark.parametrize("library", [pd, pl])
def test_frames_with_numbers_as_ids(library: Any) -> None:
    frame = library.DataFrame({"agent": [101, 102], "a": [1, 3]})
    assert PseudoMarket.from_arrays(frame, capacities=1).agents == ("101", "102")


def test_frame_without_agents() -> None:
    assert "no column 'agent'" in faults(pd.DataFrame({"a": [1.0]}), capacities=1)[0]


@pytest.mark.parametrize("library", [pd, pl])
def test_frame_with_text_for_numbers(library: Any) -> None:
    frame = library.DataFrame({"agent": ["x"], "a": ["many"], "b": [1.0], "c": ["few"]})
    told = faults(frame, capacities=1)
    assert [line.split(":")[0] for line in told] == ["column a", "column c"]


@pytest.mark.parametrize("library", [pd, pl])
def test_frame_with_a_nameless_agent(library: Any) -> None:
    frame = library.DataFrame({"agent": ["x", None], "a": [1.0, 2.0]})
    assert faults(frame, capacities=1) == ["agent id is empty: expected a non-empty text"]


def test_input_is_copied_and_read_only() -> None:
    capacities, budgets, values = np.array([1, 1]), np.array([1.0]), sp.csr_array(np.ones((1, 2)))
    market = PseudoMarket.from_arrays(values, capacities, budgets)
    capacities[0] = 9
    budgets[0] = 9
    values.data[0] = 9
    assert market.capacities.tolist() == [1, 1]
    assert market.budgets.tolist() == [1.0]
    assert market.values.data.tolist() == [1.0, 1.0]
    for array in (market.capacities, market.budgets, market.per_agent, market.values.data):
        assert not array.flags.writeable


def test_bounds_as_number_mapping_and_sequence() -> None:
    market = PseudoMarket.from_arrays(
        [[1.0], [1.0], [1.0]],
        capacities=3,
        agents=["x", "y", "z"],
        quotas=[
            Quota("one", max=1),
            Quota("map", min={"x": 1}, max={"y": 1}),
            Quota("list", min=[0, 1, 2], max=[1, 2, 3]),
            Quota("some", max=1, agents=["z"]),
        ],
    )
    one, mapped, listed, some = market.bound_sets
    assert_array_equal(one.upper, [1, 1, 1])
    assert_array_equal(mapped.lower, [1, 0, 0])
    assert_array_equal(mapped.upper, [UNBOUNDED, 1, UNBOUNDED])
    assert_array_equal(listed.lower, [0, 1, 2])
    assert_array_equal(listed.upper, [1, 2, 3])
    assert_array_equal(some.upper, [UNBOUNDED, UNBOUNDED, 1])


def test_bounds_for_unknown_agents() -> None:
    told = faults([[1.0]], capacities=1, quotas=[Quota("map", min={"nobody": 1})])
    assert told == ["quota 'map': unknown agent: found 'nobody', expected ids of agents in the market"]


def test_groups_leave_blanks_out_and_narrow() -> None:
    groups = {"a": "x", "b": "x", "c": " ", "d": None, "e": "y"}
    cut = by_group(Limit("seats", 3), groups, "room")
    assert [(limit.goods, limit.label) for limit in cut] == [
        (("a", "b"), "limit 'seats' [room = x]"),
        (("e",), "limit 'seats' [room = y]"),
    ]
    assert [limit.goods for limit in by_group(Limit("seats", 3, ["a", "e"]), groups)] == [("a",), ("e",)]


def test_supply_rows() -> None:
    market = PseudoMarket.from_arrays(
        [[1, 1, 1]],
        capacities=[1, 2, 3],
        goods=["a", "b", "c"],
        limits=[Limit("ab", 2, ["a", "b"]), Limit("all", 4)],
    )
    membership, bounds = market.supply_sets
    assert_array_equal(membership.toarray(), [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 1, 1]])
    assert_array_equal(bounds, [1, 2, 3, 2, 4])


def test_base_values_add_the_first_marginals() -> None:
    market = PseudoMarket.from_arrays(
        [[1.0, 2.0], [1.0, np.nan]],
        capacities=1,
        agents=["x", "y"],
        goods=["a", "b"],
        tapers=[Taper("all", (3, 1)), Taper("a", (10,), ["a"], ["y"])],
    )
    assert_allclose(market.base_values, [4, 5, 14])


def test_shares_by_agent() -> None:
    shares = RandomAllocation(("x", "y"), ("a", "b"), sp.csr_array([[0.5, 0.0], [0.25, 0.75]]))
    assert shares.of("x") == {"a": 0.5}
    assert shares.of("y") == {"a": 0.25, "b": 0.75}
    assert_allclose(shares.to_array(), [[0.5, 0.0], [0.25, 0.75]])
    with pytest.raises(ValueError, match="shape"):
        RandomAllocation(("x",), ("a", "b"), shares.matrix)
