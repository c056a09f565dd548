r"""Active sets of the complementarity system: what binds, the equations that leaves, and Newton's method.

Which products of the complementarity system (:mod:`~fairlot.pseudomarket.compiled`) vanish on which side
is read off their ratios; what is left is a system of equations in the copies x of the *free* pairs, the
positive row prices q, the money values α of agents who spend everything, and the duals y of tight nodes:

.. math::

    g := v - \alpha p - E^\top y = 0, \qquad E x = h, \qquad p \cdot (x_i + f_i) = b_i, \qquad
    F \textstyle\sum_i x_i = B.

Newton's method on it, with a proximal term :math:`\delta A\, dx` in the first equation, needs one
sparse matrix with a row per price, agent and node, never one with a row per pair: with K the rows of the
last three equations in x, and :math:`K_d` the columns of the first in (q, α, y), both over pairs,

.. math:: \big( K A^{-1} K_d + \delta X \big)\, d = K A^{-1} g - \delta r, \qquad
    \delta A\, dx = K_d\, d - g,

where X is the change of cost with prices, and A, about :math:`\alpha`, makes the copies of all agents count
alike. The proximal term picks one solution among ties and disappears
as dx does. Where the equations are so degenerate that this stalls (an agent without a choice whose budget
binds says something of prices alone), least squares on all of them follow. Signs that come out wrong move
between the sets, and the system is solved again.

A satiated agent's α stays at the small price of money at which her y were found; for it she takes a
cheapest among her best bundles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.elimination import Layout, idle_agents

PROXIMAL = 1e-7
_LEAST_METRIC = 1e-2
LIFT = 1e-10
_PIVOT = 0.01
"""Pivots stay on the diagonal, and the order of elimination as it is, unless they are smaller than that."""
_RANK = 1e-11
"""Squared relative length of combinations of equations that count as 0."""
SOLVED = 1e-12
"""What solved equations may still miss."""
STEPS = 12
_SIGN = 1e-11
"""How far on the wrong side a variable may be before it changes sets."""
_MONEY = 1e-6
"""Price of money for satiated agents whose point shows none."""
LEFT = 1e-4
"""Part of her budget from which an agent counts as having money left, whatever its value to her."""


@dataclass
class Values:
    """A point with the money values at which its duals hold, and who is satiated."""

    x: FloatArray
    q: FloatArray
    alpha: FloatArray
    y: FloatArray
    satiated: BoolArray

    def copy(self) -> Values:
        """Copy all arrays."""
        return Values(**{name: part.copy() for name, part in vars(self).items()})


@dataclass
class Slacks:
    """Everything that is complementary to something, recomputed from a point."""

    gain: FloatArray  # v - αp - Ey of pairs
    total: FloatArray  # of nodes
    money: FloatArray  # unspent
    spare: FloatArray  # of supply rows
    price: FloatArray  # of goods


@dataclass
class ActiveSet:
    """Which variables the equations determine."""

    free: BoolArray  # pairs
    full: BoolArray  # pairs at their cap
    tight: BoolArray  # nodes
    target: FloatArray  # their totals
    bent: BoolArray  # breakpoints with an excess: y = penalty
    priced: BoolArray  # rows
    spent: BoolArray  # agents

    @property
    def inner(self) -> int:
        """Number of equations that are not of pairs."""
        return int(self.priced.sum() + self.spent.sum() + self.tight.sum())


def iterate(size: Callable[[], float], step: Callable[[], bool]) -> float:
    """Take Newton steps until only rounding is left.

    Parameters
    ----------
    size : callable
        Tells what the equations miss.
    step : callable
        Takes a step; whether there was one.

    Returns
    -------
    float
        What the equations still miss; infinite if the iteration diverges.
    """
    least, stalls = np.inf, 0
    for _ in range(STEPS):
        missing = size()
        if not missing <= 1e3 * least:
            return np.inf
        stalls = stalls + 1 if missing > 0.5 * least else 0
        if missing <= 1e-15 or stalls == 2 or (stalls and missing <= SOLVED):
            return missing
        least = min(least, missing)
        if not step():
            return np.inf
    return least


class ActiveSystem:
    """The complementarity system of one market."""

    def __init__(self, compiled: CompiledMarket) -> None:
        self.c = compiled
        self.layout = layout = Layout(compiled)
        n_pairs = compiled.n_pairs
        self.member = sp.csr_array(layout.membership[:, :n_pairs])
        self.members_of = sp.csr_array(self.member.T)
        self.supplied = sp.csr_array(layout.supplied[:, :n_pairs])
        self.rows_of = sp.csr_array(self.supplied.T)
        self.forced_rows = sp.csr_array(compiled.forced_matrix @ compiled.rows.T)
        self.owner = np.repeat(np.arange(compiled.n_agents), np.diff(compiled.node_start))
        self.soft = np.isfinite(compiled.penalty)
        self.tied = compiled.lower == compiled.upper
        self.idle = idle_agents(compiled)
        self.unit = np.maximum(compiled.supply, 1.0)

    def values(self, point: Point) -> Values:
        """Read a point; find the price of money that a satiated agent's duals contain."""
        c = self.c
        x = point.x.copy()
        now = Values(x, point.q.copy(), point.alpha.copy(), point.y.copy(), self.idle.copy())
        price = c.rows.T @ now.q
        money = self._money(now, price)
        now.satiated |= np.minimum(now.alpha * c.budget, LEFT) < money / c.budget
        inner = np.where(x > 1e-4, x * np.where(c.capped, c.cap - x, 1.0) * price[c.good], 0.0)
        left = c.value - self.members_of @ now.y
        weight = np.bincount(c.agent, inner * price[c.good], minlength=c.n_agents)
        fitted = np.bincount(c.agent, inner * left, minlength=c.n_agents) / np.maximum(weight, 1e-300)
        usable = now.satiated & (weight > 1e-8 * c.budget**2) & (fitted > 1.01 * now.alpha)
        now.alpha[usable] = fitted[usable]
        usual = float(np.median(fitted[usable])) if usable.any() else _MONEY
        unseen = now.satiated & ~usable & ~self.idle & (now.alpha < 1e-3 * usual)
        now.alpha[unseen] = usual
        return now

    def slacks(self, now: Values) -> Slacks:
        """Recompute what the equations leave."""
        c = self.c
        price = np.asarray(c.rows.T @ now.q)
        gain = c.value - now.alpha[c.agent] * price[c.good] - self.members_of @ now.y
        return Slacks(
            np.asarray(gain),
            np.asarray(self.member @ now.x),
            self._money(now, price),
            np.asarray(c.supply - self.supplied @ now.x),
            price,
        )

    def residual(self, now: Values) -> float:
        """Compute the largest natural residual."""
        c, s = self.c, self.slacks(now)
        unit = self._unit(now)
        gain = s.gain / unit[c.agent]
        room = c.cap - now.x
        over = np.where(c.capped, np.minimum(room, gain), gain)
        lower = np.where(np.isfinite(c.lower), s.total - c.lower, np.inf)
        upper = c.upper - s.total
        y = now.y / unit[self.owner]
        hard = np.where(y > 0, np.minimum(y, np.abs(upper)), np.minimum(-y, np.abs(lower)))
        hard = np.maximum(hard, np.maximum(-upper, -lower))
        hard[self.tied] = np.abs(upper[self.tied])
        height = c.penalty / unit[self.owner]
        bend = np.where(upper > 0, np.minimum(np.abs(y), upper), np.minimum(np.abs(height - y), -upper))
        bend = np.maximum(bend, np.maximum(-y, y - height))
        parts = [
            np.where(gain < 0, np.minimum(now.x, -gain), over),
            np.maximum(-now.x, -room),
            np.where(self.soft, bend, hard),
            np.where(now.satiated, np.maximum(-s.money, 0.0), np.abs(s.money)) / c.budget,
            np.maximum(np.minimum(now.q, s.spare / self.unit), np.maximum(-s.spare / self.unit, -now.q)),
        ]
        worst = np.array([np.max(part, initial=0.0) for part in parts])
        return float(worst.max()) if np.isfinite(worst).all() else np.inf

    def classify(self, now: Values, lean: float) -> ActiveSet:
        """Tell from the ratio of each complementary pair which side vanishes."""
        c, s = self.c, self.slacks(now)
        unit = self._unit(now)
        gain = s.gain / unit[c.agent]
        y = now.y / unit[self.owner]
        upper, lower = c.upper - s.total, s.total - c.lower
        full = c.capped & (gain > c.cap - now.x) & (now.x > 0.5 * c.cap)
        bent = self.soft & (s.total - c.upper > c.penalty / unit[self.owner] - y)
        above = (y > lean * np.abs(upper)) & ~bent
        below = ~self.soft & (-y > lean * np.abs(lower))
        return ActiveSet(
            free=~full & (now.x > np.abs(gain)),
            full=full,
            tight=above | below | self.tied,
            target=np.where(below & ~self.tied, c.lower, c.upper),
            bent=bent,
            priced=now.q > lean * s.spare / self.unit,
            spent=~now.satiated,
        )

    def settle(self, now: Values, active: ActiveSet) -> None:
        """Put what vanishes at 0, and what is at a bound there."""
        c = self.c
        now.x[~active.free] = np.where(active.full, c.cap, 0.0)[~active.free]
        now.q[~active.priced] = 0.0
        now.y[~active.tight] = np.where(active.bent, c.penalty, 0.0)[~active.tight]
        now.satiated = ~active.spent

    def newton(self, now: Values, active: ActiveSet, careful: bool) -> float:
        """Solve the equations of an active set, in place; return what they miss, infinite if it diverges."""

        def size() -> float:
            missing = self.missing(now, active)
            return max(float(np.abs(part).max(initial=0.0)) for part in missing)

        def step() -> bool:
            linear = LinearSystem(self, now, active)
            solve = linear.least_squares if careful else linear.proximal
            return solve(now, *self.missing(now, active))

        return iterate(size, step)

    def repair(self, now: Values, active: ActiveSet) -> int:
        """Move what has the wrong sign to the other set; return how much was moved."""
        c, s = self.c, self.slacks(now)
        gain = s.gain / self._unit(now)[c.agent]
        sunk = active.free & (now.x < -_SIGN)
        risen = active.free & c.capped & (now.x > c.cap + _SIGN)
        wanted = ~active.free & ~active.full & (gain > _SIGN)
        unwanted = active.full & (gain < -_SIGN)
        active.free = (active.free & ~sunk & ~risen) | wanted | unwanted
        active.full = (active.full & ~unwanted) | risen
        upper = np.where(np.isfinite(c.upper), c.upper - s.total, np.inf)
        lower = np.where(np.isfinite(c.lower), s.total - c.lower, np.inf)
        at_lower = active.tight & (active.target == c.lower) & ~self.tied
        at_upper = active.tight & ~at_lower & ~self.tied
        loose = (at_upper & (now.y < -_SIGN)) | (at_lower & (now.y > _SIGN))
        steep = at_upper & self.soft & (now.y > c.penalty + _SIGN)
        low = ~active.tight & ~active.bent & (upper < -_SIGN)
        high = ~active.tight & ~self.soft & (lower < -_SIGN)
        flat = active.bent & (upper > _SIGN)
        active.bent = (active.bent & ~flat) | steep
        active.tight = (active.tight & ~loose & ~steep) | low | high | flat
        active.target = np.where(high, c.lower, np.where(low | flat, c.upper, active.target))
        free_row = active.priced & (now.q < -_SIGN)
        short = ~active.priced & (s.spare < -_SIGN * self.unit)
        active.priced = (active.priced & ~free_row) | short
        content = active.spent & (now.alpha < 0)
        broke = ~active.spent & ~self.idle & (s.money < -_SIGN * c.budget)
        active.spent = (active.spent & ~content) | broke
        moved = (
            sunk,
            risen,
            wanted,
            unwanted,
            loose,
            steep,
            low,
            high,
            flat,
            free_row,
            short,
            content,
            broke,
        )
        count = int(sum(part.sum() for part in moved))
        if count:
            now.alpha[content] = _MONEY
            self.settle(now, active)
        return count

    def cleaned(self, now: Values) -> Values:
        """Clip what rounding left on the wrong side."""
        clean = now.copy()
        clean.x = np.clip(clean.x, 0.0, self.c.cap)
        clean.q = np.maximum(clean.q, 0.0)
        return clean

    def _money(self, now: Values, price: FloatArray) -> FloatArray:
        c = self.c
        cost = np.bincount(c.agent, now.x * price[c.good], minlength=c.n_agents)
        return np.asarray(c.budget - cost - self.forced_rows @ now.q)

    def _unit(self, now: Values) -> FloatArray:
        """Give the utility that counts as one, so that reduced costs of the satiated are told in money."""
        return np.clip(now.alpha, _MONEY, 1.0)

    def missing(
        self, now: Values, active: ActiveSet
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
        """Compute what the equations of pairs, nodes, agents and rows miss."""
        s = self.slacks(now)
        return (
            s.gain[active.free],
            (s.total - active.target)[active.tight],
            -s.money[active.spent],
            -s.spare[active.priced],
        )


class LinearSystem:
    """The linearised equations of an active set: K_d d = g and K dx + X d = -r.

    Nodes come first, agents next and prices last: agents touch each other through prices only, so that in
    this order elimination fills in nothing but the block of prices.
    """

    def __init__(self, system: ActiveSystem, now: Values, active: ActiveSet) -> None:
        c = system.c
        self.free, self.priced = np.flatnonzero(active.free), np.flatnonzero(active.priced)
        self.spent, self.tight = np.flatnonzero(active.spent), np.flatnonzero(active.tight)
        free, priced, spent, tight = self.free, self.priced, self.spent, self.tight
        agent = c.agent[free]
        price = np.asarray(c.rows.T @ now.q)
        self.alpha = now.alpha[agent]
        place: IntArray = np.full(c.n_agents, -1)
        place[spent] = np.arange(len(spent))
        buys = place[agent] >= 0
        span = (place[agent][buys], np.flatnonzero(buys))
        cost = sp.csr_array((price[c.good[free]][buys], span), shape=(len(spent), len(free)))
        take = sp.csr_array(system.supplied[priced][:, free])
        hold = sp.csr_array(system.member[tight][:, free])
        self.primal = sp.vstack([hold, cost, take], format="csr")
        self.dual = sp.hstack([hold.T, cost.T, sp.csr_array(take.T * self.alpha[:, None])], format="csr")
        held = sp.csr_array((now.x, (c.agent, np.arange(c.n_pairs))), shape=(c.n_agents, c.n_pairs))
        spending = sp.coo_array((held @ system.rows_of + system.forced_rows)[spent][:, priced])
        ahead = len(tight)
        corner = (spending.coords[0] + ahead, spending.coords[1] + ahead + len(spent))
        self.change = sp.csr_array((spending.data, corner), shape=(active.inner, active.inner))

    @property
    def metric(self) -> FloatArray:
        """The diagonal A of the proximal term."""
        return np.maximum(self.alpha, _LEAST_METRIC)

    def proximal(
        self, now: Values, gain: FloatArray, nodes: FloatArray, money: FloatArray, rows: FloatArray
    ) -> bool:
        """Step by eliminating the free pairs through their proximal term."""
        metric = self.metric
        scaled = sp.csr_array(self.primal / metric[None, :])
        matrix = sp.csr_array(scaled @ self.dual)
        diagonal = matrix.diagonal()
        lifted = (
            matrix
            + PROXIMAL * self.change
            + sp.dia_array((lift_of(diagonal)[None, :], [0]), shape=matrix.shape)
        )
        right = scaled @ gain - PROXIMAL * np.concatenate([nodes, money, rows])
        d = _solve(lifted, right)
        return d is not None and self.move(now, (self.dual @ d - gain) / (PROXIMAL * metric), d)

    def least_squares(
        self, now: Values, gain: FloatArray, nodes: FloatArray, money: FloatArray, rows: FloatArray
    ) -> bool:
        """Step by least squares, however singular the equations.

        First prices, money values and duals that satisfy the first equation best. The directions in which
        it leaves them free serve what no copies can satisfy of the second; copies of least norm the rest.
        """
        duals, copies = _Gram(sp.csr_array(self.dual.T)), _Gram(self.primal)
        d = duals.solve(duals.rows @ gain)
        right = -np.concatenate([nodes, money, rows]) - self.change @ d
        moved = self.change @ duals.null
        if moved.shape[1] and copies.null.shape[1]:
            rigid = copies.null.T
            weights = la.lstsq(rigid @ moved, rigid @ right, cond=1e-9, check_finite=False)[0]
            d, right = d + duals.null @ weights, right - moved @ weights
        return self.move(now, copies.rows.T @ copies.solve(right), d)

    def move(self, now: Values, dx: FloatArray, d: FloatArray) -> bool:
        """Take a step, in place; whether it is finite."""
        dy, dalpha, dq = np.split(d, [len(self.tight), len(self.tight) + len(self.spent)])
        now.x[self.free] += dx
        now.q[self.priced] += dq
        now.alpha[self.spent] += dalpha
        now.y[self.tight] += dy
        return bool(np.isfinite(dx).all() and np.isfinite(d).all())


class _Gram:
    """Pseudo-inverse of a Gram matrix of rows, and what combinations of the rows vanish.

    Parameters
    ----------
    rows : scipy.sparse.csr_array, shape (n_rows, n)
        Few long rows.

    Attributes
    ----------
    null : FloatArray, shape (n_rows, n_null)
        Combinations of the rows that are 0.
    """

    def __init__(self, rows: sp.csr_array) -> None:
        self.rows = rows
        norms = np.sqrt(np.asarray(rows.multiply(rows).sum(axis=1)).ravel())
        self._scale = 1.0 / np.where(norms > 0, norms, 1.0)
        scaled = sp.csr_array(rows * self._scale[:, None])
        values, vectors = la.eigh((scaled @ scaled.T).toarray(), check_finite=False)
        kept = values > _RANK * max(float(values.max(initial=0.0)), 1.0)
        self._values, self._vectors = values[kept], vectors[:, kept]
        self.null = self._scale[:, None] * vectors[:, ~kept]

    def solve(self, right: FloatArray) -> FloatArray:
        """Multiply by the pseudo-inverse."""
        inner = (self._vectors.T @ (self._scale * right)) / self._values
        return np.asarray(self._scale * (self._vectors @ inner))


def factor_in_order(matrix: sp.csr_array) -> Any:
    """Factor with the elimination in the given order; None if the matrix is singular."""
    try:
        return spla.splu(
            sp.csc_array(matrix),
            permc_spec="NATURAL",
            diag_pivot_thresh=_PIVOT,
            options={"SymmetricMode": True},
        )
    except RuntimeError:
        return None


def lift_of(diagonal: FloatArray) -> FloatArray:
    """Lift a diagonal where it is, or nearly is, 0."""
    return np.asarray(LIFT * np.maximum(diagonal, diagonal.max(initial=0.0) * 1e-3) + 1e-300)


def _solve(matrix: sp.csr_array, right: FloatArray) -> FloatArray | None:
    """Solve with one refinement; None if the matrix is singular."""
    if not len(right):
        return right
    factor = factor_in_order(matrix)
    if factor is None:
        return None
    solved = factor.solve(right)
    return np.asarray(solved + factor.solve(right - matrix @ solved))
