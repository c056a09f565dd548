r"""
The support of a lottery
========================

The same lottery written out: the whole assignments that it chooses among, likeliest first, and what
their probabilities add up to. The draw never needs this list; it is for reading.
"""

import fairlot as fl
from fairlot import plot
from fairlot.testing import course_market

market = course_market(200, 24, seed=3)
terms = fl.decompose(fl.solve_equilibrium(market).lottery())
plot.plot_terms(terms)
