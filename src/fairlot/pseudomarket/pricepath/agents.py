r"""Each agent's smoothed problem at given prices, its Newton steps and its response to prices.

At prices p and barrier parameter μ an agent's consumption is the unique solution of

.. math::

    v = (\varepsilon + \beta) p + E^\top y + w - z, \quad x z = \mu, \quad (c - x) w = \mu, \\
    p \cdot (x + f) + \sigma = b, \quad \beta \sigma = \mu,

and, for each node with total :math:`X = E x` and net dual y, X = h for an equality; for bounds
:math:`r = h - X`, :math:`e = X - l` with :math:`y = t - t'`, :math:`r t = \mu`, :math:`e t' = \mu`; for
a taper's breakpoint :math:`r = h - X + e` with :math:`y = t`, :math:`t + t' = \text{penalty}` and the same
products. (All μ times a weight.) The budget is one more row, with prices for weights, r = σ, t = β.

A Newton step eliminates what is diagonal: with N the rows, c the steps of their duals, and Θ ≥ 0 small
where a bound is tight, :math:`D\,dx + N^\top c = f` and :math:`N\,dx - \Theta c = h`. With
:math:`\xi = (dx, -\Theta c)`, weights :math:`\Phi = \mathrm{diag}(D^{-1}, \Theta)` and
:math:`A = [N\; I]` it is a weighted least-squares problem with constraints :math:`A \xi = h`. Each row gets
a *basic* column, the one of largest weight; with :math:`C = B^{-1} A_J` the others, J, solve

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
from fairlot.pseudomarket.pricepath.layout import BOTH, EQUAL, LOWER, TAPER, UPPER, Agents

_MOST_STEPS = 40
_REORDER = {"reassoc", "contract"}  # sums may be reordered, for vector instructions; NaN stays NaN


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
    columns, rows : FloatArray, shapes (n_pairs + n_rows,) and (n_rows,)
        Room to work in.
    """

    weight: FloatArray
    table: FloatArray
    root: FloatArray
    basic: IntArray
    basic_weight: FloatArray
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
        columns=np.zeros(n_pairs + n_rows),
        rows=np.zeros(n_rows),
    )


@njit(cache=True, fastmath=_REORDER)
def _weights(i: int, a: Agents, s: State, weight: FloatArray) -> None:
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


@njit(cache=True, fastmath=_REORDER)
def _factor(i: int, a: Agents, s: State, price: FloatArray, f: Factors) -> None:
    begin, row_begin = a.pair_start[i], a.row_start[i]
    n_pairs, n_rows = a.pair_start[i + 1] - begin, a.row_start[i + 1] - row_begin
    width = n_pairs + n_rows
    weight = f.weight[begin + row_begin : begin + row_begin + width]
    _weights(i, a, s, weight)
    table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
    table[:] = 0.0
    for r in range(n_rows):
        table[r, n_pairs + r] = 1.0
        for j in range(a.low[row_begin + r], a.high[row_begin + r]):
            table[r, j - begin] = price[a.column[j]] if r == n_rows - 1 else 1.0
    for r in range(n_rows):
        pivot, largest = n_pairs + r, -1.0
        for c in range(width):
            size = table[r, c] * table[r, c] * weight[c]
            if size > largest:
                pivot, largest = c, size
        f.basic[row_begin + r] = pivot
        f.basic_weight[row_begin + r] = weight[pivot]
        weight[pivot] = 0.0
        table[r] /= table[r, pivot]
        for other in range(n_rows):
            factor = table[other, pivot]
            if other != r and factor != 0.0:
                for c in range(width):
                    table[other, c] -= factor * table[r, c]
                table[other, pivot] = 0.0
    root = f.root[a.square_start[i] : a.square_start[i + 1]].reshape((n_rows, n_rows))
    for r in range(n_rows):
        for q in range(r + 1):
            total = f.basic_weight[row_begin + r] if q == r else 0.0
            for c in range(width):
                total += table[r, c] * weight[c] * table[q, c]
            for e in range(q):
                total -= root[r, e] * root[q, e]
            root[r, q] = math.sqrt(max(total, 1e-300)) if q == r else total / root[q, q]


