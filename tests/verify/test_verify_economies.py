"""Verification of small economies: every check has a planted wrong answer that fails it alone."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from fairlot.errors import InvalidProblemError
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations import Additive, Bound, Table, UnitDemand
from fairlot.pseudomarket.bundles.solve import solve_economy
from fairlot.verify.bundle_demand import best_affordable_bundles
from fairlot.verify.deterministic import verify_deterministic
from fairlot.verify.economies import verify_walrasian
from fairlot.verify.intervals import IntervalClaim, verify_enclosure

F = Fraction
EXAMPLE_2 = FiatEconomy((Table((0, 10, 8, 11)), Table((0, 10, 2, 11)), Table((0, 10, 2, 11))), 1)
HALVES = (F(1, 2), F(1, 2))
RIGHT = BundleLottery(HALVES, (((1,), (0,), ()), ((1,), (), (0,))))


def test_right_answer_passes() -> None:
    assert verify_walrasian(EXAMPLE_2, (2, 1), RIGHT).passed


@pytest.mark.parametrize(
    ("economy", "prices", "lottery", "check"),
    [
        # A good that nobody wants at a price below 0 (it counts as 0 elsewhere).
        (FiatEconomy((UnitDemand((1, 0)),), 1), (1, -1), BundleLottery((1,), (((0,),),)), "prices"),
        # Both get the only good: feasible for each, not for the two of them.
        (FiatEconomy((UnitDemand((1,)), UnitDemand((1,))), 1), (1,), BundleLottery((1,), (((0,), (0,)),)),
         "assignments"),
        # A good that is left over at a price.
        (FiatEconomy((UnitDemand((1, 0)),), 1), (1, 1), BundleLottery((1,), (((0,),),)), "clearing"),
        # Satiated, and cheaper things would have done.
        (FiatEconomy((UnitDemand((1, 1)),), 3), (1, 1), BundleLottery((1,), (((0, 1),),)), "cheapness"),
    ],
)  # fmt: skip
def test_planted_fault_fails_its_check_alone(
    economy: FiatEconomy, prices: tuple[int, ...], lottery: BundleLottery, check: str
) -> None:
    certificate = verify_walrasian(economy, prices, lottery)
    assert [found.name for found in certificate.failed] == [check]
    assert certificate[check].witness


def test_weights_that_do_not_add_up_fail_alone() -> None:
    # An agent who wants nothing gets nothing with probability 2.
    economy = FiatEconomy((UnitDemand((0,)),), 1)
    certificate = verify_walrasian(economy, (0,), BundleLottery((2,), (((),),)))
    assert [found.name for found in certificate.failed] == ["lottery"]


def test_over_spending_fails_alone() -> None:
    # She can afford half of the good; with all of it she is better off than she can afford.
    economy = FiatEconomy((UnitDemand((1,)),), 1)
    certificate = verify_walrasian(economy, (2,), BundleLottery((1,), (((0,),),)), strong=False)
    assert [found.name for found in certificate.failed] == ["over-spending"]


def test_utility_gap_fails_alone() -> None:
    # The cheaper good instead of the one she likes better, both affordable.
    economy = FiatEconomy((UnitDemand((2, 1)), UnitDemand((0, 0))), 1)
    certificate = verify_walrasian(economy, (0, 0), BundleLottery((1,), (((1,), (0,)),)))
    assert [found.name for found in certificate.failed] == ["utility gap"]
    assert "is not in her demand" in certificate["utility gap"].witness


def test_atoms_outside_demand_are_rejected_though_shares_are_right() -> None:
    # The expected shares of an equilibrium, from bundles that nobody demands: both goods or none.
    economy = FiatEconomy((UnitDemand((1, 1)), UnitDemand((1, 1))), 1)
    right = BundleLottery(HALVES, (((0,), (1,)), ((1,), (0,))))
    wrong = BundleLottery(HALVES, (((0, 1), ()), ((), (0, 1))))
    assert right.shares(2) == wrong.shares(2)
    assert verify_walrasian(economy, (0, 0), right).passed
    assert [c.name for c in verify_walrasian(economy, (0, 0), wrong).failed] == ["utility gap"]


def test_residuals_far_below_floats_still_count() -> None:
    tiny = F(1, 10**400)
    certificate = verify_walrasian(EXAMPLE_2, (2 + tiny, 1 - tiny), RIGHT)
    assert not certificate.passed


def test_limits_are_part_of_prices() -> None:
    economy = FiatEconomy((Additive((1, 1)),), 2, (Bound((0, 1), upper=1),))
    lottery = BundleLottery((1,), (((0,),),))
    assert verify_walrasian(economy, (2, 2), lottery, limit_prices=(2,)).passed
    unexplained = verify_walrasian(economy, (2, 2), lottery)
    assert [c.name for c in unexplained.failed] == ["clearing"]
    over = BundleLottery((1,), (((0, 1),),))
    assert "assignments" in [c.name for c in verify_walrasian(economy, (1, 1), over).failed]


@pytest.mark.parametrize(
    ("prices", "limit_prices", "match"), [((1,), (), "prices"), ((1, 1), (1,), "limit_prices")]
)
def test_arguments_that_do_not_fit(
    prices: tuple[int, ...], limit_prices: tuple[int, ...], match: str
) -> None:
    with pytest.raises(ValueError, match=match):
        verify_walrasian(EXAMPLE_2, prices, RIGHT, limit_prices=limit_prices)
    with pytest.raises(ValueError, match="not finite"):
        verify_walrasian(EXAMPLE_2, (float("inf"), 1), RIGHT)


def test_shapes_of_lotteries() -> None:
    with pytest.raises(InvalidProblemError, match="one weight per assignment"):
        BundleLottery((1,), ())
    with pytest.raises(InvalidProblemError, match="one per agent"):
        BundleLottery(HALVES, (((0,), ()), ((0,),)))
    assert BundleLottery.from_json(RIGHT.to_json()) == RIGHT


def test_searched_hull_agrees_with_the_listed_one(monkeypatch: pytest.MonkeyPatch) -> None:
    import random

    rg = random.Random(7)
    cases = [
        (
            Additive([rg.randint(0, 9) for _ in range(4)]),
            [F(rg.randint(0, 9), 3) for _ in range(4)],
            F(rg.randint(1, 9), 2),
        )
        for _ in range(60)
    ]
    listed = [best_affordable_bundles(*case) for case in cases]
    monkeypatch.setattr("fairlot.verify.bundle_demand.MOST_LISTED", 0)
    for case, expected in zip(cases, listed, strict=True):
        found = best_affordable_bundles(*case)
        assert (found.utility, found.cost, found.satiated) == (
            expected.utility,
            expected.cost,
            expected.satiated,
        )


def test_deterministic_faults_fail_alone() -> None:
    economy = FiatEconomy((UnitDemand((3, 1)), UnitDemand((2, 1))), (2, 1))
    assert verify_deterministic(economy, (2, 0), ((0,), (1,))).passed
    # Good 1 is of no use at a price below 0 to her who does not get it either way.
    alone = FiatEconomy((UnitDemand((3, 0)),), 2)
    for prices, bundles, check in (
        ((2, -1), ((0, 1),), "prices"),
        ((2, 0), ((0,),), "assignment"),
        ((3, 0), ((0, 1),), "over-spending"),
    ):
        failed = [c.name for c in verify_deterministic(alone, prices, bundles).failed]
        assert failed == [check]
    assert [c.name for c in verify_deterministic(economy, (1, 0), ((0,), (1,))).failed] == ["optimality"]


# -- boxes around irrational equilibria


@pytest.fixture(scope="module")
def enclosed() -> tuple[FiatEconomy, IntervalClaim]:
    import numpy as np

    for seed in range(40):
        rng = np.random.default_rng(seed)
        values = tuple(UnitDemand(rng.integers(0, 101, 5).tolist()) for _ in range(5))
        economy = FiatEconomy(values, 1)
        found = solve_economy(economy, method="exact")
        if found.enclosure is not None:
            assert found.certificate.passed
            return economy, found.enclosure
    raise LookupError


def test_enclosure_is_narrow_and_holds(enclosed: tuple[FiatEconomy, IntervalClaim]) -> None:
    economy, claim = enclosed
    assert verify_enclosure(economy, claim).passed
    for form in claim.good_prices:
        low, high = claim.enclosure(form)
        assert 0 <= high - low < F(1, 10**30)


def test_enclosure_moved_off_its_solution_fails_existence_alone(
    enclosed: tuple[FiatEconomy, IntervalClaim],
) -> None:
    economy, claim = enclosed
    free = max(k for k in range(len(claim.centre)) if k not in claim.fixed)
    shift = [4 * claim.radius if k == free else 0 for k in range(len(claim.centre))]
    moved = replace(claim, centre=tuple(a + b for a, b in zip(claim.centre, shift, strict=True)))
    assert [c.name for c in verify_enclosure(economy, moved).failed] == ["existence"]


def test_enclosure_faults(enclosed: tuple[FiatEconomy, IntervalClaim]) -> None:
    economy, claim = enclosed
    twice = tuple((1, *term[1:]) for term in claim.assignments)
    wide = replace(claim, radius=F(10))
    first = replace(claim, assignments=twice)
    lost = replace(claim, scales=(None, *claim.scales[1:]))
    assert "assignments" in [c.name for c in verify_enclosure(economy, first).failed]
    assert "weights" in [c.name for c in verify_enclosure(economy, wide).failed]
    assert "satiation" in [c.name for c in verify_enclosure(economy, lost).failed]
