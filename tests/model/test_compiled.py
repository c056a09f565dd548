"""Presolve against enumeration: nothing is lost, and what remains has an interior."""

from __future__ import annotations

from itertools import product

import numpy as np
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fairlot.model.constraints import Quota
from fairlot.model.market import PseudoMarket, utilities
from fairlot.pseudomarket.compiled import CompiledMarket, compile_market
from fairlot.testing import acceptable_bundles, pseudo_markets


def remaining(compiled: CompiledMarket, agent: int) -> np.ndarray:
    """Bundles of the remaining pairs that keep the remaining hard bounds, shape (n_bundles, n_own)."""
    own = slice(compiled.start[agent], compiled.start[agent + 1])
    grid = product(*(range(int(c) + 1) for c in compiled.cap[own]))
    bundles = np.array(list(grid), dtype=float)
    keep = np.ones(len(bundles), dtype=bool)
    for node in range(compiled.node_start[agent], compiled.node_start[agent + 1]):
        if np.isinf(compiled.penalty[node]):
            total = bundles[:, (compiled.chain[own] == node).any(axis=1)].sum(axis=1)
            keep &= (total >= compiled.lower[node]) & (total <= compiled.upper[node])
    return bundles[keep]


def existing_bundles(market: PseudoMarket, agent: int) -> dict[tuple[int, ...], float]:
    """Acceptable bundles of goods with supply."""
    membership, bounds = market.supply_sets
    closed = np.asarray(membership.T @ (bounds == 0)) > 0
    bundles = acceptable_bundles(market, agent)
    open_ = ~bundles.copies[:, closed].any(axis=1)
    found = zip(bundles.copies[open_].tolist(), bundles.utility[open_], strict=True)
    return {tuple(copies): utility for copies, utility in found}


def market_copies(compiled: CompiledMarket, agent: int, bundle: np.ndarray) -> np.ndarray:
    x = np.zeros(compiled.n_pairs)
    x[compiled.start[agent] : compiled.start[agent + 1]] = bundle
    return compiled.copies(x)


def dense(market: PseudoMarket, agent: int, copies: np.ndarray) -> tuple[int, ...]:
    row = np.zeros(market.n_goods, dtype=int)
    own = market.pair_agent == agent
    row[market.pair_good[own]] = copies[own]
    return tuple(row.tolist())


@settings(max_examples=70, deadline=None)
@given(pseudo_markets(max_agents=2))
def test_presolve_keeps_every_useful_bundle(market: PseudoMarket) -> None:
    worth = [existing_bundles(market, i) for i in range(market.n_agents)]
    assume(all(worth))
    compiled = compile_market(market)
    for i in range(market.n_agents):
        left = {dense(market, i, market_copies(compiled, i, b)) for b in remaining(compiled, i)}
        assert left
        assert left <= set(worth[i])
        # Whatever is lost contains copies that add nothing and that no minimum asks for.
        for lost in set(worth[i]) - left:
            assert any(
                all(k <= c for k, c in zip(kept, lost, strict=True))
                and worth[i][kept] >= worth[i][lost] - 1e-12
                for kept in left
            )


@settings(max_examples=70, deadline=None)
@given(pseudo_markets(max_agents=2))
def test_what_remains_has_an_interior(market: PseudoMarket) -> None:
    assume(all(existing_bundles(market, i) for i in range(market.n_agents)))
    compiled = compile_market(market)
    for i in range(market.n_agents):
        own = slice(compiled.start[i], compiled.start[i + 1])
        bundles = remaining(compiled, i)
        cap = compiled.cap[own]
        assert (bundles.max(axis=0, initial=0) > 0).all()
        assert (bundles.min(axis=0, initial=9) < cap).all()
        assert_array_equal(bundles.max(axis=0, initial=0) <= cap, True)
        for node in range(compiled.node_start[i], compiled.node_start[i + 1]):
            if np.isfinite(compiled.penalty[node]):
                continue  # going above is allowed, so that there is room on both sides
            total = bundles[:, (compiled.chain[own] == node).any(axis=1)].sum(axis=1)
            lower, upper = compiled.lower[node], compiled.upper[node]
            if lower == upper:
                assert_array_equal(total, lower)
            else:
                assert total.max() > lower
                assert total.min() < upper
        # Without a multiplier of its own, a pair is held below its cap by the nodes.
        loose = own.start + np.flatnonzero(~compiled.capped[own])
        for pair in loose:
            nodes = compiled.chain[pair][compiled.chain[pair] >= 0]
            hard = nodes[np.isinf(compiled.penalty[nodes])]
            assert compiled.upper[hard].min() <= compiled.cap[pair]


@settings(max_examples=50, deadline=None)
@given(pseudo_markets(max_agents=3))
def test_scaled_utilities_and_supply(market: PseudoMarket) -> None:
    assume(all(existing_bundles(market, i) for i in range(market.n_agents)))
    compiled = compile_market(market)
    membership, bounds = market.supply_sets
    taken = np.bincount(market.pair_good, compiled.forced, minlength=market.n_goods)
    assert_allclose(compiled.supply + membership @ taken, bounds, atol=0)
    assert_allclose(compiled.budget * compiled.budget_scale, market.budgets, rtol=1e-15)
    assert_allclose(compiled.forced_matrix.toarray().sum(axis=0), taken, atol=0)
    nothing = utilities(market, compiled.copies(np.zeros(compiled.n_pairs)))
    for i in range(market.n_agents):
        own = slice(compiled.start[i], compiled.start[i + 1])
        assert np.abs(compiled.value[own]).max(initial=0) in (0.0, 1.0)
        for bundle in remaining(compiled, i)[:40]:
            gain = scaled_utility(compiled, i, bundle) - scaled_utility(compiled, i, 0 * bundle)
            true = utilities(market, market_copies(compiled, i, bundle))[i] - nothing[i]
            unit = compiled.value_scale[i]
            assert_allclose(gain * unit, true, rtol=1e-10, atol=1e-10 * unit)


def scaled_utility(compiled: CompiledMarket, agent: int, bundle: np.ndarray) -> float:
    own = slice(compiled.start[agent], compiled.start[agent + 1])
    utility = float(compiled.value[own] @ bundle)
    for node in range(compiled.node_start[agent], compiled.node_start[agent + 1]):
        if np.isfinite(compiled.penalty[node]):
            total = bundle[(compiled.chain[own] == node).any(axis=1)].sum()
            utility -= compiled.penalty[node] * max(total - compiled.upper[node], 0.0)
    return utility


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6))
def test_long_ties_are_followed(seed: int) -> None:
    """Minimums that together force an outer total to its most, and so fill everything below."""
    rng = np.random.default_rng(seed)
    goods = [f"g{j}" for j in range(6)]
    sizes = rng.integers(1, 4)
    quotas = [
        Quota("all", goods, max=int(rng.integers(2, 5))),
        Quota("left", goods[:3], min=int(sizes), max=3),
        Quota("right", goods[3:], min=int(rng.integers(0, 2)), max=2),
        Quota("pair", goods[:2], max=int(rng.integers(0, 3))),
    ]
    market = PseudoMarket.from_arrays(rng.random((1, 6)), capacities=1, goods=goods, quotas=quotas)
    worth = existing_bundles(market, 0)
    assume(worth)
    compiled = compile_market(market)
    left = {dense(market, 0, market_copies(compiled, 0, b)) for b in remaining(compiled, 0)}
    assert left == set(worth)
    if len(worth) == 1:
        assert compiled.n_pairs == 0
