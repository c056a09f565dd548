"""From an earlier equilibrium to that of a market that differs a little, pivot by pivot."""

from fairlot.pseudomarket.pivoting.path import shift_equilibrium

__all__ = ["shift_equilibrium"]
