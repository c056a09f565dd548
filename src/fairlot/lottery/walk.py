r"""One draw from a lottery by a walk over cycles: the binding procedure.

The graph (:mod:`fairlot.lottery.graph`) has nodes, with A agent sets and G good sets in file order,

    0           the grand total, on the agents' side
    1 .. A      agent sets
    A+1         the grand total, on the goods' side
    A+2 .. A+G+1  good sets

and edges, in this order:

    cells       in file order, from the cell's agent set (node 0 for -1) to its good set (node A+1 for -1)
    agent sets  in file order, from the parent to the set
    good sets   in file order, from the set to the parent
    the total   from node A+1 to node 0

An edge carries f, its numerator modulo D; the total of a set is the sum of the cells in it. Edges with
0 < f < D are fractional, the others play no part. The adjacency of a node is its fractional edges, those
that leave it and those that enter it, in edge order.

    for each node s in order, while s has a fractional edge:
        path := s
        repeat
            extend the path by the first edge of its last node's adjacency that is not the path's last edge
            if the node reached is on the path: the path from there on is a cycle C, walked in this direction
                a := least of D - f over edges that C walks from tail to head, and f over the others
                b := least of f over edges that C walks from tail to head, and D - f over the others
                with probability b / (a + b): d := a, otherwise d := -b
                f := f + d on edges that C walks from tail to head, f - d on the others
                edges with f = 0 or f = D leave all adjacencies
                the path ends where the first of these edges, in the order of C, began
        until the path is s alone and s has no fractional edge

A cell is rounded up where it ends with f = D. E[d] = 0, so every cell keeps its expectation; each cycle
removes an edge at least, so there are at most as many as there are fractional edges.

Random bits: SHA-256 of the seed (32 bytes) followed by a counter (8 bytes, big-endian, from 0), most
significant bit first. An event of probability b / s, 0 < b < s: compare bits with the binary digits of b / s,

    r := b
    repeat
        r := 2 r;  digit := 1 if r >= s, else 0;  r := r - digit * s
        take the next bit;  bit < digit: true;  bit > digit: false;  r = 0: false

References
----------
Budish, Che, Kojima, Milgrom (2013), "Designing Random Allocation Mechanisms", AER 103(2), Theorem 1.
"""

from __future__ import annotations

import hashlib
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.graph import Circulation, circulation
from fairlot.model.hierarchy import IntArray
from fairlot.model.lotteries import Assignment, Lottery

SEED_BYTES = 32
BLOCK_BYTES = 32  # of SHA-256
OUT_OF_BITS = -1

Int32Array = npt.NDArray[np.int32]


def draw_walk(lottery: Lottery, seed: bytes) -> Assignment:
    """Draw the assignment that the seed decides.

    The same lottery and seed give the same assignment wherever this specification is followed.

    Parameters
    ----------
    lottery : Lottery
        What is drawn from.
    seed : bytes
        32 bytes. For a draw that others shall trust, derived from a commitment and public randomness.

    Returns
    -------
    Assignment
        Every cell, every set and the grand total at the floor or the ceiling of its expectation.

    Examples
    --------
    >>> from fairlot.lottery import lottery_from_shares
    >>> lottery = lottery_from_shares([[0.5, 0.5], [0.5, 0.5]])
    >>> draw_walk(lottery, bytes(32)).matrix.toarray().tolist()
    [[1, 0], [0, 1]]
    """
    if lottery.drawn_by != "walk":
        raise InvalidProblemError([Issue("lottery", found="drawn by terms", expected="drawn by a walk")])
    check_seed(seed)
    kept, graph = circulation(lottery).fractional()
    copies = lottery.whole.copy()
    up = walk(graph, seed)
    n_fractional = int(np.searchsorted(kept, lottery.n_cells))
    copies[kept[:n_fractional]] += up[:n_fractional]
    return lottery.assignment(copies)


