r"""From a point inside the set of equilibrium copies to a corner of it, and what its terms may be.

At prices p and money values α the copies that support an equilibrium are those that use only pairs that
leave nothing less than the best (:math:`v - \alpha p - E^\top y = 0`), keep rows with a dual tight, sell
what has a price, and spend what unsatiated agents have: the *optimal face*. One linear program with a
random objective moves the copies to a vertex of it, where few are left to chance. Averaging over students
who entered the same then gives these the same odds, and stays within the face.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from fairlot.lottery.wolfe import Polytope, free_cells
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.timetable.compiled import incidence

_NOTHING = 1e-7
"""Dual, reduced cost or slack, relative to its scale, that counts as 0."""
_TIGHT = 1e-9
"""Copies by which a row may miss a bound that it meets."""
_MISSED = 1e4
"""Objective per budget of spending another amount than the equilibrium's."""


@dataclass(frozen=True, eq=False)
class Face:
    """The optimal face of an equilibrium, over the pairs of a compiled market.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    prices : FloatArray, shape (n_goods,)
        In scaled money.
    low, high : FloatArray, shape (n_pairs,)
        Fewest and most copies.
    rows : scipy.sparse.csr_array, shape (n_rows, n_pairs)
        Agents' rows, then supply rows.
    lower, upper : FloatArray, shape (n_rows,)
        Their bounds; equal where tight.
    spending : FloatArray, shape (n_agents,)
        What each agent's copies cost.
    bound : BoolArray, shape (n_agents,)
        Whose spending is to be kept: all that have no money left.
    sold : BoolArray, shape (n_goods + n_limits,)
        Supply rows with a price.
    """

    compiled: CompiledMarket
    prices: FloatArray
    low: FloatArray
    high: FloatArray
    rows: sp.csr_array
    lower: FloatArray
    upper: FloatArray
    spending: FloatArray
    bound: BoolArray
    sold: BoolArray

    @property
    def cost_rows(self) -> sp.csr_array:
        """Cost of the copies of each agent, shape (n_agents, n_pairs)."""
        c = self.compiled
        place = (c.agent, np.arange(c.n_pairs))
        return sp.csr_array((self.prices[c.good], place), shape=(c.n_agents, c.n_pairs))

    def polytope(self, x: FloatArray | None = None) -> tuple[Polytope, IntArray]:
        """Return what a term may be, over the pairs that are left to chance.

        Parameters
        ----------
        x : FloatArray, shape (n_pairs,), optional
            Copies that terms are to mix to: they have to meet every bound that these meet.

        Returns
        -------
        polytope : Polytope
            Over the free pairs.
        free : IntArray
            Their positions; all others are as in ``x``, or where ``low`` meets ``high``.
        """
        low, high, lower, upper = self.low, self.high, self.lower, self.upper
        if x is not None:
            whole = ~free_cells(x, _TIGHT)
            near = np.rint(x)
            low = np.where(whole, near, np.floor(x))
            high = np.where(whole, near, np.ceil(x))
            total = self.rows @ x
            lower = np.where(np.abs(upper - total) <= _TIGHT, upper, lower)
            upper = np.where(np.abs(total - lower) <= _TIGHT, lower, upper)
        free = np.flatnonzero(high > low)
        fixed = self.rows @ np.where(high > low, 0.0, low)
        matrix = sp.csr_array(self.rows[:, free])
        used = np.flatnonzero(np.diff(matrix.indptr))
        return (
            Polytope(matrix[used], (lower - fixed)[used], (upper - fixed)[used], low[free], high[free]),
            free,
        )


def optimal_face(compiled: CompiledMarket, point: Point) -> Face:
    """Read the optimal face off an equilibrium.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    point : Point
        Polished.
    """
    c = compiled
    member = incidence(c)
    prices = np.asarray(c.rows.T @ point.q)
    unit = np.clip(point.alpha, 1e-6, 1.0)
    owner = np.repeat(np.arange(c.n_agents), np.diff(c.node_start))
    gain = (c.value - point.alpha[c.agent] * prices[c.good] - member.T @ point.y) / unit[c.agent]
    y, height = point.y / unit[owner], c.penalty / unit[owner]
    soft = np.isfinite(c.penalty)
    up = (y > _NOTHING) & (~soft | (y < height - _NOTHING))
    over = soft & (y >= height - _NOTHING)
    down = ~soft & (y < -_NOTHING)
    spare = c.supply - c.rows @ np.bincount(c.good, point.x, minlength=c.n_goods)
    sold = point.q > np.maximum(_NOTHING * spare / np.maximum(c.supply, 1.0), 1e-12)
    supply_rows = sp.csr_array(c.rows[:, c.good])
    cost = np.bincount(c.agent, point.x * prices[c.good], minlength=c.n_agents)
    left = c.budget - cost - c.forced_matrix @ prices
    return Face(
        compiled=c,
        prices=prices,
        low=np.where(c.capped & (gain > _NOTHING), c.cap, 0.0),
        high=np.where((gain < -_NOTHING) & (point.x < 0.5), 0.0, c.cap),
        rows=sp.csr_array(sp.vstack([member, supply_rows])),
        lower=np.concatenate([np.where(up | over, c.upper, c.lower), np.where(sold, c.supply, -np.inf)]),
        upper=np.concatenate([np.where(down, c.lower, np.where(over, np.inf, c.upper)), c.supply]),
        spending=np.where(np.abs(left) <= 1e-6 * c.budget, c.budget - c.forced_matrix @ prices, cost),
        bound=np.abs(left) <= 1e-6 * c.budget,
        sold=sold,
    )


