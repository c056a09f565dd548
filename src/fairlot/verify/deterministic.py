r"""Independent verification of a Walrasian equilibrium without lotteries.

Bundles :math:`(A_1, \dots, A_n)` and prices p are a **deterministic Walrasian equilibrium** if the bundles
are disjoint and use up H, :math:`p(A_i) \le b_i`, and :math:`u_i(A_i) \ge u_i(B)` for all B with
:math:`p(B) \le b_i`. Here agents cannot mix: what is just above the budget is out of reach.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any

from fairlot.certificate import Certificate, Check
from fairlot.model.economies import FiatEconomy
from fairlot.model.valuations.expressions import INFINITY, goods_in, mask_of
from fairlot.verify.economies import told

DETERMINISTIC = ("prices", "assignment", "over-spending", "optimality")
"""Checks of a deterministic equilibrium."""


def verify_deterministic(
    economy: FiatEconomy, prices: Sequence[Any], bundles: Sequence[Collection[int]]
) -> Certificate:
    """Check every condition of a deterministic Walrasian equilibrium, exactly.

    Parameters
    ----------
    economy : FiatEconomy
        Without limits, with few enough goods for all bundles to be listed.
    prices : sequence of numbers, shape (n_goods,)
        p.
    bundles : sequence of collections of int, shape (n_agents,)
        Who gets what.

    Returns
    -------
    Certificate
        Tolerance 0. Residuals are money over the budget; for ``assignment``, goods given other than once;
        for ``optimality``, what the best affordable bundle is worth more.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> economy = FiatEconomy([UnitDemand([3, 1]), UnitDemand([2, 1])], budgets=[2, 1])
    >>> verify_deterministic(economy, [2, 0], [[0], [1]]).passed
    True
    >>> verify_deterministic(economy, [1, 0], [[0], [1]])["optimality"].witness
    'agent 1 prefers (0,), which she can afford'
    """
    p = [Fraction(price) for price in prices]
    masks = [mask_of(bundle) for bundle in bundles]
    checks: list[tuple[Fraction, str]] = [
        max(
            ((-price, f"price of good {j} is {price}") for j, price in enumerate(p)),
            default=(Fraction(0), ""),
        )
    ]
    times = [sum(mask >> j & 1 for mask in masks) for j in range(economy.n_goods)]
    wrong = [f"good {j} is given {k} times" for j, k in enumerate(times) if k != 1]
    if len(masks) != economy.n_agents or any(mask >> economy.n_goods for mask in masks):
        wrong.append("bundles of other agents or goods than the economy's")
    checks.append((Fraction(len(wrong)), "; ".join(wrong)))
    over, better = [(Fraction(0), "")], [(Fraction(0), "")]
    for i, (u, b, mask) in enumerate(zip(economy.valuations, economy.budgets, masks, strict=False)):
        budget = Fraction(b)
        cost = sum((p[j] for j in goods_in(mask)), Fraction(0))
        over.append(((cost - budget) / budget, f"agent {i} pays {cost}, budget {budget}"))
        mine = u.table()[mask]
        spent = [Fraction(0)]
        for price in p:
            spent += [c + price for c in spent]
        for other, (value, c) in enumerate(zip(u.table(), spent, strict=True)):
            if c <= budget and value > mine:
                gain = Fraction(value) - Fraction(mine) if mine != -INFINITY else Fraction(10**300)
                better.append((gain, f"agent {i} prefers {goods_in(other)}, which she can afford"))
    checks += [max(over), max(better)]
    return Certificate(
        DETERMINISTIC,
        tuple(
            Check(name, told(residual), 0.0, witness if residual > 0 else "")
            for name, (residual, witness) in zip(DETERMINISTIC, checks, strict=True)
        ),
    )
