r"""Independent verification of equilibria of small economies, exact where the claim is.

Prices :math:`p \ge 0` and a random allocation :math:`\alpha \in \Delta(\Omega)` are a **Walrasian
equilibrium with randomization** of :math:`\{(u_i, b_i)\}` if every assignment of the lottery is feasible,
what is left over has price 0, and every marginal :math:`\alpha_i` is optimal: nothing that agent i can
afford on average gives a higher expected utility. It is **strong** if each random consumption costs least
among the optimal ones.

Limits are priced like goods: the full price of good j is :math:`p_j = q_j + \sum_{k \ni j} \rho_k`.

All arithmetic is in fractions. Floating-point claims are read as the fractions they are, and judged with a
tolerance; exact ones with tolerance 0.

====================  ====================================================================
check                 residual
====================  ====================================================================
``prices``            negative part of a price (also of :math:`q_j`), over the mean budget
``lottery``           negative part of a weight, distance of their sum from 1
``assignments``       goods given that are unknown, given twice, or above a limit
``clearing``          price over the mean budget, times the probability of being left over
``over-spending``     expected cost above the budget, over the budget
``utility gap``       what a better affordable random consumption gains, over the range of u
``cheapness``         (strong) cost above the least cost of the optimum, over the budget
====================  ====================================================================

A random consumption passes the last two exactly if every bundle it may give is in the agent's demand
:math:`D_i(p)` at her value of money and she spends all of it unless satiated: a lottery with the right
expected shares of goods but wrong bundles fails.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any

from fairlot.certificate import Certificate, Check
from fairlot.model.bundle_lotteries import BundleLottery
from fairlot.model.economies import FiatEconomy
from fairlot.verify.bundle_demand import BestAffordable, best_affordable_bundles

WALRASIAN = ("prices", "lottery", "assignments", "clearing", "over-spending", "utility gap")
"""Checks of a Walrasian equilibrium with randomization."""
STRONG = (*WALRASIAN, "cheapness")
"""Checks of a strong equilibrium."""

_Finding = tuple[Fraction | float, str]


def verify_walrasian(
    economy: FiatEconomy,
    prices: Sequence[Any],
    lottery: BundleLottery,
    *,
    limit_prices: Sequence[Any] = (),
    strong: bool = True,
    tol: float = 0.0,
) -> Certificate:
    """Check every condition of a (strong) Walrasian equilibrium with randomization.

    Parameters
    ----------
    economy : FiatEconomy
        The economy.
    prices : sequence of numbers, shape (n_goods,)
        Full prices that agents pay.
    lottery : BundleLottery
        The random allocation.
    limit_prices : sequence of numbers, shape (n_limits,), optional
        The part of the prices that is due to each aggregate limit; none by default.
    strong : bool
        Whether random consumptions must be cheapest among the optimal ones.
    tol : float
        Largest residual that passes; 0 for exact claims.

    Returns
    -------
    Certificate
        Of :data:`STRONG` or :data:`WALRASIAN`. Where a residual is positive the witness says whose, and
        which bundle.

    Raises
    ------
    ValueError
        If the numbers of prices or agents do not fit the economy, or a number is not finite.

    References
    ----------
    F. Gul, W. Pesendorfer and M. Zhang, "Efficient Allocation of Indivisible Goods in Pseudomarkets with
    Constraints": Walrasian equilibrium with randomization, strong equilibrium.

    Examples
    --------
    >>> from fairlot.model.valuations import Table
    >>> economy = FiatEconomy([Table([0, 10, 8, 11]), *2 * [Table([0, 10, 2, 11])]], budgets=1)
    >>> lottery = BundleLottery([0.5, 0.5], [[{1}, {0}, {}], [{1}, {}, {0}]])
    >>> verify_walrasian(economy, [2, 1], lottery).worst
    0.0
    >>> verify_walrasian(economy, [2, 1.5], lottery)["over-spending"].witness
    'agent 0 spends 3/2, budget 1'
    """
    claim = _claim(economy, prices, lottery, limit_prices)
    names = STRONG if strong else WALRASIAN
    checks = []
    for name in names:
        residual, witness = _CONDITIONS[name](claim)
        checks.append(Check(name, told(residual), tol, witness if residual > 0 else ""))
    return Certificate(names, tuple(checks))


def told(residual: Fraction | float) -> float:
    """Round a residual to a float that is 0 only if the residual is."""
    rounded = float(residual)
    return sys.float_info.min if rounded == 0 and residual > 0 else max(0.0, rounded)


def _claim(
    economy: FiatEconomy, prices: Sequence[Any], lottery: BundleLottery, limit_prices: Sequence[Any]
) -> _Claim:
    limit_prices = limit_prices if len(limit_prices) else [0] * len(economy.limits)
    for what, found, expected in (
        ("prices", len(prices), economy.n_goods),
        ("limit_prices", len(limit_prices), len(economy.limits)),
        ("bundles in each assignment", lottery.n_agents, economy.n_agents),
    ):
        if found != expected:
            msg = f"there are {found} {what}, expected {expected}"
            raise ValueError(msg)
    try:
        full = tuple(map(_exact, prices))
        shadow = tuple(map(_exact, limit_prices))
    except OverflowError as error:
        msg = f"a price is not finite: {error}"
        raise ValueError(msg) from None
    return _Claim(economy, full, shadow, lottery.exactly())


def _exact(given: Any) -> Fraction:
    return Fraction(given) if isinstance(given, int | Fraction) else Fraction(float(given))


@dataclass(frozen=True, eq=False)
class _Claim:
    """A claimed equilibrium, and what several checks need of it."""

    economy: FiatEconomy
    prices: tuple[Fraction, ...]
    limit_prices: tuple[Fraction, ...]
    lottery: BundleLottery

    @cached_property
    def budgets(self) -> tuple[Fraction, ...]:
        return tuple(Fraction(budget) for budget in self.economy.budgets)

    @cached_property
    def money(self) -> Fraction:
        return sum(self.budgets, Fraction(0)) / len(self.budgets)

    @cached_property
    def row_prices(self) -> tuple[Fraction, ...]:
        """The part of each good's price that no limit explains."""
        rest = list(self.prices)
        for limit, price in zip(self.economy.limits, self.limit_prices, strict=True):
            for j in limit.goods:
                rest[j] -= price
        return tuple(rest)

    @cached_property
    def terms(self) -> tuple[tuple[Fraction, tuple[frozenset[int], ...]], ...]:
        """The terms of positive weight, with goods that exist only."""
        goods = frozenset(range(self.economy.n_goods))
        return tuple(
            (Fraction(weight), tuple(frozenset(bundle) & goods for bundle in term))
            for weight, term in zip(self.lottery.weights, self.lottery.assignments, strict=True)
            if weight > 0
        )

    @cached_property
    def consumptions(self) -> tuple[dict[frozenset[int], Fraction], ...]:
        found: tuple[dict[frozenset[int], Fraction], ...] = tuple({} for _ in self.budgets)
        for weight, term in self.terms:
            for mine, bundle in zip(found, term, strict=True):
                mine[bundle] = mine.get(bundle, Fraction(0)) + weight
        return found

    def cost(self, bundle: frozenset[int]) -> Fraction:
        return sum((max(self.prices[j], Fraction(0)) for j in bundle), Fraction(0))

    @cached_property
    def spending(self) -> tuple[Fraction, ...]:
        return tuple(
            sum((weight * self.cost(bundle) for bundle, weight in mine.items()), Fraction(0))
            for mine in self.consumptions
        )

    @cached_property
    def best(self) -> tuple[BestAffordable, ...]:
        prices = [max(price, Fraction(0)) for price in self.prices]
        return tuple(
            best_affordable_bundles(u, prices, b)
            for u, b in zip(self.economy.valuations, self.budgets, strict=True)
        )

    def utility(self, agent: int) -> Fraction | None:
        """Compute expected utility; None if she may get a bundle outside her domain."""
        u = self.economy.valuations[agent]
        values = {bundle: u.value(bundle) for bundle in self.consumptions[agent]}
        if -float("inf") in values.values():
            return None
        mine = self.consumptions[agent]
        return sum((weight * Fraction(values[bundle]) for bundle, weight in mine.items()), Fraction(0))

    def undemanded(self, agent: int) -> str:
        """Tell of a bundle that she may get though it is not in her demand."""
        u, best = self.economy.valuations[agent], self.best[agent]
        for bundle in sorted(self.consumptions[agent], key=sorted):
            worth = u.value(bundle)
            if (
                worth == -float("inf")
                or Fraction(worth) - best.money_value * self.cost(bundle) < best.surplus
            ):
                return f"; {_told(bundle)} is not in her demand"
        return ""