@njit(cache=True, fastmath=_REORDER)
def _solve(i: int, a: Agents, f: Factors, force: FloatArray, target: FloatArray, dual: FloatArray) -> None:
    """Solve D dx + Nᵀ dual = force, N dx − Θ dual = target; dx ends up at the head of ``f.columns``."""
    row_begin = a.row_start[i]
    n_pairs, n_rows = a.pair_start[i + 1] - a.pair_start[i], a.row_start[i + 1] - row_begin
    width = n_pairs + n_rows
    weight = f.weight[a.pair_start[i] + row_begin :]
    table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
    root = f.root[a.square_start[i] : a.square_start[i + 1]].reshape((n_rows, n_rows))
    xi, share = f.columns, f.rows
    for c in range(width):
        xi[c] = force[c] if c < n_pairs else 0.0
    for r in range(n_rows):
        basic = f.basic[row_begin + r]
        share[r] = 0.0
        for e in range(n_rows):
            share[r] += table[r, n_pairs + e] * target[e]
        scale = (force[basic] if basic < n_pairs else 0.0) - share[r] / f.basic_weight[row_begin + r]
        for c in range(width):
            xi[c] -= scale * table[r, c]
    for c in range(width):
        xi[c] *= weight[c]
    for r in range(n_rows):
        total = 0.0
        for c in range(width):
            total += table[r, c] * xi[c]
        for e in range(r):
            total -= root[r, e] * dual[e]
        dual[r] = total / root[r, r]
    for r in range(n_rows - 1, -1, -1):
        for e in range(r + 1, n_rows):
            dual[r] -= root[e, r] * dual[e]
        dual[r] /= root[r, r]
    for r in range(n_rows):
        for c in range(width):
            xi[c] -= weight[c] * table[r, c] * dual[r]
    for r in range(n_rows):
        for c in range(width):
            share[r] -= table[r, c] * xi[c]
    dual[:n_rows] = 0.0
    for r in range(n_rows):
        basic = f.basic[row_begin + r]
        scale = (force[basic] if basic < n_pairs else 0.0) - share[r] / f.basic_weight[row_begin + r]
        for e in range(n_rows):
            dual[e] += table[r, n_pairs + e] * scale
    for r in range(n_rows):
        xi[f.basic[row_begin + r]] = share[r]


@njit(cache=True, fastmath=_REORDER)
def _step(i: int, a: Agents, s: State, f: Factors, price: FloatArray, defect: State, step: State) -> None:
    """Find one agent's step that removes the defects of her equations to first order.

    ``defect`` holds, for each equation, how much its left side has to grow: x, w, toll and rebate the
    products; z stationarity; room and excess the definitions of the slacks.
    """
    begin, end = a.row_start[i], a.row_start[i + 1]
    force, target, dual = step.z, step.room, step.toll  # overwritten below by the steps themselves
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        force[j] = defect.z[j] + defect.x[j] / s.x[j]
        if a.capped[j]:
            force[j] -= defect.w[j] / (a.cap[j] - s.x[j])
    for k in range(begin, end):
        kind = a.kind[k]
        if kind == EQUAL:
            target[k] = defect.room[k]
        elif kind == UPPER:
            target[k] = defect.room[k] - defect.toll[k] / s.toll[k]
        elif kind == LOWER:
            target[k] = defect.rebate[k] / s.rebate[k] - defect.excess[k]
        elif kind == BOTH:
            upper = (defect.toll[k] - s.toll[k] * defect.room[k]) / s.room[k]
            lower = (defect.rebate[k] - s.rebate[k] * defect.excess[k]) / s.excess[k]
            target[k] = (lower - upper) / (s.toll[k] / s.room[k] + s.rebate[k] / s.excess[k])
        else:
            target[k] = defect.room[k] + defect.rebate[k] / s.rebate[k] - defect.toll[k] / s.toll[k]
    _solve(i, a, f, force[a.pair_start[i] :], target[begin:end], dual[begin:end])
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        dx = step.x[j] = f.columns[j - a.pair_start[i]]
        step.z[j] = (defect.x[j] - s.z[j] * dx) / s.x[j]
        if a.capped[j]:
            step.w[j] = (defect.w[j] + s.w[j] * dx) / (a.cap[j] - s.x[j])
    for k in range(begin, end):
        total = 0.0
        for j in range(a.low[k], a.high[k]):
            total += step.x[j] * (price[a.column[j]] if k == end - 1 else 1.0)
        _recover(k, a.kind[k], s, defect, total, dual[k], step)


