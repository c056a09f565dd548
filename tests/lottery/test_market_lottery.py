"""Lotteries of pseudo-markets: every constraint in every realisation, expected utilities exact."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from lottery_cases import random_shares
from numpy.testing import assert_allclose

from fairlot.errors import InvalidProblemError
from fairlot.lottery import decompose, draw_walk, market_lottery, sample, utility_guarantee
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.shares import RandomAllocation
from fairlot.testing import acceptable_bundles, course_market, pseudo_markets
from fairlot.verify.lottery import verify_lottery


def pair_copies(market, assignment):
    """Return the copies of each acceptable pair, ids matched by name."""
    dense = assignment.matrix.toarray()
    row = [assignment.agents.index(agent) for agent in market.agents]
    column = [assignment.goods.index(good) for good in market.goods]
    return dense[np.array(row)[market.pair_agent], np.array(column)[market.pair_good]]


@given(market=pseudo_markets(), seed=st.integers(0, 10**6), guarantee=st.sampled_from(["none", "utility"]))
@settings(max_examples=150, deadline=None)
def test_all_constraints_hold_in_all_terms_and_utilities_are_those_of_the_shares(market, seed, guarantee):
    shares = random_shares(market, np.random.default_rng(seed))
    if shares is None:
        return
    lottery = market_lottery(market, shares, guarantee=guarantee)
    certificate = verify_lottery(lottery, shares, market=market)
    assert certificate.passed, certificate.failed
    terms = decompose(lottery)
    promise = utility_guarantee(market, lottery)
    given_copies = np.asarray(shares.matrix[market.pair_agent, market.pair_good]).ravel()
    expected, mean = utilities(market, given_copies), np.zeros(market.n_agents)
    order = [lottery.agents.index(agent) for agent in market.agents]
    for t, weight in enumerate(terms.weights.tolist()):
        copies = pair_copies(market, lottery.assignment(terms.copies(t))).astype(float)
        assert (copies <= market.per_agent[market.pair_good]).all()
        totals = market.families.totals(copies)
        hard = ~np.isfinite(market.families.penalty)
        assert (totals >= market.families.lower)[hard].all()
        assert (totals <= market.families.upper)[hard].all()
        membership, bounds = market.supply_sets
        by_good = np.bincount(market.pair_good, copies, minlength=market.n_goods)
        assert (membership @ by_good <= bounds).all()
        realised = utilities(market, copies)
        mean += weight / lottery.denominator * realised
        scale = 1e-7 * (1 + np.abs(expected))
        assert (np.abs(realised - expected) <= promise.bound[order] + scale).all()
    assert_allclose(mean, expected, rtol=1e-8, atol=1e-7)
    assert (promise.bound <= promise.promised + 1e-9).all() or guarantee == "none"
    assert guarantee == "none" or promise.covered.all()


@given(market=pseudo_markets(max_agents=3, max_goods=4), seed=st.integers(0, 10**6))
@settings(max_examples=40, deadline=None)
def test_realised_bundles_are_acceptable_by_enumeration(market, seed):
    shares = random_shares(market, np.random.default_rng(seed))
    if shares is None:
        return
    assignment = draw_walk(market_lottery(market, shares), seed.to_bytes(32, "big"))
    dense = np.zeros((market.n_agents, market.n_goods))
    dense[market.pair_agent, market.pair_good] = pair_copies(market, assignment)
    for agent in range(market.n_agents):
        listed = acceptable_bundles(market, agent)
        assert (listed.copies == dense[agent]).all(axis=1).any()


def two_level(n_agents=6):
    """Return a market with a quota, a taper, a limit, and shares that use all of them."""
    market = PseudoMarket.from_arrays(
        np.tile([5.0, 4.0, 3.0, 1.0], (n_agents, 1)),
        capacities=[n_agents // 2] * 3 + [n_agents],
        agents=[f"s{k}" for k in reversed(range(n_agents))],
        quotas=[Quota("load", min=2, max=2)],
        tapers=[Taper("sciences", [0, -2], goods=("good1", "good2"))],
        limits=[Limit("laboratory", n_agents, goods=("good1", "good2", "good3"))],
    )
    x = np.tile([0.5, 0.25, 0.25, 1.0], (n_agents, 1))
    return market, RandomAllocation(market.agents, market.goods, sp.csr_array(x))


def test_sets_of_both_sides_in_order_with_names_and_bounds():
    market, shares = two_level(2)
    lottery = market_lottery(market, shares)
    assert lottery.agents == ("s0", "s1")
    inner, outer = lottery.agent_sets, lottery.good_sets
    assert inner.names[:2] == (
        "agent 's0' and quota 'load' of agent 's0'",
        "agent 's1' and quota 'load' of agent 's1'",
    )
    assert set(inner.names[2:]) == {"taper 'sciences' of agent 's0'", "taper 'sciences' of agent 's1'"}
    assert inner.upper.tolist() == [2, 2, -1, -1]
    assert outer.names == ("limit 'laboratory'", *(f"capacity of good 'good{j}'" for j in range(1, 5)))
    assert (outer.parent.tolist(), outer.upper.tolist()) == ([-1, 0, 0, 0, -1], [2, 1, 1, 1, 2])


def test_ids_in_any_order_are_matched_by_name():
    market, shares = two_level()
    x = shares.to_array()
    x[0], x[1] = [1.0, 0.0, 0.0, 1.0], [0.0, 0.5, 0.5, 1.0]
    shares = RandomAllocation(market.agents, market.goods, sp.csr_array(x))
    for guarantee in ("none", "utility"):
        lottery = market_lottery(market, shares, guarantee=guarantee)
        assert lottery.expectations().of("s5") == {"good1": 1.0, "good4": 1.0}
        assert verify_lottery(lottery, shares, market=market).passed
        assert utility_guarantee(market, lottery).bound[lottery.agents.index("s5")] == 0


def test_faults_are_named():
    market, shares = two_level()

    def changed(i, j, change):
        x = shares.to_array()
        x[i, j] += change
        return RandomAllocation(market.agents, market.goods, sp.csr_array(x))

    with pytest.raises(InvalidProblemError, match="quota 'load' of agent 's5'"):
        market_lottery(market, changed(0, 2, 0.25))
    with pytest.raises(InvalidProblemError, match="capacity of good 'good1'"):
        market_lottery(market, changed(0, 0, 0.5))
    with pytest.raises(InvalidProblemError, match=r"'s5', good 'good4'.*at most 1 copies"):
        market_lottery(market, changed(0, 3, 0.5))
    with pytest.raises(InvalidProblemError, match="guarantee"):
        market_lottery(market, shares, guarantee="all")
    with pytest.raises(InvalidProblemError, match="in its order"):
        market_lottery(market, RandomAllocation(market.agents[::-1], market.goods, shares.matrix))
    values = market.values.toarray()
    values[0, 0] = np.nan
    fewer = PseudoMarket.from_arrays(values, market.capacities, agents=market.agents)
    with pytest.raises(InvalidProblemError, match="not acceptable"):
        market_lottery(fewer, shares)


def test_noise_on_unacceptable_pairs_is_dropped():
    market = PseudoMarket.from_arrays([[1.0, np.nan], [np.nan, 1.0]], [1, 1])
    shares = RandomAllocation(market.agents, market.goods, sp.csr_array([[1.0, 1e-12], [-1e-12, 0.5]]))
    lottery = market_lottery(market, shares)
    assert lottery.expectations().to_array().tolist() == [[1.0, 0.0], [0.0, 0.5]]


def test_the_guarantee_narrows_utilities_on_a_course_market():
    market = course_market(60, 16, seed=3)
    rng = np.random.default_rng(0)
    shares = random_shares(market, rng)
    plain, chained = (market_lottery(market, shares, guarantee=g) for g in ("none", "utility"))
    assert chained.numerators == plain.numerators
    before, after = utility_guarantee(market, plain), utility_guarantee(market, chained)
    assert after.covered.all()
    assert (after.bound <= before.bound + 1e-9).all()
    assert not before.revealed.any()
    assert after.revealed.any()
    assert_allclose(after.promised, before.promised, rtol=1e-12)

    def spread(lottery):
        draws = sample(lottery, 200, 1)
        realised = np.array(
            [utilities(market, pair_copies(market, lottery.assignment(z)).astype(float)) for z in draws]
        )
        return realised.std(axis=0).mean()

    assert spread(chained) < spread(plain)
