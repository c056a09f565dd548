r"""Lotteries over efficient assignments that give every agent her equilibrium consumption.

At equilibrium prices any assignment whose bundles are in everybody's demand, and which uses up what has a
price, is efficient: it maximises :math:`\sum_i \lambda_i u_i(A_i)`. M♮-concavity makes the expected shares
of an equilibrium a mean of such assignments (demand sets are integral, and so is their intersection).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.optimize import linprog

from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.model.hierarchy import FloatArray
from fairlot.model.valuations.expressions import goods_in
from fairlot.pseudomarket.bundles.cells import MOST_ASSIGNMENTS, Cell, assignments, read_cell
from fairlot.pseudomarket.bundles.columns import BundlePoint

_DUST = 1e-9
_CLOSE = 1e-6


def float_lottery(economy: FiatEconomy, point: BundlePoint) -> BundleLottery | None:
    """Find a lottery over efficient assignments in which everybody spends what she does at a point.

    Returns
    -------
    BundleLottery or None
        None if none was found.
    """
    cell = read_cell(economy, point)
    terms = assignments(economy, cell)
    if len(terms) >= MOST_ASSIGNMENTS:
        return None
    found = vertex_weights(economy, cell, terms, point.prices(economy))
    if found is None:
        return None
    kept = [t for t, weight in enumerate(found) if weight > 0]
    return BundleLottery(
        tuple(found[kept].tolist()), tuple(tuple(goods_in(mask) for mask in terms[t]) for t in kept)
    )


def vertex_weights(
    economy: FiatEconomy, cell: Cell, terms: Sequence[tuple[int, ...]], prices: FloatArray
) -> FloatArray | None:
    """Find weights of assignments, as few as possible, with which the unsatiated spend all their money.

    Parameters
    ----------
    economy : FiatEconomy
        Whose budgets.
    cell : Cell
        Who is satiated.
    terms : sequence of assignments
        Bundles by bitmask, per agent.
    prices : FloatArray, shape (n_goods,)
        Full prices.

    Returns
    -------
    FloatArray, shape (n_terms,), or None
        A vertex, solved again without the program's tolerances; None if there are no such weights.
    """
    if not terms:
        return None
    cost = np.array([[prices[list(goods_in(mask))].sum() for mask in term] for term in terms])
    spenders = [i for i, content in enumerate(cell.satiated) if not content]
    rows = np.vstack([np.ones(len(terms)), cost[:, spenders].T])
    right = np.array([1.0] + [float(economy.budgets[i]) for i in spenders])
    slack = np.hstack([np.eye(len(right)), -np.eye(len(right))])
    found = linprog(
        np.concatenate([np.zeros(len(terms)), np.ones(2 * len(right))]),
        A_eq=np.hstack([rows, slack]),
        b_eq=right,
        method="highs-ds",
    )
    if found.status != 0 or found.fun > _CLOSE * right.max():
        return None
    weights = np.zeros(len(terms))
    kept = np.flatnonzero(found.x[: len(terms)] > _DUST)
    weights[kept] = np.maximum(np.linalg.lstsq(rows[:, kept], right, rcond=None)[0], 0.0)
    return weights
