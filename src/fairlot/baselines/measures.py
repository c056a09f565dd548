r"""Measures of what a mechanism did: welfare, ranks, envy, waste, clearing, quotas.

All are of the values as reported. With :math:`w_i` the utility agent i would get with everything at hand and
:math:`U_i` her expected utility over the draws:

- *welfare*: the mean of :math:`U_i / w_i`; *worst-off*: its minimum. Agents to whom nothing is of value are
  left out of both.
- *ranks*: expected copies of each agent's best good, second best, ...; equally good ones share the better
  rank.
- *envy ex ante* (Foley 1967; Varian 1974): what i could make of another's expected copies beyond
  :math:`U_i`, relative to :math:`w_i`, among agents of equal budgets; *ex post*: the same draw by draw.
- *waste* (Balinski and Sönmez 1999): copies left in a draw that somebody would gain from, counted per good.
- *two-sided clearing error* (Budish 2011; Budish, Gao, Othman, Rubinstein, Zhang 2023): the Euclidean norm
  over goods of copies given beyond capacity and of copies left at a positive price. A count of one side
  only reads 0 while priced seats stay empty.
- *broken quotas*: copies by which bundles in a draw miss lower bounds or exceed upper ones.
- *overspending*: the largest cost of expected copies beyond the budget, relative to it.
- *Pareto improvement*: see :mod:`fairlot.baselines.programs`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from fairlot.baselines.gains import open_gains, wanted
from fairlot.baselines.outcome import Outcome
from fairlot.baselines.programs import NoAllocationError, entitlements, pareto_improvement
from fairlot.model.hierarchy import UNBOUNDED, BoolArray, FloatArray, IntArray
from fairlot.model.market import PseudoMarket, utilities
from fairlot.verify.demand import open_trees
from fairlot.verify.envy import envies

ROUNDING = 1e-9
"""Relative utility below which a difference is rounding."""


@dataclass(frozen=True, eq=False)
class Measures:
    """What was measured. Utilities are relative to entitlements unless said otherwise.

    Parameters
    ----------
    utility : FloatArray, shape (n_agents,)
        Expected utility of every agent, in her own unit.
    welfare, worst_off : float
        Mean and minimum of relative expected utility.
    value : float
        Mean expected utility as stated.
    ranks : FloatArray, shape (n_ranks,)
        Expected copies per agent of a best good, second best, ...
    envy_ex_ante, envy_ex_post : float
        Largest envy; ex post the mean over draws of the largest in each.
    envious_ex_ante, envious_ex_post : float
        Share of agents who envy somebody; ex post the mean over draws.
    waste : float
        Mean copies per draw that are left though somebody would gain from them.
    clearing_over, clearing_under, clearing_error : float
        Copies beyond capacities and limits, copies left at a positive price, and the norm of both; the
        latter two NaN without prices. Means over draws.
    broken_quotas : float
        Mean copies per draw by which quotas are missed or exceeded.
    overspending : float
        Largest relative cost beyond the budget; NaN without prices.
    improvement : float
        Mean gain of the best Pareto improvement; NaN where it does not apply (quotas or supply broken) or
        was not computed in time.
    """

    utility: FloatArray
    welfare: float
    worst_off: float
    value: float
    ranks: FloatArray
    envy_ex_ante: float
    envious_ex_ante: float
    envy_ex_post: float
    envious_ex_post: float
    waste: float
    clearing_over: float
    clearing_under: float
    clearing_error: float
    broken_quotas: float
    overspending: float
    improvement: float


def measure(market: PseudoMarket, outcome: Outcome, *, time_limit: float | None = None) -> Measures:
    """Measure an outcome.

    Parameters
    ----------
    market : PseudoMarket
        The market, with true values.
    outcome : Outcome
        What a mechanism did to it.
    time_limit : float, optional
        Seconds for the search for a Pareto improvement.

    Examples
    --------
    >>> from fairlot.baselines.picking import serial_dictatorship
    >>> market = PseudoMarket.from_arrays([[1.0], [1.0]], capacities=1)
    >>> found = measure(market, serial_dictatorship(market, 100, seed=0))
    >>> found.welfare, found.envious_ex_post, found.waste
    (0.5, 0.5, 0.0)
    """
    utility = expected_utility(market, outcome)
    weight = entitlements(market)
    counted = valued(market)
    relative = (utility / weight)[counted]
    ante, post = envy_ex_ante(market, outcome), envy_ex_post(market, outcome)
    over, under, error = clearing(market, outcome)
    broken = float(np.mean([broken_quotas(market, draw) for draw in outcome.draws]))
    return Measures(
        utility=utility,
        welfare=float(relative.mean()) if len(relative) else np.nan,
        worst_off=float(relative.min()) if len(relative) else np.nan,
        value=float(utility.mean()),
        ranks=rank_distribution(market, outcome.expected),
        envy_ex_ante=float(ante.max()),
        envious_ex_ante=float((ante > ROUNDING).mean()),
        envy_ex_post=float(post.max(axis=1).mean()),
        envious_ex_post=float((post > ROUNDING).mean()),
        waste=waste(market, outcome.draws),
        clearing_over=over,
        clearing_under=under,
        clearing_error=error,
        broken_quotas=broken,
        overspending=overspending(market, outcome),
        improvement=_improvement(market, utility, time_limit),
    )


def valued(market: PseudoMarket) -> BoolArray:
    """Tell which agents value anything."""
    return np.bincount(market.pair_agent, market.base_values > 0, minlength=market.n_agents) > 0


def expected_utility(market: PseudoMarket, outcome: Outcome) -> FloatArray:
    """Compute expected utilities: of stated shares, where sampling would blur them; else over the draws."""
    if outcome.shares is not None:
        return utilities(market, outcome.shares)
    return np.asarray(np.mean([utilities(market, draw) for draw in outcome.draws], axis=0))


def _improvement(market: PseudoMarket, utility: FloatArray, time_limit: float | None) -> float:
    try:
        return pareto_improvement(market, utility, time_limit).gain
    except (NoAllocationError, TimeoutError):
        return np.nan


def rank_distribution(market: PseudoMarket, copies: FloatArray) -> FloatArray:
    """Count expected copies per agent by how high the agent ranks the good.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    copies : FloatArray, shape (n_pairs,)
        Expected copies.

    Returns
    -------
    FloatArray, shape (n_ranks,)
        Entry r: copies of goods that r others of the agent's acceptable goods beat, divided by n_agents.

    Examples
    --------
    >>> market = PseudoMarket.from_arrays([[3, 3, 1]], capacities=1)
    >>> rank_distribution(market, np.array([0.0, 1.0, 1.0])).tolist()
    [1.0, 0.0, 1.0]
    """
    start = market.values.indptr
    rank = np.empty(market.values.nnz, dtype=np.int64)
    for i in range(market.n_agents):
        own = market.values.data[start[i] : start[i + 1]]
        rank[start[i] : start[i + 1]] = np.searchsorted(np.sort(-own), -own)
    counts = np.bincount(rank, copies, minlength=1)
    last = np.flatnonzero(counts > 0)
    return np.asarray(counts[: last[-1] + 1 if len(last) else 1] / market.n_agents)


def _shares(market: PseudoMarket, copies: FloatArray | IntArray) -> sp.csr_array:
    kept = np.flatnonzero(copies)
    place = (market.pair_agent[kept], market.pair_good[kept])
    return sp.csr_array((copies[kept].astype(np.float64), place), shape=market.values.shape)


def envy_ex_ante(market: PseudoMarket, outcome: Outcome) -> FloatArray:
    """Compute each agent's largest envy before the draw, relative to her entitlement."""
    utility, shares = expected_utility(market, outcome), _shares(market, outcome.expected)
    envy, _ = envies(market, open_trees(market), shares, utility, entitlements(market))
    return envy