@njit(cache=True, fastmath=_REORDER)
def _recover(k: int, kind: int, s: State, defect: State, total: float, dual: float, step: State) -> None:
    """Find the steps of a row's slacks and duals from those of its total and its net dual.

    Of two ways to the same number, the one that does not take it as a small difference of large ones.
    """
    room, toll, excess, rebate = s.room[k], s.toll[k], s.excess[k], s.rebate[k]
    if kind == EQUAL:
        step.toll[k] = dual
        step.room[k] = 0.0
    elif kind == UPPER:
        step.toll[k] = dual
        step.room[k] = (defect.toll[k] - room * dual) / toll if toll > room else defect.room[k] - total
    elif kind == LOWER:
        step.rebate[k] = -dual
        step.excess[k] = (
            (defect.rebate[k] + excess * dual) / rebate if rebate > excess else defect.excess[k] + total
        )
        step.room[k] = step.toll[k] = 0.0
    elif kind == BOTH:
        step.room[k] = defect.room[k] - total
        step.excess[k] = defect.excess[k] + total
        step.toll[k] = (defect.toll[k] - toll * step.room[k]) / room
        step.rebate[k] = (defect.rebate[k] - rebate * step.excess[k]) / excess
        if room * rebate <= toll * excess:
            step.toll[k] = dual + step.rebate[k]
            if toll > room:
                step.room[k] = (defect.toll[k] - room * step.toll[k]) / toll
        else:
            step.rebate[k] = step.toll[k] - dual
            if rebate > excess:
                step.excess[k] = (defect.rebate[k] - excess * step.rebate[k]) / rebate
    else:
        step.toll[k] = dual
        step.rebate[k] = -dual
        step.room[k] = (defect.toll[k] - room * dual) / toll
        step.excess[k] = (defect.rebate[k] + excess * dual) / rebate
        if toll <= room and rebate > excess:
            step.room[k] = defect.room[k] - total + step.excess[k]
        elif rebate <= excess and toll > room:
            step.excess[k] = step.room[k] - defect.room[k] + total


@njit(cache=True, fastmath=_REORDER)
def _decline(i: int, a: Agents, s: State, step: State) -> float:
    """Return the largest relative decrease of an agent's positive variables."""
    worst = 0.0
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        worst = max(worst, -step.x[j] / s.x[j], -step.z[j] / s.z[j])
        if a.capped[j]:
            worst = max(worst, step.x[j] / (a.cap[j] - s.x[j]), -step.w[j] / s.w[j])
    for k in range(a.row_start[i], a.row_start[i + 1]):
        if a.kind[k] == UPPER or a.kind[k] >= BOTH:
            worst = max(worst, -step.room[k] / s.room[k], -step.toll[k] / s.toll[k])
        if a.kind[k] >= LOWER:
            worst = max(worst, -step.excess[k] / s.excess[k], -step.rebate[k] / s.rebate[k])
    return worst


