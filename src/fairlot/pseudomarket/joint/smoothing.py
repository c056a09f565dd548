r"""Non-interior smoothing Newton: all products stay exact, and no step is cut at the boundary.

Every pair of complementary variables is kept on its hyperbola :math:`X Z = \mu m`. A step moves
:math:`w = \kappa X - Z` linearly, for which any value is as good as any other, and goes back:

.. math:: \max(\kappa X, Z) = \tfrac12 \Big( |w| + \sqrt{w^2 + 4 \kappa \mu m} \Big),

and the smaller of the two from the product. Only the linear equations are left to be solved; their norm
is the merit of a step. Ties and satiation, where plain interior steps jam, are passed at full length.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np

from fairlot.progress import Reporter
from fairlot.pseudomarket.joint.kernels import largest_ratio, step_and_project
from fairlot.pseudomarket.joint.newton import Linearization
from fairlot.pseudomarket.joint.system import JointSystem, Residual, State
from fairlot.pseudomarket.trace import pass_point

_KAPPA = 2.0
_STEPS = 25
"""Newton steps at one μ before it counts as out of reach."""
_SHORT = 0.3
"""A step below this length is short; more than ``_SHORT_STEPS`` of them say the same."""
_SHORT_STEPS = 6
_FIRST_STEPS = 80
HALVINGS = 8
_FIRST_HALVINGS = 20
_LEAST_RATIO, _STUCK_RATIO = 0.02, 0.95
_TRAIL = 6
"""Points kept, to go back to from beyond a fold."""
_SETTLING = 20
_ROUNDING = 1e-12


class Effort:
    """What a solution has cost so far, and until when it may go on.

    Parameters
    ----------
    deadline : float or None
        Value of ``time.monotonic`` at which to stop.
    reporter : Reporter
        Told the barrier weight as the residual.
    max_iter : int, optional
        Factorisations after which to stop.
    """

    def __init__(self, deadline: float | None, reporter: Reporter, max_iter: int | None = None) -> None:
        self.deadline = np.inf if deadline is None else deadline
        self.reporter = reporter
        self.most = np.inf if max_iter is None else max_iter
        self.factorisations = 0

    @property
    def spent(self) -> bool:
        """Whether the time, or the number of factorisations, is up; nothing more is factored then."""
        return self.factorisations >= self.most or time.monotonic() >= self.deadline

    @property
    def why(self) -> str:
        """Say which of the two is up."""
        return "no factorisations are left" if self.factorisations >= self.most else "time is up"

    def linearize(self, system: JointSystem, state: State) -> Linearization:
        """Factor, and count it."""
        self.factorisations += 1
        return Linearization(system, state)


@dataclass(frozen=True, eq=False)
class Centre:
    """A state close to the path, what is left of the way to it, and the path's direction there.

    Parameters
    ----------
    state : State
        The state; its products are exact.
    mu : float
        Barrier weight.
    correction : State
        Newton direction to the path, every variable moving by less than itself.
    tangent : State
        Direction of the path in log μ.
    orientation : int
        Sign of the determinant of the reduced matrix.
    steps : int
        Newton steps that led here.
    """

    state: State
    mu: float
    correction: State
    tangent: State
    orientation: int
    steps: int


Waypoint = tuple[State, float]
"""A state on the path, or close to it, and its μ."""


def path_direction(newton: Linearization, mu: float) -> State:
    """Compute the path's direction in log μ at a state with products at μ."""
    system = newton.system
    return newton.direction(mu * system.weight, system.lending_rate(mu))


def project(system: JointSystem, state: State, step: State, length: float, mu: float) -> State:
    """Take a step of some length and return to the products at μ."""
    primal, dual = step_and_project(
        state.primal, state.dual, step.primal, step.dual, length, system.weight, mu, _KAPPA
    )
    return State(primal, dual, state.free + length * step.free)


def relative_size(state: State, step: State) -> float:
    """Largest change of a variable relative to itself; infinite if the step is not finite."""
    return float(largest_ratio(step.primal, state.primal))


