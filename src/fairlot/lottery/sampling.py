r"""Many draws at once, for studies: the same walk over cycles in an order that keeps cycles short.

On dense supports, cycles of the walk in canonical order grow with the number of nodes. There, the good-side
sets that hold cells are blocks: the walk first removes all cycles within pairs of blocks, then within pairs
of pairs, and so on, and at last on what is left of the whole graph with its sets. Each stage leaves a forest
of the part it walked on, so that a merged pair has few fractional edges and short cycles. On sparse supports
cycles are short anyway, and only the last stage is done. Expectations and roundings are exact in any order;
only the binding draw (:mod:`fairlot.lottery.walk`) fixes one.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt
from numba import njit

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.graph import circulation
from fairlot.lottery.pick import sample_terms
from fairlot.lottery.walk import OUT_OF_BITS, Int32Array, Workspace, random_bytes, walk_part, workspace
from fairlot.model.hierarchy import IntArray
from fairlot.model.lotteries import Lottery

MERGE_FROM = 100
"""Cells left to chance per node from which merging pays; below, the whole graph is walked at once."""


def sample(lottery: Lottery, n: int, seed: int) -> Int32Array:
    """Draw many assignments, independent of each other and of any binding draw.

    Parameters
    ----------
    lottery : Lottery
        What is drawn from.
    n : int
        Number of draws.
    seed : int
        The same seed gives the same draws; more draws continue fewer.

    Returns
    -------
    int32 array, shape (n, n_cells)
        Copies of each cell in each draw; ``lottery.assignment`` turns a row into an assignment.

    Examples
    --------
    >>> from fairlot.lottery import lottery_from_shares
    >>> sample(lottery_from_shares([[0.5, 0.5], [0.5, 0.5]]), 3, seed=1).tolist()
    [[1, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0]]
    """
    if n < 0:
        raise InvalidProblemError([Issue("n", found=str(n), expected="a number of draws, at least 0")])
    if lottery.drawn_by == "terms":
        return sample_terms(lottery, n, seed)
    kept, graph = circulation(lottery).fractional()
    n_free = int(np.searchsorted(kept, lottery.n_cells))
    # Cells by block, so that what is walked on together lies together in memory.
    block = lottery.good_sets.leaf[kept[:n_free]]
    order = np.arange(len(kept))
    order[:n_free] = np.argsort(block, kind="stable")
    stops = np.append(np.flatnonzero(np.diff(block[order[:n_free]], prepend=-2)), n_free)
    if n_free < MERGE_FROM * graph.n_nodes:
        stops = stops[[0, -1]]
    tail, head, d = graph.tail[order], graph.head[order], graph.denominator
    free = kept[order[:n_free]]
    copies = np.tile(lottery.whole.astype(np.int32), (n, 1))
    work = workspace(graph.n_nodes, len(order))
    blocks_of_bits = 4 + len(order) // 64
    for k in range(n):
        own = hashlib.sha256(f"fairlot-sample {seed} {k}".encode()).digest()
        at = OUT_OF_BITS
        while at == OUT_OF_BITS:
            flow = graph.flow[order]
            random = np.frombuffer(random_bytes(own, blocks_of_bits), dtype=np.uint8)
            at = _merged_walk(n_free, stops, tail, head, flow, d, random, work)
            if at == OUT_OF_BITS:
                work = workspace(graph.n_nodes, len(order))
                blocks_of_bits *= 2
        copies[k, free] += flow[:n_free] == d
    return copies


@njit(cache=True)
def _merged_walk(
    n_cells: int,
    stops: IntArray,
    tail: IntArray,
    head: IntArray,
    flow: IntArray,
    d: int,
    random: npt.NDArray[np.uint8],
    work: Workspace,
) -> int:
    """Round ``flow`` to 0 and d; cells come first, and those of block k are stops[k] to stops[k + 1]."""
    left = np.arange(n_cells).astype(np.int32)
    ends = stops.copy()
    at = 0
    n_blocks = len(ends) - 1
    while n_blocks > 1:
        kept = 0
        merged = 0
        for first in range(0, n_blocks, 2):
            begin, stop = ends[first], ends[min(first + 2, n_blocks)]
            at = walk_part(left[begin:stop], tail, head, flow, d, random, at, work)
            if at == OUT_OF_BITS:
                return OUT_OF_BITS
            ends[merged] = kept
            merged += 1
            for k in range(begin, stop):
                e = left[k]
                if 0 < flow[e] < d:
                    left[kept] = e
                    kept += 1
        ends[merged] = kept
        n_blocks = merged
    rest = np.array([e for e in range(len(flow)) if 0 < flow[e] < d], dtype=np.int32)
    return walk_part(rest, tail, head, flow, d, random, at, work)
