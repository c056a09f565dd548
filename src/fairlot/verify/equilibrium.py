r"""Whether prices and shares are a strong equilibrium, from the market alone.

Prices p and a random allocation x are a *strong equilibrium* (Gul, Pesendorfer, Zhang) if every
agent's lottery is among the best she can afford and cheapest among those, nobody gets more than there
is, and what is left over has price 0. With a price q on every supply row (a capacity per good, then the
limits), :math:`p = F^\top q`. Since every demand set is M♮-convex and supply is laminar, expected
copies that lie in every agent's polytope :math:`P_i` and within supply are a lottery over feasible
assignments, so that x is all that needs to be looked at.

Each check is a residual, 0 where the condition holds exactly. Units: prices in mean budgets, copies in
the bound they break (or 1, where that is less), money in the agent's budget, utility in the agent's best
affordable utility (see :class:`~fairlot.verify.demand.Demand` for its floor).

==================  =====================================================================================
``prices``          finite, not negative, and :math:`p = F^\top q`
``quotas``          shares are of acceptable pairs, not negative, at most ``per_agent``, and within every
                    quota of every agent
``supply``          capacities and limits hold
``clearing``        a row is not both priced and slack: the smaller of price and slack
``over-spending``   :math:`p \cdot x_i - b_i`
``unspent money``   :math:`b_i - p \cdot x_i` of agents who are not satiated
``utility gap``     :math:`V^*_i - \bar u_i(x_i)`
``cheapness``       satiated: cost above the least cost of the greatest utility, in budgets. Others: by how
                    much x_i falls short of :math:`\max u_i - α_i p`, in utility: a slack δ in utility
                    moves the least cost by δ/α_i, so that costs themselves cannot be compared
``weighted welfare``  no allocation has a larger :math:`\sum_i λ_i \bar u_i`, λ_i = 1/α_i, among those that
                    keep satiated agents at their greatest utility: the value at x equals that of the
                    dual at p, relative to the weighted utilities and all budgets. Hence x is efficient
``envy``            nobody prefers what she could use of the lottery of someone with her budget
==================  =====================================================================================

Goods without supply do not exist: their prices are free, and nobody demands them. Negative prices fail
``prices`` and count as 0 elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy.sparse as sp

from fairlot.certificate import Certificate, Check
from fairlot.model.constraints import BoundSet
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket, utilities
from fairlot.model.shares import RandomAllocation
from fairlot.verify.demand import Demand, Trees, best_affordable, open_trees
from fairlot.verify.envy import worst_envy

REQUIRED = (
    "prices",
    "quotas",
    "supply",
    "clearing",
    "over-spending",
    "unspent money",
    "utility gap",
    "cheapness",
    "weighted welfare",
    "envy",
)
"""Names of the checks that make a strong equilibrium."""


def verify_equilibrium(
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
    *,
    row_prices: FloatArray | None = None,
    tol: float = 1e-9,
) -> Certificate:
    """Check every condition of a strong equilibrium.

    Parameters
    ----------
    market : PseudoMarket
        The market, its quotas and tapers laminar.
    prices : FloatArray, shape (n_goods,)
        Full prices that agents pay, limit prices included.
    shares : RandomAllocation
        Expected copies.
    row_prices : FloatArray, shape (n_goods + n_limits,), optional
        Capacity prices, then limit prices; needed where the market has limits, else ``prices``.
    tol : float
        Largest residual that passes.

    Returns
    -------
    Certificate
        The checks of :data:`REQUIRED`. All of them fail where a number is NaN or infinite.

    Raises
    ------
    ValueError
        If an argument does not fit the market.
    InvalidProblemError
        If the agents' quotas and tapers cross.

    References
    ----------
    F. Gul, W. Pesendorfer and M. Zhang, "Efficient Allocation of Indivisible Goods in Pseudomarkets with
    Constraints": strong equilibrium. A. Hylland and R. Zeckhauser, "The Efficient Allocation of
    Individuals to Positions", Journal of Political Economy 87 (1979).

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays(
    ...     [[100, 20, 0], [100, 20, 0], [100, 80, 0]], capacities=1, quotas=[Quota("one", max=1)]
    ... )
    >>> matrix = sp.csr_array([[0.5, 0, 0.5], [0.5, 0, 0.5], [0, 1, 0]])
    >>> shares = RandomAllocation(market.agents, market.goods, matrix)
    >>> verify_equilibrium(market, np.array([2.0, 1.0, 0.0]), shares).passed
    True
    >>> verify_equilibrium(market, np.array([2.0, 1.1, 0.0]), shares)["over-spending"].witness
    "agent 'agent3' spends 1.1, budget 1"
    """
    claim = read_claim(market, prices, shares, row_prices)
    fault = claim.not_finite()
    if fault:
        return Certificate(REQUIRED, tuple(Check(name, np.nan, tol, fault) for name in REQUIRED))
    # What overflows becomes infinite or NaN, and fails.
    with np.errstate(all="ignore"):
        checks = tuple(check_of(name, CONDITIONS[name](claim), tol) for name in REQUIRED)
    return Certificate(REQUIRED, checks)


def utility_losses(market: PseudoMarket, prices: FloatArray, shares: RandomAllocation) -> FloatArray:
    r"""Compute what each agent falls short of her best affordable utility at her true budget.

    Parameters
    ----------
    market, prices, shares
        As in :func:`verify_equilibrium`.

    Returns
    -------
    FloatArray, shape (n_agents,)
        :math:`(V^*_i - \bar u_i(x_i)) / V^*_i`; negative for agents who get more than they can afford,
        infinite where no acceptable bundle is affordable, NaN where none exists.
    """
    claim = read_claim(market, prices, shares, np.zeros(market.n_goods + len(market.limit_sets)))
    if claim.not_finite():
        return np.full(market.n_agents, np.nan)
    return claim.loss


def satiated_agents(market: PseudoMarket, prices: FloatArray) -> BoolArray:
    """Tell who can afford her greatest utility, shape (n_agents,)."""
    return best_affordable(market, np.maximum(prices, 0.0)).satiated


def read_claim(
    market: PseudoMarket, prices: FloatArray, shares: RandomAllocation, row_prices: FloatArray | None
) -> Claim:
    """Put a claim together, or say what does not fit the market."""
    n_rows = market.n_goods + len(market.limit_sets)
    prices = np.asarray(prices, dtype=np.float64)
    if prices.shape != (market.n_goods,):
        msg = f"prices have shape {prices.shape}, expected {(market.n_goods,)}"
        raise ValueError(msg)
    if row_prices is None:
        if market.limit_sets:
            msg = "row_prices are needed: the market has limits, whose prices the goods' prices do not tell"
            raise ValueError(msg)
        row_prices = prices
    row_prices = np.asarray(row_prices, dtype=np.float64)
    if row_prices.shape != (n_rows,):
        msg = f"row_prices have shape {row_prices.shape}, expected {(n_rows,)}"
        raise ValueError(msg)
    if shares.agents != market.agents or shares.goods != market.goods:
        msg = "shares are of other agents or goods than the market"
        raise ValueError(msg)
    money = float(market.budgets.sum()) / max(market.n_agents, 1)
    return Claim(market, prices, shares.matrix, row_prices, money)


@dataclass(frozen=True, eq=False)
class Claim:
    """A claimed equilibrium and what several checks need of it, each worked out once.

    Parameters
    ----------
    market : PseudoMarket
        The market, or a part of its agents.
    signed_prices, signed_row_prices : FloatArray
        As claimed, even if below 0.
    shares : scipy.sparse.csr_array
        Of these agents.
    money : float
        Mean budget, of all agents of the market.
    """

    market: PseudoMarket
    signed_prices: FloatArray
    shares: sp.csr_array
    signed_row_prices: FloatArray
    money: float

    def not_finite(self) -> str:
        """Name the first number that is NaN or infinite; empty if none is."""
        market = self.market
        for j in np.flatnonzero(~np.isfinite(self.signed_prices)):
            return f"price of good '{market.goods[j]}' is {self.signed_prices[j]}"
        for k in np.flatnonzero(~np.isfinite(self.signed_row_prices)):
            return f"price of {self.row_name(int(k))} is {self.signed_row_prices[k]}"
        for k in np.flatnonzero(~np.isfinite(self.shares.data)):
            i = int(np.searchsorted(self.shares.indptr, k, side="right")) - 1
            good = market.goods[self.shares.indices[k]]
            return f"share of agent '{market.agents[i]}' in good '{good}' is {self.shares.data[k]}"
        return ""

    def row_name(self, k: int) -> str:
        """Return how witnesses call a supply row."""
        n_goods = self.market.n_goods
        return f"good '{self.market.goods[k]}'" if k < n_goods else self.market.limits[k - n_goods].label

    def spending(self, i: int) -> str:
        """Say what an agent spends."""
        return (
            f"agent '{self.market.agents[i]}' spends {self.cost[i]:.10g}, budget {self.market.budgets[i]:g}"
        )

    @cached_property
    def prices(self) -> FloatArray:
        """Prices, negative ones as 0."""
        return np.maximum(self.signed_prices, 0.0)

    @cached_property
    def row_prices(self) -> FloatArray:
        """Prices of supply rows, negative ones as 0."""
        return np.maximum(self.signed_row_prices, 0.0)

    @cached_property
    def trees(self) -> Trees:
        """Agents' trees over goods that exist."""
        return open_trees(self.market)

    @cached_property
    def demand(self) -> Demand:
        """What every agent can get."""
        return best_affordable(self.market, self.prices, self.trees)

    @cached_property
    def place(self) -> tuple[IntArray, BoolArray]:
        """Where each stored share is among the acceptable pairs, and whether it is there."""
        market = self.market
        agent = np.repeat(np.arange(market.n_agents), np.diff(self.shares.indptr))
        pairs = market.pair_agent * market.n_goods + market.pair_good
        stored = agent * market.n_goods + self.shares.indices
        at = np.searchsorted(pairs, stored)
        found = at < len(pairs)
        found[found] = pairs[at[found]] == stored[found]
        return at, found

    @cached_property
    def copies(self) -> FloatArray:
        """Expected copies of every acceptable pair, shape (n_pairs,)."""
        at, found = self.place
        copies = np.zeros(self.market.values.nnz)
        copies[at[found]] = self.shares.data[found]
        return copies

    @cached_property
    def utility(self) -> FloatArray:
        """Expected utilities."""
        return utilities(self.market, self.copies)

    @cached_property
    def cost(self) -> FloatArray:
        """Expected costs."""
        return np.asarray(self.shares @ self.prices)

    @cached_property
    def used(self) -> FloatArray:
        """Copies that count against every supply row."""
        rows, _ = self.market.supply_sets
        return np.asarray(rows @ np.asarray(self.shares.sum(axis=0)).ravel())

    @cached_property
    def loss(self) -> FloatArray:
        """What every agent falls short of, relative to it."""
        with np.errstate(invalid="ignore"):
            gap = (self.demand.value - self.utility) / self.demand.scale
        return np.where(self.demand.value == -np.inf, np.inf, gap)


