"""Trees of bounds against enumeration of bundles from the quotas and tapers themselves."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Quota, Taper
from fairlot.model.families import build_families
from fairlot.model.hierarchy import UNBOUNDED, Families
from fairlot.model.market import PseudoMarket, utilities
from fairlot.testing import acceptable_bundles, pseudo_markets, utility_of_mean


def pairs_of(market: PseudoMarket, agent: int) -> np.ndarray:
    return np.flatnonzero(market.pair_agent == agent)


def within(families: Families, agent: int, copies: np.ndarray) -> bool:
    """Whether copies of all pairs keep the agent's hard bounds."""
    own = families.agent == agent
    totals = families.totals(copies)
    hard = own & np.isinf(families.penalty)
    upper = np.where(families.upper == UNBOUNDED, np.inf, families.upper)
    return bool((totals[hard] >= families.lower[hard]).all() and (totals[hard] <= upper[hard]).all())


def every_bundle(market: PseudoMarket, agent: int) -> list[np.ndarray]:
    pairs = pairs_of(market, agent)
    most = market.per_agent[market.pair_good[pairs]]
    bundles = []
    for choice in product(*(range(m + 1) for m in most)):
        copies = np.zeros(market.values.nnz)
        copies[pairs] = choice
        bundles.append(copies)
    return bundles


@settings(max_examples=80, deadline=None)
@given(pseudo_markets(max_agents=3))
def test_trees_admit_what_quotas_admit(market: PseudoMarket) -> None:
    families = market.families
    infeasible = {fault[0] for fault in families.infeasible}
    for i in range(market.n_agents):
        slow = acceptable_bundles(market, i)
        worth = {tuple(c): u for c, u in zip(slow.copies.tolist(), slow.utility, strict=True)}
        assert (i in infeasible) == (not worth)
        if i in infeasible:
            continue
        reached = []
        for copies in every_bundle(market, i):
            dense = np.zeros(market.n_goods, dtype=int)
            pairs = pairs_of(market, i)
            dense[market.pair_good[pairs]] = copies[pairs]
            admitted = within(families, i, copies)
            assert admitted == (tuple(dense.tolist()) in worth)
            if admitted:
                assert_allclose(
                    utilities(market, copies)[i], worth[tuple(dense.tolist())], atol=1e-12, rtol=1e-12
                )
                reached.append(families.totals(copies))
        # Bounds further out may narrow what those at or below a node allow.
        own, roots = families.agent == i, (families.agent == i) & (families.parent < 0)
        fewest, most = np.min(reached, axis=0), np.max(reached, axis=0)
        assert (families.least[own] <= fewest[own]).all()
        assert (families.most[own] >= most[own]).all()
        assert_array_equal(fewest[roots], families.least[roots])
        assert_array_equal(most[roots], families.most[roots])


@settings(max_examples=40, deadline=None)
@given(pseudo_markets(max_agents=2, max_goods=4), st.integers(0, 10**6))
def test_utility_of_means_is_the_concave_closure(market: PseudoMarket, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mean = np.zeros(market.values.nnz)
    expected = np.zeros(market.n_agents)
    for i in range(market.n_agents):
        bundles = acceptable_bundles(market, i)
        if not len(bundles.utility):
            return
        weights = rng.dirichlet(np.full(len(bundles.utility), 0.3))
        x = weights @ bundles.copies
        mean[pairs_of(market, i)] = x[market.pair_good[pairs_of(market, i)]]
        expected[i] = utility_of_mean(market, i, x)
    assert_allclose(utilities(market, mean), expected, rtol=1e-6, atol=1e-6)


@settings(max_examples=50, deadline=None)
@given(pseudo_markets(max_agents=2, max_goods=4), st.integers(0, 10**6))
def test_trees_after_some_copies_are_taken(market: PseudoMarket, seed: int) -> None:
    """Bundles of the kept pairs, on top of what is held already, keep the same bounds."""
    rng = np.random.default_rng(seed)
    keep = rng.random(market.values.nnz) < 0.7
    taken = np.where(keep | (rng.random(len(keep)) < 0.5), 0, market.per_agent[market.pair_good]).astype(
        float
    )
    held = sp.csr_array((taken, market.values.indices, market.values.indptr), shape=market.values.shape)
    families = build_families(market.bound_sets, market.values, market.per_agent, market.goods, keep, held)
    infeasible = {fault[0] for fault in families.infeasible}
    for i in range(market.n_agents):
        worth = {tuple(c) for c in acceptable_bundles(market, i).copies.tolist()}
        pairs = pairs_of(market, i)
        any_admitted = False
        for copies in every_bundle(market, i):
            if copies[~keep].any():
                continue
            dense = np.zeros(market.n_goods, dtype=int)
            dense[market.pair_good[pairs]] = (copies + taken)[pairs]
            acceptable = tuple(dense.tolist()) in worth
            any_admitted |= acceptable
            if i not in infeasible:
                assert within(families, i, copies) == acceptable
        assert any_admitted == (i not in infeasible)


def test_implied_bounds_are_dropped() -> None:
    market = PseudoMarket.from_arrays(
        [[1.0, 2.0, np.nan]],
        capacities=1,
        goods=["a", "b", "c"],
        quotas=[
            Quota("loose", max=2),
            Quota("c alone", ["c"], max=1),
            Quota("pair", ["a", "b"], min=0, max=3),
        ],
    )
    assert market.families.n_nodes == 0


def test_minimum_over_a_set_without_goods_is_out_of_reach() -> None:
    market = PseudoMarket.from_arrays([[1.0]], capacities=1, quotas=[Quota("nothing", [], min=1)])
    assert [fault[:2] for fault in market.families.infeasible] == [(0, 0)]


def test_crossing_is_judged_on_all_goods_and_after_filters() -> None:
    quotas = [Quota("left", ["a", "b"], max=1), Quota("right", ["b", "c"], max=1)]
    values = [[1.0, np.nan, np.nan]]
    market = PseudoMarket.from_arrays(values, capacities=1, goods=["a", "b", "c"], quotas=quotas)
    with pytest.raises(InvalidProblemError, match=r"'left' and quota 'right' cross: 'b' is in both"):
        _ = market.families
    apart = [Quota("left", ["a", "b"], max=1, agents=["x"]), Quota("right", ["b", "c"], max=1, agents=["y"])]
    market = PseudoMarket.from_arrays(
        values * 2, capacities=1, agents=["x", "y"], goods=["a", "b", "c"], quotas=apart
    )
    assert market.families.infeasible == ()


def test_quota_and_taper_on_the_same_set() -> None:
    market = PseudoMarket.from_arrays(
        [[1.0, 1.0, 1.0]],
        capacities=1,
        quotas=[Quota("two", max=2)],
        tapers=[Taper("less", (0.5, 0.0, -3.0))],
    )
    assert_allclose(market.base_values, 1.5)
    assert_allclose(utilities(market, np.array([1.0, 1.0, 0.0])), [2.5])
    assert_allclose(utilities(market, np.array([0.5, 0.5, 0.5])), [2.0])
