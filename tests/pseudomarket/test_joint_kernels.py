"""The joint road's kernels and Newton steps against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket, compile_market
from fairlot.pseudomarket.joint.kernels import (
    largest_ratio,
    node_totals,
    pair_duals,
    step_and_project,
    tree_solve,
    tree_weights,
)
from fairlot.pseudomarket.joint.newton import Linearization
from fairlot.pseudomarket.joint.system import JointSystem, Residual, State


def membership(compiled: CompiledMarket) -> np.ndarray:
    dense = np.zeros((compiled.n_nodes, compiled.n_pairs))
    for k, chain in enumerate(compiled.chain):
        dense[chain[chain >= 0], k] = 1.0
    return dense


def forced_market() -> PseudoMarket:
    """Lower bounds that force copies on two agents, among others who are free."""
    values = np.array([[3.0, 2.0, np.nan, 1.0], [2.0, np.nan, 3.0, 1.0], [1.0, 4.0, 2.0, 3.0]])
    goods = ["a", "b", "c", "d"]
    quotas = [
        Quota("load", max=2),
        Quota("both", goods=["b", "c"], min=1, agents=["agent1", "agent2"]),
    ]
    return PseudoMarket.from_arrays(values, [2, 2, 2, 1], [1.0, 1.2, 0.9], goods=goods, quotas=quotas)


CASES = [*(random_market(seed) for seed in range(10)), forced_market()]


def random_state(system: JointSystem, seed: int) -> State:
    rng = np.random.default_rng(seed)
    size = len(system.weight)
    return State(
        primal=10.0 ** rng.uniform(-2, 1, size),
        dual=10.0 ** rng.uniform(-2, 1, size),
        free=rng.normal(size=len(system.equal)),
    )


def flat(residual: Residual) -> np.ndarray:
    return np.concatenate(list(vars(residual).values()))


@pytest.mark.parametrize("market", CASES)
def test_totals_and_duals_are_products_with_the_membership(market):
    compiled = compile_market(market)
    system = JointSystem(compiled, np.full(compiled.n_agents, 0.01))
    dense = membership(compiled)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=compiled.n_pairs), rng.normal(size=compiled.n_nodes)
    assert_allclose(node_totals(system.leaf, compiled.parent, x), dense @ x, atol=1e-12)
    assert_allclose(pair_duals(system.leaf, compiled.parent, y), dense.T @ y, atol=1e-12)


@pytest.mark.parametrize("market", CASES)
def test_tree_solve_is_the_dense_solution(market):
    compiled = compile_market(market)
    system = JointSystem(compiled, np.full(compiled.n_agents, 0.01))
    dense = membership(compiled)
    rng = np.random.default_rng(1)
    weight = 10.0 ** rng.uniform(-4, 4, compiled.n_pairs)
    theta_inverse = 10.0 ** rng.uniform(-4, 4, compiled.n_nodes)
    force, shift = rng.normal(size=compiled.n_pairs), rng.normal(size=compiled.n_nodes)
    tree = tree_weights(system.leaf, compiled.parent, weight, theta_inverse)
    x, y, totals = tree_solve(system.leaf, compiled.parent, weight, *tree, force, shift)
    matrix = np.diag(theta_inverse) + dense * weight @ dense.T
    assert_allclose(matrix @ y, dense @ (weight * force) - shift, rtol=1e-8, atol=1e-8)
    assert_allclose(x, weight * (force - dense.T @ y), rtol=1e-8, atol=1e-8)
    assert_allclose(totals, theta_inverse * y + shift, rtol=1e-6, atol=1e-6)


def test_tree_solve_drops_an_equality_that_those_below_it_imply():
    leaf, parent = np.zeros(2, dtype=np.int64), np.array([1, -1])
    weight = np.array([2.0, 3.0])
    tree = tree_weights(leaf, parent, weight, np.zeros(2))
    force, shift = np.array([1.0, -1.0]), np.array([0.5, 0.5])
    x, y, totals = tree_solve(leaf, parent, weight, *tree, force, shift)
    assert_allclose(x.sum(), 0.5, rtol=1e-14)
    assert_allclose(totals, 0.5, rtol=1e-14)
    assert y[1] == 0.0


def dense_jacobian(system: JointSystem, state: State) -> np.ndarray:
    """Differentiate all equations at once; they are bilinear, so that central differences are exact."""
    size, at = len(system.weight), np.concatenate([state.primal, state.dual, state.free])

    def equations(v: np.ndarray) -> np.ndarray:
        point = State(v[:size], v[size : 2 * size], v[2 * size :])
        return np.concatenate([-flat(system.residual(point, 0.1)), point.primal * point.dual])

    return np.column_stack([(equations(at + e) - equations(at - e)) / 2 for e in np.eye(len(at))])


@pytest.mark.parametrize("number", range(len(CASES)))
def test_direction_solves_the_linearised_system(number):
    compiled = compile_market(CASES[number])
    system = JointSystem(compiled, np.full(compiled.n_agents, 0.01), lending=0.5)
    state = random_state(system, number)
    products = np.random.default_rng(number).normal(size=len(system.weight))
    residual = system.residual(state, 0.1)
    found = Linearization(system, state).direction(products, residual)
    step = np.concatenate([found.primal, found.dual, found.free])
    reached = dense_jacobian(system, state) @ step
    assert_allclose(reached, np.concatenate([flat(residual), products]), atol=1e-8 * np.abs(step).max())


def test_wide_and_narrow_terms_make_the_same_matrix():
    compiled = compile_market(random_market(3))
    system = JointSystem(compiled, np.full(compiled.n_agents, 0.01))
    state = random_state(system, 3)
    narrow = Linearization(system, state)
    system.wide = 1
    system.chunks, system.chunk_rows = np.array([0, compiled.n_agents]), compiled.n_nodes + compiled.n_agents
    wide = Linearization(system, state)
    assert_allclose(wide.lu[0], narrow.lu[0], rtol=1e-9, atol=1e-9)


def test_orientation_is_the_sign_of_the_determinant():
    for seed in range(6):
        compiled = compile_market(random_market(seed))
        system = JointSystem(compiled, np.full(compiled.n_agents, 0.01))
        lin = Linearization(system, random_state(system, seed))
        lower, upper = np.tril(lin.lu[0], -1) + np.eye(len(lin.lu[0])), np.triu(lin.lu[0])
        swaps = np.eye(len(upper))
        for row, other in enumerate(lin.lu[1]):
            swaps[[row, other]] = swaps[[other, row]]
        assert lin.orientation() == np.sign(np.linalg.det(swaps.T @ lower @ upper))


@settings(max_examples=60, deadline=None)
@given(
    x=st.floats(1e-8, 1e3),
    z=st.floats(1e-8, 1e3),
    d_x=st.floats(-1e3, 1e3),
    d_z=st.floats(-1e3, 1e3),
    weight=st.floats(0.1, 100.0),
    mu=st.floats(1e-10, 1.0),
)
def test_projection_moves_the_difference_linearly_and_keeps_the_product(x, z, d_x, d_z, weight, mu):
    arrays = [np.array([v]) for v in (x, z, d_x, d_z)]
    primal, dual = step_and_project(*arrays, 0.5, np.array([weight]), mu, 2.0)
    assert primal[0] > 0
    assert dual[0] > 0
    assert_allclose(primal * dual, mu * weight, rtol=1e-9)
    w = 2.0 / weight * (x + 0.5 * d_x) - (z + 0.5 * d_z)
    assert_allclose(2.0 / weight * primal[0] - dual[0], w, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("number", range(len(CASES)))
def test_residual_is_what_the_equations_say(number):
    compiled = compile_market(CASES[number])
    system = JointSystem(compiled, np.full(compiled.n_agents, 0.01), lending=0.5)
    state, mu, dense = random_state(system, number), 0.1, membership(compiled)
    x, price = state.primal[system.b_x], compiled.rows.T @ state.dual[system.b_supply]
    paid = np.zeros((compiled.n_agents, compiled.n_pairs))
    paid[compiled.agent, np.arange(compiled.n_pairs)] = price[compiled.good]
    alpha = state.dual[system.b_money] + 0.01
    y = np.zeros(compiled.n_nodes)
    y[system.upper] += state.dual[system.b_upper]
    y[system.lower] -= state.dual[system.b_lower]
    y[system.taper], y[system.equal] = state.dual[system.b_taper], state.free
    gap = compiled.value - alpha @ paid - dense.T @ y + state.dual[system.b_x]
    gap[system.capped] -= state.dual[system.b_cap]
    residual = system.residual(state, mu)
    assert_allclose(residual.stationarity, gap, atol=1e-9)
    assert_allclose(residual.cap, (compiled.cap - x)[system.capped] - state.primal[system.b_cap], atol=1e-9)
    room = (compiled.upper - dense @ x)[system.upper] - state.primal[system.b_upper]
    assert_allclose(residual.upper, room, atol=1e-9)
    unspent = compiled.budget - paid @ x - compiled.forced_matrix @ price - state.primal[system.b_money]
    assert_allclose(residual.money, unspent, atol=1e-9)
    sold = compiled.rows @ np.bincount(compiled.good, x, minlength=compiled.n_goods)
    spare = compiled.supply + mu * system.lent - sold - state.primal[system.b_supply]
    assert_allclose(residual.supply, spare, atol=1e-9)


def test_largest_ratio_is_infinite_where_something_is_not_a_number():
    base = np.array([1.0, 2.0])
    assert largest_ratio(np.array([-3.0, 4.0]), base) == 3.0
    assert largest_ratio(np.array([np.nan, 4.0]), base) == np.inf
    assert largest_ratio(np.zeros(0), np.zeros(0)) == 0.0
