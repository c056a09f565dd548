"""The paper's theorems and examples on small economies, exactly: road C, fractions, boxes, all equilibria."""

from __future__ import annotations

from fractions import Fraction
from itertools import permutations, product

import numpy as np
import pytest
from economy_cases import (
    EXAMPLE_1,
    EXAMPLE_2,
    HYLLAND_ZECKHAUSER,
    PAIR_OR_NOTHING,
)
from numpy.testing import assert_allclose
from scipy.optimize import linprog

import fairlot as fl
from fairlot.certificate import Status
from fairlot.errors import NotSupportedError
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import Additive, Bound, LowerBound, Table, UnitDemand
from fairlot.pseudomarket.bundles.equilibrium import expected_utilities
from fairlot.pseudomarket.bundles.families import EquilibriumFamily, EquilibriumSet, equilibrium_set
from fairlot.pseudomarket.bundles.implement import implement
from fairlot.pseudomarket.bundles.markets import as_economy
from fairlot.pseudomarket.bundles.road import travel
from fairlot.pseudomarket.bundles.solve import solve_economy
from fairlot.pseudomarket.deterministic import deterministic_equilibria
from fairlot.testing.economies import random_economy
from fairlot.verify.economies import verify_walrasian

F = Fraction


# -- Example 1: the implementability problem


def test_pm_example1_best_random_consumption_mixes_two_goods_and_none() -> None:
    from fairlot.verify.bundle_demand import best_affordable_bundles

    best = best_affordable_bundles(PAIR_OR_NOTHING, [F(2, 3)] * 3, F(1))
    assert best.utility == F(3, 2)
    assert {len(bundle) for bundle in best.bundles} == {0, 2}


def test_pm_example1_is_not_implementable_as_bundles() -> None:
    # Whatever pairs the agents mix with nothing, two pairs are more goods than there are.
    pairs = [frozenset(pair) for pair in ({0, 1}, {0, 2}, {1, 2})]
    mine = {**dict.fromkeys(pairs, F(1, 4)), frozenset(): F(1, 4)}
    found = implement([mine, mine])
    assert found.lottery is None
    assert found.unmatched == F(1, 2)


def test_pm_implementability_witness_separates() -> None:
    pairs = [frozenset(pair) for pair in ({0, 1}, {0, 2}, {1, 2})]
    mine = {**dict.fromkeys(pairs, F(1, 4)), frozenset(): F(1, 4)}
    found = implement([mine, mine])
    paid = [sum(y * mine[bundle] for bundle, y in agent.items()) for agent in found.witness]
    assert sum(paid) == 2 * found.unmatched > 0
    for first, second in product(mine, repeat=2):
        if not first & second:
            assert found.witness[0][first] + found.witness[1][second] <= 0


def test_pm_example1_shares_decompose_but_bundles_are_not_optimal() -> None:
    # Half the time all to one, half to the other: expected shares ½ each, and right spending, but each
    # gets utility 1 where 3/2 is affordable. Rejected for its bundles.
    everything = ((0, 1, 2), ()), ((), (0, 1, 2))
    lottery = BundleLottery((F(1, 2), F(1, 2)), everything)
    assert set(lottery.shares(3)[0]) == {F(1, 2)}
    certificate = verify_walrasian(EXAMPLE_1, [F(2, 3)] * 3, lottery)
    assert [check.name for check in certificate.failed] == ["utility gap"]
    assert certificate["utility gap"].residual == pytest.approx(1 / 3, abs=1e-15)
    assert "{0, 1, 2} is not in her demand" in certificate["utility gap"].witness


