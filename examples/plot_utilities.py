r"""
Utilities across mechanisms
===========================

The distribution of expected utility over agents. A line further to the right is better for
everybody; where two cross, one mechanism is kinder to those who get least.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(60, 12, seed=3)
names = ["equilibrium", "serial-dictatorship", "probabilistic-serial", "utilitarian"]
comparison = fl.compare_mechanisms(market, names, n_draws=20)
plot.plot_utilities(comparison)
