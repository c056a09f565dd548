r"""The market as a system of equations in prices, once every agent has settled.

.. math:: G(q, \mu) = B - F \sum_i x_i(F^\top q, \mu) - \mu \Big(\frac1q - \kappa\Big) = 0.

The term in κ makes room where lower bounds use up the supply: capacities are a little larger as long
as μ > 0. Its derivatives are exact: agents' responses come from their own Newton matrices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.linalg.blas import dsyrk
from scipy.linalg.lapack import dgetrf, dgetrs

from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.pseudomarket.pricepath import agents as kernels
from fairlot.pseudomarket.pricepath import unit
from fairlot.pseudomarket.pricepath.layout import TAPER, Agents, Layout
from fairlot.pseudomarket.pricepath.newton import State, empty_factors, empty_state, sum_slopes

_DENSE_SHARE = 1 / 3
_DENSE_ROWS = 2048
_DENSE_ENTRIES = 2_000_000
_FRUGAL = 1e-5
_SINGULAR = 1e-13


@dataclass
class Position:
    """A point on the way: prices of the scarce supply rows, μ, and agents settled there.

    Parameters
    ----------
    q : FloatArray, shape (m,)
        Prices, positive.
    mu : float
        Barrier parameter.
    state : State
        The agents' variables.
    """

    q: FloatArray
    mu: float
    state: State

    def copy(self) -> Position:
        """Return a position that can be moved without moving this one."""
        return Position(self.q.copy(), self.mu, State(*(part.copy() for part in self.state)))


class Clearing:
    """Evaluates G and its derivatives, and moves along them.

    Parameters
    ----------
    layout : Layout
        The market.
    kappa : float
        κ, per unit of price.
    """

    def __init__(self, layout: Layout, kappa: float) -> None:
        self.layout, self.kappa = layout, kappa
        self._columns = layout.fold.shape[1]
        self._plain = (layout.fold != sp.eye_array(*layout.fold.shape, format="csr")).nnz == 0
        self._scratch = empty_state(layout.agents)
        self._prepare()

    def _prepare(self) -> None:
        agents, columns = self.layout.agents, self._columns
        self._factors = empty_factors(agents)
        self._defect = empty_state(agents)
        n_rows, n_pairs = np.diff(agents.row_start), np.diff(agents.pair_start)
        self._dense = n_pairs > _DENSE_SHARE * columns
        rows = np.where(self._dense, n_rows, 0)
        chunk = np.cumsum(rows) // _DENSE_ROWS
        self._chunks = np.concatenate([[0], np.flatnonzero(np.diff(chunk)) + 1, [len(rows)]])
        self._chunk_rows = np.add.reduceat(rows, self._chunks[:-1])
        self._chunk_agents = np.add.reduceat(self._dense.astype(np.int64), self._chunks[:-1])

    def new_step(self) -> State:
        """Allocate room for a step of the agents' variables."""
        return empty_state(self.layout.agents)

    def prices(self, q: FloatArray) -> FloatArray:
        """Return the prices of goods, with the 0 of unpriced goods at the end."""
        return np.append(q if self._plain else self.layout.fold.T @ q, 0.0)

    def settle(self, position: Position, tol: float) -> bool:
        """Bring every agent to her optimum at the position; say whether all got there."""
        price = self.prices(position.q)
        return self._settle(self.layout.agents, position.state, price, position.mu, tol) == 0

    def _settle(self, agents: Agents, state: State, price: FloatArray, mu: float, tol: float) -> int:
        """Bring agents to their optimum; return how many failed."""
        scratch = self._scratch
        _, failures = kernels.settle(agents, state, self._factors, self._defect, scratch, price, mu, tol)
        return int(failures)

    def surplus(self, position: Position) -> FloatArray:
        """Return G at a position where agents have settled."""
        agents = self.layout.agents
        taken = np.bincount(agents.column, position.state.x, minlength=self._columns + 1)[:-1]
        barrier = position.mu * (1.0 / position.q - self.kappa)
        sold = taken if self._plain else self.layout.fold @ taken
        return np.asarray(self.layout.supply - sold - barrier)

    def differentiate(self, position: Position) -> tuple[FloatArray, FloatArray]:
        """Return ∂G/∂q and ∂G/∂(log μ); later calls of ``respond`` refer to this position."""
        mu, fold = position.mu, self.layout.fold
        slope, drift = self._slopes(position)
        jacobian = slope[:-1, :-1] if self._plain else (fold @ (fold @ slope[:-1, :-1]).T).T
        jacobian[np.diag_indices_from(jacobian)] += mu / position.q**2
        by_mu = -(fold @ drift[:-1]) - mu * (1.0 / position.q - self.kappa)
        return jacobian, by_mu

    def _slopes(self, position: Position) -> tuple[FloatArray, FloatArray]:
        """Return −∂(Σ x)/∂p and ∂(Σ x)/∂(log μ), shapes (n_columns + 1,) twice and once."""
        agents, state, mu = self.layout.agents, position.state, position.mu
        drift = np.empty(self._columns + 1)
        kernels.differentiate(
            agents, state, self._factors, self._defect, self._scratch, self.prices(position.q), mu, drift
        )
        width = self._columns + 1
        half, slope = np.zeros((width, width)), np.zeros((width, width))
        chunks = zip(self._chunks[:-1], self._chunks[1:], self._chunk_rows, self._chunk_agents, strict=True)
        for begin, end, n_rows, n_dense in chunks:
            spread = np.zeros((n_rows, width))
            income, held = np.zeros((n_dense, width)), np.zeros((n_dense, width))
            sum_slopes(
                agents, state, self._factors, self._dense, begin, end, half, slope, spread, income, held
            )
            slope += income.T @ held
            if n_rows:
                projection = dsyrk(1.0, spread.T)  # one triangle, the other is 0
                projection[np.diag_indices(width)] *= 0.5
                half -= projection.T
        slope += half + half.T
        return slope, drift

    def respond(self, position: Position, q_step: FloatArray, log_mu_step: float, step: State) -> float:
        """Fill in the agents' response to a step from the position last differentiated.

        Returns
        -------
        float
            The largest relative decrease of any positive variable, prices and μ included.
        """
        worst = self._respond(position, self.prices(q_step), log_mu_step, step)
        return float(np.max([worst, (-q_step / position.q).max(), -log_mu_step]))

    def _respond(self, position: Position, price_step: FloatArray, log_mu_step: float, step: State) -> float:
        price, mu = self.prices(position.q), position.mu
        agents, state = self.layout.agents, position.state
        worst = kernels.respond(
            agents, state, self._factors, self._defect, step, price, mu, log_mu_step, price_step
        )
        return float(worst)

    def advance(
        self, position: Position, q_step: FloatArray, log_mu_step: float, step: State, length: float
    ) -> None:
        """Move a position along a step, in place; variables stay positive."""
        kernels.advance(self.layout.agents, position.state, step, length)
        position.q = position.q * np.maximum(1.0 + length * q_step / position.q, 0.05)
        position.mu *= max(1.0 + length * log_mu_step, 0.02)

    def frugal(self, position: Position) -> BoolArray:
        """Tell which agents would get more utility if money were worth less to them, prices given."""
        agents = self.layout.agents
        other = position.copy()
        looser = agents._replace(money=0.01 * agents.money)
        self._settle(looser, other.state, self.prices(position.q), position.mu, _FRUGAL)
        gain = self._utilities(other.state) - self._utilities(position.state)
        return np.asarray(gain > _FRUGAL + 2.0 * np.sqrt(position.mu))

    def _utilities(self, state: State) -> FloatArray:
        agents = self.layout.agents
        lost = np.where(agents.kind == TAPER, agents.penalty, 0.0)
        lost[lost > 0] *= state.excess[lost > 0]
        gained = np.add.reduceat(agents.value * state.x, agents.pair_start[:-1])
        return np.asarray(gained - np.add.reduceat(lost, agents.row_start[:-1]))

    def largest_money_value(self, position: Position) -> float:
        """Return the largest value, in utility, that her whole budget has to an agent."""
        agents = self.layout.agents
        last = agents.row_start[1:] - 1
        return float((position.state.toll[last] * agents.upper[last]).max())

    def metric(self, position: Position) -> FloatArray:
        r"""Weigh price steps: :math:`1/q^2 + 0.1\, F \sum_i (\alpha_i x_i / \mu)^2`.

        :math:`\alpha_i x_{ij} dp_j/\mu` is the relative change of a multiplier :math:`z_{ij}`: with
        these weights a step along the curve is short where agents are about to switch goods.
        """
        agents, state = self.layout.agents, position.state
        last = agents.row_start[1:] - 1
        money = np.repeat(agents.money + state.toll[last], np.diff(agents.pair_start))
        moved = (money * state.x / position.mu) ** 2
        of_goods = np.bincount(agents.column, moved, minlength=self._columns + 1)[:-1]
        return np.asarray(1.0 / position.q**2 + 0.1 * (self.layout.fold @ of_goods))


