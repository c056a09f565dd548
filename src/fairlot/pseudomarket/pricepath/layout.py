r"""Agents' problems laid out for the kernels: pairs and rows of one agent lie together.

An agent's *rows* are her nodes and, last, her budget: each says that a weighted total of her copies,
with weights 1 (a node) or prices (the budget), keeps within bounds. Pairs are put in the order in
which a walk through her tree meets them, so that what a node holds is a slice of pairs; nodes come
before their parents. The budget holds everything.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.pseudomarket.compiled import CompiledMarket

EQUAL, UPPER, LOWER, BOTH, TAPER = range(5)
"""Kinds of rows; a budget is UPPER."""

_LEAST_GAP = 3e-5


class Agents(NamedTuple):
    """The agents who have something to choose, their pairs and rows.

    Parameters
    ----------
    pair_start, row_start : IntArray, shape (n + 1,)
        Offsets of the agents' pairs and rows.
    column : IntArray, shape (n_pairs,)
        Priced good of each pair; the last column collects the goods whose price is 0.
    value, cap : FloatArray, shape (n_pairs,)
        Utility per copy; most copies.
    capped : BoolArray, shape (n_pairs,)
        Whether x ≤ cap needs a multiplier.
    low, high : IntArray, shape (n_rows,)
        The pairs a row holds are ``low:high``.
    kind : IntArray, shape (n_rows,)
        EQUAL, UPPER, LOWER, BOTH or TAPER.
    lower, upper, penalty : FloatArray, shape (n_rows,)
        Bounds; for a budget, ``upper`` is money.
    table_start, square_start : IntArray, shape (n + 1,)
        Offsets of an agent's (rows × (pairs + rows)) and (rows × rows) matrices.
    money : FloatArray, shape (n,)
        ε: a small value of money that makes a satiated agent choose the cheapest of her best bundles.
    pair_weight, row_weight : FloatArray
        Barrier weights: every complementary pair has the product μ times its weight.
    forced_start, forced_column : IntArray
        Offsets, and columns of goods, of the copies that bounds force on each agent.
    forced : FloatArray
        Those copies.
    """

    pair_start: IntArray
    row_start: IntArray
    column: IntArray
    value: FloatArray
    cap: FloatArray
    capped: BoolArray
    low: IntArray
    high: IntArray
    kind: IntArray
    lower: FloatArray
    upper: FloatArray
    penalty: FloatArray
    table_start: IntArray
    square_start: IntArray
    money: FloatArray
    pair_weight: FloatArray
    row_weight: FloatArray
    forced_start: IntArray
    forced_column: IntArray
    forced: FloatArray


class Layout(NamedTuple):
    """A compiled market in the kernels' order, and the way back.

    Parameters
    ----------
    agents : Agents
        The agents' problems.
    who : IntArray
        Agents with pairs, as numbered in the compiled market.
    pair, node : IntArray
        Compiled pair of each pair; compiled node of each row that is no budget.
    node_row, budget_row : IntArray
        Rows of those nodes; budget row of each agent.
    supply_row : IntArray, shape (m,)
        Supply rows that can be scarce; all others have price 0.
    fold : scipy.sparse.csr_array, shape (m, n_columns)
        Whether the supply row counts the priced good.
    supply : FloatArray, shape (m,)
        Copies for the pairs.
    """

    agents: Agents
    who: IntArray
    pair: IntArray
    node: IntArray
    node_row: IntArray
    budget_row: IntArray
    supply_row: IntArray
    fold: sp.csr_array
    supply: FloatArray


def lay_out(
    market: CompiledMarket, money_share: FloatArray | float = 0.03, rng: np.random.Generator | None = None
) -> Layout:
    """Put a market in the kernels' order.

    Parameters
    ----------
    market : CompiledMarket
        With at least one pair.
    money_share : FloatArray, shape (n_agents,), or float
        ε of each agent over the smallest gap between her values, at the mean budget.
    rng : numpy.random.Generator, optional
        Draws barrier weights; without it all are 1.
    """
    pair, node, low, high = _walk(market)
    who, pair_agent = np.unique(market.agent[pair], return_inverse=True)
    n, n_nodes = len(who), len(node)
    node_agent = pair_agent[low]
    node_row = np.arange(n_nodes) + node_agent
    row_start = np.concatenate([[0], np.cumsum(np.bincount(node_agent, minlength=n) + 1)])
    budget_row = row_start[1:] - 1
    pair_start = np.concatenate([[0], np.cumsum(np.bincount(pair_agent, minlength=n))])
    n_rows, n_pairs = np.diff(row_start), np.diff(pair_start)

    def rows(of_nodes: FloatArray | IntArray, of_budgets: FloatArray | IntArray) -> FloatArray:
        out = np.empty(n_nodes + n)
        out[node_row], out[budget_row] = of_nodes, of_budgets
        return out

    row_low = rows(low, pair_start[:-1]).astype(np.int64)
    row_high = rows(high, pair_start[1:]).astype(np.int64)
    supply_row, fold, column = _priced(market)
    held = market.forced_matrix[who]
    counted = column[held.indices] < fold.shape[1]
    entries = np.concatenate([[0], np.cumsum(counted)])
    agents = Agents(
        pair_start=pair_start.astype(np.int64),
        row_start=row_start.astype(np.int64),
        column=column[market.good[pair]],
        value=market.value[pair],
        cap=market.cap[pair],
        capped=market.capped[pair],
        low=row_low,
        high=row_high,
        kind=rows(_kinds(market, node), np.full(n, UPPER)).astype(np.int64),
        lower=rows(market.lower[node], np.full(n, -np.inf)),
        upper=rows(market.upper[node], market.budget[who]),
        penalty=rows(market.penalty[node], np.full(n, np.inf)),
        table_start=np.concatenate([[0], np.cumsum(n_rows * (n_rows + n_pairs))]).astype(np.int64),
        square_start=np.concatenate([[0], np.cumsum(n_rows**2)]).astype(np.int64),
        money=(money_share * _value_gaps(market) / np.maximum(market.budget, 1.0))[who],
        pair_weight=_weights(len(pair), rng),
        row_weight=_weights(n_nodes + n, rng),
        forced_start=entries[held.indptr].astype(np.int64),
        forced_column=column[held.indices[counted]],
        forced=held.data[counted],
    )
    return Layout(agents, who, pair, node, node_row, budget_row, supply_row, fold, market.supply[supply_row])


def _walk(market: CompiledMarket) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Order the pairs so that each node's lie together, and the nodes that matter innermost first.

    Returns
    -------
    pair, node : IntArray
        Compiled indices in the new order.
    low, high : IntArray
        Slice of pairs of each node.
    """
    chain = market.chain
    length = (chain >= 0).sum(axis=1)
    depth = chain.shape[1]
    root_first = np.full(chain.shape, -1, dtype=np.int64)
    for level in range(depth):
        inside = length > level
        root_first[inside, level] = chain[inside, length[inside] - 1 - level]
    pair = np.lexsort((*root_first.T[::-1], market.agent))
    low = np.full(market.n_nodes, market.n_pairs, dtype=np.int64)
    high = np.zeros(market.n_nodes, dtype=np.int64)
    level_of = np.zeros(market.n_nodes, dtype=np.int64)
    for level, nodes in enumerate(root_first[pair].T):
        at = np.flatnonzero(nodes >= 0)
        np.minimum.at(low, nodes[at], at)
        np.maximum.at(high, nodes[at], at + 1)
        level_of[nodes[at]] = level
    node = np.flatnonzero((high > 0) & ~_implied(market))
    node = node[np.lexsort((-level_of[node], -low[node], high[node]))]
    return pair, node, low[node], high[node]


