r"""From money of value to fiat money: :math:`\mathcal E_n = \{(n u_i, b_i)\}` as n grows.

The proof of Theorem 1 pretends that agents value money, takes an equilibrium :math:`(p^n, \alpha^n)` of each
constrained Kelso–Crawford economy :math:`\mathcal E_n`, and finds that limits of subsequences are strong
equilibria of the pseudo-market. Here that passage is followed and laid out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np

from fairlot.certificate import Certificate, Status
from fairlot.errors import InvalidProblemError, Issue, NotSupportedError
from fairlot.model.economies import FiatEconomy, QuasilinearEconomy
from fairlot.model.hierarchy import FloatArray
from fairlot.model.valuations.expressions import Number, finite
from fairlot.model.valuations.operations import Scaling
from fairlot.progress import Reporter
from fairlot.pseudomarket.quasilinear.budgets import KelsoCrawfordEquilibrium, _along
from fairlot.verify.economies import verify_walrasian

_DOUBLINGS = 12


@dataclass(frozen=True)
class LimitPath:
    r"""Equilibria of :math:`\mathcal E_n` along growing n.

    Parameters
    ----------
    economy : FiatEconomy
        The pseudo-market they lead to.
    scales : tuple of numbers
        n, growing.
    equilibria : tuple of KelsoCrawfordEquilibrium
        One per n.
    certificate : Certificate
        Of the last one's prices and lottery as a strong equilibrium of the pseudo-market.
    """

    economy: FiatEconomy
    scales: tuple[Number, ...]
    equilibria: tuple[KelsoCrawfordEquilibrium, ...]
    certificate: Certificate

    @property
    def status(self) -> Status:
        """Whether the end of the path is certified as a strong equilibrium."""
        return Status.CERTIFIED if self.certificate.passed else Status.UNCERTIFIED

    def columns(self) -> dict[str, FloatArray]:
        r"""Return the path as columns for a plot or a data frame, NaN where no equilibrium was found.

        Returns
        -------
        dict
            ``n``; ``price j``; ``lambda i``, the multiplier :math:`\lambda_i^n \in (0, 1]`, which tends to 0
            for agents short of money; ``n lambda i``, utility weights :math:`n \lambda_i^n`, which tend to
            those of the pseudo-market; ``utility i``, expected :math:`u_i`.
        """
        n = np.array([float(scale) for scale in self.scales])
        found = {"n": n}
        nan = (np.nan,)
        for j in range(self.economy.n_goods):
            found[f"price {j}"] = np.array(
                [float((e.prices or nan * self.economy.n_goods)[j]) for e in self.equilibria]
            )
        n_agents = self.economy.n_agents
        for i in range(n_agents):
            found[f"lambda {i}"] = np.array(
                [float((e.multipliers or nan * n_agents)[i]) for e in self.equilibria]
            )
        for i in range(n_agents):
            found[f"n lambda {i}"] = n * found[f"lambda {i}"]
        for i in range(n_agents):
            scaled = np.array([float((e.utilities or nan * n_agents)[i]) for e in self.equilibria])
            found[f"utility {i}"] = scaled / n
        return found


def follow_limit(
    economy: FiatEconomy,
    scales: Sequence[Any] | None = None,
    *,
    tol: float = 1e-9,
    time_limit: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> LimitPath:
    r"""Follow equilibria of :math:`\mathcal E_n = \{(n u_i, b_i)\}` towards fiat money.

    Each economy is solved from near the equilibrium of the one before. For n large enough nothing changes any
    more but :math:`\lambda_i^n`: the prices are then those of a strong equilibrium.

    Parameters
    ----------
    economy : FiatEconomy
        The pseudo-market, without limits.
    scales : sequence of numbers, optional
        n, positive and growing; default powers of two times the median :math:`b_i / \max u_i`.
    tol : float
        Largest residual of each equilibrium.
    time_limit : float, optional
        Seconds per equilibrium.
    seed, reporter
        As in :func:`solve_kelso_crawford`.

    Raises
    ------
    InvalidProblemError
        If the scales are not positive and growing.
    NotSupportedError
        If the economy has limits.

    Examples
    --------
    >>> from fairlot.model.valuations import UnitDemand
    >>> path = follow_limit(FiatEconomy([UnitDemand([6])] * 2, budgets=1), [0.1, 1, 10])
    >>> path.status, path.columns()["price 0"].round(6).tolist()
    (<Status.CERTIFIED: 'certified'>, [0.6, 2.0, 2.0])
    """
    if economy.limits:
        msg = "following an economy with aggregate limits; give them to one more agent"
        raise NotSupportedError(msg)
    given = _scales(economy) if scales is None else [finite(n, "scale") for n in scales]
    if not given or given[0] <= 0 or any(b <= a for a, b in pairwise(given)):
        raise InvalidProblemError([Issue("scales", found=str(given), expected="positive numbers that grow")])
    economies = [
        QuasilinearEconomy(tuple(Scaling(u, n) for u in economy.valuations), economy.budgets) for n in given
    ]
    equilibria = tuple(_along(economies, tol=tol, time_limit=time_limit, seed=seed, reporter=reporter))
    last = equilibria[-1]
    if last.prices is None or last.lottery is None:
        certificate = last.certificate
    else:
        exact = tol if not last.stats.parameters["exact"] else 0.0
        certificate = verify_walrasian(economy, last.prices, last.lottery, tol=exact)
    return LimitPath(economy, tuple(given), equilibria, certificate)


def _scales(economy: FiatEconomy) -> list[Number]:
    tops = [Fraction(max(u.table())) for u in economy.valuations]
    reach = sorted(Fraction(b) / top for b, top in zip(economy.budgets, tops, strict=True) if top > 0)
    first = reach[(len(reach) - 1) // 2] if reach else Fraction(1)
    return [first * 2**k for k in range(_DOUBLINGS)]
