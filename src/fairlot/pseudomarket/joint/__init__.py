"""The joint path in all variables, in budget-multiplier form."""

from fairlot.pseudomarket.joint.solve import solve_joint

__all__ = ["solve_joint"]
