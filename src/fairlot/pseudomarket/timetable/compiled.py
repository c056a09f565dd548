"""A market with crossing rows in the form that solvers see: scaled, presolved and flat.

The form is that of :mod:`fairlot.pseudomarket.compiled`, whose equations hold word for word; only that the
nodes of an agent are plain rows, without a parent, of which a pair may be in any number.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket
from fairlot.pseudomarket.timetable.kernels import disjoint_first


def compile_rows(market: PseudoMarket) -> CompiledMarket:
    """Scale and presolve a market by its rows.

    Pairs of goods without supply, pairs that nobody would take, and copies that lower bounds force on an
    agent are taken out.

    Parameters
    ----------
    market : PseudoMarket
        With a feasible assignment.
    """
    rows = market.rows
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
    order, _ = disjoint_first(
        node_start, held.indptr.astype(np.int64), held.indices.astype(np.int64), len(pairs)
    )
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


def _chains(member: sp.csr_array) -> IntArray:
    """List the nodes of each pair, padded with -1."""
    by_pair = sp.csc_array(member)
    by_pair.sort_indices()
    counts = np.diff(by_pair.indptr)
    chain = np.full((member.shape[1], int(counts.max(initial=0))), -1, dtype=np.int64)
    pair = np.repeat(np.arange(member.shape[1]), counts)
    chain[pair, np.arange(len(pair)) - by_pair.indptr[pair]] = by_pair.indices
    return chain


def _held(chain: IntArray, upper: FloatArray, cap: FloatArray) -> BoolArray:
    """Tell whose cap some node implies."""
    held = np.zeros(len(cap), dtype=bool)
    for column in chain.T:
        inside = column >= 0
        held[inside] |= upper[column[inside]] <= cap[inside]
    return held
