r"""Road B as a solver of its own: weights at which the Nash program spends the agents' own budgets.

With :math:`b'(w)` the budgets that the program's solution spends (:mod:`~fairlot.pseudomarket.nash`), the
sought weights are a fixed point of

.. math:: \log w_i \leftarrow \log w_i + \frac{b_i - b'_i(w)}{w_i},

satiated agents with money left aside. Anderson mixing of the last few iterates speeds it up; where that
makes things worse a damped step follows. Whenever it stalls, or comes near, Newton's method on
:math:`b'(w) = b` in :math:`\log w` takes over as long as it gains: the derivative of spending is known from
the factors of the last program, one solution with them a product, and the linear system is solved by GMRES.
(Not where everything is sold and everybody full: there the program leaves the level of prices open.)
The search may stall away from equilibrium. It is a road that never comes back empty-handed: each of its
iterates is feasible, clears, and is an exact strong equilibrium for the budgets that it spends.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import pairwise

import numpy as np
from scipy.sparse.linalg import LinearOperator, gmres

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.nash import NashProgram, NashState
from fairlot.verify.demand import best_affordable

_MEMORY = 8
"""Iterates that Anderson mixing uses."""
_LONGEST = 0.7
"""Largest change of a weight's logarithm in one step."""
_LOST = 30.0
"""Factor over the least distance met at which to go back there and step half as far."""
_NEAR = 1e-3
"""Worst relative gap from which Newton's method is worth its price."""
_STALLED = 6
"""Programs without a better iterate after which Newton's method is tried."""
_PRODUCTS = 60
"""Most products with the derivative for one Newton step."""
_NEWTON_LONGEST = 1.0
_GRACE = 1.0
"""Seconds beyond the deadline in which the best iterate may still be made exact."""
_LEAST, _MOST = 1e-9, 1e6
"""Weights over budgets: poor agents under lower quotas go to the least, the satiated to the most."""


def search_weights(
    compiled: CompiledMarket,
    *,
    tol: float = 1e-9,
    deadline: float | None = None,
    max_iter: int | None = None,
    max_programs: int = 200,
    reporter: Reporter | None = None,
) -> Point:
    """Search for weights at which agents spend their own budgets; return the best iterate met.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    tol : float
        Largest relative difference of spending and budget of agents who are not satiated; at least 1e-7,
        the rest is for polishing.
    deadline : float, optional
        Reading of ``time.monotonic`` at which to stop.
    max_iter : int, optional
        Factorisations after which no further program is begun.
    max_programs : int
        Most convex programs to solve.
    reporter : Reporter
        Told the largest difference.

    Returns
    -------
    Point
        Feasible and clearing up to about 1e-9; ``finished`` if spending meets the budgets.
    """
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("Nash weights")
    search = _Search(compiled)
    mu, arrived = 1e-3, max(tol, 1e-7)
    weights = 2.0 * compiled.budget
    state, steps = search.solve(weights, mu, None, None)
    state = search.levelled(state)
    best, least = (weights, state), search.distance(state)
    history: list[tuple[FloatArray, FloatArray]] = []
    damping, idle_programs, patience = 1.0, 0, 0
    for _ in range(max_programs):
        gap = search.gap(state)
        worst = float(np.abs(gap / compiled.budget).max(initial=0.0))
        reporter.update(residual=worst)
        late = deadline is not None and time.monotonic() > deadline
        if worst <= arrived or late or (max_iter is not None and steps >= max_iter):
            break
        mu = float(np.clip(1e-2 * worst, 1e-8, mu))
        by_newton = search.roots is None and patience == 0 and (worst <= _NEAR or idle_programs >= _STALLED)
        if by_newton:
            (weights, state), history = best, []
            change = np.clip(search.newton(state), -_NEWTON_LONGEST, _NEWTON_LONGEST)
        else:
            step = gap / np.minimum(weights, 4.0 * compiled.budget)
            history = [*history[-_MEMORY + 1 :], (np.log(weights), step)]
            change = damping * np.clip(_mix(history) - history[-1][0], -_LONGEST, _LONGEST)
        weights = np.clip(weights * np.exp(change), _LEAST * compiled.budget, _MOST * compiled.budget)
        state, taken = search.solve(weights, mu, state, deadline)
        steps += taken
        state = search.levelled(state)
        distance = search.distance(state)
        idle_programs = 0 if distance < 0.9 * least else idle_programs + 1
        patience = 2 * _STALLED if by_newton and distance >= least else max(patience - 1, 0)
        if distance < least:
            best, least = (weights, state), distance
            damping = min(1.0, 1.5 * damping)
        elif distance > _LOST * least:
            (weights, state), history = best, []
            damping = max(0.5 * damping, 0.05)
    # The last digits cost little, and what is handed out has to clear.
    grace = None if deadline is None else max(deadline, time.monotonic()) + _GRACE
    state, taken, _ = search.program.solve(best[0], 1e-10, best[1], grace, max_steps=30)
    state = search.levelled(state)
    worst = float(np.abs(search.gap(state) / compiled.budget).max(initial=0.0))
    done = worst <= 10.0 * arrived
    point = search.program.point(state, steps + taken, done)
    return replace(point, note="" if done else f"spending misses budgets by up to {worst:.2g}")


