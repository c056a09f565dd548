r"""Each agent's smoothed problem at given prices, its Newton steps and its response to prices.

At prices p and barrier parameter μ an agent's consumption is the unique solution of

.. math::

    v = (\varepsilon + \beta) p + E^\top y + w - z, \quad x z = \mu, \quad (c - x) w = \mu, \\
    p \cdot (x + f) + \sigma = b, \quad \beta \sigma = \mu,

and, for each node with total :math:`X = E x` and net dual y, X = h for an equality; for bounds
:math:`r = h - X`, :math:`e = X - l` with :math:`y = t - t'`, :math:`r t = \mu`, :math:`e t' = \mu`; for
a taper's breakpoint :math:`r = h - X + e` with :math:`y = t`, :math:`t + t' = \text{penalty}` and the same
products. (All μ times a weight.) The budget is one more row, with prices for weights, r = σ, t = β.

"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.pricepath.layout import BOTH, EQUAL, LOWER, TAPER, UPPER, Agents
from fairlot.pseudomarket.pricepath.newton import REORDER, Factors, State, factor, solve

_MOST_STEPS = 40
_ROUNDING = 1e-2  # a smaller defect that Newton's method does not halve is rounding


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
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
    solve(i, a, f, force[a.pair_start[i] :], target[begin:end], dual[begin:end])
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


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
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


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
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


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
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


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
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


@njit(cache=True, error_model="numpy", fastmath=REORDER)
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
        Barrier parameter; largest defect to leave, relative, if rounding lets it.

    Returns
    -------
    steps, failures : int
        Newton steps of all agents; agents who did not get there.
    """
    steps = failures = 0
    for i in range(len(a.money)):
        reached = False
        before = math.inf
        for _ in range(_MOST_STEPS):
            worst = _defects(i, a, s, price, mu, defect)
            if worst < tol or (worst < _ROUNDING and worst > 0.5 * before):
                reached = True
                break
            if not math.isfinite(worst):
                break
            before = worst
            factor(i, a, s, price, f)
            _step(i, a, s, f, price, defect, step)
            steps += 1
            decline = _decline(i, a, s, step)
            _move(i, a, s, step, min(1.0, 0.95 / decline) if decline > 0.0 else 1.0)
        if not reached:
            failures += 1
    return steps, failures


@njit(cache=True, error_model="numpy", fastmath=REORDER)
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
        factor(i, a, s, price, f)
        _pull(i, a, s, price, mu, 1.0, still, defect)
        _step(i, a, s, f, price, defect, step)
        for j in range(a.pair_start[i], a.pair_start[i + 1]):
            drift[a.column[j]] += step.x[j]


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
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


@njit(cache=True, error_model="numpy", fastmath=REORDER)
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


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def advance(a: Agents, s: State, step: State, length: float) -> None:
    """Move every agent along her step, in place, less where she would leave the interior."""
    for i in range(len(a.money)):
        decline = _decline(i, a, s, step)
        _move(i, a, s, step, min(length, 0.95 / decline) if decline > 0.0 else length)