def envy_ex_post(market: PseudoMarket, outcome: Outcome) -> FloatArray:
    """Compute each agent's largest envy in each draw, relative to her entitlement.

    Returns
    -------
    FloatArray, shape (n_draws, n_agents)
    """
    trees, weight = open_trees(market), entitlements(market)
    found = [
        envies(market, trees, _shares(market, draw), utilities(market, draw), weight)[0]
        for draw in outcome.draws
    ]
    return np.array(found)


def waste(market: PseudoMarket, draws: IntArray) -> float:
    """Compute the mean number of copies per draw that are left though somebody would gain from one."""
    gains = open_gains(market)
    left = []
    for draw in draws:
        spare, taker = wanted(gains, draw)
        left.append(int(spare[taker].sum()))
    return float(np.mean(left))


def clearing(market: PseudoMarket, outcome: Outcome) -> tuple[float, float, float]:
    """Measure clearing on both sides: copies over, copies left at a positive price, and the norm of both.

    Means over draws; the latter two are NaN without prices. Copies held back by a limit are not left.
    """
    membership, bounds = market.supply_sets
    by_good = sp.csr_array(
        (np.ones(market.values.nnz), (market.pair_good, np.arange(market.values.nnz))),
        shape=(market.n_goods, market.values.nnz),
    )
    given = np.asarray(by_good @ outcome.draws.T)
    rest = bounds[:, None] - np.asarray(membership @ given)
    over = np.maximum(-rest, 0.0)
    if outcome.prices is None:
        return float(over.sum(axis=0).mean()), np.nan, np.nan
    spare = np.maximum(rest[: market.n_goods], 0.0)
    for k, (goods, _) in enumerate(market.limit_sets):
        spare[goods] = np.minimum(spare[goods], np.maximum(rest[market.n_goods + k], 0.0))
    under = spare * (outcome.prices > 0)[:, None]
    norm = np.sqrt((over**2).sum(axis=0) + (under**2).sum(axis=0))
    return float(over.sum(axis=0).mean()), float(under.sum(axis=0).mean()), float(norm.mean())


def broken_quotas(market: PseudoMarket, copies: IntArray) -> int:
    """Count the copies by which an assignment misses lower quotas or exceeds upper ones.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    copies : IntArray, shape (n_pairs,)
        One assignment.
    """
    families = market.families
    total = families.totals(copies.astype(np.float64))
    hard = np.isinf(families.penalty) & (families.upper != UNBOUNDED)
    over = np.maximum(total - families.upper, 0)[hard].sum()
    under = np.maximum(families.lower - total, 0).sum()
    room = np.maximum(copies - market.per_agent[market.pair_good], 0).sum()
    return round(float(over + under + room))


def overspending(market: PseudoMarket, outcome: Outcome) -> float:
    """Compute the largest relative cost of anybody's expected copies beyond her true budget."""
    if outcome.prices is None:
        return np.nan
    cost = np.bincount(
        market.pair_agent, outcome.expected * outcome.prices[market.pair_good], minlength=market.n_agents
    )
    return float(np.maximum(cost / market.budgets - 1.0, 0.0).max())
