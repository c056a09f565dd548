r"""From an equilibrium of other supply to one of the market's own, along a path of equilibria.

An earlier equilibrium is an exact one of a market whose supply :math:`B(0)` is what is bought at its prices.
Along :math:`B(t) = (1-t) B(0) + t B` equilibria form a curve in (prices, copies, t), smooth as long as the
same copies are held in part, the same bounds bind and the same goods have a price. On such a piece everything
is a function of the prices q of priced rows and of superbasic copies λ
(:mod:`~fairlot.pseudomarket.pivoting.agents`), whose rates solve

.. math::

    \begin{pmatrix} H & W \\ W^\top & 0 \end{pmatrix} \begin{pmatrix} \dot q \\ \dot\lambda \end{pmatrix}
    = \begin{pmatrix} \dot B \\ 0 \end{pmatrix}, \qquad
    W_s = e_s - B_i^{-1} a_s, \quad H = - \sum_i B_i^{-1} e_b (x_i + f_i)^\top .

Where a variable meets a bound, one exchange leads to the next piece. The variable that the exchange sets free
has to move into its range, which says whether t goes on or turns back.
"""

from __future__ import annotations

import time

import numpy as np
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint.start import prices_of_money
from fairlot.pseudomarket.pivoting.agents import (
    DUAL,
    END,
    FRUGAL,
    HIGH,
    LOW,
    MONEY,
    MOST_ROWS,
    NODE,
    PAIR,
    PRICE,
    SPARE,
    SPENT,
    SUPER,
    WANTED,
    Bases,
    Data,
    Rates,
    advance,
    assemble,
    clear,
    differentiate,
    factor_all,
    first_event,
    gain_rate,
    gains,
    hold,
    hold_copies,
    respond,
    settle,
    totals,
)
from fairlot.pseudomarket.pivoting.demand import best_copies
from fairlot.pseudomarket.pivoting.exchange import NOTHING, crash_all, exchange, replacement
from fairlot.pseudomarket.pivoting.saddle import Saddle

_MOST_PIECES = 800
_EXACT = 1e-13
_ROUGH = 1e-7
_LOST = 0.5
_CORRECTIONS = 8
_LONGER = 10.0
_RATE = 1e-10
_DUST = 1e-10
"""Price below which a row has none."""
_LEAST_T = -0.5
_MORE_HELD = 12
_MOST_ASKED = 20
"""Agents who may choose anew at the old prices; where there are more the market is another one."""
_STRIDE = 0.1
"""Largest change of a price in one step, in itself and a tenth of the mean budget."""


def shift_equilibrium(
    compiled: CompiledMarket, near: Point, *, deadline: float | None = None, max_iter: int | None = None
) -> Point | None:
    """Follow equilibria from one of other supply to one of the market.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    near : Point
        At which every agent's copies are optimal, whatever they leave of supply.
    deadline : float, optional
        Value of ``time.monotonic`` at which to give up.
    max_iter : int, optional
        Factorisations, one a piece, after which to give up.

    Returns
    -------
    Point or None
        None if the path was lost, or led back.
    """
    with np.errstate(all="ignore"):  # a path that is lost ends, it is no error
        path = _Path(compiled, near)
        if not path.begin():
            return None
        most = _MOST_PIECES if max_iter is None else min(max_iter, _MOST_PIECES)
        return path.run(most, np.inf if deadline is None else deadline)


