r"""
Who gets how much of what
=========================

Expected copies as a map: agents down, goods across, the dearest on the left. Light cells are
certain, dark ones empty, and all between are decided by the lottery.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(40, 12, seed=3)
equilibrium = fl.solve_equilibrium(market)
plot.plot_shares(equilibrium)
