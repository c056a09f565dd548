r"""Elimination of the agents: weighted projections onto laminar trees, in time linear in the pairs.

With pair weights D > 0, node weights :math:`\Theta` (an equality has :math:`\Theta = \infty`) and E the
membership of pairs in nodes, every agent needs the operator

.. math:: P = (D^{-1} + E^\top \Theta E)^{-1}
            = D - D E^\top (\Theta^{-1} + E D E^\top)^{-1} E D.

On a laminar family it takes no factorisation: by Sherman--Morrison from the leaves to the roots, a node
with :math:`\tau` the total of what is left of D below it subtracts
:math:`c c^\top / (\Theta^{-1} + \tau)` and scales everything below it by
:math:`\gamma = \Theta^{-1} / (\Theta^{-1} + \tau)`. All terms are products of non-negative numbers, so
no digit is lost however unequal the weights are.

The functions here are private kernels; ``tests/pseudomarket/test_joint_kernels.py`` holds them to dense
linear algebra.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray


@njit(cache=True)
def node_totals(leaf: IntArray, parent: IntArray, x: FloatArray) -> FloatArray:
    """Compute E x: the total of x over each node's pairs."""
    totals = np.zeros(len(parent))
    for k in range(len(leaf)):
        if leaf[k] >= 0:
            totals[leaf[k]] += x[k]
    for a in range(len(parent)):
        if parent[a] >= 0:
            totals[parent[a]] += totals[a]
    return totals


@njit(cache=True)
def pair_duals(leaf: IntArray, parent: IntArray, y: FloatArray) -> FloatArray:
    """Compute Eᵀ y: the sum of y over the nodes that hold each pair."""
    above = y.copy()
    for a in range(len(parent) - 1, -1, -1):
        if parent[a] >= 0:
            above[a] += above[parent[a]]
    duals = np.zeros(len(leaf))
    for k in range(len(leaf)):
        if leaf[k] >= 0:
            duals[k] = above[leaf[k]]
    return duals


