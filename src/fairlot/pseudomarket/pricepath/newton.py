r"""Newton matrices of the agents' problems, factored on a dominant basis.

A Newton step (:mod:`~fairlot.pseudomarket.pricepath.agents`) eliminates what is diagonal. With N the
rows, c the steps of their duals, and Θ ≥ 0 small where a bound is tight, what remains is
:math:`D\,dx + N^\top c = f` and :math:`N\,dx - \Theta c = h`. With :math:`\xi = (dx, -\Theta c)`, weights
:math:`\Phi = \mathrm{diag}(D^{-1}, \Theta)` and :math:`A = [N\; I]` it is a weighted least-squares problem
with constraints :math:`A \xi = h`. Each row gets a *basic* column, the one of largest weight; with
:math:`C = B^{-1} A_J` the others, J, solve

.. math:: (\Phi_J^{-1} + C^\top \Phi_B^{-1} C)\, \xi_J = f_J - C^\top (f_B - \Phi_B^{-1} B^{-1} h).

Because the basic weights dominate nothing cancels, however tight the bounds: where an agent mixes as many
goods as she has tight rows, so that nothing but μ lets her substitute, the tiny substitution comes out to
full relative accuracy. (Normal equations, and projections :math:`D^{-1} - Z^\top Z`, lose it.)
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numba import njit

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.pseudomarket.pricepath.layout import BOTH, EQUAL, LOWER, UPPER, Agents

REORDER = {"reassoc", "contract"}
"""Sums may be reordered, for vector instructions; NaN stays NaN."""


class State(NamedTuple):
    """Variables of the agents' problems, or a step of them.

    Parameters
    ----------
    x, z, w : FloatArray, shape (n_pairs,)
        Copies, and the multipliers of x ≥ 0 and x ≤ cap.
    room, toll : FloatArray, shape (n_rows,)
        Slack of the upper bound, and its dual: r, t. A budget's are σ and β.
    excess, rebate : FloatArray, shape (n_rows,)
        Copies above the lower bound or breakpoint, and the dual: e, t'.
    """

    x: FloatArray
    z: FloatArray
    w: FloatArray
    room: FloatArray
    toll: FloatArray
    excess: FloatArray
    rebate: FloatArray


class Factors(NamedTuple):
    r"""The factored Newton matrices of all agents.

    An agent's columns are her pairs, then her rows' slacks.

    Parameters
    ----------
    weight : FloatArray, shape (n_pairs + n_rows,)
        :math:`\Phi_J`: of each agent's columns in turn, 0 if basic.
    table : FloatArray, shape (table_start[-1],)
        :math:`B^{-1} A`.
    root : FloatArray, shape (square_start[-1],)
        Lower Cholesky factor of :math:`\Phi_B + C \Phi_J C^\top`.
    basic : IntArray, shape (n_rows,)
        Basic column of each row.
    basic_weight : FloatArray, shape (n_rows,)
        Its weight.
    first, last : IntArray, shape (n_rows,)
        Among the pairs, only ``first:last`` of a row of the table differ from 0.
    columns, rows : FloatArray, shapes (n_pairs + n_rows,) and (n_rows,)
        Room to work in.
    """

    weight: FloatArray
    table: FloatArray
    root: FloatArray
    basic: IntArray
    basic_weight: FloatArray
    first: IntArray
    last: IntArray
    columns: FloatArray
    rows: FloatArray


def empty_state(agents: Agents) -> State:
    """Allocate a state of zeros."""
    n_pairs, n_rows = len(agents.value), len(agents.kind)
    return State(*(np.zeros(n_pairs) for _ in range(3)), *(np.zeros(n_rows) for _ in range(4)))


def empty_factors(agents: Agents) -> Factors:
    """Allocate factors."""
    n_pairs, n_rows = len(agents.value), len(agents.kind)
    return Factors(
        weight=np.zeros(n_pairs + n_rows),
        table=np.zeros(agents.table_start[-1]),
        root=np.zeros(agents.square_start[-1]),
        basic=np.zeros(n_rows, dtype=np.int64),
        basic_weight=np.zeros(n_rows),
        first=np.zeros(n_rows, dtype=np.int64),
        last=np.zeros(n_rows, dtype=np.int64),
        columns=np.zeros(n_pairs + n_rows),
        rows=np.zeros(n_rows),
    )


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def _weigh(i: int, a: Agents, s: State, weight: FloatArray) -> None:
    """Fill in Φ for one agent."""
    begin, end = a.pair_start[i], a.pair_start[i + 1]
    for j in range(begin, end):
        d = s.z[j] / s.x[j]
        if a.capped[j]:
            d += s.w[j] / (a.cap[j] - s.x[j])
        weight[j - begin] = 1.0 / d
    for k in range(a.row_start[i], a.row_start[i + 1]):
        kind = a.kind[k]
        if kind == EQUAL:
            theta = 0.0
        elif kind == UPPER:
            theta = s.room[k] / s.toll[k]
        elif kind == LOWER:
            theta = s.excess[k] / s.rebate[k]
        elif kind == BOTH:
            theta = 1.0 / (s.toll[k] / s.room[k] + s.rebate[k] / s.excess[k])
        else:
            theta = s.room[k] / s.toll[k] + s.excess[k] / s.rebate[k]
        weight[end - begin + k - a.row_start[i]] = theta


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def factor(i: int, a: Agents, s: State, price: FloatArray, f: Factors) -> None:
    """Factor the Newton matrix of agent i at her state."""
    begin, row_begin = a.pair_start[i], a.row_start[i]
    n_pairs, n_rows = a.pair_start[i + 1] - begin, a.row_start[i + 1] - row_begin
    width = n_pairs + n_rows
    weight = f.weight[begin + row_begin : begin + row_begin + width]
    _weigh(i, a, s, weight)
    table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
    first, last = f.first[row_begin : row_begin + n_rows], f.last[row_begin : row_begin + n_rows]
    table[:] = 0.0
    for r in range(n_rows):
        first[r], last[r] = a.low[row_begin + r] - begin, a.high[row_begin + r] - begin
        table[r, n_pairs + r] = 1.0
        for j in range(first[r], last[r]):
            table[r, j] = price[a.column[begin + j]] if r == n_rows - 1 else 1.0
    for r in range(n_rows):
        # So far the row has only slacks of rows before it, and its own.
        pivot, largest = n_pairs + r, 0.0
        for c in range(n_pairs, n_pairs + r + 1):
            size = table[r, c] * table[r, c] * weight[c]
            if size > largest:
                pivot, largest = c, size
        for c in range(first[r], last[r]):
            size = table[r, c] * table[r, c] * weight[c]
            if size > largest:
                pivot, largest = c, size
        f.basic[row_begin + r] = pivot
        f.basic_weight[row_begin + r] = weight[pivot]
        weight[pivot] = 0.0
        table[r] /= table[r, pivot]
        for other in range(n_rows):
            factor_ = table[other, pivot]
            if other != r and factor_ != 0.0:
                for c in range(first[r], last[r]):
                    table[other, c] -= factor_ * table[r, c]
                for c in range(n_pairs, n_pairs + r + 1):
                    table[other, c] -= factor_ * table[r, c]
                table[other, pivot] = 0.0
                first[other], last[other] = min(first[other], first[r]), max(last[other], last[r])
    root = f.root[a.square_start[i] : a.square_start[i + 1]].reshape((n_rows, n_rows))
    for r in range(n_rows):
        for q in range(r + 1):
            total = f.basic_weight[row_begin + r] if q == r else 0.0
            total += _inner(
                table[r], table[q], weight, max(first[r], first[q]), min(last[r], last[q]), n_pairs
            )
            for e in range(q):
                total -= root[r, e] * root[q, e]
            root[r, q] = math.sqrt(max(total, 1e-300)) if q == r else total / root[q, q]


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def _inner(
    left: FloatArray, right: FloatArray, weight: FloatArray, first: int, last: int, n_pairs: int
) -> float:
    """Sum weighted products over the pairs ``first:last`` and the slacks."""
    total = 0.0
    for c in range(first, last):
        total += left[c] * weight[c] * right[c]
    for c in range(n_pairs, len(weight)):
        total += left[c] * weight[c] * right[c]
    return total


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def solve(i: int, a: Agents, f: Factors, force: FloatArray, target: FloatArray, dual: FloatArray) -> None:
    """Solve D dx + Nᵀ dual = force, N dx − Θ dual = target for agent i.

    Parameters
    ----------
    i, a, f
        Agent; problems; factors.
    force : FloatArray, shape (at least the agent's pairs,)
        First right side.
    target, dual : FloatArray, shape (the agent's rows,)
        Second right side; result. The other result, dx, is at the head of ``f.columns``.
    """
    row_begin = a.row_start[i]
    n_pairs, n_rows = a.pair_start[i + 1] - a.pair_start[i], a.row_start[i + 1] - row_begin
    width = n_pairs + n_rows
    weight = f.weight[a.pair_start[i] + row_begin :][:width]
    table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
    root = f.root[a.square_start[i] : a.square_start[i + 1]].reshape((n_rows, n_rows))
    basic, basic_weight = f.basic[row_begin:], f.basic_weight[row_begin:]
    first, last = f.first[row_begin:], f.last[row_begin:]
    xi, share = f.columns, f.rows
    for c in range(n_pairs):
        xi[c] = force[c]
    for c in range(n_pairs, width):
        xi[c] = 0.0
    for r in range(n_rows):
        share[r] = 0.0
        for e in range(n_rows):
            share[r] += table[r, n_pairs + e] * target[e]
        scale = (force[basic[r]] if basic[r] < n_pairs else 0.0) - share[r] / basic_weight[r]
        _subtract(xi, scale, table[r], first[r], last[r], n_pairs, width)
    for c in range(width):
        xi[c] *= weight[c]
    for r in range(n_rows):
        total = _dot(table[r], xi, first[r], last[r], n_pairs, width)
        for e in range(r):
            total -= root[r, e] * dual[e]
        dual[r] = total / root[r, r]
    for r in range(n_rows - 1, -1, -1):
        for e in range(r + 1, n_rows):
            dual[r] -= root[e, r] * dual[e]
        dual[r] /= root[r, r]
        for c in range(first[r], last[r]):
            xi[c] -= weight[c] * table[r, c] * dual[r]
        for c in range(n_pairs, width):
            xi[c] -= weight[c] * table[r, c] * dual[r]
    for r in range(n_rows):
        share[r] -= _dot(table[r], xi, first[r], last[r], n_pairs, width)
        dual[r] = 0.0
    for r in range(n_rows):
        scale = (force[basic[r]] if basic[r] < n_pairs else 0.0) - share[r] / basic_weight[r]
        for e in range(n_rows):
            dual[e] += table[r, n_pairs + e] * scale
        xi[basic[r]] = share[r]


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def _dot(row: FloatArray, xi: FloatArray, first: int, last: int, n_pairs: int, width: int) -> float:
    total = 0.0
    for c in range(first, last):
        total += row[c] * xi[c]
    for c in range(n_pairs, width):
        total += row[c] * xi[c]
    return total


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def _subtract(
    xi: FloatArray, scale: float, row: FloatArray, first: int, last: int, n_pairs: int, width: int
) -> None:
    for c in range(first, last):
        xi[c] -= scale * row[c]
    for c in range(n_pairs, width):
        xi[c] -= scale * row[c]


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def _spread(i: int, a: Agents, f: Factors, spread: FloatArray) -> None:
    """Fill in W Vᵀ: the rows of W = root⁻¹ C Φ_J, carried to the basic columns by −C."""
    row_begin = a.row_start[i]
    n_pairs, n_rows = a.pair_start[i + 1] - a.pair_start[i], a.row_start[i + 1] - row_begin
    width = n_pairs + n_rows
    weight = f.weight[a.pair_start[i] + row_begin :][:width]
    table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
    root = f.root[a.square_start[i] : a.square_start[i + 1]].reshape((n_rows, n_rows))
    first, last = f.first[row_begin:], f.last[row_begin:]
    for r in range(n_rows):
        row = spread[r]
        for c in range(width):
            row[c] = table[r, c] * weight[c]
        for e in range(r):
            factor_ = root[r, e]
            if factor_ != 0.0:
                for c in range(width):
                    row[c] -= factor_ * spread[e, c]
        for c in range(width):
            row[c] /= root[r, r]
    for r in range(n_rows):
        for q in range(n_rows):
            basic = f.basic[row_begin + q]
            if basic < n_pairs:
                # Basic entries of a spread row are not read here: the table's rows are 0 in them.
                spread[r, basic] = -_dot(table[q], spread[r], first[q], last[q], n_pairs, width)


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def sum_slopes(
    a: Agents,
    s: State,
    f: Factors,
    dense: BoolArray,
    begin: int,
    end: int,
    half: FloatArray,
    slope: FloatArray,
    spread_rows: FloatArray,
    income_rows: FloatArray,
    held_rows: FloatArray,
) -> None:
    r"""Add up −∂(Σ x)/∂p of agents ``begin:end``: half + halfᵀ + slope, and products left to the caller.

    An agent's is :math:`\alpha V (\Phi_J - W^\top W) V^\top + r (x + f)^\top`, where V is the
    identity on J over −C on the basic columns, W = root⁻¹ C Φ_J, and r her copies' response to money.

    Parameters
    ----------
    a, s, f
        Problems; state; factors.
    dense : BoolArray, shape (n_agents,)
        Agents whose last two terms are left as rows S, R and X of the three last arrays:
        :math:`-S^\top S + R^\top X`.
    begin, end : int
        Agents.
    half, slope : FloatArray, shape (n_columns + 1, n_columns + 1)
        Added to.
    spread_rows : FloatArray, shape (rows of the dense agents, n_columns + 1)
        Zeros; result.
    income_rows, held_rows : FloatArray, shape (dense agents, n_columns + 1)
        Zeros; results.
    """
    row_place = agent_place = 0
    force = np.zeros(len(f.columns))
    most_rows = (a.row_start[1:] - a.row_start[:-1]).max()
    most_pairs = (a.pair_start[1:] - a.pair_start[:-1]).max()
    room = np.empty(most_rows * (most_pairs + most_rows))
    for i in range(begin, end):
        row_begin, row_end, pair = a.row_start[i], a.row_start[i + 1], a.pair_start[i]
        n_pairs, n_rows = a.pair_start[i + 1] - pair, row_end - row_begin
        width = n_pairs + n_rows
        money = a.money[i] + s.toll[row_end - 1]
        column = a.column[pair : pair + n_pairs]
        weight = f.weight[pair + row_begin : pair + row_begin + width]
        table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
        basic = f.basic[row_begin:row_end]
        first, last = f.first[row_begin:row_end], f.last[row_begin:row_end]
        for j in range(n_pairs):
            half[column[j], column[j]] += 0.5 * money * weight[j]
        for r in range(n_rows):
            if basic[r] >= n_pairs:
                continue
            own = half[column[basic[r]]]
            for j in range(first[r], last[r]):
                own[column[j]] -= money * table[r, j] * weight[j]
            for q in range(n_rows):
                if basic[q] < n_pairs:
                    low, high = max(first[r], first[q]), min(last[r], last[q])
                    product = _inner(table[r], table[q], weight, low, high, n_pairs)
                    own[column[basic[q]]] += 0.5 * money * product
        spread = room[: n_rows * width].reshape((n_rows, width))
        _spread(i, a, f, spread)
        target, dual = np.zeros(n_rows), np.zeros(n_rows)
        target[n_rows - 1] = 1.0
        solve(i, a, f, force, target, dual)
        income = f.columns
        if dense[i]:
            unit = math.sqrt(money)
            for r in range(n_rows):
                for j in range(n_pairs):
                    spread_rows[row_place, column[j]] += unit * spread[r, j]
                row_place += 1
            for j in range(n_pairs):
                income_rows[agent_place, column[j]] += income[j]
                held_rows[agent_place, column[j]] += s.x[pair + j]
            for e in range(a.forced_start[i], a.forced_start[i + 1]):
                held_rows[agent_place, a.forced_column[e]] += a.forced[e]
            agent_place += 1
            continue
        for j in range(n_pairs):
            own = half[column[j]]
            for r in range(n_rows):
                factor_ = 0.5 * money * spread[r, j]
                if factor_ != 0.0:
                    for m in range(n_pairs):
                        own[column[m]] -= factor_ * spread[r, m]
            out = slope[column[j]]
            for m in range(n_pairs):
                out[column[m]] += income[j] * s.x[pair + m]
            for e in range(a.forced_start[i], a.forced_start[i + 1]):
                out[a.forced_column[e]] += income[j] * a.forced[e]
