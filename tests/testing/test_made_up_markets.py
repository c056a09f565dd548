"""The made-up markets are the same for the same seed and have what their names say."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from fairlot.errors import MissingExtraError
from fairlot.model.market import PseudoMarket
from fairlot.testing import (
    VALUE_KINDS,
    acceptable_bundles,
    best_use,
    course_market,
    pseudo_markets,
    random_values,
    unit_demand,
    utility_of_mean,
)


@pytest.mark.parametrize("kind", VALUE_KINDS)
def test_every_kind_of_values(kind: str) -> None:
    first, second = (random_values(kind, 40, 12, np.random.default_rng(5)) for _ in range(2))
    assert_array_equal(first, second)
    assert first.shape == (40, 12)
    assert np.isfinite(first).all()
    assert (first >= 0).all()
    distinct = {"binary": 2, "coarse": 4, "grades": 11, "ranks": 12}
    assert len(np.unique(first)) <= distinct.get(kind, 481)
    if kind == "types":
        assert len(np.unique(first, axis=0)) <= 4


def test_unknown_kind() -> None:
    with pytest.raises(ValueError, match="unknown kind of values 'odd'; there are uniform, "):
        random_values("odd", 1, 1, np.random.default_rng(0))


def test_same_seed_same_market() -> None:
    for make in (unit_demand, course_market):
        one, same, other = make(20, 10, 3), make(20, 10, 3), make(20, 10, 4)
        assert_array_equal(one.values.toarray(), same.values.toarray())
        assert_array_equal(one.capacities, same.capacities)
        assert (one.values.toarray() != other.values.toarray()).any()


def test_unit_demand_seats() -> None:
    market = unit_demand(100, 10, ratio=0.5, unequal_budgets=True)
    assert market.capacities.tolist() == [5] * 10
    assert market.budgets.min() < 0.7 < 1.3 < market.budgets.max()
    assert market.families.n_nodes == 100


def test_course_market_with_everything() -> None:
    market = course_market(
        60,
        24,
        1,
        0.8,
        kind="grades",
        departments=4,
        tapers=True,
        limits=True,
        acceptable=0.4,
        unequal_budgets=True,
    )
    assert market.families.infeasible == ()
    per_student = np.bincount(market.pair_agent, minlength=60)
    assert per_student.min() >= 5
    assert 0.3 < market.values.nnz / (60 * 24) < 0.7
    assert len(market.tapers) == len(market.limits) == 4
    assert (market.families.lower > 0).any()
    assert abs(market.capacities.sum() - 0.8 * 5 * 60) < 24


def test_no_majors() -> None:
    assert not (course_market(30, 12, 2, majors=False).families.lower > 0).any()


def test_bundles_straight_from_the_definition() -> None:
    market = PseudoMarket.from_arrays([[2.0, 1.0]], capacities=[1, 0], per_agent=[2, 1])
    bundles = acceptable_bundles(market, 0)
    assert bundles.copies.tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]
    assert bundles.utility.tolist() == [0, 1, 2, 3, 4, 5]
    assert acceptable_bundles(market, 0, existing=True).copies.tolist() == [[0, 0], [1, 0]]


def test_closures() -> None:
    market = PseudoMarket.from_arrays([[2.0, 1.0]], capacities=1)
    assert utility_of_mean(market, 0, np.array([0.5, 0.5])) == pytest.approx(1.5, abs=1e-9)
    assert utility_of_mean(market, 0, np.array([1.5, 0.5])) == -np.inf
    assert best_use(market, 0, np.array([1.5, 0.5])) == pytest.approx(2.5, abs=1e-9)


def test_strategies_name_the_extra_they_need(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hypothesis", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'fairlot\[dev\]'"):
        pseudo_markets()
