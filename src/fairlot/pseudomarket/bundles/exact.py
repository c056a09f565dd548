r"""From a point in floating point to exact prices and an exact lottery, or to a box that holds them.

The cell that a point shows makes prices affine in a few coordinates y (:mod:`.cells`); with weights w of
assignments of optimal bundles, what is left is

.. math:: \sum_t w_t = 1, \qquad \sum_t w_t\, p(y)(A_i^t) = b_i \quad \text{(i unsatiated)},

bilinear, and small. Where the solution is not isolated, unknowns are fixed at simple fractions nearby.
Newton's method with one floating-point inverse and residuals in fractions gains some ten digits a step; at
several hundred bits a rational solution is recognised by its small denominators, and then *checked*
(by :func:`~fairlot.verify.economies.verify_walrasian`, in fractions, from the economy alone). Else a box
around it is handed to :func:`~fairlot.verify.intervals.verify_enclosure`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np
import scipy.linalg as la

from fairlot.certificate import Certificate
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.model.hierarchy import FloatArray
from fairlot.model.valuations.expressions import goods_in
from fairlot.pseudomarket.bundles.cells import Cell, Form, PriceSpace, assignments, price_space, read_cell
from fairlot.pseudomarket.bundles.columns import BundlePoint
from fairlot.pseudomarket.bundles.lotteries import vertex_weights
from fairlot.pseudomarket.bundles.rational import UndecidedError, nonnegative_solution
from fairlot.verify.economies import verify_walrasian
from fairlot.verify.intervals import IntervalClaim, verify_enclosure

_BITS = 480
_STEPS = 80
_RADIUS = Fraction(1, 2**120)
_DENOMINATOR = 2 ** (_BITS // 4)
"""Largest denominator that is recognised; a wrong guess is refuted by the equations."""
_SIMPLE = (12, 1000, 10**6)
"""Denominators of the fractions at which unknowns are fixed, one attempt each."""
_CLOSE = 1e-6
_RANK = 1e-9
_ZERO = Fraction(0)


@dataclass(frozen=True, eq=False)
class ExactAnswer:
    """Prices and a lottery in fractions, or a box around irrational ones.

    Parameters
    ----------
    good_prices, limit_prices : tuple of Fraction
        Of the goods, limits included; of the limits. Middles of the box where there is one.
    lottery : BundleLottery
        Weights are middles of the box where there is one.
    certificate : Certificate
        By ``verify``, with tolerance 0.
    claim : IntervalClaim or None
        The box; None where prices and weights are exact.
    """

    good_prices: tuple[Fraction, ...]
    limit_prices: tuple[Fraction, ...]
    lottery: BundleLottery
    certificate: Certificate
    claim: IntervalClaim | None


def exact_answer(economy: FiatEconomy, point: BundlePoint) -> ExactAnswer | None:
    """Find the exact equilibrium next to a point; None if none could be certified."""
    whole = read_cell(economy, point)
    for cell in (whole, _used(economy, whole, point)):
        if cell is None:
            continue
        space = price_space(economy, cell)
        terms = assignments(economy, cell)
        if space is None or not terms:
            continue
        rows = np.concatenate([point.good_prices, point.limit_prices])
        y = rows[list(space.coordinates)]
        allowed = np.array([float(form[0]) for form in space.rows]) + (
            np.array([[float(c) for c in form[1:]] for form in space.rows]) @ y if len(y) else 0.0
        )
        if np.abs(allowed - rows).max() > _CLOSE * max(1.0, float(rows.max(initial=0.0))):
            continue
        for answer in _answers(economy, cell, space, terms, y):
            if answer.certificate.passed:
                return answer
    return None


def _used(economy: FiatEconomy, cell: Cell, point: BundlePoint) -> Cell | None:
    """Narrow a cell to the bundles that some lottery at the point's prices uses."""
    terms = assignments(economy, cell)
    weights = vertex_weights(economy, cell, terms, point.prices(economy))
    if weights is None:
        return None
    kept = [term for term, weight in zip(terms, weights, strict=True) if weight > 0]
    supports = tuple(tuple(sorted({term[i] for term in kept})) for i in range(economy.n_agents))
    return replace(cell, supports=supports) if supports != cell.supports else None


