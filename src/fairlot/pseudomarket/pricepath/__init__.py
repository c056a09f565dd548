"""Road A: a path of smoothed equilibria, followed in price space."""

from fairlot.pseudomarket.pricepath.solve import solve_price_path

__all__ = ["solve_price_path"]
