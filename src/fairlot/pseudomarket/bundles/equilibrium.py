"""The result of a small economy: prices and a random allocation of bundles."""

from __future__ import annotations

from dataclasses import dataclass

from fairlot.certificate import Certificate, Stats, Status
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations.expressions import Number
from fairlot.verify.intervals import IntervalClaim


@dataclass(frozen=True, eq=False)
class EconomyEquilibrium:
    """A strong equilibrium of a small economy, with a certificate that never trusts the solver.

    Parameters
    ----------
    economy : FiatEconomy
        The economy.
    prices : tuple of numbers, shape (n_goods,), or None
        Full prices, those of limits included: fractions if the answer is exact, else floats. None if no
        assignment is feasible, or no road arrived.
    limit_prices : tuple of numbers, shape (n_limits,)
        What each aggregate limit adds to the prices of its goods.
    lottery : BundleLottery or None
        The random allocation.
    status : Status
        ``CERTIFIED`` only if every check passes.
    certificate : Certificate
        By :func:`~fairlot.verify.economies.verify_walrasian`, with tolerance 0 if the answer is exact; by
        :func:`~fairlot.verify.intervals.verify_enclosure` where the answer is a box.
    stats : Stats
        ``method`` is ``exact`` or ``bundles``.
    enclosure : IntervalClaim or None
        Where prices are irrational: a box that is proved to hold an equilibrium. ``prices`` and the
        lottery's weights are then fractions within it, some 36 digits from the truth.
    """

    economy: FiatEconomy
    prices: tuple[Number, ...] | None
    limit_prices: tuple[Number, ...]
    lottery: BundleLottery | None
    status: Status
    certificate: Certificate
    stats: Stats
    enclosure: IntervalClaim | None = None

    @property
    def utilities(self) -> tuple[Number, ...]:
        """Expected utility of every agent.

        Raises
        ------
        ValueError
            If there is no random allocation.
        """
        if self.lottery is None:
            msg = f"there is no random allocation: the computation ended {self.status.value}"
            raise ValueError(msg)
        return expected_utilities(self.economy, self.lottery)


def expected_utilities(economy: FiatEconomy, lottery: BundleLottery) -> tuple[Number, ...]:
    """Compute every agent's expected utility of a random allocation, exactly where its weights are exact."""
    return tuple(
        sum(weight * u.value(bundle) for bundle, weight in lottery.consumption(i).items())
        for i, u in enumerate(economy.valuations)
    )