class _Path:
    def __init__(self, compiled: CompiledMarket, near: Point) -> None:
        c = self.compiled = compiled
        forced = self.forced = c.forced_matrix
        columns = sp.csc_array(c.rows)
        leaf = np.ascontiguousarray(c.chain[:, 0]) if c.chain.shape[1] else np.full(c.n_pairs, -1)
        self.data = Data(
            c.start,
            c.good,
            c.value,
            np.where(c.capped, c.cap, np.inf),
            leaf.astype(np.int64),
            c.node_start,
            c.parent,
            c.lower,
            c.upper,
            c.penalty,
            c.budget,
            np.minimum(prices_of_money(c), 0.5 * near.alpha),
            forced.indptr.astype(np.int64),
            forced.indices.astype(np.int64),
            forced.data,
            columns.indptr.astype(np.int64),
            columns.indices.astype(np.int64),
        )
        n, n_nodes = c.n_agents, c.n_nodes
        most_held = int(np.bincount(c.agent, near.x > 0.0, minlength=n).max()) + _MORE_HELD
        self.bases = Bases(
            x=near.x.copy(),
            place=np.zeros(c.n_pairs, dtype=np.int8),
            tight=np.zeros(n_nodes, dtype=bool),
            bent=np.zeros(n_nodes, dtype=bool),
            target=np.zeros(n_nodes),
            spent=np.zeros(n, dtype=bool),
            y=np.zeros(n_nodes),
            alpha=np.zeros(n),
            size=np.zeros(n, dtype=np.int64),
            rows=np.zeros((n, MOST_ROWS), dtype=np.int64),
            cols=np.zeros((n, MOST_ROWS), dtype=np.int64),
            inverse=np.zeros((n, MOST_ROWS, MOST_ROWS)),
            n_held=np.zeros(n, dtype=np.int64),
            held=np.zeros((n, most_held), dtype=np.int64),
            stale=np.ones(n, dtype=bool),
            paid=np.zeros((n, MOST_ROWS)),
        )
        self.rates = Rates(
            np.zeros(c.n_pairs),
            np.zeros(n_nodes),
            np.zeros(n),
            np.zeros(n_nodes),
            np.zeros(n_nodes),
            np.zeros(n),
            np.zeros(n),
            np.zeros(n_nodes),
            np.zeros(n_nodes),
        )
        self.step = np.zeros(c.n_pairs)
        self._fold = sp.csr_array(c.rows.T) if len(c.supply) > c.n_goods else None
        self.q = np.where(near.q > _DUST, near.q, 0.0)
        self.q_rate = np.zeros_like(self.q)
        self.owner = np.repeat(np.arange(n), np.diff(c.start))
        self.sold, self.sold_rate = np.zeros_like(self.q), np.zeros_like(self.q)
        self.factorisations = self.pieces = 0

    def begin(self) -> bool:
        """Find everybody's basis; False if there is none, because somebody's copies are not optimal."""
        c, b = self.compiled, self.bases
        price = self._prices()
        hold_copies(self.data, b)
        self._total()
        asked = 0
        while (i := crash_all(self.data, b, price, self.rates.total, self.rates.money)) >= 0:
            asked += 1
            if asked > _MOST_ASKED or not self._ask(int(i), price):
                return False
        self._total()
        spare = c.supply - self.sold
        self.priced = self.q > 0.0
        self.shift = np.where(self.priced, spare, np.minimum(spare, 0.0))
        self.supers = np.flatnonzero(b.place == SUPER)
        return True

    def _ask(self, i: int, price: FloatArray) -> bool:
        """Let an agent choose anew whose copies are not optimal; False if there is nothing to choose."""
        c, b = self.compiled, self.bases
        left = float(c.budget[i] - (self.forced @ price)[i])
        copies = best_copies(c, i, price, float(self.data.epsilon[i]), left)
        if copies is None or np.count_nonzero(copies > 0.0) > b.held.shape[1]:
            return False
        own = slice(c.start[i], c.start[i + 1])
        if np.array_equal(b.x[own], copies):
            return False
        b.x[own] = copies
        hold_copies(self.data, b)
        self._total()
        return True

    def run(self, most: int, deadline: float = np.inf) -> Point | None:
        """Follow the path piece by piece; None if it is lost."""
        self.t, sign = 0.0, 1.0
        released: tuple[int, int, float] | None = None
        for _ in range(most):
            self.pieces += 1
            if time.monotonic() > deadline or not self._factor() or not self._correct(self.t, _ROUGH):
                return None
            self._tangent()
            if released is not None and sign * released[2] * self._rate(*released[:2]) < 0.0:
                sign = -sign
            when, kind, which = self._next(sign)
            ahead = 1.0 - self.t if sign > 0 else self.t - _LEAST_T
            if when >= ahead:
                if sign < 0:
                    return None
                when, kind = ahead, END
            self._move(sign, when)
            if kind != END:
                self._total()
                released = self._pivot(kind, which)
                if released is None or not self._held(kind, which):
                    return None
            elif self.t >= 1.0:
                self.bases.stale[:] = True
                return self._point() if self._factor() and self._correct(1.0, _EXACT) else None
            else:
                released = None
        return None

    def _prices(self) -> FloatArray:
        return self._of_goods(self.q)

    def _of_goods(self, q: FloatArray) -> FloatArray:
        return q if self._fold is None else np.asarray(self._fold @ q)

    def _total(self) -> None:
        totals(self.data, self.bases, self._prices(), self.rates, self.sold)

    def _spare(self, t: float) -> FloatArray:
        return np.asarray(self.compiled.supply - (1.0 - t) * self.shift - self.sold)

    def _factor(self) -> bool:
        m, b, price = self.data, self.bases, self._prices()
        if factor_all(m, b, price) >= 0:
            return False
        self.rows: IntArray = np.flatnonzero(self.priced)
        position: IntArray = np.full(len(self.q), -1)
        position[self.rows] = np.arange(len(self.rows))
        slopes = np.zeros((len(self.rows), len(self.rows)))
        mix = np.zeros((len(self.rows), len(self.supers)))
        assemble(m, b, price, self.owner, self.supers, position, slopes, mix)
        self._system = Saddle(slopes, mix)
        self.factorisations += 1
        return True

    def _solve(self, rows: FloatArray, gains: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Solve for prices and superbasic copies; prices of all rows."""
        d_q = np.zeros_like(self.q)
        d_q[self.rows], d_super = self._system.solve(rows, gains)
        return d_q, d_super

    def _correct(self, t: float, tol: float) -> bool:
        """Newton's method on the present piece; False if it does not converge."""
        m, b = self.data, self.bases
        before = np.inf
        for step in range(_CORRECTIONS):
            if step and factor_all(m, b, self._prices()) >= 0:
                return False
            price = self._prices()
            self._total()
            clear(b, self.step)
            worst = settle(m, b, self.rates, self.step, self.sold_rate)
            missing = self._spare(t)
            alpha = b.alpha[self.owner[self.supers]]
            lacking = gains(m, b, price, self.owner, self.supers)
            worst = max(
                worst,
                float(np.abs(missing[self.rows]).max(initial=0.0)),
                float(np.abs(lacking).max(initial=0.0)),
            )
            if worst <= tol:
                return True
            if not worst < _LOST or worst > _LONGER * before:
                return False
            if worst <= 100.0 * tol and worst > 0.5 * before:
                return True
            before = worst
            d_q, d_l = self._solve((missing - self.sold_rate)[self.rows], lacking / alpha)
            if not np.isfinite(d_q).all():
                return False
            respond(m, b, price, self.owner, self.supers, self._of_goods(d_q), d_l, self.step)
            advance(b, self.step, 1.0)
            self.q += d_q
        return False

    def _tangent(self) -> None:
        m, b, price = self.data, self.bases, self._prices()
        self.q_rate, super_rate = self._solve(self.shift[self.rows], np.zeros(len(self.supers)))
        self.price_rate = self._of_goods(self.q_rate)
        self.rates.x[:] = 0.0
        respond(m, b, price, self.owner, self.supers, self.price_rate, super_rate, self.rates.x)
        differentiate(m, b, price, self.price_rate, self.sold_rate, self.rates)
        self.spare_rate = self.shift - self.sold_rate

    def _next(self, sign: float) -> tuple[float, int, int]:
        """Find when the first variable meets a bound, or the direction has to be found anew."""
        events = [first_event(self.data, self.bases, self._prices(), self.price_rate, self.rates, sign)]
        stride = np.abs(self.q_rate) / (self.q + 0.1)
        events.append((_STRIDE / max(float(stride.max(initial=0.0)), 1e-12), END, -1))
        for kind, left, rate in (
            (PRICE, self.q, np.where(self.priced, sign * self.q_rate, 0.0)),
            (SPARE, self._spare(self.t), np.where(self.priced, 0.0, sign * self.spare_rate)),
        ):
            falling = np.flatnonzero(rate < -_RATE)
            if len(falling):
                reach = np.maximum(left[falling], 0.0) / -rate[falling]
                first = int(np.argmin(reach))
                events.append((float(reach[first]), kind, int(falling[first])))
        return min(events)

    def _move(self, sign: float, length: float) -> None:
        advance(self.bases, self.rates.x, sign * length)
        self.q += sign * length * self.q_rate
        self.t = min(self.t + sign * length, 1.0)
        if self.t > 1.0 - 1e-12:
            self.t = 1.0

    def _held(self, kind: int, which: int) -> bool:
        """List anew what the agent of an event holds."""
        if kind in (PRICE, SPARE):
            return True
        m = self.data
        if kind in (PAIR, WANTED):
            which = int(self.owner[which])
        elif kind in (NODE, DUAL):
            which = int(np.searchsorted(m.node_start, which, side="right")) - 1
        return hold(which, m, self.bases)

    def _rate(self, kind: int, which: int) -> float:
        """Rate of what an exchange has set free."""
        r, m, b = self.rates, self.data, self.bases
        if kind == PAIR:
            return float(r.x[which])
        if kind == WANTED:
            i = int(self.owner[which])
            return gain_rate(which, i, m, b, self._prices(), self.price_rate, r)
        if kind in (PRICE, SPARE):
            return float((self.q_rate if kind == SPARE else self.spare_rate)[which])
        return float({NODE: r.total_rate, DUAL: r.y, SPENT: r.money_rate, FRUGAL: r.alpha}[kind][which])

    def _pivot(self, kind: int, which: int) -> tuple[int, int, float] | None:
        """Exchange; return what is free now, as its event, and which way it has to move."""
        m, b = self.data, self.bases
        if kind == PRICE:
            self.priced[which], self.q[which] = False, 0.0
            return PRICE, which, 1.0
        if kind == SPARE:
            self.priced[which] = True
            return SPARE, which, 1.0
        if kind == WANTED:
            way = 1.0 if b.place[which] == LOW else -1.0
            b.place[which] = SUPER
            self.supers = np.append(self.supers, which)
            return PAIR, which, way
        if kind == PAIR:
            high = b.x[which] > 0.5 * m.cap[which]
            was = b.place[which]
            b.place[which] = HIGH if high else LOW
            b.x[which] = m.cap[which] if high else 0.0
            way = 1.0 if high else -1.0
            if was == SUPER:
                self.supers = self.supers[self.supers != which]
                return WANTED, which, way
            return self._replace(int(self.owner[which]), which, -way, (WANTED, which, way))
        if kind == NODE:
            i = int(np.searchsorted(m.node_start, which, side="right")) - 1
            upper = m.upper[which] - self.rates.total[which] <= self.rates.total[which] - m.lower[which]
            bent = bool(b.bent[which])
            sense = 1.0 if upper and not bent else -1.0
            return self._replace(i, -2 - which, sense, (DUAL, which, sense))
        if kind == SPENT:
            return self._replace(which, -1, 1.0, (FRUGAL, which, 1.0))
        return self._loosen(kind, which)

    def _replace(
        self, i: int, leaving: int, sense: float, freed: tuple[int, int, float]
    ) -> tuple[int, int, float] | None:
        """Let something enter for what leaves: a superbasic pair, or what a step of the duals brings."""
        m, b = self.data, self.bases
        entering, inward = replacement(i, leaving, sense, m, b, self._prices())
        if entering == NOTHING:
            return None
        if entering >= 0 and inward == 0.0:
            self.supers = self.supers[self.supers != entering]
        if not exchange(i, leaving, entering, m, b, self.rates.total):
            return None
        if inward == 0.0:
            return freed
        if entering >= 0:
            return PAIR, entering, inward
        if entering == -1:
            return SPENT, i, 1.0
        node = -2 - entering
        b.bent[node] = bool(np.isfinite(m.penalty[node])) and inward < 0.0
        return NODE, node, -inward

    def _loosen(self, kind: int, which: int) -> tuple[int, int, float] | None:
        """Let a slack enter the basis; the pair that it replaces becomes superbasic."""
        m, b = self.data, self.bases
        i = which if kind == FRUGAL else int(np.searchsorted(m.node_start, which, side="right")) - 1
        size = int(b.size[i])
        row = MONEY if kind == FRUGAL else which
        at = int(np.flatnonzero(b.rows[i, :size] == row)[0])
        pairs = b.cols[i, :size].copy()
        room = np.minimum(b.x[pairs], m.cap[pairs] - b.x[pairs])
        weight = np.abs(b.inverse[i, :size, at])
        leaving = int(pairs[np.argmax(weight * (np.maximum(room, 0.0) + 1e-6))])
        soft = kind == DUAL and bool(np.isfinite(m.penalty[which]))
        high = soft and b.y[which] > 0.5 * m.penalty[which]
        at_upper = kind == FRUGAL or b.target[which] == m.upper[which]
        if not exchange(i, leaving, -1 if kind == FRUGAL else -2 - which, m, b, self.rates.total):
            return None
        b.place[leaving] = SUPER
        self.supers = np.append(self.supers, leaving)
        if kind == FRUGAL:
            return SPENT, i, 1.0
        b.bent[which] = high
        return NODE, which, 1.0 if high or not at_upper else -1.0

    def _point(self) -> Point:
        b = self.bases
        return Point(
            x=np.clip(b.x, 0.0, self.compiled.cap),
            q=np.maximum(self.q, 0.0),
            alpha=b.alpha.copy(),
            y=b.y.copy(),
            finished=True,
            iterations=self.factorisations,
        )
