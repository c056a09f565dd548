"""Nash weights: the elimination against dense algebra, the program against its optimality conditions."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose
from scipy.optimize import minimize

from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.elimination import Definite, Layout
from fairlot.pseudomarket.nash import NashProgram, solve_nash


def optimality_errors(compiled: CompiledMarket, point: Point) -> dict[str, float]:
    """The compiled market's complementarity system, term by term, for budgets p·x: a slow twin."""
    price = compiled.rows.T @ point.q
    worst = dict.fromkeys(["pair", "node", "cap", "supply", "price"], 0.0)

    def note(name: str, *errors: float) -> None:
        worst[name] = max(worst[name], *errors)

    for k in range(compiled.n_pairs):
        nodes = [a for a in compiled.chain[k] if a >= 0]
        cost = point.alpha[compiled.agent[k]] * price[compiled.good[k]] + sum(point.y[a] for a in nodes)
        gain = float(compiled.value[k] - cost)
        room = compiled.cap[k] - point.x[k]
        note("cap", -point.x[k], -room)
        note("pair", min(point.x[k], max(-gain, 0.0)))
        note("pair", min(room, max(gain, 0.0)) if compiled.capped[k] else max(gain, 0.0))
    for a in range(compiled.n_nodes):
        total = sum(point.x[k] for k in range(compiled.n_pairs) if a in compiled.chain[k])
        lower, upper, penalty, y = compiled.lower[a], compiled.upper[a], compiled.penalty[a], point.y[a]
        if np.isinf(penalty):
            note("node", total - upper, lower - total)
            note("node", min(max(y, 0.0), upper - total), min(max(-y, 0.0), total - lower))
        else:
            note("node", -y, y - penalty, min(max(y, 0.0), upper - total), min(penalty - y, total - upper))
    taken = np.zeros(compiled.n_goods)
    np.add.at(taken, compiled.good, point.x)
    for spare, q in zip(compiled.supply - compiled.rows @ taken, point.q, strict=True):
        note("supply", -spare)
        note("price", -q, min(spare, q))
    return worst


@pytest.mark.parametrize("seed", range(12))
def test_elimination_agrees_with_dense_algebra(seed):
    compiled = compile_market(random_market(seed))
    layout = Layout(compiled)
    rng = np.random.default_rng(seed)
    weights = 10.0 ** rng.uniform(-3, 3, layout.n_holdings)
    give = 10.0 ** rng.uniform(-3, 1, layout.n_nodes)
    dense = layout.membership.toarray()
    matrix = np.diag(give) + dense * weights @ dense.T
    projector = np.diag(weights) - (weights[:, None] * dense.T) @ np.linalg.solve(matrix, dense * weights)
    factors = layout.eliminate(weights, give)
    right, amounts = rng.normal(size=layout.n_nodes), rng.normal(size=layout.n_holdings)
    assert_allclose(factors.nodes(right), np.linalg.solve(matrix, right), rtol=1e-8, atol=1e-10)
    assert_allclose(factors.project(amounts), projector @ amounts, rtol=1e-8, atol=1e-8 * weights.max())
    supplied = layout.supplied.toarray()
    assert_allclose(factors.supply_matrix(), supplied @ projector @ supplied.T, atol=1e-9 * weights.max())
    among = projector[: layout.n_pairs, : layout.n_pairs]
    kept = np.diag(weights[: layout.n_pairs]) - factors.factor.T.toarray() @ factors.factor.toarray()
    assert_allclose(kept, among, atol=1e-9 * weights.max())
    assert_allclose(factors.left, among.sum(axis=1), atol=1e-9 * weights.max())


def test_supply_matrix_keeps_what_subtraction_loses():
    # One agent, one good, held to one copy: P = D T / (T + D), which D - D²/(T + D) rounds to nothing.
    market = PseudoMarket.from_arrays([[1.0, 1.0]], [1, 1], quotas=[Quota("one", max=1)])
    layout = Layout(compile_market(market))
    matrix = layout.eliminate(np.array([1e9, 1e-9]), np.array([1e-9])).supply_matrix()
    assert_allclose(matrix[0, 0], 2e-9, rtol=1e-6)


def test_definite_lifts_what_rounding_took_and_no_more():
    basis = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    matrix = basis * [1.0, 2.0, 3.0, -1e-17] @ basis.T
    right = matrix @ np.ones(4)
    assert_allclose(matrix @ Definite(matrix).solve(right), right, atol=1e-10)
    with pytest.raises(np.linalg.LinAlgError):
        Definite(np.diag([1.0, -10.0]) @ np.ones((2, 2)))
    with pytest.raises(np.linalg.LinAlgError):
        Definite(np.full((2, 2), np.nan))


