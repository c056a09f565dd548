r"""Around folds: the joint path by pseudo-arclength, with the projection of the smoothing Newton method.

Where the path turns back in μ, μ becomes one of the unknowns: with the path's direction
:math:`(b, 1)` in (variables, log μ), a step of length h along it is followed by Newton steps
:math:`a + \ell b` that are orthogonal to it,

.. math:: \ell = - \frac{\langle b, a \rangle}{\langle b, b \rangle + 1},

in a metric that counts relative changes of those variables that move faster than μ does: close to a fold
a handful of pairs move and everything else, prices included, stands still. The sign of the determinant of
the reduced matrix says which way along the curve is forward.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.pseudomarket.joint.smoothing import (
    HALVINGS,
    Centre,
    Effort,
    falls,
)
from fairlot.pseudomarket.joint.system import JointSystem, State
from fairlot.pseudomarket.trace import pass_point

_FIRST_LENGTH, _LONGEST, _SHORTEST = 0.3, 3.0, 1e-5
_STEPS = 8
_MOST_POINTS = 500
_CLOSE = 0.05
"""Largest relative correction, of any variable, that a point of the path may still need."""
_FAST = 2.0
"""Relative change per log μ from which a variable counts; what vanishes with μ changes by 1."""
_LONGEST_LOG = 0.3
"""Largest change of log μ at once."""


@dataclass(frozen=True, eq=False)
class _Plane:
    """What is orthogonal to the path's direction at a point of it."""

    row: FloatArray
    forward: float
    size: float

    def share(self, correction: State, tangent: State) -> float:
        """How much of the tangent a correction needs to stay in the plane; at most one e-fold of μ."""
        along = float(self.row @ tangent.primal) + self.forward / self.size
        if abs(along) < 1e-12:
            return 0.0
        return float(np.clip(-float(self.row @ correction.primal) / along, -1.0, 1.0))


def _plane(here: Centre[State]) -> _Plane:
    relative = here.tangent.primal / here.state.primal
    fast = np.abs(relative) > _FAST
    size = float(np.sqrt(1.0 + relative[fast] @ relative[fast]))
    forward = -1.0 if here.orientation > 0 else 1.0
    row = np.where(fast, relative / here.state.primal, 0.0) * (forward / size)
    return _Plane(row, forward, size)


def turn(system: JointSystem, start: Centre[State], mu_stop: float, effort: Effort) -> Centre[State] | None:
    """Follow the path wherever it leads until it has come down to ``mu_stop``; None if it was lost.

    Parameters
    ----------
    system : JointSystem
        The market.
    start : Centre
        On the path, not beyond a fold.
    mu_stop : float
        Where to stop.
    effort : Effort
        What it costs.
    """
    here, length = start, _FIRST_LENGTH
    plane = _plane(here)
    pass_point(effort.reporter, here.mu, system.row_prices(here.state))
    for _ in range(_MOST_POINTS):
        if here.mu <= mu_stop:
            return here
        length = min(length, _LONGEST_LOG * plane.size)
        move = float(np.clip(length * plane.forward / plane.size, -_LONGEST_LOG, _LONGEST_LOG))
        mu = here.mu * np.exp(move)
        state = system.project(here.state, here.correction.plus(here.tangent, move), 1.0, mu)
        there = _correct(system, state, mu, plane, effort)
        if there is None:
            length *= 0.35
            if length < _SHORTEST or effort.spent:
                return None
            continue
        here, plane = there, _plane(there)
        length *= 2.0 if here.steps <= 1 else 1.4 if here.steps <= 3 else 1.0 if here.steps <= 5 else 0.7
        length = min(length, _LONGEST)
        pass_point(effort.reporter, here.mu, system.row_prices(here.state))
    return None


def _correct(
    system: JointSystem, state: State, mu: float, plane: _Plane, effort: Effort
) -> Centre[State] | None:
    residual = system.residual(state, mu)
    for steps in range(_STEPS + 1):
        if effort.spent:
            return None
        newton = effort.linearize(system, state)
        correction, tangent = newton.correction(residual), newton.tangent(mu)
        share = plane.share(correction, tangent)
        step = correction.plus(tangent, share)
        size = system.relative_size(state, step)
        if size < _CLOSE:
            return Centre(state, mu, step, tangent, newton.orientation(), steps)
        if not np.isfinite(size):
            return None
        before, length = system.merit(residual), 1.0
        for _ in range(HALVINGS):
            trial_mu = mu * np.exp(length * share)
            trial = system.project(state, step, length, trial_mu)
            residual = system.residual(trial, trial_mu)
            if falls(system.merit(residual), before, length, trial_mu):
                break
            length *= 0.5
        else:
            return None
        state, mu = trial, trial_mu
    return None
