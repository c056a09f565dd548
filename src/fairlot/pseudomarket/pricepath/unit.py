r"""Agents under one bound: their Newton matrices in closed form.

If one bound :math:`\sum_j x_j \le h` (or = h) holds all that every agent may want, as under unit demand,
what is left of her Newton system (:mod:`~fairlot.pseudomarket.pricepath.agents`) after eliminating
:math:`dx = h' - D\,(p\,d\beta + dy)`, :math:`D = x/z`, is two equations in (dy, dβ). Centred at
:math:`m = \sum D p / S_0` they separate:

.. math::

    S_0 = \sum_j D_j + \frac{r}{y}, \qquad
    S_2 = \sum_j D_j (p_j - m)^2 + m^2 \frac{r}{y} + \frac{\sigma}{\beta}, \\
    d\beta = (g_\beta - m g_y) / S_2, \qquad dy = g_y / S_0 - m\, d\beta,

without r/y for an equality, and her demand falls with prices by

.. math:: -\frac{\partial x}{\partial p} = \alpha \Big( \mathrm{diag}\, D - \frac{D D^\top}{S_0} \Big)
    + \frac{D (p - m)\, \big(x - \alpha D (p - m)\big)^\top}{S_2}, \qquad \alpha = \varepsilon + \beta .

This costs a few operations per pair instead of a factorisation. Unlike the dominant bases of
:mod:`~fairlot.pseudomarket.pricepath.newton` it subtracts, and serves down to :data:`LEAST_MU` only;
polishing goes on from there.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.compiled import CompiledMarket
from fairlot.pseudomarket.pricepath.layout import EQUAL, Agents
from fairlot.pseudomarket.pricepath.newton import REORDER, State

LEAST_MU = 1e-8
"""Barrier parameter below which cancellation shows."""
_MOST_STEPS = 40
_ROUNDING = 1e-2  # a smaller defect that Newton's method does not halve is rounding


def wants_one_bound(compiled: CompiledMarket) -> bool:
    """Say whether every agent has one bound over all her pairs, and nothing else to mind."""
    nodes = np.diff(compiled.node_start)[np.diff(compiled.start) > 0]
    if compiled.capped.any() or compiled.forced.any() or not compiled.n_pairs or (nodes != 1).any():
        return False
    node = compiled.chain[:, 0]
    inside = bool((node >= 0).all())
    upper, lower = compiled.upper[node], compiled.lower[node]
    hard = np.isfinite(upper) & np.isinf(compiled.penalty[node])
    return inside and bool((hard & ((lower == upper) | (lower == -np.inf))).all())


@njit(cache=True, error_model="numpy", fastmath=REORDER, forceinline=True)
def _spread(
    i: int, a: Agents, s: State, price: FloatArray, slope: FloatArray, s_0: float, m: float
) -> tuple[float, float]:
    """Add the bound's slack to S₀, and sum S₂; m comes as Σ D p."""
    node = 2 * i
    give = 0.0 if a.kind[node] == EQUAL else s.room[node] / s.toll[node]
    s_0 += give
    m /= s_0
    s_2 = s.room[node + 1] / s.toll[node + 1] + m * m * give
    for j in range(a.pair_start[i], a.pair_start[i + 1]):
        s_2 += slope[j] * (price[a.column[j]] - m) ** 2
    return s_0, s_2


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def settle(
    a: Agents, s: State, slope: FloatArray, step: State, price: FloatArray, mu: float, tol: float
) -> tuple[int, int]:
    """Bring every agent to her optimum at given prices and μ, in place.

    Parameters
    ----------
    a, s, step, price, mu, tol
        As for :func:`fairlot.pseudomarket.pricepath.agents.settle`.
    slope : FloatArray, shape (n_pairs,)
        Room for D.

    Returns
    -------
    steps, failures : int
        Newton steps of all agents; agents who did not get there.
    """
    steps = failures = 0
    for i in range(len(a.money)):
        begin, end = a.pair_start[i], a.pair_start[i + 1]
        node, purse = 2 * i, 2 * i + 1
        tied = a.kind[node] == EQUAL
        before, reached = math.inf, False
        for _ in range(_MOST_STEPS):
            alpha, lift = a.money[i] + s.toll[purse], s.toll[node]
            total = spent = s_0 = s_p = g_y = g_b = worst = 0.0
            for j in range(begin, end):
                p, x, z = price[a.column[j]], s.x[j], s.z[j]
                inverse = 1.0 / (x * z)  # divisions are what all this costs
                gap = alpha * p + lift - a.value[j] - z
                miss = mu * a.pair_weight[j] * inverse - 1.0
                pressed = gap * x * inverse
                worst = max(worst, abs(miss), abs(pressed))
                d = x * x * inverse
                drawn = x * (miss - pressed)
                slope[j], step.x[j], step.z[j] = d, drawn, inverse
                total += x
                spent += x * p
                s_0 += d
                s_p += d * p
                g_y += drawn
                g_b += drawn * p
            short = a.upper[node] - total
            left = a.upper[purse] - spent - s.room[purse]
            miss_y = mu * a.row_weight[node] - s.room[node] * s.toll[node]
            miss_b = mu * a.row_weight[purse] - s.room[purse] * s.toll[purse]
            worst = max(worst, abs(left) / s.room[purse], abs(miss_b) / (mu * a.row_weight[purse]))
            if tied:
                worst = max(worst, abs(short) / mu)
            else:
                short -= s.room[node]
                worst = max(worst, abs(short) / s.room[node], abs(miss_y) / (mu * a.row_weight[node]))
                g_y += miss_y / s.toll[node]
            if worst < tol or (worst < _ROUNDING and worst > 0.5 * before):
                reached = True
                break
            if not math.isfinite(worst):
                break
            before = worst
            s_0, s_2 = _spread(i, a, s, price, slope, s_0, s_p)
            m = s_p / s_0
            g_y -= short
            g_b += miss_b / s.toll[purse] - left
            d_b = (g_b - m * g_y) / s_2
            d_y = g_y / s_0 - m * d_b
            moved = paid = 0.0
            decline = -d_b / s.toll[purse]
            for j in range(begin, end):
                p, x, z = price[a.column[j]], s.x[j], s.z[j]
                dx = step.x[j] - slope[j] * (p * d_b + d_y)
                grown = dx * z * step.z[j]
                risen = mu * a.pair_weight[j] * step.z[j] - 1.0 - grown
                step.x[j], step.z[j] = dx, z * risen
                moved += dx
                paid += dx * p
                decline = max(decline, -grown, -risen)
            d_left = left - paid
            if s.toll[purse] > s.room[purse]:
                d_left = (miss_b - s.room[purse] * d_b) / s.toll[purse]
            decline = max(decline, -d_left / s.room[purse])
            d_room = 0.0
            if not tied:
                d_room = short - moved
                if s.toll[node] > s.room[node]:
                    d_room = (miss_y - s.room[node] * d_y) / s.toll[node]
                decline = max(decline, -d_y / s.toll[node], -d_room / s.room[node])
            length = min(1.0, 0.95 / decline) if decline > 0.0 else 1.0
            for j in range(begin, end):
                s.x[j] += length * step.x[j]
                s.z[j] += length * step.z[j]
            s.toll[node] += length * d_y
            s.room[node] += length * d_room
            s.toll[purse] += length * d_b
            s.room[purse] += length * d_left
            steps += 1
        if not reached:
            failures += 1
    return steps, failures


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def differentiate(
    a: Agents, s: State, slope: FloatArray, sums: FloatArray, price: FloatArray, mu: float, drift: FloatArray
) -> None:
    """Fill in D and (S₀, m, S₂) of every agent at her optimum, and sum the copies' derivative by log μ.

    Parameters
    ----------
    a, s, price, mu, drift
        As for :func:`fairlot.pseudomarket.pricepath.agents.differentiate`.
    slope, sums : FloatArray, shapes (n_pairs,) and (n, 3)
        Results.
    """
    drift[:] = 0.0
    for i in range(len(a.money)):
        begin, end = a.pair_start[i], a.pair_start[i + 1]
        node, purse = 2 * i, 2 * i + 1
        s_0 = s_p = g_y = g_b = 0.0
        for j in range(begin, end):
            p = price[a.column[j]]
            inverse = 1.0 / s.z[j]
            d = s.x[j] * inverse
            slope[j] = d
            drawn = mu * a.pair_weight[j] * inverse
            s_0 += d
            s_p += d * p
            g_y += drawn
            g_b += drawn * p
        s_0, s_2 = _spread(i, a, s, price, slope, s_0, s_p)
        m = s_p / s_0
        sums[i, 0], sums[i, 1], sums[i, 2] = s_0, m, s_2
        if a.kind[node] != EQUAL:
            g_y += mu * a.row_weight[node] / s.toll[node]
        g_b += mu * a.row_weight[purse] / s.toll[purse]
        d_b = (g_b - m * g_y) / s_2
        d_y = g_y / s_0 - m * d_b
        for j in range(begin, end):
            c = a.column[j]
            drift[c] += mu * a.pair_weight[j] / s.z[j] - slope[j] * (price[c] * d_b + d_y)


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def wide_slopes(
    a: Agents,
    s: State,
    slope: FloatArray,
    sums: FloatArray,
    price: FloatArray,
    begin: int,
    end: int,
    rows: FloatArray,
    diagonal: FloatArray,
) -> None:
    r"""Write −∂(Σ x)/∂p of agents ``begin:end`` as diag + TᵀX − LᵀL, for those who want most goods.

    Parameters
    ----------
    a, s, slope, sums, price
        As left by :func:`differentiate`.
    begin, end : int
        Agents.
    rows : FloatArray, shape (3, end - begin, n_columns + 1)
        Zeros; L, T and X.
    diagonal : FloatArray, shape (n_columns + 1,)
        Added to.
    """
    for i in range(begin, end):
        alpha = a.money[i] + s.toll[2 * i + 1]
        flat, m, steep = math.sqrt(alpha / sums[i, 0]), sums[i, 1], 1.0 / math.sqrt(sums[i, 2])
        for j in range(a.pair_start[i], a.pair_start[i + 1]):
            c = a.column[j]
            tilt = steep * slope[j] * (price[c] - m)
            rows[0, i - begin, c] += flat * slope[j]
            rows[1, i - begin, c] += tilt
            rows[2, i - begin, c] += steep * s.x[j] - alpha * tilt
            diagonal[c] += alpha * slope[j]


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def narrow_slopes(
    a: Agents, s: State, slope: FloatArray, sums: FloatArray, price: FloatArray, total: FloatArray
) -> None:
    """Add up −∂(Σ x)/∂p entry by entry, for agents who want few goods.

    Parameters
    ----------
    a, s, slope, sums, price
        As left by :func:`differentiate`.
    total : FloatArray, shape (n_columns + 1, n_columns + 1)
        Added to.
    """
    for i in range(len(a.money)):
        begin, end = a.pair_start[i], a.pair_start[i + 1]
        alpha = a.money[i] + s.toll[2 * i + 1]
        s_0, m, s_2 = sums[i, 0], sums[i, 1], sums[i, 2]
        for j in range(begin, end):
            c = a.column[j]
            row = total[c]
            row[c] += alpha * slope[j]
            flat = alpha * slope[j] / s_0
            tilt = slope[j] * (price[c] - m) / s_2
            for k in range(begin, end):
                o = a.column[k]
                row[o] += tilt * (s.x[k] - alpha * slope[k] * (price[o] - m)) - flat * slope[k]


