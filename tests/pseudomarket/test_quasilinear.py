"""Kelso–Crawford economies: efficiency, prices, exchangeability, budgets (Lemma 1), the limit (Step 4)."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fairlot.certificate import Status
from fairlot.errors import InvalidProblemError, NotSupportedError
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy, QuasilinearEconomy
from fairlot.model.valuations import (
    Additive,
    AssignmentValuation,
    Bound,
    LowerBound,
    Scaling,
    Table,
    UnitDemand,
    Valuation,
)
from fairlot.pseudomarket.quasilinear import follow_limit, solve_kelso_crawford, walrasian_prices
from fairlot.testing import valuations
from fairlot.verify.economies import verify_walrasian
from fairlot.verify.quasilinear import KELSO_CRAWFORD, verify_kelso_crawford

NEG, INF = float("-inf"), float("inf")
EXAMPLE_2 = (Table([0, 10, 8, 11]), Table([0, 10, 2, 11]), Table([0, 10, 2, 11]))
HALF = Fraction(1, 2)

economies = st.integers(2, 3).flatmap(
    lambda n_goods: st.lists(valuations(n_goods), min_size=1, max_size=3).map(QuasilinearEconomy)
)


def goods_of(mask: int) -> tuple[int, ...]:
    return tuple(j for j in range(mask.bit_length()) if mask >> j & 1)


def all_divisions(
    economy: QuasilinearEconomy, copies: tuple[int, ...]
) -> list[tuple[tuple[int, ...], object]]:
    """Every division of goods, of which there may be 0, 1 or 2 (at most one each), with its welfare."""
    n = economy.n_agents
    tables = [u.table() for u in economy.valuations]
    holders = [[who for who in product((0, 1), repeat=n) if sum(who) <= c] for c in copies]
    found = []
    for choice in product(*holders):
        masks = tuple(sum(choice[j][i] << j for j in range(len(copies))) for i in range(n))
        found.append((masks, sum(t[m] for t, m in zip(tables, masks, strict=True))))
    return found


def single(*bundles: object) -> BundleLottery:
    return BundleLottery([1], [bundles])


@settings(max_examples=40, deadline=None)
@given(economies)
def test_pm_kelso_crawford_efficient_assignments_and_the_ends_of_the_price_lattice(
    economy: QuasilinearEconomy,
) -> None:
    """Against enumeration: welfare, and prices as what one more or one less of a good changes.

    The smallest price of a good is the gain from a second copy, the largest the loss without it (Gul and
    Stacchetti 1999).
    """
    n_goods = economy.n_goods
    found = walrasian_prices(economy)
    welfare = max(value for _, value in all_divisions(economy, (1,) * n_goods))
    assert found.welfare == welfare
    if welfare == NEG:
        assert found.status is Status.INFEASIBLE
        assert "cannot have a bundle of the domain" in found.certificate.failed[0].witness
        return
    assert found.status is Status.CERTIFIED, found.certificate.failed
    assert found.certificate.worst == 0
    for j in range(n_goods):
        more = max(v for _, v in all_divisions(economy, tuple(1 + (k == j) for k in range(n_goods))))
        less = max(v for _, v in all_divisions(economy, tuple(1 - (k == j) for k in range(n_goods))))
        assert found.smallest is not None
        assert found.largest is not None
        assert found.smallest[j] == more - welfare
        assert found.largest[j] == welfare - less


@settings(max_examples=8, deadline=None)
@given(economies, st.fractions(0, 1, max_denominator=4))
def test_pm_exchangeability(economy: QuasilinearEconomy, share: Fraction) -> None:
    """Any efficient assignment with any Walrasian prices is an equilibrium; an inefficient one never is."""
    found = walrasian_prices(economy)
    assume(found.status is Status.CERTIFIED and INF not in (found.largest or ()))
    ends = list(zip(found.smallest or (), found.largest or (), strict=True))
    lattice = [
        [low for low, _ in ends],
        [high for _, high in ends],
        [low + share * (high - low) for low, high in ends],  # Walrasian prices are convex
    ]
    for masks, value in all_divisions(economy, (1,) * economy.n_goods):
        lottery = single(*map(goods_of, masks))
        for prices in lattice:
            passed = verify_kelso_crawford(economy, prices, lottery).passed
            assert passed == (value == found.welfare)


def test_pm_first_welfare_theorem_and_shapley_shubik_assignment() -> None:
    """One buyer per house: the ends of the lattice are the ends of the core."""
    economy = QuasilinearEconomy([UnitDemand([5, 8, 2]), UnitDemand([7, 9, 6]), UnitDemand([2, 3, 0])])
    found = walrasian_prices(economy)
    assert found.welfare == 16
    assert found.smallest == (1, 3, 0)
    assert found.largest == (2, 5, 1)
    assert found.bundles == ({1}, {2}, {0})


def test_prices_of_goods_that_cannot_be_spared_have_no_largest() -> None:
    economy = QuasilinearEconomy([LowerBound(Additive([1, 1]), 1), LowerBound(Additive([3, 2]), 1)])
    found = walrasian_prices(economy)
    assert found.status is Status.CERTIFIED
    assert found.largest == (INF, INF)
    nobody = walrasian_prices(QuasilinearEconomy([LowerBound(Additive([1]), 1)] * 2))
    assert nobody.status is Status.INFEASIBLE
    assert nobody.bundles is None
    assert solve_kelso_crawford(nobody.economy).status is Status.INFEASIBLE


def test_larger_economies_and_floats_are_certified_without_enumeration() -> None:
    rng = np.random.default_rng(5)
    for values in (rng.integers(0, 40, (6, 3, 20)), rng.random((6, 3, 20))):
        found = walrasian_prices(QuasilinearEconomy([AssignmentValuation(v.tolist()) for v in values]))
        assert found.status is Status.CERTIFIED
        from scipy.optimize import linear_sum_assignment

        units = values.reshape(18, 20)
        rows, columns = linear_sum_assignment(units, maximize=True)
        np.testing.assert_allclose(float(found.welfare), units[rows, columns].sum(), rtol=1e-12)


def test_what_is_not_m_natural_concave_is_found_out() -> None:
    pair = Table([0, 0, 0, 6])
    economy = QuasilinearEconomy([pair, UnitDemand([4, 4]), UnitDemand([4, 4])])
    found = walrasian_prices(economy)
    assert found.status is Status.UNCERTIFIED  # no exchange of single goods tells that the pair wants both
    assert found.certificate.failed[0].name == "smallest: demand"


def random_budgets(data: st.DataObject, n: int) -> list[Fraction]:
    return data.draw(st.lists(st.sampled_from([1, HALF, 2, Fraction(3, 2)]), min_size=n, max_size=n))


@settings(max_examples=8, deadline=None)
@given(st.data(), st.integers(2, 3))
def test_pm_lemma1_every_constrained_economy_has_an_equilibrium(data: st.DataObject, n_goods: int) -> None:
    us = data.draw(st.lists(valuations(n_goods, empty=True), min_size=2, max_size=3))
    economy = QuasilinearEconomy(us, random_budgets(data, len(us)))
    found = solve_kelso_crawford(economy)
    assert found.status is Status.CERTIFIED, found.certificate.failed
    assert found.prices is not None
    assert found.lottery is not None
    agents = zip(us, economy.budgets or (), found.spending, found.multipliers or (), strict=True)
    for u, b, spent, scale in agents:
        assert float(spent) <= float(b) + 1e-7
        assert scale == 1 or abs(float(spent - b)) < 1e-7
        assert 0 < scale <= 1
        best = best_quasilinear_lottery(u, [float(p) for p in found.prices], float(b))
        mine = float(found.utilities[us.index(u)]) if us.count(u) == 1 else None
        if mine is not None:
            assert abs(mine - float(spent) - best) < 1e-6


def best_quasilinear_lottery(u: Valuation, prices: list[float], budget: float) -> float:
    """The best of E[u - p] with E p at most b, by trying all pairs of bundles."""
    cost = [sum(p for j, p in enumerate(prices) if mask >> j & 1) for mask in range(1 << u.n_goods)]
    spots = [(c, float(v)) for c, v in zip(cost, u.table(), strict=True) if v > NEG]
    best = max(v - c for c, v in spots if c <= budget + 1e-12)
    for c, v in spots:
        for d, w in spots:
            if c < budget < d:
                share = (budget - c) / (d - c)
                best = max(best, (1 - share) * v + share * w - budget)
    return best


def test_pm_constrained_economy_by_hand() -> None:
    """Two want the same good, worth 6, and have 1 each: it costs 2, and each gets it half the time."""
    found = solve_kelso_crawford(QuasilinearEconomy([UnitDemand([6])] * 2, budgets=1))
    assert found.prices == (2,)
    assert found.multipliers == (Fraction(1, 3), Fraction(1, 3))
    assert found.spending == (1, 1)
    assert found.utilities == (3, 3)
    assert found.stats.parameters["exact"]


def test_plenty_of_money_and_no_budget_are_the_same() -> None:
    for us in (EXAMPLE_2, [AssignmentValuation([[5, 4, 1], [3, 3, 0]]), UnitDemand([4, 4, 4])]):
        rich = solve_kelso_crawford(QuasilinearEconomy(us, budgets=1000))
        free = solve_kelso_crawford(QuasilinearEconomy(us))
        assert rich.multipliers == free.multipliers == (1,) * len(us)
        assert sum(rich.utilities) == pytest.approx(float(sum(free.utilities)), abs=1e-9)
        ends = walrasian_prices(QuasilinearEconomy(us))
        for low, price, high in zip(ends.smallest or (), rich.prices or (), ends.largest or (), strict=True):
            assert float(low) - 1e-9 <= float(price) <= float(high) + 1e-9


def test_pm_step4_the_limit_of_example_2_is_a_strong_equilibrium() -> None:
    economy = FiatEconomy(EXAMPLE_2, budgets=1)
    path = follow_limit(economy)
    assert all(e.status is Status.CERTIFIED for e in path.equilibria)
    assert path.status is Status.CERTIFIED
    last = path.equilibria[-1]
    assert verify_walrasian(economy, last.prices or (), last.lottery, tol=1e-9).passed  # type: ignore[arg-type]
    table = path.columns()
    assert set(table) >= {"n", "price 0", "price 1", "lambda 0", "n lambda 2", "utility 1"}
    assert len({len(column) for column in table.values()}) == 1
    # At first money is plenty, in the end everyone is short of it, and all is spent: prices add up to 3.
    assert table["lambda 0"][0] == 1
    np.testing.assert_allclose(table["price 0"][-4:] + table["price 1"][-4:], 3.0, atol=1e-9)
    np.testing.assert_allclose(table["n lambda 1"][-2], table["n lambda 1"][-1], rtol=1e-6)
    # It is one of the equilibria of the slides' set that are equilibria: U_1 = 8 + 3x/5, x = 0 or x >= 5/9.
    x = (table["utility 0"][-1] - 8) * 5 / 3
    assert abs(x) < 1e-9 or 5 / 9 - 1e-9 <= x <= 1 + 1e-9
    np.testing.assert_allclose([table[f"utility {i}"][-1] for i in (1, 2)], 5 - x, atol=1e-9)


@settings(max_examples=5, deadline=None)
@given(st.data(), st.integers(2, 3))
def test_pm_theorem1_limits_are_strong_equilibria(data: st.DataObject, n_goods: int) -> None:
    """Agents who are satiated hold a cheapest best bundle as soon as utility counts enough."""
    us = data.draw(st.lists(valuations(n_goods, depth=0), min_size=2, max_size=3))
    assume(all(u.value(range(n_goods)) > 0 for u in us))
    economy = FiatEconomy(us, random_budgets(data, len(us)))
    path = follow_limit(economy, [100, 1000])
    assert path.equilibria[-1].status is Status.CERTIFIED
    assert path.status is Status.CERTIFIED, path.certificate.failed


def test_the_limit_refuses_what_it_cannot_follow() -> None:
    with pytest.raises(NotSupportedError, match="limits"):
        follow_limit(FiatEconomy([Additive([1, 1])], 1, [Bound([0, 1], 0, 1)]))
    economy = FiatEconomy([Additive([1, 1])], 1)
    for scales in ([], [0, 1], [2, 1], [1, 1]):
        with pytest.raises(InvalidProblemError, match="positive numbers that grow"):
            follow_limit(economy, scales)
    with pytest.raises(NotSupportedError, match="20 goods"):
        solve_kelso_crawford(QuasilinearEconomy([Additive([1] * 20)], 1))


GOOD = (QuasilinearEconomy([UnitDemand([6, 0])] * 2, budgets=1), (2, 0))
EVEN = BundleLottery([HALF, HALF], [[(0,), ()], [(), (0,)]])
THIRDS = (Fraction(1, 3), Fraction(1, 3))


def test_the_honest_claim_passes() -> None:
    assert verify_kelso_crawford(*GOOD, EVEN, THIRDS).passed


@pytest.mark.parametrize(
    ("failing", "prices", "lottery", "multipliers"),
    [
        ("lottery", (2, 0), BundleLottery([HALF, HALF, -HALF], [[(0,), ()], [(), (0,)], [(), ()]]), THIRDS),
        ("assignments", (2, 0), BundleLottery([HALF, HALF], [[(0, 1), (1,)], [(), (0,)]]), THIRDS),
        ("demand", (2, 0), EVEN, (Fraction(1, 3), HALF)),
        (
            "over-spending",
            (2, 0),
            BundleLottery([Fraction(3, 4), Fraction(1, 4)], [[(0,), ()], [(), (0,)]]),
            None,
        ),
    ],
)
def test_planted_faults_fail_the_check_that_is_for_them(
    failing: str, prices: tuple[int, ...], lottery: BundleLottery, multipliers: tuple[Fraction, ...] | None
) -> None:
    certificate = verify_kelso_crawford(GOOD[0], prices, lottery, multipliers or THIRDS)
    assert failing in [check.name for check in certificate.failed]
    assert certificate[failing].witness
    if failing in ("lottery", "assignments", "demand"):
        assert [check.name for check in certificate.failed] == [failing]


def test_planted_faults_each_alone() -> None:
    nothing = single((), ())
    economy = QuasilinearEconomy([UnitDemand([1])] * 2, budgets=1)
    # A price that is negative: everybody would take the good, so it is given, once.
    certificate = verify_kelso_crawford(QuasilinearEconomy([UnitDemand([1])], 1), [-1], single((0,)), [1])
    assert [check.name for check in certificate.failed] == ["prices"]
    # A good that nobody wants at its price is left over.
    certificate = verify_kelso_crawford(economy, [2], nothing, [1, 1])
    assert [check.name for check in certificate.failed] == ["clearing"]
    # Multipliers above 1: she would pay more than the good is worth.
    alone = QuasilinearEconomy([UnitDemand([1])], 2)
    certificate = verify_kelso_crawford(alone, [2], single((0,)), [2])
    assert [check.name for check in certificate.failed] == ["multipliers"]
    assert not verify_kelso_crawford(alone, [0], single((0,)), [0])["multipliers"].passed
    # Multipliers below 1 though money is left.
    certificate = verify_kelso_crawford(alone, [HALF], single((0,)), [HALF])
    assert [check.name for check in certificate.failed] == ["unspent money"]
    without = verify_kelso_crawford(QuasilinearEconomy([UnitDemand([1])]), [HALF], single((0,)), [HALF])
    assert [check.name for check in without.failed] == ["unspent money"]
    # More spent than there is.
    poor = QuasilinearEconomy([UnitDemand([6])], 1)
    certificate = verify_kelso_crawford(poor, [2], single((0,)), [1])
    assert [check.name for check in certificate.failed] == ["over-spending"]
    assert certificate["over-spending"].witness == "agent 0 spends 2, budget 1"


def test_claims_of_another_shape_are_refused() -> None:
    economy, prices = GOOD
    for wrong in (
        lambda: verify_kelso_crawford(economy, [1], EVEN),
        lambda: verify_kelso_crawford(economy, prices, EVEN, [1]),
        lambda: verify_kelso_crawford(economy, prices, single(())),
        lambda: verify_kelso_crawford(economy, [float("nan"), 0], EVEN),
    ):
        with pytest.raises(ValueError, match=r"expected|finite"):
            wrong()
    assert len(KELSO_CRAWFORD) == 8


def test_scaled_economies_have_scaled_prices() -> None:
    us = [UnitDemand([5, 3, 1]), AssignmentValuation([[4, 4, 2], [1, 2, 3]])]
    base = walrasian_prices(QuasilinearEconomy(us))
    scaled = walrasian_prices(QuasilinearEconomy([Scaling(u, Fraction(2, 3)) for u in us]))
    assert scaled.smallest == tuple(p * Fraction(2, 3) for p in base.smallest or ())


@pytest.mark.parametrize(
    ("us", "budgets"),
    [
        ([UnitDemand([0, 0])] * 2, 1),
        ([Additive([0])], 1),
        ([UnitDemand([3])], 1),
        ([Additive([1, 1, 1])] * 3, 1),
        ([UnitDemand([1, 1, 1])] * 2, 5),
        ([UnitDemand([6, 2])] * 3, [1, 10**6, 1]),
        ([UnitDemand([6, 2])] * 3, [1, 1, Fraction(1, 10**6)]),
        ([UnitDemand([1e-9, 2e-9]), UnitDemand([1e-9, 3e-9])], 1),
        ([UnitDemand([10**9, 2 * 10**9]), UnitDemand([10**9, 3 * 10**9])], 1),
        ([UnitDemand([0, 0]), UnitDemand([3, 1])], 1),
        ([LowerBound(Additive([3, 2, 1]), 1)] * 2, 1),
    ],
)
def test_hostile_economies(us: list[Valuation], budgets: object) -> None:
    assert solve_kelso_crawford(QuasilinearEconomy(us, budgets)).status is Status.CERTIFIED  # type: ignore[arg-type]


def test_budgets_do_not_hide_that_nobody_can_be_served() -> None:
    economy = QuasilinearEconomy([LowerBound(Additive([3, 2, 1]), 2)] * 2, 1)
    found = solve_kelso_crawford(economy)
    assert found.status is Status.INFEASIBLE
    assert found.economy == economy
    assert found.spending == found.utilities == ()
    path = follow_limit(FiatEconomy(economy.valuations, 1), [1, 2])
    assert path.status is Status.UNCERTIFIED
    assert np.isnan(path.columns()["price 0"]).all()
