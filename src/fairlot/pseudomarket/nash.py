r"""Nash weights: the convex program that is always within reach of an equilibrium.

For weights :math:`w > 0` the program

.. math:: \max \sum_i w_i \log u_i(x_i), \quad x_i \in P_i, \quad F \sum_i (x_i + f_i) \le B

has the optimality conditions of a strong equilibrium for the budgets
:math:`b'_i = p \cdot (x_i + f_i)` with :math:`\lambda_i = 1/\alpha_i = w_i / u_i`: efficient, clearing, and
within every bound. The weights for which :math:`b' = b` (or :math:`b'_i < b_i` and agent i satiated) give the
equilibrium that is sought. Agents for whom nothing is worth anything enter with :math:`-p \cdot x_i` alone:
they take what is cheapest.

The program is solved by a primal–dual interior point. Its complementary products are, in money:
:math:`x z, (c - x) w, t y` per node, :math:`e (\lambda\,\text{penalty} - y)` per taper breakpoint and
:math:`q s`, all to :math:`\mu`, and :math:`\lambda u` to the weight. Agents are eliminated exactly
(:mod:`~fairlot.pseudomarket.elimination`), which leaves one positive definite matrix of supply rows.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg import LinAlgError
from scipy.sparse.linalg import LinearOperator

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.elimination import Definite, Layout, gram, idle_agents

_BACK_OFF = 0.99
_MAX_STEPS = 100


@dataclass
class NashState:
    """An interior iterate in units of money; what ``positive`` pairs stays above 0."""

    x: FloatArray  # copies of pairs, then excesses of breakpoints
    z: FloatArray
    room: FloatArray  # of capped pairs
    room_dual: FloatArray
    over: FloatArray  # slack below upper bounds
    over_dual: FloatArray
    under: FloatArray  # slack above lower bounds
    under_dual: FloatArray
    tied_dual: FloatArray  # of equalities, any sign
    spare: FloatArray  # copies of supply rows left
    q: FloatArray
    utility: FloatArray
    weight: FloatArray  # λ; 0 for agents to whom nothing is worth anything

    positive = (
        ("x", "z"),
        ("room", "room_dual"),
        ("over", "over_dual"),
        ("under", "under_dual"),
        ("spare", "q"),
        ("utility", "weight"),
    )

    def moved(self, step: NashState, length: float) -> NashState:
        """Return the state after a step."""
        return NashState(**{k: v + length * getattr(step, k) for k, v in vars(self).items()})


@dataclass
class _Residuals:
    """What the linear equations of a state still miss."""

    dual: FloatArray
    room: FloatArray
    over: FloatArray
    under: FloatArray
    tied: FloatArray
    supply: FloatArray
    utility: FloatArray
    primal: float
    worst_dual: float


class NashProgram:
    """The convex program of a compiled market, to be solved for one vector of weights after another.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    """

    def __init__(self, compiled: CompiledMarket) -> None:
        self.compiled = compiled
        self.layout = layout = Layout(compiled)
        self.idle = idle_agents(compiled)
        self.capped = np.flatnonzero(compiled.capped)
        hard_tie = compiled.lower == compiled.upper
        self.tied = np.flatnonzero(hard_tie)
        self.over = np.flatnonzero(np.isfinite(compiled.upper) & ~hard_tie)
        self.under = np.flatnonzero(np.isfinite(compiled.lower) & ~hard_tie)
        self.soft_of_over = np.searchsorted(self.over, layout.soft)
        self.excess = slice(layout.n_pairs, layout.n_holdings)
        self.soft_agent = layout.agent[self.excess]
        self.penalty = compiled.penalty[layout.soft]
        held = compiled.forced_matrix
        self.forced_cost_rows = held @ compiled.rows.T
        self.base, self.lift = _constants(compiled, layout)

    def cost(self, x: FloatArray, q: FloatArray) -> FloatArray:
        """Cost of each agent's copies, forced ones included."""
        bought = self.layout.per_agent(x * (self.layout.transposed @ q))
        return np.asarray(bought + self.forced_cost_rows @ q)

    def utility(self, x: FloatArray) -> FloatArray:
        """Compute each agent's utility, plus ``lift`` where bounds could force one that is not positive."""
        return np.asarray(self.base + self.lift + self.layout.per_agent(self.layout.value * x))

    def node_duals(self, state: NashState) -> FloatArray:
        """Return the nodes' duals, signed, in money."""
        y = np.zeros(self.layout.n_nodes)
        y[self.over] = state.over_dual
        y[self.under] -= state.under_dual
        y[self.tied] = state.tied_dual
        return y

    def start(self, weights: FloatArray) -> NashState:
        """Choose an interior state without regard to the equations."""
        compiled, layout = self.compiled, self.layout
        mean = max(float(weights.mean()), 1e-9)
        x = 0.5 * compiled.cap
        bound = np.where(np.isfinite(compiled.upper), compiled.upper, np.inf)
        bound = np.maximum(bound, np.where(np.isfinite(compiled.lower), compiled.lower, 0.0))
        hard = ~np.isfinite(compiled.penalty)
        width = np.maximum(np.diff(layout.membership.indptr), 1)
        ratio = np.where(hard, 0.7 * bound / width, np.inf)
        for column in compiled.chain.T:
            inside = column >= 0
            x[inside] = np.minimum(x[inside], ratio[column[inside]])
        demand = compiled.rows @ np.bincount(compiled.good, x, minlength=compiled.n_goods)
        if len(self.under) + len(self.tied) == 0:
            fit = np.minimum(1.0, 0.9 * compiled.supply / np.maximum(demand, 1e-12))
            tightest = np.ones(compiled.n_goods)
            rows = compiled.rows.tocoo()
            np.minimum.at(tightest, rows.coords[1], fit[rows.coords[0]])
            x = x * tightest[compiled.good]
        x = np.maximum(x, 1e-5)
        x = np.concatenate([x, np.full(len(layout.soft), 0.1)])
        q = np.full(len(compiled.supply), 0.5 * weights.sum() / max(float(compiled.supply.sum()), 1.0))
        price = layout.transposed @ q
        totals = layout.membership @ x
        over = np.maximum(
            compiled.upper[self.over] - totals[self.over], 0.1 * np.abs(bound[self.over]) + 0.01
        )
        under = np.maximum(totals[self.under] - compiled.lower[self.under], 0.1 * compiled.lower[self.under])
        utility = self.utility(x)
        scale = np.maximum(layout.per_agent(np.maximum(layout.value, 0.0) * x), 1e-6)
        utility = np.maximum(utility, 0.1 * scale)
        weight = np.where(self.idle, 0.0, weights / utility)
        over_dual = 0.3 * mean / np.maximum(np.abs(bound[self.over]), 1.0)
        at = self.soft_of_over
        over_dual[at] = np.minimum(over_dual[at], 0.5 * weight[self.soft_agent] * self.penalty)
        return NashState(
            x=x,
            z=np.maximum(price - weight[layout.agent] * layout.value, 0.1 * mean),
            room=np.maximum(compiled.cap[self.capped] - x[self.capped], 0.05),
            room_dual=np.full(len(self.capped), 0.1 * mean),
            over=over,
            over_dual=np.maximum(over_dual, 1e-6 * mean),
            under=under,
            under_dual=np.full(len(self.under), 0.1 * mean),
            tied_dual=np.zeros(len(self.tied)),
            spare=np.maximum(compiled.supply - demand, 0.05 * np.maximum(compiled.supply, 1.0)),
            q=q,
            utility=np.where(self.idle, 1.0, utility),
            weight=weight,
        )

    def solve(
        self,
        weights: FloatArray,
        mu_end: float,
        state: NashState | None = None,
        deadline: float | None = None,
        max_steps: int = _MAX_STEPS,
    ) -> tuple[NashState, int, bool]:
        """Solve for given weights; return the state, the factorisations and whether it converged."""
        weights = np.where(self.idle, 0.0, weights)
        now = self.start(weights) if state is None else state
        best, best_merit = now, np.inf
        linear = min(1e-6, mu_end)
        for step in range(max_steps):
            missing = self._residuals(now)
            mu = self._mu(now)
            off = np.abs(now.weight * now.utility - weights)[~self.idle] / weights[~self.idle]
            balance = float(off.max(initial=0.0))
            merit = max(missing.primal, missing.worst_dual, balance, mu)
            if not np.isfinite(merit):
                return best, step, False
            if merit < best_merit:
                best, best_merit = now, merit
            met = missing.primal <= linear and missing.worst_dual <= linear
            if met and balance <= max(1e-9, 0.1 * mu_end) and mu <= 1.25 * mu_end:
                return now, step, True
            if deadline is not None and time.monotonic() > deadline:
                return best, step, False
            try:
                ahead = self._ahead(now, missing, weights, mu, mu_end)
            except LinAlgError:
                return best, step, False
            now = now.moved(ahead, min(1.0, _BACK_OFF * self._longest(now, ahead)))
        return best, max_steps, False

    def _ahead(
        self, now: NashState, missing: _Residuals, weights: FloatArray, mu: float, mu_end: float
    ) -> NashState:
        """Choose the step: predictor and corrector, or plain Newton once μ is where it should be."""
        system = _System(self, now)
        if mu <= 1.5 * mu_end:
            return system.direction(missing, weights, mu_end, None)
        affine = system.direction(missing, weights, 0.0, None)
        reached = self._mu(now.moved(affine, min(1.0, self._longest(now, affine))))
        centring = min(1.0, max((reached / mu) ** 3, 1e-4))
        return system.direction(missing, weights, max(centring * mu, mu_end), affine)

    def response(self, state: NashState) -> LinearOperator:
        r"""Differentiate spending by the logarithms of weights at a solved state.

        Factorises once; a product costs one solution with the factors. Shape (n_agents, n_agents).
        """
        system, price = _System(self, state), self.layout.transposed @ state.q
        layout, mu = self.layout, self._mu(state)
        level = state.weight * state.utility
        nothing = _Residuals(
            dual=np.zeros(layout.n_holdings),
            room=np.zeros(len(self.capped)),
            over=np.zeros(len(self.over)),
            under=np.zeros(len(self.under)),
            tied=np.zeros(len(self.tied)),
            supply=np.zeros(len(state.q)),
            utility=np.zeros(layout.n_agents),
            primal=0.0,
            worst_dual=0.0,
        )
        still = system.direction(nothing, level, mu, None)

        def product(change: FloatArray) -> FloatArray:
            step = system.direction(nothing, level * (1.0 + change.ravel()), mu, None)
            dx, dq = step.x - still.x, step.q - still.q
            paid = dx * price + state.x * (layout.transposed @ dq)
            return np.asarray(layout.per_agent(paid) + self.forced_cost_rows @ dq)

        n = layout.n_agents
        return LinearOperator((n, n), matvec=product, dtype=np.float64)

    def recentre(self, state: NashState, mu: float, weights: FloatArray) -> NashState:
        """Lift complementary products that are far below μ, so that a warm start has room to move."""
        lifted = dict(vars(state))
        for primal, dual in NashState.positive[:-1]:
            a, b = lifted[primal], lifted[dual]
            factor = np.clip(np.sqrt(0.1 * mu / np.maximum(a * b, 1e-300)), 1.0, 1e4)
            lifted[primal], lifted[dual] = a * factor, b * factor
        change = np.where(self.idle, 1.0, weights / np.maximum(state.weight * state.utility, 1e-300))
        lifted["weight"] = state.weight * change
        return NashState(**lifted)

    def point(self, state: NashState, iterations: int, finished: bool, note: str = "") -> Point:
        """Translate a state into a claim in units of utility.

        For agents to whom nothing is worth anything any money value will do: it is 1, so that their
        duals stay in money.
        """
        alpha = 1.0 / np.where(self.idle, 1.0, state.weight)
        owner = np.repeat(np.arange(self.layout.n_agents), np.diff(self.compiled.node_start))
        return Point(
            x=np.clip(state.x[: self.layout.n_pairs], 0.0, self.compiled.cap),
            q=state.q,
            alpha=alpha,
            y=alpha[owner] * self.node_duals(state),
            finished=finished,
            iterations=iterations,
            note=note,
        )

    def _residuals(self, s: NashState) -> _Residuals:
        compiled, layout = self.compiled, self.layout
        y = self.node_duals(s)
        dual = layout.transposed @ s.q + layout.members_of @ y - s.weight[layout.agent] * layout.value - s.z
        dual[self.capped] += s.room_dual
        totals = layout.membership @ s.x
        room = s.x[self.capped] + s.room - compiled.cap[self.capped]
        over = totals[self.over] + s.over - compiled.upper[self.over]
        under = totals[self.under] - s.under - compiled.lower[self.under]
        tied = totals[self.tied] - compiled.upper[self.tied]
        supply = layout.supplied @ s.x + s.spare - compiled.supply
        utility = np.where(self.idle, 0.0, s.utility - self.utility(s.x))
        relative = supply / np.maximum(compiled.supply, 1.0)
        linear = (room, over, under, tied, relative, utility)
        primal = max(float(np.abs(part).max(initial=0.0)) for part in linear)
        worst_dual = float(np.max(np.abs(dual) / np.maximum(1.0, s.weight[layout.agent]), initial=0.0))
        return _Residuals(dual, room, over, under, tied, supply, utility, primal, worst_dual)

    def _mu(self, s: NashState) -> float:
        products = [getattr(s, a) * getattr(s, b) for a, b in NashState.positive[:-1]]
        return float(sum(p.sum() for p in products) / max(1, sum(len(p) for p in products)))

    def _longest(self, s: NashState, d: NashState) -> float:
        longest = np.inf
        for name in (name for pair in NashState.positive for name in pair):
            change, here = getattr(d, name), getattr(s, name)
            falls = change < 0
            if falls.any():
                longest = min(longest, float(np.min(-here[falls] / change[falls])))
        return longest


