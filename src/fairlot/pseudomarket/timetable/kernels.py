r"""Elimination of the agents where their rows cross: a small Cholesky factor for every agent.

With pair weights D > 0, :math:`\Theta^{-1} \ge 0` per row and E the membership of pairs in rows, every
agent needs

.. math:: P = D - D E^\top M^{-1} E D, \qquad M = \Theta^{-1} + E D E^\top.

An agent's rows come in two parts: first rows that share no pair, of which M is diagonal, then the others,
few in a timetable (sections of a course are many small disjoint sets, slots and loads cross them). The
factor of an agent is stored as the d pivots of the first part, then the r − d rows of the lower triangle
below, each of length r. Rows that those before them imply are dropped by an infinite pivot.
``tests/pseudomarket/test_timetable_kernels.py`` holds these private kernels to dense linear algebra.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray

_DROPPED = 1e-14
"""Pivot, relative to the diagonal, at which a row counts as implied."""


@njit(cache=True)
def disjoint_first(
    node_start: IntArray, member_start: IntArray, member: IntArray, n_pairs: int
) -> tuple[IntArray, IntArray]:
    """Order each agent's rows so that disjoint ones, small ones preferred, come first.

    Returns
    -------
    order : IntArray, shape (n_nodes,)
        Rows in their new order.
    disjoint : IntArray, shape (n_agents,)
        How many of each agent's share no pair.
    """
    n = len(node_start) - 1
    order = np.empty(node_start[-1], dtype=np.int64)
    disjoint = np.zeros(n, dtype=np.int64)
    taken = np.zeros(n_pairs, dtype=np.bool_)
    sizes = np.diff(member_start)
    for i in range(n):
        first, last = node_start[i], node_start[i + 1]
        by_size = first + np.argsort(sizes[first:last], kind="mergesort")
        front, back = first, last - 1
        for a in by_size:
            free = True
            for k in range(member_start[a], member_start[a + 1]):
                free &= not taken[member[k]]
                free &= k == member_start[a] or member[k] != member[k - 1]
            if free:
                for k in range(member_start[a], member_start[a + 1]):
                    taken[member[k]] = True
                order[front] = a
                front += 1
            else:
                order[back] = a
                back -= 1
        disjoint[i] = front - first
    return order, disjoint


@njit(cache=True)
def factorise(
    node_start: IntArray,
    disjoint: IntArray,
    factor_start: IntArray,
    member_start: IntArray,
    member: IntArray,
    weight: FloatArray,
    theta_inverse: FloatArray,
) -> FloatArray:
    """Compute every agent's factor of M, flat.

    Parameters
    ----------
    node_start, factor_start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' rows, and of their factors.
    disjoint : IntArray, shape (n_agents,)
        How many first rows of each agent share no pair.
    member_start, member : IntArray
        Pairs of each row.
    weight : FloatArray, shape (n_pairs,)
        D.
    theta_inverse : FloatArray, shape (n_nodes,)
        Diagonal.
    """
    factors = np.zeros(factor_start[-1])
    spread = np.zeros(len(weight))
    for i in range(len(node_start) - 1):
        first, r, d = node_start[i], node_start[i + 1] - node_start[i], disjoint[i]
        pivot = factors[factor_start[i] : factor_start[i] + d]
        low = factors[factor_start[i] + d : factor_start[i + 1]].reshape((r - d, r))
        for a in range(d):
            total = theta_inverse[first + a]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                total += weight[member[k]]
            pivot[a] = np.sqrt(total)
        for a in range(d, r):
            row = low[a - d]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                spread[member[k]] += weight[member[k]]
            for b in range(a + 1):
                for k in range(member_start[first + b], member_start[first + b + 1]):
                    row[b] += spread[member[k]]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                spread[member[k]] = 0.0
            row[a] += theta_inverse[first + a]
            whole = row[a]
            for b in range(d):
                row[b] /= pivot[b]
            for b in range(d, a):
                other = low[b - d]
                total = row[b]
                for c in range(b):
                    total -= row[c] * other[c]
                row[b] = total / other[b]  # 0 where that row was dropped
            total = whole
            for c in range(a):
                total -= row[c] * row[c]
            row[a] = np.sqrt(total) if total > _DROPPED * whole else np.inf
    return factors


@njit(cache=True)
def solve_agents(
    node_start: IntArray,
    disjoint: IntArray,
    factor_start: IntArray,
    member_start: IntArray,
    member: IntArray,
    factors: FloatArray,
    weight: FloatArray,
    theta_inverse: FloatArray,
    force: FloatArray,
    shift: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Solve :math:`x = D (f - E^\top y),\; E x = \Theta^{-1} y + h` for every agent.

    Parameters
    ----------
    node_start, disjoint, factor_start, member_start, member
        As for :func:`factorise`.
    factors : FloatArray
        From :func:`factorise`, for D and Θ⁻¹.
    weight, theta_inverse : FloatArray
        D and Θ⁻¹.
    force : FloatArray, shape (n_pairs,)
        f.
    shift : FloatArray, shape (n_nodes,)
        h.

    Returns
    -------
    x : FloatArray, shape (n_pairs,)
    y, totals : FloatArray, shape (n_nodes,)
        y and E x.
    """
    y, totals = np.zeros(len(shift)), np.zeros(len(shift))
    left = force.copy()
    for i in range(len(node_start) - 1):
        first, r, d = node_start[i], node_start[i + 1] - node_start[i], disjoint[i]
        pivot = factors[factor_start[i] : factor_start[i] + d]
        low = factors[factor_start[i] + d : factor_start[i + 1]].reshape((r - d, r))
        own = y[first : first + r]
        for a in range(r):
            total = -shift[first + a]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                total += weight[member[k]] * force[member[k]]
            if a < d:
                own[a] = total / pivot[a]
                continue
            row = low[a - d]
            for c in range(a):
                total -= row[c] * own[c]
            own[a] = total / row[a]
        for a in range(r - 1, -1, -1):
            total = own[a]
            for c in range(max(a + 1, d), r):
                total -= low[c - d, a] * own[c]
            own[a] = total / (pivot[a] if a < d else low[a - d, a])
        for a in range(r):
            for k in range(member_start[first + a], member_start[first + a + 1]):
                left[member[k]] -= own[a]
    x = weight * left
    for a in range(len(shift)):
        reach = 0.0
        for k in range(member_start[a], member_start[a + 1]):
            totals[a] += x[member[k]]
            reach += weight[member[k]]
        # Of the two ways to the total the one that does not subtract large terms.
        if theta_inverse[a] < reach:
            totals[a] = theta_inverse[a] * y[a] + shift[a]
    return x, y, totals


