r"""
Savings as the organisation grows
=================================

The best mixture of menus for a large market, with every agent and task N times: the mean saving per
copy, its 95% band, and the smallest draw. All of it tends to the saving of the large market, about
as 1/√N.
"""

import numpy as np

import fairlot as fl
from fairlot import plot
from fairlot.reallocation.large_market.replicas import study_replicas

minutes = np.array([[30, 50], [55, 28], [42, 47], [36, 33]], dtype=float)
cases = np.array([[12, 10], [9, 12], [10, 9], [11, 11]], dtype=float)
beliefs = fl.Beliefs.uniform([0.5, 0.5], [1.5, 1.5])
problem = fl.ReallocationProblem.from_arrays(cases, minutes, beliefs)
design = fl.design_menus(problem, draws=50, tol=0.02)
study = study_replicas(design.mechanism, [1, 4, 16, 64], draws=50)
plot.plot_replicas(study)
