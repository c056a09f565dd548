r"""
The path of the solver, with its folds
======================================

The solver follows a curve of smoothed equilibria as the barrier weight falls to 0, to the right.
Where the curve turns back there is a fold: a method that only ever lowered the weight would be lost
there.
"""

import numpy as np

import fairlot as fl
from fairlot import plot

rng = np.random.default_rng(1)
values = rng.integers(1, 8, size=(12, 12)).astype(float)
market = fl.PseudoMarket.from_arrays(values, capacities=1, quotas=[fl.Quota("one", max=1)])
recorder = fl.PathRecorder()
equilibrium = fl.solve_equilibrium(market, reporter=recorder)
plot.plot_path(recorder.legs[-1], market)
