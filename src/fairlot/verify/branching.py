r"""Best bundles where an agent's bounds cross, by branch and bound, exactly.

An agent weighs a bundle A by :math:`a\, u(A) - c\, p(A)`. Her copies are tried in falling order of weight,
with before without. What is left to gain is at most the best copy of each *class* of goods that exclude
each other, as many classes as the narrowest bound that counts everything still admits; where that does
not beat the best bundle found, the branch ends. Tapers only ever take away. No step is heuristic: the
search ends with a best bundle, or with the proof that no bundle is acceptable.

The best affordable lottery follows from a search over weights (:mod:`fairlot.verify.demand`), and best
bundles at 0 or infinite worth of money, where ties are to be broken by the other criterion, from a small
weight on that criterion, reduced until the first one does not suffer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.verify.demand import ROUNDING, Demand

_SAME = 1e-13
"""Difference of weights, relative to the largest, that counts as rounding."""
_TRIES = 12
"""Reductions of the weight that breaks ties, by a factor of 10 each."""


@dataclass(frozen=True, eq=False)
class Menus:
    """What every agent can choose from, flat: copies, and rows that bound them.

    Parameters
    ----------
    start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' copies.
    good : IntArray, shape (n_copies,)
        Good of each copy; several of one good stand side by side.
    value : FloatArray, shape (n_copies,)
        Utility of each.
    row_start : IntArray, shape (n_agents + 1,)
        Offsets of the agents' rows.
    lower, upper : FloatArray, shape (n_rows,)
        Bounds in copies.
    penalty : FloatArray, shape (n_rows,)
        Utility per copy above ``upper``; infinite where the bound is hard.
    in_start, in_row : IntArray
        Offsets by copy, and the rows that count it, numbered within the agent.
    excludes : BoolArray, shape (n_goods, n_goods)
        Conflicts.
    scale : FloatArray, shape (n_agents,)
        Largest utility of one copy; 1 where it is 0.
    """

    start: IntArray
    good: IntArray
    value: FloatArray
    row_start: IntArray
    lower: FloatArray
    upper: FloatArray
    penalty: FloatArray
    in_start: IntArray
    in_row: IntArray
    excludes: BoolArray
    scale: FloatArray


def open_menus(market: PseudoMarket) -> Menus:
    """List what every agent can choose from: copies that exist, and every bound on them."""
    membership, bounds = market.supply_sets
    closed = np.asarray(membership.T @ (bounds == 0)) > 0
    room = np.where(closed, 0, np.minimum(market.per_agent, market.capacities))
    pair = np.repeat(np.arange(market.values.nnz), room[market.pair_good])
    agent, good = market.pair_agent[pair], market.pair_good[pair]
    n, n_goods = market.n_agents, market.n_goods
    owners: list[IntArray] = []
    lowers: list[FloatArray] = []
    uppers: list[FloatArray] = []
    penalties: list[FloatArray] = []
    counted: list[IntArray] = []
    for bound in market.bound_sets:
        inside = np.zeros(n_goods, dtype=bool)
        inside[bound.goods] = True
        bound_agents = np.zeros(n, dtype=bool)
        bound_agents[slice(None) if bound.agents is None else bound.agents] = True
        high = np.where(bound.upper < UNBOUNDED, bound.upper, np.inf)
        rows = [(bound.lower.astype(np.float64), high, np.inf)]
        if len(bound.marginals):
            falls = np.flatnonzero(np.diff(bound.marginals) < 0)
            drop = -np.diff(bound.marginals)
            rows = [(np.zeros(n), np.full(n, k + 1.0), float(drop[k])) for k in falls]
        for lower, upper, penalty in rows:
            who = np.flatnonzero(bound_agents & ((lower > 0) | np.isfinite(upper)))
            place = np.full(n, -1)
            place[who] = np.arange(len(who)) + sum(len(part) for part in owners)
            owners.append(who)
            lowers.append(lower[who])
            uppers.append(upper[who])
            penalties.append(np.full(len(who), penalty))
            copies = np.flatnonzero(inside[good] & (place[agent] >= 0))
            counted.append(np.column_stack([copies, place[agent[copies]]]))
    owner = np.concatenate(owners).astype(np.int64) if owners else np.empty(0, dtype=np.int64)
    order = np.argsort(owner, kind="stable")
    row_start = np.searchsorted(owner[order], np.arange(n + 1)).astype(np.int64)
    rank = np.empty(len(owner), dtype=np.int64)
    rank[order] = np.arange(len(owner)) - row_start[owner[order]]
    entries = np.concatenate(counted) if counted else np.empty((0, 2), dtype=np.int64)
    entries = entries[np.argsort(entries[:, 0], kind="stable")]
    scale = np.zeros(n)
    np.maximum.at(scale, agent, np.abs(market.base_values[pair]))
    scale[scale == 0] = 1.0
    excludes = np.zeros((n_goods, n_goods), dtype=bool)
    one, other = market.conflict_pairs.T
    excludes[one, other] = excludes[other, one] = True

    def flat(parts: list[FloatArray]) -> FloatArray:
        return np.asarray(np.concatenate(parts) if parts else np.empty(0), dtype=np.float64)

    return Menus(
        start=np.searchsorted(agent, np.arange(n + 1)).astype(np.int64),
        good=good,
        value=market.base_values[pair],
        row_start=row_start,
        lower=flat(lowers)[order],
        upper=flat(uppers)[order],
        penalty=flat(penalties)[order],
        in_start=np.searchsorted(entries[:, 0], np.arange(len(good) + 1)).astype(np.int64),
        in_row=rank[entries[:, 1]],
        excludes=excludes,
        scale=scale,
    )


def best_lotteries(market: PseudoMarket, prices: FloatArray, menus: Menus | None = None) -> Demand:
    """Compute every agent's best affordable expected utility over lotteries of her possible bundles.

    Parameters
    ----------
    market : PseudoMarket
        The market; quotas may cross and goods conflict.
    prices : FloatArray, shape (n_goods,)
        Finite and non-negative.
    menus : Menus, optional
        From :func:`open_menus`, where they are at hand.

    Examples
    --------
    >>> from fairlot.model.conflicts import Conflict
    >>> market = PseudoMarket.from_arrays(
    ...     [[3.0, 2.0, 2.0]], 1, conflicts=[Conflict("noon", [("good1", "good2"), ("good1", "good3")])]
    ... )
    >>> best_lotteries(market, np.array([0.1, 0.5, 1.0])).value.round(3).tolist()
    [3.643]
    """
    menus = open_menus(market) if menus is None else menus
    found = _demands(
        menus.start,
        menus.good,
        menus.value,
        np.asarray(prices, dtype=np.float64)[menus.good],
        menus.row_start,
        menus.lower,
        menus.upper,
        menus.penalty,
        menus.in_start,
        menus.in_row,
        menus.excludes,
        menus.scale,
        market.budgets,
    )
    value, peak, peak_cost, floor_cost, money_value, surplus, satiated = found
    finite = np.where(np.isfinite(value), np.abs(value), 0.0)
    return Demand(
        value=value,
        satiated=satiated == 1.0,
        peak=peak,
        peak_cost=peak_cost,
        floor_cost=floor_cost,
        money_value=money_value,
        surplus=surplus,
        scale=np.maximum(finite, 1e-6 * menus.scale),
    )


def most_wanted(market: PseudoMarket) -> IntArray:
    """Count the copies of each good in agents' best bundles, if everything were free and plenty.

    Parameters
    ----------
    market : PseudoMarket
        The market; quotas may cross and goods conflict.

    Returns
    -------
    IntArray, shape (n_goods,)
        Agents who cannot meet their lower bounds count for nothing.

    Examples
    --------
    >>> from fairlot.model.conflicts import Conflict
    >>> conflict = Conflict("noon", [("good1", "good2")])
    >>> market = PseudoMarket.from_arrays([[3.0, 2.0, 1.0], [1.0, 2.0, 1.0]], 1, conflicts=[conflict])
    >>> most_wanted(market).tolist()
    [1, 1, 2]
    """
    plenty = replace(market, capacities=market.n_agents * market.per_agent, limits=())
    menus = open_menus(plenty)
    wanted = np.zeros(market.n_goods, dtype=np.int64)
    for i in range(market.n_agents):
        own = slice(menus.start[i], menus.start[i + 1])
        rows = slice(menus.row_start[i], menus.row_start[i + 1])
        good, value, upper, penalty = (
            menus.good[own],
            menus.value[own],
            menus.upper[rows],
            menus.penalty[rows],
        )
        entries = menus.in_start[own.start : own.stop + 1]
        clash = _clashes(good, upper, penalty, entries, menus.in_row, menus.excludes)
        free, lower = np.zeros(len(good)), menus.lower[rows]
        feasible, _, _, copies = _search(
            good, value, free, lower, upper, penalty, entries, menus.in_row, clash, 1.0, 0.0
        )
        if feasible:
            np.add.at(wanted, good, copies)
    return wanted


@njit(cache=True)
def _search(
    good: IntArray,
    value: FloatArray,
    price: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    penalty: FloatArray,
    in_start: IntArray,
    in_row: IntArray,
    clash: BoolArray,
    worth: float,
    thrift: float,
) -> tuple[bool, float, float, IntArray]:
    """Find a bundle with the largest worth · utility − thrift · cost: whether any, utility, cost, copies.

    A copy of value -inf is not there. Sums are taken afresh at the end, in the order of the copies.
    """
    m_all, n_rows = len(good), len(lower)
    needy = False
    for r in range(n_rows):
        needy |= lower[r] > 0.0
    weight_all = np.empty(m_all)
    for k in range(m_all):
        weight_all[k] = worth * value[k] - thrift * price[k] if value[k] > -np.inf else -np.inf
    by_weight = np.argsort(-weight_all, kind="mergesort")
    m = 0
    for k in by_weight:
        if weight_all[k] > 0.0 or (needy and weight_all[k] > -np.inf):
            m += 1
    item = by_weight[:m]
    weight = weight_all[item]
    unit = _SAME * max(1e-300, np.abs(weight).max() if m else 0.0)
    # Classes of copies of which one at most can be held.
    group = np.full(m, -1)
    n_groups = 0
    for a in range(m):
        for g in range(n_groups):
            fits = True
            for b in range(a):
                if group[b] == g and not clash[item[a], item[b]]:
                    fits = False
                    break
            if fits:
                group[a] = g
                break
        if group[a] < 0:
            group[a] = n_groups
            n_groups += 1
    # Rows that count every copy say how many more may, or must, be taken.
    most, least = np.inf, 0.0
    count = np.zeros(n_rows)
    for a in range(m):
        for e in range(in_start[item[a]], in_start[item[a] + 1]):
            count[in_row[e]] += 1.0
    for r in range(n_rows):
        if penalty[r] == np.inf and count[r] == m:
            most, least = min(most, upper[r]), max(least, lower[r])
    count[:] = 0.0
    left = np.zeros(n_rows)
    blocked = np.zeros(m, dtype=np.int64)
    seen = np.full(max(n_groups, 1), -1)
    chosen = np.empty(m, dtype=np.int64)
    before = np.empty(m + 1)
    best_set = np.empty(m, dtype=np.int64)
    n_best, best, feasible = 0, -np.inf, False
    depth, now, k, stamp = 0, 0.0, 0, 0
    while True:
        if k == 0 or (depth > 0 and chosen[depth - 1] == k - 1):
            met = True
            for r in range(n_rows):
                if penalty[r] == np.inf and count[r] < lower[r]:
                    met = False
                    break
            if met and now > best:
                best, n_best, feasible = now, depth, True
                best_set[:depth] = chosen[:depth]
        # The most that copies from k on can add.
        stamp += 1
        bound, taken = now, 0.0
        following = -1
        for a in range(k, m):
            if blocked[a] or seen[group[a]] == stamp:
                continue
            if weight[a] <= 0.0 and depth + taken >= least:
                break
            if depth + taken >= most:
                break
            full = False
            for e in range(in_start[item[a]], in_start[item[a] + 1]):
                r = in_row[e]
                if penalty[r] == np.inf and count[r] >= upper[r]:
                    full = True
                    break
            if full:
                continue
            seen[group[a]] = stamp
            if following < 0:
                following = a
            bound += weight[a]
            taken += 1.0
        if following < 0 and needy and depth < most:
            # Copies that do not pay may still be needed by a narrower lower bound.
            for a in range(k, m):
                if not blocked[a]:
                    full = False
                    for e in range(in_start[item[a]], in_start[item[a] + 1]):
                        r = in_row[e]
                        if penalty[r] == np.inf and count[r] >= upper[r]:
                            full = True
                            break
                    if not full:
                        following = a
                        break
        reachable = True
        if needy and following >= 0:
            left[:] = 0.0
            for a in range(following, m):
                if not blocked[a]:
                    for e in range(in_start[item[a]], in_start[item[a] + 1]):
                        left[in_row[e]] += 1.0
            for r in range(n_rows):
                if penalty[r] == np.inf and count[r] + left[r] < lower[r]:
                    reachable = False
                    break
        if following >= 0 and reachable and (not feasible or bound > best + unit):
            a = following
            before[depth] = now
            chosen[depth] = a
            depth += 1
            now += weight[a]
            for e in range(in_start[item[a]], in_start[item[a] + 1]):
                r = in_row[e]
                count[r] += 1.0
                if penalty[r] < np.inf and count[r] > upper[r]:
                    now -= worth * penalty[r]
            for b in range(a + 1, m):
                if clash[item[a], item[b]]:
                    blocked[b] += 1
            k = a + 1
            continue
        if depth == 0:
            break
        depth -= 1
        a = chosen[depth]
        now = before[depth]
        for e in range(in_start[item[a]], in_start[item[a] + 1]):
            count[in_row[e]] -= 1.0
        for b in range(a + 1, m):
            if clash[item[a], item[b]]:
                blocked[b] -= 1
        k = a + 1
        while k < m and good[item[k]] == good[item[a]] and not clash[item[a], item[k]]:
            k += 1  # another copy of the good just left out is no different
    copies = np.zeros(m_all, dtype=np.int64)
    for d in range(n_best):
        copies[item[best_set[d]]] = 1
    utility, cost = 0.0, 0.0
    count[:] = 0.0
    for j in range(m_all):
        if copies[j]:
            utility += value[j]
            cost += price[j]
            for e in range(in_start[j], in_start[j + 1]):
                r = in_row[e]
                count[r] += 1.0
                if penalty[r] < np.inf and count[r] > upper[r]:
                    utility -= penalty[r]
    return feasible, utility, cost, copies


@njit(cache=True)
def _clashes(
    good: IntArray,
    upper: FloatArray,
    penalty: FloatArray,
    in_start: IntArray,
    in_row: IntArray,
    excludes: BoolArray,
) -> BoolArray:
    """Tell which copies of an agent exclude each other, by conflict or by a bound of 1."""
    m = len(good)
    clash = np.zeros((m, m), dtype=np.bool_)
    for a in range(m):
        for b in range(m):
            clash[a, b] = excludes[good[a], good[b]]
    members = np.empty(m, dtype=np.int64)
    for r in range(len(upper)):
        if upper[r] != 1.0 or penalty[r] < np.inf:
            continue
        size = 0
        for a in range(m):
            for e in range(in_start[a], in_start[a + 1]):
                if in_row[e] == r:
                    members[size] = a
                    size += 1
        for x in range(size):
            for y in range(size):
                clash[members[x], members[y]] = x != y
    return clash


@njit(cache=True)
def _demands(
    start: IntArray,
    good: IntArray,
    values: FloatArray,
    prices: FloatArray,
    row_start: IntArray,
    lower: FloatArray,
    upper: FloatArray,
    penalty: FloatArray,
    in_start: IntArray,
    in_row: IntArray,
    excludes: BoolArray,
    scale: FloatArray,
    budgets: FloatArray,
) -> FloatArray:
    """Search every agent's hull; rows: value, peak, its cost, least cost, α, surplus, whether satiated."""
    n = len(budgets)
    out = np.full((7, n), np.nan)
    for i in range(n):
        own = slice(start[i], start[i + 1])
        rows = slice(row_start[i], row_start[i + 1])
        g, v, p = good[own], values[own], prices[own]
        lo, hi, pen = lower[rows], upper[rows], penalty[rows]
        entries = in_start[start[i] : start[i + 1] + 1]
        clash = _clashes(g, hi, pen, entries, in_row, excludes)
        budget = budgets[i]
        rate = scale[i] / budget  # utility per unit of money, as a rule
        feasible, high, _, _ = _search(g, v, p, lo, hi, pen, entries, in_row, clash, 1.0, 0.0)
        if not feasible:
            continue
        # The cheapest of the most useful bundles, and the most useful of the cheapest.
        high_cost, thrift, small = np.inf, 1e-3 * rate, 1e-11 * scale[i]
        for _ in range(_TRIES):
            _, u, c, _ = _search(g, v, p, lo, hi, pen, entries, in_row, clash, 1.0, thrift)
            if u >= high - small:
                high_cost = c
                break
            thrift *= 0.1
        _, low, low_cost, _ = _search(g, v, p, lo, hi, pen, entries, in_row, clash, 0.0, 1.0)
        worth = 1e-3 / rate
        for _ in range(_TRIES):
            _, u, c, _ = _search(g, v, p, lo, hi, pen, entries, in_row, clash, worth, 1.0)
            if c <= low_cost + 1e-11 * budget:
                low, low_cost = u, c
                break
            worth *= 0.1
        if high <= low:
            high, high_cost = low, low_cost
        out[1, i], out[2, i], out[3, i] = high, high_cost, low_cost
        most = budget * (1.0 + ROUNDING)
        if high_cost <= most:
            out[0, i], out[4, i], out[5, i], out[6, i] = high, 0.0, high, 1.0
            continue
        if low_cost > most:
            out[0, i] = -np.inf
            continue
        alpha, surplus = 0.0, high
        while high > low:
            alpha = (high - low) / (high_cost - low_cost)
            _, u, c, _ = _search(g, v, p, lo, hi, pen, entries, in_row, clash, 1.0, alpha)
            surplus, line = u - alpha * c, low - alpha * low_cost
            gain = surplus - line
            if gain <= 1e-14 * (abs(u) + abs(line)) or not low_cost < c < high_cost:
                surplus = max(surplus, line)
                break
            if c > budget:
                high, high_cost = u, c
            else:
                low, low_cost = u, c
        share = min(1.0, max(0.0, (budget - low_cost) / (high_cost - low_cost)))
        out[0, i], out[4, i], out[5, i] = low + share * (high - low), alpha, surplus
    return out
