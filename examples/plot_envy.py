r"""
Who would envy whom
===================

Row by row: what an agent would get out of every other's lottery, relative to her own. Nobody envies
anybody of the same budget, so nothing is above 1 here. With unequal budgets, the poor may envy the
rich.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(24, 12, seed=3)
equilibrium = fl.solve_equilibrium(market)
plot.plot_envy(equilibrium)

# %%
# The same market, where some have more money than others: now the upper right may be above 1.

market = course_market(24, 12, seed=3, unequal_budgets=True)
plot.plot_envy(fl.solve_equilibrium(market))
