r"""An earlier equilibrium as a point of a market that differs a little.

Agents, goods and limits are matched by name, their copies, prices and money values taken over, and recomputed
duals of nodes from prices and copies. With :math:`g = v - \alpha p` and
:math:`\theta_a` the sum of y over node a and those above it, copies are optimal at these prices if

.. math::

    x_k < c_k \Rightarrow \theta_a \ge g_k, \qquad x_k > 0 \Rightarrow \theta_a \le g_k

for every pair k right below a, and if :math:`y_a = \theta_a - \theta_{\text{parent}}` is 0 where the node has
slack, at least 0 at its upper bound, at most 0 at its lower one, within 0 and the penalty at a breakpoint and
the penalty above it. Intervals for :math:`\theta` go up the trees, choices in the middle of them come down.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.equilibrium import Equilibrium
from fairlot.pseudomarket.joint.kernels import node_totals
from fairlot.pseudomarket.joint.start import prices_of_money

_EDGE = 1e-7
"""Copies by which an amount may miss its bound and still count as being there."""
_SLACK, _UPPER, _LOWER, _FIXED, _BREAK, _ABOVE = range(6)


def point_near(compiled: CompiledMarket, found: Equilibrium) -> Point | None:
    """Translate a result for nearby data into a point of a market; None if it has no prices.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    found : Equilibrium
        Of a market that shares agents and goods with it. Who is new begins with nothing, what is new at a
        price of 0.

    Returns
    -------
    Point
        An equilibrium up to rounding if the markets are the same.
    """
    if found.shares is None or found.row_prices is None:
        return None
    market, old = compiled.market, found.market
    who = _places(market.agents, old.agents)
    agent = who[market.pair_agent[compiled.pairs]]
    good = _places(market.goods, old.goods)[market.pair_good[compiled.pairs]]
    known = (agent >= 0) & (good >= 0)
    x = np.zeros(compiled.n_pairs)
    x[known] = np.asarray(found.shares.matrix[agent[known], good[known]]).ravel()
    x = np.clip(x, 0.0, compiled.cap)
    row = _places(_row_names(market), _row_names(old))
    row_prices = np.where(row >= 0, found.row_prices[row], 0.0)
    worth = np.where(who >= 0, np.nan_to_num(found.money_values)[who], 0.0)
    worth = worth * compiled.budget_scale / compiled.value_scale
    alpha = np.where(worth > 0.0, worth, prices_of_money(compiled))
    q = row_prices / compiled.budget_scale
    gain = compiled.value - alpha[compiled.agent] * np.asarray(compiled.rows.T @ q)[compiled.good]
    return Point(x, q, alpha, node_duals(compiled, x, gain), finished=False, iterations=0)


def _places(names: tuple[str, ...], among: tuple[str, ...]) -> IntArray:
    """Where each name is among others; -1 where it is not."""
    place = {name: k for k, name in enumerate(among)}
    return np.array([place.get(name, -1) for name in names], dtype=np.int64)


def _row_names(market: PseudoMarket) -> tuple[str, ...]:
    """Name every supply row; a limit by its goods too, since labels may repeat."""
    limits = zip(market.limits, market.limit_sets, strict=True)
    of_limits = (f"{limit.label} of {[market.goods[j] for j in goods]}" for limit, (goods, _) in limits)
    return (*(f"good {good}" for good in market.goods), *of_limits)


def node_duals(compiled: CompiledMarket, x: FloatArray, gain: FloatArray) -> FloatArray:
    """Find duals y of the nodes at which copies are optimal, as far inside what is possible as can be.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    x, gain : FloatArray, shape (n_pairs,)
        Copies, and what they are worth over their price.

    Returns
    -------
    FloatArray, shape (n_nodes,)
        A compromise where the copies are not optimal.
    """
    if not compiled.n_nodes:
        return np.zeros(0)
    leaf = np.ascontiguousarray(compiled.chain[:, 0])
    total = node_totals(leaf, compiled.parent, x)
    soft = np.isfinite(compiled.penalty)
    full, least = total >= compiled.upper - _EDGE, total <= compiled.lower + _EDGE
    kind = np.where(full, _UPPER, np.where(least, _LOWER, _SLACK))
    kind[compiled.lower == compiled.upper] = _FIXED
    kind[soft & full] = np.where(total > compiled.upper + _EDGE, _ABOVE, _BREAK)[soft & full]
    inside = leaf >= 0
    floor, ceiling = np.full(compiled.n_nodes, -np.inf), np.full(compiled.n_nodes, np.inf)
    more = inside & ((x < compiled.cap - _EDGE) | ~compiled.capped)
    less = inside & (x > _EDGE)
    np.maximum.at(floor, leaf[more], gain[more])
    np.minimum.at(ceiling, leaf[less], gain[less])
    return _levels(compiled.parent, kind, compiled.penalty, floor, ceiling)


@njit(cache=True)
def _levels(
    parent: IntArray, kind: IntArray, penalty: FloatArray, floor: FloatArray, ceiling: FloatArray
) -> FloatArray:
    """Choose θ between floor and ceiling, which are narrowed in place, and return y."""
    for a in range(len(parent)):
        if floor[a] > ceiling[a]:
            floor[a] = ceiling[a] = 0.5 * (floor[a] + ceiling[a])
        b = parent[a]
        if b < 0:
            continue
        fall = penalty[a] if kind[a] == _ABOVE else 0.0
        if kind[a] in (_SLACK, _ABOVE, _UPPER, _BREAK):
            ceiling[b] = min(ceiling[b], ceiling[a] - fall)
        if kind[a] in (_SLACK, _ABOVE, _LOWER):
            floor[b] = max(floor[b], floor[a] - fall)
        if kind[a] == _BREAK:
            floor[b] = max(floor[b], floor[a] - penalty[a])
    theta, y = np.zeros(len(parent)), np.zeros(len(parent))
    for a in range(len(parent) - 1, -1, -1):
        above = theta[parent[a]] if parent[a] >= 0 else 0.0
        low, high = floor[a], ceiling[a]
        if kind[a] == _SLACK:
            low = high = above
        elif kind[a] == _ABOVE:
            low = high = above + penalty[a]
        elif kind[a] == _UPPER:
            low, high = max(low, above), max(high, above)
        elif kind[a] == _LOWER:
            low, high = min(low, above), min(high, above)
        elif kind[a] == _BREAK:
            low, high = max(low, above), max(min(high, above + penalty[a]), above)
        if low > -np.inf and high < np.inf:
            theta[a] = 0.5 * (low + high)
        else:
            theta[a] = low if low > -np.inf else high if high < np.inf else above
        y[a] = theta[a] - above
    return y
