"""Polish: from near an equilibrium to rounding, through ties, satiation, tapers and lower quotas."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose

from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket, Point, compile_market
from fairlot.pseudomarket.joint import solve_joint
from fairlot.pseudomarket.polish import polish, residual

ONE = Quota("one", max=1)


def exact_point(compiled: CompiledMarket, shares, q, alpha, y) -> Point:
    """A point from a dense table of shares."""
    x = np.asarray(shares, dtype=float)[compiled.agent, compiled.good]
    q, alpha, y = (np.asarray(part, dtype=float) for part in (q, alpha, y))
    return Point(x, q, alpha, y, finished=True, iterations=0)


def shaken(compiled: CompiledMarket, point: Point, size: float, seed: int) -> Point:
    """The point with every number moved by about ``size``, as a path leaves it: nothing exactly 0."""
    rng = np.random.default_rng(seed)

    def noise(part):
        return size * rng.uniform(0.5, 1.0, part.shape)

    x = np.clip(point.x + np.where(point.x > 0.5, -noise(point.x), noise(point.x)), 0.0, compiled.cap)
    return replace(
        point,
        x=x,
        q=point.q + noise(point.q) * np.where(point.q > 0, 1.0, 0.01),
        alpha=point.alpha * (1 + noise(point.alpha)),
        y=point.y + noise(point.y) * np.sign(point.y),
    )


def hylland_zeckhauser():
    market = PseudoMarket.from_arrays([[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, quotas=[ONE])
    compiled = compile_market(market)
    # Scaled by 100: agents 1 and 2 mix the first and the worthless third (which presolve drops).
    shares = [[0.5, 0, 0], [0.5, 0, 0], [0, 1, 0]]
    return compiled, exact_point(compiled, shares, [2, 1, 0], [0.5, 0.5, 0.3], [0, 0, 0.5])


@pytest.mark.parametrize("seed", range(8))
def test_hylland_zeckhauser_comes_back_exactly(seed):
    compiled, point = hylland_zeckhauser()
    assert residual(compiled, point) < 1e-15
    near = shaken(compiled, point, 1e-4, seed)
    assert residual(compiled, near) > 1e-6
    done = polish(compiled, near)
    assert residual(compiled, done) < 1e-14
    assert_allclose(done.q[:2], [2.0, 1.0], atol=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_huge_ties(seed):
    # Everybody values everything alike: any split is an equilibrium at equal prices.
    n, n_goods = 30, 50
    load = Quota("load", max=5)
    market = PseudoMarket.from_arrays(np.ones((n, n_goods)), 2, quotas=[load])
    compiled = compile_market(market)
    # Seats 100, demand 150: price n/100 = 0.3 clears, everybody holds 100/30 copies.
    x = np.full(compiled.n_pairs, 2.0 / n)
    point = Point(x, np.full(n_goods, 0.3), np.full(n, 1 / 0.3), np.zeros(n), True, 0)
    assert residual(compiled, point) < 1e-14
    done = polish(compiled, shaken(compiled, point, 1e-5, seed))
    assert residual(compiled, done) < 1e-13
    assert_allclose(done.q, 0.3, atol=1e-12)


def test_satiated_agents_whose_money_values_are_0_or_contain_a_price_of_money():
    # Agent 1 is as happy with good 2, which is free; the others mix it with good 1.
    market = PseudoMarket.from_arrays(
        [[1.0, 1.0, 0.2], [1.0, 0.5, np.nan], [1.0, 0.5, np.nan]], [1, 2, 1], [5.0, 1.0, 1.0], quotas=[ONE]
    )
    compiled = compile_market(market)
    # In scaled units their budgets are 3/7: each buys half of good 1 at 6/7.
    price = 6 / 7
    shares = [[0, 1, 0], [0.5, 0.5, 0], [0.5, 0.5, 0]]
    money = 1e-3
    alpha = np.array([money, 0.5 / price, 0.5 / price])
    point = exact_point(compiled, shares, [price, 0, 0], alpha, [1.0, 0.5, 0.5])
    assert residual(compiled, point) < 1e-14
    for claimed in (money, 0.0):
        near = shaken(compiled, point, 1e-6, 3)
        near.alpha[0] = claimed
        done = polish(compiled, near)
        assert residual(compiled, done) < 1e-14
        held = dict(zip(compiled.good[compiled.agent == 0], done.x[compiled.agent == 0], strict=True))
        assert_allclose(held[1], 1.0, atol=1e-14)  # the free one of the two she values alike


def test_taper_limit_and_lower_quota():
    goods = ["a", "b", "c"]
    market = PseudoMarket.from_arrays(
        [[1.0, 0.9, 0.5], [0.8, 1.0, 0.5]],
        [1, 1, 2],
        goods=goods,
        quotas=[Quota("c", ["c"], min=1)],
        tapers=[Taper("second", [0.0, -0.85], ["a", "b"])],
        limits=[Limit("both", 1, ["a", "b"])],
    )
    compiled = compile_market(market)
    # c is forced on both. One copy of {a, b} for two: row price 2, goods free; each holds half of her best.
    shares = [[0.5, 0, 0], [0, 0.5, 0]]
    q = np.array([0, 0, 0, 2.0])
    point = exact_point(compiled, shares, q, [0.5, 0.5], np.zeros(compiled.n_nodes))
    assert residual(compiled, point) < 1e-14
    done = polish(compiled, shaken(compiled, point, 1e-5, 0))
    assert residual(compiled, done) < 1e-14


@pytest.mark.parametrize("seed", [9, 22, 59, 60, 61, 62])
def test_degenerate_random_markets(seed):
    # Redundant nodes, agents without a choice whose budgets bind, ties: nothing here is regular.
    compiled = compile_market(random_market(seed, ties=seed % 3 == 0))
    point = solve_joint(compiled)
    assert residual(compiled, polish(compiled, point)) < 1e-12


def test_least_squares_on_prices_that_two_agents_without_a_choice_pin_down():
    # Each takes a whole copy of her only good: nothing but the budgets says what it costs.
    market = PseudoMarket.from_arrays([[1.0, np.nan], [np.nan, 1.0]], 1, [1.0, 3.0], quotas=[ONE])
    compiled = compile_market(market)
    assert residual(compiled, exact_point(compiled, np.eye(2), [0, 0], [1e-6, 1e-6], [])) < 1e-12
    dear = exact_point(compiled, np.eye(2), [0.5, 1.5], [1.0, 0.5], [])
    assert residual(compiled, dear) < 1e-14
    done = polish(compiled, shaken(compiled, dear, 1e-6, 1))
    assert residual(compiled, done) < 1e-13
    assert_allclose(done.q, [0.5, 1.5], atol=1e-13)


def test_residual_sees_every_kind_of_fault():
    compiled, point = hylland_zeckhauser()
    for part in ("x", "q", "alpha", "y"):
        for k in range(len(getattr(point, part))):
            moved = getattr(point, part).copy()
            if part == "q" and k == 2:
                continue  # nobody wants the third good: a price would only break clearing
            moved[k] += 0.01
            assert residual(compiled, replace(point, **{part: moved})) > 1e-3, (part, k)
    assert residual(compiled, replace(point, q=np.array([2, 1, 0.01]))) > 1e-3


def test_hopeless_points_come_back_unchanged():
    compiled, point = hylland_zeckhauser()
    nowhere = replace(point, x=np.full_like(point.x, 0.3), q=np.zeros(3), alpha=np.zeros(3))
    done = polish(compiled, nowhere)
    assert done is nowhere or residual(compiled, done) < residual(compiled, nowhere)
    assert polish(compiled, point) is point or residual(compiled, polish(compiled, point)) <= 1e-15


def test_markets_without_pairs():
    compiled = compile_market(PseudoMarket.from_arrays([[np.nan, 0.0]], [1, 1]))
    point = Point(np.zeros(0), np.zeros(2), np.zeros(1), np.zeros(0), True, 0)
    assert polish(compiled, point) is point