def walk(graph: Circulation, seed: bytes) -> npt.NDArray[np.bool_]:
    """Walk over cycles until no edge is fractional; say which edges ended at D."""
    n_edges, d = len(graph.flow), graph.denominator
    blocks = 4 + n_edges // 64  # four bits an edge; an event takes two on average
    while True:
        flow = graph.flow.copy()
        random = np.frombuffer(random_bytes(seed, blocks), dtype=np.uint8)
        edges = np.arange(n_edges, dtype=np.int32)
        work = workspace(graph.n_nodes, n_edges)
        if walk_part(edges, graph.tail, graph.head, flow, d, random, 0, work) != OUT_OF_BITS:
            return np.asarray(flow == d)
        blocks *= 2


def check_seed(seed: bytes) -> None:
    """Refuse a seed of any other form than 32 bytes."""
    if not isinstance(seed, bytes) or len(seed) != SEED_BYTES:
        found = f"{len(seed)} bytes" if isinstance(seed, bytes) else type(seed).__name__
        raise InvalidProblemError([Issue("seed", found=found, expected=f"{SEED_BYTES} bytes")])


def random_bytes(seed: bytes, blocks: int) -> bytes:
    """Return the first blocks of 32 random bytes that a seed stands for."""
    return b"".join(hashlib.sha256(seed + k.to_bytes(8, "big")).digest() for k in range(blocks))


@njit(cache=True)
def happens(b: int, s: int, random: npt.NDArray[np.uint8], at: int) -> tuple[bool, int]:
    """Decide an event of probability b / s by the bits from position ``at``; say where the next bit is."""
    remainder = b
    while at < 8 * len(random):
        remainder *= 2
        digit = remainder >= s
        if digit:
            remainder -= s
        bit = (random[at >> 3] >> (7 - (at & 7))) & 1 == 1
        at += 1
        if bit != digit:
            return digit, at
        if remainder == 0:
            return False, at
    return False, OUT_OF_BITS


class Workspace(NamedTuple):
    """Arrays of a walk, all but ``live`` and those about arcs by node. Between walks, ``degree`` is 0.

    Half-edge 2 e leaves the tail of edge e, half-edge 2 e + 1 its head.
    """

    degree: Int32Array
    start: Int32Array  # of the node's half-edges in the next two
    half: Int32Array
    to: Int32Array  # the node that the half-edge leads to
    near: Int32Array  # first half-edge and its other end, second half-edge and its other end; -1 if none
    after: Int32Array  # where to look for the half-edge that follows the second
    place: Int32Array  # position on the path, -1 if not on it
    nodes: Int32Array  # of the path
    steps: Int32Array  # half-edge by which the path leaves each of its nodes
    along: IntArray  # flow of that edge in the direction of the path
    live: npt.NDArray[np.bool_]  # whether an edge may still be walked on


def workspace(n_nodes: int, n_edges: int) -> Workspace:
    """Allocate the arrays of a walk."""
    by_node = (np.zeros(n_nodes + 1, dtype=np.int32) for _ in range(5))
    degree, start, after, nodes, steps = by_node
    half, to = np.empty(2 * n_edges, dtype=np.int32), np.empty(2 * n_edges, dtype=np.int32)
    near = np.empty((n_nodes, 4), dtype=np.int32)
    place = np.full(n_nodes, -1, dtype=np.int32)
    along = np.empty(n_nodes + 1, dtype=np.int64)
    return Workspace(
        degree, start, half, to, near, after, place, nodes, steps, along, np.zeros(n_edges, dtype=np.bool_)
    )


