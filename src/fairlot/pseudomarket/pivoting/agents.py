r"""Each agent's linear program in bases: their inverses, their duals, their answers to prices.

At prices p agent i solves :math:`\max v_i \cdot x` subject to node bounds, :math:`0 \le x \le c`, and
:math:`p \cdot (x + f) + \sigma = b`, with money left worth :math:`\varepsilon_i \sigma`. A basis pairs the
rows that bind (nodes, and the budget unless σ is basic) with as many goods; of any further goods that she
holds in part, the *superbasic* ones, the market says how much. With B the basis, :math:`a_s` a superbasic
column and :math:`e_b` the budget's unit vector,

.. math::

    dx_B = - B^{-1} a_s\, d\lambda_s - B^{-1} e_b\, (x + f) \cdot dp, \qquad
    d\pi = - \alpha B^{-\top} dp_B .

A breakpoint of a taper is a row that binds where the total is at it; elsewhere its dual is 0 below and the
penalty above. All bounds are kept as what they are: no barrier, no tolerance but rounding.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray

LOW, HIGH, BASIC, SUPER = range(4)
"""Where a pair is: at 0, at its cap, in the basis, superbasic."""
MONEY = -1
"""The budget among an agent's rows."""
MOST_ROWS = 16
"""Most binding rows of an agent."""
PAIR, WANTED, NODE, DUAL, SPENT, FRUGAL, PRICE, SPARE, END = range(9)
"""Events: a held pair reaches a bound; another becomes worth its price; a node's total reaches a bound; its
dual reaches one; money runs out; money is worth keeping; a price reaches 0; a row sells out; the end."""
_RATE = 1e-10
"""Rates below this are rounding."""
_AT = 1e-9
"""Distance from a bound that counts as none."""
_SINGULAR = 1e-11
_TIED = 1e-13


class Data(NamedTuple):
    """A compiled market as flat arrays; ``cap`` is infinite where nodes imply it."""

    start: IntArray
    good: IntArray
    value: FloatArray
    cap: FloatArray
    leaf: IntArray
    node_start: IntArray
    parent: IntArray
    lower: FloatArray
    upper: FloatArray
    penalty: FloatArray
    budget: FloatArray
    epsilon: FloatArray
    forced_start: IntArray
    forced_good: IntArray
    forced: FloatArray
    row_start: IntArray
    row: IntArray


class Bases(NamedTuple):
    """Copies, bases and duals of all agents; everything is changed in place.

    ``inverse[i]`` has a row per basic pair ``cols[i]`` and a column per binding row ``rows[i]``; ``held[i]``
    lists the pairs that are not at 0. Unless ``stale``, an inverse is right at the prices ``paid[i]`` of
    the basic pairs.
    """

    x: FloatArray
    place: npt.NDArray[np.int8]
    tight: BoolArray
    bent: BoolArray
    target: FloatArray
    spent: BoolArray
    y: FloatArray
    alpha: FloatArray
    size: IntArray
    rows: IntArray
    cols: IntArray
    inverse: FloatArray
    n_held: IntArray
    held: IntArray
    stale: BoolArray
    paid: FloatArray


class Rates(NamedTuple):
    """What everything changes by along a direction, totals of nodes and purses, duals summed up the trees."""

    x: FloatArray
    y: FloatArray
    alpha: FloatArray
    total: FloatArray
    total_rate: FloatArray
    money: FloatArray
    money_rate: FloatArray
    above: FloatArray
    above_rate: FloatArray


@njit(cache=True)
def _under(leaf: int, node: int, parent: IntArray) -> bool:
    while leaf >= 0:
        if leaf == node:
            return True
        leaf = parent[leaf]
    return False


@njit(cache=True)
def entry(k: int, row: int, m: Data, price: FloatArray) -> float:
    """Return the coefficient of a pair in a row."""
    if row == MONEY:
        return float(price[m.good[k]])
    return 1.0 if _under(m.leaf[k], row, m.parent) else 0.0


