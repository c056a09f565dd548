r"""From a point in floating point to what it means: exact ties, exact budgets, and a lottery that fits.

A point near an equilibrium shows who is not short of money (:math:`\lambda_i = 1`), which bundles are
optimal and which goods have a price. Of that follow the equations

.. math:: \lambda_i u_i(A) - p(A) = \beta_i \quad (A \text{ optimal}), \qquad
    \sum_t w_t\, p(A_i^t) = b_i \quad (\lambda_i < 1), \qquad \sum_t w_t = 1,

for weights w of assignments of optimal bundles. They are solved by Newton steps of least length; what they
leave open may be fixed at simple fractions first, so that an exact solution can be recognised.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

import numpy as np
import scipy.linalg as la
from scipy.optimize import linprog

from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy, QuasilinearEconomy
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.valuations.expressions import INFINITY, Number, goods_in
from fairlot.pseudomarket.bundles.cells import Cell, assignments
from fairlot.pseudomarket.bundles.columns import BundlePoint
from fairlot.pseudomarket.bundles.rational import UndecidedError, nonnegative_solution

_TIGHT = (1e-7, 1e-5, 1e-9, 1e-4)
"""How far from optimal a bundle, or from 1 a multiplier, may look and yet count as such."""
_NEWTON_STEPS = 12
_ROUNDED = 1e-15
_CLOSE = 1e-4
"""Share of a budget that a point may be away from spending it."""
_USED = 1e-9
"""Weight from which a term is in use."""
_SIMPLE = (1, 4, 60)
"""Denominators at which what is left open is fixed, one attempt each."""
_LARGEST = 10**5
"""Largest denominator for which a float is taken for a fraction."""
_LOOKS_LIKE = 1e-12
_MOST_TERMS = 4000


@dataclass(frozen=True)
class Claim:
    """A claimed equilibrium with budgets.

    Parameters
    ----------
    prices, multipliers : tuple of numbers
        p and λ.
    lottery : BundleLottery
        Who gets what.
    guess : bool
        Whether the numbers are fractions that floats look like.
    """

    prices: tuple[Number, ...]
    multipliers: tuple[Number, ...]
    lottery: BundleLottery
    guess: bool = False


def claims(economy: QuasilinearEconomy, point: BundlePoint) -> Iterator[Claim]:
    """Go through what a point may mean: simple rational solutions first, then solved to rounding."""
    values = [np.array([float(v) for v in u.table()]) for u in economy.valuations]
    seen = set()
    for tight, unit in product(_TIGHT, _units(economy, point)):
        cell = _cell(values, point, tight, unit)
        if cell in seen:
            continue
        seen.add(cell)
        terms = assignments(FiatEconomy(economy.valuations, economy.budgets or ()), cell, _MOST_TERMS)
        prices = np.where(np.isin(np.arange(economy.n_goods), cell.priced), point.good_prices, 0.0)
        scales = np.where(cell.satiated, 1.0, np.minimum(1 / point.money_values, 1.0))
        weights = _weights(economy, cell, terms, prices)
        if weights is None:
            continue
        for support in (cell.supports, _used(terms, weights)):
            ties = _Ties(economy, values, cell, support, terms, weights)
            solved = ties.solve(prices, scales)
            if solved is None:
                continue
            for denominator in _SIMPLE:
                near = ties.solve(prices, scales, denominator)
                if near is not None:
                    yield from _rational(economy, cell, terms, near)
            yield Claim(
                tuple(solved[0].tolist()), tuple(solved[1].tolist()), _lottery(terms, solved[2].tolist())
            )


def _units(economy: QuasilinearEconomy, point: BundlePoint) -> list[float]:
    """Return what nearness may be measured in: prices, or budgets where prices are 0 or budgets differ."""
    return [float(max(economy.budgets or (1,))), float(point.good_prices.max(initial=0.0))]


def _cell(values: list[FloatArray], point: BundlePoint, tight: float, money: float) -> Cell:
    """Read off who is not short of money, which bundles are optimal, and which goods have a price."""
    costs = _costs(point.good_prices)
    rich, supports = [], []
    for table, alpha in zip(values, point.money_values, strict=True):
        scale = min(1.0, 1 / alpha)
        rich.append(bool(scale > 1 - tight))
        surplus = (1.0 if rich[-1] else scale) * table - costs
        near = np.flatnonzero(surplus >= surplus.max() - tight * money)
        supports.append(tuple(near.tolist()))
    priced = np.flatnonzero(point.good_prices > tight * money)
    return Cell(tuple(supports), tuple(rich), tuple(priced.tolist()))


def _costs(prices: FloatArray) -> FloatArray:
    costs = np.zeros(1)
    for price in prices:
        costs = np.concatenate([costs, costs + price])
    return costs


def _weights(
    economy: QuasilinearEconomy, cell: Cell, terms: list[tuple[int, ...]], prices: FloatArray
) -> FloatArray | None:
    """Find weights with which those short of money spend it all, and the others no more than they have."""
    if not terms:
        return None
    costs = _costs(prices)
    paid = np.array([[costs[mask] for mask in term] for term in terms]).T
    paid /= np.array([float(b) for b in economy.budgets or ()])[:, None]
    rich = np.array(cell.satiated)
    n_short, n_rich = int((~rich).sum()), int(rich.sum())
    miss = np.vstack([np.zeros((1, 2 * n_short)), np.hstack([np.eye(n_short), -np.eye(n_short)])])
    found = linprog(
        np.concatenate([np.zeros(len(terms)), np.ones(2 * n_short)]),
        A_eq=np.hstack([np.vstack([np.ones(len(terms)), paid[~rich]]), miss]),
        b_eq=np.ones(1 + n_short),
        A_ub=np.hstack([paid[rich], np.zeros((n_rich, 2 * n_short))]),
        b_ub=np.full(n_rich, 1 + _CLOSE),
        method="highs-ds",
    )
    if found.status != 0 or found.fun > _CLOSE:
        return None
    return np.asarray(found.x[: len(terms)])


def _used(terms: list[tuple[int, ...]], weights: FloatArray) -> tuple[tuple[int, ...], ...]:
    kept = [term for term, weight in zip(terms, weights, strict=True) if weight > _USED]
    return tuple(tuple(sorted(set(bundles))) for bundles in zip(*kept, strict=True))


class _Ties:
    """What holds with equality: bundles of a support are equally good, short agents spend all they have.

    The unknowns are prices of goods that have one, multipliers of those short of money, everybody's
    surplus, and weights of the terms in use.
    """

    def __init__(
        self,
        economy: QuasilinearEconomy,
        values: list[FloatArray],
        cell: Cell,
        supports: tuple[tuple[int, ...], ...],
        terms: list[tuple[int, ...]],
        weights: FloatArray,
    ) -> None:
        self.priced = np.array(cell.priced, dtype=np.int64)
        self.short = np.flatnonzero(~np.array(cell.satiated))
        self.live = np.flatnonzero(weights > _USED)
        self.weights = weights
        self.owner = np.array([i for i, mine in enumerate(supports) for _ in mine])
        bundle = np.array([mask for mine in supports for mask in mine])
        self.worth = np.array([values[i][mask] for i, mask in zip(self.owner, bundle, strict=True)])
        self.bundle = _members(bundle, self.priced)
        self.held = np.array(
            [_members(np.array([terms[t][i] for t in self.live]), self.priced) for i in self.short]
        ).reshape(len(self.short), len(self.live), len(self.priced))
        self.held /= np.array([float(b) for b in economy.budgets or ()])[self.short, None, None]
        self.n = economy.n_agents
        self.cuts = np.cumsum([len(self.priced), len(self.short), self.n])

    def solve(
        self, prices: FloatArray, scales: FloatArray, denominator: int = 0
    ) -> tuple[FloatArray, FloatArray, FloatArray] | None:
        """Solve by Newton steps of least length from prices and multipliers nearby.

        Parameters
        ----------
        prices, scales : FloatArray
            Where to start.
        denominator : int
            Unless 0, what the equations leave open is fixed at fractions with such denominators.

        Returns
        -------
        tuple of FloatArray or None
            Prices, multipliers and weights; None where there is no solution nearby.
        """
        p, lam, w = prices[self.priced], scales[self.short], self.weights[self.live]
        surplus = np.full(self.n, -INFINITY)
        np.maximum.at(surplus, self.owner, scales[self.owner] * self.worth - self.bundle @ p)
        fixed_scales = scales.copy()
        z = np.concatenate([p, lam, surplus, w])
        moving = np.ones(len(z), dtype=bool)
        if denominator:
            _, upper, order = la.qr(
                self.jacobian(z, fixed_scales) * np.where(np.arange(len(z)) < self.cuts[1], 1e-3, 1.0),
                pivoting=True,
                mode="economic",
            )
            size = np.abs(np.diag(upper))
            rank = int((size > 1e-10 * size[0]).sum())
            moving[order[rank:]] = False
            z[~moving] = [_simple(x, denominator) for x in z[~moving].tolist()]
        for _ in range(_NEWTON_STEPS):
            gap = self.gaps(z, fixed_scales)
            if np.abs(gap).max() <= _ROUNDED * max(1.0, np.abs(z).max()):
                break
            jacobian = self.jacobian(z, fixed_scales)[:, moving]
            z[moving] -= np.linalg.lstsq(jacobian, gap, rcond=1e-11)[0]
            if not np.isfinite(z).all():
                return None
        p, lam, _, w = np.split(z, self.cuts)
        end, end_scales, end_weights = np.zeros_like(prices), fixed_scales, np.zeros_like(self.weights)
        end[self.priced], end_scales[self.short], end_weights[self.live] = p, lam, w
        away = np.abs(end - prices).max(initial=0.0)
        if away > (0.2 if denominator else 1e-2) * max(1.0, prices.max(initial=0.0)):
            return None
        return np.maximum(end, 0.0), end_scales, np.maximum(end_weights, 0.0)

    def gaps(self, z: FloatArray, scales: FloatArray) -> FloatArray:
        """Evaluate the equations."""
        p, lam, surplus, w = np.split(z, self.cuts)
        scales[self.short] = lam
        return np.concatenate(
            [
                scales[self.owner] * self.worth - self.bundle @ p - surplus[self.owner],
                (self.held @ p) @ w - 1.0,
                [w.sum() - 1.0],
            ]
        )

    def jacobian(self, z: FloatArray, scales: FloatArray) -> FloatArray:
        """Evaluate their derivatives."""
        p, _, _, w = np.split(z, self.cuts)
        m, at = len(self.priced), len(self.owner)
        found = np.zeros((at + len(self.short) + 1, len(z)))
        rows = np.arange(at)
        found[rows, :m] = -self.bundle
        for column, i in enumerate(self.short, m):
            found[rows, column] = np.where(self.owner == i, self.worth, 0.0)
        found[rows, self.cuts[1] + self.owner] = -1.0
        found[at:-1, :m] = np.einsum("stm,t->sm", self.held, w)
        found[at:-1, self.cuts[2] :] = self.held @ p
        found[-1, self.cuts[2] :] = 1.0
        return found


def _simple(x: float, denominator: int) -> float:
    """Return a fraction nearby with a small denominator, or for small numbers with a small numerator."""
    if 0 < abs(x) < 1:
        return float(1 / Fraction(1 / x).limit_denominator(denominator))
    return float(Fraction(x).limit_denominator(denominator))


def _members(masks: IntArray, goods: IntArray) -> FloatArray:
    return (masks[:, None] >> goods & 1).astype(np.float64)


def _rational(
    economy: QuasilinearEconomy,
    cell: Cell,
    terms: list[tuple[int, ...]],
    solved: tuple[FloatArray, FloatArray, FloatArray],
) -> Iterator[Claim]:
    """Take prices and multipliers for the fractions they look like, if exact weights go with them."""
    numbers = np.concatenate(solved[:2]).tolist()
    guess = [Fraction(x).limit_denominator(_LARGEST) for x in numbers]
    if max(abs(float(a) - b) for a, b in zip(guess, numbers, strict=True)) > _LOOKS_LIKE:
        return
    prices, scales = guess[: economy.n_goods], guess[economy.n_goods :]
    cost = [Fraction(0)]
    for price in prices:
        cost += [c + price for c in cost]
    # Those not short of money may keep some: a slack variable each.
    rich = [i for i, content in enumerate(cell.satiated) if content]
    rows = [[Fraction(1)] * len(terms) + [Fraction(0)] * len(rich)]
    rows += [
        [cost[term[i]] for term in terms] + [Fraction(i == k) for k in rich] for i in range(economy.n_agents)
    ]
    right = [Fraction(1), *(Fraction(b) for b in economy.budgets or ())]
    try:
        weights = nonnegative_solution(rows, right, len(terms) + len(rich))
    except UndecidedError:
        return
    if weights is not None:
        yield Claim(tuple(prices), tuple(scales), _lottery(terms, list(weights[: len(terms)])), guess=True)


def _lottery(terms: list[tuple[int, ...]], weights: list[Number]) -> BundleLottery:
    kept = [t for t, weight in enumerate(weights) if weight > 0]
    return BundleLottery(tuple(weights[t] for t in kept), tuple(tuple(map(goods_in, terms[t])) for t in kept))
