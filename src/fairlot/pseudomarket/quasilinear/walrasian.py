r"""Efficient assignments and Walrasian prices of a Kelso–Crawford economy.

An assignment is efficient if it maximises :math:`\sum_i u_i(A_i)`. Every efficient assignment is an
equilibrium at every vector of Walrasian prices (*exchangeability*), and these form a lattice: at an
efficient assignment, :math:`A_i \in D_i(p)` if no single exchange helps agent i,

.. math:: p_j \ge u_i(A_i + j) - u_i(A_i), \quad p_k \le u_i(A_i) - u_i(A_i - k), \quad
    p_j - p_k \ge u_i(A_i - k + j) - u_i(A_i) \qquad (j \notin A_i, k \in A_i),

so that the smallest and the largest prices are longest and shortest paths in the exchange graph. One more
agent, to whom nothing is worth anything, holds what is left over: it has price 0, and no price is below.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

from fairlot.certificate import Certificate, Check, Status
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import QuasilinearEconomy
from fairlot.model.valuations.expressions import INFINITY, Number, goods_in, rounding
from fairlot.model.valuations.partition import Worth, best_partition, extended
from fairlot.verify.quasilinear import KELSO_CRAWFORD, verify_kelso_crawford

REQUIRED = tuple(f"{end}: {name}" for end in ("smallest", "largest") for name in KELSO_CRAWFORD)
"""Checks of Walrasian prices."""


@dataclass(frozen=True)
class WalrasianPrices:
    """An efficient assignment of a quasilinear economy, and the ends of the lattice of its prices.

    Parameters
    ----------
    economy : QuasilinearEconomy
        The economy.
    bundles : tuple of frozenset of int, or None
        Who gets what; None where no assignment gives everybody a bundle of her domain.
    welfare : number
        The greatest sum of values; -inf where there is none.
    smallest, largest : tuple of numbers, or None
        Prices. A good without which its owner cannot do has the largest price inf.
    status : Status
        CERTIFIED, UNCERTIFIED or INFEASIBLE, as the certificate says.
    certificate : Certificate
        Of both ends; the largest with any finite prices instead of infinite ones.
    """

    economy: QuasilinearEconomy
    bundles: tuple[frozenset[int], ...] | None
    welfare: Number
    smallest: tuple[Number, ...] | None
    largest: tuple[Number, ...] | None
    status: Status
    certificate: Certificate


def walrasian_prices(economy: QuasilinearEconomy, *, tol: float = 1e-9) -> WalrasianPrices:
    """Find an efficient assignment and its smallest and largest Walrasian prices.

    Exact where values are. Budgets are not looked at: see :func:`solve_kelso_crawford`.

    Parameters
    ----------
    economy : QuasilinearEconomy
        With M♮-concave valuations.
    tol : float
        Largest residual that passes where values are floats.

    Raises
    ------
    NotSupportedError
        If a valuation is found not to be M♮-concave.

    References
    ----------
    Kelso and Crawford (1982); Gul and Stacchetti (1999), "Walrasian equilibrium with gross substitutes",
    Journal of Economic Theory 87; Murota (2003), *Discrete Convex Analysis*, chapter 11.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> found = walrasian_prices(QuasilinearEconomy([UnitDemand([5, 3]), UnitDemand([4, 1])]))
    >>> found.welfare, [sorted(bundle) for bundle in found.bundles], found.smallest, found.largest
    (7, [[1], [0]], (2, 0), (4, 2))
    """
    worths = [extended(u) for u in economy.valuations]
    bundles = best_partition([*worths, _nothing], range(economy.n_goods))
    here = [worth(bundle) for worth, bundle in zip(worths, bundles, strict=False)]
    short = [i for i, (missing, _) in enumerate(here) if missing]
    if short:
        without = " and ".join(f"agent {i}" for i in short)
        check = Check(
            "domain", float(len(short)), 0.0, f"{without} cannot have a bundle of the domain as well"
        )
        certificate = Certificate(("domain",), (check,))
        return WalrasianPrices(economy, None, -INFINITY, None, None, Status.INFEASIBLE, certificate)
    smallest, largest = _price_ends(economy, bundles)
    given = tuple(frozenset(goods_in(bundle)) for bundle in bundles[:-1])
    welfare = sum(value for _, value in here)
    certificate = _certificate(economy, given, smallest, largest, tol)
    status = Status.CERTIFIED if certificate.passed else Status.UNCERTIFIED
    return WalrasianPrices(economy, given, welfare, smallest, largest, status, certificate)


def _nothing(mask: int) -> Worth:
    return (0, 0)


def _price_ends(
    economy: QuasilinearEconomy, bundles: list[int]
) -> tuple[tuple[Number, ...], tuple[Number, ...]]:
    """Solve the difference constraints from below and from above."""
    n_goods = economy.n_goods
    low: list[Number] = [0] * n_goods
    high: list[Number] = [INFINITY] * n_goods
    gains: list[tuple[int, int, Number]] = []  # j enters in place of k
    for u, mine in zip(economy.valuations, bundles, strict=False):
        here = u._value(mine)
        for k in goods_in(mine):
            high[k] = here - u._value(mine ^ 1 << k)
        for j in range(n_goods):
            if not mine >> j & 1:
                low[j] = max(low[j], u._value(mine | 1 << j) - here)
                for k in goods_in(mine):
                    gain = u._value(mine ^ 1 << k | 1 << j) - here
                    if gain > -INFINITY:
                        gains.append((j, k, gain))
    for k in goods_in(bundles[-1]):
        high[k] = 0
        gains += [(j, k, 0) for j in range(n_goods) if not bundles[-1] >> j & 1]
    near = rounding((gain for _, _, gain in gains), 1e-12)
    for _ in range(n_goods):
        moved = False
        for j, k, gain in gains:
            if low[k] + gain > low[j] + near:
                low[j], moved = low[k] + gain, True
            if high[j] - gain < high[k] - near:
                high[k], moved = high[j] - gain, True
        if not moved:
            break
    return tuple(low), tuple(high)


def _certificate(
    economy: QuasilinearEconomy,
    bundles: tuple[frozenset[int], ...],
    smallest: tuple[Number, ...],
    largest: tuple[Number, ...],
    tol: float,
) -> Certificate:
    plenty = QuasilinearEconomy(economy.valuations)
    lottery = BundleLottery((1,), (tuple(tuple(bundle) for bundle in bundles),))
    usual = [Fraction(price) for price in (*smallest, *largest) if price != INFINITY]
    # What has no largest price: above all that is finite, by more than any exchange could gain.
    high = 1 + 2 * sum(map(abs, usual), Fraction(0)) + _range(economy)
    some = [low + high if price == INFINITY else price for low, price in zip(smallest, largest, strict=True)]
    ends = (smallest, some)
    exact = all(isinstance(price, int | Fraction) for end in ends for price in end)
    checks = [
        Check(f"{end}: {check.name}", check.residual, check.tolerance, check.witness)
        for end, prices in zip(("smallest", "largest"), ends, strict=True)
        for check in verify_kelso_crawford(plenty, prices, lottery, tol=0.0 if exact else tol).checks
    ]
    return Certificate(REQUIRED, tuple(checks))


def _range(economy: QuasilinearEconomy) -> Fraction:
    """Bound what any bundle is worth to anybody."""
    everything = (1 << economy.n_goods) - 1
    top = [u._value(everything) for u in economy.valuations]
    return sum((abs(Fraction(value)) for value in top if value != -INFINITY), Fraction(0))