@njit(cache=True)
def gain_of(k: int, i: int, m: Data, b: Bases, price: FloatArray) -> float:
    """Reduced cost of a pair: what a copy is worth beyond its price and the duals of its nodes."""
    gain = m.value[k] - b.alpha[i] * price[m.good[k]]
    a = m.leaf[k]
    while a >= 0:
        gain -= b.y[a]
        a = m.parent[a]
    return float(gain)


@njit(cache=True, error_model="numpy")
def _invert(i: int, m: Data, b: Bases, price: FloatArray, work: FloatArray) -> bool:
    """Invert an agent's basis; False if it is singular."""
    t = b.size[i]
    for r in range(t):
        for c in range(t):
            work[r, t + c] = 1.0 if r == c else 0.0
        for c in range(t):
            work[r, c] = entry(b.cols[i, c], b.rows[i, r], m, price)
    for c in range(t):
        best = c
        for r in range(c + 1, t):
            if abs(work[r, c]) > abs(work[best, c]):
                best = r
        if not abs(work[best, c]) > _SINGULAR:
            return False
        for o in range(2 * t):
            work[c, o], work[best, o] = work[best, o], work[c, o]
        pivot = work[c, c]
        for o in range(2 * t):
            work[c, o] /= pivot
        for r in range(t):
            scale = work[r, c]
            if r != c and scale != 0.0:
                for o in range(2 * t):
                    work[r, o] -= scale * work[c, o]
    for c in range(t):
        for r in range(t):
            b.inverse[i, c, r] = work[c, t + r]
    return True


@njit(cache=True, error_model="numpy")
def _follow(i: int, m: Data, b: Bases, price: FloatArray, work: FloatArray) -> bool:
    """Bring an inverse to new prices, which are in one row of the basis; False if that loses digits."""
    if not b.spent[i]:
        return True
    t = b.size[i]
    at = 0
    while b.rows[i, at] != MONEY:
        at += 1
    scale = 1.0
    for c in range(t):
        change = price[m.good[b.cols[i, c]]] - b.paid[i, c]
        work[1, c] = change
        scale += change * b.inverse[i, c, at]
    if not 0.5 < scale < 2.0:
        return False
    for r in range(t):
        drift = 0.0
        for c in range(t):
            drift += work[1, c] * b.inverse[i, c, r]
        work[0, r] = drift / scale
    for c in range(t):
        held = b.inverse[i, c, at]
        for r in range(t):
            b.inverse[i, c, r] -= held * work[0, r]
        b.paid[i, c] += work[1, c]
    return True


@njit(cache=True, error_model="numpy")
def factor(i: int, m: Data, b: Bases, price: FloatArray, work: FloatArray) -> bool:
    """Invert an agent's basis and find her duals; False if it is singular."""
    t = b.size[i]
    if b.stale[i] or not _follow(i, m, b, price, work):
        if not _invert(i, m, b, price, work):
            return False
        b.stale[i] = False
        for c in range(t):
            b.paid[i, c] = price[m.good[b.cols[i, c]]]
    for a in range(m.node_start[i], m.node_start[i + 1]):
        b.y[a] = m.penalty[a] if b.bent[a] else 0.0
    b.alpha[i] = 0.0 if b.spent[i] else m.epsilon[i]
    for c in range(t):
        work[0, c] = gain_of(b.cols[i, c], i, m, b, price)
    for r in range(t):
        dual = 0.0
        for c in range(t):
            dual += work[0, c] * b.inverse[i, c, r]
        if b.rows[i, r] == MONEY:
            b.alpha[i] = dual
        else:
            b.y[b.rows[i, r]] = dual
    return True


@njit(cache=True)
def factor_all(m: Data, b: Bases, price: FloatArray) -> int:
    """Invert every basis; return the first agent whose basis is singular, -1 if none is."""
    work = np.empty((MOST_ROWS, 2 * MOST_ROWS))
    for i in range(len(m.budget)):
        if not factor(i, m, b, price, work):
            return i
    return -1


@njit(cache=True)
def hold(i: int, m: Data, b: Bases) -> bool:
    """List an agent's pairs that are not at 0; False if they are too many."""
    count = 0
    for k in range(m.start[i], m.start[i + 1]):
        if b.place[k] != LOW:
            if count == b.held.shape[1]:
                return False
            b.held[i, count] = k
            count += 1
    b.n_held[i] = count
    return True


