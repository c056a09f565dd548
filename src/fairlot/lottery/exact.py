r"""From expected copies in floating point, or in fractions, to exact integers over one denominator.

Fractions keep their values: :math:`D` is their common denominator. Floating-point expectations carry the
noise of whatever computed them: a row of 5.0000000001 means 5. With :math:`D = 2^{52}`,

1. a cell becomes its nearest multiple of :math:`1/D`, and an integer where it is within ``tol`` of one;
2. a set's total T is summed over the expectations as given, and then becomes an integer where it is within
   ``tol * max(1, T)`` of one;
3. cells and totals now disagree by a little. Each node of the graph (:mod:`fairlot.lottery.graph`) has an
   imbalance. What is more than rounding noise is spread over the fractional edges by a least-squares flow,
   in which an edge counts by its slack, the smaller of f and D - f. The rest is routed along a spanning
   forest of the edges with the most slack. Edges that leave a connected component are integers, hence its
   imbalances add up to a multiple of D. An edge without room for what it must carry is snapped too, and the
   rest is routed again.

The published expectations are the result; :func:`repair_report` says how far they are from what was given.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numba import njit
from scipy.sparse.linalg import cg

from fairlot.errors import InvalidProblemError, Issue
from fairlot.lottery.cells import Expectations
from fairlot.lottery.graph import edges
from fairlot.model.hierarchy import UNBOUNDED, FloatArray, IntArray
from fairlot.model.lotteries import MAX_DENOMINATOR, UNDECLARED, CellSets, Kind, Lottery
from fairlot.model.shares import RandomAllocation

FLOAT_DENOMINATOR = 2**52
_MOST_NEAR = 0.25  # copies from a whole number up to which a total may mean it
_NOISE = 2**16  # imbalances up to here, 1.5e-11 copies, are what sums of floats leave


@dataclass(frozen=True)
class Repair:
    """How far a lottery's exact expectations are from the ones it was made of.

    Parameters
    ----------
    largest_change : float
        Largest :math:`|x_c - n_c / D|` over cells, in copies.
    cell : tuple of (str, str)
        Agent and good where it occurs.
    total_change : float
        Sum over cells, in copies.
    largest_set_change : float
        Largest change of a set's total, in copies.
    set_name : str
        The set where it occurs; empty if no set changed.
    """

    largest_change: float
    cell: tuple[str, str]
    total_change: float
    largest_set_change: float
    set_name: str


def exact_lottery(
    given: Expectations, agent_sets: CellSets, good_sets: CellSets, kind: Kind, tol: float
) -> Lottery:
    """Make the lottery with these expectations that respects these sets.

    Sets without cells are left out, and sets with the same cells become one.

    Raises
    ------
    InvalidProblemError
        Naming the cells that are no expected copies, or the sets whose bounds they exceed by more than tol.
    """
    _check_copies(given, tol)
    rational = given.copies.dtype == object
    d = math.lcm(*(x.denominator for x in given.copies)) if rational else FLOAT_DENOMINATOR
    if rational and d <= MAX_DENOMINATOR:
        divided = [divmod(x.numerator * (d // x.denominator), d) for x in given.copies]
        whole, fraction = (np.array(part, dtype=np.int64) for part in zip(*divided, strict=True))
    else:
        d = FLOAT_DENOMINATOR
        whole, fraction = _repaired(given.copies.astype(np.float64), agent_sets, good_sets, tol)
    issues = []
    for sets in (agent_sets, good_sets):
        issues += sets.breaches(sets.totals(whole, fraction, d), d)
    if issues:
        raise InvalidProblemError(issues)
    kept = np.flatnonzero((whole > 0) | (fraction > 0))
    return Lottery(
        given.agents,
        given.goods,
        given.cell_agent[kept],
        given.cell_good[kept],
        whole[kept],
        fraction[kept],
        d,
        prune(agent_sets, kept),
        prune(good_sets, kept),
        kind,
    )


def repair_report(shares: RandomAllocation, lottery: Lottery) -> Repair:
    """Compare a lottery's exact expectations with the shares it was made of.

    Parameters
    ----------
    shares : RandomAllocation
        As given; its agents and goods are those of the lottery in any order.
    lottery : Lottery
        As published.
    """
    agents = [shares.agents.index(agent) for agent in lottery.agents]
    goods = [shares.goods.index(good) for good in lottery.goods]
    matrix = shares.matrix[agents][:, goods]
    change = (lottery.expectations().matrix - matrix).tocoo()
    size = np.abs(change.data)
    worst = int(np.argmax(size)) if len(size) else -1
    cell = (lottery.agents[change.row[worst]], lottery.goods[change.col[worst]]) if worst >= 0 else ("", "")
    given = np.asarray(matrix[lottery.cell_agent, lottery.cell_good]).ravel()
    moved = lottery.whole - given + lottery.fraction / lottery.denominator
    by_set = [(0.0, "")]
    for sets in (lottery.agent_sets, lottery.good_sets):
        totals = np.zeros(sets.n_sets + 1)
        np.add.at(totals, sets.leaf, moved)
        for child in range(sets.n_sets - 1, -1, -1):
            totals[sets.parent[child]] += totals[child]
        by_set += zip(np.abs(totals[:-1]).tolist(), sets.names, strict=True)
    return Repair(float(size.max(initial=0.0)), cell, float(size.sum()), *max(by_set, key=lambda t: t[0]))


def prune(sets: CellSets, kept: IntArray) -> CellSets:
    """Restrict a family to some cells; drop sets without cells and join sets with the same cells."""
    n = sets.n_sets
    leaf = sets.leaf[kept]
    size = np.zeros(n + 1, dtype=np.int64)
    np.add.at(size, leaf, 1)
    for child in range(n - 1, -1, -1):
        size[sets.parent[child]] += size[child]
    joined = np.arange(n + 1)
    joined[n] = -1
    members: dict[int, list[int]] = {}
    for s, above in enumerate(sets.parent.tolist()):
        if above >= 0 and size[above] == size[s]:
            joined[s] = joined[above]
        if size[s]:
            members.setdefault(int(joined[s]), []).append(s)
    position = np.full(n + 1, -1, dtype=np.int64)
    position[list(members)] = np.arange(len(members))
    tops, groups = list(members), list(members.values())
    bounds = np.where(sets.upper == UNDECLARED, np.iinfo(np.int64).max, sets.upper)
    upper = np.array([bounds[same].min() for same in groups], dtype=np.int64)
    return CellSets(
        parent=position[joined[sets.parent[tops]]],
        lower=np.array([sets.lower[same].max() for same in groups], dtype=np.int64),
        upper=np.where(upper == np.iinfo(np.int64).max, UNDECLARED, upper),
        names=tuple(" and ".join(dict.fromkeys(sets.names[s] for s in same)) for same in groups),
        leaf=position[joined[leaf]],
    )


def _check_copies(given: Expectations, tol: float) -> None:
    copies = given.copies.astype(np.float64)
    least = 0.0 if given.copies.dtype == object else -tol
    wrong = np.flatnonzero(~((copies >= least) & (copies <= UNBOUNDED - 1)))
    expected = f"from 0 to {UNBOUNDED - 1} copies"
    issues = [
        Issue(f"share of {given.cell_name(k)}", found=str(copies[k]), expected=expected)
        for k in wrong.tolist()
    ]
    if issues:
        raise InvalidProblemError(issues)


def _repaired(
    copies: FloatArray, agent_sets: CellSets, good_sets: CellSets, tol: float
) -> tuple[IntArray, IntArray]:
    """Return whole copies and numerators, after steps 1 to 3 of the module."""
    d = FLOAT_DENOMINATOR
    floor = np.floor(copies)
    whole = floor.astype(np.int64)
    fraction = np.rint((copies - floor) * d).astype(np.int64)
    inner = agent_sets.totals(whole, fraction, d)
    outer = good_sets.totals(whole, fraction, d)
    totals = inner[:-1] + outer
    flow = np.concatenate([fraction, np.array([total % d for total in totals], dtype=np.int64)])
    size = np.concatenate([np.zeros(len(copies)), np.array([total / d for total in totals])])
    # Of very many copies the relative tolerance is more than one: then what is nearest is meant.
    near = (d * np.minimum(tol * np.maximum(size, 1.0), _MOST_NEAR)).astype(np.int64)
    flow[flow >= d - near] = d
    flow[flow <= near] = 0
    n_nodes, tail, head = edges(agent_sets, good_sets)
    while True:
        free = np.flatnonzero((flow > 0) & (flow < d))
        imbalance = _imbalance(n_nodes, tail, head, flow, d)
        if not imbalance.any():
            break
        slack = np.minimum(flow[free], d - flow[free])
        if np.abs(imbalance).max() > _NOISE:
            flow[free] += _least_squares(tail[free], head[free], slack / d, imbalance)
            np.clip(flow, 0, d, out=flow)
            free = np.flatnonzero((flow > 0) & (flow < d))
            slack = np.minimum(flow[free], d - flow[free])
            imbalance = _imbalance(n_nodes, tail, head, flow, d)
        most_slack_first = free[np.argsort(-slack, kind="stable")]
        leftover = _route(tail, head, flow, imbalance, most_slack_first)
        if (leftover % d).any():
            _raise_unbalanced(int(np.flatnonzero(leftover % d)[0]), agent_sets, good_sets)
        np.clip(flow, 0, d, out=flow)
    up = flow[: len(copies)] == d
    return whole + up, np.where(up, 0, flow[: len(copies)])


def _raise_unbalanced(node: int, agent_sets: CellSets, good_sets: CellSets) -> None:
    names = ["the grand total", *agent_sets.names, "the grand total", *good_sets.names]
    message = f"shares do not add up around {names[node]}: what its cells and sets lack is no whole copy"
    raise InvalidProblemError([Issue(message, expected="each cell in a set on either side, or in none")])


def _least_squares(tail: IntArray, head: IntArray, weight: FloatArray, imbalance: IntArray) -> IntArray:
    """Return the flow of least sum of squares over weights that cancels imbalances, nearly and rounded."""
    n, edge = len(imbalance), np.arange(len(tail))
    incidence = sp.csr_array((np.ones(len(edge)), (edge, head)), shape=(len(edge), n))
    incidence -= sp.csr_array((np.ones(len(edge)), (edge, tail)), shape=(len(edge), n))
    laplacian = incidence.T @ sp.diags_array(weight) @ incidence
    scale = sp.diags_array(1 / np.maximum(laplacian.diagonal(), 1e-300))
    potential, _ = cg(laplacian, -imbalance.astype(np.float64), rtol=1e-6, maxiter=200, M=scale)
    change: IntArray = np.rint(weight * (incidence @ potential)).astype(np.int64)
    return change


@njit(cache=True)
def _imbalance(n_nodes: int, tail: IntArray, head: IntArray, flow: IntArray, d: int) -> IntArray:
    """Return inflow minus outflow of each node modulo d, between -d/2 and d/2."""
    imbalance = np.zeros(n_nodes, dtype=np.int64)
    for e in range(len(flow)):
        imbalance[head[e]] = (imbalance[head[e]] + flow[e]) % d
        imbalance[tail[e]] = (imbalance[tail[e]] - flow[e]) % d
    for v in range(n_nodes):
        if imbalance[v] > d // 2:
            imbalance[v] -= d
    return imbalance


@njit(cache=True)
def _route(
    tail: IntArray, head: IntArray, flow: IntArray, imbalance: IntArray, preferred: IntArray
) -> IntArray:
    """Cancel imbalances on the spanning forest that takes edges in the order given; return what is left.

    ``flow`` changes in place, and may leave its range on edges without the room.
    """
    n_nodes = len(imbalance)
    root = np.arange(n_nodes)
    degree = np.zeros(n_nodes, dtype=np.int64)
    edge_xor = np.zeros(n_nodes, dtype=np.int64)  # of a node's forest edges: with one left, that edge
    for e in preferred:
        u, v = tail[e], head[e]
        while root[u] != u:
            root[u] = root[root[u]]
            u = root[u]
        while root[v] != v:
            root[v] = root[root[v]]
            v = root[v]
        if u != v:
            root[u] = v
            for w in (tail[e], head[e]):
                degree[w] += 1
                edge_xor[w] ^= e
    left = imbalance.copy()
    for first in range(n_nodes):
        v = first
        while degree[v] == 1:
            e = edge_xor[v]
            if tail[e] == v:
                flow[e] += left[v]
                w = head[e]
            else:
                flow[e] -= left[v]
                w = tail[e]
            left[w] += left[v]
            left[v] = 0
            degree[v] = 0
            degree[w] -= 1
            edge_xor[w] ^= e
            v = w
    return left
