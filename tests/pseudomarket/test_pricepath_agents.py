"""Kernels of the price path: agents against a plain barrier Newton, derivatives against differences."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import compile_market
from fairlot.pseudomarket.pricepath.clearing import Clearing, Position
from fairlot.pseudomarket.pricepath.layout import BOTH, EQUAL, LOWER, TAPER, UPPER, Layout, lay_out
from fairlot.pseudomarket.pricepath.newton import State
from fairlot.pseudomarket.pricepath.solve import _start


def settled(layout: Layout, q: np.ndarray, mu: float) -> tuple[Clearing, Position]:
    """Agents at their optimum at given prices, reached through smaller and smaller μ."""
    clearing = Clearing(layout, kappa=2.0)
    position = _start(layout, None)
    position.q = q
    while position.mu > mu:
        position.mu = max(mu, 0.3 * position.mu)
        assert clearing.settle(position, max(1e-10, 1e-14 / mu))
    return clearing, position


def slow_optimum(layout: Layout, i: int, price: np.ndarray, mu: float) -> np.ndarray:
    """Copies of one agent that maximise utility less εp plus logarithms of all slacks: a dense Newton method.

    Variables are the copies, then one excess per taper's breakpoint; every slack is g − G·u > 0.
    """
    a = layout.agents
    pairs = slice(a.pair_start[i], a.pair_start[i + 1])
    rows = range(a.row_start[i], a.row_start[i + 1])
    n_pairs = pairs.stop - pairs.start
    soft = [k for k in rows if a.kind[k] == TAPER]
    size = n_pairs + len(soft)
    gain = np.zeros(size)
    gain[:n_pairs] = a.value[pairs] - a.money[i] * price[a.column[pairs]]
    gain[n_pairs:] = [-a.penalty[k] for k in soft]
    slopes = [-np.eye(size)[u] for u in range(size)]
    bounds, weights = [0.0] * size, [*a.pair_weight[pairs], *(a.row_weight[k] for k in soft)]
    equal, level = [], []
    for j in range(n_pairs):
        if a.capped[pairs.start + j]:
            slopes.append(np.eye(size)[j])
            bounds.append(a.cap[pairs.start + j])
            weights.append(a.pair_weight[pairs.start + j])
    for k in rows:
        row = np.zeros(size)
        row[a.low[k] - pairs.start : a.high[k] - pairs.start] = 1.0
        upper = a.upper[k]
        if k == rows[-1]:
            row[:n_pairs] = price[a.column[pairs]]
            held = slice(a.forced_start[i], a.forced_start[i + 1])
            upper = upper - a.forced[held] @ price[a.forced_column[held]]
        if a.kind[k] == EQUAL:
            equal.append(row)
            level.append(upper)
            continue
        if a.kind[k] in (UPPER, BOTH, TAPER):
            top = row.copy()
            if a.kind[k] == TAPER:
                top[n_pairs + soft.index(k)] = -1.0
            slopes.append(top)
            bounds.append(upper)
            weights.append(a.row_weight[k])
        if a.kind[k] in (LOWER, BOTH):
            slopes.append(-row)
            bounds.append(-a.lower[k])
            weights.append(a.row_weight[k])
    slope, bound, weight = np.array(slopes), np.array(bounds), np.array(weights)
    level_rows = np.array(equal).reshape(len(equal), size)
    u = np.full(size, 0.01)
    slack, dual = np.maximum(bound - slope @ u, 0.1), np.ones(len(bound))
    free = np.zeros(len(equal))
    for step in range(400):
        now = max(mu, 0.8**step)
        missing = [
            gain - slope.T @ dual - level_rows.T @ free,
            bound - slope @ u - slack,
            np.array(level) - level_rows @ u,
            now * weight - slack * dual,
        ]
        curvature = slope.T @ (slope * (dual / slack)[:, None])
        right = missing[0] - slope.T @ ((missing[3] - dual * missing[1]) / slack)
        matrix = np.block([[curvature, level_rows.T], [level_rows, np.zeros((len(equal), len(equal)))]])
        solution = np.linalg.solve(matrix, np.concatenate([right, missing[2]]))
        du, d_free = solution[:size], solution[size:]
        d_slack = missing[1] - slope @ du
        d_dual = (missing[3] - dual * d_slack) / slack
        length = min(1.0, 0.9 / max(1e-9, (-d_slack / slack).max(), (-d_dual / dual).max()))
        u, free = u + length * du, free + length * d_free
        slack, dual = slack + length * d_slack, dual + length * d_dual
    assert max(float(np.abs(part).max(initial=0.0)) for part in missing) < 1e-9
    return u[:n_pairs]


@pytest.mark.parametrize("seed", range(12))
def test_agents_settle_at_the_maximum_of_their_barrier_problem(seed: int) -> None:
    layout = lay_out(compile_market(random_market(seed)), rng=np.random.default_rng(seed))
    q = np.random.default_rng(seed).uniform(0.05, 0.3, len(layout.supply))
    clearing, position = settled(layout, q, 1e-3)
    a, price = layout.agents, clearing.prices(position.q)
    for i in range(len(layout.who)):
        pairs = slice(a.pair_start[i], a.pair_start[i + 1])
        assert_allclose(position.state.x[pairs], slow_optimum(layout, i, price, 1e-3), rtol=1e-6, atol=1e-8)


def test_the_agents_above_have_rows_of_every_kind() -> None:
    kinds = {int(k) for seed in range(12) for k in lay_out(compile_market(random_market(seed))).agents.kind}
    assert kinds >= {UPPER, LOWER, TAPER}


@pytest.mark.parametrize(("lower", "upper"), [(1, 1), (1, 2), (0, 2), (2, 3)])
def test_agents_with_nested_bounds_of_every_kind(lower: int, upper: int) -> None:
    values = np.random.default_rng(0).uniform(0.2, 1.0, (3, 6))
    quotas = [
        Quota("inner", ["good1", "good2", "good3"], min=lower, max=upper),
        Quota("tie", ["good4", "good5"], min=1, max=1),
        Quota("outer", min=3, max=4),
    ]
    market = PseudoMarket.from_arrays(values, 2, per_agent=[1, 2, 1, 1, 1, 2], quotas=quotas)
    layout = lay_out(compile_market(market))
    assert {EQUAL, BOTH if lower < upper and lower else UPPER} <= set(layout.agents.kind.tolist())
    clearing, position = settled(layout, np.linspace(0.05, 0.2, len(layout.supply)), 1e-4)
    price = clearing.prices(position.q)
    for i in range(3):
        pairs = slice(layout.agents.pair_start[i], layout.agents.pair_start[i + 1])
        assert_allclose(position.state.x[pairs], slow_optimum(layout, i, price, 1e-4), rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("seed", range(8))
def test_derivatives_of_the_surplus_match_differences(seed: int) -> None:
    layout = lay_out(compile_market(random_market(seed)), rng=np.random.default_rng(seed))
    q = np.random.default_rng(seed).uniform(0.05, 0.3, len(layout.supply))
    clearing, position = settled(layout, q, 1e-2)
    jacobian, by_mu = clearing.differentiate(position)

    def surplus(shift: np.ndarray, mu: float) -> np.ndarray:
        moved = position.copy()
        moved.q, moved.mu = position.q + shift, mu
        assert clearing.settle(moved, 1e-11)
        return clearing.surplus(moved)

    still, h = np.zeros_like(q), 1e-6
    for k in range(len(q)):
        shift = h * np.eye(len(q))[k]
        difference = (surplus(shift, position.mu) - surplus(-shift, position.mu)) / (2 * h)
        assert_allclose(jacobian[:, k], difference, rtol=1e-4, atol=1e-5 * np.abs(jacobian).max())
    ahead, behind = surplus(still, position.mu * np.exp(h)), surplus(still, position.mu * np.exp(-h))
    assert_allclose(by_mu, (ahead - behind) / (2 * h), rtol=1e-4, atol=1e-6)


def test_sparse_and_dense_agents_sum_to_the_same_slopes(monkeypatch: pytest.MonkeyPatch) -> None:
    layout = lay_out(compile_market(random_market(3)))
    q = np.full(len(layout.supply), 0.2)
    slopes = []
    for share, rows in [(0.0, 3), (0.0, 2048), (9.0, 2048)]:
        monkeypatch.setattr("fairlot.pseudomarket.pricepath.clearing._DENSE_SHARE", share)
        monkeypatch.setattr("fairlot.pseudomarket.pricepath.clearing._DENSE_ROWS", rows)
        clearing, position = settled(layout, q, 1e-3)
        slopes.append(clearing.differentiate(position)[0])
    assert_allclose(slopes[0], slopes[2], rtol=1e-11)
    assert_allclose(slopes[1], slopes[2], rtol=1e-11)


def test_forced_copies_cost_money_and_move_with_prices() -> None:
    quotas = [Quota("must", ["good1"], min=1), Quota("load", max=2)]
    market = PseudoMarket.from_arrays([[1.0, 0.9, 0.5], [1.0, 0.4, 0.8]], [2, 1, 1], quotas=quotas)
    compiled = compile_market(market)
    assert compiled.forced.sum() == 2
    layout = lay_out(compiled)
    q = np.linspace(0.2, 0.3, len(layout.supply))
    clearing, position = settled(layout, q, 1e-4)
    price = clearing.prices(q)
    for i in range(2):
        pairs = slice(layout.agents.pair_start[i], layout.agents.pair_start[i + 1])
        assert_allclose(position.state.x[pairs], slow_optimum(layout, i, price, 1e-4), rtol=1e-6)


def test_substitution_by_mu_alone_is_accurate() -> None:
    """Two goods, two tight rows: what is left to substitute is of order μ beside terms of order 1/μ."""
    market = PseudoMarket.from_arrays([[5, 3, 2, 1], [5, 3, 2, 2]], 1, quotas=[Quota("one", max=1)])
    layout = lay_out(compile_market(market))
    a, mu = layout.agents, 1e-10
    clearing, position = settled(layout, np.array([1.9, 0.1, 1e-9, 1e-9]), mu)
    jacobian, _ = clearing.differentiate(position)
    price = [Fraction(float(p)) for p in clearing.prices(position.q)]
    state = State(*([Fraction(float(v)) for v in part] for part in position.state))
    exact = [[Fraction(0)] * 4 for _ in range(4)]
    for i in range(2):
        pairs = range(a.pair_start[i], a.pair_start[i + 1])
        first, last = a.row_start[i], a.row_start[i + 1] - 1
        matrix = [[Fraction(0)] * 4 for _ in pairs]
        goods = [int(a.column[k]) for k in pairs]
        for row, weights in ((first, [Fraction(1)] * 4), (last, [price[j] for j in goods])):
            for u in range(4):
                for v in range(4):
                    matrix[u][v] += weights[u] * weights[v] * state.toll[row] / state.room[row]
        for u, k in enumerate(pairs):
            matrix[u][u] += state.z[k] / state.x[k]
        inverse = exact_inverse(matrix)
        money = Fraction(float(a.money[i])) + state.toll[last]
        tight = state.toll[last] / state.room[last]
        for u in range(4):
            income = sum(inverse[u][v] * price[goods[v]] for v in range(4)) * tight
            for v, k in enumerate(pairs):
                exact[goods[u]][goods[v]] += money * inverse[u][v] + income * state.x[k]
    for j in range(4):
        exact[j][j] += Fraction(mu) / Fraction(float(position.q[j])) ** 2
    assert_allclose(jacobian, [[float(e) for e in row] for row in exact], rtol=1e-6)
    # The determinant orients the path; one of its factors is of order μ.
    computed = exact_determinant([[Fraction(float(e)) for e in row] for row in jacobian])
    assert_allclose(float(computed / exact_determinant(exact)), 1.0, rtol=1e-4)


def exact_inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """Gauss–Jordan in rational arithmetic."""
    size = len(matrix)
    rows = [[*row, *(Fraction(int(u == v)) for v in range(size))] for u, row in enumerate(matrix)]
    for u in range(size):
        rows[u] = [entry / rows[u][u] for entry in rows[u]]
        for v in range(size):
            if v != u:
                rows[v] = [e - rows[v][u] * f for e, f in zip(rows[v], rows[u], strict=True)]
    return [row[size:] for row in rows]


def exact_determinant(matrix: list[list[Fraction]]) -> Fraction:
    """By elimination in rational arithmetic; leading minors must not vanish."""
    rows, product = [list(row) for row in matrix], Fraction(1)
    for u in range(len(rows)):
        product *= rows[u][u]
        for v in range(u + 1, len(rows)):
            factor = rows[v][u] / rows[u][u]
            rows[v] = [e - factor * f for e, f in zip(rows[v], rows[u], strict=True)]
    return product
