r"""Lotteries over efficient assignments that give every agent her equilibrium consumption.

At equilibrium prices any assignment whose bundles are in everybody's demand, and which uses up what has a
price, is efficient: it maximises :math:`\sum_i \lambda_i u_i(A_i)`. M♮-concavity makes the expected shares
of an equilibrium a mean of such assignments (demand sets are integral, and so is their intersection).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from scipy.optimize import linprog

from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.model.hierarchy import FloatArray
from fairlot.model.valuations import MOST_ENUMERATED
from fairlot.model.valuations.expressions import goods_in
from fairlot.model.valuations.partition import Worth, best_partition, extended
from fairlot.pseudomarket.bundles.cells import MOST_ASSIGNMENTS, Cell, assignments, read_cell
from fairlot.pseudomarket.bundles.columns import BundlePoint

_DUST = 1e-9
_CLOSE = 1e-6
_LEFT = 1e-8
"""Unspent money, over the budget, from which an agent is satiated."""
_MOST_TERMS = 2000


def float_lottery(economy: FiatEconomy, point: BundlePoint) -> BundleLottery | None:
    """Find a lottery over efficient assignments in which everybody spends what she does at a point.

    Returns
    -------
    BundleLottery or None
        None if none was found.
    """
    if economy.n_goods > MOST_ENUMERATED:
        return column_lottery(economy, point)
    cell = read_cell(economy, point)
    terms = assignments(economy, cell)
    if len(terms) >= MOST_ASSIGNMENTS:
        return column_lottery(economy, point)
    found = vertex_weights(economy, cell, terms, point.prices(economy))
    if found is None:
        return None
    kept = [t for t, weight in enumerate(found) if weight > 0]
    return BundleLottery(
        tuple(found[kept].tolist()), tuple(tuple(goods_in(mask) for mask in terms[t]) for t in kept)
    )


def column_lottery(economy: FiatEconomy, point: BundlePoint) -> BundleLottery | None:
    r"""Find a lottery with a point's expected shares by Dantzig and Wolfe's decomposition.

    The master program mixes efficient assignments; its duals :math:`\pi_{ij}` ask for the assignment of
    greatest :math:`\sum_i \pi_i(A_i)` among the efficient ones: the transferable-utility step at values
    compared from the left, first :math:`\sum_i \lambda_i u_i(A_i)`, then :math:`\pi`. One more agent holds
    what is left.

    Parameters
    ----------
    economy : FiatEconomy
        With M♮-concave valuations, of which only values and demand are asked.
    point : BundlePoint
        An equilibrium.

    Returns
    -------
    BundleLottery or None
        None if assignments of greatest weight do not mix to the shares: then some valuation is not
        M♮-concave, or the point is no equilibrium.
    """
    n, n_goods = economy.n_agents, economy.n_goods
    shares = np.zeros((n + 1, n_goods))
    for row, mine in zip(shares, point.consumptions, strict=False):
        for mask, share in mine.items():
            row[list(goods_in(mask))] += share
    shares[n] = 1.0 - shares[:n].sum(axis=0)
    right = np.append(shares.ravel(), 1.0)
    duals = np.random.default_rng(0).uniform(-1.0, 1.0, shares.shape)
    efficient = _efficient(economy, point)
    terms: list[list[int]] = []
    rows: list[FloatArray] = []
    slack = np.hstack([np.eye(len(right)), -np.eye(len(right))])
    for _ in range(_MOST_TERMS):
        term = best_partition(
            [_priced(worth, dual) for worth, dual in zip(efficient, duals.tolist(), strict=True)],
            range(n_goods),
        )
        if term in terms:
            return None
        terms.append(term)
        rows.append(np.append([[float(mask >> j & 1) for j in range(n_goods)] for mask in term], 1.0))
        table = np.array(rows).T
        found = linprog(
            np.concatenate([np.zeros(len(terms)), np.ones(2 * len(right))]),
            A_eq=np.hstack([table, slack]),
            b_eq=right,
            method="highs-ds",
        )
        if found.status != 0:
            return None
        if found.fun <= _CLOSE:
            kept = np.flatnonzero(found.x[: len(terms)] > _DUST)
            weights = np.maximum(np.linalg.lstsq(table[:, kept], right, rcond=None)[0], 0.0)
            return BundleLottery(
                tuple(weights.tolist()), tuple(tuple(goods_in(m) for m in terms[t][:n]) for t in kept)
            )
        duals = np.asarray(found.eqlin.marginals[:-1]).reshape(shares.shape)
    return None


def _efficient(economy: FiatEconomy, point: BundlePoint) -> list[Callable[[int], Worth]]:
    """Worths whose best partitions are the efficient assignments; the last one is of what is left over."""
    prices: list[float] = point.prices(economy).tolist()
    worths: list[Callable[[int], Worth]] = []
    for i, u in enumerate(economy.valuations):
        spent = sum(
            share * sum(prices[j] for j in goods_in(mask)) for mask, share in point.consumptions[i].items()
        )
        content = spent < float(economy.budgets[i]) * (1 - _LEFT)
        worths.append(_surplus(extended(u), prices, None if content else 1.0 / float(point.money_values[i])))

    def left_over(mask: int) -> Worth:
        short = 0
        for limit in economy.limits:
            needed = len(limit.goods) - (limit.upper or 0)
            short += max(0, needed - (mask & limit.mask).bit_count())
        return (-short, 0, -sum(prices[j] for j in goods_in(mask)))

    return [*worths, left_over]


def _surplus(
    worth: Callable[[int], Worth], prices: Sequence[float], scale: float | None
) -> Callable[[int], Worth]:
    """Compare bundles as an agent does: by λ u - p, or, satiated, by u and then by -p."""
    known: dict[int, Worth] = {}

    def compared(mask: int) -> Worth:
        found = known.get(mask)
        if found is None:
            missing, value = worth(mask)
            cost = sum(prices[j] for j in goods_in(mask))
            content, surplus = (value, -cost) if scale is None else (0, scale * float(value) - cost)
            known[mask] = found = (missing, content, surplus)
        return found

    return compared


def _priced(worth: Callable[[int], Worth], dual: Sequence[float]) -> Callable[[int], Worth]:
    return lambda mask: (*worth(mask), sum(dual[j] for j in goods_in(mask)))


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
