r"""Newton steps of the joint system, by exact elimination of the agents.

At a state of :class:`~fairlot.pseudomarket.joint.system.JointSystem` the multipliers of pairs go into the
weights :math:`D^{-1} = z/x + w/r` of pairs and :math:`\Theta^{-1}` of nodes: t/y and t'/y' in parallel for a
hard bound, :math:`t/y + e/\bar y` for a taper's breakpoint, 0 for an equality. With the operator P of
:mod:`~fairlot.pseudomarket.joint.kernels`, what remains after α is a nonsymmetric matrix with one row per
good and limit,

.. math::

    F S F^\top + \mathrm{diag}(s / q), \qquad
    S = \sum_i (\alpha_i + \varepsilon_i) P_i + \frac{P_i p\,
        (x_i + f_i - (\alpha_i + \varepsilon_i) P_i p)^\top}{p^\top P_i p + \sigma_i / \alpha_i}.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.pseudomarket.joint.kernels import (
    answer_prices,
    balance_money,
    demand_slopes,
    money_response,
    pair_forces,
    pair_weights,
    split_pairs,
    tree_solve,
    tree_weights,
)
from fairlot.pseudomarket.joint.system import JointSystem, Residual, State

_NO_BOUND = 1e300
"""Θ⁻¹ of a node without a bound."""
ROUNDING_LIFT = 1e-13
"""Part of the terms of its diagonal by which the reduced matrix is lifted."""


@dataclass(frozen=True, eq=False)
class Offer:
    """What agents would do in a Newton step if prices stayed as they are.

    Parameters
    ----------
    force, shift : FloatArray, shape (n_pairs,) and (n_nodes,)
        Right-hand sides of :func:`~fairlot.pseudomarket.joint.kernels.tree_solve`.
    money : FloatArray, shape (n_agents,)
        Changes of α.
    sold : FloatArray, shape (n_rows,)
        Change of the copies that count against every supply row.
    """

    force: FloatArray
    shift: FloatArray
    money: FloatArray
    sold: FloatArray


class AgentSteps:
    """The agents' side of a Newton step at a state: their slopes, offers, and answers to price changes.

    Sums of slopes and of offers over sets of agents are those of all: a market may be cut among workers.

    Attributes
    ----------
    terms : FloatArray, shape (n_goods,)
        Size of the terms that add up to the diagonal of the slopes.
    """

    def __init__(self, system: JointSystem, state: State) -> None:
        s, c = system, system.compiled
        self.system, self.state = system, state
        self.ratio = state.dual / state.primal
        self.weight = pair_weights(s.at_cap, self.ratio)
        theta = np.zeros(c.n_nodes)
        theta[s.upper] += self.ratio[s.b_upper]
        theta[s.lower] += self.ratio[s.b_lower]
        self.theta_inverse = np.full(c.n_nodes, _NO_BOUND)
        bound = theta > 0
        self.theta_inverse[bound] = 1.0 / theta[bound]
        self.theta_inverse[s.taper] = 1.0 / self.ratio[s.b_taper] + 1.0 / self.ratio[s.b_excess]
        self.theta_inverse[s.equal] = 0.0
        self.tree = tree_weights(s.leaf, c.parent, self.weight, self.theta_inverse)
        self.money = state.dual[s.b_money] + s.epsilon
        self.price = s.prices(state)[c.good]
        self.spending, _, _ = self._solve(self.price, np.zeros(c.n_nodes))
        response, self.loss, self.terms = money_response(
            c.start,
            c.good,
            self.price,
            self.weight,
            self.spending,
            self.money,
            state.primal[s.b_x],
            c.n_goods,
        )
        self.response = response + 1.0 / self.ratio[s.b_money]

    def _solve(self, force: FloatArray, shift: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        s = self.system
        parent = s.compiled.parent
        return tree_solve(s.leaf, parent, self.weight, *self.tree, force, shift)

    def _slopes(self) -> FloatArray:
        s, c = self.system, self.system.compiled
        gain = self.spending / self.response[c.agent]
        triangle, square = np.zeros((2, c.n_goods, c.n_goods))
        left, right = np.zeros((2, s.chunk_rows, c.n_goods))
        for first, last in itertools.pairwise(s.chunks):
            used = demand_slopes(
                first,
                last,
                c.start,
                c.good,
                c.node_start,
                s.member_start,
                s.member,
                self.weight,
                *self.tree,
                self.money,
                gain,
                self.loss,
                triangle,
                square,
                left,
                right,
                s.wide,
            )
            if used:
                square -= left[:used].T @ right[:used]
                left[:used], right[:used] = 0.0, 0.0
        slopes = square + triangle + np.triu(triangle, 1).T
        if s.has_forced:
            response = sp.csr_array((gain, c.good, c.start), shape=(c.n_agents, c.n_goods))
            slopes += (response.T @ s.forced).toarray()
        return np.asarray(slopes)

    def slopes(self) -> FloatArray:
        """Return the matrix S of the module in terms of supply rows, F S Fᵀ."""
        c, matrix = self.system.compiled, self._slopes()
        return np.asarray(c.rows @ (c.rows @ matrix.T).T) if len(c.supply) > c.n_goods else matrix

    def offer(self, products: FloatArray, residual: Residual) -> Offer:
        """Begin a step: parameters as for :meth:`Linearization.direction`."""
        s, c, r = self.system, self.system.compiled, residual
        primal, dual = self.state.primal, self.state.dual
        force = pair_forces(s.at_cap, products, primal, dual, r.stationarity, r.cap)
        shift = np.zeros(c.n_nodes)
        shift[s.upper] -= (products[s.b_upper] - dual[s.b_upper] * r.upper) / primal[s.b_upper]
        shift[s.lower] += (products[s.b_lower] - dual[s.b_lower] * r.lower) / primal[s.b_lower]
        shift *= np.where(self.theta_inverse < _NO_BOUND, self.theta_inverse, 0.0)
        gap = (products[s.b_excess] - primal[s.b_excess] * r.penalty) / dual[s.b_excess]
        shift[s.taper] = r.taper + gap - products[s.b_taper] / dual[s.b_taper]
        shift[s.equal] = r.equal
        held, _, _ = self._solve(force, shift)
        unspent = r.money - products[s.b_money] / dual[s.b_money]
        d_alpha, sold = balance_money(
            c.start, c.good, self.price, held, self.spending, unspent, self.response, c.n_goods
        )
        return Offer(force, shift, d_alpha, np.asarray(c.rows @ sold))

    def answer(self, offer: Offer, products: FloatArray, residual: Residual, d_q: FloatArray) -> State:
        """Finish a step, given the change of row prices; the rows' own variables are filled in too."""
        s, c, r = self.system, self.system.compiled, residual
        primal, dual, ratio = self.state.primal, self.state.dual, self.ratio
        force, d_alpha = offer.force.copy(), offer.money.copy()
        d_p = c.rows.T @ d_q
        forced_cost = s.forced @ d_p if s.has_forced else np.zeros(c.n_agents)
        answer_prices(
            c.start,
            c.good,
            self.price,
            self.loss,
            self.response,
            self.money,
            forced_cost,
            d_p,
            d_alpha,
            force,
        )
        d_x, d_y, totals = self._solve(force, offer.shift)
        d_primal, d_dual = np.empty_like(primal), np.empty_like(dual)
        split_pairs(s.at_cap, products, primal, ratio, r.cap, d_x, d_primal, d_dual)
        d_dual[s.b_money], d_dual[s.b_supply] = d_alpha, d_q
        for block in (s.b_money, s.b_supply):
            d_primal[block] = products[block] / dual[block] - d_dual[block] / ratio[block]
        self._bounds(products, r, d_y, totals, d_primal, d_dual)
        return State(d_primal, d_dual, d_y[s.equal])

    def _bounds(
        self,
        products: FloatArray,
        r: Residual,
        d_y: FloatArray,
        totals: FloatArray,
        d_primal: FloatArray,
        d_dual: FloatArray,
    ) -> None:
        """Split the nodes' directions among their bounds.

        Of each complementary pair the larger member follows from the linear equations and the smaller one
        from the product: the other way round would divide rounding errors by the small one.
        """
        s = self.system
        primal, dual, ratio = self.state.primal, self.state.dual, self.ratio
        up, low = s.b_upper, s.b_lower
        d_primal[up] = r.upper - totals[s.upper]
        d_primal[low] = r.lower + totals[s.lower]
        for block in (up, low):
            d_dual[block] = products[block] / primal[block] - ratio[block] * d_primal[block]
        other_low, other_up = np.zeros(len(d_y)), np.zeros(len(d_y))
        other_low[s.lower], other_up[s.upper] = d_dual[low], d_dual[up]
        rival_low, rival_up = np.zeros(len(d_y)), np.zeros(len(d_y))
        rival_low[s.lower], rival_up[s.upper] = ratio[low], ratio[up]
        for block, nodes, signed, rival in (
            (up, s.upper, d_y + other_low, rival_low),
            (low, s.lower, other_up - d_y, rival_up),
        ):
            tight = (ratio[block] > 1.0) & (ratio[block] >= rival[nodes])
            d_dual[block] = np.where(tight, signed[nodes], d_dual[block])
            of_product = products[block] / dual[block] - d_dual[block] / ratio[block]
            d_primal[block] = np.where(tight, of_product, d_primal[block])
        slack, excess = s.b_taper, s.b_excess
        d_dual[slack] = d_y[s.taper]
        d_dual[excess] = r.penalty - d_y[s.taper]
        for block in (slack, excess):
            d_primal[block] = products[block] / dual[block] - d_dual[block] / ratio[block]
        loose = ratio[slack] < 1.0
        d_slack = r.taper - totals[s.taper] + d_primal[excess]
        d_primal[slack] = np.where(loose, d_slack, d_primal[slack])
        exceeded = ratio[excess] < 1.0
        d_excess = totals[s.taper] + d_primal[slack] - r.taper
        d_primal[excess] = np.where(exceeded, d_excess, d_primal[excess])
        by_product = products[excess] / primal[excess] - ratio[excess] * d_primal[excess]
        d_dual[excess] = np.where(exceeded, by_product, d_dual[excess])


