"""Every mechanism against its published example or an enumeration."""

from __future__ import annotations

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose
from small_markets import several, unit

from fairlot.baselines import eating, programs, trading
from fairlot.baselines.gains import open_gains
from fairlot.baselines.mechanisms import BASELINES, Lie
from fairlot.baselines.picking import bidirectional_draft, draft, round_robin, serial_dictatorship
from fairlot.errors import MissingExtraError
from fairlot.model.constraints import Limit, Quota, Taper
from fairlot.model.market import PseudoMarket, utilities
from fairlot.testing import acceptable_bundles
from fairlot.testing.strategies import pseudo_markets

FOUR = [[4, 3, 2, 1], [4, 3, 2, 1], [3, 4, 1, 2], [3, 4, 1, 2]]


def over_all_orders(market: PseudoMarket, *, whole_bundles: bool, reverse: bool) -> np.ndarray:
    gains, ties = open_gains(market), np.zeros(market.values.nnz)
    plays = [
        draft(gains, np.array(order), ties, whole_bundles=whole_bundles, reverse=reverse)
        for order in permutations(range(market.n_agents))
    ]
    return np.mean(plays, axis=0).reshape(market.n_agents, -1)


def test_serial_dictatorship_in_bogomolnaia_and_moulin_2001() -> None:
    # Their example in the introduction: a > b > c > d twice, b > a > d > c twice.
    expected = np.array([[5, 1, 5, 1], [5, 1, 5, 1], [1, 5, 1, 5], [1, 5, 1, 5]]) / 12
    assert_allclose(over_all_orders(unit(FOUR), whole_bundles=True, reverse=False), expected, atol=1e-15)


def test_probabilistic_serial_in_bogomolnaia_and_moulin_2001() -> None:
    expected = np.array([[1, 0, 1, 0], [1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]]) / 2
    assert_allclose(eating.eat(unit(FOUR)).reshape(4, 4), expected, atol=1e-12)


def test_the_lottery_of_serial_dictatorship_is_dominated_there_and_that_of_eating_is_not() -> None:
    market = unit(FOUR)
    drawn = over_all_orders(market, whole_bundles=True, reverse=False)
    values = np.array(FOUR, dtype=float)
    assert programs.pareto_improvement(market, (drawn * values).sum(axis=1)).gain > 0.01
    eaten = eating.eat(market).reshape(4, 4)
    assert programs.pareto_improvement(market, (eaten * values).sum(axis=1)).gain < 1e-9


def test_probabilistic_serial_with_a_ceiling_in_budish_che_kojima_milgrom_2013() -> None:
    # A ceiling of 1 on the two goods together: both are eaten at once, and neither is finished.
    market = PseudoMarket.from_arrays(
        [[2, 1], [1, 2]], capacities=1, quotas=[Quota("one", max=1)], limits=[Limit("both", max=1)]
    )
    assert_allclose(eating.eat(market).reshape(2, 2), [[0.5, 0], [0, 0.5]], atol=1e-12)


def test_probabilistic_serial_of_several_copies_in_kojima_2009() -> None:
    # Two agents, four goods, two each: everybody eats half of what both like, then her own favourite.
    market = PseudoMarket.from_arrays(
        [[8, 4, 2, 1], [8, 1, 4, 2]], capacities=1, quotas=[Quota("two", max=2)]
    )
    assert_allclose(eating.eat(market).reshape(2, 4), [[0.5, 1, 0, 0.5], [0.5, 0, 1, 0.5]], atol=1e-12)


def test_a_taper_changes_what_is_eaten_when_its_breakpoint_is_reached() -> None:
    market = PseudoMarket.from_arrays(
        [[5, 4, 3]],
        capacities=1,
        quotas=[Quota("two", max=2)],
        tapers=[Taper("of a kind", marginals=[0, -2], goods=("good1", "good2"))],
    )
    assert_allclose(eating.eat(market), [1, 0, 1], atol=1e-12)


