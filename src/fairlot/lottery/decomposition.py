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

import numpy as np
import numpy.typing as npt
from numba import njit

from fairlot.lottery.graph import circulation
from fairlot.model.hierarchy import IntArray
from fairlot.model.lotteries import Decomposition, Lottery
from fairlot.progress import NullReporter, Reporter

# What a search keeps between terms, in one array so that kernels can change it.
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
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("decomposition")
    kept, graph = circulation(lottery).fractional()
    n_free = int(np.searchsorted(kept, lottery.n_cells))
    search = _Search(graph.n_nodes, graph.tail, graph.head, graph.flow, graph.denominator)
    up = np.zeros(lottery.n_cells, dtype=np.uint8)
    weights, rows = [], []
    while search.rest:
        weights.append(search.next_term())
        up[kept[:n_free]] = search.rounding[:n_free]
        rows.append(np.packbits(up))
        reporter.update(fraction=1 - search.rest / lottery.denominator)
    return Decomposition(np.array(weights, dtype=np.int64), np.array(rows), lottery.whole)


class _Search:
    """The state of the greedy walk through roundings; the kernels below change its arrays."""

    def __init__(self, n_nodes: int, tail: IntArray, head: IntArray, flow: IntArray, d: int) -> None:
        n_edges = len(flow)
        self._tail, self._head = tail.astype(np.int32), head.astype(np.int32)
        self._remaining = flow.copy()
        self.rounding = (flow >= d - flow).astype(np.uint8)
        self._excess = _excess(n_nodes, tail, head, flow, self.rounding, d)
        self._active = np.arange(n_edges, dtype=np.int32)
        self._lists = np.empty(n_nodes + 1, dtype=np.int64), np.empty(2 * n_edges, dtype=np.int32)
        self._state = np.array([d, d, d + 1, n_edges, n_edges], dtype=np.int64)

    @property
    def rest(self) -> int:
        """What remains of D."""
        return int(self._state[_REST])

    def next_term(self) -> int:
        """Move ``rounding`` to one of largest room, take it out of what remains, return its weight."""
        weight: int = _next_term(
            self._tail,
            self._head,
            self._remaining,
            self.rounding,
            self._excess,
            self._active,
            *self._lists,
            self._state,
        )
        if weight <= 0:  # a circulation always has a rounding
            raise ArithmeticError("the lottery's graph is not conserved")
        return weight


@njit(cache=True)
def _excess(
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
def _next_term(tail, head, remaining, z, excess, active, start, half, state):  # type: ignore[no-untyped-def]
    rest, theta, n_active = state[_REST], state[_THETA], state[_N_ACTIVE]
    theta = min(theta, rest)
    for i in range(n_active):
        r = remaining[active[i]]
        theta = min(theta, max(r, rest - r))
    state[_THETA] = theta
    if theta < state[_BETA] or 4 * n_active < 3 * state[_N_LISTED]:
        _list_arcs(max(1, theta // 2), tail, head, remaining, z, active, start, half, state)
    for i in range(n_active):
        e = active[i]
        if (remaining[e] if z[e] else rest - remaining[e]) < theta:
            change = 1 if z[e] else -1  # of the excess at the tail
            excess[tail[e]] += change
            excess[head[e]] -= change
            z[e] ^= 1
    if not _balance(tail, head, remaining, z, excess, active, start, half, state):
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
    state[_REST], state[_THETA], state[_N_ACTIVE] = rest, weight, still
    return weight


@njit(cache=True)
def _list_arcs(beta, tail, head, remaining, z, active, start, half, state):  # type: ignore[no-untyped-def]
    """List at each node the half-edges that may be flipped as long as flips must leave room beta."""
    start[:] = 0
    n_active = state[_N_ACTIVE]
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
    state[_BETA], state[_N_LISTED] = beta, n_active


@njit(cache=True)
def _room(h, remaining, z, rest):  # type: ignore[no-untyped-def]
    """Return the room of an edge after the flip that moves a unit along half-edge h; 0 if none does."""
    e = h >> 1
    if h & 1:
        return rest - remaining[e] if z[e] else 0
    return 0 if z[e] else remaining[e]


@njit(cache=True)
def _balance(tail, head, remaining, z, excess, active, start, half, state):  # type: ignore[no-untyped-def]
    """Cancel all excesses by flips that leave room theta, lowering theta as far as it takes."""
    n_nodes = len(excess)
    rest, theta = state[_REST], state[_THETA]
    level = np.empty(n_nodes, dtype=np.int32)
    cursor = np.empty(n_nodes, dtype=np.int64)
    queue = np.empty(n_nodes, dtype=np.int32)
    path = np.empty(n_nodes, dtype=np.int32)
    while True:
        # Levels by breadth-first search from all sources, until a sink is met.
        level[:] = -1
        found = 0
        for v in range(n_nodes):
            if excess[v] > 0:
                queue[found] = v
                found += 1
                level[v] = 0
        if found == 0:
            return True
        n_sources = found
        sink_level = n_nodes
        frontier = [(0, np.int64(0))]  # (minus the room, half-edge) of flips that leave less than theta
        frontier.pop()
        done = 0
        while sink_level == n_nodes:
            while done < found:
                v = queue[done]
                if level[v] >= sink_level:
                    break
                done += 1
                for k in range(start[v], start[v + 1]):
                    h = half[k]
                    room = _room(h, remaining, z, rest)
                    if room <= 0:
                        continue
                    w = tail[h >> 1] if h & 1 else head[h >> 1]
                    if level[w] >= 0:
                        continue
                    if room < theta:
                        heappush(frontier, (-room, np.int64(h)))
                        continue
                    level[w] = level[v] + 1
                    queue[found] = w
                    found += 1
                    if excess[w] < 0:
                        sink_level = level[w]
            if sink_level < n_nodes:
                break
            # Nothing reached can be cancelled: lower theta to the best flip that leads out.
            room, h, w = 0, np.int64(0), 0
            while frontier:
                room, h = heappop(frontier)
                w = tail[h >> 1] if h & 1 else head[h >> 1]
                if level[w] < 0:
                    break
                room = 0
            if -room < state[_BETA] and state[_BETA] > 1:
                # Flips that are not listed may be better.
                _list_arcs(state[_BETA] // 2, tail, head, remaining, z, active, start, half, state)
                break
            if room == 0:
                return False
            theta = -room
            level[w] = level[head[h >> 1] if h & 1 else tail[h >> 1]] + 1
            queue[found] = w
            found += 1
            if excess[w] < 0:
                sink_level = level[w]
        if sink_level == n_nodes:
            continue
        # A blocking flow on the levels.
        cursor[:] = start[:-1]
        for i in range(n_sources):
            s = queue[i]
            while excess[s] > 0:
                v, length = s, 0
                while excess[v] >= 0:
                    advanced = False
                    while cursor[v] < start[v + 1]:
                        h = half[cursor[v]]
                        w = tail[h >> 1] if h & 1 else head[h >> 1]
                        if level[w] == level[v] + 1 and _room(h, remaining, z, rest) >= theta:
                            advanced = True
                            break
                        cursor[v] += 1
                    if advanced:
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
                if excess[v] >= 0:
                    break
                for step in range(length):
                    z[path[step] >> 1] ^= 1
                excess[s] -= 1
                excess[v] += 1