@pytest.mark.parametrize("seed", range(40))
def test_program_is_an_equilibrium_for_the_budgets_that_it_spends(seed):
    compiled = compile_market(random_market(seed, ties=seed % 3 == 0))
    rng = np.random.default_rng(seed)
    point = solve_nash(compiled, weights=rng.uniform(0.5, 3.0, compiled.n_agents))
    assert point.finished
    errors = optimality_errors(compiled, point)
    assert max(errors.values()) < 1e-4, errors  # degenerate pairs: x = z = √μ
    tight = {name: errors[name] for name in ("cap", "supply")}
    assert max(tight.values()) < 1e-9, errors


@pytest.mark.parametrize("seed", range(5))
def test_program_attains_what_a_general_solver_attains(seed):
    compiled = compile_market(random_market(seed, lower=False, tapers=False))
    weights = np.random.default_rng(seed).uniform(0.5, 2.0, compiled.n_agents)
    point = solve_nash(compiled, weights=weights)
    layout = Layout(compiled)

    def loss(x):
        return -float(weights @ np.log(np.maximum(layout.per_agent(layout.value * x), 1e-12)))

    bounds = np.concatenate([compiled.supply, compiled.upper])
    rows = np.vstack([layout.supplied.toarray(), layout.membership.toarray()])
    found = minimize(
        loss,
        np.full(compiled.n_pairs, 0.05),
        bounds=[(0, cap) for cap in compiled.cap],
        constraints={"type": "ineq", "fun": lambda x: bounds - rows @ x},
        options={"maxiter": 500, "ftol": 1e-10},
    )
    assert_allclose(loss(point.x), found.fun, atol=1e-4)
    assert loss(point.x) <= found.fun + 1e-6


def test_one_agent_pays_nothing_for_what_is_plentiful():
    compiled = compile_market(PseudoMarket.from_arrays([[3.0, 1.0]], [2, 2], quotas=[Quota("one", max=1)]))
    point = solve_nash(compiled)
    assert_allclose(point.x, [1.0, 0.0], atol=1e-7)
    assert_allclose(point.q, 0.0, atol=1e-7)


def test_taper_splits_a_bundle_at_its_breakpoint():
    # The second copy from the pair is worth 1 - 0.8: agent 1 leaves it to agent 2, who has no taper there.
    taper = Taper("bend", [0.0, -0.8], ("a", "b"), agents=("agent1",))
    market = PseudoMarket.from_arrays([[1.0, 1.0], [0.0, 0.7]], [1, 1], goods=["a", "b"], tapers=[taper])
    compiled = compile_market(market)
    point = solve_nash(compiled, weights=np.array([1.0, 0.5]))
    assert max(optimality_errors(compiled, point).values()) < 1e-6
    held = dict(zip(zip(compiled.agent, compiled.good, strict=True), point.x, strict=True))
    assert_allclose(held[0, 0], 1.0, atol=1e-6)
    # λ = w/u: 0.5/(0.7 x) × 0.7 = 0.2/(1 + 0.2 (1 - x)) has no root below 1, so agent 2 holds all of b.
    assert_allclose(held[1, 1], 1.0, atol=1e-6)


def test_agents_who_value_nothing_take_the_cheapest_they_must():
    must = Quota("one", min=1, max=1)
    market = PseudoMarket.from_arrays([[2.0, 1.0], [0.0, 0.0], [2.0, 1.0]], [1, 3], quotas=[must])
    compiled = compile_market(market)
    point = solve_nash(compiled)
    assert point.finished
    assert point.alpha[1] == 1.0
    program = NashProgram(compiled)
    assert program.idle.tolist() == [False, True, False]
    mine = point.x[compiled.agent == 1]
    assert_allclose(mine, [0.0, 1.0], atol=1e-6)


def test_deadline_and_budget_defaults():
    compiled = compile_market(random_market(3))
    assert not solve_nash(compiled, deadline=0.0).finished
    again = solve_nash(compiled, weights=2.0 * compiled.budget)
    assert_allclose(solve_nash(compiled).x, again.x, rtol=0, atol=0)
    richer = replace(compiled, budget=2.0 * compiled.budget)
    assert_allclose(solve_nash(richer).q, 2.0 * again.q, atol=1e-3)
