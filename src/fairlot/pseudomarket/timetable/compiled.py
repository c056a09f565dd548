"""A market with crossing rows in the form that solvers see: scaled, presolved and flat.

The form is that of :mod:`fairlot.pseudomarket.compiled`, whose equations hold word for word; only that the
nodes of an agent are plain rows, without a parent, of which a pair may be in any number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.model.rows import CLIQUE, Rows
from fairlot.pseudomarket.compiled import CompiledMarket
from fairlot.pseudomarket.timetable.kernels import disjoint_first


@dataclass(frozen=True, eq=False)
class Cut:
    """An inequality that every bundle of an agent satisfies, beyond her rows.

    Parameters
    ----------
    agent : int
        Whose.
    pairs : IntArray
        Positions among the market's acceptable pairs.
    times : IntArray
        How often each counts.
    upper : int
        The bound.
    """

    agent: int
    pairs: IntArray
    times: IntArray
    upper: int


def compile_rows(market: PseudoMarket, cuts: Sequence[Cut] = ()) -> CompiledMarket:
    """Scale and presolve a market by its rows.

    Pairs of goods without supply, pairs that nobody would take, and copies that lower bounds force on an
    agent are taken out.

    Parameters
    ----------
    market : PseudoMarket
        With a feasible assignment.
    cuts : sequence of Cut
        More rows.
    """
    rows = _with_cuts(market.rows, cuts)
    n_pairs = market.values.nnz
    member = rows.membership(n_pairs)
    membership, bounds = market.supply_sets
    closed = np.asarray(membership.T @ (bounds == 0)) > 0
    hard = np.isinf(rows.penalty)
    counted = np.asarray(member.T @ (hard & (rows.lower > 0))) > 0
    keep = ~closed[market.pair_good] & (counted | (market.base_values > 0))
    keep &= ~(np.asarray(member.T @ (rows.upper == 0)) > 0)
    cap_of = market.per_agent[market.pair_good].astype(np.float64)
    forced = np.zeros(n_pairs)
    while True:
        taken = member @ forced
        lower, upper = np.maximum(rows.lower - taken, 0.0), rows.upper - taken
        reach = member @ np.where(keep, cap_of, 0.0)
        fill = keep & (np.asarray(member.T @ (hard & (lower > 0) & (lower >= reach))) > 0)
        forced[fill] = cap_of[fill]
        shut = keep & ~fill & (np.asarray(member.T @ (hard & (rows.upper - member @ forced <= 0))) > 0)
        if not fill.any() and not shut.any():
            break
        keep &= ~(fill | shut)
    pairs = np.flatnonzero(keep)
    upper = np.where((rows.upper == UNBOUNDED) | (hard & (upper >= reach)), np.inf, upper)
    lower = np.where(hard & (lower > 0), lower, -np.inf)
    kept = np.flatnonzero((np.isfinite(upper) | np.isfinite(lower)) & (hard | (reach > upper)))
    agent, good = market.pair_agent[pairs], market.pair_good[pairs]
    base = market.base_values[pairs]
    scale = np.zeros(market.n_agents)
    np.maximum.at(scale, agent, np.abs(base))
    scale[scale == 0] = 1.0
    owner = rows.agent[kept]
    node_start = np.searchsorted(owner, np.arange(market.n_agents + 1)).astype(np.int64)
    held = sp.csr_array(member[kept][:, pairs])
    order, _ = disjoint_first(node_start, *repeated(held), len(pairs))
    kept, chain = kept[order], _chains(sp.csr_array(held[order]))
    cap = cap_of[pairs]
    counts = np.bincount(agent, minlength=market.n_agents)
    budget_scale = float(market.budgets.mean())
    given = np.bincount(market.pair_good, forced, minlength=market.n_goods)
    return CompiledMarket(
        market=market,
        pairs=pairs,
        start=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        agent=agent,
        good=good,
        value=base / scale[agent],
        cap=cap,
        capped=~_held(chain, np.where(hard[kept], upper[kept], np.inf), cap),
        node_start=node_start,
        parent=np.full(len(kept), -1, dtype=np.int64),
        chain=chain,
        lower=lower[kept],
        upper=upper[kept],
        penalty=rows.penalty[kept] / scale[owner],
        budget=market.budgets / budget_scale,
        forced=forced,
        rows=membership,
        supply=bounds - membership @ given,
        value_scale=scale,
        budget_scale=budget_scale,
    )


def incidence(compiled: CompiledMarket) -> sp.csr_array:
    """Return which node counts which pair, shape (n_nodes, n_pairs)."""
    pair, column = np.nonzero(compiled.chain >= 0)
    place = (compiled.chain[pair, column], pair)
    matrix = sp.csr_array((np.ones(len(pair)), place), shape=(compiled.n_nodes, compiled.n_pairs))
    matrix.sort_indices()
    return matrix


def repeated(member: sp.csr_array) -> tuple[IntArray, IntArray]:
    """List the pairs of each row, each as often as it counts: offsets and pairs."""
    member.sort_indices()
    times = member.data.astype(np.int64)
    ends = np.concatenate([[0], np.cumsum(times)])[member.indptr]
    return ends.astype(np.int64), np.repeat(member.indices, times).astype(np.int64)


def _chains(member: sp.csr_array) -> IntArray:
    """List the nodes of each pair, each as often as it counts it, padded with -1."""
    start, node = repeated(sp.csr_array(member.T))
    counts = np.diff(start)
    chain = np.full((len(counts), int(counts.max(initial=0))), -1, dtype=np.int64)
    pair = np.repeat(np.arange(len(counts)), counts)
    chain[pair, np.arange(len(pair)) - start[pair]] = node
    return chain


def _with_cuts(rows: Rows, cuts: Sequence[Cut]) -> Rows:
    """Add cuts to the rows of their agents; a pair counted twice is listed twice."""
    if not cuts:
        return rows
    owner = np.concatenate([rows.agent, [cut.agent for cut in cuts]]).astype(np.int64)
    order = np.argsort(owner, kind="stable")
    lists = np.split(rows.member, rows.member_start[1:-1]) if rows.n_rows else []
    lists += [np.repeat(cut.pairs, cut.times) for cut in cuts]
    lists = [lists[k] for k in order.tolist()]
    nothing = np.zeros(len(cuts), dtype=np.int64)
    return Rows(
        start=np.searchsorted(owner[order], np.arange(len(rows.start))).astype(np.int64),
        lower=np.concatenate([rows.lower, nothing])[order],
        upper=np.concatenate([rows.upper, np.array([cut.upper for cut in cuts])])[order],
        penalty=np.concatenate([rows.penalty, np.full(len(cuts), np.inf)])[order],
        source=np.concatenate([rows.source, nothing + CLIQUE])[order],
        member_start=np.concatenate([[0], np.cumsum([len(one) for one in lists])]).astype(np.int64),
        member=np.concatenate(lists).astype(np.int64),
    )


def _held(chain: IntArray, upper: FloatArray, cap: FloatArray) -> BoolArray:
    """Tell whose cap some node implies."""
    held = np.zeros(len(cap), dtype=bool)
    for column in chain.T:
        inside = column >= 0
        held[inside] |= upper[column[inside]] <= cap[inside]
    return held
