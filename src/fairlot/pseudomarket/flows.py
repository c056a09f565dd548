r"""Whether an assignment respects all bounds, as a flow.

Copies flow from a source through the agents' trees to goods, through the limits that hold them, to a sink;
every node and every supply row is an edge with its bounds. Bounds and trees are laminar on either side, so
that integers suffice. A flow of at least l on an edge u → v is what must leave u and arrive at v anyway: l
more units come to v from a second source, l go from u to a second sink, and the sink is joined to the source.
A flow within the bounds exists exactly if one of maximum value fills all that (Hoffman 1960).
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.sparse.csgraph import maximum_flow

from fairlot.model.hierarchy import BoolArray, Forest, IntArray, laminar_forest
from fairlot.model.market import PseudoMarket

_MOST_UNITS = 2**30


def flow_exists(market: PseudoMarket, needy: BoolArray) -> bool:
    """Say whether the lower bounds of some agents can all be met.

    Parameters
    ----------
    market : PseudoMarket
        With laminar quotas, and agents whose own bounds are consistent.
    needy : BoolArray, shape (n_agents,)
        Those with lower bounds.

    Returns
    -------
    bool
        False also if there are too many copies for the flow's 32-bit integers.
    """
    families = market.families
    forest = laminar_forest([goods for goods, _ in market.limit_sets], market.n_goods)
    if not isinstance(forest, Forest):
        raise TypeError("limits of a market are laminar")
    source, sink, root, last = range(4)
    of_node = 4 + np.arange(families.n_nodes)
    of_good = 4 + families.n_nodes + np.arange(market.n_goods)
    of_limit = 4 + families.n_nodes + market.n_goods + np.arange(len(forest.order))
    n = 4 + families.n_nodes + market.n_goods + len(forest.order)
    pairs = np.flatnonzero(needy[market.pair_agent] & (families.leaf >= 0))
    nodes = np.flatnonzero(needy[families.agent])
    hard = np.isinf(families.penalty[nodes])
    parent = families.parent[nodes]
    lower = np.where(hard, families.lower[nodes], 0)
    total = int(lower.sum())
    if total > _MOST_UNITS or market.capacities.max() > _MOST_UNITS:
        return False
    limit_bounds = np.array([bound for _, bound in market.limit_sets], dtype=np.int64)[forest.order]
    edges = [
        (
            of_node[families.leaf[pairs]],
            of_good[market.pair_good[pairs]],
            market.per_agent[market.pair_good[pairs]],
        ),
        (
            np.where(parent >= 0, of_node[parent], root),
            of_node[nodes],
            np.where(hard, families.upper[nodes], _MOST_UNITS) - lower,
        ),
        (of_good, _inner(forest.leaf, of_limit, last), market.capacities),
        (of_limit, _inner(forest.parent, of_limit, last), limit_bounds),
        (np.array([last]), np.array([root]), np.array([_MOST_UNITS])),
    ]
    extra = np.zeros(n, dtype=np.int64)
    np.add.at(extra, of_node[nodes], lower)
    np.add.at(extra, np.where(parent >= 0, of_node[parent], root), -lower)
    gets, gives = np.flatnonzero(extra > 0), np.flatnonzero(extra < 0)
    edges += [
        (np.full(len(gets), source), gets, extra[gets]),
        (gives, np.full(len(gives), sink), -extra[gives]),
    ]
    tail, head, room = (np.concatenate(part) for part in zip(*edges, strict=True))
    room = np.minimum(room, _MOST_UNITS).astype(np.int32)
    graph = sp.csr_array((room, (tail, head)), shape=(n, n))
    return bool(maximum_flow(sp.csr_matrix(graph), source, sink).flow_value == extra[gets].sum())


def _inner(place: IntArray, of_limit: IntArray, last: int) -> IntArray:
    """Node of the limit that comes next; the last node where there is none."""
    return np.append(of_limit, last)[place]