def _answers(
    economy: FiatEconomy, cell: Cell, space: PriceSpace, terms: list[tuple[int, ...]], y: FloatArray
) -> Iterator[ExactAnswer]:
    """Go through the candidates that a cell yields."""
    goods = space.good_forms(economy)
    if not len(y):
        weights = exact_weights(economy, cell.satiated, terms, [form[0] for form in goods])
        if weights is not None:
            yield _rational(economy, space, terms, (), weights)
        return
    prices = np.array([float(form[0]) for form in goods])
    prices += np.array([[float(c) for c in form[1:]] for form in goods]) @ y
    found = vertex_weights(economy, cell, terms, prices)
    if found is None:
        return
    kept = [t for t, weight in enumerate(found) if weight > 0]
    terms = [terms[t] for t in kept]
    system = _System(economy, cell, goods, terms)
    start = np.concatenate([y, found[kept]])
    for denominator in _SIMPLE:
        solved = system.solve(start, denominator)
        if solved is None:
            continue
        centre, fixed = solved
        simple = [entry.limit_denominator(_DENOMINATOR) for entry in centre]
        d = len(y)
        if not any(system.values(simple)):
            yield _rational(economy, space, terms, simple[:d], simple[d:])
        else:
            yield _enclosed(economy, cell, space, terms, centre, fixed)


def exact_weights(
    economy: FiatEconomy,
    satiated: Sequence[bool],
    terms: Sequence[tuple[int, ...]],
    prices: Sequence[Fraction],
) -> tuple[Fraction, ...] | None:
    """Find weights of assignments with which every unsatiated agent spends her budget on average.

    Parameters
    ----------
    economy : FiatEconomy
        Whose budgets.
    satiated : sequence of bool
        Who need not spend it all.
    terms : sequence of assignments
        Bundles by bitmask, per agent.
    prices : sequence of Fraction
        Full prices.

    Returns
    -------
    tuple of Fraction or None
        None if there are none, or if none were found in fractions.
    """
    spenders = [i for i, content in enumerate(satiated) if not content]
    rows = [[Fraction(1)] * len(terms)] + [
        [sum((prices[j] for j in goods_in(term[i])), _ZERO) for term in terms] for i in spenders
    ]
    right = [Fraction(1)] + [Fraction(economy.budgets[i]) for i in spenders]
    try:
        return nonnegative_solution(rows, right, len(terms))
    except UndecidedError:
        return None


