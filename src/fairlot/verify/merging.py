r"""Best bundles in one agent's laminar tree, by merging concave sequences.

For a set S of the tree let :math:`f_S(t)` be the best weighted value of taking exactly t copies from S
within all bounds at or below S. It is concave, and kept as its first admissible t together with its
slopes in falling order. From the leaves to the root: the slopes of a set are those of its goods and of
the sets inside it, merged in falling order; a lower bound takes the first slopes for certain; an upper
bound cuts the last ones off; a taper's breakpoint h lowers every slope beyond the h-th by its penalty.
At the root what remains is taken as long as it pays.

Weights are pairs compared lexicographically: utility less :math:`\alpha` times cost, then utility; at
:math:`\alpha = 0` utility, then less cost; at :math:`\alpha = \infty` less cost, then utility. Copies
may be fractions, so that the same merging finds the best part of somebody else's expected copies.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray

SHORT = 1e-9
"""Copies by which a lower bound may be missed for want of rounding."""


@njit(cache=True)
def _keys(value: float, price: float, alpha: float, grain: float) -> tuple[float, float]:
    """Weigh a copy at the given utility per money; values within ``grain`` of each other tie at alpha 0."""
    if alpha == 0.0:
        return (np.rint(value / grain) * grain if grain > 0.0 else value), -price
    if alpha == np.inf:
        return -price, value
    return value - alpha * price, value


@njit(cache=True)
def _merge(one: int, other: int, after: IntArray, first: FloatArray, second: FloatArray) -> int:
    """Merge two lists of falling weights; return the head."""
    head = -1
    tail = -1
    while one >= 0 and other >= 0:
        if first[one] > first[other] or (first[one] == first[other] and second[one] >= second[other]):
            step, one = one, after[one]
        else:
            step, other = other, after[other]
        if tail < 0:
            head = step
        else:
            after[tail] = step
        tail = step
    rest = one if one >= 0 else other
    if tail < 0:
        return rest
    after[tail] = rest
    return head


@njit(cache=True)
def _merge_all(lists: int, beside: IntArray, after: IntArray, first: FloatArray, second: FloatArray) -> int:
    """Merge lists that hang side by side, two and two, until one is left."""
    while lists >= 0 and beside[lists] >= 0:
        merged = -1
        while lists >= 0:
            one = lists
            other = beside[one]
            if other < 0:
                lists = -1
                head = one
            else:
                lists = beside[other]
                head = _merge(one, other, after, first, second)
            beside[head] = merged
            merged = head
        lists = merged
    return lists


@njit(cache=True)
def best_bundle(
    values: FloatArray,
    prices: FloatArray,
    room: FloatArray,
    leaf: IntArray,
    offset: int,
    parent: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    penalty: FloatArray,
    alpha: float,
    grain: float,
    links: IntArray,
    slopes: FloatArray,
) -> tuple[bool, float, float]:
    """Find the bundle of greatest weight for one agent.

    Parameters
    ----------
    values, prices, room : FloatArray, shape (n_pairs,)
        Utility per copy, price, and copies to be had.
    leaf : IntArray, shape (n_pairs,)
        Node of each pair, counted over all agents; -1 for none.
    offset : int
        First node of the agent.
    parent, lower, upper, penalty : arrays, shape (n_nodes,)
        The agent's nodes, children first; ``parent`` counts over all agents.
    alpha : float
        Utility per unit of money, 0 and infinity included.
    grain : float
        Utilities per copy that differ by less are taken as tied at ``alpha`` 0.
    links : IntArray, shape (3, size)
    slopes : FloatArray, shape (6, size)
        Room to work in; ``size`` at least n_pairs + n_nodes.

    Returns
    -------
    feasible : bool
        Whether any bundle meets the lower bounds.
    utility, cost : float
        Of the bundle.
    """
    chain, beside, after = links[0], links[1], links[2]
    first, second, value, price = slopes[0], slopes[1], slopes[2], slopes[3]
    amount, base = slopes[4], slopes[5]
    n_pairs, n_nodes = len(values), len(parent)
    for node in range(n_nodes):
        chain[node] = -1
        base[node] = 0.0
    utility = 0.0
    cost = 0.0
    for s in range(n_pairs):
        if room[s] <= 0.0:
            continue
        first[s], second[s] = _keys(values[s], prices[s], alpha, grain)
        if leaf[s] < 0:
            if first[s] > 0.0 or (first[s] == 0.0 and second[s] > 0.0):
                utility += values[s] * room[s]
                cost += prices[s] * room[s]
            continue
        value[s], price[s], amount[s] = values[s], prices[s], room[s]
        after[s] = -1
        home = leaf[s] - offset
        beside[s] = chain[home]
        chain[home] = s
    spare = n_pairs
    for node in range(n_nodes):
        head = _merge_all(chain[node], beside, after, first, second)
        total = base[node]
        while total < lower[node] and head >= 0:
            step = min(amount[head], lower[node] - total)
            utility += step * value[head]
            cost += step * price[head]
            total += step
            amount[head] -= step
            if amount[head] <= 0.0:
                head = after[head]
        if total < lower[node] - SHORT:
            return False, 0.0, 0.0
        left = upper[node] - total
        if penalty[node] == np.inf:
            if left < -SHORT:
                return False, 0.0, 0.0
            last = -1
            s = head
            while s >= 0 and left > 0.0:
                amount[s] = min(amount[s], left)
                left -= amount[s]
                last = s
                s = after[s]
            if last < 0:
                head = -1
            else:
                after[last] = -1
        else:
            if left < 0.0:
                utility += left * penalty[node]
                left = 0.0
            s = head
            last = -1
            while s >= 0 and left >= amount[s]:
                left -= amount[s]
                last = s
                s = after[s]
            if s >= 0 and left > 0.0:
                # The breakpoint falls inside a slope: split it.
                value[spare], price[spare], amount[spare] = value[s], price[s], left
                first[spare], second[spare] = first[s], second[s]
                amount[s] -= left
                after[spare] = s
                if last < 0:
                    head = spare
                else:
                    after[last] = spare
                spare += 1
            while s >= 0:
                value[s] -= penalty[node]
                first[s], second[s] = _keys(value[s], price[s], alpha, grain)
                s = after[s]
        if parent[node] >= 0:
            above = parent[node] - offset
            base[above] += total
            if head >= 0:
                beside[head] = chain[above]
                chain[above] = head
        else:
            while head >= 0 and (first[head] > 0.0 or (first[head] == 0.0 and second[head] > 0.0)):
                utility += amount[head] * value[head]
                cost += amount[head] * price[head]
                head = after[head]
    return True, utility, cost