@njit(cache=True)
def demand_factors(
    first_agent: int,
    last_agent: int,
    node_start: IntArray,
    disjoint: IntArray,
    factor_start: IntArray,
    member_start: IntArray,
    member: IntArray,
    good: IntArray,
    factors: FloatArray,
    weight: FloatArray,
    money: FloatArray,
    slopes: FloatArray,
    block: FloatArray,
) -> int:
    r"""Subtract from slopes :math:`\alpha_i D_i E_i^\top M_i^{-1} E_i D_i` by goods, or leave it to a block.

    Disjoint rows are subtracted in place. The others become rows of the block, whose Gram matrix is what
    remains to be subtracted.

    Parameters
    ----------
    first_agent, last_agent : int
        The agents ``first_agent:last_agent``.
    node_start, disjoint, factor_start, member_start, member, factors, weight
        As for :func:`solve_agents`.
    good : IntArray, shape (n_pairs,)
        Goods of the pairs.
    money : FloatArray, shape (n_agents,)
        α.
    slopes : FloatArray, shape (n_goods, n_goods)
        Changed in place.
    block : FloatArray, shape (rows, n_goods)
        Zero on entry.

    Returns
    -------
    int
        Rows of the block used.
    """
    used = 0
    for i in range(first_agent, last_agent):
        first, r, d = node_start[i], node_start[i + 1] - node_start[i], disjoint[i]
        pivot = factors[factor_start[i] : factor_start[i] + d]
        low = factors[factor_start[i] + d : factor_start[i + 1]].reshape((r - d, r))
        scale = np.sqrt(money[i])
        for a in range(d):
            share = money[i] / (pivot[a] * pivot[a])
            for k in range(member_start[first + a], member_start[first + a + 1]):
                entry = share * weight[member[k]]
                for o in range(member_start[first + a], member_start[first + a + 1]):
                    slopes[good[member[k]], good[member[o]]] -= entry * weight[member[o]]
        for a in range(d, r):
            if low[a - d, a] == np.inf:
                continue
            row = block[used + a - d]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                row[good[member[k]]] += scale * weight[member[k]]
            for c in range(d):
                part = low[a - d, c] * scale / pivot[c]
                if part != 0.0:
                    for k in range(member_start[first + c], member_start[first + c + 1]):
                        row[good[member[k]]] -= part * weight[member[k]]
            for c in range(d, a):
                if low[a - d, c] != 0.0:
                    row -= low[a - d, c] * block[used + c - d]
            row /= low[a - d, a]
        used += r - d
    return used