Finding = tuple[float, str]
"""A residual, and who or what attains it."""


def check_of(name: str, finding: Finding, tol: float) -> Check:
    """Make a check of a finding: a witness only where something is violated."""
    residual, witness = finding
    return Check(name, residual, tol, witness if residual > 0 or np.isnan(residual) else "")


def _worst(residuals: FloatArray, tell: Callable[[int], str]) -> Finding:
    """Pick the largest residual, NaN before all; at least 0."""
    if not len(residuals):
        return 0.0, ""
    k = int(np.argmax(np.where(np.isnan(residuals), np.inf, residuals)))
    return (max(0.0, float(residuals[k])) if residuals[k] == residuals[k] else np.nan), tell(k)


def _prices(claim: Claim) -> Finding:
    market = claim.market
    rows, _ = market.supply_sets
    money = claim.money
    amount = np.asarray(rows.T @ claim.signed_row_prices)

    def negative(k: int) -> str:
        return f"price of {claim.row_name(k)} is {claim.signed_row_prices[k]:.6g}"

    def apart(j: int) -> str:
        return (
            f"price of good '{market.goods[j]}' is {claim.signed_prices[j]:.6g}, "
            f"its capacity and limit prices amount to {amount[j]:.6g}"
        )

    gap = np.abs(claim.signed_prices - amount) / np.maximum(money, np.abs(amount))
    return max(_worst(-claim.signed_row_prices / money, negative), _worst(gap, apart))