def test_pm_example1_has_no_certified_equilibrium(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fairlot.pseudomarket.bundles.solve._ATTEMPTS", 1)
    assert solve_economy(EXAMPLE_1, method="exact").status is Status.UNCERTIFIED


# -- Example 2: randomization and efficiency


def test_pm_example2_no_deterministic_equilibrium_at_equal_budgets() -> None:
    assert deterministic_equilibria(EXAMPLE_2) == ()


def test_pm_example2_nearly_equal_budgets_in_random_order_give_6_4_4() -> None:
    totals = [F(0)] * 3
    orders = list(permutations((F(102, 100), F(101, 100), F(1))))
    for budgets in orders:
        found = deterministic_equilibria(FiatEconomy(EXAMPLE_2.valuations, budgets))
        assert {equilibrium.utilities for equilibrium in found} == {found[0].utilities}
        assert all(equilibrium.certificate.passed for equilibrium in found)
        totals = [a + b for a, b in zip(totals, found[0].utilities, strict=True)]
    assert [total / len(orders) for total in totals] == [6, 4, 4]


@pytest.fixture(scope="module")
def example2_equilibria() -> EquilibriumSet:
    return equilibrium_set(EXAMPLE_2)


def test_pm_example2_all_equilibria_as_computed(example2_equilibria: EquilibriumSet) -> None:
    found = example2_equilibria
    assert found.undecided == 0
    point, segment = found.families
    assert (point.dimension, point.prices) == (0, ((F(2), F(1)),))
    assert point.utilities(EXAMPLE_2) == ((8, 5, 5),)
    assert (segment.dimension, segment.exact) == (1, True)
    assert segment.prices == ((F(9, 4), F(3, 4)), (F(5, 2), F(1, 2)))
    # With U = (8 + 3x/5, 5 - x, 5 - x): x = 5/9 and x = 1.
    assert segment.utilities(EXAMPLE_2) == ((F(25, 3), F(40, 9), F(40, 9)), (F(43, 5), 4, 4))


@pytest.mark.parametrize("x", [F(0), F(5, 9), F(2, 3), F(1)])
def test_pm_example2_members_of_the_family_are_strong_equilibria(x: Fraction) -> None:
    certificate = verify_walrasian(EXAMPLE_2, *_member(x))
    assert certificate.passed
    assert expected_utilities(EXAMPLE_2, _member(x)[1]) == (8 + 3 * x / 5, 5 - x, 5 - x)


@pytest.mark.parametrize("x", [F(1, 10), F(1, 2), F(5, 9) - F(1, 10**9)])
def test_pm_example2_slides_overstate_the_set_of_equilibria(x: Fraction) -> None:
    # The slides say W for all x in [0, 1]. But for x in (0, 5/9) the price of a is below 9/4, where agent 1
    # would rather mix b with a than with both: no equilibrium, strong or not.
    certificate = verify_walrasian(EXAMPLE_2, *_member(x), strong=False)
    assert [check.name for check in certificate.failed] == ["utility gap"]
    assert certificate["utility gap"].witness.startswith("agent 0")


def _member(x: Fraction) -> tuple[list[Fraction], BundleLottery]:
    """Agent 1 holds both with probability x/5, else b; the others share a for the rest of the time."""
    price = 10 / (5 - x)
    terms = ((0, 1), (), ()), ((1,), (0,), ()), ((1,), (), (0,))
    return [price, 3 - price], BundleLottery((x / 5, (5 - x) / 10, (5 - x) / 10), terms)


def test_pm_example2_randomization_dominates_nearly_equal_budgets(
    example2_equilibria: EquilibriumSet,
) -> None:
    for family in example2_equilibria.families:
        for utilities in family.utilities(EXAMPLE_2):
            assert all(a >= b for a, b in zip(utilities, (6, 4, 4), strict=True))


@pytest.mark.parametrize("seed", [1, 3])
def test_exact_answers_are_among_all_equilibria(seed: int) -> None:
    """Two roads that share no search: paths and Newton's method, and cells one by one."""
    economy = random_economy(2, 2, seed)
    found = solve_economy(economy, method="exact")
    everything = equilibrium_set(economy)
    assert found.status is Status.CERTIFIED
    assert everything.families
    prices = found.prices or ()

    def holds(family: EquilibriumFamily) -> bool:
        if family.dimension > 1:
            return True  # its extent is not told
        ends = family.prices
        low, high = ends[0], ends[-1]
        spread = [b - a for a, b in zip(low, high, strict=True)]
        k = max(range(len(spread)), key=lambda j: abs(spread[j]))
        t = (Fraction(prices[k]) - low[k]) / spread[k] if spread[k] else F(0)
        return 0 <= t <= 1 and all(a + t * d == p for a, d, p in zip(low, spread, prices, strict=True))

    assert any(map(holds, everything.families)) or everything.undecided
    for family in everything.families:
        for end in family.prices:
            assert all(price >= 0 for price in end)


# -- Hylland and Zeckhauser


def test_pm_hylland_zeckhauser_published_equilibrium_is_exact() -> None:
    terms = ((0,), (2,), (1,)), ((2,), (0,), (1,))
    lottery = BundleLottery((F(1, 2), F(1, 2)), terms)
    assert verify_walrasian(HYLLAND_ZECKHAUSER, [2, 1, 0], lottery).passed
    assert expected_utilities(HYLLAND_ZECKHAUSER, lottery) == (50, 50, 80)


def test_pm_two_goods_at_price_zero() -> None:
    economy = FiatEconomy((UnitDemand((5, 3, 2, 1)), UnitDemand((5, 3, 2, 2))), 1)
    found = solve_economy(economy, method="exact")
    assert found.status is Status.CERTIFIED
    assert found.prices is not None
    assert found.prices[2:] == (0, 0)
    assert found.utilities == (4, 4)


def test_pm_other_equilibria_may_be_inefficient() -> None:
    # At prices (2, 0) agent 1 does not care whether she gets a or b, and may waste her money on a.
    economy = FiatEconomy((UnitDemand((1, 1)), UnitDemand((2, 1))), 1)
    wasteful = BundleLottery((F(1, 2), F(1, 2)), (((0,), (1,)), ((1,), (0,))))
    assert verify_walrasian(economy, [2, 0], wasteful, strong=False).passed
    assert [c.name for c in verify_walrasian(economy, [2, 0], wasteful).failed] == ["cheapness"]
    better = BundleLottery((1,), (((1,), (0,)),))
    assert expected_utilities(economy, wasteful) == (1, F(3, 2))
    assert expected_utilities(economy, better) == (1, 2)
    assert verify_walrasian(economy, [1, 0], better).passed


# -- Theorem 1, Theorem 2


@pytest.mark.parametrize("seed", range(8))
def test_pm_theorem1_strong_equilibrium_of_random_economies_exactly(seed: int) -> None:
    economy = random_economy(4, 3, seed)
    found = solve_economy(economy, method="exact")
    assert found.status is Status.CERTIFIED
    assert found.certificate.worst == 0.0
    assert found.lottery is not None
    if found.enclosure is None:
        assert all(isinstance(price, Fraction) for price in found.prices or ())
        assert verify_walrasian(
            economy, found.prices or (), found.lottery, limit_prices=found.limit_prices
        ).passed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(60))
