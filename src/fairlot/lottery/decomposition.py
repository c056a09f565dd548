r"""A lottery written out as weighted assignments: largest steps first.

On the fractional edges of the graph (:mod:`fairlot.lottery.graph`), let R be what remains of the
numerators and ``rest`` what remains of D. A *rounding* Z of zeros and ones that is conserved like R can be
taken with any weight up to its least *room*: R where Z = 1, rest - R where Z = 0. So

    R := f, rest := D
    repeat
        Z := a rounding of largest least room; its weight is that room
        R := R - weight * Z, rest := rest - weight
    until rest = 0

needs no division, ends with weights that add up to D exactly, fixes an edge at every term, and its weights
never increase. The bottleneck problem in the middle is solved from the last Z and the last weight
:math:`\theta`, an upper bound: lower :math:`\theta` until every edge has that room on one side; flip the
edges that lack it; cancel the imbalances by blocking flows over flips that leave room :math:`\theta`; if
some cannot be cancelled, no rounding has room :math:`\theta`, and the best flip that leads out of the set of
nodes reached says what is possible at most.

References
----------
Budish, Che, Kojima, Milgrom (2013), "Designing Random Allocation Mechanisms", AER 103(2), Theorem 1.
Dinic (1970), "Algorithm for solution of a problem of maximum flow in networks with power estimation".
"""

from __future__ import annotations

from heapq import heappop, heappush
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from fairlot.lottery.graph import Circulation, circulation
from fairlot.lottery.walk import Int32Array
from fairlot.model.hierarchy import IntArray
from fairlot.model.lotteries import Decomposition, Lottery
from fairlot.progress import NullReporter, Reporter

# rest; theta; the room that flips of listed edges had; the number of active edges, now and when listed.
_REST, _THETA, _BETA, _N_ACTIVE, _N_LISTED = 0, 1, 2, 3, 4


def decompose(lottery: Lottery, *, reporter: Reporter | None = None) -> Decomposition:
    """Write a lottery out as a short list of assignments with exact weights.

    Parameters
    ----------
    lottery : Lottery
        The lottery; a draw never needs its terms.
    reporter : Reporter, optional
        Told how much of the probability is done.

    Returns
    -------
    Decomposition
        Weights in non-increasing order, at most one more than there are cells left to chance.

    Examples
    --------
    >>> from fractions import Fraction
    >>> from fairlot.lottery import lottery_from_shares
    >>> third = Fraction(1, 3)
    >>> terms = decompose(lottery_from_shares([[third, 2 * third], [2 * third, third]]))
    >>> terms.weights.tolist(), [terms.copies(t).tolist() for t in range(2)]
    ([2, 1], [[0, 1, 1, 0], [1, 0, 0, 1]])
    """
    if lottery.drawn_by == "terms" and lottery.terms is not None:
        return lottery.terms
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("decomposition")
    kept, graph = circulation(lottery).fractional()
    n_free = int(np.searchsorted(kept, lottery.n_cells))
    search = _search(graph)
    up = np.zeros(lottery.n_cells, dtype=np.uint8)
    weights, rows = [], []
    while search.numbers[_REST]:
        weight = _next_term(search)
        if weight <= 0:  # a circulation always has a rounding
            raise ArithmeticError("the lottery's graph is not conserved")
        weights.append(weight)
        up[kept[:n_free]] = search.z[:n_free]
        rows.append(np.packbits(up))
        reporter.update(fraction=1 - search.numbers[_REST] / lottery.denominator)
    return Decomposition(np.array(weights, dtype=np.int64), np.array(rows), lottery.whole)


class _Search(NamedTuple):
    """The state of the walk through roundings. The kernels change all arrays but the first two."""

    tail: Int32Array
    head: Int32Array
    remaining: IntArray  # R, of active edges
    z: npt.NDArray[np.uint8]  # the last rounding
    excess: IntArray  # by how much z exceeds, at each node, what a rounding brings in less what it takes out
    active: Int32Array  # edges that are not 0 or 1 for good come first
    start: IntArray  # of each node's half-edges in the next array, of the edges worth flipping
    half: IntArray
    numbers: IntArray  # at the positions _REST to _N_LISTED


