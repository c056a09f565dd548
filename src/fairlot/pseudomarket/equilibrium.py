r"""The result of solving a pseudo-market: prices, expected shares, and what is certified of them.

A result that is not certified is an equilibrium for other budgets than the agents' own, or a point near
one. How far it is off is told in three ways, since no single one says it all: what each agent loses at
her *true* budget, the largest envy, and by how much spending misses budgets. The last can be made to
look smaller where everybody holds equally many copies, k, and everything is scarce: prices
:math:`\bar p + \gamma (p - \bar p)` with :math:`\bar p = b / k` support the same shares for any
:math:`\gamma > 0`. It is therefore told at the :math:`\gamma` at which the smallest price is 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Certificate, Stats, Status
from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.lotteries import Lottery
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.preconditions import Infeasibility
from fairlot.verify.demand import best_affordable
from fairlot.verify.equilibrium import REQUIRED, utility_losses, verify_equilibrium

_DUST = 1e-13
"""Shares, and prices in mean budgets, below this are rounding."""
_BROKEN = 1e-6
"""Residual of a quota or of supply from which shares are of no use to anybody."""


@dataclass(frozen=True, eq=False)
class Equilibrium:
    """Prices and expected shares, with a certificate that never trusts the solver.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    prices : FloatArray, shape (n_goods,), or None
        Money per copy, limit prices included. None if no assignment is feasible.
    row_prices : FloatArray, shape (n_goods + n_limits,), or None
        Price of every capacity, then of every limit.
    shares : RandomAllocation or None
        Expected copies.
    money_values : FloatArray, shape (n_agents,)
        Utility of another unit of money; 0 where satiated.
    status : Status
        ``CERTIFIED`` only if every check passes.
    certificate : Certificate
        Every condition of a strong equilibrium, recomputed from market, prices and shares.
    stats : Stats
        ``method`` is the road that gave the result.
    utility_loss : FloatArray, shape (n_agents,)
        What each agent falls short of the best she can afford, relative to it; below 0 for those who
        get more than that.
    envy : float
        Largest relative gain that an agent sees in the lottery of another with the same budget.
    budget_gap : float
        Largest relative difference of spending and budget, satiated agents' unspent money aside.
    clearing : float
        Largest of what is given beyond supply, and of what is left at a price.
    satiated : BoolArray, shape (n_agents,)
        Who can afford her greatest utility.
    infeasibility : Infeasibility or None
        Who cannot be served, and what stands against it.
    """

    market: PseudoMarket
    prices: FloatArray | None
    row_prices: FloatArray | None
    shares: RandomAllocation | None
    money_values: FloatArray
    status: Status
    certificate: Certificate
    stats: Stats
    utility_loss: FloatArray
    envy: float
    budget_gap: float
    clearing: float
    satiated: BoolArray
    infeasibility: Infeasibility | None = None

    def lottery(self) -> Lottery:
        """Make the lottery over feasible assignments that has exactly these shares.

        Raises
        ------
        ValueError
            If there are no shares, because no assignment is feasible.
        """
        from fairlot.lottery.build import market_lottery

        if self.shares is None:
            msg = f"there is nothing to draw from: {self.infeasibility}"
            raise ValueError(msg)
        return market_lottery(self.market, self.shares)


@dataclass(frozen=True, eq=False)
class Claim:
    """A point in the market's own units, and its certificate.

    Parameters
    ----------
    prices, row_prices, shares
        As in :class:`Equilibrium`.
    certificate : Certificate
        Of these.
    method : str
        The road that the point comes from.
    """

    prices: FloatArray
    row_prices: FloatArray
    shares: RandomAllocation
    certificate: Certificate
    method: str

    @property
    def rank(self) -> tuple[bool, bool, float, float]:
        """How much to prefer this claim: smaller is better, and what breaks a bound comes last."""
        checks = self.certificate.checks
        bounds = [check for check in checks if check.name in ("quotas", "supply")]
        residuals = np.array([check.residual for check in checks])
        residuals = np.where(np.isfinite(residuals), residuals, np.inf)
        return (
            not self.certificate.passed,
            any(not check.residual <= _BROKEN for check in bounds),
            float(residuals.max()),
            float(np.minimum(residuals, 1.0).sum()),
        )


def claim_of(compiled: CompiledMarket, point: Point, method: str, tol: float) -> Claim:
    """Unscale a point, sweep up rounding, and have it verified.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    point : Point
        In scaled units.
    method : str
        The road that the point comes from.
    tol : float
        Tolerance of the certificate.
    """
    prices, q, shares = unscaled(compiled, point)
    certificate = verify_equilibrium(compiled.market, prices, shares, row_prices=q, tol=tol)
    return Claim(prices, q, shares, certificate, method)


def unscaled(compiled: CompiledMarket, point: Point) -> tuple[FloatArray, FloatArray, RandomAllocation]:
    """Put a point into the market's own units and sweep up rounding: prices, row prices, shares."""
    market = compiled.market
    q = np.where(point.q > _DUST, point.q, 0.0) * compiled.budget_scale
    prices = np.asarray(compiled.rows.T @ q)
    copies = compiled.copies(point.x)
    copies[copies < _DUST] = 0.0
    kept = np.flatnonzero(copies)
    place = (market.pair_agent[kept], market.pair_good[kept])
    matrix = sp.csr_array((copies[kept], place), shape=market.values.shape)
    return prices, q, RandomAllocation(market.agents, market.goods, matrix)