def test_pm_theorem1_larger_sweep(seed: int) -> None:
    economy = random_economy(3 + seed % 4, 2 + seed % 4, 1000 + seed)
    assert solve_economy(economy, method="exact").status is Status.CERTIFIED


@pytest.mark.parametrize("seed", range(4))
def test_pm_fact_strong_equilibria_are_pareto_efficient(seed: int) -> None:
    economy = random_economy(3, 2, 40 + seed)
    found = solve_economy(economy, method="exact")
    assert found.status is Status.CERTIFIED
    utilities = [float(u) for u in found.utilities]
    terms = [
        [[j for j, owner in enumerate(split) if owner == i] for i in range(2)]
        for split in product(range(3), repeat=3)
    ]
    values = np.array([[float(u.value(term[i])) for term in terms] for i, u in enumerate(economy.valuations)])
    best = linprog(
        -values.sum(axis=0),
        A_ub=-values,
        b_ub=-np.array(utilities),
        A_eq=np.ones((1, len(terms))),
        b_eq=[1.0],
    )
    assert_allclose(-best.fun, sum(utilities), rtol=0, atol=1e-6)


def test_pm_theorem2_lower_bounds_with_equal_budgets() -> None:
    agents = tuple(LowerBound(Additive(values), 1) for values in ((5, 4, 3, 1), (5, 1, 1, 1), (6, 3, 2, 2)))
    found = solve_economy(FiatEconomy(agents, 1), method="exact")
    assert found.status is Status.CERTIFIED
    for i in range(3):
        assert all(found.lottery.consumption(i)) if found.lottery else False


