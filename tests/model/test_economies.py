"""Small economies: shapes, faults, JSON."""

from fractions import Fraction

import pytest

from fairlot.errors import InvalidProblemError
from fairlot.model.economies import FiatEconomy, QuasilinearEconomy
from fairlot.model.valuations import Additive, Bound, UnitDemand
from fairlot.model.valuations.expressions import Expression


def test_budgets_may_be_one_number_or_one_each() -> None:
    us = [UnitDemand([1, 2]), Additive([1, Fraction(1, 2)])]
    assert FiatEconomy(us, 2) == FiatEconomy(us, [2, 2])
    assert QuasilinearEconomy(us).budgets is None
    assert QuasilinearEconomy(us, Fraction(1, 2)).constrained
    assert hash(FiatEconomy(us, 2)) == hash(FiatEconomy(us, [2, 2]))


@pytest.mark.parametrize("kind", [FiatEconomy, QuasilinearEconomy])
def test_json_round_trip(kind: type) -> None:
    economy = kind([UnitDemand([1, 2]), Additive([1, Fraction(1, 2)])], [1, Fraction(2, 3)])
    assert kind.from_json(economy.to_json()) == economy
    assert Expression.from_json(economy.to_json()) == economy
    limited = FiatEconomy([UnitDemand([1, 2])], 1, [Bound([0, 1], 0, 1)])
    assert FiatEconomy.from_json(limited.to_json()) == limited


def test_every_fault_is_told() -> None:
    us = [UnitDemand([1, 2, 3]), UnitDemand([1, 2])]
    with pytest.raises(InvalidProblemError) as caught:
        FiatEconomy(us, [0, -1, 1], [Bound([0], 1, 1), Bound([0])])
    assert len(caught.value.issues) == 6
    for wrong in (
        lambda: FiatEconomy([], 1),
        lambda: FiatEconomy(["u"], 1),  # type: ignore[list-item]
        lambda: FiatEconomy(us[:1], "x"),
        lambda: FiatEconomy(us[:1], 1, [Bound([0, 1], 0, 1), Bound([1, 2], 0, 1)]),
        lambda: FiatEconomy(us[:1], 1, [Bound([7], 0, 1)]),
        lambda: QuasilinearEconomy(us),
        lambda: QuasilinearEconomy(us[:1], [1, 1]),
    ):
        with pytest.raises(InvalidProblemError):
            wrong()


def test_pm_aggregate_limits_that_cross_are_refused() -> None:
    with pytest.raises(InvalidProblemError, match="limit 0 and limit 1 cross: good 1 is in both"):
        FiatEconomy([Additive([1, 1, 1])], 1, [Bound([0, 1], 0, 1), Bound([1, 2], 0, 1)])
