r"""Elimination of the agents where their rows cross: a small Cholesky factor for every agent.

With pair weights D > 0, :math:`\Theta^{-1} \ge 0` per row and E the membership of pairs in rows, every
agent needs

.. math:: P = D - D E^\top M^{-1} E D, \qquad M = \Theta^{-1} + E D E^\top.

M has one row and column per row of the agent, two dozen at most in a timetable; rows that those before
them imply are dropped by their pivot. ``tests/pseudomarket/test_timetable_kernels.py`` holds these private
kernels to dense linear algebra.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray

_DROPPED = 1e-14
"""Pivot, relative to the diagonal, at which a row counts as implied."""


@njit(cache=True)
def factorise(
    node_start: IntArray,
    factor_start: IntArray,
    member_start: IntArray,
    member: IntArray,
    weight: FloatArray,
    theta_inverse: FloatArray,
) -> FloatArray:
    """Compute every agent's lower Cholesky factor of M, flat; a dropped row has an infinite pivot.

    Parameters
    ----------
    node_start, factor_start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' rows, and of their factors.
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
        first, r = node_start[i], node_start[i + 1] - node_start[i]
        low = factors[factor_start[i] : factor_start[i + 1]].reshape((r, r))
        for a in range(r):
            for k in range(member_start[first + a], member_start[first + a + 1]):
                spread[member[k]] = weight[member[k]]
            for b in range(a + 1):
                total = 0.0
                for k in range(member_start[first + b], member_start[first + b + 1]):
                    total += spread[member[k]]
                low[a, b] = total
            for k in range(member_start[first + a], member_start[first + a + 1]):
                spread[member[k]] = 0.0
            low[a, a] += theta_inverse[first + a]
        for a in range(r):
            for b in range(a):
                total = low[a, b]
                for c in range(b):
                    total -= low[a, c] * low[b, c]
                low[a, b] = total / low[b, b] if low[b, b] < np.inf else 0.0
            whole = low[a, a]
            total = whole
            for c in range(a):
                total -= low[a, c] * low[a, c]
            low[a, a] = np.sqrt(total) if total > _DROPPED * whole else np.inf
    return factors


@njit(cache=True)
def solve_agents(
    start: IntArray,
    node_start: IntArray,
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
    start, node_start, factor_start, member_start, member
        Offsets of pairs, rows and factors, and the rows' pairs.
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
    for i in range(len(start) - 1):
        first, r = node_start[i], node_start[i + 1] - node_start[i]
        low = factors[factor_start[i] : factor_start[i + 1]].reshape((r, r))
        for a in range(r):
            total = -shift[first + a]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                total += weight[member[k]] * force[member[k]]
            for c in range(a):
                total -= low[a, c] * y[first + c]
            y[first + a] = total / low[a, a]
        for a in range(r - 1, -1, -1):
            total = y[first + a]
            for c in range(a + 1, r):
                total -= low[c, a] * y[first + c]
            y[first + a] = total / low[a, a]
        for a in range(r):
            for k in range(member_start[first + a], member_start[first + a + 1]):
                left[member[k]] -= y[first + a]
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
    factor_start: IntArray,
    member_start: IntArray,
    member: IntArray,
    good: IntArray,
    factors: FloatArray,
    weight: FloatArray,
    money: FloatArray,
    out: FloatArray,
) -> int:
    r"""Fill rows :math:`\sqrt{\alpha_i}\, L_i^{-1} E_i D_i` by goods; their Gram matrix is what P subtracts.

    Parameters
    ----------
    first_agent, last_agent : int
        The agents ``first_agent:last_agent``.
    node_start, factor_start, member_start, member, factors, weight
        As for :func:`solve_agents`.
    good : IntArray, shape (n_pairs,)
        Goods of the pairs.
    money : FloatArray, shape (n_agents,)
        α.
    out : FloatArray, shape (rows, n_goods)
        Zero on entry.

    Returns
    -------
    int
        Rows used.
    """
    used = 0
    for i in range(first_agent, last_agent):
        first, r = node_start[i], node_start[i + 1] - node_start[i]
        low = factors[factor_start[i] : factor_start[i + 1]].reshape((r, r))
        scale = np.sqrt(money[i])
        for a in range(r):
            if low[a, a] == np.inf:
                out[used + a] = 0.0
                continue
            row = out[used + a]
            for k in range(member_start[first + a], member_start[first + a + 1]):
                row[good[member[k]]] += scale * weight[member[k]]
            for c in range(a):
                if low[a, c] != 0.0:
                    row -= low[a, c] * out[used + c]
            row /= low[a, a]
        used += r
    return used
