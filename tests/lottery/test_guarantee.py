"""The utility guarantee on cases that can be worked out by hand."""

import numpy as np
import scipy.sparse as sp
from numpy.testing import assert_allclose

from fairlot.lottery import market_lottery, sample, utility_guarantee
from fairlot.model.constraints import Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation


def one_agent(values, row, **constraints):
    market = PseudoMarket.from_arrays([values], [1] * len(values), **constraints)
    shares = RandomAllocation(market.agents, market.goods, sp.csr_array([row]))
    return market, *(market_lottery(market, shares, guarantee=g) for g in ("none", "utility"))


def test_chain_of_four_goods():
    market, plain, chained = one_agent([7.0, 1.0, 10.0, 4.0], [0.5] * 4)
    # Values 10, 7, 4, 1.
    assert chained.agent_sets.names == (
        "agent 'agent1'",
        "best 3 in agent 'agent1'",
        "best 2 in agent 'agent1'",
    )
    assert chained.agent_sets.parent.tolist() == [-1, 0, 1]
    assert chained.agent_sets.leaf.tolist() == [2, 0, 2, 1]
    report = utility_guarantee(market, chained)
    # The gap is 10 - 1. One of the best two and one of the others for certain: 3 + 3 are enough.
    assert (report.bound.tolist(), report.promised.tolist()) == ([6.0], [9.0])
    assert report.covered.tolist() == report.revealed.tolist() == [True]
    before = utility_guarantee(market, plain)
    assert (before.bound.tolist(), before.covered.tolist(), before.revealed.tolist()) == (
        [12.0],
        [False],
        [False],
    )
    realised = sample(chained, 200, 0) @ np.array([7.0, 1.0, 10.0, 4.0])
    assert set(realised.tolist()) == {8.0, 11.0, 14.0}


def test_equal_values_need_no_set_and_reveal_nothing():
    market, _, chained = one_agent([2.0, 2.0, 2.0], [0.5, 0.25, 0.25])
    assert chained.agent_sets.n_sets == 1
    report = utility_guarantee(market, chained)
    assert (report.bound.tolist(), report.revealed.tolist()) == ([0.0], [False])


def test_a_number_that_may_vary_counts_by_the_least_value():
    market, _, chained = one_agent([5.0, 3.0], [0.5, 0.25])
    report = utility_guarantee(market, chained)
    assert (report.bound.tolist(), report.promised.tolist()) == ([5.0], [5.0])


def test_one_good_by_chance_counts_as_its_value():
    market, plain, chained = one_agent([5.0, 3.0], [1.0, 0.25])
    assert chained.to_json() == plain.to_json()
    assert utility_guarantee(market, chained).bound.tolist() == [3.0]


def test_goods_outside_her_inner_sets_form_a_chain_of_their_own():
    inner = Quota("pair", goods=("good1", "good2"), max=1)
    load = Quota("load", max=2)
    market, _, chained = one_agent([6.0, 5.0, 3.0, 1.0], [0.5] * 4, quotas=[inner, load])
    # good3 and good4 add up to 1, but only a set of their own makes that certain.
    assert [name for name in chained.agent_sets.names if name.startswith("best")] == [
        "best 2 in agent 'agent1' and quota 'load' of agent 'agent1'"
    ]
    report = utility_guarantee(market, chained)
    assert_allclose(report.bound, [1.0 + 2.0], rtol=0, atol=0)
    assert report.covered.all()


def test_tapers_shift_the_values_of_a_set_alike():
    taper = Taper("same", [0, -2], goods=("good1", "good2", "good3"))
    market, _, chained = one_agent([6.0, 5.0, 4.0], [0.5] * 3, tapers=[taper])
    # 1.5 copies, between one and two: the values are 4, 3, 2. One of the best two for certain.
    report = utility_guarantee(market, chained)
    assert (report.bound.tolist(), report.promised.tolist()) == ([1.0 + 2.0], [2.0 + 2.0])
    draws = sample(chained, 100, 0)
    realised = draws @ np.array([6.0, 5.0, 4.0]) - 2 * np.maximum(draws.sum(axis=1) - 1, 0)
    assert np.abs(realised - (7.5 - 1)).max() <= report.bound[0]


def test_agents_without_chance_have_bound_zero():
    market, _, chained = one_agent([6.0, 5.0], [1.0, 0.0])
    report = utility_guarantee(market, chained)
    assert (report.bound.tolist(), report.covered.tolist()) == ([0.0], [True])
