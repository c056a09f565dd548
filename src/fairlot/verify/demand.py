r"""What an agent can get at given prices: the best affordable expected utility, exactly.

With budget :math:`b_i` and prices p an agent chooses a lottery over bundles,

.. math:: V^*_i(p, b_i) = \max \{ \mathbb E\, u_i(A) : \mathbb E\, p(A) \le b_i \}.

The best lottery mixes two bundles on the upper hull of the points (cost, utility): from the cheapest
bundle and the cheapest among the most useful ones, the bundle that is best at the slope α between the
two replaces the one on its side of the budget until none lies above the line. Where even the most
useful bundle is affordable the agent is *satiated*: α = 0, and the least cost of that bundle is what a
strong equilibrium may make her pay.

Goods without supply (capacity 0, or under a limit of 0) do not exist for anybody, and nobody counts on
more copies of a good than there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from fairlot.model.families import build_families
from fairlot.model.hierarchy import UNBOUNDED, BoolArray, Families, FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.verify.merging import best_bundle

ROUNDING = 1e-12
"""Relative difference that arithmetic in double precision may make."""


@dataclass(frozen=True, eq=False)
class Trees:
    """Every agent's laminar tree over what exists, in the form the kernels read.

    Parameters
    ----------
    pairs : IntArray, shape (n_open,)
        Positions, among the market's acceptable pairs, of those whose good exists.
    start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' open pairs.
    good, leaf : IntArray, shape (n_open,)
        Good and node of each open pair.
    value, room : FloatArray, shape (n_open,)
        Utility per copy, and copies one agent may count on.
    node_start, parent : IntArray
        As in :class:`~fairlot.model.hierarchy.Families`.
    lower, upper, penalty : FloatArray, shape (n_nodes,)
        Bounds in copies, and utility per copy above a taper's breakpoint.
    scale : FloatArray, shape (n_agents,)
        Largest utility of one copy; 1 where it is 0.
    grain : FloatArray, shape (n_agents,)
        Difference of utility per copy that sums of taper marginals may owe to rounding.
    """

    pairs: IntArray
    start: IntArray
    good: IntArray
    leaf: IntArray
    value: FloatArray
    room: FloatArray
    node_start: IntArray
    parent: IntArray
    lower: FloatArray
    upper: FloatArray
    penalty: FloatArray
    scale: FloatArray
    grain: FloatArray

    @property
    def work(self) -> tuple[IntArray, FloatArray]:
        """Room for the kernels to work in."""
        widest = int(np.diff(self.start).max(initial=0)) + int(np.diff(self.node_start).max(initial=0))
        return np.empty((3, widest), dtype=np.int64), np.empty((6, widest))


def open_trees(market: PseudoMarket) -> Trees:
    """Restrict every agent's tree to goods that exist."""
    membership, bounds = market.supply_sets
    closed = np.asarray(membership.T @ (bounds == 0)) > 0
    room = np.minimum(market.per_agent, market.capacities)
    keep = ~closed[market.pair_good]
    families: Families = market.families
    if closed.any() or (room < market.per_agent).any():
        families = build_families(market.bound_sets, market.values, room, market.goods, keep)
    pairs = np.flatnonzero(keep)
    agent, good = market.pair_agent[pairs], market.pair_good[pairs]
    value = market.base_values[pairs]
    scale = np.zeros(market.n_agents)
    np.maximum.at(scale, agent, np.abs(value))
    scale[scale == 0] = 1.0
    tapered = np.zeros(market.n_agents, dtype=bool)
    for bound in market.bound_sets:
        if len(bound.marginals):
            tapered[slice(None) if bound.agents is None else bound.agents] = True
    counts = np.bincount(agent, minlength=market.n_agents)
    return Trees(
        pairs=pairs,
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        good=good,
        leaf=families.leaf[pairs],
        value=value,
        room=room[good].astype(np.float64),
        node_start=families.start,
        parent=families.parent,
        lower=families.lower.astype(np.float64),
        upper=np.where(families.upper == UNBOUNDED, np.inf, families.upper).astype(np.float64),
        penalty=families.penalty,
        scale=scale,
        grain=np.where(tapered, ROUNDING * scale, 0.0),
    )


