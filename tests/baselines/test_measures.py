"""Every measure against its definition, written out slowly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from small_markets import several, unit

from fairlot.baselines import measures
from fairlot.baselines.mechanisms import equilibrium
from fairlot.baselines.outcome import Outcome
from fairlot.baselines.picking import serial_dictatorship
from fairlot.baselines.programs import NoAllocationError, pareto_improvement
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket, utilities
from fairlot.testing import acceptable_bundles, best_use
from fairlot.testing.strategies import pseudo_markets


def drawn(market: PseudoMarket, seed: int, n_draws: int = 3) -> Outcome:
    """Random assignments within everybody's own bounds, of which some may exceed supply."""
    rng = np.random.default_rng(seed)
    draws = np.zeros((n_draws, market.values.nnz), dtype=np.int64)
    for k in range(n_draws):
        for i in range(market.n_agents):
            bundles = acceptable_bundles(market, i)
            if len(bundles.utility):
                pick = bundles.copies[rng.integers(len(bundles.utility))]
                mine = market.pair_agent == i
                draws[k, mine] = pick[market.pair_good[mine]]
    return Outcome(draws)


@given(pseudo_markets(), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_envy_ex_post_is_what_one_could_make_of_anothers_bundle(market: PseudoMarket, seed: int) -> None:
    outcome = drawn(market, seed, n_draws=2)
    found = measures.envy_ex_post(market, outcome)
    weight = measures.entitlements(market)
    for k, draw in enumerate(outcome.draws):
        utility = utilities(market, draw)
        held = np.zeros(market.values.shape)
        held[market.pair_agent, market.pair_good] = draw
        for i in range(market.n_agents):
            most = 0.0
            for other in range(market.n_agents):
                if other != i and market.budgets[other] == market.budgets[i]:
                    use = best_use(market, i, held[other])
                    if np.isfinite(use):
                        most = max(most, (use - utility[i]) / weight[i])
            assert_allclose(found[k, i], most, atol=1e-9)


@given(pseudo_markets(), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_waste_is_what_somebody_would_gain_from(market: PseudoMarket, seed: int) -> None:
    outcome = drawn(market, seed, n_draws=1)
    draw = outcome.draws[0]
    if measures.broken_quotas(market, draw):
        return  # somebody has no acceptable bundle
    given_ = np.bincount(market.pair_good, draw, minlength=market.n_goods).astype(int)
    spare = np.minimum(market.capacities - given_, 10**6)
    for goods, bound in market.limit_sets:
        spare[goods] = np.minimum(spare[goods], bound - given_[goods].sum())
    utility = utilities(market, draw)
    wasted = 0
    for j in range(market.n_goods):
        takers = 0
        for pair in np.flatnonzero(market.pair_good == j):
            more = draw.copy()
            more[pair] += 1
            allowed = measures.broken_quotas(market, more) == 0
            takers += allowed and utilities(market, more)[market.pair_agent[pair]] > (
                utility[market.pair_agent[pair]] + 1e-9
            )
        wasted += max(spare[j], 0) if takers else 0
    assert measures.waste(market, outcome.draws) == wasted


@given(pseudo_markets(), st.integers(0, 100))
@settings(max_examples=25, deadline=None)
def test_broken_quotas_count_copies(market: PseudoMarket, seed: int) -> None:
    rng = np.random.default_rng(seed)
    draw = rng.integers(0, 3, size=market.values.nnz)
    held = np.zeros(market.values.shape, dtype=int)
    held[market.pair_agent, market.pair_good] = draw
    within = all(
        (acceptable_bundles(market, i).copies == held[i]).all(axis=1).any() for i in range(market.n_agents)
    )
    counted = measures.broken_quotas(market, draw)
    assert (counted == 0) == within


def test_broken_quotas_by_hand() -> None:
    market = PseudoMarket.from_arrays([[1, 1, 1], [1, 1, 1]], 2, quotas=[Quota("two", min=1, max=2)])
    assert measures.broken_quotas(market, np.array([1, 1, 1, 0, 0, 0])) == 2
    assert measures.broken_quotas(market, np.array([2, 0, 0, 1, 0, 0])) == 1  # two of one good


def test_ranks_share_the_better_place_when_tied() -> None:
    market = several([[5, 5, 1], [1, 2, 3]])
    copies = np.array([0.5, 0.5, 1.0, 1.0, 0.0, 0.0])
    assert_allclose(measures.rank_distribution(market, copies), [0.5, 0.0, 1.0], atol=1e-15)


def test_clearing_has_two_sides() -> None:
    market = PseudoMarket.from_arrays(
        [[1, 1, 1]] * 3, capacities=[1, 2, 3], limits=[Limit("c", 1, ["good3"])]
    )
    draw = np.array([[1, 0, 0, 1, 0, 0, 1, 1, 0]])  # three of good 1, one of good 2, none of good 3
    over, under, norm = measures.clearing(market, Outcome(draw, prices=np.array([1.0, 0.5, 0.2])))
    assert (over, under) == (2.0, 2.0)  # one seat of good 2, one of good 3 under its limit
    assert_allclose(norm, np.sqrt(2.0**2 + 1.0 + 1.0), atol=1e-12)
    over, under, _ = measures.clearing(market, Outcome(draw, prices=np.zeros(3)))
    assert (over, under) == (2.0, 0.0)
    over, under, norm = measures.clearing(market, Outcome(draw))
    assert over == 2.0
    assert np.isnan([under, norm]).all()


def test_overspending_is_relative_to_the_true_budget() -> None:
    market = PseudoMarket.from_arrays([[1, 1], [1, 1]], 1, budgets=[1.0, 2.0])
    outcome = Outcome(np.array([[1, 0, 0, 1]]), prices=np.array([1.5, 1.0]))
    assert_allclose(measures.overspending(market, outcome), 0.5, atol=1e-12)
    assert np.isnan(measures.overspending(market, Outcome(np.array([[1, 0, 0, 1]]))))


def test_agents_who_value_nothing_count_in_neither_mean_nor_minimum() -> None:
    market = several([[0.0], [2.0]])
    found = measures.measure(market, Outcome(np.array([[0, 1]])))
    assert (found.welfare, found.worst_off, found.value) == (1.0, 1.0, 1.0)


def test_a_pareto_improvement_is_a_feasible_allocation_that_harms_nobody() -> None:
    market = unit([[3, 1], [1, 3]])
    outcome = Outcome(np.array([[0, 1, 1, 0]]))
    better = pareto_improvement(market, utilities(market, outcome.draws[0]))
    assert_allclose(better.gains, [2.0, 2.0], atol=1e-7)
    assert_allclose(better.shares, [1, 0, 0, 1], atol=1e-9)
    assert_allclose(better.gain, 2 / 3, atol=1e-7)


@given(pseudo_markets(), st.integers(0, 20))
@settings(max_examples=15, deadline=None)
def test_equilibria_are_envy_free_and_efficient_in_every_measure(market: PseudoMarket, seed: int) -> None:
    """The two theorems behind the first row of every comparison."""
    try:
        outcome = equilibrium(market, 3, seed, 20.0)
    except NoAllocationError:
        return
    if outcome.note != "certified":
        return
    found = measures.measure(market, outcome)
    assert found.envy_ex_ante <= 1e-7
    assert found.improvement <= 1e-6  # the linear program's own tolerance is 1e-7 in every row
    assert found.broken_quotas == found.clearing_over == 0
    assert found.overspending <= 1e-8


def test_serial_dictatorship_wastes_nothing_and_breaks_nothing() -> None:
    market = PseudoMarket.from_arrays(
        np.random.default_rng(3).integers(1, 20, size=(12, 6)),
        capacities=4,
        quotas=[Quota("load", max=3)],
        tapers=[Taper("third", marginals=[0, 0, -2])],
        limits=[Limit("laboratory", 6, ["good1", "good2"])],
    )
    found = measures.measure(market, serial_dictatorship(market, 20, 0))
    assert (found.waste, found.clearing_over, found.broken_quotas) == (0.0, 0.0, 0.0)


def test_improvements_that_cannot_be_told_are_not_numbers() -> None:
    market = PseudoMarket.from_arrays([[1.0], [1.0]], capacities=1)
    both = measures.measure(market, Outcome(np.array([[1, 1]])))
    assert both.clearing_over == 1.0
    assert np.isnan(both.improvement)


@pytest.mark.parametrize("n_draws", [1, 7])
def test_means_over_draws_do_not_depend_on_their_order(n_draws: int) -> None:
    market = several([[3, 2], [2, 3], [1, 1]])
    outcome = serial_dictatorship(market, n_draws, 0)
    one = measures.measure(market, outcome)
    other = measures.measure(market, Outcome(outcome.draws[::-1]))
    assert_allclose(
        [one.welfare, one.envy_ex_post, one.waste],
        [other.welfare, other.envy_ex_post, other.waste],
        atol=1e-12,
    )
