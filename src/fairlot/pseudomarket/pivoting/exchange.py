r"""Exchanges of one agent's basis: her first basis, and what enters when something has to leave.

Variables of an agent are told by a number: a pair by its own, what is left of her budget by -1, the slack of
node a by :math:`-2-a`. The slack g of a node is kept as :math:`g = -Ex`, so that a total at its upper bound
is a slack at its lower one.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.pivoting.agents import (
    BASIC,
    HIGH,
    LOW,
    MONEY,
    MOST_ROWS,
    SUPER,
    Bases,
    Data,
    column,
    entry,
    factor,
    gain_of,
    hold,
)

NOTHING = -(2**62)
_AT = 1e-9
_WRONG = 1e-9
"""Reduced cost, of the wrong sign, from which a variable has to enter."""
_BLOCKS = 1e-9
_SWAP = 1e-6
"""Least coefficient at which a superbasic pair replaces a leaving one."""
_ELIGIBLE = 1e-9
_MOST_EXCHANGES = 200


@njit(cache=True)
def exchange(i: int, leaving: int, entering: int, m: Data, b: Bases, total: FloatArray) -> bool:
    """Let one variable leave an agent's basis and another enter; False if there are too many rows.

    Where a leaving pair goes is left to the caller; a leaving slack binds at the bound that it is at.
    """
    n_rows = n_cols = b.size[i]
    b.stale[i] = True
    if leaving >= 0:
        c = 0
        while b.cols[i, c] != leaving:
            c += 1
        n_cols -= 1
        b.cols[i, c] = b.cols[i, n_cols]
    if entering < 0:
        r, row = 0, MONEY if entering == -1 else -2 - entering
        while b.rows[i, r] != row:
            r += 1
        n_rows -= 1
        b.rows[i, r] = b.rows[i, n_rows]
        if row == MONEY:
            b.spent[i] = False
        else:
            b.tight[row] = False
    if max(n_rows + (leaving < 0), n_cols + (entering >= 0)) > MOST_ROWS:
        return False
    if leaving < 0:
        row = MONEY if leaving == -1 else -2 - leaving
        b.rows[i, n_rows] = row
        n_rows += 1
        if row == MONEY:
            b.spent[i] = True
        else:
            near_upper = m.upper[row] - total[row] <= total[row] - m.lower[row]
            b.target[row] = m.upper[row] if near_upper else m.lower[row]
            b.tight[row], b.bent[row] = True, False
    if entering >= 0:
        b.cols[i, n_cols] = entering
        b.place[entering] = BASIC
        n_cols += 1
    b.size[i] = n_rows
    return True


@njit(cache=True)
def _tableau(i: int, leaving: int, m: Data, b: Bases, price: FloatArray, rho: FloatArray) -> None:
    """Find the leaving variable's row of the tableau: a combination of binding rows, a slack's own aside."""
    t = b.size[i]
    rho[:t] = 0.0
    for c in range(t):
        if leaving >= 0:
            weight = 1.0 if b.cols[i, c] == leaving else 0.0
        else:
            weight = -entry(b.cols[i, c], MONEY if leaving == -1 else -2 - leaving, m, price)
        if weight != 0.0:
            for r in range(t):
                rho[r] += weight * b.inverse[i, c, r]


@njit(cache=True)
def _coefficient(
    i: int, k: int, leaving: int, m: Data, b: Bases, price: FloatArray, rho: FloatArray
) -> float:
    total = 0.0 if leaving >= 0 else entry(k, MONEY if leaving == -1 else -2 - leaving, m, price)
    for r in range(b.size[i]):
        if rho[r] != 0.0:
            total += rho[r] * entry(k, b.rows[i, r], m, price)
    return float(total)


@njit(cache=True)
def replacement(
    i: int, leaving: int, sense: float, m: Data, b: Bases, price: FloatArray
) -> tuple[int, float]:
    """Find what enters for a basic variable at a bound: a superbasic pair, or what a dual step meets first.

    Parameters
    ----------
    i, leaving : int
        Agent and variable.
    sense : float
        1 if it is at its lower bound, -1 if at its upper one.

    Returns
    -------
    entering : int
        ``NOTHING`` if there is nothing.
    inward : float
        0 for a superbasic pair; else which way the entering variable is going to move.
    """
    rho = np.empty(MOST_ROWS)
    _tableau(i, leaving, m, b, price, rho)
    best, size = NOTHING, _SWAP
    for k in range(m.start[i], m.start[i + 1]):
        if b.place[k] == SUPER:
            weight = abs(_coefficient(i, k, leaving, m, b, price, rho))
            if weight > size:
                best, size = k, weight
    if best != NOTHING:
        return best, 0.0
    least, inward = np.inf, 0.0
    for k in range(m.start[i], m.start[i + 1]):
        if b.place[k] > HIGH:
            continue
        way = 1.0 if b.place[k] == LOW else -1.0
        weight = _coefficient(i, k, leaving, m, b, price, rho)
        if -weight * sense * way > _ELIGIBLE:
            ratio = abs(gain_of(k, i, m, b, price)) / abs(weight)
            if ratio < least or (ratio == least and abs(weight) > size):
                best, least, size, inward = k, ratio, abs(weight), way
    for r in range(b.size[i]):
        row = b.rows[i, r]
        way, cost = 1.0, 0.0
        if row == MONEY:
            cost = b.alpha[i] - m.epsilon[i]
        elif np.isfinite(m.penalty[row]):
            way = 1.0 if -rho[r] * sense > 0.0 else -1.0
            cost = b.y[row] if way > 0.0 else m.penalty[row] - b.y[row]
        elif m.lower[row] == m.upper[row]:
            continue
        else:
            way, cost = (1.0 if b.target[row] == m.upper[row] else -1.0), abs(b.y[row])
        if -rho[r] * sense * way > _ELIGIBLE and abs(cost) / abs(rho[r]) < least:
            least, inward = abs(cost) / abs(rho[r]), way
            best = -1 if row == MONEY else -2 - row
    return best, inward


@njit(cache=True, error_model="numpy")
def crash(i: int, m: Data, b: Bases, price: FloatArray, total: FloatArray, left: float) -> bool:
    """Find an agent's optimal basis at prices at which her copies are optimal; False if they are not.

    Copies in part come into it as far as their columns are independent on the rows that bind. Exchanges
    without any movement, as of the simplex method, put duals right.
    """
    n_free = n_rows = 0
    free = np.empty(m.start[i + 1] - m.start[i], dtype=np.int64)
    rows = np.empty(m.node_start[i + 1] - m.node_start[i] + 1, dtype=np.int64)
    for k in range(m.start[i], m.start[i + 1]):
        if b.x[k] <= _AT:
            b.x[k], b.place[k] = 0.0, LOW
        elif b.x[k] >= m.cap[k] - _AT:
            b.x[k], b.place[k] = m.cap[k], HIGH
        else:
            b.place[k] = SUPER
            free[n_free] = k
            n_free += 1
    if left <= _AT * m.budget[i]:
        rows[0] = MONEY
        n_rows = 1
    for a in range(m.node_start[i], m.node_start[i + 1]):
        b.tight[a] = False
        soft = np.isfinite(m.penalty[a])
        b.bent[a] = soft and total[a] > m.upper[a] + _AT
        if abs(total[a] - m.upper[a]) <= _AT or (not soft and abs(total[a] - m.lower[a]) <= _AT):
            rows[n_rows] = a
            n_rows += 1
    b.spent[i], b.size[i], b.stale[i] = False, 0, True
    table = np.empty((n_rows, n_free))
    for r in range(n_rows):
        for c in range(n_free):
            table[r, c] = entry(free[c], rows[r], m, price)
    for step in range(min(n_rows, n_free)):
        pr, pc = step, step
        for r in range(step, n_rows):
            for c in range(step, n_free):
                if abs(table[r, c]) > abs(table[pr, pc]):
                    pr, pc = r, c
        if not abs(table[pr, pc]) > 1e-7:
            break
        for c in range(n_free):
            table[step, c], table[pr, c] = table[pr, c], table[step, c]
        for r in range(n_rows):
            table[r, step], table[r, pc] = table[r, pc], table[r, step]
        rows[step], rows[pr] = rows[pr], rows[step]
        free[step], free[pc] = free[pc], free[step]
        for r in range(step + 1, n_rows):
            scale = table[r, step] / table[step, step]
            for c in range(step, n_free):
                table[r, c] -= scale * table[step, c]
        slack = -1 if rows[step] == MONEY else -2 - rows[step]
        if not exchange(i, slack, free[step], m, b, total):
            return False
    u, work = np.empty(MOST_ROWS), np.empty((MOST_ROWS, 2 * MOST_ROWS))
    for _ in range(_MOST_EXCHANGES):
        if not factor(i, m, b, price, work):
            return False
        entering, way = _wrong(i, m, b, price)
        if entering == NOTHING:
            return True
        t = b.size[i]
        if entering >= 0:
            column(i, entering, m, b, price, u)
        else:
            r = 0
            while b.rows[i, r] != (MONEY if entering == -1 else -2 - entering):
                r += 1
            for c in range(t):
                u[c] = b.inverse[i, c, r]
        leaving = _blocking(i, entering, way, u, m, b, price, total, left)
        if leaving == NOTHING:
            return False
        if leaving >= 0:
            b.place[leaving] = HIGH if b.x[leaving] > 0.5 * m.cap[leaving] else LOW
        if not exchange(i, leaving, entering, m, b, total):
            return False
        if entering < -1:
            b.bent[-2 - entering] = way < 0.0 and np.isfinite(m.penalty[-2 - entering])
    return False


@njit(cache=True)
def _wrong(i: int, m: Data, b: Bases, price: FloatArray) -> tuple[int, float]:
    """Find the variable whose reduced cost is most wrong, and which way it would move."""
    best, way, worst = NOTHING, 0.0, _WRONG
    for k in range(m.start[i], m.start[i + 1]):
        if b.place[k] == BASIC:
            continue
        gain = gain_of(k, i, m, b, price)
        if (gain > worst and b.place[k] != HIGH) or (-gain > worst and b.place[k] != LOW):
            best, way, worst = k, (1.0 if gain > 0.0 else -1.0), abs(gain)
    for r in range(b.size[i]):
        row = b.rows[i, r]
        if row == MONEY:
            if m.epsilon[i] - b.alpha[i] > worst:
                best, way, worst = -1, 1.0, m.epsilon[i] - b.alpha[i]
            continue
        y = b.y[row]
        if np.isfinite(m.penalty[row]):
            if -y > worst:
                best, way, worst = -2 - row, 1.0, -y
            elif y - m.penalty[row] > worst:
                best, way, worst = -2 - row, -1.0, y - m.penalty[row]
        elif m.lower[row] != m.upper[row]:
            sign = 1.0 if b.target[row] == m.upper[row] else -1.0
            if -sign * y > worst:
                best, way, worst = -2 - row, sign, -sign * y
    return best, way


@njit(cache=True)
def _blocking(
    i: int,
    entering: int,
    way: float,
    u: FloatArray,
    m: Data,
    b: Bases,
    price: FloatArray,
    total: FloatArray,
    left: float,
) -> int:
    """Find the basic variable that does not let the entering one move at all."""
    best, speed = NOTHING, _BLOCKS
    t = b.size[i]
    for c in range(t):
        k, rate = b.cols[i, c], -way * u[c]
        if abs(rate) > speed and (b.x[k] <= _AT if rate < 0.0 else b.x[k] >= m.cap[k] - _AT):
            best, speed = k, abs(rate)
    for a in range(m.node_start[i] - 1, m.node_start[i + 1]):
        row = MONEY if a < m.node_start[i] else a
        if b.spent[i] if row == MONEY else b.tight[a]:
            continue
        rate = way * entry(entering, row, m, price) if entering >= 0 else 0.0
        for c in range(t):
            rate -= way * u[c] * entry(b.cols[i, c], row, m, price)
        if abs(rate) <= speed:
            continue
        if row == MONEY:
            blocked = rate > 0.0 and left <= _AT * m.budget[i]
        elif np.isfinite(m.penalty[a]):
            at = abs(total[a] - m.upper[a]) <= _AT
            blocked = at and (rate < 0.0 if b.bent[a] else rate > 0.0)
        else:
            blocked = total[a] >= m.upper[a] - _AT if rate > 0.0 else total[a] <= m.lower[a] + _AT
        if blocked:
            best, speed = (-1 if row == MONEY else -2 - a), abs(rate)
    return best


@njit(cache=True)
def crash_all(m: Data, b: Bases, price: FloatArray, total: FloatArray, left: FloatArray) -> int:
    """Find every agent's first basis; return the first agent without, -1 if all have one."""
    for i in range(len(m.budget)):
        if not crash(i, m, b, price, total, left[i]) or not hold(i, m, b):
            return i
    return -1
