r"""
Supply, demand and price, good by good
======================================

For every good, dearest first: the copies there are (outline), those given (filled), and those that
people would take if everything were free (dash). What has a price is given away entirely.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(200, 24, seed=3, ratio=1.4)
equilibrium = fl.solve_equilibrium(market)
plot.plot_supply(equilibrium)
