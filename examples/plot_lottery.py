r"""
What is left to chance
======================

How many pairs of an agent and a good get their last copy by lottery, by its probability. The dashed
line is the variance of one such pair, the smallest that any lottery over whole copies can have.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(200, 24, seed=3)
lottery = fl.solve_equilibrium(market).lottery()
plot.plot_lottery(lottery)