@dataclass(frozen=True, eq=False)
class Demand:
    """What every agent can get at given prices. All arrays have shape (n_agents,).

    Parameters
    ----------
    value : FloatArray
        Best affordable expected utility :math:`V^*_i`; -inf where no acceptable bundle is affordable
        even with lotteries, NaN where no bundle is acceptable.
    satiated : BoolArray
        Whether the greatest utility is affordable.
    peak, peak_cost : FloatArray
        Greatest utility of any bundle, and the least cost of attaining it.
    floor_cost : FloatArray
        Cost of the cheapest acceptable bundle.
    money_value : FloatArray
        α_i: utility of another unit of money; 0 where satiated.
    surplus : FloatArray
        Greatest :math:`u_i(A) - α_i p(A)` over all bundles.
    scale : FloatArray
        Unit for relative differences of utility: the value, but at least a millionth of the largest
        utility of one copy.
    """

    value: FloatArray
    satiated: BoolArray
    peak: FloatArray
    peak_cost: FloatArray
    floor_cost: FloatArray
    money_value: FloatArray
    surplus: FloatArray
    scale: FloatArray


def best_affordable(market: PseudoMarket, prices: FloatArray, trees: Trees | None = None) -> Demand:
    """Compute every agent's best affordable expected utility.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    prices : FloatArray, shape (n_goods,)
        Finite and non-negative.
    trees : Trees, optional
        From :func:`open_trees`, where they are at hand.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> market = PseudoMarket.from_arrays([[100, 80, 0]], capacities=1, quotas=[Quota("one", max=1)])
    >>> best_affordable(market, np.array([2.0, 1.0, 0.0])).value.tolist()
    [80.0]
    """
    trees = open_trees(market) if trees is None else trees
    links, slopes = trees.work
    found = _demands(
        trees.start,
        trees.value,
        np.asarray(prices, dtype=np.float64)[trees.good],
        trees.room,
        trees.leaf,
        trees.node_start,
        trees.parent,
        trees.lower,
        trees.upper,
        trees.penalty,
        trees.grain,
        market.budgets,
        links,
        slopes,
    )
    value, peak, peak_cost, floor_cost, money_value, surplus, satiated = found
    finite = np.where(np.isfinite(value), np.abs(value), 0.0)
    return Demand(
        value=value,
        satiated=satiated == 1.0,
        peak=peak,
        peak_cost=peak_cost,
        floor_cost=floor_cost,
        money_value=money_value,
        surplus=surplus,
        scale=np.maximum(finite, 1e-6 * trees.scale),
    )


@njit(cache=True)
def _demands(
    start: IntArray,
    values: FloatArray,
    prices: FloatArray,
    room: FloatArray,
    leaf: IntArray,
    node_start: IntArray,
    parent: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    penalty: FloatArray,
    grain: FloatArray,
    budgets: FloatArray,
    links: IntArray,
    slopes: FloatArray,
) -> FloatArray:
    """Search every agent's hull; rows: value, peak, its cost, least cost, α, surplus, whether satiated."""
    n = len(budgets)
    out = np.full((7, n), np.nan)
    for i in range(n):
        own = slice(start[i], start[i + 1])
        nodes = slice(node_start[i], node_start[i + 1])
        v, p, r, f, offset = values[own], prices[own], room[own], leaf[own], node_start[i]
        up, lo, hi, pen = parent[nodes], lower[nodes], upper[nodes], penalty[nodes]
        most = budgets[i] * (1.0 + ROUNDING)
        feasible, high, high_cost = best_bundle(
            v, p, r, f, offset, up, lo, hi, pen, 0.0, grain[i], links, slopes
        )
        if not feasible:
            continue
        _, low, low_cost = best_bundle(v, p, r, f, offset, up, lo, hi, pen, np.inf, 0.0, links, slopes)
        if high <= low:
            high, high_cost = low, low_cost
        out[1, i], out[2, i], out[3, i] = high, high_cost, low_cost
        if high_cost <= most:
            out[0, i], out[4, i], out[5, i], out[6, i] = high, 0.0, high, 1.0
            continue
        if low_cost > most:
            out[0, i] = -np.inf
            continue
        alpha = 0.0
        surplus = high
        while high > low:
            alpha = (high - low) / (high_cost - low_cost)
            _, utility, cost = best_bundle(v, p, r, f, offset, up, lo, hi, pen, alpha, 0.0, links, slopes)
            surplus = utility - alpha * cost
            line = low - alpha * low_cost
            gain = surplus - line
            if gain <= 1e-15 * (abs(utility) + abs(line)) or not low_cost < cost < high_cost:
                surplus = max(surplus, line)
                break
            if cost > budgets[i]:
                high, high_cost = utility, cost
            else:
                low, low_cost = utility, cost
        share = min(1.0, max(0.0, (budgets[i] - low_cost) / (high_cost - low_cost)))
        out[0, i], out[4, i], out[5, i] = low + share * (high - low), alpha, surplus
    return out
