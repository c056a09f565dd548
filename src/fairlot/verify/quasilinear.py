r"""Independent verification of equilibria of quasilinear economies, with and without budgets.

Agent i maximises :math:`\mathbb E[u_i(A) - p(A)]`, in a constrained economy subject to
:math:`\mathbb E\,p(A) \le b_i`. A lottery over assignments is an equilibrium at prices p if there is
:math:`\lambda_i \in (0, 1]` for every agent such that all bundles she may get maximise
:math:`\lambda_i u_i(A) - p(A)`, she spends at most :math:`b_i`, and exactly :math:`b_i` where
:math:`\lambda_i < 1` (Lemma 1): by weak duality no affordable lottery is then better, for

.. math:: \lambda_i \Big(\max_{\mathbb E p \le b_i} \mathbb E[u_i - p] - \mathbb E[u_i - p]\Big) \le
    \max_A (\lambda_i u_i - p)(A) - \mathbb E[\lambda_i u_i - p] + (1 - \lambda_i)(b_i - \mathbb E\,p).

All arithmetic is in fractions; floats are read as the fractions they are. Residuals are in money over the
largest price (the largest budget where all prices are 0), unless said otherwise:

====================  ==================================================================================
``prices``            negative part of a price
``lottery``           negative part of a weight, distance of their sum from 1 (no unit)
``assignments``       goods given that are unknown, or given twice
``clearing``          price of a good, times the probability of being left over
``multipliers``       how far a :math:`\lambda_i` is above 1, or not above 0 (no unit)
``demand``            how far a bundle she may get is from maximising :math:`\lambda_i u_i - p`
``over-spending``     expected cost above the budget, over the budget
``unspent money``     money left of an agent with :math:`\lambda_i < 1`, over her budget, times
                      :math:`1 - \lambda_i`
====================  ==================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from fairlot.certificate import Certificate, Check
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import QuasilinearEconomy
from fairlot.model.valuations.base import Valuation
from fairlot.verify.economies import told

KELSO_CRAWFORD = (
    "prices",
    "lottery",
    "assignments",
    "clearing",
    "multipliers",
    "demand",
    "over-spending",
    "unspent money",
)
"""Checks of an equilibrium of a quasilinear economy."""
MOST_LISTED = 12
"""Most goods of which demand is found by listing all bundles; beyond, by the valuation's own ascent."""

_Finding = tuple[Fraction | float, str]


def verify_kelso_crawford(
    economy: QuasilinearEconomy,
    prices: Sequence[Any],
    lottery: BundleLottery,
    multipliers: Sequence[Any] | None = None,
    *,
    tol: float = 0.0,
) -> Certificate:
    r"""Check every condition of a Walrasian equilibrium of a (constrained) Kelso–Crawford economy.

    Parameters
    ----------
    economy : QuasilinearEconomy
        The economy.
    prices : sequence of numbers, shape (n_goods,)
        p.
    lottery : BundleLottery
        Who gets what; one term of weight 1 is a deterministic allocation.
    multipliers : sequence of numbers, shape (n_agents,), optional
        :math:`\lambda_i`; all 1 by default, which is right where nobody is short of money.
    tol : float
        Largest residual that passes; 0 for exact claims.

    Raises
    ------
    ValueError
        If the numbers of prices, agents or multipliers do not fit the economy, or one is not finite.

    Examples
    --------
    >>> from fairlot.model.valuations import Additive
    >>> economy = QuasilinearEconomy([Additive([3, 1]), Additive([2, 2])])
    >>> lottery = BundleLottery([1], [[{0}, {1}]])
    >>> verify_kelso_crawford(economy, [2, 1], lottery).passed
    True
    >>> print(verify_kelso_crawford(economy, [1, 1], lottery).failed[0].witness)
    agent 1 may get {1}, worth 1 to her at these prices; {0, 1} is worth 2
    """
    n, n_goods = economy.n_agents, economy.n_goods
    multipliers = [1] * n if multipliers is None else multipliers
    for what, found, expected in (
        ("prices", len(prices), n_goods),
        ("multipliers", len(multipliers), n),
        ("bundles in each assignment", lottery.n_agents, n),
    ):
        if found != expected:
            msg = f"there are {found} {what}, expected {expected}"
            raise ValueError(msg)
    if not all(math.isfinite(x) for x in (*prices, *multipliers)):
        msg = "a price or multiplier is not finite"
        raise ValueError(msg)
    p = [_exact(price) for price in prices]
    scales = [_exact(scale) for scale in multipliers]
    budgets = None if economy.budgets is None else [_exact(b) for b in economy.budgets]
    unit = max(map(abs, p), default=Fraction(0)) or max(budgets or [Fraction(1)])
    terms = [
        (_exact(weight), [frozenset(bundle) & frozenset(range(n_goods)) for bundle in term])
        for weight, term in zip(lottery.weights, lottery.assignments, strict=True)
        if weight > 0
    ]

    def cost(bundle: frozenset[int]) -> Fraction:
        return sum((p[j] for j in bundle), Fraction(0))

    spent = [sum((w * cost(term[i]) for w, term in terms), Fraction(0)) for i in range(n)]
    findings = (
        _worst((-price / unit, f"the price of good {j} is {price}") for j, price in enumerate(p)),
        _lottery(lottery),
        _assignments(lottery, n_goods),
        _worst(_left(terms, p, unit)),
        _worst(
            (max(scale - 1, Fraction(scale <= 0)), f"agent {i} has multiplier {scale}")
            for i, scale in enumerate(scales)
        ),
        _worst(
            _undemanded(u, i, p, scales[i], {term[i] for _, term in terms}, unit)
            for i, u in enumerate(economy.valuations)
        ),
        _worst(
            ((spent[i] - b) / b, f"agent {i} spends {spent[i]}, budget {b}")
            for i, b in enumerate(budgets or [])
        ),
        _worst(_unspent(scales, spent, budgets)),
    )
    checks = tuple(
        Check(name, told(residual), tol, witness if residual > 0 else "")
        for name, (residual, witness) in zip(KELSO_CRAWFORD, findings, strict=True)
    )
    return Certificate(KELSO_CRAWFORD, checks)