class _System:
    """The Newton system at a state: factorised once, solved for several right-hand sides."""

    def __init__(self, program: NashProgram, state: NashState) -> None:
        self.program, self.state = program, state
        layout = program.layout
        stiff = state.z / state.x
        stiff[program.capped] += state.room_dual / state.room
        # T: how far a node's total gives way to its dual. Two-sided bounds add up as stiffness.
        hold = np.zeros(layout.n_nodes)
        hold[program.over] = state.over_dual / state.over
        hold[program.under] += state.under_dual / state.under
        hold[program.tied] = np.inf
        self.give = 1.0 / hold
        self.hold = hold
        self.agents = layout.eliminate(1.0 / stiff, self.give)
        self.gain = self.agents.project(layout.value)
        curvature = layout.per_agent(layout.value * self.gain)
        self.curve = np.maximum(curvature, 0.0) + state.utility / np.where(program.idle, 1.0, state.weight)
        scaled = self.gain / np.sqrt(self.curve)[layout.agent]
        scaled[program.idle[layout.agent]] = 0.0
        place = (layout.agent, np.arange(layout.n_holdings))
        by_agent = sp.csr_array((scaled, place), shape=(layout.n_agents, layout.n_holdings))
        matrix = self.agents.supply_matrix() - gram(sp.csr_array(by_agent @ layout.transposed))
        matrix[np.diag_indices_from(matrix)] += state.spare / state.q
        self.matrix = Definite(matrix)

    def direction(
        self, r: _Residuals, weights: FloatArray, target: float, before: NashState | None
    ) -> NashState:
        """Step towards products equal to the target, with Mehrotra's correction for a step before."""
        program, s, layout = self.program, self.state, self.program.layout

        def missing(a: str, b: str, goal: FloatArray | float = target) -> FloatArray:
            gap = goal - getattr(s, a) * getattr(s, b)
            return np.asarray(gap if before is None else gap - getattr(before, a) * getattr(before, b))

        c_x, c_room = missing("x", "z"), missing("room", "room_dual")
        c_over, c_under = missing("over", "over_dual"), missing("under", "under_dual")
        c_spare, c_utility = missing("spare", "q"), missing("utility", "weight", weights)
        force = c_x / s.x - r.dual
        force[program.capped] -= (c_room + s.room_dual * r.room) / s.room
        push = np.zeros(layout.n_nodes)
        push[program.over] = (c_over + s.over_dual * r.over) / s.over
        push[program.under] -= (c_under - s.under_dual * r.under) / s.under
        shift = -self.give * push
        shift[program.tied] = -r.tied
        idle = program.idle
        lam = np.where(idle, 1.0, s.weight)
        wanted = c_utility / lam + r.utility
        dx, _ = self._agents(force, shift)
        base = np.where(idle, 0.0, (wanted - layout.per_agent(layout.value * dx)) / self.curve)
        first = dx + self.gain * base[layout.agent]
        dq = self.matrix.solve(r.supply + c_spare / s.q + layout.supplied @ first)
        rise = layout.per_agent(self.gain * (layout.transposed @ dq)) / self.curve
        dweight = np.where(idle, 0.0, base + rise)
        dx, dy = self._agents(force - layout.transposed @ dq + layout.value * dweight[layout.agent], shift)
        totals = layout.membership @ dx
        stiff = self.give < 1e-2
        totals = np.where(stiff, self.give * dy + shift, totals)
        dover = -r.over - totals[program.over]
        dunder = r.under + totals[program.under]
        droom = -r.room - dx[program.capped]
        return NashState(
            x=dx,
            z=(c_x - s.z * dx) / s.x,
            room=droom,
            room_dual=(c_room - s.room_dual * droom) / s.room,
            over=dover,
            over_dual=(c_over - s.over_dual * dover) / s.over,
            under=dunder,
            under_dual=(c_under - s.under_dual * dunder) / s.under,
            tied_dual=dy[program.tied],
            spare=(c_spare - s.spare * dq) / s.q,
            q=dq,
            utility=np.where(idle, 0.0, (c_utility - s.utility * dweight) / lam),
            weight=dweight,
        )

    def _agents(self, force: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray]:
        layout, weights = self.program.layout, self.agents.weights
        dy = self.agents.nodes(layout.membership @ (weights * force) - shift)
        return weights * (force - layout.members_of @ dy), dy