def _implied(market: CompiledMarket) -> BoolArray:
    """Find the equalities that those further in add up to: their dual would be undetermined."""
    equal = market.lower == market.upper
    implied: BoolArray = equal.copy()
    below = np.zeros(market.n_pairs, dtype=bool)
    for nodes in market.chain.T:
        inside = nodes >= 0
        np.logical_and.at(implied, nodes[inside], below[inside])
        below[inside] |= equal[nodes[inside]]
    return implied


def _priced(market: CompiledMarket) -> tuple[IntArray, sp.csr_array, IntArray]:
    """Find the supply rows that demand could exceed, and number the goods they count."""
    reach = market.rows @ np.bincount(market.good, market.cap, minlength=market.n_goods)
    scarce = (reach > 0) & (market.supply < reach)
    supply_row = np.flatnonzero(scarce if scarce.any() else reach > 0)
    rows = market.rows[supply_row]
    priced = np.zeros(market.n_goods, dtype=bool)
    priced[rows.indices] = True
    priced[np.bincount(market.good, minlength=market.n_goods) == 0] = False
    goods = np.flatnonzero(priced)
    column = np.full(market.n_goods, len(goods), dtype=np.int64)
    column[goods] = np.arange(len(goods))
    return supply_row, sp.csr_array(rows[:, goods]), column


def _kinds(market: CompiledMarket, node: IntArray) -> IntArray:
    lower, upper = market.lower[node], market.upper[node]
    kind = np.where(np.isfinite(upper), np.where(np.isfinite(lower), BOTH, UPPER), LOWER)
    kind[lower == upper] = EQUAL
    kind[np.isfinite(market.penalty[node])] = TAPER
    return kind


def _value_gaps(market: CompiledMarket) -> FloatArray:
    """Find the smallest difference between an agent's values, penalties and 0."""
    soft = np.isfinite(market.penalty)
    node_agent = np.repeat(np.arange(market.n_agents), np.diff(market.node_start))
    who = np.concatenate([market.agent, node_agent[soft], np.arange(market.n_agents)])
    number = np.concatenate([market.value, market.penalty[soft], np.zeros(market.n_agents)])
    order = np.lexsort((number, who))
    step = np.diff(number[order])
    step[(np.diff(who[order]) != 0) | (step < 1e-9)] = 1.0
    gaps = np.ones(market.n_agents)
    np.minimum.at(gaps, who[order][:-1], step)
    return np.maximum(gaps, _LEAST_GAP)


def _weights(size: int, rng: np.random.Generator | None) -> FloatArray:
    return np.ones(size) if rng is None else np.exp(rng.standard_normal(size))
