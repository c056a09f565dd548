"""The dispatcher: published numbers, hostile markets, and what a result says of itself."""

from __future__ import annotations

import numpy as np
import pytest
from market_cases import random_market
from numpy.testing import assert_allclose, assert_array_equal

from fairlot.certificate import Status
from fairlot.errors import InvalidProblemError
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket, utilities
from fairlot.pseudomarket.equilibrium import Equilibrium, budget_gap
from fairlot.pseudomarket.solve import solve_equilibrium

ONE = Quota("one", max=1)
EXACTLY_ONE = Quota("exactly one", min=1, max=1)


def solved(market: PseudoMarket, **options) -> Equilibrium:
    """Solve, and insist on the certificate."""
    found = solve_equilibrium(market, **options)
    failed = [(check.name, check.residual, check.witness) for check in found.certificate.failed]
    assert found.status is Status.CERTIFIED, (found.stats, failed)
    assert found.certificate.passed
    assert found.certificate.worst <= 1e-9
    return found


def expected_utilities(found: Equilibrium) -> np.ndarray:
    market = found.market
    copies = found.shares.matrix.toarray()[market.pair_agent, market.pair_good]
    return utilities(market, copies)


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "path", "nash"])
def test_hylland_zeckhauser_three_agents(method):
    market = PseudoMarket.from_arrays([[100, 20, 0], [100, 20, 0], [100, 80, 0]], 1, quotas=[ONE])
    found = solved(market, method=method)
    # The published equilibrium is not the only one: at (5/2, 1/2, 0) agent 3 mixes in good 1.
    second = abs(found.prices[0] - 2.5) < 0.1
    assert_allclose(found.prices, [2.5, 0.5, 0.0] if second else [2.0, 1.0, 0.0], atol=1e-9)
    assert_allclose(expected_utilities(found), [40, 40, 85] if second else [50, 50, 80], atol=1e-7)


def test_hylland_zeckhauser_zero_prices():
    market = PseudoMarket.from_arrays([[5, 3, 2, 1], [5, 3, 2, 2]], 1, quotas=[ONE])
    found = solved(market)
    assert_allclose(found.prices[2:], 0.0, atol=1e-9)
    assert_allclose(expected_utilities(found), [4.0, 4.0], atol=1e-8)


def test_crossing_limits_are_refused():
    with pytest.raises(InvalidProblemError, match="cross"):
        PseudoMarket.from_arrays(
            [[1, 1, 1]],
            1,
            goods=["0", "1", "2"],
            limits=[Limit("first", 1, ["0", "1"]), Limit("second", 1, ["1", "2"])],
        )


def test_crossing_quotas_go_to_the_timetable_solver_unless_a_road_is_named():
    quotas = [Quota("first", ["good1", "good2"], max=1), Quota("second", ["good2", "good3"], max=1)]
    market = PseudoMarket.from_arrays([[1, 1, 1]], 1, quotas=quotas)
    assert solve_equilibrium(market).stats.method == "timetable"
    with pytest.raises(InvalidProblemError, match="cross"):
        solve_equilibrium(market, method="path")


def test_limit_price_is_part_of_the_price():
    # Two agents, two goods alike to both, one copy of either in all: a limit price of 2, no capacity price.
    market = PseudoMarket.from_arrays([[1, 1], [1, 1]], 1, limits=[Limit("both", 1)])
    found = solved(market)
    assert_allclose(found.row_prices, [0, 0, 2], atol=1e-9)
    assert_allclose(found.prices, [2, 2], atol=1e-9)
    assert_allclose(found.shares.matrix.sum(), 1.0, atol=1e-9)


# --- hostile markets -----------------------------------------------------------------------------