@njit(cache=True)
def hold_copies(m: Data, b: Bases) -> None:
    """List everybody's pairs with copies, before there are bases."""
    for i in range(len(m.budget)):
        b.n_held[i] = 0
        for k in range(m.start[i], m.start[i + 1]):
            if b.x[k] > 0.0:
                b.held[i, b.n_held[i]] = k
                b.n_held[i] += 1


@njit(cache=True)
def advance(b: Bases, step: FloatArray, length: float) -> None:
    """Move copies along a step."""
    for i in range(len(b.n_held)):
        for h in range(b.n_held[i]):
            k = b.held[i, h]
            b.x[k] += length * step[k]


@njit(cache=True)
def clear(b: Bases, step: FloatArray) -> None:
    """Set a step of what is held to 0."""
    for i in range(len(b.n_held)):
        for h in range(b.n_held[i]):
            step[b.held[i, h]] = 0.0


@njit(cache=True)
def totals(m: Data, b: Bases, price: FloatArray, rates: Rates, sold: FloatArray) -> None:
    """Sum copies by node and row, and what money is left."""
    rates.total[:] = 0.0
    sold[:] = 0.0
    for i in range(len(m.budget)):
        left = m.budget[i]
        for h in range(b.n_held[i]):
            k = b.held[i, h]
            x = b.x[k]
            if x != 0.0:
                left -= x * price[m.good[k]]
                if m.leaf[k] >= 0:
                    rates.total[m.leaf[k]] += x
                for e in range(m.row_start[m.good[k]], m.row_start[m.good[k] + 1]):
                    sold[m.row[e]] += x
        for e in range(m.forced_start[i], m.forced_start[i + 1]):
            left -= m.forced[e] * price[m.forced_good[e]]
        rates.money[i] = left
        for a in range(m.node_start[i], m.node_start[i + 1]):
            if m.parent[a] >= 0:
                rates.total[m.parent[a]] += rates.total[a]


@njit(cache=True)
def column(i: int, k: int, m: Data, b: Bases, price: FloatArray, out: FloatArray) -> None:
    """Express a pair's column in the agent's basis."""
    t = b.size[i]
    out[:t] = 0.0
    for r in range(t):
        weight = entry(k, b.rows[i, r], m, price)
        if weight != 0.0:
            for c in range(t):
                out[c] += weight * b.inverse[i, c, r]


@njit(cache=True)
def assemble(
    m: Data,
    b: Bases,
    price: FloatArray,
    owner: IntArray,
    supers: IntArray,
    position: IntArray,
    slopes: FloatArray,
    mix: FloatArray,
) -> None:
    r"""Fill in how sales of priced rows answer prices, H, and superbasic copies, W.

    Parameters
    ----------
    m, b, price
        The market, the bases, the prices of goods.
    owner, supers : IntArray
        Agent of each pair; the superbasic pairs.
    position : IntArray, shape (n_rows,)
        Where a priced row is in the matrices; -1 for the others.
    slopes, mix : FloatArray, shapes (n_priced, n_priced) and (n_priced, n_super)
        Zeros on entry.
    """
    u = np.empty(MOST_ROWS)
    for i in range(len(m.budget)):
        if not b.spent[i]:
            continue
        t = b.size[i]
        at = 0
        while b.rows[i, at] != MONEY:
            at += 1
        for h in range(b.n_held[i] + m.forced_start[i + 1] - m.forced_start[i]):
            if h < b.n_held[i]:
                x, good = b.x[b.held[i, h]], m.good[b.held[i, h]]
            else:
                e = m.forced_start[i] + h - b.n_held[i]
                x, good = m.forced[e], m.forced_good[e]
            if x == 0.0:
                continue
            for e in range(m.row_start[good], m.row_start[good + 1]):
                to = position[m.row[e]]
                if to < 0:
                    continue
                for c in range(t):
                    own = m.good[b.cols[i, c]]
                    for f in range(m.row_start[own], m.row_start[own + 1]):
                        at_row = position[m.row[f]]
                        if at_row >= 0:
                            slopes[at_row, to] -= b.inverse[i, c, at] * x
    for s in range(len(supers)):
        k = supers[s]
        i = owner[k]
        column(i, k, m, b, price, u)
        for c in range(-1, b.size[i]):
            own, weight = (m.good[k], 1.0) if c < 0 else (m.good[b.cols[i, c]], -u[c])
            for f in range(m.row_start[own], m.row_start[own + 1]):
                at_row = position[m.row[f]]
                if at_row >= 0:
                    mix[at_row, s] += weight