@njit(cache=True)
def tree_weights(
    leaf: IntArray, parent: IntArray, weight: FloatArray, theta_inverse: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return τ, γ and Θ⁻¹ + τ of every node, for the pair weights D and node weights Θ⁻¹.

    An equality whose total the equalities below it fix already is dropped: γ = 1, Θ⁻¹ + τ = ∞.
    """
    tau = np.zeros(len(parent))
    gamma = np.ones(len(parent))
    span = np.full(len(parent), np.inf)
    for k in range(len(leaf)):
        if leaf[k] >= 0:
            tau[leaf[k]] += weight[k]
    for a in range(len(parent)):
        if theta_inverse[a] + tau[a] > 0.0:
            span[a] = theta_inverse[a] + tau[a]
            gamma[a] = theta_inverse[a] / span[a]
        if parent[a] >= 0:
            tau[parent[a]] += gamma[a] * tau[a]
    return tau, gamma, span


@njit(cache=True)
def tree_solve(
    leaf: IntArray,
    parent: IntArray,
    weight: FloatArray,
    tau: FloatArray,
    gamma: FloatArray,
    span: FloatArray,
    force: FloatArray,
    shift: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Solve :math:`x = D (f - E^\top y),\; E x = \Theta^{-1} y + h` for every agent.

    Parameters
    ----------
    leaf, parent, weight, tau, gamma, span : arrays
        The trees, D, and what :func:`tree_weights` returned for them.
    force : FloatArray, shape (n_pairs,)
        f.
    shift : FloatArray, shape (n_nodes,)
        h.

    Returns
    -------
    x : FloatArray, shape (n_pairs,)
    y, totals : FloatArray, shape (n_nodes,)
        y and E x.
    """
    n_nodes = len(parent)
    phi = np.zeros(n_nodes)
    for k in range(len(leaf)):
        if leaf[k] >= 0:
            phi[leaf[k]] += weight[k] * force[k]
    for a in range(n_nodes):
        if parent[a] >= 0:
            phi[parent[a]] += gamma[a] * phi[a] + tau[a] / span[a] * shift[a]
    y, totals, above = np.empty(n_nodes), np.empty(n_nodes), np.empty(n_nodes)
    for a in range(n_nodes - 1, -1, -1):
        outer = above[parent[a]] if parent[a] >= 0 else 0.0
        free = phi[a] - tau[a] * outer
        y[a] = (free - shift[a]) / span[a]
        totals[a] = gamma[a] * free + tau[a] / span[a] * shift[a]
        above[a] = outer + y[a]
    x = np.empty(len(leaf))
    for k in range(len(leaf)):
        x[k] = weight[k] * (force[k] - above[leaf[k]] if leaf[k] >= 0 else force[k])
    return x, y, totals


@njit(cache=True)
def demand_slopes(
    first: int,
    last: int,
    start: IntArray,
    good: IntArray,
    node_start: IntArray,
    member_start: IntArray,
    member: IntArray,
    weight: FloatArray,
    tau: FloatArray,
    gamma: FloatArray,
    span: FloatArray,
    money: FloatArray,
    gain: FloatArray,
    loss: FloatArray,
    triangle: FloatArray,
    square: FloatArray,
    left: FloatArray,
    right: FloatArray,
    wide: int,
) -> int:
    r"""Sum :math:`\sum_i (\alpha_i P_i - g_i \ell_i^\top)` over some agents.

    A rank-one term on at least ``wide`` goods is put into the next row of ``left`` and ``right``, to be
    subtracted as :math:`\text{left}^\top \text{right}`; narrower ones are added in place.

    Parameters
    ----------
    first, last : int
        The agents ``first:last``.
    start, good, node_start : IntArray
        Offsets of the agents' pairs, goods of the pairs (rising within an agent), offsets of the nodes.
    member_start, member : IntArray
        Pairs below each node, rising.
    weight, tau, gamma, span : FloatArray
        As for :func:`tree_solve`.
    money : FloatArray, shape (n_agents,)
        α.
    gain, loss : FloatArray, shape (n_pairs,)
        g and ℓ.
    triangle, square : FloatArray, shape (n_goods, n_goods)
        What narrow terms are added to: of the symmetric ones the upper triangle, and the others.
    left, right : FloatArray, shape (rows, n_goods)
        Zero on entry.
    wide : int
        Least number of goods of a term that goes to ``left`` and ``right``.

    Returns
    -------
    int
        Rows used.
    """
    used = 0
    base = start[first]
    rest = weight[base : start[last]].copy()
    for i in range(first, last):
        k0, k1 = start[i], start[i + 1]
        for k in range(k0, k1):
            triangle[good[k], good[k]] += money[i] * weight[k]
        for a in range(node_start[i], node_start[i + 1]):
            below = member[member_start[a] : member_start[a + 1]]
            scale = money[i] / span[a]
            if len(below) >= wide:
                for k in below:
                    left[used, good[k]] = scale * rest[k - base]
                    right[used, good[k]] = rest[k - base]
                used += 1
            else:
                for m in range(len(below)):
                    row, entry = triangle[good[below[m]]], scale * rest[below[m] - base]
                    for o in range(m, len(below)):
                        row[good[below[o]]] -= entry * rest[below[o] - base]
            for k in below:
                rest[k - base] *= gamma[a]
        if k1 - k0 >= wide:
            for k in range(k0, k1):
                left[used, good[k]] = gain[k]
                right[used, good[k]] = loss[k]
            used += 1
        else:
            for k in range(k0, k1):
                row = square[good[k]]
                for o in range(k0, k1):
                    row[good[o]] -= gain[k] * loss[o]
    return used


@njit(cache=True)
def step_and_project(
    primal: FloatArray,
    dual: FloatArray,
    d_primal: FloatArray,
    d_dual: FloatArray,
    length: float,
    weight: FloatArray,
    mu: float,
    kappa: float,
) -> tuple[FloatArray, FloatArray]:
    r"""Move :math:`w = \kappa X / m - Z` along a direction and return to the products :math:`X Z = \mu m`."""
    new_primal, new_dual = np.empty_like(primal), np.empty_like(dual)
    for k in range(len(primal)):
        scale = kappa / weight[k]
        w = scale * (primal[k] + length * d_primal[k]) - (dual[k] + length * d_dual[k])
        larger = 0.5 * (abs(w) + np.sqrt(w * w + 4.0 * kappa * mu))
        smaller = kappa * mu / larger
        new_primal[k] = (larger if w > 0.0 else smaller) / scale
        new_dual[k] = smaller if w > 0.0 else larger
    return new_primal, new_dual
