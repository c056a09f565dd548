"""Pivots from an earlier equilibrium: the system on a piece, the agents' choices, whole paths."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from fairlot.certificate import Status
from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.nearby import point_near
from fairlot.pseudomarket.pivoting import shift_equilibrium
from fairlot.pseudomarket.pivoting.demand import best_copies
from fairlot.pseudomarket.pivoting.saddle import Saddle
from fairlot.pseudomarket.polish import residual
from fairlot.pseudomarket.solve import solve_equilibrium
from fairlot.testing import course_market, unit_demand
from fairlot.verify.demand import best_affordable


@pytest.mark.parametrize(("n", "r"), [(4, 0), (5, 3), (6, 6), (30, 27)])
def test_the_system_on_a_piece_is_solved_as_by_dense_linear_algebra(n, r):
    rng = np.random.default_rng(n)
    slopes, mix = -rng.random((n, n)) - 5.0 * np.eye(n), rng.normal(size=(n, r))
    right = rng.random(n + r)
    matrix = np.block([[slopes, mix], [mix.T, np.zeros((r, r))]])
    q, copies = Saddle(slopes, mix).solve(right[:n], right[n:])
    assert_allclose(np.concatenate([q, copies]), np.linalg.solve(matrix, right), rtol=1e-6, atol=1e-6)


def test_dependent_columns_are_lifted():
    slopes, mix = -np.eye(3), np.array([[1.0, 1.0], [0.0, 0.0], [-1.0, -1.0]])
    q, copies = Saddle(slopes, mix).solve(np.array([1.0, 2.0, -1.0]), np.zeros(2))
    assert_allclose(slopes @ q + mix @ copies, [1.0, 2.0, -1.0], atol=1e-6)


@pytest.mark.parametrize("tapers", [False, True])
def test_copies_of_somebody_new_are_worth_what_she_can_afford(tapers):
    market = course_market(12, 9, seed=3, departments=3, load=3, tapers=tapers)
    compiled = compile_market(market)
    price = np.random.default_rng(0).random(9)
    best = best_affordable(market, price * compiled.budget_scale)
    for i in range(12):
        copies = best_copies(compiled, i, price, 1e-9, float(compiled.budget[i]))
        pairs = slice(compiled.start[i], compiled.start[i + 1])
        worth = float(compiled.value[pairs] @ copies)
        if tapers:
            nodes = np.arange(compiled.node_start[i], compiled.node_start[i + 1])
            totals = [copies[(compiled.chain[pairs] == a).any(axis=1)].sum() for a in nodes]
            over = np.maximum(np.array(totals) - compiled.upper[nodes], 0.0)
            soft = np.isfinite(compiled.penalty[nodes])
            worth -= float(compiled.penalty[nodes][soft] @ over[soft])
        assert_allclose(worth * compiled.value_scale[i], best.value[i], rtol=1e-7)


@pytest.mark.parametrize("tapers", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_a_path_to_one_more_seat_ends_at_rounding(seed, tapers):
    market = course_market(50, 10, seed, 0.8, departments=3, tapers=tapers, limits=seed % 2 == 1)
    found = solve_equilibrium(market)
    capacities = market.capacities.copy()
    capacities[int(np.argmax(found.prices))] += 1
    changed = replace(market, capacities=capacities)
    compiled = compile_market(changed)
    end = shift_equilibrium(compiled, point_near(compiled, found))
    assert end is not None
    assert residual(compiled, end) <= 1e-11


@pytest.mark.parametrize("seed", range(3))
def test_somebody_new_and_somebody_with_other_wishes(seed):
    market = unit_demand(20, 6, seed, "correlated", ratio=0.8)
    found = solve_equilibrium(market)
    values = market.values.toarray()
    values[3] = values[3][::-1]
    again = solve_equilibrium(
        PseudoMarket.from_arrays(
            np.vstack([values, values[:1]]), capacities=market.capacities, quotas=[Quota("one", max=1)]
        ),
        start=found,
    )
    assert again.status is Status.CERTIFIED


def test_no_factorisations_no_path():
    market = course_market(50, 10, 0, 0.8, departments=3)
    found = solve_equilibrium(market)
    capacities = market.capacities + 1
    compiled = compile_market(replace(market, capacities=capacities))
    assert shift_equilibrium(compiled, point_near(compiled, found), max_iter=0) is None