@njit(cache=True, error_model="numpy", fastmath=REORDER)
def respond(
    a: Agents,
    s: State,
    slope: FloatArray,
    sums: FloatArray,
    step: State,
    price: FloatArray,
    mu: float,
    log_mu_step: float,
    price_step: FloatArray,
) -> float:
    """Find every agent's first-order response to a step of (log μ, prices).

    Parameters
    ----------
    a, s, step, price, mu, log_mu_step, price_step
        As for :func:`fairlot.pseudomarket.pricepath.agents.respond`.
    slope, sums : FloatArray
        From :func:`differentiate`.

    Returns
    -------
    float
        Largest relative decrease of a positive variable.
    """
    worst = 0.0
    drop = log_mu_step * mu
    for i in range(len(a.money)):
        begin, end = a.pair_start[i], a.pair_start[i + 1]
        node, purse = 2 * i, 2 * i + 1
        tied = a.kind[node] == EQUAL
        alpha = a.money[i] + s.toll[purse]
        g_y = cost = 0.0
        g_b = drop * a.row_weight[purse] / s.toll[purse]
        for j in range(begin, end):
            change, x = price_step[a.column[j]], s.x[j]
            inverse = 1.0 / (x * s.z[j])
            drawn = drop * a.pair_weight[j] * inverse * x - alpha * slope[j] * change
            step.x[j], step.z[j] = drawn, inverse
            g_y += drawn
            g_b += drawn * price[a.column[j]]
            cost += x * change
        g_b += cost
        if not tied:
            g_y += drop * a.row_weight[node] / s.toll[node]
        d_b = (g_b - sums[i, 1] * g_y) / sums[i, 2]
        d_y = g_y / sums[i, 0] - sums[i, 1] * d_b
        moved = paid = 0.0
        worst = max(worst, -d_b / s.toll[purse])
        for j in range(begin, end):
            p, z = price[a.column[j]], s.z[j]
            dx = step.x[j] - slope[j] * (p * d_b + d_y)
            grown = dx * z * step.z[j]
            risen = drop * a.pair_weight[j] * step.z[j] - grown
            step.x[j], step.z[j] = dx, z * risen
            moved += dx
            paid += dx * p
            worst = max(worst, -grown, -risen)
        step.toll[node], step.toll[purse] = d_y, d_b
        step.room[purse] = -cost - paid
        if s.toll[purse] > s.room[purse]:
            step.room[purse] = (drop * a.row_weight[purse] - s.room[purse] * d_b) / s.toll[purse]
        worst = max(worst, -step.room[purse] / s.room[purse])
        step.room[node] = 0.0
        if not tied:
            step.room[node] = -moved
            if s.toll[node] > s.room[node]:
                step.room[node] = (drop * a.row_weight[node] - s.room[node] * d_y) / s.toll[node]
            worst = max(worst, -d_y / s.toll[node], -step.room[node] / s.room[node])
    return worst
