"""Quasilinear economies: efficient assignments, Walrasian prices, budgets, and the way to fiat money."""

from fairlot.pseudomarket.quasilinear.budgets import KelsoCrawfordEquilibrium, solve_kelso_crawford
from fairlot.pseudomarket.quasilinear.limit import LimitPath, follow_limit
from fairlot.pseudomarket.quasilinear.walrasian import WalrasianPrices, walrasian_prices

__all__ = [
    "KelsoCrawfordEquilibrium",
    "LimitPath",
    "WalrasianPrices",
    "follow_limit",
    "solve_kelso_crawford",
    "walrasian_prices",
]