class _System:
    """The bilinear equations in coordinates y and weights w."""

    def __init__(
        self, economy: FiatEconomy, cell: Cell, goods: Sequence[Form], terms: Sequence[tuple[int, ...]]
    ) -> None:
        # Revenue is spent in every term: the budgets imply the last of them.
        spenders = [i for i, content in enumerate(cell.satiated) if not content][:-1]
        self.d = len(goods[0]) - 1
        self.n_terms = len(terms)
        self.budgets = [Fraction(economy.budgets[i]) for i in spenders]
        self.forms = [
            [
                tuple(sum((goods[j][k] for j in goods_in(term[i])), _ZERO) for k in range(self.d + 1))
                for term in terms
            ]
            for i in spenders
        ]

    def values(self, z: Sequence[Fraction]) -> list[Fraction]:
        """Evaluate the equations."""
        y, w = z[: self.d], z[self.d :]
        values = [sum(w, Fraction(-1))]
        for budget, forms in zip(self.budgets, self.forms, strict=True):
            paid = _ZERO
            for form, weight in zip(forms, w, strict=True):
                paid += weight * sum((c * v for c, v in zip(form[1:], y, strict=True)), form[0])
            values.append(paid - budget)
        return values

    def jacobian(self, z: FloatArray) -> FloatArray:
        """Evaluate the derivatives in floating point."""
        y, w = z[: self.d], z[self.d :]
        rows = [np.concatenate([np.zeros(self.d), np.ones(self.n_terms)])]
        for forms in self.forms:
            table = np.array([[float(c) for c in form] for form in forms])
            rows.append(np.concatenate([w @ table[:, 1:], table[:, 0] + table[:, 1:] @ y]))
        return np.array(rows)

    def solve(self, start: FloatArray, denominator: int) -> tuple[list[Fraction], tuple[int, ...]] | None:
        """Solve to many digits, fixing what is not determined; None where Newton's method fails."""
        jacobian = self.jacobian(start)
        _, upper, order = la.qr(jacobian, pivoting=True, mode="economic")
        size = np.abs(np.diag(upper))
        rank = int((size > _RANK * size[0]).sum())
        free = sorted(int(k) for k in order[:rank])
        _, _, by_row = la.qr(jacobian[:, free].T, pivoting=True, mode="economic")
        rows = sorted(int(r) for r in by_row[:rank])
        fixed = tuple(k for k in range(len(start)) if k not in free)
        z = [Fraction(float(entry)) for entry in start]
        for k in fixed:
            z[k] = z[k].limit_denominator(denominator)
        here = np.array([float(entry) for entry in z])
        for step in range(_STEPS):
            values = self.values(z)
            worst = max(abs(values[r]) for r in rows)
            if worst * 2 ** (_BITS - 30) < 1:
                # Equations that were left out as redundant must hold as well, as far as can be seen.
                seen = max(abs(value) for value in values) * 2 ** (_BITS // 2) < 1
                return (z, fixed) if seen else None
            if step in (0, 2, 5) or step % 10 == 9:
                here = np.array([float(entry) for entry in z])
                if not np.isfinite(here).all() or np.abs(here - start).max() > 1.0 + np.abs(start).max():
                    return None
                inverse = la.pinv(self.jacobian(here)[np.ix_(rows, free)])
            # Scaled, so that residuals far below the range of floats still count.
            move = inverse @ np.array([float(values[r] / worst) for r in rows])
            for k, change in zip(free, move, strict=True):
                z[k] = _round(z[k] - Fraction(float(change)) * worst)
        return None


def _round(entry: Fraction) -> Fraction:
    return Fraction(round(entry * 2**_BITS), 2**_BITS)


def _rational(
    economy: FiatEconomy,
    space: PriceSpace,
    terms: Sequence[tuple[int, ...]],
    y: Sequence[Fraction],
    weights: Sequence[Fraction],
) -> ExactAnswer:
    def at(form: Form) -> Fraction:
        return sum((c * v for c, v in zip(form[1:], y, strict=True)), form[0])

    goods = tuple(map(at, space.good_forms(economy)))
    limits = tuple(map(at, space.rows[economy.n_goods :]))
    kept = [t for t, weight in enumerate(weights) if weight]
    lottery = BundleLottery(
        tuple(weights[t] for t in kept), tuple(tuple(map(goods_in, terms[t])) for t in kept)
    )
    certificate = verify_walrasian(economy, goods, lottery, limit_prices=limits)
    return ExactAnswer(goods, limits, lottery, certificate, None)


def _enclosed(
    economy: FiatEconomy,
    cell: Cell,
    space: PriceSpace,
    terms: Sequence[tuple[int, ...]],
    centre: Sequence[Fraction],
    fixed: tuple[int, ...],
) -> ExactAnswer:
    d = len(space.coordinates)
    goods = space.good_forms(economy)
    scales = tuple(
        None if content else _scale(economy, i, goods, {term[i] for term in terms}, centre[:d])
        for i, content in enumerate(cell.satiated)
    )
    claim = IntervalClaim(
        good_prices=space.rows[: economy.n_goods],
        limit_prices=space.rows[economy.n_goods :],
        scales=scales,
        assignments=tuple(terms),
        centre=tuple(centre),
        fixed=fixed,
        radius=_RADIUS,
    )
    middle = _rational(economy, space, terms, centre[:d], centre[d:])
    return replace(middle, certificate=verify_enclosure(economy, claim), claim=claim)


def _scale(
    economy: FiatEconomy, agent: int, goods: Sequence[Form], own: set[int], y: Sequence[Fraction]
) -> Form:
    r"""Write λ as an affine form: the slope between two bundles, or a constant that suits the only level."""
    u = economy.valuations[agent]
    worth = {mask: Fraction(u.value(goods_in(mask))) for mask in own}

    def cost(mask: int) -> Form:
        return tuple(sum((goods[j][k] for j in goods_in(mask)), _ZERO) for k in range(len(goods[0])))

    low, high = min(own, key=lambda mask: worth[mask]), max(own, key=lambda mask: worth[mask])
    if worth[low] < worth[high]:
        gain = worth[high] - worth[low]
        return tuple((a - b) / gain for a, b in zip(cost(high), cost(low), strict=True))

    def at(mask: int) -> Fraction:
        form = cost(mask)
        return sum((c * v for c, v in zip(form[1:], y, strict=True)), form[0])

    here, least, most = at(low), _ZERO, None
    for mask, value in enumerate(u.table()):
        if value != -float("inf") and value != worth[low]:
            gain, slope = Fraction(value) - worth[low], (at(mask) - here) / (Fraction(value) - worth[low])
            if gain < 0:
                least = max(least, slope)
            else:
                most = slope if most is None else min(most, slope)
    constant = least + 1 if most is None else (least + most) / 2
    return (constant, *(_ZERO for _ in y))