def line_search(
    system: JointSystem, state: State, residual: Residual, step: State, mu: float, halvings: int
) -> tuple[State, Residual, float] | None:
    """Halve a step until the merit falls; None if it does not."""
    before = system.merit(residual)
    length = 1.0
    for _ in range(halvings):
        trial = project(system, state, step, length, mu)
        trial_residual = system.residual(trial, mu)
        if falls(system.merit(trial_residual), before, length, mu):
            return trial, trial_residual, length
        length *= 0.5
    return None


def falls(merit: float, before: float, length: float, mu: float) -> bool:
    """Whether a step of some length makes enough of the progress that a linear model promises."""
    return merit < (1.0 - 0.1 * length) * before or merit < 1e-3 * mu


def centre(
    system: JointSystem,
    state: State,
    mu: float,
    effort: Effort,
    *,
    size: float = 1.0,
    patient: bool = False,
) -> Centre | None:
    """Approach the path at a fixed μ.

    Parameters
    ----------
    system, state, mu, effort
        Where, and at what cost.
    size : float
        How far, relative to itself, a variable may still have to move.
    patient : bool
        Whether the state is far away, so that many short steps are to be expected.

    Returns
    -------
    Centre or None
        None if the path was not reached.
    """
    max_steps, max_short, halvings = (
        (_FIRST_STEPS, _FIRST_STEPS, _FIRST_HALVINGS) if patient else (_STEPS, _SHORT_STEPS, HALVINGS)
    )
    nothing = np.zeros_like(system.weight)
    residual = system.residual(state, mu)
    short = 0
    for steps in range(max_steps + 1):
        if effort.spent:
            return None
        newton = effort.linearize(system, state)
        correction = newton.direction(nothing, residual)
        move = relative_size(state, correction)
        if move < size:
            tangent = path_direction(newton, mu)
            return Centre(state, mu, correction, tangent, newton.orientation(), steps)
        if not np.isfinite(move):
            return None
        found = line_search(system, state, residual, correction, mu, halvings)
        if found is None:
            return None
        state, residual, length = found
        short += length < _SHORT
        if short > max_short:
            return None
    return None


def descend(system: JointSystem, start: Centre, mu_stop: float, effort: Effort) -> list[Waypoint]:
    """Follow the path down as long as it goes down.

    Returns
    -------
    list of Waypoint
        The last few points, in order: the last at ``mu_stop`` unless the path could not be followed or
        the time was up. Close to a fold the last points may have overshot it.
    """
    here, ratio = start, 0.3
    trail = [(here.state, here.mu)]
    pass_point(effort.reporter, here.mu, system.row_prices(here.state))
    while here.mu > mu_stop and not effort.spent:
        mu = max(ratio * here.mu, mu_stop)
        step = here.correction.plus(here.tangent, mu / here.mu - 1.0)
        there = centre(system, project(system, here.state, step, 1.0, mu), mu, effort)
        if there is None:
            ratio = ratio**0.4
            if ratio > _STUCK_RATIO:
                break
            continue
        here = there
        trail = [*trail[1 - _TRAIL :], (here.state, here.mu)]
        pace = 2.0 if here.steps <= 2 else 1.2 if here.steps <= 4 else 0.8
        ratio = max(ratio**pace, _LEAST_RATIO)
        pass_point(effort.reporter, mu, system.row_prices(here.state))
    return trail


def settle(system: JointSystem, state: State, mu: float, effort: Effort) -> tuple[State, float]:
    """Correct at a fixed μ down to rounding; return the state with the smallest merit, and that merit."""
    nothing = np.zeros_like(system.weight)
    residual = system.residual(state, mu)
    best, least = state, system.merit(residual)
    for _ in range(_SETTLING):
        if effort.spent:
            break
        correction = effort.linearize(system, state).direction(nothing, residual)
        state = project(system, state, correction, 1.0, mu)
        residual = system.residual(state, mu)
        merit = system.merit(residual)
        if merit < least:
            best, least = state, merit
        if merit < _ROUNDING or not np.isfinite(merit):
            break
    return best, least