def test_lower_quotas_are_met_first() -> None:
    market = PseudoMarket.from_arrays(
        [[9, 8, 1], [9, 8, 1]],
        capacities=[1, 2, 2],
        quotas=[Quota("load", max=2), Quota("laboratory", goods=("good3",), min=1)],
    )
    for outcome in (
        serial_dictatorship(market, 4, 0),
        round_robin(market, 4, 0),
        eating.probabilistic_serial(market, 4, 0),
    ):
        assert (outcome.draws.reshape(4, 2, 3)[:, :, 2] == 1).all()


def test_the_core_from_random_endowments_is_random_serial_dictatorship() -> None:
    """Abdulkadiroğlu and Sönmez (1998), Theorem 2, over all deals and all orders."""
    rng = np.random.default_rng(5)
    for _ in range(5):
        values = [rng.permutation(4) + 1.0 for _ in range(4)]
        market = unit(values)
        traded = np.mean([trading.trade(market, np.array(d)) for d in permutations(range(4))], axis=0)
        dictated = over_all_orders(market, whole_bundles=True, reverse=False)
        assert_allclose(traded.reshape(4, 4), dictated, atol=1e-12)


def test_trading_leaves_what_nobody_accepts_and_takes_what_nobody_owns() -> None:
    market = unit([[0, 2, 1], [0, 1, 2]], capacities=[1, 1, 1])
    assert trading.trade(market, np.array([0, 1, 2])).reshape(2, 2).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("market", "reason"),
    [
        (several([[1, 2], [2, 1]]), "exactly one copy"),
        (unit([[1], [2]]), "1 copies to deal to 2 agents"),
        (
            PseudoMarket.from_arrays(
                [[1, 2], [2, 1]], 1, quotas=[Quota("one", max=1)], limits=[Limit("all", max=1)]
            ),
            "limits",
        ),
    ],
)
def test_trading_says_where_it_does_not_apply(market: PseudoMarket, reason: str) -> None:
    assert reason in trading.applies(market)


@given(pseudo_markets())
@settings(max_examples=40, deadline=None)
def test_a_dictator_takes_her_best_bundle(market: PseudoMarket) -> None:
    """Greedy picking against every bundle there is, for the first of the order."""
    if market.limit_sets:
        return
    order = np.arange(market.n_agents)
    copies = draft(open_gains(market), order, np.zeros(market.values.nnz), whole_bundles=True, reverse=False)
    bundles = acceptable_bundles(market, 0, existing=True)
    if len(bundles.utility):
        assert_allclose(utilities(market, copies.astype(float))[0], bundles.utility.max(), atol=1e-9)


def assignments(market: PseudoMarket) -> list[np.ndarray]:
    """List all feasible assignments of a tiny market."""
    menus = [acceptable_bundles(market, i) for i in range(market.n_agents)]
    found = []
    for chosen in product(*(range(len(menu.utility)) for menu in menus)):
        total = sum(menu.copies[k] for menu, k in zip(menus, chosen, strict=True))
        if (total <= market.capacities).all():
            found.append(np.array([menu.utility[k] for menu, k in zip(menus, chosen, strict=True)]))
    return found


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_welfare_programs_against_all_assignments(seed: int) -> None:
    rng = np.random.default_rng(seed)
    market = PseudoMarket.from_arrays(
        rng.integers(0, 9, size=(2, 3)),
        capacities=rng.integers(1, 3, size=3),
        quotas=[Quota("two", max=2)],
        tapers=[Taper("second", marginals=[0, -1])],
    )
    utility = np.array(assignments(market))
    best = programs.utilitarian(market, 1, 0)
    assert_allclose(utilities(market, best.expected).sum(), utility.sum(axis=1).max(), atol=1e-7)
    weight = programs.entitlements(market)
    assert_allclose(weight, np.where(utility.max(axis=0) > 0, utility.max(axis=0), 1), atol=1e-9)
    fair = programs.maximin(market, 1, 0)
    worst = (utilities(market, fair.expected) / weight).min()
    # No assignment is fairer than the lottery; some mixture of two assignments at most reaches it here.
    assert worst >= (utility / weight).min(axis=1).max() - 1e-7
    mixtures = [
        (t * a + (1 - t) * b) / weight for a in utility for b in utility for t in np.linspace(0, 1, 21)
    ]
    assert worst >= max(mixture.min() for mixture in mixtures) - 1e-7