def _told(bundle: frozenset[int]) -> str:
    return "{" + ", ".join(map(str, sorted(bundle))) + "}"


def _worst(findings: list[_Finding]) -> _Finding:
    return max(findings, key=lambda finding: finding[0], default=(Fraction(0), ""))


def _prices(claim: _Claim) -> _Finding:
    parts = [("price of good", j, price) for j, price in enumerate(claim.prices)]
    parts += [("price of limit", k, price) for k, price in enumerate(claim.limit_prices)]
    parts += [("price, without limits, of good", j, price) for j, price in enumerate(claim.row_prices)]
    return _worst([(-price / claim.money, f"{what} {k} is {price}") for what, k, price in parts])


def _lottery(claim: _Claim) -> _Finding:
    weights = [Fraction(weight) for weight in claim.lottery.weights]
    total = sum(weights, Fraction(0))
    findings: list[_Finding] = [(-w, f"the weight of term {t} is {w}") for t, w in enumerate(weights)]
    return _worst([*findings, (abs(total - 1), f"the weights amount to {total}")])


def _assignments(claim: _Claim) -> _Finding:
    findings: list[_Finding] = []
    n_goods = claim.economy.n_goods
    for t, term in enumerate(claim.lottery.assignments):
        given: dict[int, int] = {}
        for bundle in term:
            for j in bundle:
                given[j] = given.get(j, 0) + 1
        for j, copies in given.items():
            most = 1 if 0 <= j < n_goods else 0
            findings.append((Fraction(copies - most), f"term {t} gives good {j} {copies} times"))
        for k, limit in enumerate(claim.economy.limits):
            used = sum(given.get(j, 0) for j in limit.goods)
            most = limit.upper if limit.upper is not None else used
            findings.append(
                (Fraction(used - most), f"term {t} gives {used} goods of limit {k}, at most {most}")
            )
    return _worst(findings)