@njit(cache=True)
def _list_arcs(edges: Int32Array, tail: IntArray, head: IntArray, work: Workspace) -> Int32Array:
    """Make the adjacency of the edges listed, in their order; return the nodes they touch, ascending."""
    n_touched = 0
    for e in edges:
        work.live[e] = True
        for v in (tail[e], head[e]):
            if work.degree[v] == 0:
                work.nodes[n_touched] = v
                n_touched += 1
            work.degree[v] += 1
    touched = np.sort(work.nodes[:n_touched])
    total = 0
    for v in touched:
        work.start[v] = total
        work.after[v] = total
        total += work.degree[v]
        work.near[v] = -1
    for e in edges:
        for h, v, w in ((2 * e, tail[e], head[e]), (2 * e + 1, head[e], tail[e])):
            k = work.after[v]
            work.half[k], work.to[k] = h, w
            work.after[v] = k + 1
    for v in touched:
        k = work.start[v]
        for column in range(min(work.degree[v], 2)):
            work.near[v, 2 * column], work.near[v, 2 * column + 1] = work.half[k], work.to[k]
            k += 1
        work.after[v] = k
    return touched


@njit(cache=True)
def walk_part(
    edges: Int32Array,
    tail: IntArray,
    head: IntArray,
    flow: IntArray,
    d: int,
    random: npt.NDArray[np.uint8],
    at: int,
    work: Workspace,
) -> int:
    """Walk until the edges listed, fractional ones, contain no cycle; say where the next bit is.

    ``flow`` changes in place. Flows of edges on the path live in ``along`` and are written back when the
    path lets go of them. In a part of a graph a path can reach a dead end: the edge that led there is on
    no cycle of the part, and keeps its flow.
    """
    touched = _list_arcs(edges, tail, head, work)
    near, place, nodes, steps, along = work.near, work.place, work.nodes, work.steps, work.along
    for s in touched:
        nodes[0] = s
        place[s] = 0
        length = 0
        v = s
        entered_by = -1
        while length > 0 or near[s, 0] >= 0:
            h, w = near[v, 0], near[v, 1]
            if h >> 1 == entered_by:
                h, w = near[v, 2], near[v, 3]
            if h < 0:
                length -= 1
                h = steps[length]
                flow[h >> 1] = d - along[length] if h & 1 else along[length]
                place[v] = -1
                _drop(h >> 1, tail, head, work)
                v = nodes[length]
                entered_by = steps[length - 1] >> 1 if length > 0 else -1
                continue
            entered_by = h >> 1
            steps[length] = h
            along[length] = d - flow[h >> 1] if h & 1 else flow[h >> 1]
            length += 1
            begin = place[w]
            if begin < 0:
                nodes[length] = w
                place[w] = length
                v = w
                continue
            b = d
            most = 0
            for step in range(begin, length):
                b = min(b, along[step])
                most = max(most, along[step])
            forward, at = happens(b, d - most + b, random, at)
            if at == OUT_OF_BITS:
                return OUT_OF_BITS
            change = d - most if forward else -b
            end = d if forward else 0
            for step in range(begin, length):
                along[step] += change
            cut = begin
            while along[cut] != end:
                cut += 1
            for step in range(cut, length):
                h = steps[step]
                flow[h >> 1] = d - along[step] if h & 1 else along[step]
                place[nodes[step]] = -1
                if along[step] == end:
                    _drop(h >> 1, tail, head, work)
            length = cut
            v = nodes[cut]
            place[v] = cut
            entered_by = steps[cut - 1] >> 1 if cut > 0 else -1
        place[s] = -1
    work.degree[touched] = 0
    return at


@njit(cache=True)
def _drop(e: int, tail: IntArray, head: IntArray, work: Workspace) -> None:
    """Take an edge out of the adjacency."""
    near = work.near
    work.live[e] = False
    for v in (tail[e], head[e]):
        if near[v, 0] >> 1 == e:
            near[v, 0], near[v, 1] = near[v, 2], near[v, 3]
        elif near[v, 2] < 0 or near[v, 2] >> 1 != e:
            continue
        k, stop = work.after[v], work.start[v] + work.degree[v]
        while k < stop and not work.live[work.half[k] >> 1]:
            k += 1
        near[v, 2] = work.half[k] if k < stop else -1
        near[v, 3] = work.to[k] if k < stop else -1
        work.after[v] = k + 1
