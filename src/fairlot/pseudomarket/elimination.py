r"""Elimination of the agents from a Newton system, exact and free of cancellation on laminar trees.

With positive weights D on what agents hold and :math:`T \ge 0` on their nodes, every Newton system of the
market contains, agent by agent,

.. math:: P = D - D E^\top M^{-1} E D, \qquad M = T + E D E^\top,

where E says which node holds what. On a tree, node after parent-less node from the leaves up, M
factorises without ever subtracting: with :math:`a = D` to begin with, node m has pivot
:math:`d_m = T_m + s_m`, :math:`s_m = \sum_{j \in S_m} a_j`, its row of the factor is
:math:`g_m = a` on :math:`S_m`, and then :math:`a \leftarrow a\, T_m / d_m` on :math:`S_m`. Hence
:math:`P = D - \sum_m g_m g_m^\top / d_m`, in time proportional to the number of pairs times the depth.

*Holdings* are the market's pairs followed by one excess per taper breakpoint: an excess has no good, the
value -penalty, and enters its own node with coefficient -1.
"""

from __future__ import annotations

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.pseudomarket.compiled import CompiledMarket

_DENSE = 0.15
"""Share of nonzeros from which a product of sparse rows is cheaper as a dense one."""

_CHUNK = 4_000_000
"""Entries of a dense block worked on at once."""


class Layout:
    """Holdings, nodes and supply rows of a compiled market as incidence matrices.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.

    Attributes
    ----------
    soft : IntArray
        Nodes that are taper breakpoints, in the order of their excesses.
    agent, value : arrays, shape (n_holdings,)
        Owner and utility per copy of each holding.
    membership : scipy.sparse.csr_array, shape (n_nodes, n_holdings)
        The matrix E.
    supplied : scipy.sparse.csr_array, shape (n_rows, n_holdings)
        How much of each supply row a holding takes.
    """

    def __init__(self, compiled: CompiledMarket) -> None:
        n_pairs, n_nodes = compiled.n_pairs, compiled.n_nodes
        self.n_agents, self.n_pairs, self.n_nodes = compiled.n_agents, n_pairs, n_nodes
        self.soft: IntArray = np.flatnonzero(np.isfinite(compiled.penalty))
        n_soft = len(self.soft)
        self.n_holdings = n_pairs + n_soft
        self.good, self.n_goods = compiled.good, compiled.n_goods
        owner = np.repeat(np.arange(compiled.n_agents), np.diff(compiled.node_start))
        self.agent: IntArray = np.concatenate([compiled.agent, owner[self.soft]]).astype(np.int64)
        self.value: FloatArray = np.concatenate([compiled.value, -compiled.penalty[self.soft]])
        held, column = np.nonzero(compiled.chain >= 0)
        self._entry_node: IntArray = compiled.chain[held, column]
        self._entry_pair: IntArray = held.astype(np.int64)
        shape = (n_nodes, self.n_holdings)
        excess = n_pairs + np.arange(n_soft)
        self.membership = sp.csr_array(
            (
                np.concatenate([np.ones(len(held)), -np.ones(n_soft)]),
                (np.concatenate([self._entry_node, self.soft]), np.concatenate([held, excess])),
            ),
            shape=shape,
        )
        place = (compiled.good, np.arange(n_pairs))
        goods = sp.csr_array((np.ones(n_pairs), place), shape=(compiled.n_goods, self.n_holdings))
        self.rows = compiled.rows
        self.goods_of = sp.csr_array(goods.T[:n_pairs])
        self.supplied = sp.csr_array(compiled.rows @ goods)
        self.transposed = sp.csr_array(self.supplied.T)
        self.members_of = sp.csr_array(self.membership.T)
        depth = _depths(compiled.parent)
        self.parent = compiled.parent
        deepest_first = range(int(depth.max(initial=-1)), -1, -1)
        self.levels = [np.flatnonzero(depth == d) for d in deepest_first]
        entry_depth = depth[self._entry_node]
        self.entries = [np.flatnonzero(entry_depth == d) for d in deepest_first]

    def per_agent(self, amounts: FloatArray) -> FloatArray:
        """Sum amounts of holdings by agent."""
        return np.asarray(np.bincount(self.agent, amounts, minlength=self.n_agents), dtype=np.float64)

    def goods_totals(self, amounts: FloatArray) -> FloatArray:
        """Sum amounts of pairs by good."""
        return np.asarray(np.bincount(self.good, amounts, minlength=self.n_goods), dtype=np.float64)

    def eliminate(self, weights: FloatArray, give: FloatArray) -> Elimination:
        """Factorise M for weights D of holdings and T of nodes."""
        return Elimination(self, weights, give)