class _Search:
    """The map from weights to spending."""

    def __init__(self, compiled: CompiledMarket) -> None:
        self.compiled = compiled
        self.program = NashProgram(compiled)
        free = best_affordable(compiled.market, np.zeros(compiled.n_goods))
        self.peak = free.peak / compiled.value_scale
        self.roots = _balanced_roots(compiled)

    def solve(
        self, weights: FloatArray, mu: float, state: NashState | None, deadline: float | None
    ) -> tuple[NashState, int]:
        """Solve the program, from a state for nearby weights if that works."""
        spent = 0
        if state is not None:
            warm = self.program.recentre(state, mu, weights)
            found, spent, done = self.program.solve(weights, mu, warm, deadline, max_steps=30)
            if done:
                return found, spent
        found, steps, _ = self.program.solve(weights, mu, None, deadline)
        return found, spent + steps

    def levelled(self, state: NashState) -> NashState:
        """Move all prices of a balanced market alike, so that total spending comes near total budgets."""
        if self.roots is None:
            return state
        compiled, program = self.compiled, self.program
        left = self.gap(state)
        wants = left != 0
        if not wants.any():
            return state
        rise = float(left[wants].sum() / compiled.upper[self.roots][wants].sum())
        y = program.node_duals(state)[self.roots]
        free = compiled.lower[self.roots] == compiled.upper[self.roots]
        goods = np.arange(len(compiled.supply)) < compiled.n_goods
        most, least = float(np.min(y[~free], initial=np.inf)), float(state.q[goods].min())
        rise = min(max(rise, -0.999 * least), 0.999 * most)  # the program's states are interior
        over, tied = state.over_dual.copy(), state.tied_dual.copy()
        over[np.isin(program.over, self.roots)] -= rise
        tied[np.isin(program.tied, self.roots)] -= rise
        return replace(state, q=np.where(goods, state.q + rise, state.q), over_dual=over, tied_dual=tied)

    def gap(self, state: NashState) -> FloatArray:
        """Unspent money (below 0: overspent); 0 for the satiated unless they overspend."""
        left = self.compiled.budget - self.program.cost(state.x, state.q)
        return np.where(self._satiated(state) & (left > 0), 0.0, left)

    def newton(self, state: NashState) -> FloatArray:
        """Return the change of the logarithms of weights at which spending would meet budgets."""
        gap, response = self.gap(state), self.program.response(state)
        fixed = (gap == 0.0) | self.program.idle
        if fixed.all():
            return np.zeros_like(gap)

        def product(change: FloatArray) -> FloatArray:
            more = response.matvec(np.where(fixed, 0.0, change.ravel()))
            return np.where(fixed, 0.0, more / self.compiled.budget)

        n = len(gap)
        system = LinearOperator((n, n), matvec=product, dtype=np.float64)
        products = min(_PRODUCTS, int((~fixed).sum()))
        change, _ = gmres(system, gap / self.compiled.budget, rtol=1e-3, restart=products, maxiter=1)
        return np.where(np.isfinite(change) & ~fixed, change, 0.0)

    def distance(self, state: NashState) -> float:
        """How much utility at true budgets differs from what agents get, at worst and relatively."""
        compiled = self.compiled
        prices = compiled.rows.T @ state.q * compiled.budget_scale
        demand = best_affordable(compiled.market, np.asarray(prices))
        utility = (self.program.utility(state.x) - self.program.lift) * compiled.value_scale
        apart = np.abs(demand.value - utility) / demand.scale
        return float(np.max(np.where(np.isfinite(apart), apart, 0.0), initial=0.0))

    def _satiated(self, state: NashState) -> BoolArray:
        utility = self.program.utility(state.x) - self.program.lift
        close = utility >= self.peak - 1e-6 * np.maximum(np.abs(self.peak), 1.0)
        return np.asarray(close | self.program.idle)


def _mix(history: list[tuple[FloatArray, FloatArray]]) -> FloatArray:
    """Anderson mixing: the combination of past steps whose remainder is smallest."""
    place, step = history[-1]
    if len(history) == 1:
        return place + step
    places = np.column_stack([b[0] - a[0] for a, b in pairwise(history)])
    steps = np.column_stack([b[1] - a[1] for a, b in pairwise(history)])
    square = steps.T @ steps
    lift = 1e-10 * np.trace(square) + 1e-300
    weights = np.linalg.solve(square + lift * np.eye(len(square)), steps.T @ step)
    return np.asarray(place + step - (places + steps) @ weights)


def _balanced_roots(compiled: CompiledMarket) -> IntArray | None:
    """Root nodes that hold all pairs of their agents, one per agent, if their bounds add up to supply.

    Everything is then sold and every root is full, so that all prices may rise together while the roots'
    duals fall: the program does not say how high prices are.
    """
    top = np.full(compiled.n_pairs, -1)
    for column in compiled.chain.T:
        top = np.where(column >= 0, column, top)
    roots = np.full(compiled.n_agents, -1)
    roots[compiled.agent] = top
    whole = (roots >= 0).all() and (roots[compiled.agent] == top).all() and (top >= 0).all()
    if not whole or np.isfinite(compiled.penalty[roots]).any() or len(compiled.supply) > compiled.n_goods:
        return None
    demand = compiled.upper[roots]
    if not np.isfinite(demand).all() or abs(demand.sum() - compiled.supply.sum()) > 1e-9 * demand.sum():
        return None
    return roots
