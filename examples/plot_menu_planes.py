r"""
A menu in the plane of every two tasks
======================================

Three tasks make three planes. A line that is short in one plane moves a third task instead.
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
plot.plot_menu_planes(problem, design.menus, agent)