def _clearing(claim: _Claim) -> _Finding:
    left = [Fraction(1)] * claim.economy.n_goods
    spare = [Fraction(limit.upper or 0) for limit in claim.economy.limits]
    for weight, term in claim.terms:
        for bundle in term:
            for j in bundle:
                left[j] -= weight
            for k, limit in enumerate(claim.economy.limits):
                spare[k] -= weight * len(bundle & set(limit.goods))
    findings: list[_Finding] = []
    for what, shares, prices in (("good", left, claim.row_prices), ("limit", spare, claim.limit_prices)):
        for k, (share, price) in enumerate(zip(shares, prices, strict=True)):
            text = f"{what} {k} has price {price}, but {share} of it is left on average"
            findings.append((max(price, Fraction(0)) * max(share, Fraction(0)) / claim.money, text))
    return _worst(findings)


def _over_spending(claim: _Claim) -> _Finding:
    return _worst(
        [
            ((cost - budget) / budget, f"agent {i} spends {cost}, budget {budget}")
            for i, (cost, budget) in enumerate(zip(claim.spending, claim.budgets, strict=True))
        ]
    )


def _utility_gap(claim: _Claim) -> _Finding:
    findings: list[_Finding] = []
    for i, best in enumerate(claim.best):
        utility = claim.utility(i)
        if utility is None:
            findings.append((float("inf"), f"agent {i} may get a bundle outside her consumption set"))
        elif best.utility is None:
            text = f"agent {i} can afford no bundle of her consumption set: the cheapest costs {best.cost}"
            findings.append((float("inf"), text))
        else:
            unit = max(abs(best.utility), Fraction(1, 10**300))
            text = f"agent {i} gets {utility}, can afford {best.utility}{claim.undemanded(i)}"
            findings.append(((best.utility - utility) / unit, text))
    return _worst(findings)


def _cheapness(claim: _Claim) -> _Finding:
    findings: list[_Finding] = []
    for i, (best, cost, budget) in enumerate(zip(claim.best, claim.spending, claim.budgets, strict=True)):
        if best.utility is not None:
            text = f"agent {i} pays {cost}, could be as well off for {best.cost}{claim.undemanded(i)}"
            # An unsatiated agent's optimum costs her budget: what she lacks in utility is told above.
            findings.append(((cost - best.cost) / budget, text))
    return _worst(findings)


_CONDITIONS: dict[str, Callable[[_Claim], _Finding]] = {
    "prices": _prices,
    "lottery": _lottery,
    "assignments": _assignments,
    "clearing": _clearing,
    "over-spending": _over_spending,
    "utility gap": _utility_gap,
    "cheapness": _cheapness,
}
