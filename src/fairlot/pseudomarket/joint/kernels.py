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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def largest_ratio(change: FloatArray, base: FloatArray) -> float:
    """Compute the largest magnitude of change over base; infinite if any is NaN."""
    largest = 0.0
    whole = 0.0
    for k in range(len(base)):
        ratio = abs(change[k] / base[k])
        whole += ratio
        largest = max(largest, ratio)
    return largest if whole < np.inf else np.inf


@njit(cache=True)
def demand_gaps(
    start: IntArray,
    good: IntArray,
    leaf: IntArray,
    parent: IntArray,
    at_cap: IntArray,
    value: FloatArray,
    cap: FloatArray,
    primal: FloatArray,
    dual: FloatArray,
    alpha: FloatArray,
    price: FloatArray,
    y: FloatArray,
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray]:
    r"""Evaluate what pairs say: gaps of stationarity and of caps, spending, sales and node totals.

    Parameters
    ----------
    start, good, leaf, parent : IntArray
        Offsets of the agents' pairs, goods and innermost nodes of the pairs, the trees.
    at_cap : IntArray, shape (n_pairs,)
        Where the products of caps are among all products; -1 for pairs without.
    value, cap : FloatArray, shape (n_pairs,)
        v and c.
    primal, dual : FloatArray, shape (n_products,)
        All products; those of pairs come first.
    alpha : FloatArray, shape (n_agents,)
        :math:`\alpha + \varepsilon`.
    price : FloatArray, shape (n_goods,)
        p.
    y : FloatArray, shape (n_nodes,)
        Duals of the nodes.

    Returns
    -------
    stationarity : FloatArray, shape (n_pairs,)
        :math:`v - \alpha p - E^\top y - w + z`.
    room : FloatArray, shape (n_capped,)
        :math:`c - x - r`, in the order of the caps' products.
    spent, sold, totals : FloatArray
        :math:`p \cdot x_i`, :math:`\sum_i x_i` and :math:`E x`.
    """
    n_pairs = len(good)
    above = y.copy()
    for a in range(len(parent) - 1, -1, -1):
        if parent[a] >= 0:
            above[a] += above[parent[a]]
    stationarity = np.empty(n_pairs)
    n_capped = 0
    for k in range(n_pairs):
        n_capped += at_cap[k] >= 0
    room = np.empty(n_capped)
    spent, sold, totals = np.zeros(len(alpha)), np.zeros(len(price)), np.zeros(len(parent))
    for i in range(len(alpha)):
        cost = 0.0
        for k in range(start[i], start[i + 1]):
            x, p = primal[k], price[good[k]]
            gap = value[k] - alpha[i] * p + dual[k]
            if leaf[k] >= 0:
                gap -= above[leaf[k]]
                totals[leaf[k]] += x
            if at_cap[k] >= 0:
                gap -= dual[at_cap[k]]
                room[at_cap[k] - n_pairs] = cap[k] - x - primal[at_cap[k]]
            stationarity[k] = gap
            cost += p * x
            sold[good[k]] += x
        spent[i] = cost
    for a in range(len(parent)):
        if parent[a] >= 0:
            totals[parent[a]] += totals[a]
    return stationarity, room, spent, sold, totals


@njit(cache=True, error_model="numpy")
def pair_weights(at_cap: IntArray, ratio: FloatArray) -> FloatArray:
    """Compute D of the pairs, from the ratios dual over primal of all products."""
    weight = np.empty(len(at_cap))
    for k in range(len(at_cap)):
        weight[k] = 1.0 / (ratio[k] + ratio[at_cap[k]] if at_cap[k] >= 0 else ratio[k])
    return weight


@njit(cache=True)
def money_response(
    start: IntArray,
    good: IntArray,
    price: FloatArray,
    weight: FloatArray,
    spending: FloatArray,
    alpha: FloatArray,
    x: FloatArray,
    n_goods: int,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    r"""Compute :math:`p^\top P p` of every agent, :math:`\alpha P p - x`, and the sums of αD by good."""
    response, loss, terms = np.empty(len(alpha)), np.empty(len(good)), np.zeros(n_goods)
    for i in range(len(alpha)):
        cost = 0.0
        for k in range(start[i], start[i + 1]):
            cost += price[k] * spending[k]
            loss[k] = alpha[i] * spending[k] - x[k]
            terms[good[k]] += alpha[i] * weight[k]
        response[i] = cost
    return response, loss, terms


@njit(cache=True, error_model="numpy")
def pair_forces(
    at_cap: IntArray,
    products: FloatArray,
    primal: FloatArray,
    dual: FloatArray,
    stationarity: FloatArray,
    room: FloatArray,
) -> FloatArray:
    """Compute f of :func:`tree_solve` before prices and money move, shape (n_pairs,)."""
    n_pairs = len(stationarity)
    force = np.empty(n_pairs)
    for k in range(n_pairs):
        force[k] = stationarity[k] + products[k] / primal[k]
        c = at_cap[k]
        if c >= 0:
            force[k] -= (products[c] - dual[c] * room[c - n_pairs]) / primal[c]
    return force


@njit(cache=True)
def balance_money(
    start: IntArray,
    good: IntArray,
    price: FloatArray,
    held: FloatArray,
    spending: FloatArray,
    unspent: FloatArray,
    response: FloatArray,
    n_goods: int,
) -> tuple[FloatArray, FloatArray]:
    """Choose every agent's change of α so that her budget holds at fixed prices.

    Returns
    -------
    money : FloatArray, shape (n_agents,)
        The changes.
    sold : FloatArray, shape (n_goods,)
        Changes of copies of all agents together.
    """
    money, sold = np.empty(len(unspent)), np.zeros(n_goods)
    for i in range(len(unspent)):
        cost = 0.0
        for k in range(start[i], start[i + 1]):
            cost += price[k] * held[k]
        money[i] = (cost - unspent[i]) / response[i]
        for k in range(start[i], start[i + 1]):
            sold[good[k]] += held[k] - spending[k] * money[i]
    return money, sold


@njit(cache=True)
def answer_prices(
    start: IntArray,
    good: IntArray,
    price: FloatArray,
    loss: FloatArray,
    response: FloatArray,
    alpha: FloatArray,
    forced_cost: FloatArray,
    d_p: FloatArray,
    money: FloatArray,
    force: FloatArray,
) -> None:
    """Let α and f answer a change of prices, both in place."""
    for i in range(len(money)):
        change = -forced_cost[i]
        for k in range(start[i], start[i + 1]):
            change += loss[k] * d_p[good[k]]
        money[i] -= change / response[i]
        for k in range(start[i], start[i + 1]):
            force[k] -= alpha[i] * d_p[good[k]] + price[k] * money[i]


@njit(cache=True, error_model="numpy")
def split_pairs(
    at_cap: IntArray,
    products: FloatArray,
    primal: FloatArray,
    ratio: FloatArray,
    room: FloatArray,
    d_x: FloatArray,
    d_primal: FloatArray,
    d_dual: FloatArray,
) -> None:
    """Fill in the directions of the pairs' products, copies and caps, from those of the copies."""
    n_pairs = len(d_x)
    for k in range(n_pairs):
        d_primal[k] = d_x[k]
        d_dual[k] = products[k] / primal[k] - ratio[k] * d_x[k]
        c = at_cap[k]
        if c >= 0:
            d_primal[c] = room[c - n_pairs] - d_x[k]
            d_dual[c] = products[c] / primal[c] - ratio[c] * d_primal[c]