@njit(cache=True, fastmath=_REORDER)
def _move(i: int, a: Agents, s: State, step: State, length: float) -> None:
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        s.x[j] += length * step.x[j]
        s.z[j] += length * step.z[j]
        s.w[j] += length * step.w[j]
    for k in range(a.row_start[i], a.row_start[i + 1]):
        s.room[k] += length * step.room[k]
        s.toll[k] += length * step.toll[k]
        s.excess[k] += length * step.excess[k]
        s.rebate[k] += length * step.rebate[k]


@njit(cache=True, fastmath=_REORDER)
def _defects(i: int, a: Agents, s: State, price: FloatArray, mu: float, defect: State) -> float:
    """Fill in the defects of an agent's equations; return the largest, in units of its own size."""
    begin, end = a.row_start[i], a.row_start[i + 1]
    worst = 0.0
    money = a.money[i] + s.toll[end - 1]
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        product = mu * a.pair_weight[j]
        defect.z[j] = a.value[j] + s.z[j] - money * price[a.column[j]]
        defect.x[j] = product - s.x[j] * s.z[j]
        worst = max(worst, abs(defect.x[j]) / product)
        if a.capped[j]:
            defect.z[j] -= s.w[j]
            defect.w[j] = product - (a.cap[j] - s.x[j]) * s.w[j]
            worst = max(worst, abs(defect.w[j]) / product)
    for k in range(begin, end):
        kind, low, high = a.kind[k], a.low[k], a.high[k]
        product = mu * a.row_weight[k]
        total = 0.0
        if k == end - 1:
            for e in range(a.forced_start[i], a.forced_start[i + 1]):
                total += a.forced[e] * price[a.forced_column[e]]
            for j in range(low, high):
                total += s.x[j] * price[a.column[j]]
        else:
            net = 0.0 if kind == LOWER else s.toll[k]
            if kind in (LOWER, BOTH):
                net -= s.rebate[k]
            for j in range(low, high):
                total += s.x[j]
                defect.z[j] -= net
        if kind == EQUAL:
            defect.room[k] = a.upper[k] - total
            worst = max(worst, abs(defect.room[k]) / mu)
            continue
        if kind != LOWER:
            defect.room[k] = a.upper[k] - total - s.room[k]
            if kind == TAPER:
                defect.room[k] += s.excess[k]
            defect.toll[k] = product - s.room[k] * s.toll[k]
            worst = max(worst, abs(defect.toll[k]) / product, abs(defect.room[k]) / s.room[k])
        if kind >= LOWER:
            defect.excess[k] = 0.0 if kind == TAPER else total - a.lower[k] - s.excess[k]
            defect.rebate[k] = product - s.excess[k] * s.rebate[k]
            worst = max(worst, abs(defect.rebate[k]) / product, abs(defect.excess[k]) / s.excess[k])
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        worst = max(worst, abs(defect.z[j]) / s.z[j])
    return worst


@njit(cache=True, fastmath=_REORDER)
def settle(
    a: Agents, s: State, f: Factors, defect: State, step: State, price: FloatArray, mu: float, tol: float
) -> tuple[int, int]:
    """Bring every agent to her optimum at given prices and μ, in place.

    Parameters
    ----------
    a, s : Agents, State
        The problems, and the point to start from, interior.
    f, defect, step : Factors, State, State
        Room to work in.
    price : FloatArray, shape (n_columns + 1,)
        Prices; the last is 0.
    mu, tol : float
        Barrier parameter; largest defect to leave, relative.

    Returns
    -------
    steps, failures : int
        Newton steps of all agents; agents who did not get there.
    """
    steps = failures = 0
    for i in range(len(a.money)):
        reached = False
        for _ in range(_MOST_STEPS):
            worst = _defects(i, a, s, price, mu, defect)
            if worst < tol:
                reached = True
                break
            if not math.isfinite(worst):
                break
            _factor(i, a, s, price, f)
            _step(i, a, s, f, price, defect, step)
            steps += 1
            decline = _decline(i, a, s, step)
            _move(i, a, s, step, min(1.0, 0.95 / decline) if decline > 0.0 else 1.0)
        if not reached:
            failures += 1
    return steps, failures