def test_pm_feasibility_fails_where_everybody_needs_more_than_there_is() -> None:
    agents = tuple(LowerBound(Additive((1, 1, 1)), 2) for _ in range(2))
    found = solve_economy(FiatEconomy(agents, 1))
    assert found.status is Status.INFEASIBLE
    assert found.prices is None
    with pytest.raises(ValueError, match="infeasible"):
        found.utilities  # noqa: B018


@pytest.mark.parametrize("seed", range(3))
def test_pm_theorem2_step2_agent_0_equals_priced_limits(seed: int) -> None:
    """An agent with plenty of money who wants what may not be produced makes the limits bind as prices do."""
    rng = np.random.default_rng(seed)
    n, n_goods = 3, 4
    values = rng.integers(1, 20, (n, n_goods))
    goods = [f"g{j}" for j in range(n_goods)]
    market = fl.PseudoMarket.from_arrays(
        values,
        1,
        goods=goods,
        quotas=[fl.Quota("two", max=2)],
        limits=[fl.Limit("first three", max=2, goods=goods[:3])],
    )
    priced = fl.solve_equilibrium(market)
    economy = as_economy(market)
    # u_0(A) = 1 if H \ A is producible; her budget buys everything.
    u_0 = Table(tuple(int((~mask & 0b0111).bit_count() <= 2) for mask in range(16)))
    exchange = FiatEconomy((*economy.valuations, u_0), (*economy.budgets, 1000))
    found = solve_economy(exchange, method="exact")
    assert (priced.status, found.status) == (Status.CERTIFIED, Status.CERTIFIED)
    assert found.lottery is not None
    # Her marginals are the limit's slack; without her, the same prices and lottery clear with a priced limit.
    terms = tuple(term[:n] for term in found.lottery.assignments)
    rest = BundleLottery(found.lottery.weights, terms)
    prices = found.prices or ()
    shadow = min(prices[:3])
    certificate = verify_walrasian(economy, prices, rest, limit_prices=[shadow])
    assert certificate.passed


# -- Roads agree, results are honest


@pytest.mark.parametrize("seed", range(4))
def test_roads_a_and_c_certify_the_same_structured_markets(seed: int) -> None:
    rng = np.random.default_rng(seed)
    goods = ["a", "b", "c"]
    market = fl.PseudoMarket.from_arrays(
        rng.integers(0, 30, (4, 3)),
        rng.integers(1, 3, 3),
        rng.integers(1, 4, 4),
        goods=goods,
        quotas=[fl.Quota("load", max=2)],
        tapers=[fl.Taper("second", (0, -3), goods=goods[:2])],
        limits=[fl.Limit("hall", max=2, goods=goods[:2])],
    )
    by_bundles = fl.solve_equilibrium(market, method="exact")
    assert by_bundles.status is Status.CERTIFIED
    assert by_bundles.certificate.passed
    assert fl.solve_equilibrium(market).status is Status.CERTIFIED