def _exact(given: Any) -> Fraction:
    return Fraction(given) if isinstance(given, int | Fraction) else Fraction(float(given))


def _worst(findings: Any) -> _Finding:
    return max(findings, key=lambda finding: finding[0], default=(Fraction(0), ""))


def _lottery(lottery: BundleLottery) -> _Finding:
    weights = [_exact(weight) for weight in lottery.weights]
    total = sum(weights, Fraction(0))
    findings = [(-weight, f"the weight of term {t} is {weight}") for t, weight in enumerate(weights)]
    return _worst([*findings, (abs(total - 1), f"the weights amount to {total}")])


def _assignments(lottery: BundleLottery, n_goods: int) -> _Finding:
    findings: list[_Finding] = []
    for t, term in enumerate(lottery.assignments):
        given = [j for bundle in term for j in bundle]
        for j in set(given):
            extra = given.count(j) - (0 <= j < n_goods)
            findings.append((Fraction(extra), f"term {t} gives good {j} {given.count(j)} times"))
    return _worst(findings)


def _left(
    terms: list[tuple[Fraction, list[frozenset[int]]]], p: list[Fraction], unit: Fraction
) -> list[_Finding]:
    found: list[_Finding] = []
    for j, price in enumerate(p):
        left = 1 - sum((w for w, term in terms if any(j in bundle for bundle in term)), Fraction(0))
        text = f"good {j} has price {price}, but {left} of it is left on average"
        found.append((max(price, Fraction(0)) * max(left, Fraction(0)) / unit, text))
    return found


def _undemanded(
    u: Valuation, agent: int, p: list[Fraction], scale: Fraction, bundles: set[frozenset[int]], unit: Fraction
) -> _Finding:
    def surplus(bundle: frozenset[int]) -> Fraction | float:
        value = u.value(bundle)
        if value == -math.inf:
            return -math.inf
        return scale * _exact(value) - sum((p[j] for j in bundle), Fraction(0))

    if scale <= 0:
        return Fraction(0), ""  # told under ``multipliers``
    if u.n_goods <= MOST_LISTED:
        candidates = [
            frozenset(j for j in range(u.n_goods) if mask >> j & 1) for mask in range(1 << u.n_goods)
        ]
    else:
        candidates = [u.demand(p, 1 / scale)]
    best = max(candidates, key=surplus)
    mine = min(bundles, key=surplus)
    gap = (surplus(best) - surplus(mine)) / unit
    text = (
        f"agent {agent} may get {_told(mine)}, worth {surplus(mine)} to her at these prices; "
        f"{_told(best)} is worth {surplus(best)}"
    )
    return gap, text


def _unspent(scales: list[Fraction], spent: list[Fraction], budgets: list[Fraction] | None) -> list[_Finding]:
    if budgets is None:
        # With plenty of money nobody can be short of it.
        return [
            (1 - scale, f"agent {i} has multiplier {scale} and no budget") for i, scale in enumerate(scales)
        ]
    return [
        ((1 - scale) * (b - cost) / b, f"agent {i} has multiplier {scale}, spends {cost} of {b}")
        for i, (scale, cost, b) in enumerate(zip(scales, spent, budgets, strict=True))
    ]


def _told(bundle: frozenset[int]) -> str:
    return "{" + ", ".join(map(str, sorted(bundle))) + "}"