class Linearization(AgentSteps):
    """The reduced matrix at a state, factored; gives Newton directions and the orientation."""

    def __init__(self, system: JointSystem, state: State) -> None:
        super().__init__(system, state)
        matrix = self.slopes()
        diagonal = np.arange(len(system.compiled.supply))
        matrix[diagonal, diagonal] += 1.0 / self.ratio[system.b_supply]
        # Where prices are free to move, what is left of large terms that cancel is rounding.
        matrix[diagonal, diagonal] += ROUNDING_LIFT * (system.compiled.rows @ self.terms)
        # Unlike lu_factor, silent at a zero pivot: such a step is infinite and refused by its size.
        self.lu = la.lapack.dgetrf(matrix, overwrite_a=True)[:2]

    def direction(self, products: FloatArray, residual: Residual) -> State:
        r"""Solve the linearised system.

        Parameters
        ----------
        products : FloatArray, shape (n_products,)
            Wanted first-order change of primal times dual.
        residual : Residual
            Wanted change of the linear equations' left-hand sides.
        """
        rows = self.system.b_supply
        offer = self.offer(products, residual)
        right = offer.sold - residual.supply + products[rows] / self.state.dual[rows]
        d_q = la.lu_solve(self.lu, right, check_finite=False)
        return self.answer(offer, products, residual, d_q)

    def correction(self, residual: Residual) -> State:
        """Return the Newton direction that keeps all products."""
        return self.direction(np.zeros_like(self.system.weight), residual)

    def tangent(self, mu: float) -> State:
        """Return the path's direction in log μ, at a state with products at μ."""
        return self.direction(mu * self.system.weight, self.system.lending_rate(mu))

    def orientation(self) -> int:
        """Sign of the determinant of the reduced matrix."""
        return orientation_of(*self.lu)


def orientation_of(lu: FloatArray, pivots: IntArray) -> int:
    """Sign of the determinant of a factored matrix."""
    swaps = int(np.count_nonzero(pivots != np.arange(len(pivots))))
    negative = int(np.count_nonzero(np.diag(lu) < 0))
    return -1 if (swaps + negative) % 2 else 1
