r"""Allocations that maximise a welfare function, and improvements on those that do not.

Expected copies x are feasible if :math:`x_i \in P_i` and capacities and limits hold: a polytope whose
vertices are assignments, since bounds are laminar on either side (Edmonds). Expected utility

.. math:: \bar u_i(x_i) = \sum_j \bar v_{ij} x_{ij} - \sum_S \text{penalty}_S \, (x_i(S) - h_S)^+

is a linear program's, with a column for what exceeds each breakpoint. Over this polytope:

- *utilitarian*: :math:`\max \sum_i \bar u_i`, attained by an assignment;
- *maximin*: :math:`\max \min_i \bar u_i / w_i` with :math:`w_i` what i would get with everything at hand,
  then the largest :math:`\sum_i \bar u_i / w_i` that keeps it; attained by a lottery;
- *Pareto improvement* on utilities U: :math:`\max \sum_i (\bar u_i(y_i) - U_i) / w_i` subject to
  :math:`\bar u_i(y_i) \ge U_i`. Its value is 0 if and only if no lottery over feasible assignments gives
  somebody more and nobody less.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from scipy.optimize import OptimizeResult, linprog

from fairlot.baselines.outcome import Outcome, draws_of_shares
from fairlot.model.hierarchy import UNBOUNDED, FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.verify.demand import best_affordable

_SNAP = 1e-9
"""Copies by which a vertex may miss the integers it stands for."""


_NOTHING = "no assignment respects every bound"


class NoAllocationError(Exception):
    """No assignment respects every bound."""


@dataclass(frozen=True, eq=False)
class _Polytope:
    """Feasible expected copies and their utilities, as a linear program reads them.

    Parameters
    ----------
    rows, bounds : sparse array and FloatArray
        Inequalities rows @ z <= bounds over the columns z: pairs, then excesses.
    most : FloatArray
        Upper bound of each column.
    utility : scipy.sparse.csr_array, shape (n_agents, n_columns)
        Expected utilities as a linear map of the columns.
    """

    rows: sp.csr_array
    bounds: FloatArray
    most: FloatArray
    utility: sp.csr_array


def _polytope(market: PseudoMarket) -> _Polytope:
    families = market.families
    n_pairs, n_nodes = market.values.nnz, families.n_nodes
    soft = np.flatnonzero(np.isfinite(families.penalty))
    chains = families.chains()
    held, level = np.nonzero(chains >= 0)
    inside = sp.csr_array((np.ones(len(held)), (chains[held, level], held)), shape=(n_nodes, n_pairs))
    excess = sp.csr_array((np.ones(len(soft)), (soft, np.arange(len(soft)))), shape=(n_nodes, len(soft)))
    membership, supply = market.supply_sets
    by_pair = sp.csr_array(membership)[:, market.pair_good]
    above = np.flatnonzero(families.upper != UNBOUNDED)
    below = np.flatnonzero(families.lower > 0)
    rows = sp.vstack(
        [
            sp.hstack([by_pair, sp.csr_array((len(supply), len(soft)))]),
            sp.hstack([inside, -excess]).tocsr()[above],
            sp.hstack([-inside, sp.csr_array((n_nodes, len(soft)))]).tocsr()[below],
        ]
    )
    value = sp.csr_array(
        (market.base_values, (market.pair_agent, np.arange(n_pairs))), shape=(market.n_agents, n_pairs)
    )
    loss = sp.csr_array(
        (families.penalty[soft], (families.agent[soft], np.arange(len(soft)))),
        shape=(market.n_agents, len(soft)),
    )
    return _Polytope(
        rows=sp.csr_array(rows),
        bounds=np.concatenate([supply, families.upper[above], -families.lower[below]]).astype(np.float64),
        most=np.concatenate([market.per_agent[market.pair_good], np.full(len(soft), np.inf)]),
        utility=sp.csr_array(sp.hstack([value, -loss])),
    )


def _maximise(
    goal: FloatArray, rows: sp.csr_array, bounds: FloatArray, most: FloatArray, time_limit: float | None
) -> OptimizeResult:
    if len(goal) == 0:  # a market in which nobody accepts anything, to which linprog objects
        if (bounds < 0).any():
            raise NoAllocationError(_NOTHING)
        return OptimizeResult(x=np.zeros(0))
    found = linprog(
        -goal,
        A_ub=rows,
        b_ub=bounds,
        bounds=np.column_stack([np.zeros(len(most)), most]),
        method="highs",
        options={} if time_limit is None else {"time_limit": time_limit},
    )
    if found.status == 2:
        raise NoAllocationError(_NOTHING)
    if found.x is None:
        raise TimeoutError(found.message)
    return found


def entitlements(market: PseudoMarket) -> FloatArray:
    """Compute :math:`w_i`, what each agent would get if everything were at hand; 1 where that is nothing.

    Examples
    --------
    >>> entitlements(PseudoMarket.from_arrays([[3, 2], [0, 0]], capacities=1)).tolist()
    [5.0, 1.0]
    """
    peak = best_affordable(market, np.zeros(market.n_goods)).peak
    return np.where(peak > 0, peak, 1.0)


def utilitarian(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None = None) -> Outcome:
    """Maximise the sum of utilities.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    n_draws, seed : int
        Unused: the program has an assignment among its solutions, the same in every draw.
    time_limit : float, optional
        Seconds.

    Raises
    ------
    NoAllocationError
        If no assignment respects every bound.
    TimeoutError
        If the program is not solved in time.

    Examples
    --------
    >>> utilitarian(PseudoMarket.from_arrays([[3, 2], [3, 1]], capacities=1), 1, 0).draws.sum()
    np.int64(2)
    """
    polytope = _polytope(market)
    goal = np.asarray(polytope.utility.sum(axis=0)).ravel()
    found = _maximise(goal, polytope.rows, polytope.bounds, polytope.most, time_limit)
    copies = found.x[: market.values.nnz]
    if np.abs(copies - np.rint(copies)).max(initial=0.0) > _SNAP:
        return Outcome(draws_of_shares(market, _clean(copies), n_draws, seed), shares=_clean(copies))
    return Outcome(np.rint(copies).astype(np.int64)[None, :])


def maximin(market: PseudoMarket, n_draws: int, seed: int, time_limit: float | None = None) -> Outcome:
    """Maximise the smallest utility relative to entitlements, then their sum; parameters as before.

    Examples
    --------
    >>> maximin(PseudoMarket.from_arrays([[1.0], [3.0]], capacities=1), 1, 0).shares.round(6).tolist()
    [0.5, 0.5]
    """
    polytope = _polytope(market)
    scaled = sp.diags_array(1.0 / entitlements(market)) @ polytope.utility
    counted = np.flatnonzero(np.diff(sp.csr_array(scaled).indptr))
    n = scaled.shape[1]
    level = sp.csr_array(np.ones((len(counted), 1)))
    worst = sp.hstack([-sp.csr_array(scaled)[counted], level])
    rows = sp.vstack([sp.hstack([polytope.rows, sp.csr_array((polytope.rows.shape[0], 1))]), worst])
    bounds = np.concatenate([polytope.bounds, np.zeros(len(counted))])
    most = np.append(polytope.most, np.inf if len(counted) else 0.0)
    first = _maximise(np.append(np.zeros(n), 1.0), sp.csr_array(rows), bounds, most, time_limit)
    floor = first.x[-1] * (1.0 - _SNAP)  # else rounding may leave nothing that keeps it
    goal = np.append(np.asarray(scaled.sum(axis=0)).ravel(), 0.0)
    rows = sp.vstack([rows, sp.csr_array(([-1.0], ([0], [n])), shape=(1, n + 1))])
    found = _maximise(goal, sp.csr_array(rows), np.append(bounds, -floor), most, time_limit)
    shares = _clean(found.x[: market.values.nnz])
    return Outcome(draws_of_shares(market, shares, n_draws, seed), shares=shares)


def _clean(copies: FloatArray) -> FloatArray:
    snapped = np.where(np.abs(copies - np.rint(copies)) <= _SNAP, np.rint(copies), copies)
    return np.asarray(np.maximum(snapped, 0.0))


@dataclass(frozen=True, eq=False)
class Improvement:
    """What a better allocation would give.

    Parameters
    ----------
    gain : float
        Mean over agents of the utility gained, relative to entitlements; 0 (but for rounding) if and only
        if the allocation is Pareto efficient among lotteries over feasible assignments.
    shares : FloatArray, shape (n_pairs,)
        The witness: expected copies at which nobody is worse off and the mean gain is attained.
    gains : FloatArray, shape (n_agents,)
        Each agent's, in her own unit of utility.
    """

    gain: float
    shares: FloatArray
    gains: FloatArray


def pareto_improvement(
    market: PseudoMarket, utility: FloatArray, time_limit: float | None = None
) -> Improvement:
    """Find the allocation that improves most on given expected utilities and harms nobody.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    utility : FloatArray, shape (n_agents,)
        Expected utilities of a feasible allocation.
    time_limit : float, optional
        Seconds.

    Raises
    ------
    NoAllocationError
        If no feasible allocation gives everybody this much, as where an assignment breaks bounds.
    TimeoutError
        If the program is not solved in time.

    Examples
    --------
    Serial dictatorship's shares may be inefficient before the draw (Bogomolnaia and Moulin 2001):

    >>> from fairlot.model.constraints import Quota
    >>> values = [[4, 3, 2, 1], [4, 3, 2, 1], [3, 4, 1, 2], [3, 4, 1, 2]]
    >>> market = PseudoMarket.from_arrays(values, capacities=1, quotas=[Quota("one", max=1)])
    >>> drawn = [5 * 4 / 12 + 3 / 12 + 5 * 2 / 12 + 1 / 12] * 4
    >>> pareto_improvement(market, np.array(drawn)).gain > 0.01
    True
    """
    polytope = _polytope(market)
    scale = entitlements(market)
    scaled = sp.csr_array(sp.diags_array(1.0 / scale) @ polytope.utility)
    floor = utility / scale
    floor = floor - 1e-10 * np.maximum(1.0, np.abs(floor))
    rows = sp.csr_array(sp.vstack([polytope.rows, -scaled]))
    bounds = np.concatenate([polytope.bounds, -floor])
    goal = np.asarray(scaled.sum(axis=0)).ravel()
    found = _maximise(goal, rows, bounds, polytope.most, time_limit)
    gains = np.asarray(polytope.utility @ found.x) - utility
    shares = np.asarray(found.x[: market.values.nnz])
    return Improvement(float((gains / scale).mean()), shares, gains)
