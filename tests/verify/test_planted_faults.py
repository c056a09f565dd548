"""For every check of the equilibrium's certificate a wrong answer that fails exactly that check."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import scipy.sparse as sp
from numpy.typing import ArrayLike

from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.testing import assert_equilibrium
from fairlot.verify.equilibrium import REQUIRED, satiated_agents, utility_losses, verify_equilibrium

ONE = (Quota("one", max=1),)


def shares_of(market: PseudoMarket, copies: ArrayLike) -> RandomAllocation:
    return RandomAllocation(market.agents, market.goods, sp.csr_array(np.array(copies, dtype=float)))


def failed(
    market: PseudoMarket,
    prices: Sequence[float],
    copies: ArrayLike,
    row_prices: Sequence[float] | None = None,
    tol: float = 1e-9,
) -> dict[str, str]:
    rows = None if row_prices is None else np.array(row_prices, dtype=float)
    shares = shares_of(market, copies)
    found = verify_equilibrium(market, np.array(prices, dtype=float), shares, row_prices=rows, tol=tol)
    assert found.required == REQUIRED
    assert found.passed == (not found.failed)
    return {check.name: check.witness for check in found.failed}


def hylland_zeckhauser(budgets: ArrayLike = 1.0, capacities: ArrayLike = 1) -> PseudoMarket:
    values = [[100, 20, 0], [100, 20, 0], [100, 80, 0]]
    return PseudoMarket.from_arrays(values, capacities, budgets, quotas=ONE)


HZ_PRICES = [2.0, 1.0, 0.0]
HZ_SHARES = [[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1, 0]]


# --- Exact equilibria, by hand


def test_hylland_zeckhauser_example() -> None:
    assert failed(hylland_zeckhauser(), HZ_PRICES, HZ_SHARES) == {}


def test_zero_prices_where_there_is_enough() -> None:
    # The last two goods are free, and nobody wants them.
    market = PseudoMarket.from_arrays([[5, 3, 2, 1], [5, 3, 2, 2]], capacities=1, quotas=ONE)
    assert failed(market, [1.5, 0.5, 0, 0], [[0.5, 0.5, 0, 0], [0.5, 0.5, 0, 0]]) == {}
    np.testing.assert_allclose(
        utility_losses(market, np.array([1.5, 0.5, 0, 0]), shares_of(market, [[0.5, 0.5, 0, 0]] * 2)),
        0.0,
        atol=1e-15,
    )


def test_example_2_of_the_paper() -> None:
    r"""u_1 = (ab 11, a 10, b 8), u_2 = u_3 = (11, 10, 2): at x = 0, p = (2, 1), U = (8, 5, 5).

    u_2(ab) = 11 < 10 + 2 is a taper of -1 on the second good; u_1(ab) = 11 one of -7.
    """
    market = PseudoMarket.from_arrays(
        [[10, 8], [10, 2], [10, 2]],
        capacities=1,
        agents=["1", "2", "3"],
        tapers=[Taper("first", (0, -7), agents=["1"]), Taper("others", (0, -1), agents=["2", "3"])],
    )
    assert failed(market, [2, 1], [[0, 1], [0.5, 0], [0.5, 0]]) == {}
    # x = 5/9: p = (9/4, 3/4), agent 1 holds ab with probability 1/9, else b.
    assert failed(market, [9 / 4, 3 / 4], [[1 / 9, 1], [4 / 9, 0], [4 / 9, 0]]) == {}
    # x = 1: p = (5/2, 1/2), agent 1 holds ab with probability 1/5, else b.
    assert failed(market, [5 / 2, 1 / 2], [[0.2, 1], [0.4, 0], [0.4, 0]]) == {}
    # Strictly between 0 and 5/9 the slide's formula is no equilibrium: agent 1 prefers to mix b with a.
    x = 0.3
    found = failed(
        market,
        [10 / (5 - x), 3 - 10 / (5 - x)],
        [[x / 5, 1], [(5 - x) / 10, 0], [(5 - x) / 10, 0]],
    )
    assert "agent '1'" in found["utility gap"]


def test_satiated_agents_and_free_goods() -> None:
    market = PseudoMarket.from_arrays([[3, 1, 0], [1, 3, 0]], capacities=[1, 1, 5], quotas=ONE)
    assert failed(market, [0, 0, 0], [[1, 0, 0], [0, 1, 0]]) == {}
    assert satiated_agents(market, np.zeros(3)).all()


def test_lower_quota() -> None:
    # Everybody must take one of a and b; a is worth more to both and has one seat.
    market = PseudoMarket.from_arrays(
        [[4, 1], [4, 1]], capacities=[1, 2], quotas=[Quota("one", min=1, max=1)]
    )
    assert failed(market, [2, 0], [[0.5, 0.5], [0.5, 0.5]]) == {}
    assert set(failed(market, [2, 0], [[0.5, 0.5], [0.5, 0.25]])) >= {"quotas"}


def test_limit() -> None:
    # Of a and b together one copy may be given.
    market = PseudoMarket.from_arrays([[4, 1], [1, 4]], capacities=1, quotas=ONE, limits=[Limit("both", 1)])
    assert failed(market, [2, 2], [[0.5, 0], [0, 0.5]], [0, 0, 2]) == {}


# --- One fault each


def test_prices_negative() -> None:
    market = PseudoMarket.from_arrays([[1, np.nan]], capacities=1)
    assert failed(market, [0, 0], [[1, 0]]) == {}
    assert failed(market, [0, -0.5], [[1, 0]]) == {"prices": "price of good 'good2' is -0.5"}


def test_prices_that_rows_do_not_amount_to() -> None:
    market = PseudoMarket.from_arrays([[1, 1]], capacities=[1, 0], limits=[Limit("all", 5)])
    assert failed(market, [0, 0], [[1, 0]], [0, 0, 0]) == {}
    # Good 2 has no supply: her price is free, but must be what its rows amount to.
    assert failed(market, [0, 5], [[1, 0]], [0, 5, 0]) == {}
    assert set(failed(market, [0, 5], [[1, 0]], [0, 4, 0])) == {"prices"}


def test_quota_exceeded() -> None:
    market = PseudoMarket.from_arrays([[3, 1], [1, 3]], capacities=3, quotas=ONE)
    found = failed(market, [0, 0], [[1, 0.25], [0, 1]])
    assert found == {"quotas": "agent 'agent1' gets 1.25 under quota 'one', at most 1 allowed"}


def test_quota_missed() -> None:
    # Nobody wants good 2, of which everybody must take one.
    market = PseudoMarket.from_arrays(
        [[3, 0]], capacities=1, goods=["a", "b"], quotas=[Quota("b", ["b"], min=1)]
    )
    assert failed(market, [0, 0], [[1, 1]]) == {}
    found = failed(market, [0, 0], [[1, 0.5]])
    assert found == {"quotas": "agent 'agent1' gets 0.5 under quota 'b', at least 1 allowed"}


def test_share_of_an_unacceptable_good() -> None:
    market = PseudoMarket.from_arrays([[1, np.nan]], capacities=1)
    found = failed(market, [0, 0], [[1, 0.5]])
    assert found == {"quotas": "agent 'agent1' gets 0.5 of good 'good2', which she does not accept"}


def test_negative_share() -> None:
    market = PseudoMarket.from_arrays([[1, 0]], capacities=1)
    assert set(failed(market, [0, 0], [[1, -1e-6]])) == {"quotas"}


def test_more_copies_than_one_agent_may_hold() -> None:
    market = PseudoMarket.from_arrays([[1]], capacities=5, per_agent=2)
    assert failed(market, [0], [[2]]) == {}
    assert set(failed(market, [0], [[2.5]])) == {"quotas"}


def test_supply_exceeded() -> None:
    market = PseudoMarket.from_arrays([[1], [1]], capacities=1)
    found = failed(market, [0], [[1], [1]])
    assert found == {"supply": "good 'good1': 2 given, 1 there"}


def test_limit_exceeded() -> None:
    market = PseudoMarket.from_arrays([[1], [1]], capacities=5, limits=[Limit("few", 1)])
    assert failed(market, [0], [[1], [1]], [0, 0]) == {"supply": "limit 'few': 2 given, 1 there"}


def test_priced_good_left_over() -> None:
    # A price and a slack both too large to pass, their product too small to matter to welfare.
    market = PseudoMarket.from_arrays([[1]], capacities=1)
    assert failed(market, [1e-5], [[1]]) == {}
    crowd = PseudoMarket.from_arrays([[1, np.nan]] * 3, capacities=[3, 1])
    found = failed(crowd, [0, 2e-9], [[1, 0]] * 3)
    assert found == {"clearing": "good 'good2' has price 2e-09, but 1 of 1 left"}


def test_priced_limit_with_slack() -> None:
    market = PseudoMarket.from_arrays([[1]] * 3, capacities=3, limits=[Limit("all", 4)])
    assert failed(market, [2e-9], [[1]] * 3, [2e-9, 0]) == {}
    assert set(failed(market, [2e-9], [[1]] * 3, [0, 2e-9])) == {"clearing"}


def test_over_spending() -> None:
    # The third agent's budget falls by a hundredth; her lottery costs what it did.
    found = failed(hylland_zeckhauser([1, 1, 0.99]), HZ_PRICES, HZ_SHARES)
    assert found == {"over-spending": "agent 'agent3' spends 1, budget 0.99"}


def test_unspent_money() -> None:
    # The dear good is better by less than the tolerance, but better.
    market = PseudoMarket.from_arrays([[1, 1 + 1e-10], [0, 1]], [1, 1], [1, 2], quotas=ONE)
    found = failed(market, [0, 2], [[1, 0], [0, 1]])
    assert found == {"unspent money": "agent 'agent1' spends 0, budget 1"}


def test_utility_gap() -> None:
    # She could have the better good for nothing.
    market = PseudoMarket.from_arrays([[3, 2]], capacities=1, quotas=ONE)
    found = failed(market, [0, 0], [[0, 1]])
    assert found == {"utility gap": "agent 'agent1' gets utility 2, can afford 3"}


def test_not_the_cheapest_of_the_best() -> None:
    # Both goods are the same to agents 1 and 2, who are satiated; agent 2 has the dear one. Beside what
    # the others' utilities weigh in money, her waste is within the tolerance that is asked for.
    values = [[1, 1, np.nan], [1, 1, np.nan], *[[np.nan, np.nan, 1]] * 8]
    market = PseudoMarket.from_arrays(values, capacities=[1, 1, 4], quotas=ONE)
    copies = [[1, 0, 0], [0, 1, 0], *[[0, 0, 0.5]] * 8]
    assert failed(market, [0, 0, 2], copies, tol=0.05) == {}
    found = failed(market, [0, 0.1, 2], copies, tol=0.05)
    assert found == {"cheapness": "agent 'agent2' pays 0.1, could be as well off for 0"}


def test_weighted_welfare() -> None:
    # A price that is nothing to anybody, on a thousand idle copies, is worth something.
    market = PseudoMarket.from_arrays([[1, np.nan]], capacities=[1, 1000])
    assert set(failed(market, [0, 0.9e-9], [[1, 0]])) == {"weighted welfare"}


def test_envy() -> None:
    # Agent 1 falls short of what she can afford, agent 2 spends too much, each by less than the tolerance.
    market = PseudoMarket.from_arrays([[1, 0], [1, 0]], capacities=[1, 2], quotas=ONE)
    assert failed(market, [2, 0], [[0.5, 0.5], [0.5, 0.5]], tol=0.1) == {}
    found = failed(market, [2, 0], [[0.46, 0.54], [0.54, 0.46]], tol=0.1)
    assert found == {"envy": "agent 'agent1' would gain 0.16 from the lottery of 'agent2'"}


# --- Several at once, and what must not pass unseen


def test_cheapest_acceptable_bundle_out_of_reach() -> None:
    market = PseudoMarket.from_arrays([[1, 1], [1, 1]], 1, [1, 0.1], quotas=[Quota("one", min=1, max=1)])
    found = failed(market, [0.55, 0.55], [[0.5, 0.5], [0.5, 0.5]])
    expected = "agent 'agent2' can afford no acceptable bundle: the cheapest costs 0.55, budget 0.1"
    assert found["utility gap"] == expected
    assert "over-spending" in found


def test_own_bounds_that_contradict_supply() -> None:
    market = PseudoMarket.from_arrays([[1, 1]], [1, 0], quotas=[Quota("two", min=2)])
    assert "accepts no bundle" in failed(market, [0, 0], [[1, 0]])["utility gap"]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["price", "share", "row price"])
def test_nothing_passes_with_a_number_that_is_none(bad: float, where: str) -> None:
    market = PseudoMarket.from_arrays([[3, 1], [1, 3]], capacities=2, quotas=ONE, limits=[Limit("all", 9)])
    prices, rows, copies = np.zeros(2), np.zeros(3), np.eye(2)
    assert failed(market, prices, copies, rows) == {}
    {"price": prices, "row price": rows, "share": copies[1]}[where][1] = bad
    found = failed(market, prices, copies, rows)
    assert set(found) == set(REQUIRED)
    assert all("good2" in witness for witness in found.values())


@pytest.mark.parametrize("price", [1e300, 1.7e308])
def test_prices_near_overflow_do_not_pass(price: float) -> None:
    market = PseudoMarket.from_arrays([[1, 2], [2, 1]], capacities=1)
    found = failed(market, [price, price], [[0.5, 0.5], [0.5, 0.5]])
    assert "over-spending" in found
    assert not satiated_agents(market, np.array([price, price])).any()


def test_a_false_equilibrium_that_marginals_do_not_show() -> None:
    # Fixing an agent's λ as if she were satiated leaves her short of her greatest utility.
    market = PseudoMarket.from_arrays([[10, 9], [10, 0]], capacities=1, quotas=ONE)
    assert set(failed(market, [1, 0], [[0, 1], [1, 0]])) >= {"utility gap"}


def test_row_prices_are_needed_with_limits() -> None:
    market = PseudoMarket.from_arrays([[1]], capacities=1, limits=[Limit("all", 1)])
    with pytest.raises(ValueError, match="row_prices are needed"):
        verify_equilibrium(market, np.zeros(1), shares_of(market, [[1]]))


@pytest.mark.parametrize(("n_prices", "n_rows"), [(2, 1), (1, 2)])
def test_shapes_must_fit(n_prices: int, n_rows: int) -> None:
    market = PseudoMarket.from_arrays([[1]], capacities=1)
    with pytest.raises(ValueError, match="expected"):
        verify_equilibrium(market, np.zeros(n_prices), shares_of(market, [[1]]), row_prices=np.zeros(n_rows))


def test_shares_of_another_market() -> None:
    market, other = hylland_zeckhauser(), PseudoMarket.from_arrays([[1]], capacities=1)
    with pytest.raises(ValueError, match="other agents or goods"):
        verify_equilibrium(market, np.zeros(3), shares_of(other, [[1]]))


def test_assertion_tells_every_failed_check() -> None:
    market = hylland_zeckhauser()
    with pytest.raises(AssertionError, match=r"over-spending: residual 0\.1"):
        assert_equilibrium(market, np.array([2.0, 1.1, 0.0]), shares_of(market, HZ_SHARES))


def test_losses_at_true_budgets() -> None:
    market = hylland_zeckhauser([1, 1, 2])
    losses = utility_losses(market, np.array(HZ_PRICES), shares_of(market, HZ_SHARES))
    np.testing.assert_allclose(losses, [0, 0, 0.2], atol=1e-15)
