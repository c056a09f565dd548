"""Road A: a path of smoothed equilibria, followed in price space."""

from fairlot.pseudomarket.pricepath.solve import solve_price_path
from fairlot.pseudomarket.pricepath.unit import wants_one_bound

__all__ = ["solve_price_path", "wants_one_bound"]
