r"""The joint system of a market in budget-multiplier form, and its Newton steps.

At a barrier weight :math:`\mu > 0` and a small price of money :math:`\varepsilon`, all variables at once
(the notation is that of :mod:`fairlot.pseudomarket.compiled`):

.. math::

    v_i = (\alpha_i + \varepsilon_i) p + E_i^\top y_i + w_i - z_i, \quad p = F^\top q, \\
    x + r = c, \quad Ex + t = h, \quad Ex - t' = l, \quad Ex - e + t = h, \quad y + \bar y = \pi, \\
    p \cdot (x_i + f_i) + \sigma_i = b_i, \quad F \sum_i x_i + s = B + \mu \kappa B, \\
    rw = ty = t'y' = e \bar y = \mu, \quad xz = \mu \omega, \quad \sigma_i \alpha_i = \mu b_i, \quad
    s q = \mu B.

The pairs of complementary variables are kept in two flat arrays, ``primal`` (x, r, t, t', e, σ, s) and
``dual`` (z, w, y, y', ȳ, α, q), block after block. :math:`\kappa` lends supply while μ > 0, so that a
market whose lower bounds use up all supply still has an interior.

Satiation is :math:`\alpha \to 0`; :math:`\varepsilon` makes satiated agents choose a cheapest optimum.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint.kernels import demand_gaps, largest_ratio, step_and_project

if TYPE_CHECKING:
    from fairlot.pseudomarket.joint.newton import Linearization

KAPPA = 2.0
_ROWS = 1024
"""Rank-one terms gathered before they are multiplied out."""


@dataclass(frozen=True, eq=False)
class State:
    """Values, or a direction, of all variables.

    Parameters
    ----------
    primal, dual : FloatArray, shape (n_products,)
        The complementary pairs, in the blocks of :class:`JointSystem`.
    free : FloatArray, shape (n_equal,)
        Duals of the equality nodes.
    """

    primal: FloatArray
    dual: FloatArray
    free: FloatArray

    def plus(self, other: State, length: float) -> State:
        """Add a multiple of another direction."""
        return State(
            self.primal + length * other.primal,
            self.dual + length * other.dual,
            self.free + length * other.free,
        )


@dataclass(frozen=True, eq=False)
class Residual:
    """What the linear equations lack, right-hand side minus left, block by block."""

    stationarity: FloatArray
    cap: FloatArray
    upper: FloatArray
    lower: FloatArray
    taper: FloatArray
    penalty: FloatArray
    equal: FloatArray
    money: FloatArray
    supply: FloatArray

    def largest(self) -> float:
        """Largest magnitude."""
        return float(max(np.abs(part).max(initial=0.0) for part in vars(self).values()))


class JointSystem:
    """The equations of a market, at a given price of money.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    epsilon : FloatArray, shape (n_agents,)
        Price of money per agent.
    pair_weight : FloatArray, shape (n_pairs,), optional
        Factors of the weights ω, which are min(b, 1) by default.
    lending : float
        κ: supply is lent in the proportion ``lending * mu``.
    """

    def __init__(
        self,
        compiled: CompiledMarket,
        epsilon: FloatArray,
        pair_weight: FloatArray | None = None,
        lending: float = 0.0,
    ) -> None:
        self.compiled = compiled
        self.epsilon = epsilon
        self.leaf: IntArray = (
            np.ascontiguousarray(compiled.chain[:, 0])
            if compiled.chain.shape[1]
            else np.full(compiled.n_pairs, -1, dtype=np.int64)
        )
        hard = np.isinf(compiled.penalty)
        equal = hard & (compiled.lower == compiled.upper)
        self.capped = np.flatnonzero(compiled.capped)
        self.upper = np.flatnonzero(hard & ~equal & np.isfinite(compiled.upper))
        self.lower = np.flatnonzero(hard & ~equal & np.isfinite(compiled.lower))
        self.taper = np.flatnonzero(~hard)
        self.equal = np.flatnonzero(equal)
        n_taper = len(self.taper)
        sizes = [compiled.n_pairs, len(self.capped), len(self.upper), len(self.lower), n_taper, n_taper]
        ends = np.cumsum([0, *sizes, compiled.n_agents, len(compiled.supply)])
        blocks = [slice(int(a), int(b)) for a, b in itertools.pairwise(ends)]
        self.b_x, self.b_cap, self.b_upper, self.b_lower = blocks[:4]
        self.b_taper, self.b_excess, self.b_money, self.b_supply = blocks[4:]
        self.weight = np.ones(ends[-1])
        # What little a poor agent can buy is to be as exact, to her, as what others buy.
        self.weight[self.b_x] = np.minimum(compiled.budget, 1.0)[compiled.agent]
        if pair_weight is not None:
            self.weight[self.b_x] *= pair_weight
        self.weight[self.b_money] = compiled.budget
        self.weight[self.b_supply] = np.maximum(compiled.supply, 1.0)
        self.lent = lending * self.weight[self.b_supply]
        self.value = compiled.value
        order, counts = _members(compiled.chain, compiled.n_nodes)
        self.member, self.member_start = order, np.concatenate([[0], np.cumsum(counts)])
        self.forced = compiled.forced_matrix
        self.has_forced = self.forced.nnz > 0
        self.at_cap: IntArray = np.full(compiled.n_pairs, -1, dtype=np.int64)
        self.at_cap[self.capped] = compiled.n_pairs + np.arange(len(self.capped))
        # A product of dense rows beats scattered updates once a third of the goods is involved.
        self.wide = max(8, compiled.n_goods // 3)
        pairs = np.diff(compiled.start)
        by_agent = np.add.reduceat(np.append(counts >= self.wide, 0), compiled.node_start[:-1])
        by_agent[np.diff(compiled.node_start) == 0] = 0
        self.chunks, self.chunk_rows = _chunks(by_agent + (pairs >= self.wide))

    def prices(self, state: State) -> FloatArray:
        """Prices of the goods, p = Fᵀ q."""
        return np.asarray(self.compiled.rows.T @ state.dual[self.b_supply])

    def node_duals(self, state: State) -> FloatArray:
        """Duals of the nodes, signed."""
        y = np.zeros(self.compiled.n_nodes)
        y[self.upper] += state.dual[self.b_upper]
        y[self.lower] -= state.dual[self.b_lower]
        y[self.taper] = state.dual[self.b_taper]
        y[self.equal] = state.free
        return y

    def residual(self, state: State, mu: float) -> Residual:
        """Evaluate the linear equations at a state."""
        c = self.compiled
        p = self.prices(state)
        stationarity, room, spent, sold, totals = demand_gaps(
            c.start,
            c.good,
            self.leaf,
            c.parent,
            self.at_cap,
            self.value,
            c.cap,
            state.primal,
            state.dual,
            state.dual[self.b_money] + self.epsilon,
            p,
            self.node_duals(state),
        )
        slack, excess = state.primal[self.b_taper], state.primal[self.b_excess]
        money = c.budget - spent
        if self.has_forced:
            money -= self.forced @ p
        return Residual(
            stationarity=stationarity,
            cap=room,
            upper=(c.upper - totals)[self.upper] - state.primal[self.b_upper],
            lower=(totals - c.lower)[self.lower] - state.primal[self.b_lower],
            taper=(c.upper - totals)[self.taper] + excess - slack,
            penalty=c.penalty[self.taper] - state.dual[self.b_taper] - state.dual[self.b_excess],
            equal=(c.upper - totals)[self.equal],
            money=money - state.primal[self.b_money],
            supply=c.supply + mu * self.lent - c.rows @ sold - state.primal[self.b_supply],
        )

    def merit(self, residual: Residual) -> float:
        """Norm of a residual: money in budgets, supply in the square root of a row's copies."""
        parts = [part for name, part in vars(residual).items() if name not in ("money", "supply")]
        parts.append(residual.money / self.compiled.budget)
        parts.append(residual.supply / np.sqrt(self.weight[self.b_supply]))
        return float(np.sqrt(sum(float(part @ part) for part in parts)))

    def lending_rate(self, mu: float) -> Residual:
        """Return the derivative of the residual in log μ."""
        c = self.compiled
        zero = np.zeros
        return Residual(
            zero(c.n_pairs),
            zero(len(self.capped)),
            zero(len(self.upper)),
            zero(len(self.lower)),
            zero(len(self.taper)),
            zero(len(self.taper)),
            zero(len(self.equal)),
            zero(c.n_agents),
            mu * self.lent,
        )

    def row_prices(self, state: State) -> FloatArray:
        """Return the scaled prices of the supply rows."""
        return state.dual[self.b_supply]

    def linearize(self, state: State) -> Linearization:
        """Factor the reduced matrix at a state."""
        from fairlot.pseudomarket.joint.newton import Linearization

        return Linearization(self, state)

    def project(self, state: State, step: State, length: float, mu: float) -> State:
        """Take a step of some length and return to the products at μ."""
        primal, dual = step_and_project(
            state.primal, state.dual, step.primal, step.dual, length, self.weight, mu, KAPPA
        )
        return State(primal, dual, state.free + length * step.free)

    def mend(self, state: State, residual: Residual, mu: float) -> State | None:
        """Leave agents where a step has taken them."""
        return None

    def relative_size(self, state: State, step: State) -> float:
        """Largest change of a variable relative to itself; infinite if the step is not finite."""
        return float(largest_ratio(step.primal, state.primal))

    def point(self, state: State, *, finished: bool, iterations: int, note: str = "") -> Point:
        """Return the state as a claim on the market, with ε counted as part of α."""
        return Point(
            x=state.primal[self.b_x].copy(),
            q=self.row_prices(state).copy(),
            alpha=state.dual[self.b_money] + self.epsilon,
            y=self.node_duals(state),
            finished=finished,
            iterations=iterations,
            note=note,
        )


def _members(chain: IntArray, n_nodes: int) -> tuple[IntArray, IntArray]:
    """List the pairs below each node, node after node, and how many there are."""
    pair, column = np.nonzero(chain >= 0)
    node = chain[pair, column]
    return pair[np.argsort(node, kind="stable")], np.bincount(node, minlength=n_nodes)


def _chunks(rows: IntArray) -> tuple[IntArray, int]:
    """Cut the agents into runs of about ``_ROWS`` rows; return the cuts and the rows of the largest."""
    ends = np.cumsum(rows)
    cuts = np.unique(np.concatenate([[0], 1 + np.flatnonzero(np.diff(ends // _ROWS)), [len(rows)]]))
    return cuts, int(np.add.reduceat(rows, cuts[:-1]).max())