def _quotas(claim: Claim) -> Finding:
    market, shares = claim.market, claim.shares
    _, found = claim.place
    cap = market.per_agent[shares.indices].astype(np.float64)
    excess = np.maximum(-shares.data, (shares.data - cap) / cap)
    excess[~found] = np.abs(shares.data[~found])

    def pair(k: int) -> str:
        i = int(np.searchsorted(shares.indptr, k, side="right")) - 1
        good = market.goods[shares.indices[k]]
        held = f"agent '{market.agents[i]}' gets {shares.data[k]:.6g} of good '{good}'"
        return f"{held}, at most {cap[k]:g} allowed" if found[k] else f"{held}, which she does not accept"

    worst = _worst(excess, pair)
    for bound in market.bound_sets:
        if len(bound.marginals):
            continue
        inside = np.zeros(market.n_goods)
        inside[bound.goods] = 1.0
        total = np.asarray(shares @ inside)
        over = (total - bound.upper) / np.maximum(bound.upper, 1)
        under = (bound.lower - total) / np.maximum(bound.lower, 1)

        def quota(i: int, bound: BoundSet = bound, total: FloatArray = total) -> str:
            least, most = bound.lower[i], bound.upper[i]
            side = f"at most {most}" if total[i] > most else f"at least {least}"
            return f"agent '{market.agents[i]}' gets {total[i]:.6g} under {bound.label}, {side} allowed"

        worst = max(worst, _worst(np.maximum(over, under), quota))
    return worst


