r"""
Ranks across mechanisms
=======================

How many copies per agent are of her best good, of her two best, and so on: the higher a line, the
better. What a line gains on the left it may lose on the right, and ranks say nothing of how much
better a good is.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(60, 12, seed=3)
names = ["equilibrium", "serial-dictatorship", "probabilistic-serial", "utilitarian"]
comparison = fl.compare_mechanisms(market, names, n_draws=20)
plot.plot_ranks(comparison)
