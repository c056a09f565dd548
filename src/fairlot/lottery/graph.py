r"""The graph on which a lottery is drawn: a circulation modulo D.

A node per set and one for the grand total of either side; an edge per cell from its smallest agent-side
set to its smallest good-side set; an edge per set to or from its parent; one edge that closes the grand
total. An edge carries the numerator of the cell or set modulo :math:`D`. What flows into a node is the
node's total and so is what flows out, so that modulo D it is conserved everywhere, and **no node touches
exactly one fractional edge** (:math:`0 < f < D`): a walk along fractional edges never ends but in a cycle.
Pushing along a cycle changes cells, sets and the grand total, and keeps all of this.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import IntArray
from fairlot.model.lotteries import CellSets, Lottery


@dataclass(frozen=True, eq=False)
class Circulation:
    """Edges in canonical order, which is part of what a draw means (see :mod:`fairlot.lottery.walk`).

    Parameters
    ----------
    n_nodes : int
        Number of nodes.
    tail, head : IntArray, shape (n_edges,)
        Each edge's direction.
    flow : IntArray, shape (n_edges,)
        Numerators modulo ``denominator``.
    denominator : int
        D.
    """

    n_nodes: int
    tail: IntArray
    head: IntArray
    flow: IntArray
    denominator: int

    def fractional(self) -> tuple[IntArray, Circulation]:
        """Return the positions of the fractional edges, and the graph of these alone."""
        kept = np.flatnonzero(self.flow)
        part = Circulation(self.n_nodes, self.tail[kept], self.head[kept], self.flow[kept], self.denominator)
        return kept, part


def edges(agent_sets: CellSets, good_sets: CellSets) -> tuple[int, IntArray, IntArray]:
    """Return the number of nodes, and tails and heads of the edges in canonical order."""
    top = agent_sets.n_sets + 1
    inner = np.arange(1, top)
    outer = top + np.arange(1, good_sets.n_sets + 1)
    # The top of either side is at -1 + its offset, so that a parent or leaf of -1 needs no special case.
    tail = np.concatenate([agent_sets.leaf + 1, agent_sets.parent + 1, outer, np.array([top])])
    head = np.concatenate([good_sets.leaf + 1 + top, inner, good_sets.parent + 1 + top, np.array([0])])
    return top + good_sets.n_sets + 1, tail, head


def circulation(lottery: Lottery) -> Circulation:
    """Return the graph of a lottery: cells, agent sets, good sets, the grand total."""
    d = lottery.denominator
    inner = lottery.agent_sets.totals(lottery.whole, lottery.fraction, d)
    outer = lottery.good_sets.totals(lottery.whole, lottery.fraction, d)
    of_sets = [total % d for total in inner[:-1] + outer]
    flow = np.concatenate([lottery.fraction, np.array(of_sets, dtype=np.int64)])
    return Circulation(*edges(lottery.agent_sets, lottery.good_sets), flow, d)
