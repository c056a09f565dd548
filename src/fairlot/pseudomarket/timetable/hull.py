r"""The hull of one agent's own bundles, where her rows do not describe it: a check, and the cut that follows.

Copies x_i that satisfy all rows are a lottery over bundles of the agent exactly if no inequality that all
her bundles satisfy excludes them. Without lower bounds the strongest such inequality solves

.. math:: \max_{a \ge 0} a \cdot x_i, \quad a \cdot z^B \le 1 \text{ for every bundle } B,

one constraint per bundle, found one by one: for the best a so far the bundle with the largest a · z. A
value above 1 shows that x_i is outside; the inequality, in whole numbers, becomes one more row of hers.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import linprog

from fairlot.lottery.wolfe import Polytope, Pricing
from fairlot.model.hierarchy import UNBOUNDED, FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.timetable.compiled import Cut

_OUTSIDE = 1e-6
_WHOLE = 1e-7
_LARGEST = 60
"""Largest common denominator of a cut that is tried."""
_MOST = 500


def separating_cut(market: PseudoMarket, agent: int, copies: FloatArray) -> Cut | None:
    """Find an inequality that all bundles of an agent satisfy and her expected copies do not.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    agent : int
        Who.
    copies : FloatArray, shape (n_pairs,)
        Expected copies of all acceptable pairs.

    Returns
    -------
    Cut or None
        None if her copies are in the hull of her bundles, if lower bounds bind her, or if no cut in small
        whole numbers was found.
    """
    rows = market.rows
    mine = np.arange(market.values.indptr[agent], market.values.indptr[agent + 1])
    span = slice(int(rows.start[agent]), int(rows.start[agent + 1]))
    hard = np.isinf(rows.penalty[span])
    if (rows.lower[span] > 0).any():
        return None
    member = sp.csr_array(rows.membership(market.values.nnz)[span][:, mine][hard])
    upper = np.where(rows.upper[span] < UNBOUNDED, rows.upper[span], np.inf)[hard]
    cap = market.per_agent[market.pair_good[mine]].astype(np.float64)
    nothing = np.full(member.shape[0], -np.inf)
    pricing = Pricing(Polytope(member, nothing, upper, np.zeros(len(mine)), cap))
    x = copies[mine]
    bundles = [np.eye(len(mine))[k] for k in range(len(mine))]
    for _ in range(_MOST):
        solved = linprog(-x, A_ub=np.array(bundles), b_ub=np.ones(len(bundles)), method="highs-ds")
        if solved.x is None or -solved.fun <= 1.0 + _OUTSIDE:
            return None
        bundle, _ = pricing.furthest(solved.x)
        if bundle is None:
            return None
        if solved.x @ bundle <= 1.0 + 1e-9:
            break
        bundles.append(bundle.astype(np.float64))
    else:
        return None
    for scale in range(1, _LARGEST + 1):
        times = np.rint(scale * solved.x).astype(np.int64)
        if np.abs(scale * solved.x - times).max() > _WHOLE * scale:
            continue
        furthest, _ = pricing.furthest(times.astype(np.float64))
        if furthest is not None and times @ furthest <= scale < times @ x - _OUTSIDE:
            used = np.flatnonzero(times)
            return Cut(agent, mine[used], times[used], scale)
    return None