@njit(cache=True)
def settle(m: Data, b: Bases, rates: Rates, step: FloatArray, sold_step: FloatArray) -> float:
    """Fill in steps of basic copies that make binding rows hold at these prices; return what is missed."""
    sold_step[:] = 0.0
    worst = 0.0
    for i in range(len(m.budget)):
        for r in range(b.size[i]):
            row = b.rows[i, r]
            miss = rates.money[i] if row == MONEY else b.target[row] - rates.total[row]
            worst = max(worst, abs(miss))
            if miss != 0.0:
                for c in range(b.size[i]):
                    k, change = b.cols[i, c], b.inverse[i, c, r] * miss
                    step[k] += change
                    for e in range(m.row_start[m.good[k]], m.row_start[m.good[k] + 1]):
                        sold_step[m.row[e]] += change
    return worst


@njit(cache=True)
def respond(
    m: Data,
    b: Bases,
    price: FloatArray,
    owner: IntArray,
    supers: IntArray,
    price_rate: FloatArray,
    super_rate: FloatArray,
    step: FloatArray,
) -> None:
    """Add the answer of copies to changes of prices and of superbasic copies."""
    u = np.empty(MOST_ROWS)
    for s in range(len(supers)):
        k = supers[s]
        i = owner[k]
        step[k] += super_rate[s]
        column(i, k, m, b, price, u)
        for c in range(b.size[i]):
            step[b.cols[i, c]] -= u[c] * super_rate[s]
    for i in range(len(m.budget)):
        if not b.spent[i]:
            continue
        cost = 0.0
        for h in range(b.n_held[i]):
            k = b.held[i, h]
            cost += b.x[k] * price_rate[m.good[k]]
        for e in range(m.forced_start[i], m.forced_start[i + 1]):
            cost += m.forced[e] * price_rate[m.forced_good[e]]
        at = 0
        while b.rows[i, at] != MONEY:
            at += 1
        for c in range(b.size[i]):
            step[b.cols[i, c]] -= b.inverse[i, c, at] * cost


@njit(cache=True)
def differentiate(
    m: Data, b: Bases, price: FloatArray, price_rate: FloatArray, sold_rate: FloatArray, rates: Rates
) -> None:
    """Fill in the rates of duals, node totals, money and sales, from those of prices and copies."""
    rates.total_rate[:] = 0.0
    rates.y[:] = 0.0
    rates.alpha[:] = 0.0
    sold_rate[:] = 0.0
    for i in range(len(m.budget)):
        t = b.size[i]
        for r in range(t):
            change = 0.0
            for c in range(t):
                change -= b.alpha[i] * b.inverse[i, c, r] * price_rate[m.good[b.cols[i, c]]]
            if b.rows[i, r] == MONEY:
                rates.alpha[i] = change
            else:
                rates.y[b.rows[i, r]] = change
        left = 0.0
        for h in range(b.n_held[i]):
            k = b.held[i, h]
            dx = rates.x[k]
            left -= b.x[k] * price_rate[m.good[k]] + dx * price[m.good[k]]
            if dx != 0.0:
                if m.leaf[k] >= 0:
                    rates.total_rate[m.leaf[k]] += dx
                for e in range(m.row_start[m.good[k]], m.row_start[m.good[k] + 1]):
                    sold_rate[m.row[e]] += dx
        for e in range(m.forced_start[i], m.forced_start[i + 1]):
            left -= m.forced[e] * price_rate[m.forced_good[e]]
        rates.money_rate[i] = left
        for a in range(m.node_start[i], m.node_start[i + 1]):
            if m.parent[a] >= 0:
                rates.total_rate[m.parent[a]] += rates.total_rate[a]
        for a in range(m.node_start[i + 1] - 1, m.node_start[i] - 1, -1):
            up = m.parent[a]
            rates.above[a] = b.y[a] + (rates.above[up] if up >= 0 else 0.0)
            rates.above_rate[a] = rates.y[a] + (rates.above_rate[up] if up >= 0 else 0.0)


