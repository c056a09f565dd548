"""Assertions that say what is wrong."""

from __future__ import annotations

from fairlot.model.hierarchy import FloatArray
from fairlot.model.market import PseudoMarket
from fairlot.model.shares import RandomAllocation
from fairlot.verify.equilibrium import verify_equilibrium


def assert_equilibrium(
    market: PseudoMarket,
    prices: FloatArray,
    shares: RandomAllocation,
    *,
    row_prices: FloatArray | None = None,
    tol: float = 1e-9,
) -> None:
    """Raise unless prices and shares are a strong equilibrium, telling every check that fails.

    Parameters
    ----------
    market, prices, shares, row_prices, tol
        As in :func:`~fairlot.verify.equilibrium.verify_equilibrium`.

    Raises
    ------
    AssertionError
        With name, residual and witness of every failed check.
    """
    certificate = verify_equilibrium(market, prices, shares, row_prices=row_prices, tol=tol)
    if not certificate.passed:
        told = [f"{c.name}: residual {c.residual:.3g} > {tol:g}: {c.witness}" for c in certificate.failed]
        raise AssertionError("not a strong equilibrium\n" + "\n".join(told))