@njit(cache=True, fastmath=_REORDER)
def differentiate(
    a: Agents,
    s: State,
    f: Factors,
    defect: State,
    step: State,
    price: FloatArray,
    mu: float,
    drift: FloatArray,
) -> None:
    """Factor every agent's Newton matrix at her optimum, and sum the copies' derivative by log μ.

    Parameters
    ----------
    a, s, f, defect, step, price, mu
        As in :func:`settle`; ``f`` is the result.
    drift : FloatArray, shape (n_columns + 1,)
        Result: copies of each good that all agents take more per unit of log μ.
    """
    still = np.zeros(len(price))
    drift[:] = 0.0
    for i in range(len(a.money)):
        _factor(i, a, s, price, f)
        _pull(i, a, s, price, mu, 1.0, still, defect)
        _step(i, a, s, f, price, defect, step)
        for j in range(a.pair_start[i], a.pair_start[i + 1]):
            drift[a.column[j]] += step.x[j]


@njit(cache=True, fastmath=_REORDER)
def _pull(
    i: int,
    a: Agents,
    s: State,
    price: FloatArray,
    mu: float,
    log_mu_step: float,
    price_step: FloatArray,
    defect: State,
) -> None:
    """Fill in the defects that a step of (log μ, prices) opens in an agent's equations."""
    begin, end = a.row_start[i], a.row_start[i + 1]
    money = a.money[i] + s.toll[end - 1]
    cost = 0.0
    for e in range(a.forced_start[i], a.forced_start[i + 1]):
        cost += a.forced[e] * price_step[a.forced_column[e]]
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        change = price_step[a.column[j]]
        cost += s.x[j] * change
        defect.z[j] = -money * change
        defect.x[j] = defect.w[j] = log_mu_step * mu * a.pair_weight[j]
    for k in range(begin, end):
        defect.room[k] = defect.excess[k] = 0.0
        defect.toll[k] = defect.rebate[k] = log_mu_step * mu * a.row_weight[k]
    defect.room[end - 1] = -cost


@njit(cache=True, fastmath=_REORDER)
def respond(
    a: Agents,
    s: State,
    f: Factors,
    defect: State,
    step: State,
    price: FloatArray,
    mu: float,
    log_mu_step: float,
    price_step: FloatArray,
) -> float:
    """Find every agent's first-order response to a step of (log μ, prices).

    Parameters
    ----------
    a, s, f, defect, price, mu
        As in :func:`differentiate`, which made ``f``.
    step : State
        Result.
    log_mu_step, price_step : float and FloatArray, shape (n_columns + 1,)
        The step.

    Returns
    -------
    float
        Largest relative decrease of a positive variable.
    """
    worst = 0.0
    for i in range(len(a.money)):
        _pull(i, a, s, price, mu, log_mu_step, price_step, defect)
        _step(i, a, s, f, price, defect, step)
        worst = max(worst, _decline(i, a, s, step))
    return worst


@njit(cache=True, fastmath=_REORDER)
def advance(a: Agents, s: State, step: State, length: float) -> None:
    """Move every agent along her step, in place, less where she would leave the interior."""
    for i in range(len(a.money)):
        decline = _decline(i, a, s, step)
        _move(i, a, s, step, min(length, 0.95 / decline) if decline > 0.0 else length)


