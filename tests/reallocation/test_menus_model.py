"""Rays, menus and trading sets as data."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.model.menus import FiniteSet, Menu, Menus, Polytope, Ray, Segment, TradingProtocol

AGENTS, TASKS = ("a", "b"), ("p", "q")


def menus(*of_b):
    return Menus.of(AGENTS, TASKS, [Menu("b", tuple(of_b))])


@pytest.mark.parametrize(
    ("rays", "message"),
    [
        ((Ray("x", [1, -1]), Ray("x", [-1, 1])), "appears twice"),
        ((Ray("keep", [1, -1]),), "other than 'keep'"),
        ((Ray("x", [0, 0]),), "no displacement"),
        ((Ray("x", [np.nan, 1]),), "no displacement"),
        ((Ray("less", [-1, 0]), Ray("x", [1, -1])), "the only choice"),
        ((Ray("less", [-1, 1]),), "no positive change"),
    ],
)
def test_menu_faults(rays, message):
    with pytest.raises(InvalidProblemError, match=message):
        menus(*rays)


def test_menus_are_looked_up_by_agent():
    both = Menus.of(AGENTS, TASKS, [Menu("b", (Ray("x", [1, -1]),)), Menu("a", (Ray("less", [-2, -1]),))])
    assert both.ray_names == ("less", "x")
    assert both["a"].remedial
    assert not both["b"].remedial
    assert both.starts.tolist() == [0, 1, 2]
    with pytest.raises(InvalidProblemError, match="unknown agent"):
        Menus.of(AGENTS, TASKS, [Menu("z", ())])
    with pytest.raises(InvalidProblemError, match="two menus"):
        Menus.of(AGENTS, TASKS, [Menu("a", ()), Menu("a", ())])


def test_trading_sets_contain_what_they_should():
    segment = Segment([2, 2], [-1, 3])
    assert segment.contains(np.array([1.5, 3.5]))
    assert not segment.contains(np.array([0.5, 6.5]))
    assert not segment.contains(np.array([1.5, 3.6]))
    assert FiniteSet([[1, 2], [2, 1]]).contains(np.array([2.0, 1.0]))
    assert not FiniteSet([[1, 2], [2, 1]]).contains(np.array([1.5, 1.5]))
    box = Polytope.below([2, 1])
    assert box.contains(np.array([0.0, 1.0]))
    assert not box.contains(np.array([0.0, 1.1]))
    assert not box.contains(np.array([-0.1, 1.0]))
    assert sorted(map(tuple, box.points.tolist())) == [(0, 0), (0, 1), (2, 0), (2, 1)]


def test_vertices_of_a_polytope():
    simplex = Polytope([[1, 1, 1]], [2])
    expected = [(0, 0, 0), (0, 0, 2), (0, 2, 0), (2, 0, 0)]
    assert_allclose(sorted(map(tuple, simplex.points.tolist())), expected, rtol=0, atol=1e-12)


def test_a_protocol_lets_everybody_keep_her_endowment():
    keep = FiniteSet([[1, 1]])
    with pytest.raises(InvalidProblemError, match="the endowment alone"):
        TradingProtocol([[1, 1]], ((FiniteSet([[2, 1]]),),), lambda _: np.ones((1, 2)))
    with pytest.raises(InvalidProblemError, match="one per agent"):
        TradingProtocol([[1, 1]], ((keep,), (keep,)), lambda _: np.ones((1, 2)))


def test_a_protocol_too_large_to_enumerate_says_so():
    keep = FiniteSet([[1, 1]])
    protocol = TradingProtocol(np.ones((21, 2)), ((keep, keep),) * 21, lambda _: np.ones((21, 2)))
    with pytest.raises(NotSupportedError, match="too large to enumerate"):
        _ = protocol.outcomes
