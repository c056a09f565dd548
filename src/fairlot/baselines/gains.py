r"""What one more copy of a good is worth to an agent who holds some already.

In the structured class of :mod:`fairlot.model.market` the gain of another copy of good j on top of a bundle
B is :math:`v_{ij} + \sum_{S \ni j} (g_S(|B \cap S| + 1) - g_S(|B \cap S|))`, and there is none where a bound
is reached. Bundles that meet the lower bounds come first: a copy that helps to meet more of them is the
greater gain, whatever its utility. Such counts with utility behind them are M♮-concave, so that taking the
greatest gain again and again ends at a best bundle, one that meets the lower bounds wherever any does.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket

Arrays = tuple[
    IntArray, IntArray, FloatArray, IntArray, IntArray, IntArray, IntArray, FloatArray, IntArray, IntArray
]


@dataclass(frozen=True, eq=False)
class Gains:
    """A market in the form the kernels read.

    Parameters
    ----------
    start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' acceptable pairs.
    good : IntArray, shape (n_pairs,)
        Of each pair.
    value : FloatArray, shape (n_pairs,)
        Utility of the first copy over the agent's largest, taper marginals included.
    room : IntArray, shape (n_pairs,)
        Copies one agent may hold.
    chain : IntArray, shape (n_pairs, depth)
        Nodes of the agent's tree that hold the pair, padded with -1.
    lower, upper : IntArray, shape (n_nodes,)
        Bounds of each node; breakpoints of tapers are uppers with a finite penalty.
    penalty : FloatArray, shape (n_nodes,)
        Utility per copy above ``upper``, in the units of ``value``; infinite where the bound is hard.
    row_start, row : IntArray
        Supply rows of each good, flat: its capacity, then the limits over it.
    supply : IntArray, shape (n_rows,)
        Copies there are.
    """

    start: IntArray
    good: IntArray
    value: FloatArray
    room: IntArray
    chain: IntArray
    lower: IntArray
    upper: IntArray
    penalty: FloatArray
    row_start: IntArray
    row: IntArray
    supply: IntArray

    @property
    def arrays(self) -> Arrays:
        """What a kernel takes, in order, supply aside."""
        return (
            self.start,
            self.good,
            self.value,
            self.room,
            self.chain,
            self.lower,
            self.upper,
            self.penalty,
            self.row_start,
            self.row,
        )


def open_gains(market: PseudoMarket) -> Gains:
    """Lay out a market for the kernels."""
    families = market.families
    scale = np.zeros(market.n_agents)
    np.maximum.at(scale, market.pair_agent, np.abs(market.base_values))
    scale[scale == 0] = 1.0
    membership, bounds = market.supply_sets
    by_good = membership.tocsc()
    by_good.sort_indices()
    counts = np.bincount(market.pair_agent, minlength=market.n_agents)
    return Gains(
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        good=market.pair_good,
        value=market.base_values / scale[market.pair_agent],
        room=market.per_agent[market.pair_good],
        chain=np.ascontiguousarray(families.chains()),
        lower=families.lower,
        upper=np.where(families.upper == UNBOUNDED, np.iinfo(np.int64).max, families.upper),
        penalty=families.penalty / scale[families.agent],
        row_start=by_good.indptr.astype(np.int64),
        row=by_good.indices.astype(np.int64),
        supply=bounds.astype(np.int64),
    )


@njit(cache=True)
def gain(
    pair: int,
    value: FloatArray,
    chain: IntArray,
    lower: IntArray,
    upper: IntArray,
    penalty: FloatArray,
    total: IntArray,
) -> tuple[int, float]:
    """Compute the gain of another copy of a pair: lower bounds that it helps to meet, and utility.

    (0, -inf) where a bound of the agent forbids it. ``total`` holds the copies that each node has already.
    """
    needed = 0
    worth = value[pair]
    for c in range(chain.shape[1]):
        node = chain[pair, c]
        if node < 0:
            break
        if total[node] >= upper[node]:
            if penalty[node] == np.inf:
                return 0, -np.inf
            worth -= penalty[node]
        if total[node] < lower[node]:
            needed += 1
    return needed, worth


@njit(cache=True)
def left(good: int, row_start: IntArray, row: IntArray, supply: IntArray | FloatArray) -> bool:
    """Tell whether a copy of a good can still be given."""
    least = np.inf
    for r in range(row_start[good], row_start[good + 1]):
        least = min(least, supply[row[r]])
    return least > 0


def wanted(gains: Gains, copies: IntArray) -> tuple[IntArray, BoolArray]:
    """Find the goods with a copy left that somebody would gain from.

    Parameters
    ----------
    gains : Gains
        The market.
    copies : IntArray, shape (n_pairs,)
        One assignment.

    Returns
    -------
    spare : IntArray, shape (n_goods,)
        Copies of each good that could still be given.
    taker : BoolArray, shape (n_goods,)
        Whether some agent would gain from one more.
    """
    n_goods = len(gains.row_start) - 1
    given = np.bincount(gains.good, copies, minlength=n_goods).astype(np.int64)
    of_row = np.repeat(np.arange(n_goods), np.diff(gains.row_start))
    rest = gains.supply - np.bincount(gains.row, given[of_row], minlength=len(gains.supply)).astype(np.int64)
    spare = np.full(n_goods, np.iinfo(np.int64).max)
    np.minimum.at(spare, of_row, rest[gains.row])
    taker: BoolArray = _takers(*gains.arrays, rest, copies)
    return np.maximum(spare, 0), taker


@njit(cache=True)
def _takers(
    start: IntArray,
    good: IntArray,
    value: FloatArray,
    room: IntArray,
    chain: IntArray,
    lower: IntArray,
    upper: IntArray,
    penalty: FloatArray,
    row_start: IntArray,
    row: IntArray,
    supply: IntArray,
    copies: IntArray,
) -> BoolArray:
    total = node_totals(chain, len(lower), copies)
    taker = np.zeros(len(row_start) - 1, dtype=np.bool_)
    for pair in range(len(good)):
        j = good[pair]
        if not taker[j] and copies[pair] < room[pair] and left(j, row_start, row, supply):
            needed, worth = gain(pair, value, chain, lower, upper, penalty, total)
            taker[j] = needed > 0 or worth > 0.0
    return taker


@njit(cache=True)
def node_totals(chain: IntArray, n_nodes: int, copies: IntArray) -> IntArray:
    """Sum the copies that each node's set holds."""
    total = np.zeros(n_nodes, dtype=np.int64)
    for pair in range(len(copies)):
        if copies[pair]:
            for c in range(chain.shape[1]):
                if chain[pair, c] < 0:
                    break
                total[chain[pair, c]] += copies[pair]
    return total