def _search(graph: Circulation) -> _Search:
    n_edges, d = len(graph.flow), graph.denominator
    z = (graph.flow >= d - graph.flow).astype(np.uint8)
    return _Search(
        tail=graph.tail.astype(np.int32),
        head=graph.head.astype(np.int32),
        remaining=graph.flow.copy(),
        z=z,
        excess=excess_of(graph.n_nodes, graph.tail, graph.head, graph.flow, z, d),
        active=np.arange(n_edges, dtype=np.int32),
        start=np.empty(graph.n_nodes + 1, dtype=np.int64),
        half=np.empty(2 * n_edges, dtype=np.int64),
        numbers=np.array([d, d, d + 1, n_edges, n_edges], dtype=np.int64),
    )


@njit(cache=True)
def excess_of(
    n_nodes: int, tail: IntArray, head: IntArray, flow: IntArray, z: npt.NDArray[np.uint8], d: int
) -> IntArray:
    """Return by how much z exceeds, at each node, the inflow less outflow that a rounding of flow has."""
    excess = np.zeros(n_nodes, dtype=np.int64)
    part = np.zeros(n_nodes, dtype=np.int64)  # inflow less outflow of flow, less whole multiples of d
    for e in range(len(flow)):
        for v, sign in ((head[e], 1), (tail[e], -1)):
            part[v] += sign * flow[e]
            excess[v] += sign * z[e]
            if part[v] >= d:
                part[v] -= d
                excess[v] -= 1
            elif part[v] < 0:
                part[v] += d
                excess[v] += 1
    return excess