@njit(cache=True, fastmath=_REORDER)
def sum_slopes(
    a: Agents,
    s: State,
    f: Factors,
    dense: BoolArray,
    begin: int,
    end: int,
    slope: FloatArray,
    left: FloatArray,
    right: FloatArray,
) -> None:
    r"""Add −∂(Σ x)/∂p of agents ``begin:end`` to ``slope``, but for a product left to the caller.

    An agent's is :math:`\alpha V (\Phi_J - W^\top W) V^\top + r (x + f)^\top` where V, the identity on
    J over −C on the basic columns, W from :func:`_factor`, and r her copies' response to money.

    Parameters
    ----------
    a, s, f
        As in :func:`differentiate`.
    dense : BoolArray, shape (n_agents,)
        Agents whose last two terms go to ``left`` and ``right``, for ``slope += left.T @ right``.
    begin, end : int
        Agents.
    slope : FloatArray, shape (n_columns + 1, n_columns + 1)
        Added to.
    left, right : FloatArray, shape (rows of the dense agents, n_columns + 1)
        Zeros; result.
    """
    place = 0
    force = np.zeros(len(f.columns))
    for i in range(begin, end):
        row_begin, row_end, pair = a.row_start[i], a.row_start[i + 1], a.pair_start[i]
        n_pairs, n_rows = a.pair_start[i + 1] - pair, row_end - row_begin
        width = n_pairs + n_rows
        money = a.money[i] + s.toll[row_end - 1]
        column = a.column[pair : pair + n_pairs]
        weight = f.weight[pair + row_begin : pair + row_begin + width]
        table = f.table[a.table_start[i] : a.table_start[i + 1]].reshape((n_rows, width))
        root = f.root[a.square_start[i] : a.square_start[i + 1]].reshape((n_rows, n_rows))
        basic = f.basic[row_begin:row_end]
        # V Φ_J Vᵀ
        for j in range(n_pairs):
            slope[column[j], column[j]] += money * weight[j]
        for r in range(n_rows):
            if basic[r] >= n_pairs:
                continue
            own = column[basic[r]]
            for j in range(n_pairs):
                cross = money * table[r, j] * weight[j]
                slope[own, column[j]] -= cross
                slope[column[j], own] -= cross
            for q in range(n_rows):
                if basic[q] < n_pairs:
                    total = 0.0
                    for c in range(width):
                        total += table[r, c] * weight[c] * table[q, c]
                    slope[own, column[basic[q]]] += money * total
        # W Vᵀ
        spread = np.empty((n_rows, width))
        for r in range(n_rows):
            for c in range(width):
                spread[r, c] = table[r, c] * weight[c]
            for e in range(r):
                for c in range(width):
                    spread[r, c] -= root[r, e] * spread[e, c]
            for c in range(width):
                spread[r, c] /= root[r, r]
        for r in range(n_rows):
            for q in range(n_rows):
                if basic[q] < n_pairs:
                    total = 0.0
                    for c in range(width):
                        if weight[c] != 0.0:
                            total += spread[r, c] * table[q, c]
                    spread[r, basic[q]] = -total
        target, dual = np.zeros(n_rows), np.zeros(n_rows)
        target[n_rows - 1] = 1.0
        _solve(i, a, f, force, target, dual)
        income = f.columns
        if dense[i]:
            for r in range(n_rows):
                for j in range(n_pairs):
                    left[place, column[j]] += spread[r, j]
                    right[place, column[j]] -= money * spread[r, j]
                place += 1
            for j in range(n_pairs):
                left[place, column[j]] += income[j]
                right[place, column[j]] += s.x[pair + j]
            for e in range(a.forced_start[i], a.forced_start[i + 1]):
                right[place, a.forced_column[e]] += a.forced[e]
            place += 1
        else:
            for j in range(n_pairs):
                for m in range(n_pairs):
                    total = 0.0
                    for r in range(n_rows):
                        total += spread[r, j] * spread[r, m]
                    slope[column[j], column[m]] += income[j] * s.x[pair + m] - money * total
                for e in range(a.forced_start[i], a.forced_start[i + 1]):
                    slope[column[j], a.forced_column[e]] += income[j] * a.forced[e]