class Elimination:
    r"""The factorised agents' part of a Newton system, see the module.

    Parameters
    ----------
    layout : Layout
        Incidences.
    weights : FloatArray, shape (n_holdings,)
        The diagonal D, at least 0.
    give : FloatArray, shape (n_nodes,)
        The diagonal T, at least 0; 0 for nodes whose total may not move.

    Attributes
    ----------
    factor : scipy.sparse.csr_array, shape (n_nodes, n_pairs)
        The rows :math:`g_m / \sqrt{d_m}` on pairs: among pairs, P is D minus its Gram matrix.
    left : FloatArray, shape (n_pairs,)
        The row sums a of P among pairs.
    """

    def __init__(self, layout: Layout, weights: FloatArray, give: FloatArray) -> None:
        self.layout, self.weights = layout, weights
        left = weights[: layout.n_pairs].copy()
        own = np.zeros(layout.n_nodes)
        own[layout.soft] = weights[layout.n_pairs :]
        root = np.zeros(len(layout._entry_node))
        self.pivot = np.ones(layout.n_nodes)
        self.reach = np.zeros(layout.n_nodes)
        for level, entries in zip(layout.levels, layout.entries, strict=True):
            node, pair = layout._entry_node[entries], layout._entry_pair[entries]
            root[entries] = left[pair]
            reach = np.bincount(node, left[pair], minlength=layout.n_nodes)
            self.reach[level] = reach[level]
            room = give[level] + own[level]
            # A node without room whose pairs its inner nodes already hold fixed has nothing left to say.
            self.pivot[level] = np.maximum(room + reach[level], np.finfo(np.float64).tiny * 1e20)
            ratio = np.ones(layout.n_nodes)
            ratio[level] = room / self.pivot[level]
            left[pair] *= ratio[node]
        self.left = left
        place = (layout._entry_node, layout._entry_pair)
        rows = root / np.sqrt(self.pivot)[layout._entry_node]
        self.factor = sp.csr_array((rows, place), shape=(layout.n_nodes, layout.n_pairs))

    def nodes(self, right: FloatArray) -> FloatArray:
        """Solve M y = right."""
        layout = self.layout
        right = right.copy()
        passed = np.zeros(layout.n_nodes)
        share = self.reach / self.pivot
        for level in layout.levels:
            right[level] -= passed[level]
            up = layout.parent[level]
            inner = up >= 0
            carried = passed[level] + share[level] * right[level]
            np.add.at(passed, up[inner], carried[inner])
        y = np.zeros(layout.n_nodes)
        above = np.zeros(layout.n_nodes)
        for level in reversed(layout.levels):
            up = layout.parent[level]
            above[level] = np.where(up >= 0, above[up] + y[up], 0.0)
            y[level] = (right[level] - self.reach[level] * above[level]) / self.pivot[level]
        return y

    def project(self, amounts: FloatArray) -> FloatArray:
        """Multiply by P."""
        pulled = self.weights * amounts
        y = self.nodes(self.layout.membership @ pulled)
        return np.asarray(pulled - self.weights * (self.layout.members_of @ y))

    def supply_matrix(self) -> FloatArray:
        """Sum P over the agents in terms of supply rows, shape (n_rows, n_rows).

        P is an M-matrix: nothing above 0 off the diagonal, and row sums a ≥ 0 as the elimination left
        them. Building its diagonal from these keeps what subtraction from D would lose.
        """
        layout = self.layout
        total = -gram(sp.csr_array(self.factor @ layout.goods_of))
        diagonal = np.diag_indices_from(total)
        total[diagonal] = 0.0
        total[diagonal] = layout.goods_totals(self.left) - total.sum(axis=1)
        return np.asarray(layout.rows @ (layout.rows @ total).T)


def gram(rows: sp.csr_array, others: sp.csr_array | None = None) -> FloatArray:
    """Compute the dense product rowsᵀ @ others (others = rows by default)."""
    others = rows if others is None else others
    n_rows, width = rows.shape
    if n_rows == 0 or rows.nnz < _DENSE * n_rows * width:
        return np.asarray((rows.T @ others).toarray())
    total = np.zeros((width, width))
    step = max(1, _CHUNK // max(1, width))
    for first in range(0, n_rows, step):
        block = rows[first : first + step].toarray()
        other = block if others is rows else others[first : first + step].toarray()
        total += block.T @ other
    return total


class Definite:
    """A factorised positive definite matrix, its diagonal lifted where rounding has made it less.

    Parameters
    ----------
    matrix : FloatArray, shape (n, n)
        Symmetric, positive definite up to rounding.

    Raises
    ------
    scipy.linalg.LinAlgError
        If no small lift helps, because the matrix is not even nearly definite, or not finite.
    """

    def __init__(self, matrix: FloatArray) -> None:
        largest = float(np.abs(matrix).max(initial=0.0))
        if not np.isfinite(largest):
            raise la.LinAlgError("matrix is not finite")
        self._scale = 1.0 / np.sqrt(np.maximum(np.diagonal(matrix), 1e-16 * largest + 1e-300))
        scaled = matrix * self._scale[:, None] * self._scale[None, :]
        lift = 1e-14
        while True:
            try:
                self._factor = la.cho_factor(scaled + lift * np.eye(len(matrix)), check_finite=False)
                return
            except la.LinAlgError:
                lift *= 100.0
                if lift > 1.0:
                    raise

    def solve(self, right: FloatArray) -> FloatArray:
        """Solve with the matrix."""
        inner = la.cho_solve(self._factor, self._scale * right, check_finite=False)
        return np.asarray(self._scale * inner)


def _depths(parent: IntArray) -> IntArray:
    depth = np.zeros(len(parent), dtype=np.int64)
    current = parent.copy()
    while (inside := current >= 0).any():
        depth += inside
        current = np.where(inside, parent[np.maximum(current, 0)], -1)
    return depth


def idle_agents(compiled: CompiledMarket) -> BoolArray:
    """Agents for whom all that remains is worth nothing: they take what is cheapest."""
    worth = np.zeros(compiled.n_agents, dtype=bool)
    worth[compiled.agent[compiled.value != 0]] = True
    owner = np.repeat(np.arange(compiled.n_agents), np.diff(compiled.node_start))
    worth[owner[np.isfinite(compiled.penalty)]] = True
    return ~worth
