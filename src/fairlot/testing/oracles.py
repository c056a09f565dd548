r"""Slow twins of what the library computes fast: every bundle in turn, straight from the definition.

A bundle is a vector of copies :math:`B_j \le \text{per\_agent}_j` of acceptable goods. It is acceptable
to agent i if every quota that names her holds, and is worth
:math:`\sum_j v_{ij} B_j + \sum_S \sum_{k \le B(S)} \text{marginals}_S(k)` over the tapers that name her.
Lotteries over bundles are linear programs with a column per bundle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from fairlot.model.constraints import Quota, Taper
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket


@dataclass(frozen=True, eq=False)
class Bundles:
    """The acceptable bundles of one agent.

    Parameters
    ----------
    copies : IntArray, shape (n_bundles, n_goods)
        Copies of each good; no rows if no bundle is acceptable.
    utility : FloatArray, shape (n_bundles,)
        What each is worth to her.
    """

    copies: IntArray
    utility: FloatArray


def acceptable_bundles(market: PseudoMarket, agent: int, *, existing: bool = False) -> Bundles:
    """List every bundle acceptable to an agent, of which there may be very many.

    Parameters
    ----------
    market : PseudoMarket
        A small one.
    agent : int
        Her position.
    existing : bool
        Leave out bundles with goods without supply or with more copies of a good than there are.
    """
    most = np.zeros(market.n_goods, dtype=np.int64)
    row = market.values[[agent], :].tocoo()
    most[row.coords[1]] = market.per_agent[row.coords[1]]
    if existing:
        most = np.minimum(most, market.capacities)
        for limit in market.limits:
            if limit.max == 0:
                most[_members(limit.goods, market.goods)] = 0
    value = np.zeros(market.n_goods)
    value[row.coords[1]] = row.data
    copies = np.array(list(product(*(range(int(m) + 1) for m in most))), dtype=np.int64)
    keep = np.ones(len(copies), dtype=bool)
    utility = copies @ value
    for quota in market.quotas:
        if _names(quota, market.agents[agent]):
            total = copies[:, _members(quota.goods, market.goods)].sum(axis=1)
            least, most_here = _bounds(quota, market, agent)
            keep &= (least <= total) & (total <= most_here)
    for taper in market.tapers:
        if _names(taper, market.agents[agent]):
            total = copies[:, _members(taper.goods, market.goods)].sum(axis=1)
            marginals = list(taper.marginals) + [taper.marginals[-1]] * int(total.max(initial=0))
            utility += np.concatenate([[0.0], np.cumsum(marginals)])[total]
    return Bundles(copies[keep], utility[keep])


def _names(constraint: Quota | Taper, agent: str) -> bool:
    return constraint.agents == "all" or agent in constraint.agents


def _members(goods: str | Sequence[str], ids: Sequence[str]) -> list[int]:
    return [j for j, good in enumerate(ids) if goods == "all" or good in goods]


def _bounds(quota: Quota, market: PseudoMarket, agent: int) -> tuple[float, float]:
    found: list[float] = []
    for bound, default in ((quota.min, 0.0), (quota.max, np.inf)):
        if bound is None:
            found.append(default)
        elif isinstance(bound, int):
            found.append(float(bound))
        elif isinstance(bound, Sequence):
            found.append(float(bound[agent]))
        else:
            found.append(float(bound.get(market.agents[agent], default)))
    return found[0], found[1]


@dataclass(frozen=True)
class BestLottery:
    """The best affordable lottery of one agent.

    Parameters
    ----------
    utility : float
        Its expected utility; NaN where no bundle is acceptable, -inf where none is affordable.
    cost : float
        Least expected cost of attaining it.
    satiated : bool
        Whether it attains the greatest utility of all bundles.
    """

    utility: float
    cost: float
    satiated: bool


def best_affordable_lottery(market: PseudoMarket, agent: int, prices: FloatArray) -> BestLottery:
    r"""Solve :math:`\max \mathbb E\,u_i(A)` subject to :math:`\mathbb E\,p(A) \le b_i` over all bundles.

    Parameters
    ----------
    market : PseudoMarket
        A small one.
    agent : int
        Her position.
    prices : FloatArray, shape (n_goods,)
        Not negative.
    """
    bundles = acceptable_bundles(market, agent, existing=True)
    if not len(bundles.utility):
        return BestLottery(np.nan, np.nan, False)
    cost = bundles.copies @ prices
    budget = market.budgets[agent]
    if cost.min() > budget * (1 + 1e-12):
        return BestLottery(-np.inf, np.nan, False)
    peak = bundles.utility.max()
    near = 1e-14 * np.abs(bundles.utility).max()  # what sums may owe to rounding
    peak_cost = float(cost[bundles.utility >= peak - near].min())
    if peak_cost <= budget * (1 + 1e-12):
        return BestLottery(float(peak), peak_cost, True)
    # Two bundles suffice: one within the budget, one above it, mixed so as to spend it all.
    cheap, dear = np.flatnonzero(cost <= budget), np.flatnonzero(cost > budget)
    if not len(cheap):
        return BestLottery(float(bundles.utility[cost.argmin()]), budget, False)
    share = (budget - cost[cheap][:, None]) / (cost[dear] - cost[cheap][:, None])
    mixed = (1 - share) * bundles.utility[cheap][:, None] + share * bundles.utility[dear]
    return BestLottery(float(mixed.max()), budget, False)


def utility_of_mean(market: PseudoMarket, agent: int, copies: FloatArray) -> float:
    r"""Compute the concave closure :math:`\bar u_i(x) = \max \{\mathbb E\,u_i(A) : \mathbb E\,A = x\}`.

    Parameters
    ----------
    market : PseudoMarket
        A small one.
    agent : int
        Her position.
    copies : FloatArray, shape (n_goods,)
        Expected copies x.

    Returns
    -------
    float
        -inf where x is the mean of no lottery over acceptable bundles.
    """
    return _best_mean(acceptable_bundles(market, agent), copies, np.zeros_like(copies))


def best_use(market: PseudoMarket, agent: int, copies: FloatArray) -> float:
    r"""Compute :math:`\max \{\mathbb E\,u_i(A) : \mathbb E\,A \le x\}`, the best use of expected copies.

    Parameters
    ----------
    market, agent, copies
        As in :func:`utility_of_mean`.

    Returns
    -------
    float
        -inf where no lottery over acceptable bundles stays within x.
    """
    return _best_mean(acceptable_bundles(market, agent, existing=True), copies, copies)


def _best_mean(bundles: Bundles, most: FloatArray, spare: FloatArray) -> float:
    """Maximise over lotteries whose mean is between ``most - spare`` and ``most``."""
    from scipy.optimize import linprog

    n_bundles, n_goods = bundles.copies.shape
    if not n_bundles:
        return -np.inf
    mean_and_spare = np.hstack([bundles.copies.T, np.eye(n_goods)])
    found = linprog(
        np.append(-bundles.utility, np.zeros(n_goods)),
        A_eq=np.vstack([mean_and_spare, np.append(np.ones(n_bundles), np.zeros(n_goods))]),
        b_eq=np.append(most, 1.0),
        bounds=[(0, None)] * n_bundles + [(0, s) for s in spare],
        method="highs",
    )
    return -float(found.fun) if found.status == 0 else -np.inf