def vertex(face: Face, x: FloatArray, seed: int) -> FloatArray:
    """Move copies to a vertex of the face that a random objective chooses.

    Parameters
    ----------
    face : Face
        The optimal face.
    x : FloatArray, shape (n_pairs,)
        Copies in it, kept where the program fails.
    seed : int
        Of the objective.
    """
    free = np.flatnonzero(face.high > face.low)
    bound = np.flatnonzero(face.bound)
    if not len(free):
        return face.low.copy()
    fixed = np.where(face.high > face.low, 0.0, face.low)
    rng = np.random.default_rng(seed)
    spend = sp.csr_array(face.cost_rows[bound][:, free])
    n_bound = len(bound)
    tight = face.lower == face.upper
    within = face.rows @ fixed
    upper, lower = ~tight & np.isfinite(face.upper), ~tight & np.isfinite(face.lower)
    matrix = sp.csr_array(face.rows[:, free])
    slack = sp.identity(n_bound, format="csr")
    equal = sp.vstack(
        [
            sp.hstack([matrix[tight], sp.csr_array((int(tight.sum()), 2 * n_bound))]),
            sp.hstack([spend, slack, -slack]),
        ],
        format="csr",
    )
    unequal = sp.vstack([matrix[upper], -matrix[lower]], format="csr")
    solved = linprog(
        np.concatenate([rng.random(len(free)), np.full(2 * n_bound, _MISSED)]),
        A_ub=sp.hstack([unequal, sp.csr_array((unequal.shape[0], 2 * n_bound))], format="csr"),
        b_ub=np.concatenate([(face.upper - within)[upper], (within - face.lower)[lower]]),
        A_eq=equal,
        b_eq=np.concatenate([(face.upper - within)[tight], (face.spending - face.cost_rows @ fixed)[bound]]),
        bounds=np.column_stack(
            [
                np.concatenate([face.low[free], np.zeros(2 * n_bound)]),
                np.concatenate([face.high[free], np.full(2 * n_bound, np.inf)]),
            ]
        ),
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-9},
    )
    if solved.x is None:
        return x
    moved = fixed
    moved[free] = solved.x[: len(free)]
    return np.asarray(np.where(np.abs(moved - np.rint(moved)) <= _TIGHT, np.rint(moved), moved))


def twins(market: PseudoMarket) -> IntArray:
    """Give agents who entered the same, under the same bounds, the same number: shape (n_agents,)."""
    keys: dict[tuple[bytes, ...], int] = {}
    bounds = [np.column_stack([b.lower, b.upper]) for b in market.bound_sets if not len(b.marginals)]
    table = np.column_stack([market.budgets, *bounds])
    tapered = np.zeros((market.n_agents, len(market.bound_sets)), dtype=bool)
    for k, bound in enumerate(market.bound_sets):
        tapered[slice(None) if bound.agents is None else bound.agents, k] = True
    numbers = np.empty(market.n_agents, dtype=np.int64)
    for i in range(market.n_agents):
        span = slice(market.values.indptr[i], market.values.indptr[i + 1])
        key = (
            market.values.indices[span].tobytes(),
            market.values.data[span].tobytes(),
            table[i].tobytes(),
            tapered[i].tobytes(),
        )
        numbers[i] = keys.setdefault(key, len(keys))
    return numbers


def treat_alike(compiled: CompiledMarket, x: FloatArray) -> FloatArray:
    """Average copies over agents who entered the same."""
    number = twins(compiled.market)
    if len(np.unique(number)) == len(number):
        return x
    groups = number[compiled.agent] * compiled.n_goods + compiled.good
    _, group = np.unique(groups, return_inverse=True)
    mean = np.bincount(group, x) / np.bincount(group)
    return np.asarray(mean[group])
