r"""Envy at equal budgets, a condition in which no price appears.

Agent i could make of agent k's expected copies whatever fits her own bounds and taste, so that her envy
is

.. math:: \max \{ \bar u_i(y) : y \le x_k, \; y \in P_i \} - \bar u_i(x_i), \qquad b_i = b_k, \; i \ne k,

and there is none where no part of :math:`x_k` meets her lower bounds. In an equilibrium nobody envies:
y is affordable to i because :math:`x_k` is to k.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.verify.demand import Trees
from fairlot.verify.merging import best_bundle


def worst_envy(
    market: PseudoMarket, trees: Trees, shares: sp.csr_array, utility: FloatArray, scale: FloatArray
) -> tuple[float, int, int]:
    """Find the largest envy between two agents of equal budgets; parameters as in :func:`envies`.

    Returns
    -------
    envy : float
        In units of ``scale``; 0 if nobody envies.
    who, whom : int
        Agents that attain it; -1 if nobody envies.
    """
    envy, whom = envies(market, trees, shares, utility, scale)
    who = int(envy.argmax())
    return (float(envy[who]), who, int(whom[who])) if envy[who] > 0 else (0.0, -1, -1)


def envies(
    market: PseudoMarket, trees: Trees, shares: sp.csr_array, utility: FloatArray, scale: FloatArray
) -> tuple[FloatArray, IntArray]:
    """Find, for every agent, whom of her own budget she envies most.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    trees : Trees
        From :func:`~fairlot.verify.demand.open_trees`.
    shares : scipy.sparse.csr_array, shape (n_agents, n_goods)
        Expected copies.
    utility, scale : FloatArray, shape (n_agents,)
        Expected utility, and the unit in which the agent's envy is told.

    Returns
    -------
    envy : FloatArray, shape (n_agents,)
        In units of ``scale``; 0 for those who envy nobody.
    whom : IntArray, shape (n_agents,)
        The agent who attains it; -1 for those who envy nobody.
    """
    agent = np.repeat(np.arange(market.n_agents), np.diff(trees.start))
    promise = sp.csc_array(
        (np.maximum(trees.value, 0.0), (agent, trees.good)), shape=(market.n_agents, market.n_goods)
    )
    _, purse = np.unique(market.budgets, return_inverse=True)
    links, slopes = trees.work
    envy, whom = _envies(
        trees.start,
        trees.good,
        trees.value,
        trees.room,
        trees.leaf,
        trees.node_start,
        trees.parent,
        trees.lower,
        trees.upper,
        trees.penalty,
        promise.indptr.astype(np.int64),
        promise.indices.astype(np.int64),
        promise.data,
        shares.indptr.astype(np.int64),
        shares.indices.astype(np.int64),
        shares.data,
        purse.ravel().astype(np.int64),
        utility,
        scale,
        market.n_goods,
        links,
        slopes,
    )
    return envy, whom


def uses(market: PseudoMarket, trees: Trees, shares: sp.csr_array, agents: IntArray) -> FloatArray:
    """Compute what some agents could make of each other's expected copies.

    Parameters
    ----------
    market, trees, shares
        As in :func:`envies`.
    agents : IntArray, shape (n,)
        Positions.

    Returns
    -------
    FloatArray, shape (n, n)
        Entry (i, k): the greatest expected utility to agent i of a part of k's copies; NaN where no part
        meets her lower bounds.
    """
    links, slopes = trees.work
    found = np.full((len(agents), len(agents)), np.nan)
    for column, k in enumerate(agents):
        held = np.zeros(market.n_goods)
        span = slice(shares.indptr[k], shares.indptr[k + 1])
        held[shares.indices[span]] = np.maximum(shares.data[span], 0.0)
        for row, i in enumerate(agents):
            own = slice(trees.start[i], trees.start[i + 1])
            nodes = slice(trees.node_start[i], trees.node_start[i + 1])
            part = np.minimum(trees.room[own], held[trees.good[own]])
            feasible, use, _ = best_bundle(
                trees.value[own],
                np.zeros(len(part)),
                part,
                trees.leaf[own],
                int(trees.node_start[i]),
                trees.parent[nodes],
                trees.lower[nodes],
                trees.upper[nodes],
                trees.penalty[nodes],
                0.0,
                0.0,
                links,
                slopes,
            )
            if feasible:
                found[row, column] = use
    return found


@njit(cache=True)
def _envies(
    start: IntArray,
    good: IntArray,
    values: FloatArray,
    room: FloatArray,
    leaf: IntArray,
    node_start: IntArray,
    parent: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    penalty: FloatArray,
    fans_start: IntArray,
    fans: IntArray,
    promise: FloatArray,
    share_start: IntArray,
    share_good: IntArray,
    share: FloatArray,
    purse: IntArray,
    utility: FloatArray,
    scale: FloatArray,
    n_goods: int,
    links: IntArray,
    slopes: FloatArray,
) -> tuple[FloatArray, IntArray]:
    n = len(purse)
    held = np.zeros(n_goods)
    bound = np.zeros(n)
    widest = 0
    for i in range(n):
        widest = max(widest, start[i + 1] - start[i])
    free = np.zeros(widest)
    part = np.zeros(widest)
    worst = np.zeros(n)
    whom = np.full(n, -1, dtype=np.int64)
    for k in range(n):
        bound[:] = 0.0
        for s in range(share_start[k], share_start[k + 1]):
            j, x = share_good[s], max(share[s], 0.0)
            held[j] = x
            for f in range(fans_start[j], fans_start[j + 1]):
                bound[fans[f]] += promise[f] * x
        for i in range(n):
            # What the copies would be worth without bounds is an upper bound on their use.
            if i == k or purse[i] != purse[k] or (bound[i] - utility[i]) <= worst[i] * scale[i]:
                continue
            own = slice(start[i], start[i + 1])
            nodes = slice(node_start[i], node_start[i + 1])
            size = start[i + 1] - start[i]
            for t in range(size):
                part[t] = min(room[start[i] + t], held[good[start[i] + t]])
            feasible, use, _ = best_bundle(
                values[own],
                free[:size],
                part[:size],
                leaf[own],
                node_start[i],
                parent[nodes],
                lower[nodes],
                upper[nodes],
                penalty[nodes],
                0.0,
                0.0,
                links,
                slopes,
            )
            if feasible and use - utility[i] > worst[i] * scale[i]:
                worst[i], whom[i] = (use - utility[i]) / scale[i], k
        for s in range(share_start[k], share_start[k + 1]):
            held[share_good[s]] = 0.0
    return worst, whom
