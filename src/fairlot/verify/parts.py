r"""Whether prices and shares are a strong equilibrium of a market too large for one place.

The agents are cut into parts. Of the conditions of :mod:`~fairlot.verify.equilibrium` five speak of one
agent at a time; they are checked where the agent's data are, by the same code. Supply, clearing and weighted
welfare are sums over agents, which the parts add up. The tenth, that nobody envies, compares all pairs of
agents; prices replace that comparison. Whatever part y of another's copies :math:`x_k` agent i could use, it
costs at most what :math:`x_k` costs, and no bundle is worth more than duality allows:

.. math:: \bar u_i(y) \le s_i + α_i\, p \cdot y \le s_i + α_i\, p \cdot x_k, \qquad
    s_i = \max_A u_i(A) - α_i\, p(A),

so that with equal budgets, and nobody spending more than :math:`(1 + δ)` times her budget, envy is at most
:math:`s_i + α_i b_i (1 + δ) - \bar u_i(x_i)`. The check ``envy`` here is that bound: never less than the envy
there is, and about the utility gap where the other checks pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Certificate
from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.verify.equilibrium import (
    CONDITIONS,
    REQUIRED,
    Claim,
    Finding,
    check_of,
    read_claim,
    welfare_finding,
    welfare_sums,
)

_OF_AGENTS = ("quotas", "over-spending", "unspent money", "utility gap", "cheapness")


@dataclass(frozen=True, eq=False)
class PartFindings:
    """What a part of the agents says of a claim.

    Parameters
    ----------
    fault : str
        The first number that is not finite; empty if there is none.
    worst : dict of str to (float, str)
        Residual and witness of every condition on single agents.
    used : FloatArray, shape (n_goods + n_limits,)
        Copies that these agents take of every supply row.
    welfare : FloatArray, shape (3,)
        Their sums for the check of weighted welfare.
    envy : tuple of (float, str)
        Largest bound on envy if nobody over-spends, and whose it is.
    stretch : float
        By how much that bound may grow per unit of relative over-spending.
    """

    fault: str
    worst: dict[str, Finding]
    used: FloatArray
    welfare: FloatArray
    envy: Finding
    stretch: float


def examine_part(
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
    *,
    row_prices: FloatArray | None = None,
) -> PartFindings:
    """Examine a claim as far as some of the agents are concerned.

    Parameters
    ----------
    market : PseudoMarket
        These agents, with the goods, capacities and limits of the whole market.
    prices, shares, row_prices
        As for :func:`~fairlot.verify.equilibrium.verify_equilibrium`; shares of these agents.

    Returns
    -------
    PartFindings
        For :func:`combine_parts`.
    """
    claim = read_claim(market, prices, shares, row_prices)
    fault = claim.not_finite()
    if fault:
        n_rows = market.n_goods + len(market.limit_sets)
        return PartFindings(fault, {}, np.zeros(n_rows), np.zeros(3), (0.0, ""), 0.0)
    with np.errstate(all="ignore"):
        worst = {name: CONDITIONS[name](claim) for name in _OF_AGENTS}
        demand = claim.demand
        wants = np.isfinite(demand.value)
        reach = demand.money_value * market.budgets
        bound = np.where(wants, (demand.surplus + reach - claim.utility) / demand.scale, 0.0)
        i = int(np.argmax(np.where(np.isnan(bound), np.inf, bound))) if len(bound) else -1
        envy = (
            (float(bound[i]), f"agent '{market.agents[i]}' might envy others by so much")
            if i >= 0
            else (0.0, "")
        )
        stretch = float(np.max(np.where(wants, reach / demand.scale, 0.0), initial=0.0))
        return PartFindings("", worst, claim.used, welfare_sums(claim), envy, stretch)


def combine_parts(
    supply: PseudoMarket,
    prices: FloatArray,
    findings: Sequence[PartFindings],
    *,
    money: float,
    row_prices: FloatArray | None = None,
    tol: float = 1e-9,
) -> Certificate:
    """Make the certificate of a claim on the whole market.

    Parameters
    ----------
    supply : PseudoMarket
        The market's goods, capacities and limits; its agents do not matter.
    prices, row_prices
        As for :func:`examine_part`.
    findings : sequence of PartFindings
        Of all parts; together they hold every agent once.
    money : float
        Mean budget of all agents.
    tol : float
        Largest residual that passes.

    Returns
    -------
    Certificate
        The checks of :data:`~fairlot.verify.equilibrium.REQUIRED`.
    """
    nobody = RandomAllocation(supply.agents, supply.goods, sp.csr_array(supply.values.shape))
    part = read_claim(supply, prices, nobody, row_prices)
    used = np.sum([one.used for one in findings], axis=0)
    claim = _Whole(part.market, part.signed_prices, part.shares, part.signed_row_prices, money, used)
    fault = next((fault for fault in (claim.not_finite(), *(one.fault for one in findings)) if fault), "")
    if fault:
        return Certificate(REQUIRED, tuple(check_of(name, (np.nan, fault), tol) for name in REQUIRED))
    with np.errstate(all="ignore"):
        found = {name: _largest([one.worst[name] for one in findings]) for name in _OF_AGENTS}
        found |= {name: CONDITIONS[name](claim) for name in ("prices", "supply", "clearing")}
        found["weighted welfare"] = welfare_finding(claim, np.sum([one.welfare for one in findings], axis=0))
        envy, witness = _largest([one.envy for one in findings])
        more = max(0.0, found["over-spending"][0]) * max(one.stretch for one in findings)
        found["envy"] = (max(0.0, envy) + more, witness)
    return Certificate(REQUIRED, tuple(check_of(name, found[name], tol) for name in REQUIRED))


@dataclass(frozen=True, eq=False)
class _Whole(Claim):
    """A claim on the whole market, its agents known by what they use."""

    taken: FloatArray

    @property
    def used(self) -> FloatArray:
        """Copies that count against every supply row."""
        return self.taken


def _largest(findings: Sequence[Finding]) -> Finding:
    """Pick the largest residual, NaN before all."""
    return max(findings, key=lambda finding: np.inf if np.isnan(finding[0]) else finding[0])
