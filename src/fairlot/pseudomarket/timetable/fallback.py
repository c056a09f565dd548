r"""The lottery that gives everybody as large a part of her due as possible, where none is exact.

.. math:: \max_{w} \theta, \quad \sum_k w_k u_i(Z_k) \ge \theta V_i \text{ for all } i,

over lotteries w of assignments Z, by column generation: with the multipliers :math:`\lambda` of the
constraints, :math:`\sum_i \lambda_i V_i = 1`, the next assignment maximises
:math:`\sum_i \lambda_i u_i(Z)`. That maximum is also an upper bound on θ, whatever λ.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linprog

from fairlot.lottery.wolfe import Pricing
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.timetable.feasible import all_assignments

_CLOSED = 1e-6
"""Distance of θ from its bound that ends the search."""
_MOST = 2_000


@dataclass(frozen=True, eq=False)
class FairLottery:
    """A lottery over assignments, and how much of her due it gives everybody.

    Parameters
    ----------
    weights : FloatArray, shape (n_terms,)
        Positive, heaviest first.
    copies : IntArray, shape (n_terms, n_pairs)
        Copies of every acceptable pair.
    level, bound : float
        θ, and what it cannot exceed.
    """

    weights: FloatArray
    copies: IntArray
    level: float
    bound: float


def fair_lottery(
    market: PseudoMarket, due: FloatArray, *, deadline: float | None = None, reporter: Reporter | None = None
) -> FairLottery | None:
    """Find the largest θ such that a lottery gives every agent θ of what she is due.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    due : FloatArray, shape (n_agents,)
        Utilities; agents due nothing are left out.
    deadline : float, optional
        Reading of ``time.monotonic`` at which to stop.
    reporter : Reporter, optional
        Told the distance of θ from its bound.

    Returns
    -------
    FairLottery or None
        None if no assignment was found in time.
    """
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("fallback")
    polytope, value = all_assignments(market)
    rows = market.rows
    owner = np.concatenate([market.pair_agent, rows.agent[np.isfinite(rows.penalty)]])
    wants = np.flatnonzero(np.isfinite(due) & (due > 0))
    n_pairs = market.values.nnz
    pricing = Pricing(polytope, np.inf if deadline is None else deadline)
    multipliers = np.zeros(market.n_agents)
    multipliers[wants] = 1.0 / (len(wants) * due[wants])
    points: list[IntArray] = []
    gains: list[FloatArray] = []
    bound, level, weights = np.inf, 0.0, np.zeros(0)
    for _ in range(_MOST):
        point, most = pricing.furthest(multipliers[owner] * value)
        bound = min(bound, most)
        if point is None:
            break
        worth = np.bincount(owner, value * point, minlength=market.n_agents)[wants] / due[wants]
        if points and float((multipliers[wants] * due[wants]) @ worth) <= level + _CLOSED:
            break
        points.append(point)
        gains.append(worth)
        table = np.column_stack([*(-gain for gain in gains), np.ones(len(wants))])
        total = np.append(np.ones(len(points)), 0.0)[None, :]
        cost = np.append(np.zeros(len(points)), -1.0)
        limits = [(0.0, None)] * len(points) + [(None, None)]
        solved = linprog(
            cost, A_ub=table, b_ub=np.zeros(len(wants)), A_eq=total, b_eq=[1.0], bounds=limits, method="highs"
        )
        if solved.x is None:
            break
        weights, level = solved.x[:-1], float(solved.x[-1])
        multipliers[wants] = np.maximum(-solved.ineqlin.marginals, 0.0) / due[wants]
        reporter.update(residual=bound - level)
        if bound - level <= _CLOSED or (deadline is not None and time.monotonic() >= deadline):
            break
    if not points:
        return None
    order = [k for k in np.argsort(-weights, kind="stable") if weights[k] > 1e-12]
    copies = np.array([points[k][:n_pairs] for k in order], dtype=np.int64)
    return FairLottery(weights[order], copies, level, float(bound))
