r"""
From money of value to fiat money
=================================

Agents with budgets value money for its own sake. Let it be worth ever less beside the goods, to the
right: prices settle at those of a pseudo-market, where money is worth nothing outside.
"""

import fairlot as fl
from fairlot import plot

valuations = [fl.UnitDemand([6, 3, 1]), fl.UnitDemand([6, 4, 1]), fl.UnitDemand([6, 2, 2])]
path = fl.follow_limit(fl.FiatEconomy(valuations, budgets=1))
plot.plot_limit(path)