def _constants(compiled: CompiledMarket, layout: Layout) -> tuple[FloatArray, FloatArray]:
    """Value the forced copies; bound what utility below 0 the agents' bounds could force."""
    market = compiled.market
    worth = np.bincount(market.pair_agent, market.base_values * compiled.forced, minlength=market.n_agents)
    constant = worth / compiled.value_scale
    owner = np.repeat(np.arange(compiled.n_agents), np.diff(compiled.node_start))
    bound = np.zeros(compiled.n_agents, dtype=bool)
    bound[owner[np.isfinite(compiled.lower)]] = True
    cap = np.concatenate([compiled.cap, np.zeros(len(layout.soft))])
    reach = layout.membership @ cap
    worst = np.bincount(compiled.agent, np.maximum(-compiled.value, 0) * compiled.cap, minlength=len(bound))
    excess = np.maximum(reach - compiled.upper, 0.0)[layout.soft] * compiled.penalty[layout.soft]
    worst = worst + np.bincount(owner[layout.soft], excess, minlength=len(bound))
    return constant, np.where(bound, worst, 0.0)


def solve_nash(
    compiled: CompiledMarket,
    *,
    weights: FloatArray | None = None,
    mu_end: float = 1e-8,
    deadline: float | None = None,
) -> Point:
    """Solve the convex program for given weights.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    weights : FloatArray, shape (n_agents,), optional
        Positive; twice the budgets by default.
    mu_end : float
        Complementary products at which to stop, in scaled money.
    deadline : float, optional
        Reading of ``time.monotonic`` at which to return the best iterate.

    Returns
    -------
    Point
        A strong equilibrium for the budgets ``p · x``, up to ``mu_end``; ``finished`` says whether the
        program was solved, not that these budgets are the agents' own.
    """
    program = NashProgram(compiled)
    weights = 2.0 * compiled.budget if weights is None else np.asarray(weights, dtype=np.float64)
    state, steps, done = program.solve(weights, mu_end, deadline=deadline)
    return program.point(state, steps, done, "" if done else "the convex program was not solved")