def test_exact_market_results_carry_fractions() -> None:
    market = fl.PseudoMarket.from_arrays([[3, 1], [2, 2]], 1, quotas=[fl.Quota("one", max=1)])
    found = fl.solve_equilibrium(market, method="exact")
    assert found.bundles is not None  # type: ignore[attr-defined]
    assert all(isinstance(price, Fraction) for price in found.bundles.prices)  # type: ignore[attr-defined]


def test_markets_that_are_no_small_economies_are_refused() -> None:
    with pytest.raises(NotSupportedError, match="copies"):
        as_economy(fl.PseudoMarket.from_arrays(np.ones((9, 3)), 9))
    with pytest.raises(NotSupportedError, match="several copies"):
        as_economy(fl.PseudoMarket.from_arrays(np.ones((2, 2)), 2, per_agent=2))


def test_values_of_bundles_agree_with_the_oracle_of_structured_markets() -> None:
    from fairlot.testing import acceptable_bundles

    goods = ["a", "b", "c"]
    market = fl.PseudoMarket.from_arrays(
        [[4, 3, np.nan], [1, 0, 2]],
        1,
        goods=goods,
        quotas=[fl.Quota("one of two", goods=goods[:2], max=1), fl.Quota("some", min=1)],
        tapers=[fl.Taper("less", (0, -1), goods="all")],
    )
    for agent, table in enumerate(u.table() for u in as_economy(market).valuations):
        listed = acceptable_bundles(market, agent)
        for mask, value in enumerate(table):
            within = [
                float(worth)
                for bundle, worth in zip(listed.copies, listed.utility, strict=True)
                if all(mask >> j & 1 for j in np.flatnonzero(bundle))
            ]
            assert value == max(within, default=-np.inf)


def test_columns_asked_of_demand_oracles_lead_to_the_same_kind_of_answer(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from fairlot.pseudomarket.bundles import road

    monkeypatch.setattr(road, "MOST_ALL", 0)
    economy = random_economy(5, 3, 3)
    journey = travel(economy)
    assert journey.complete
    assert journey.columns < 3 * 31
    assert solve_economy(economy, method="bundles").status is Status.CERTIFIED


def test_limits_of_an_economy_are_priced() -> None:
    economy = FiatEconomy((Additive((3, 2, 1)), Additive((1, 2, 3))), 1, (Bound((0, 1, 2), upper=2),))
    found = solve_economy(economy, method="exact")
    assert found.status is Status.CERTIFIED
    assert found.limit_prices[0] > 0


@pytest.mark.parametrize(
    ("economy", "prices"),
    [
        (FiatEconomy((UnitDemand((1,)),), 1), (1,)),  # one agent, one good: she spends it all or keeps it
        (FiatEconomy((UnitDemand((0, 0)), UnitDemand((0, 0))), 1), (0, 0)),  # nobody wants anything
    ],
)
def test_tiny_economies(economy: FiatEconomy, prices: tuple[int, ...]) -> None:
    found = solve_economy(economy)
    assert found.status is Status.CERTIFIED
    assert all(p <= q for p, q in zip(found.prices or (), prices, strict=True))


@pytest.mark.parametrize("budgets", [(1, 1, 1), (1, 10**6, 1), (F(1, 3), F(2, 7), 1)])
def test_hostile_budgets_and_identical_agents(budgets: tuple[Fraction, ...]) -> None:
    economy = FiatEconomy((UnitDemand((7, 7, 0)), UnitDemand((7, 7, 0)), UnitDemand((7, 7, 0))), budgets)
    assert solve_economy(economy, method="exact").status is Status.CERTIFIED


def test_options_out_of_range() -> None:
    with pytest.raises(ValueError, match="method"):
        solve_economy(EXAMPLE_2, method="magic")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an economy is solved by"):
        fl.solve_equilibrium(EXAMPLE_2, method="nash")
    with pytest.raises(NotSupportedError):
        equilibrium_set(random_economy(4, 2, 0))