RNG = np.random.default_rng(5)
HOSTILE = {
    "everybody satiated": PseudoMarket.from_arrays(
        RNG.uniform(1, 2, (4, 3)), 4, quotas=[Quota("two", max=2)]
    ),
    "satiated at a price": PseudoMarket.from_arrays(
        [[2, 1], [2, 1], [1, 1]], [1, 2], [3, 1, 1], quotas=[ONE]
    ),
    "ties everywhere": PseudoMarket.from_arrays(np.ones((6, 5)), 1, quotas=[ONE]),
    "two levels": PseudoMarket.from_arrays(RNG.integers(1, 3, (8, 6)), 1, quotas=[Quota("two", max=2)]),
    "identical agents": PseudoMarket.from_arrays(np.tile([5.0, 3.0, 1.0], (6, 1)), 1, quotas=[ONE]),
    "zero values": PseudoMarket.from_arrays([[1, 0, 0], [0, 0, 1], [0, 1, 0], [1, 1, 0]], 1, quotas=[ONE]),
    "zero values and a minimum": PseudoMarket.from_arrays(
        [[1, 0, 0], [1, 0, 0], [1, 0, 0]], 1, quotas=[EXACTLY_ONE]
    ),
    "budgets a million apart": PseudoMarket.from_arrays(
        [[3, 2, 1], [3, 1, 2], [3, 2, 2]], 1, [1e-3, 1.0, 1e3], quotas=[ONE]
    ),
    "one good": PseudoMarket.from_arrays([[2.0], [1.0], [5.0]], 1),
    "one agent": PseudoMarket.from_arrays([[2.0, 1.0, 4.0]], 1, quotas=[Quota("two", max=2)]),
    "one agent and one good": PseudoMarket.from_arrays([[2.0]], 1),
    "many more goods than agents": PseudoMarket.from_arrays(
        RNG.uniform(size=(2, 30)), 1, quotas=[Quota("five", max=5)]
    ),
    "values from 1e-9 to 1e9": PseudoMarket.from_arrays(
        RNG.uniform(1, 2, (4, 4)) * np.array([[1e-9], [1e-3], [1.0], [1e9]]), 1, quotas=[ONE]
    ),
    "values of one agent from 1e-6 to 1": PseudoMarket.from_arrays(
        [[1.0, 1e-3, 1e-6], [1.0, 1e-3, 1e-6], [1e-6, 1.0, 1e-3]], 1, quotas=[ONE]
    ),
    "minimum equal to maximum": PseudoMarket.from_arrays(
        RNG.uniform(1, 2, (5, 4)), 3, quotas=[Quota("two", min=2, max=2)]
    ),
    "minimums exhaust supply": PseudoMarket.from_arrays(RNG.uniform(1, 2, (4, 4)), 1, quotas=[EXACTLY_ONE]),
    "disconnected": PseudoMarket.from_arrays(
        [[2, 1, np.nan, np.nan], [2, 1, np.nan, np.nan], [np.nan, np.nan, 3, 1], [np.nan, np.nan, 1, 1]],
        1,
        quotas=[ONE],
    ),
    "a good nobody wants": PseudoMarket.from_arrays([[1, np.nan, 2], [1, np.nan, 2]], 1, quotas=[ONE]),
    "an agent who wants nothing": PseudoMarket.from_arrays(
        [[1, 2], [np.nan, np.nan], [1, 2], [0, 0]], 1, quotas=[ONE]
    ),
    "nobody wants anything": PseudoMarket.from_arrays([[0.0, np.nan], [np.nan, np.nan]], 1),
    "no copies": PseudoMarket.from_arrays([[1.0, 2.0], [2.0, 1.0]], [0, 1]),
    "no copies at all": PseudoMarket.from_arrays([[1.0, 2.0]], [0, 0]),
    "everything forced": PseudoMarket.from_arrays([[1.0, 2.0]], [1, 1], quotas=[Quota("both", min=2)]),
    "several copies": PseudoMarket.from_arrays(
        [[3, 1], [2, 2], [1, 3]], [4, 3], per_agent=2, quotas=[Quota("three", max=3)]
    ),
    "tapers": PseudoMarket.from_arrays(
        RNG.uniform(1, 2, (5, 4)),
        2,
        tapers=[Taper("dull", [0, -0.4, -1.2, -2])],
        quotas=[Quota("three", max=3)],
    ),
    "a taper that makes more worthless": PseudoMarket.from_arrays(
        [[1.0, 1.0], [1.0, 1.0]], 2, tapers=[Taper("one is enough", [0, -5])]
    ),
    "nested limits": PseudoMarket.from_arrays(
        RNG.uniform(1, 2, (6, 4)),
        3,
        quotas=[Quota("two", max=2)],
        limits=[Limit("two goods", 3, ["good1", "good2"]), Limit("all", 8)],
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_market_is_certified(name):
    market = HOSTILE[name]
    found = solved(market)
    assert (found.prices >= 0).all()
    assert found.shares.matrix.data.min(initial=1.0) > 0
    assert not found.prices.flags.writeable


@pytest.mark.parametrize("seed", range(24))
def test_random_market_is_certified(seed):
    solved(random_market(seed, ties=seed % 3 == 0))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(24, 200))
def test_more_random_markets(seed):
    found = solve_equilibrium(random_market(seed, ties=seed % 3 == 0), time_limit=20)
    assert found.status in (Status.CERTIFIED, Status.UNCERTIFIED, Status.TIME_LIMIT)
    assert (found.status is Status.CERTIFIED) == found.certificate.passed


# --- what a result says --------------------------------------------------------------------------


def test_infeasible_minimums():
    market = PseudoMarket.from_arrays(np.ones((3, 1)), 2, quotas=[EXACTLY_ONE], agents=["a", "b", "c"])
    found = solve_equilibrium(market)
    assert found.status is Status.INFEASIBLE
    assert found.prices is None
    assert found.shares is None
    assert not found.certificate.passed
    assert set(found.infeasibility.agents) == {"a", "b", "c"}
    with pytest.raises(ValueError, match="nothing to draw"):
        found.lottery()


def test_contradictory_bounds_of_one_agent():
    market = PseudoMarket.from_arrays([[1.0, np.nan]], 1, quotas=[Quota("two", min=2)])
    assert solve_equilibrium(market).status is Status.INFEASIBLE


def test_agent_who_cannot_afford_what_she_must_take_is_named():
    # Two copies, which the first two agents bid up to 2; the third must have one, with next to no money.
    market = PseudoMarket.from_arrays(
        [[1.0, np.nan], [1.0, np.nan], [1.0, 0.2]],
        [2, 1],
        [1.0, 1.0, 1e-3],
        quotas=[ONE, Quota("must", ["good1"], min=1, agents=("agent3",))],
    )
    found = solve_equilibrium(market, method="path")
    assert found.status is Status.UNCERTIFIED
    assert found.utility_loss[2] == np.inf
    witness = found.certificate["utility gap"].witness
    assert witness == "agent 'agent3' can afford no acceptable bundle: the cheapest costs 2, budget 0.001"


def test_uncertified_result_states_its_losses():
    market = random_market(1, lower=False)
    found = solve_equilibrium(market, method="nash", max_iter=1, time_limit=1e-9, tol=1e-9)
    assert found.status in (Status.TIME_LIMIT, Status.CERTIFIED)
    assert np.isfinite(found.utility_loss).all()
    for number in (found.envy, found.budget_gap, found.clearing):
        assert 0 <= number < np.inf
    bounds = [check for check in found.certificate.checks if check.name in ("quotas", "supply")]
    assert max(check.residual for check in bounds) <= 1e-7


def test_budget_gap_is_told_with_the_smallest_price_at_0():
    # Shares ½ ½ at prices 1 + γ(p - 1) for any γ: the gap has to be the one at smallest price 0.
    market = PseudoMarket.from_arrays([[2.0, 1.0], [2.0, 1.0]], 1, quotas=[EXACTLY_ONE])
    shares = solved(market).shares
    skewed = type(shares)(shares.agents, shares.goods, np.array([[0.6, 0.4], [0.4, 0.6]]))
    nobody = np.zeros(2, dtype=bool)
    wide = budget_gap(market, np.array([2.0, 0.0]), skewed, nobody)
    narrow = budget_gap(market, np.array([1.001, 0.999]), skewed, nobody)
    assert_allclose([wide, narrow], 0.2, rtol=1e-9)


def test_same_input_same_result():
    market = random_market(4)
    first, second = solved(market), solved(market)
    assert_array_equal(first.prices, second.prices)
    assert_array_equal(first.shares.matrix.toarray(), second.shares.matrix.toarray())


def test_start_at_an_equilibrium_of_the_same_market():
    market = random_market(4)
    found = solved(market)
    again = solved(market, start=found)
    assert_allclose(again.prices, found.prices, atol=1e-9)
    assert again.stats.method == "start"


def test_options_are_checked():
    market = PseudoMarket.from_arrays([[1.0]], 1)
    with pytest.raises(ValueError, match="method"):
        solve_equilibrium(market, method="simplex")
    with pytest.raises(ValueError, match="start"):
        solve_equilibrium(market, start=solved(PseudoMarket.from_arrays([[1.0]], 1, goods=["else"])))


def test_lottery_has_these_shares():
    market = HOSTILE["two levels"]
    found = solved(market)
    lottery = found.lottery()
    assert_allclose(lottery.expectations().matrix.toarray(), found.shares.matrix.toarray(), atol=1e-9)
