r"""One draw of a lottery in blocks of agents, each on a worker of its own, finished by one.

Agents in the lottery's order are cut into *blocks* of a fixed number, so that a draw does not depend on who
does which. A block's edges are those of its agents' cells, and those from a parent to a set all of whose
cells are its agents'. In every block, and then in what is left of the whole graph, cycles are walked:

    block b   the walk of :mod:`fairlot.lottery.walk` over the block's fractional edges alone, with bits from
              SHA-256(seed, "block", b as 8 bytes big-endian). If the last node of a path has no other edge,
              its last edge leaves all adjacencies and keeps its flow, and the path ends where it began.
    the rest  the walk itself, over all edges that are still fractional, with bits from the seed.

Every step pushes along a cycle of the whole graph and is fair: all that holds of the walk holds here.

*What a block leaves open.* Its walk ends when its fractional edges hold no cycle. Call the nodes of good
sets, the two tops and agent sets that reach beyond the block *outer*; S touch open edges. An inner node
touches no edge outside the block and is conserved modulo D: it never touches a single open edge, so that no
leaf of the forest is inner. Contract every connected group of inner nodes, c of them, with :math:`d_k \ge 2`
edges to outer nodes each. A forest on S + c nodes has fewer edges than nodes:
:math:`\sum_k (d_k - 1) \le S - 1`. Hence at most S - 1 groups (agents) and 2 (S - 1) of their cells are open,
however large the block: for agents with sets of their own, at most one open agent for every good set.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.graph import Circulation, circulation
from fairlot.lottery.walk import OUT_OF_BITS, check_seed, random_bytes, walk, walk_part, workspace
from fairlot.model.hierarchy import IntArray
from fairlot.model.lotteries import Assignment, CellSets, Lottery
from fairlot.parallel import Engine, pmap

BLOCK = 4096
"""Agents in a block."""


@dataclass(frozen=True, eq=False)
class _Block:
    """A block's fractional edges between nodes counted anew, in their order, and the block's own seed."""

    edges: IntArray
    tail: IntArray
    head: IntArray
    flow: IntArray
    denominator: int
    n_nodes: int
    seed: bytes


def draw_in_blocks(
    lottery: Lottery,
    seed: bytes,
    *,
    block: int = BLOCK,
    engine: Engine = "joblib",
    n_jobs: int | None = 1,
) -> Assignment:
    """Draw the assignment that the seed decides, in blocks.

    Another procedure than :func:`~fairlot.lottery.walk.draw_walk`, so that the same seed gives another
    assignment; the expectations, and what every realisation keeps, are the same.

    Parameters
    ----------
    lottery : Lottery
        What is drawn from.
    seed : bytes
        32 bytes.
    block : int
        Agents in a block, at least 1; part of what the draw means.
    engine, n_jobs
        Who walks, see :func:`~fairlot.parallel.pmap`; the assignment does not depend on it.

    Examples
    --------
    >>> from fairlot.lottery import lottery_from_shares
    >>> lottery = lottery_from_shares([[0.5, 0.5], [0.5, 0.5]])
    >>> draw_in_blocks(lottery, bytes(32), block=1).matrix.toarray().sum(axis=0).tolist()
    [1, 1]
    """
    if lottery.drawn_by != "walk":
        raise InvalidProblemError([Issue("lottery", found="drawn by terms", expected="drawn by a walk")])
    if block < 1:
        raise InvalidProblemError([Issue("agents in a block", found=str(block), expected="at least 1")])
    check_seed(seed)
    kept, graph = circulation(lottery).fractional()
    blocks = _cut(graph, block_of_edges(lottery, block)[kept], seed)
    flow = graph.flow.copy()
    for part, left in zip(blocks, pmap(_walk_block, blocks, engine=engine, n_jobs=n_jobs), strict=True):
        flow[part.edges] = left
    open_edges = np.flatnonzero((flow > 0) & (flow < graph.denominator))
    rest = Circulation(
        graph.n_nodes,
        graph.tail[open_edges],
        graph.head[open_edges],
        flow[open_edges],
        graph.denominator,
    )
    flow[open_edges] = np.where(walk(rest, seed), graph.denominator, 0)
    copies = lottery.whole.copy()
    n_fractional = int(np.searchsorted(kept, lottery.n_cells))
    copies[kept[:n_fractional]] += flow[:n_fractional] == graph.denominator
    return lottery.assignment(copies)


def block_of_edges(lottery: Lottery, block: int) -> IntArray:
    """Return the block of every edge of a lottery's graph; -1 for edges of no block, shape (n_edges,)."""
    of_cell = np.asarray(lottery.cell_agent, dtype=np.int64) // block
    of_set = _block_of_sets(lottery.agent_sets, of_cell)
    beyond = np.full(lottery.good_sets.n_sets + 1, -1)
    return np.concatenate([of_cell, of_set, beyond])


def _block_of_sets(sets: CellSets, of_cell: IntArray) -> IntArray:
    """Return the one block of the cells in each set; -1 where there are several, or none."""
    least = np.full(sets.n_sets + 1, np.iinfo(np.int64).max)
    most = np.full(sets.n_sets + 1, -1, dtype=np.int64)
    np.minimum.at(least, sets.leaf, of_cell)  # position -1, the top, is the last
    np.maximum.at(most, sets.leaf, of_cell)
    for k in range(sets.n_sets - 1, -1, -1):  # parents come first
        up = sets.parent[k]
        least[up], most[up] = min(least[up], least[k]), max(most[up], most[k])
    return np.where(least == most, most, -1)[: sets.n_sets]


def _cut(graph: Circulation, of_edge: IntArray, seed: bytes) -> list[_Block]:
    order = np.argsort(of_edge, kind="stable")
    numbers, starts = np.unique(of_edge[order], return_index=True)
    blocks = []
    for number, edges in zip(numbers.tolist(), np.split(order, starts[1:]), strict=True):
        if number < 0:
            continue
        nodes, ends = np.unique(np.concatenate([graph.tail[edges], graph.head[edges]]), return_inverse=True)
        own = hashlib.sha256(seed + b"block" + number.to_bytes(8, "big")).digest()
        tail, head = ends.ravel()[: len(edges)], ends.ravel()[len(edges) :]
        blocks.append(_Block(edges, tail, head, graph.flow[edges], graph.denominator, len(nodes), own))
    return blocks


def _walk_block(block: _Block) -> npt.NDArray[np.int64]:
    """Walk the cycles of a block; return the flows that are left."""
    n_edges = len(block.flow)
    amount = 4 + n_edges // 64
    while True:
        flow = block.flow.copy()
        random = np.frombuffer(random_bytes(block.seed, amount), dtype=np.uint8)
        edges = np.arange(n_edges, dtype=np.int32)
        work = workspace(block.n_nodes, n_edges)
        if walk_part(edges, block.tail, block.head, flow, block.denominator, random, 0, work) != OUT_OF_BITS:
            return flow
        amount *= 2
