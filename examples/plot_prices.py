r"""
Prices against popularity
=========================

Each dot is a good. To the right stand the goods that many would take if everything were free, per
copy there is; high up the dear ones. Left of the dotted line there is a copy for everybody who
would take one first; some of these have a price all the same, since people turn to them when the
others are dear.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(200, 24, seed=3, ratio=1.4)
equilibrium = fl.solve_equilibrium(market)
plot.plot_prices(equilibrium)
