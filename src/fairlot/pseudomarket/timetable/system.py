r"""The joint system of a market with crossing rows, and its Newton steps.

Equations, blocks and steps are those of :mod:`fairlot.pseudomarket.joint.system` and
:mod:`fairlot.pseudomarket.joint.newton`; what differs is how agents are eliminated
(:mod:`fairlot.pseudomarket.timetable.kernels`), and that bounds are lent along with supply while
:math:`\mu > 0`: crossing rows and lower bounds together may leave an agent no interior.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import scipy.linalg as la

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.compiled import CompiledMarket
from fairlot.pseudomarket.joint.newton import Linearization
from fairlot.pseudomarket.joint.start import fair_copies, lending
from fairlot.pseudomarket.joint.system import JointSystem, Residual, State
from fairlot.pseudomarket.timetable.compiled import incidence, repeated
from fairlot.pseudomarket.timetable.kernels import (
    demand_factors,
    disjoint_first,
    factorise,
    solve_agents,
)

_NO_BOUND = 1e300
_BLOCK = 4096
"""Rows multiplied out at once."""
_LENT = 1.0
"""Copies by which bounds are widened, per barrier weight."""


class RowSystem(JointSystem):
    """The equations of a market at a given price of money.

    Parameters
    ----------
    compiled : CompiledMarket
        From :func:`~fairlot.pseudomarket.timetable.compiled.compile_rows`.
    epsilon : FloatArray, shape (n_agents,)
        Price of money per agent.
    pair_weight : FloatArray, shape (n_pairs,), optional
        As in :class:`~fairlot.pseudomarket.joint.system.JointSystem`.
    """

    def __init__(
        self, compiled: CompiledMarket, epsilon: FloatArray, pair_weight: FloatArray | None = None
    ) -> None:
        super().__init__(compiled, epsilon, pair_weight, lending(compiled))
        self.incidence = incidence(compiled)
        self.members_of = self.incidence.T.tocsr()
        self.row_start, self.row_member = repeated(self.incidence)
        counts = np.diff(compiled.node_start)
        # The compiled order is such an order already.
        _, self.disjoint = disjoint_first(
            compiled.node_start, self.row_start, self.row_member, compiled.n_pairs
        )
        self.crossing = counts - self.disjoint
        self.factor_start = np.concatenate([[0], np.cumsum(self.disjoint + self.crossing * counts)])
        bounded = np.isfinite(compiled.lower)
        needy = np.zeros(compiled.n_agents, dtype=bool)
        needy[np.repeat(np.arange(compiled.n_agents), counts)[bounded]] = True
        owner = np.repeat(np.arange(compiled.n_agents), counts)
        self.node_lent = np.where(needy[owner], _LENT, 0.0)
        self.pair_lent = np.where(needy[compiled.agent], _LENT, 0.0)

    def residual(self, state: State, mu: float) -> Residual:
        """Evaluate the linear equations at a state."""
        c = self.compiled
        x = state.primal[self.b_x]
        p = self.prices(state)
        price = p[c.good]
        stationarity = self.value - (state.dual[self.b_money] + self.epsilon)[c.agent] * price
        stationarity -= self.members_of @ self.node_duals(state)
        stationarity[self.capped] -= state.dual[self.b_cap]
        stationarity += state.dual[self.b_x]
        totals = self.incidence @ x
        slack, excess = state.primal[self.b_taper], state.primal[self.b_excess]
        money = c.budget - np.bincount(c.agent, price * x, minlength=c.n_agents)
        if self.has_forced:
            money -= self.forced @ p
        sold = np.bincount(c.good, x, minlength=c.n_goods)
        upper, lower = c.upper + mu * self.node_lent, c.lower - mu * self.node_lent
        return Residual(
            stationarity=stationarity,
            cap=(c.cap + mu * self.pair_lent - x)[self.capped] - state.primal[self.b_cap],
            upper=(upper - totals)[self.upper] - state.primal[self.b_upper],
            lower=(totals - lower)[self.lower] - state.primal[self.b_lower],
            taper=(c.upper - totals)[self.taper] + excess - slack,
            penalty=c.penalty[self.taper] - state.dual[self.b_taper] - state.dual[self.b_excess],
            equal=(c.upper - totals)[self.equal],
            money=money - state.primal[self.b_money],
            supply=c.supply + mu * self.lent - c.rows @ sold - state.primal[self.b_supply],
        )

    def lending_rate(self, mu: float) -> Residual:
        """Return the derivative of the residual in log μ."""
        lent = mu * self.node_lent
        rate = super().lending_rate(mu)
        return replace(
            rate, cap=mu * self.pair_lent[self.capped], upper=lent[self.upper], lower=lent[self.lower]
        )

    def linearize(self, state: State) -> RowLinearization:
        """Factor the reduced matrix at a state, by rows."""
        return RowLinearization(self, state)

    def rough_state(self, mu: float) -> State:
        """Return a state with products at μ: even copies, and multipliers that follow from them."""
        c = self.compiled
        x = fair_copies(c)
        totals = self.incidence @ x
        primal = np.empty_like(self.weight)
        primal[self.b_x] = x
        primal[self.b_cap] = (c.cap - x)[self.capped]
        primal[self.b_upper] = (c.upper - totals)[self.upper]
        primal[self.b_lower] = (totals - c.lower)[self.lower]
        primal[self.b_taper] = (c.upper - totals)[self.taper]
        primal[self.b_excess] = (totals - c.upper)[self.taper]
        primal[self.b_money] = 0.5 * c.budget
        primal[self.b_supply] = 0.5 * c.supply
        rest = slice(self.b_x.stop, None)
        primal[rest] = np.maximum(primal[rest], 0.1)
        return State(primal, mu * self.weight / primal, np.zeros(len(self.equal)))


class RowLinearization(Linearization):
    """The reduced matrix at a state, factored; gives Newton directions and the orientation."""

    system: RowSystem

    def __init__(self, system: RowSystem, state: State) -> None:
        s, c = system, system.compiled
        self.system, self.state = system, state
        self.ratio = state.dual / state.primal
        curvature = self.ratio[s.b_x].copy()
        curvature[s.capped] += self.ratio[s.b_cap]
        self.weight = 1.0 / curvature
        theta = np.zeros(c.n_nodes)
        theta[s.upper] += self.ratio[s.b_upper]
        theta[s.lower] += self.ratio[s.b_lower]
        self.theta_inverse = np.full(c.n_nodes, _NO_BOUND)
        bound = theta > 0
        self.theta_inverse[bound] = 1.0 / theta[bound]
        self.theta_inverse[s.taper] = 1.0 / self.ratio[s.b_taper] + 1.0 / self.ratio[s.b_excess]
        self.theta_inverse[s.equal] = 0.0
        self.factors = factorise(
            c.node_start,
            s.disjoint,
            s.factor_start,
            s.row_start,
            s.row_member,
            self.weight,
            self.theta_inverse,
        )
        self.money = state.dual[s.b_money] + s.epsilon
        self.price = s.prices(state)[c.good]
        self.spending, _, _ = self._solve(self.price, np.zeros(c.n_nodes))
        response = np.bincount(c.agent, self.price * self.spending, minlength=c.n_agents)
        self.response = np.maximum(response, 0.0) + 1.0 / self.ratio[s.b_money]
        self.loss = self.money[c.agent] * self.spending - state.primal[s.b_x]
        matrix = self._slopes()
        if len(c.supply) > c.n_goods:
            matrix = c.rows @ (c.rows @ matrix.T).T
        diagonal = np.arange(len(c.supply))
        matrix[diagonal, diagonal] += 1.0 / self.ratio[s.b_supply]
        terms = np.bincount(c.good, self.money[c.agent] * self.weight, minlength=c.n_goods)
        matrix[diagonal, diagonal] += 1e-13 * (c.rows @ terms)
        self.lu = la.lapack.dgetrf(matrix, overwrite_a=True)[:2]

    def _solve(self, force: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        s, c = self.system, self.system.compiled
        return solve_agents(
            c.node_start,
            s.disjoint,
            s.factor_start,
            s.row_start,
            s.row_member,
            self.factors,
            self.weight,
            self.theta_inverse,
            force,
            shift,
        )

    def _slopes(self) -> FloatArray:
        s, c = self.system, self.system.compiled
        terms = np.bincount(c.good, self.money[c.agent] * self.weight, minlength=c.n_goods)
        slopes: FloatArray = np.zeros((c.n_goods, c.n_goods))
        np.fill_diagonal(slopes, terms)
        ends = np.cumsum(s.crossing)
        cuts = np.unique(
            np.concatenate([[0], 1 + np.flatnonzero(np.diff(ends // _BLOCK)), [c.n_agents]])
        ).tolist()
        block = np.zeros((int(np.add.reduceat(s.crossing, cuts[:-1]).max(initial=0)), c.n_goods))
        gain = self.spending / self.response[c.agent]
        for first, last in itertools.pairwise(cuts):
            used = demand_factors(
                first,
                last,
                c.node_start,
                s.disjoint,
                s.factor_start,
                s.row_start,
                s.row_member,
                c.good,
                self.factors,
                self.weight,
                self.money,
                slopes,
                block,
            )
            slopes -= block[:used].T @ block[:used]
            block[:used] = 0.0
            span = slice(int(c.start[first]), int(c.start[last]))
            place = (c.agent[span] - first, c.good[span])
            left, right = np.zeros((2, last - first, c.n_goods))
            left[place], right[place] = gain[span], self.loss[span]
            slopes -= left.T @ right
            if s.has_forced:
                slopes += left.T @ s.forced[first:last].toarray()
        return slopes
