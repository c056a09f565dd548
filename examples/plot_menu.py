r"""
A menu, and who takes what
==========================

What an agent has (ring), and the exchanges on her menu as lines from there: she may pick one and is
moved to some point on it, or stays. A point is the lighter, the more of her possible types would
rather be there.
"""

import numpy as np

import fairlot as fl
from fairlot import plot

minutes = np.array([[30, 50, 40], [55, 28, 45], [42, 47, 25], [36, 33, 52]], dtype=float)
cases = np.array([[12, 10, 8], [9, 12, 9], [10, 9, 12], [11, 11, 8]], dtype=float)
beliefs = fl.Beliefs.uniform([0.5, 0.5, 0.5], [1.5, 1.5, 1.5])
problem = fl.ReallocationProblem.from_arrays(cases, minutes, beliefs)
design = fl.design_menus(problem, draws=50, tol=0.02)
agent = problem.agents[int(design.menus.ray_agents[0])]
plot.plot_menu(problem, design.menus, agent)