@njit(cache=True)
def _next_term(search: _Search) -> int:
    """Move z to a rounding of largest room, take it out of what remains, return its weight; 0 if stuck."""
    tail, head, remaining, z, excess = search.tail, search.head, search.remaining, search.z, search.excess
    active, numbers = search.active, search.numbers
    rest, theta, n_active = numbers[_REST], numbers[_THETA], numbers[_N_ACTIVE]
    theta = min(theta, rest)
    for i in range(n_active):
        r = remaining[active[i]]
        theta = min(theta, max(r, rest - r))
    numbers[_THETA] = theta
    if theta < numbers[_BETA] or 4 * n_active < 3 * numbers[_N_LISTED]:
        _list_arcs(max(1, theta // 2), search)
    for i in range(n_active):
        e = active[i]
        if (remaining[e] if z[e] else rest - remaining[e]) < theta:
            change = 1 if z[e] else -1  # of the excess at the tail
            excess[tail[e]] += change
            excess[head[e]] -= change
            z[e] ^= 1
    if not _balance(search):
        return 0
    weight = rest
    for i in range(n_active):
        e = active[i]
        weight = min(weight, remaining[e] if z[e] else rest - remaining[e])
    rest -= weight
    still = 0
    for i in range(n_active):
        e = active[i]
        if z[e]:
            remaining[e] -= weight
        # An edge that has become 0 or 1 for good stays until its z says so.
        if remaining[e] != (rest if z[e] else 0):
            active[still] = e
            still += 1
    numbers[_REST], numbers[_THETA], numbers[_N_ACTIVE] = rest, weight, still
    return int(weight)


@njit(cache=True)
def _list_arcs(beta: int, search: _Search) -> None:
    """List at each node the half-edges that may be flipped as long as flips must leave room beta."""
    tail, head, remaining, z, active = search.tail, search.head, search.remaining, search.z, search.active
    start, half, numbers = search.start, search.half, search.numbers
    start[:] = 0
    n_active = numbers[_N_ACTIVE]
    for i in range(n_active):
        e = active[i]
        if z[e] or remaining[e] >= beta:
            start[tail[e]] += 1
            start[head[e]] += 1
    total = 0
    for v in range(len(start)):
        total += start[v]
        start[v] = total
    for i in range(n_active - 1, -1, -1):
        e = active[i]
        if z[e] or remaining[e] >= beta:
            start[tail[e]] -= 1
            half[start[tail[e]]] = 2 * e
            start[head[e]] -= 1
            half[start[head[e]]] = 2 * e + 1
    numbers[_BETA], numbers[_N_LISTED] = beta, n_active


@njit(cache=True)
def _room(h: int, remaining: IntArray, z: npt.NDArray[np.uint8], rest: int) -> int:
    """Return the room of an edge after the flip that moves a unit along half-edge h; 0 if none does."""
    e = h >> 1
    room: int = remaining[e]
    if h & 1:
        return rest - room if z[e] else 0
    return 0 if z[e] else room


@njit(cache=True)
def _balance(search: _Search) -> bool:
    """Cancel all excesses by flips that leave room theta, lowering theta as far as it takes."""
    n_nodes = len(search.excess)
    level = np.empty(n_nodes, dtype=np.int32)
    queue = np.empty(n_nodes, dtype=np.int32)
    while True:
        n_sources = 0
        for v in range(n_nodes):
            if search.excess[v] > 0:
                queue[n_sources] = v
                n_sources += 1
        if n_sources == 0:
            return True
        while not _find_levels(n_sources, level, queue, search):
            # Flips that are not listed may lead on.
            if search.numbers[_BETA] == 1:
                return False
            _list_arcs(search.numbers[_BETA] // 2, search)
        _cancel(queue[:n_sources], level, search)


@njit(cache=True)
def _find_levels(n_sources: int, level: Int32Array, queue: Int32Array, search: _Search) -> bool:
    """Search breadth-first from the sources at the front of the queue until a sink is met.

    Where nothing reached is a sink, no rounding has room theta: theta becomes the room of the best flip
    that leads out, and the search goes on. False if that flip is not among those listed.
    """
    tail, head, remaining, z = search.tail, search.head, search.remaining, search.z
    start, half, numbers = search.start, search.half, search.numbers
    level[:] = -1
    level[queue[:n_sources]] = 0
    rest, theta = numbers[_REST], numbers[_THETA]
    out: list[tuple[int, int]] = [
        (0, 0)
    ]  # a heap of flips with less room than theta: minus the room, half-edge
    out.pop()
    done, found = 0, n_sources
    sink_level = len(level)
    while True:
        while done < found and level[queue[done]] < sink_level:
            v = queue[done]
            done += 1
            for k in range(start[v], start[v + 1]):
                h = half[k]
                room = _room(h, remaining, z, rest)
                w = tail[h >> 1] if h & 1 else head[h >> 1]
                if room <= 0 or level[w] >= 0:
                    continue
                if room < theta:
                    heappush(out, (-room, h))
                    continue
                level[w] = level[v] + 1
                queue[found] = w
                found += 1
                if search.excess[w] < 0:
                    sink_level = level[w]
        if sink_level < len(level):
            numbers[_THETA] = theta
            return True
        best = 0
        while out and best == 0:
            minus_room, h = heappop(out)
            v, w = tail[h >> 1], head[h >> 1]
            if h & 1:
                v, w = w, v
            if level[w] < 0:
                best = -minus_room
        if best < numbers[_BETA]:
            return False
        theta = best
        level[w] = level[v] + 1
        queue[found] = w
        found += 1
        if search.excess[w] < 0:
            sink_level = level[w]


@njit(cache=True)
def _cancel(sources: Int32Array, level: Int32Array, search: _Search) -> None:
    """Send excess from sources to sinks along flips from level to level, until all ways are blocked."""
    tail, head, remaining, z, excess = search.tail, search.head, search.remaining, search.z, search.excess
    start, half = search.start, search.half
    rest, theta = search.numbers[_REST], search.numbers[_THETA]
    cursor = start[:-1].copy()
    path = np.empty(len(level), dtype=np.int32)
    for s in sources:
        v, length = s, 0
        while excess[s] > 0:
            if excess[v] < 0:
                for step in range(length):
                    z[path[step] >> 1] ^= 1
                excess[s] -= 1
                excess[v] += 1
                v, length = s, 0
                continue
            h, w = -1, -1
            while cursor[v] < start[v + 1]:
                h = half[cursor[v]]
                w = tail[h >> 1] if h & 1 else head[h >> 1]
                if level[w] == level[v] + 1 and _room(h, remaining, z, rest) >= theta:
                    break
                cursor[v] += 1
            if cursor[v] < start[v + 1]:
                path[length] = h
                length += 1
                v = w
            elif length:
                length -= 1
                h = path[length]
                v = head[h >> 1] if h & 1 else tail[h >> 1]
                cursor[v] += 1
            else:
                break
