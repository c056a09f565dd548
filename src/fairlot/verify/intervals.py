r"""Proofs that a small economy has a strong equilibrium inside a box, where its numbers are irrational.

A claim states rational affine forms in a few unknowns :math:`y \in \mathbf R^d` for the prices and for every
unsatiated agent's :math:`\lambda_i`, assignments with unknown weights :math:`w`, and a box around a rational
centre of :math:`z = (y, w)`. With

.. math:: \sum_t w_t = 1, \qquad \sum_t w_t\, p(y)(A_i^t) = b_i \quad \text{(i unsatiated)}

equations are bilinear. Kantorovich's argument shows a solution: with c the centre, r the radius, Y a
rational approximate inverse of the Jacobian J(c) and M a bound on how fast J varies, the map
:math:`z - Y F(z)` takes the box into itself and contracts if

.. math:: \lVert Y F(c) \rVert + \bigl(\lVert I - Y J(c) \rVert + r \lVert Y \rVert M\bigr) r \le r .

At that solution, wherever in the box it is, every other condition of a strong equilibrium holds as an affine
identity or as a strict inequality over the whole box: then it is an equilibrium, exactly. All arithmetic
is in fractions.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from fairlot.certificate import Certificate, Check
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations.expressions import Expression, goods_in

ENCLOSED = ("prices", "assignments", "clearing", "demand", "satiation", "weights", "existence")
"""Checks of an equilibrium inside a box."""

Form = tuple[Fraction, ...]
"""An affine form: its constant, then a coefficient per unknown y."""


@dataclass(frozen=True)
class IntervalClaim(Expression):
    """A box said to contain a strong equilibrium.

    Parameters
    ----------
    good_prices, limit_prices : tuple of Form
        Price of each good (limits aside), and of each aggregate limit.
    scales : tuple of Form or None
        λ of each agent, utility to money; None for the satiated.
    assignments : tuple, shape (n_terms, n_agents)
        Bundles by bitmask.
    centre : tuple of Fraction, shape (d + n_terms,)
        Of the unknowns y, then of the weights.
    fixed : tuple of int
        Unknowns that are what the centre says: the box is thin there.
    radius : Fraction
        Half the width of the box in all other directions.
    """

    kind: ClassVar[str] = "interval-claim"
    good_prices: tuple[Form, ...]
    limit_prices: tuple[Form, ...]
    scales: tuple[Form | None, ...]
    assignments: tuple[tuple[int, ...], ...]
    centre: tuple[Fraction, ...]
    fixed: tuple[int, ...]
    radius: Fraction

    @property
    def n_unknowns(self) -> int:
        """Number of unknowns y."""
        return len(self.centre) - len(self.assignments)

    def enclosure(self, form: Form) -> tuple[Fraction, Fraction]:
        """Return the least and greatest value of an affine form over the box."""
        middle = form[0] + sum((c * y for c, y in zip(form[1:], self.centre, strict=False)), Fraction(0))
        reach = (
            sum((abs(c) for k, c in enumerate(form[1:]) if k not in self.fixed), Fraction(0)) * self.radius
        )
        return middle - reach, middle + reach


def verify_enclosure(economy: FiatEconomy, claim: IntervalClaim) -> Certificate:
    """Check that a box contains a strong equilibrium of an economy.

    Parameters
    ----------
    economy : FiatEconomy
        With few enough goods for all bundles to be listed.
    claim : IntervalClaim
        The box.

    Returns
    -------
    Certificate
        The checks of :data:`ENCLOSED`, tolerance 0: residuals are 0 where a condition was shown, infinite
        where it was not.
    """
    proof = _Proof(economy, claim)
    checks = []
    for name, condition in zip(
        ENCLOSED,
        (
            proof.prices,
            proof.assignments,
            proof.clearing,
            proof.demand,
            proof.satiation,
            proof.weights,
            proof.existence,
        ),
        strict=True,
    ):
        fault = condition()
        checks.append(Check(name, math.inf if fault else 0.0, 0.0, fault))
    return Certificate(ENCLOSED, tuple(checks))


class _Proof:
    """The steps of the proof; each returns what is wrong, or nothing."""

    def __init__(self, economy: FiatEconomy, claim: IntervalClaim) -> None:
        self.economy, self.claim = economy, claim
        self.budgets = [Fraction(b) for b in economy.budgets]
        width = claim.n_unknowns + 1
        self.zero: Form = (Fraction(0),) * width
        self.full = list(claim.good_prices)
        for limit, price in zip(economy.limits, claim.limit_prices, strict=True):
            for j in limit.goods:
                self.full[j] = _plus(self.full[j], price)
        self.tables = [u.table() for u in economy.valuations]

    def cost(self, mask: int) -> Form:
        total = self.zero
        for j in goods_in(mask):
            total = _plus(total, self.full[j])
        return total

    def never_negative(self, form: Form) -> bool:
        """Whether a form is 0 everywhere, or at least 0 over the box."""
        return not any(form) or self.claim.enclosure(form)[0] >= 0

    def prices(self) -> str:
        for noun, forms in (("good", self.claim.good_prices), ("limit", self.claim.limit_prices)):
            for k, form in enumerate(forms):
                if not self.never_negative(form):
                    return f"the price of {noun} {k} may be negative"
        return ""

    def assignments(self) -> str:
        for t, term in enumerate(self.claim.assignments):
            given = 0
            for mask in term:
                if mask & given or mask >> self.economy.n_goods:
                    return f"term {t} gives a good twice, or one that is unknown"
                given |= mask
            for k, limit in enumerate(self.economy.limits):
                if limit.upper is not None and (given & limit.mask).bit_count() > limit.upper:
                    return f"term {t} exceeds limit {k}"
        return ""

    def clearing(self) -> str:
        for t, term in enumerate(self.claim.assignments):
            given = 0
            for mask in term:
                given |= mask
            for j, form in enumerate(self.claim.good_prices):
                if any(form) and not given >> j & 1:
                    return f"good {j} has a price, but is left over in term {t}"
            for k, (limit, form) in enumerate(zip(self.economy.limits, self.claim.limit_prices, strict=True)):
                if any(form) and (given & limit.mask).bit_count() != limit.upper:
                    return f"limit {k} has a price, but is slack in term {t}"
        return ""

    def demand(self) -> str:
        r"""Every realised bundle maximises :math:`\lambda u - p` over the whole box."""
        for i, scale in enumerate(self.claim.scales):
            if scale is None:
                continue
            if not any(scale) or self.claim.enclosure(scale)[0] <= 0:
                return f"λ of agent {i} may not be positive"
            own = {term[i] for term in self.claim.assignments}
            for mask in own:
                if self.tables[i][mask] == -math.inf:
                    return f"agent {i} may get a bundle outside her consumption set"
            first = next(iter(own))
            for mask, value in enumerate(self.tables[i]):
                if value == -math.inf:
                    continue
                gain = Fraction(self.tables[i][first]) - Fraction(value)
                margin = _plus(
                    _times(scale, gain), _plus(self.cost(mask), _times(self.cost(first), Fraction(-1)))
                )
                if mask in own and any(margin):
                    return f"agent {i} is not indifferent among her bundles"
                if not self.never_negative(margin):
                    return f"agent {i} may prefer bundle {set(goods_in(mask))}"
        return ""

    def satiation(self) -> str:
        """Satiated agents get a cheapest bundle of greatest utility, and can pay for it."""
        for i, scale in enumerate(self.claim.scales):
            if scale is not None:
                continue
            most = max(self.tables[i])
            own = {term[i] for term in self.claim.assignments}
            first = next(iter(own))
            rest = _plus((self.budgets[i], *self.zero[1:]), _times(self.cost(first), Fraction(-1)))
            if not self.never_negative(rest):
                return f"agent {i} may be unable to pay for her bundle"
            for mask, value in enumerate(self.tables[i]):
                margin = _plus(self.cost(mask), _times(self.cost(first), Fraction(-1)))
                if mask in own and (value != most or any(margin)):
                    return f"agent {i} may get a bundle that is not a cheapest of her best ones"
                if value == most and not self.never_negative(margin):
                    return f"agent {i} may find bundle {set(goods_in(mask))} cheaper and as good"
        return ""

    def weights(self) -> str:
        radius = self.claim.radius
        for t in range(len(self.claim.assignments)):
            k = self.claim.n_unknowns + t
            if self.claim.centre[k] - (0 if k in self.claim.fixed else radius) < 0:
                return f"the weight of term {t} may be negative"
        return ""

    def existence(self) -> str:
        """Show that the equations have a solution in the box."""
        spenders = [i for i, scale in enumerate(self.claim.scales) if scale is not None]
        if spenders and self.revenue_is_spent():
            # The other budgets and the weights' sum of 1 then imply the last one.
            spenders = spenders[:-1]
        n, free = (
            len(self.claim.centre),
            [k for k in range(len(self.claim.centre)) if k not in self.claim.fixed],
        )
        if len(free) != len(spenders) + 1:
            return f"{len(spenders) + 1} equations in {len(free)} unknowns"
        values, jacobian, bend = self.equations(spenders)
        matrix = [[row[k] for k in free] for row in jacobian]
        floats = np.array([[float(entry) for entry in row] for row in matrix])
        if not np.isfinite(floats).all() or np.linalg.matrix_rank(floats) < len(free):
            return "the Jacobian is singular"
        inverse = [[Fraction(float(entry)) for entry in row] for row in np.linalg.inv(floats)]
        zero, size = Fraction(0), range(len(free))
        step = max(abs(sum((inverse[a][b] * values[b] for b in size), zero)) for a in size)
        off = max(
            sum(
                (abs(sum((inverse[a][c] * matrix[c][b] for c in size), Fraction(-(a == b)))) for b in size),
                zero,
            )
            for a in size
        )
        norm = max(sum((abs(entry) for entry in row), zero) for row in inverse)
        radius = self.claim.radius
        if radius <= 0 or n < 1 or step + (off + radius * norm * bend) * radius > radius:
            return "no solution was shown to be in the box"
        return ""

    def revenue_is_spent(self) -> bool:
        """Whether in every term the unsatiated agents together pay what their budgets amount to."""
        for term in self.claim.assignments:
            rest = self.zero
            for i, mask in enumerate(term):
                if self.claim.scales[i] is not None:
                    rest = _plus(rest, self.cost(mask))
                    rest = _plus(rest, (-self.budgets[i], *self.zero[1:]))
            if any(rest):
                return False
        return True

    def equations(self, spenders: list[int]) -> tuple[list[Fraction], list[list[Fraction]], Fraction]:
        """Evaluate the equations and their Jacobian at the centre, and bound how fast the latter varies."""
        claim = self.claim
        d = claim.n_unknowns
        y, w = claim.centre[:d], claim.centre[d:]
        values = [sum(w, Fraction(-1))]
        jacobian = [[Fraction(0)] * d + [Fraction(1)] * len(w)]
        bend = Fraction(0)
        for i in spenders:
            forms = [self.cost(term[i]) for term in claim.assignments]
            at = [
                form[0] + sum((c * v for c, v in zip(form[1:], y, strict=True)), Fraction(0))
                for form in forms
            ]
            values.append(sum((a * b for a, b in zip(at, w, strict=True)), -self.budgets[i]))
            slopes = [
                sum((form[k + 1] * b for form, b in zip(forms, w, strict=True)), Fraction(0))
                for k in range(d)
            ]
            jacobian.append(slopes + at)
            bend = max(bend, 2 * sum((abs(c) for form in forms for c in form[1:]), Fraction(0)))
        return values, jacobian, bend


def _plus(a: Form, b: Form) -> Form:
    return tuple(x + y for x, y in zip(a, b, strict=True))


def _times(a: Form, factor: Fraction) -> Form:
    return tuple(x * factor for x in a)
