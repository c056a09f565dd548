"""Whether any assignment respects all bounds, where agents' bounds cross."""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp
from scipy.optimize import Bounds, LinearConstraint, milp

from fairlot.lottery.wolfe import Polytope
from fairlot.model.hierarchy import UNBOUNDED, FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.pseudomarket.preconditions import Infeasibility


def rows_feasible(market: PseudoMarket) -> Infeasibility | None:
    """Decide whether any assignment respects every row, capacity and limit.

    Without lower bounds the empty one does. Else every lower bound may fall short at a cost of one a copy,
    and an integer program looks for the assignment that falls short least.

    Parameters
    ----------
    market : PseudoMarket
        The market.

    Returns
    -------
    Infeasibility or None
        None if an assignment exists, else whose lower bounds fall short in the best one, and by how much.
    """
    rows = market.rows
    short = np.flatnonzero(rows.lower > 0)
    if not len(short):
        return None
    n_pairs = market.values.nnz
    member = rows.membership(n_pairs)
    supply, bounds = market.supply_sets
    hard = np.isinf(rows.penalty)
    over = np.flatnonzero(hard & (rows.upper < UNBOUNDED))
    matrix = sp.vstack(
        [
            sp.hstack([member[short], sp.identity(len(short))]),
            sp.hstack([member[over], sp.csr_array((len(over), len(short)))]),
            sp.hstack([supply[:, market.pair_good], sp.csr_array((len(bounds), len(short)))]),
        ],
        format="csr",
    )
    least = np.concatenate([rows.lower[short], np.full(len(over) + len(bounds), -np.inf)])
    most = np.concatenate([np.full(len(short), np.inf), rows.upper[over], bounds])
    cap = np.concatenate([market.per_agent[market.pair_good], rows.lower[short]])
    solved = milp(
        np.concatenate([np.zeros(n_pairs), np.ones(len(short))]),
        integrality=np.ones(len(cap)),
        bounds=Bounds(np.zeros(len(cap)), cap),
        constraints=LinearConstraint(matrix, least, most),
    )
    if solved.fun is not None and solved.fun < 0.5:
        return None
    missing = np.rint(solved.x[n_pairs:]).astype(np.int64)
    unmet = short[missing > 0]
    who = np.unique(rows.agent[unmet]).tolist()
    labels = dict.fromkeys(market.bound_sets[k].label for k in rows.source[unmet].tolist())
    required = int(rows.lower[unmet].sum())
    return Infeasibility(
        tuple(market.agents[i] for i in who), tuple(labels), required, required - int(missing.sum())
    )


def all_assignments(market: PseudoMarket) -> tuple[Polytope, FloatArray]:
    """Return every assignment within all bounds as integer points, and what they are worth.

    Returns
    -------
    polytope : Polytope
        Over the acceptable pairs, then the copies above each taper's breakpoint.
    value : FloatArray
        Utility per copy; negative for copies above a breakpoint.
    """
    rows = market.rows
    n_pairs = market.values.nnz
    member = rows.membership(n_pairs)
    supply, bounds = market.supply_sets
    soft = np.flatnonzero(np.isfinite(rows.penalty))
    place = (soft, np.arange(len(soft)))
    above = sp.csr_array((-np.ones(len(soft)), place), shape=(rows.n_rows, len(soft)))
    matrix = sp.vstack(
        [
            sp.hstack([member, above]),
            sp.hstack([supply[:, market.pair_good], sp.csr_array((len(bounds), len(soft)))]),
        ],
        format="csr",
    )
    upper = np.where(rows.upper < UNBOUNDED, rows.upper, np.inf)
    room = member[soft] @ market.per_agent[market.pair_good]
    polytope = Polytope(
        matrix,
        np.concatenate([np.where(rows.lower > 0, rows.lower, -np.inf), np.full(len(bounds), -np.inf)]),
        np.concatenate([upper, bounds]),
        np.zeros(n_pairs + len(soft)),
        np.concatenate([market.per_agent[market.pair_good], room]).astype(np.float64),
    )
    return polytope, np.concatenate([market.base_values, -rows.penalty[soft]])