def publish(market: PseudoMarket, claim: Claim, status: Status, stats: Stats) -> Equilibrium:
    """Make the result of a claim."""
    demand = best_affordable(market, claim.prices)
    certificate = claim.certificate
    for part in (claim.prices, claim.row_prices, demand.money_value, demand.satiated):
        part.flags.writeable = False
    return Equilibrium(
        market=market,
        prices=claim.prices,
        row_prices=claim.row_prices,
        shares=claim.shares,
        money_values=demand.money_value,
        status=status,
        certificate=certificate,
        stats=stats,
        utility_loss=utility_losses(market, claim.prices, claim.shares),
        envy=certificate["envy"].residual,
        budget_gap=budget_gap(market, claim.prices, claim.shares, demand.satiated),
        clearing=max(certificate["supply"].residual, certificate["clearing"].residual),
        satiated=demand.satiated,
    )


def refuse(market: PseudoMarket, infeasibility: Infeasibility, stats: Stats) -> Equilibrium:
    """Make the result of a market in which no assignment respects all bounds."""
    return Equilibrium(
        market=market,
        prices=None,
        row_prices=None,
        shares=None,
        money_values=np.full(market.n_agents, np.nan),
        status=Status.INFEASIBLE,
        certificate=Certificate(REQUIRED, ()),
        stats=stats,
        utility_loss=np.full(market.n_agents, np.nan),
        envy=np.nan,
        budget_gap=np.nan,
        clearing=np.nan,
        satiated=np.zeros(market.n_agents, dtype=bool),
        infeasibility=infeasibility,
    )


def budget_gap(
    market: PseudoMarket, prices: FloatArray, shares: RandomAllocation, satiated: BoolArray
) -> float:
    """Compute the largest relative difference of spending and budget, see the module.

    Parameters
    ----------
    market, prices, shares
        The claim.
    satiated : BoolArray, shape (n_agents,)
        Whose unspent money does not count.
    """
    budgets = market.budgets
    spending = np.asarray(shares.matrix @ prices)
    _, stretch = _stretch(market, prices, shares)
    gap = stretch * (spending - budgets) / budgets
    return float(np.max(np.where(satiated, np.maximum(gap, 0.0), np.abs(gap))))


def stretched_prices(found: Equilibrium) -> FloatArray:
    """Return prices in the form in which those of the same equilibrium agree, see the module.

    Parameters
    ----------
    found : Equilibrium
        A result with prices and shares.
    """
    market, prices, shares = found.market, found.prices, found.shares
    if prices is None or shares is None:
        return np.full(market.n_goods, np.nan)
    level, stretch = _stretch(market, prices, shares)
    return np.where(market.capacities > 0, level + stretch * (prices - level), prices)


def _stretch(market: PseudoMarket, prices: FloatArray, shares: RandomAllocation) -> tuple[float, float]:
    r"""Return :math:`\bar p` and the γ at which the smallest price is 0; γ = 1 where it means something."""
    budgets = market.budgets
    held = np.asarray(shares.matrix.sum(axis=1)).ravel()
    offered = prices[market.capacities > 0]
    alike = np.ptp(budgets) <= 1e-12 * budgets[0] and np.ptp(held) <= 1e-9 * held[0]
    if alike and held[0] > 0 and len(offered):
        level, lowest = float(budgets[0] / held[0]), float(offered.min())
        if 0.0 < lowest < level * (1.0 - 1e-9):
            return level, level / (level - lowest)
    return 0.0, 1.0