def test_maximin_by_hand() -> None:
    # One copy, two agents: a fair coin.
    assert_allclose(programs.maximin(unit([[3], [7]]), 1, 0).expected, [0.5, 0.5], atol=1e-6)


def test_programs_say_when_no_assignment_exists() -> None:
    market = PseudoMarket.from_arrays([[1], [1]], 1, quotas=[Quota("one", min=1, max=1)])
    with pytest.raises(programs.NoAllocationError, match="no assignment respects every bound"):
        programs.utilitarian(market, 1, 0)


def test_drafts_by_hand() -> None:
    # Both rank a > b > c > d; in turn 1, 2, 1, 2 the first gets a and c; in reverse 1, 2, 2, 1 a and d.
    market = PseudoMarket.from_arrays([[8, 4, 2, 1]] * 2, capacities=1, quotas=[Quota("two", max=2)])
    gains, ties, order = open_gains(market), np.zeros(8), np.arange(2)
    forth = draft(gains, order, ties, whole_bundles=False, reverse=False)
    back = draft(gains, order, ties, whole_bundles=False, reverse=True)
    assert forth.reshape(2, 4).tolist() == [[1, 0, 1, 0], [0, 1, 0, 1]]
    assert back.reshape(2, 4).tolist() == [[1, 0, 0, 1], [0, 1, 1, 0]]


def test_draws_depend_on_the_seed_alone() -> None:
    market = several([[3, 2, 1], [3, 1, 2], [1, 2, 3]])
    for play in (serial_dictatorship, round_robin, bidirectional_draft):
        assert (play(market, 5, 1).draws == play(market, 8, 1).draws[:5]).all()


def expected_copies(name: str, market: PseudoMarket) -> np.ndarray:
    """Shares of each acceptable pair, without sampling."""
    if name in ("round-robin", "bidirectional-draft"):
        return over_all_orders(market, whole_bundles=False, reverse=name != "round-robin").ravel()
    run = next(baseline.run for baseline in BASELINES if baseline.name == name)
    return run(market, 1, 0, None).expected


LIES = [(b.name, b.incentives.witness) for b in BASELINES if isinstance(b.incentives.witness, Lie)]


@pytest.mark.parametrize(("name", "lie"), LIES, ids=[name for name, _ in LIES])
def test_lies_pay_where_the_witness_says_so(name: str, lie: Lie) -> None:
    market = unit if lie.single else several
    own = np.array(lie.values[0])
    found = []
    for report in (lie.values[0], lie.report):
        instance = market([report, *lie.values[1:]])
        mine = instance.pair_agent == 0
        copies = expected_copies(name, instance)[mine]
        found.append((copies * own[instance.pair_good[mine]]).sum())
    # Equilibria may be many: which one is found moves both figures a little.
    atol = 0.5 if name == "equilibrium" else 0.006
    assert_allclose(found, [lie.honest, lie.lying], atol=atol)


def test_truth_is_dominant_for_serial_dictators_and_traders() -> None:
    """All reports of the first agent in all markets of three agents with strict preferences."""
    rng = np.random.default_rng(11)
    orders = list(permutations((3.0, 2.0, 1.0)))
    for _ in range(4):
        others = [orders[rng.integers(6)] for _ in range(2)]
        for true in orders:
            worth = []
            for report in orders:
                market = unit([report, *others])
                dictated = over_all_orders(market, whole_bundles=True, reverse=False)[0]
                traded = np.mean([trading.trade(market, np.array(d)) for d in permutations(range(3))], axis=0)
                worth.append([(dictated * true).sum(), (traded.reshape(3, 3)[0] * true).sum()])
            honest = worth[orders.index(true)]
            assert (np.array(honest) >= np.array(worth) - 1e-12).all()


def test_a_missing_peer_names_its_extra() -> None:
    try:
        import fairpyx  # noqa: F401
    except ImportError:
        aceei = next(baseline for baseline in BASELINES if baseline.name == "aceei")
        with pytest.raises(MissingExtraError, match=r"fairlot\[compare\]"):
            aceei.run(several([[1.0]]), 1, 0, None)
    else:
        pytest.skip("fairpyx is installed")