def _supply(claim: Claim) -> Finding:
    _, bounds = claim.market.supply_sets

    def tell(k: int) -> str:
        return f"{claim.row_name(k)}: {claim.used[k]:.10g} given, {bounds[k]:g} there"

    return _worst((claim.used - bounds) / np.maximum(bounds, 1.0), tell)


def _clearing(claim: Claim) -> Finding:
    _, bounds = claim.market.supply_sets
    slack = (bounds - claim.used) / np.maximum(bounds, 1.0)
    priced = claim.row_prices / claim.money

    def tell(k: int) -> str:
        left = bounds[k] - claim.used[k]
        return (
            f"{claim.row_name(k)} has price {claim.row_prices[k]:.6g}, but {left:.6g} of {bounds[k]:g} left"
        )

    return _worst(np.minimum(slack, priced), tell)


def _over_spending(claim: Claim) -> Finding:
    budgets = claim.market.budgets
    return _worst((claim.cost - budgets) / budgets, claim.spending)


def _unspent_money(claim: Claim) -> Finding:
    budgets, demand = claim.market.budgets, claim.demand
    wants = np.isfinite(demand.value) & ~demand.satiated
    return _worst(np.where(wants, (budgets - claim.cost) / budgets, 0.0), claim.spending)


def _utility_gap(claim: Claim) -> Finding:
    market, demand = claim.market, claim.demand

    def tell(i: int) -> str:
        agent = f"agent '{market.agents[i]}'"
        if np.isnan(demand.value[i]):
            return f"{agent} accepts no bundle: her own bounds contradict what exists"
        if np.isinf(demand.value[i]):
            cheapest = f"the cheapest costs {demand.floor_cost[i]:.6g}, budget {market.budgets[i]:g}"
            return f"{agent} can afford no acceptable bundle: {cheapest}"
        return f"{agent} gets utility {claim.utility[i]:.10g}, can afford {demand.value[i]:.10g}"

    return _worst(claim.loss, tell)


def _cheapness(claim: Claim) -> Finding:
    market, demand = claim.market, claim.demand
    waste = (claim.cost - demand.peak_cost) / market.budgets
    reduced = demand.surplus - (claim.utility - demand.money_value * claim.cost)
    residual = np.where(demand.satiated, waste, reduced / demand.scale)

    def tell(i: int) -> str:
        agent = f"agent '{market.agents[i]}'"
        if demand.satiated[i]:
            return f"{agent} pays {claim.cost[i]:.10g}, could be as well off for {demand.peak_cost[i]:.10g}"
        return f"{agent} holds bundles that fall short by {reduced[i]:.6g} at α = {demand.money_value[i]:.6g}"

    return _worst(np.where(np.isfinite(demand.value), residual, 0.0), tell)


def welfare_sums(claim: Claim) -> FloatArray:
    """Sum over agents what the check of weighted welfare needs: the value at x, the dual's part, the unit."""
    demand = claim.demand
    wants = np.isfinite(demand.value) & ~demand.satiated
    weight = 1.0 / demand.money_value[wants]
    return np.array(
        [
            weight @ claim.utility[wants],
            weight @ demand.surplus[wants] - demand.peak_cost[demand.satiated].sum(),
            weight @ demand.scale[wants] + claim.market.budgets.sum(),
        ]
    )


def welfare_finding(claim: Claim, sums: FloatArray) -> Finding:
    """Compare the weighted welfare with its bound."""
    _, bounds = claim.market.supply_sets
    primal, dual = float(sums[0]), float(sums[1] + claim.row_prices @ bounds)
    return abs(dual - primal) / float(sums[2]), f"weighted utilities {primal:.10g}, bound {dual:.10g}"


def _weighted_welfare(claim: Claim) -> Finding:
    return welfare_finding(claim, welfare_sums(claim))


def _envy(claim: Claim) -> Finding:
    agents = claim.market.agents
    envy, who, whom = worst_envy(claim.market, claim.trees, claim.shares, claim.utility, claim.demand.scale)
    return envy, f"agent '{agents[who]}' would gain {envy:.3g} from the lottery of '{agents[whom]}'"


CONDITIONS: Mapping[str, Callable[[Claim], Finding]] = {
    "prices": _prices,
    "quotas": _quotas,
    "supply": _supply,
    "clearing": _clearing,
    "over-spending": _over_spending,
    "unspent money": _unspent_money,
    "utility gap": _utility_gap,
    "cheapness": _cheapness,
    "weighted welfare": _weighted_welfare,
    "envy": _envy,
}
"""What each check recomputes of a claim."""