@njit(cache=True)
def gain_rate(k: int, i: int, m: Data, b: Bases, price: FloatArray, d_p: FloatArray, rates: Rates) -> float:
    """Rate of a pair's reduced cost."""
    rate = -b.alpha[i] * d_p[m.good[k]] - rates.alpha[i] * price[m.good[k]]
    return float(rate - rates.above_rate[m.leaf[k]] if m.leaf[k] >= 0 else rate)


@njit(cache=True)
def first_event(
    m: Data, b: Bases, price: FloatArray, d_p: FloatArray, rates: Rates, sign: float
) -> tuple[float, int, int]:
    """Find what happens first to any agent along ``sign`` times the direction: when, what, to what."""
    best, kind, which, speed = np.inf, END, -1, 0.0
    for i in range(len(m.budget)):
        alpha, alpha_rate = b.alpha[i], rates.alpha[i]
        for k in range(m.start[i], m.start[i + 1]):
            where, leaf = b.place[k], m.leaf[k]
            if where >= BASIC:
                z, rate = b.x[k], sign * rates.x[k]
                if rate > 0.0:
                    z, rate = m.cap[k] - z, -rate
                what = PAIR
            else:
                p = price[m.good[k]]
                rate = alpha * d_p[m.good[k]] + alpha_rate * p
                z = alpha * p - m.value[k]
                if leaf >= 0:
                    rate += rates.above_rate[leaf]
                    z += rates.above[leaf]
                rate *= sign
                if where == HIGH:
                    z, rate = -z, -rate
                what = WANTED
            if rate < -_RATE and z <= -rate * (best + _TIED):
                when = max(z, 0.0) / -rate
                if when < best - _TIED or (when < best + _TIED and -rate > speed):
                    best, kind, which, speed = when, what, k, -rate
        for a in range(m.node_start[i], m.node_start[i + 1]):
            if b.tight[a]:
                what, rate = DUAL, sign * rates.y[a]
                if np.isfinite(m.penalty[a]):
                    z = b.y[a]
                    if rate > 0.0:
                        z, rate = m.penalty[a] - z, -rate
                elif m.lower[a] == m.upper[a]:
                    continue
                elif b.target[a] == m.upper[a]:
                    z = b.y[a]
                else:
                    z, rate = -b.y[a], -rate
            else:
                what, rate = NODE, sign * rates.total_rate[a]
                if np.isfinite(m.penalty[a]):
                    z = m.upper[a] - rates.total[a]
                    rate = -rate
                    if b.bent[a]:
                        z, rate = -z, -rate
                elif rate > 0.0:
                    z, rate = m.upper[a] - rates.total[a], -rate
                else:
                    z = rates.total[a] - m.lower[a]
            if rate < -_RATE and z < np.inf:
                when = max(z, 0.0) / -rate
                if when < best - _TIED or (when < best + _TIED and -rate > speed):
                    best, kind, which, speed = when, what, a, -rate
        if b.spent[i]:
            what, z, rate = FRUGAL, b.alpha[i] - m.epsilon[i], sign * rates.alpha[i]
        else:
            what, z, rate = SPENT, rates.money[i], sign * rates.money_rate[i]
        if rate < -_RATE:
            when = max(z, 0.0) / -rate
            if when < best - _TIED or (when < best + _TIED and -rate > speed):
                best, kind, which, speed = when, what, i, -rate
    return best, kind, which


@njit(cache=True)
def gains(m: Data, b: Bases, price: FloatArray, owner: IntArray, pairs: IntArray) -> FloatArray:
    """Reduced costs of some pairs."""
    out = np.empty(len(pairs))
    for s in range(len(pairs)):
        out[s] = gain_of(pairs[s], owner[pairs[s]], m, b, price)
    return out