class UnitClearing(Clearing):
    """The same for agents under one bound each (:mod:`~fairlot.pseudomarket.pricepath.unit`)."""

    def _prepare(self) -> None:
        agents, width = self.layout.agents, self._columns + 1
        self._slope, self._sums = np.empty(len(agents.value)), np.empty((len(agents.money), 3))
        self._wide = len(agents.value) > _DENSE_SHARE * len(agents.money) * width
        chunk = min(len(agents.money), 1 + _DENSE_ENTRIES // width)
        self._rows = np.empty((3, chunk if self._wide else 0, width))

    def _settle(self, agents: Agents, state: State, price: FloatArray, mu: float, tol: float) -> int:
        _, failures = unit.settle(agents, state, self._slope, self._scratch, price, mu, tol)
        return int(failures)

    def _slopes(self, position: Position) -> tuple[FloatArray, FloatArray]:
        agents, state, price = self.layout.agents, position.state, self.prices(position.q)
        width, slope, sums = self._columns + 1, self._slope, self._sums
        total, drift = np.zeros((width, width)), np.empty(width)
        unit.differentiate(agents, state, slope, sums, price, position.mu, drift)
        if not self._wide:
            unit.narrow_slopes(agents, state, slope, sums, price, total)
            return total, drift
        diagonal = np.zeros(width)
        for begin in range(0, len(agents.money), self._rows.shape[1]):
            end = min(begin + self._rows.shape[1], len(agents.money))
            rows = self._rows[:, : end - begin]
            rows[:] = 0.0
            unit.wide_slopes(agents, state, slope, sums, price, begin, end, rows, diagonal)
            total += rows[1].T @ rows[2]
            total -= rows[0].T @ rows[0]
        total[np.diag_indices(width)] += diagonal
        return total, drift

    def _respond(self, position: Position, price_step: FloatArray, log_mu_step: float, step: State) -> float:
        price, mu = self.prices(position.q), position.mu
        agents, state = self.layout.agents, position.state
        worst = unit.respond(agents, state, self._slope, self._sums, step, price, mu, log_mu_step, price_step)
        return float(worst)


class Bordered:
    """The system [∂G; normal] factored, scaled by the Jacobian's diagonal.

    Parameters
    ----------
    jacobian : FloatArray, shape (m, m)
        ∂G/∂q.
    by_mu : FloatArray, shape (m,)
        ∂G/∂(log μ).
    q_normal, log_mu_normal : FloatArray and float
        The last row.

    Attributes
    ----------
    sign : float
        Of the determinant.
    """

    def __init__(
        self, jacobian: FloatArray, by_mu: FloatArray, q_normal: FloatArray, log_mu_normal: float
    ) -> None:
        m = len(by_mu)
        self._scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(jacobian)), 1e-300))
        normal = np.append(q_normal * self._scale, log_mu_normal)
        self._length = np.float64(np.linalg.norm(normal))  # division by 0 gives no step, and no error
        matrix = np.empty((m + 1, m + 1))
        matrix[:m, :m] = jacobian * self._scale[:, None] * self._scale
        matrix[:m, m] = by_mu * self._scale
        matrix[m] = normal / self._length
        self._lu, self._pivots, _ = dgetrf(matrix)
        swaps = int((self._pivots != np.arange(m + 1)).sum())
        self.sign = float(np.prod(np.sign(np.diag(self._lu))) * (-1) ** swaps)

    def solve(self, surplus: FloatArray, along: float) -> tuple[FloatArray, float]:
        """Return (dq, d log μ) with ∂G·d = surplus and normal·d = along."""
        right = np.append(surplus * self._scale, along / self._length)
        solution, _ = dgetrs(self._lu, self._pivots, right)
        return solution[:-1] * self._scale, float(solution[-1])


def least_step(jacobian: FloatArray, surplus: FloatArray) -> FloatArray:
    """Solve ∂G/∂q dq = surplus, by the least step where the Jacobian is singular to rounding."""
    scale = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(jacobian)), 1e-300))
    scaled = jacobian * scale[:, None] * scale
    if not np.isfinite(scaled).all():
        return np.full_like(surplus, np.nan)
    try:
        solution = np.linalg.lstsq(scaled, surplus * scale, rcond=_SINGULAR)[0]
    except np.linalg.LinAlgError:
        return np.full_like(surplus, np.nan)
    return np.asarray(solution * scale)
