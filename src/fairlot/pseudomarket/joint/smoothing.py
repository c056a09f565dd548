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
from typing import Generic, Protocol, TypeVar

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.progress import Reporter
from fairlot.pseudomarket.trace import pass_point

_STEPS = 25
"""Newton steps at one μ before it counts as out of reach."""
_SHORT = 0.3
"""A step below this length is short; more than ``_SHORT_STEPS`` of them say the same."""
_SHORT_STEPS = 6
_FIRST_STEPS = 80
HALVINGS = 8
_FIRST_HALVINGS = 20
_LEAST_RATIO, _STUCK_RATIO = 0.02, 0.95
TRAIL = 6
"""Points kept, to go back to from beyond a fold."""
_SETTLING = 20
_ROUNDING = 1e-12


class Moved(Protocol):
    """A state or a direction, here or in pieces elsewhere."""

    def plus(self: M, other: M, length: float) -> M:
        """Add a multiple of another direction."""


M = TypeVar("M", bound=Moved)
R = TypeVar("R")
M_co = TypeVar("M_co", bound=Moved, covariant=True)
R_contra = TypeVar("R_contra", contravariant=True)


class Newton(Protocol[M_co, R_contra]):
    """The linearised system at a state."""

    def correction(self, residual: R_contra) -> M_co:
        """Return the Newton direction that keeps all products."""

    def tangent(self, mu: float) -> M_co:
        """Return the path's direction in log μ."""

    def orientation(self) -> int:
        """Sign of the determinant of the reduced matrix."""


class PathSystem(Protocol[M, R]):
    """What has a joint path: :class:`~fairlot.pseudomarket.joint.system.JointSystem`, or one in pieces."""

    def residual(self, state: M, mu: float) -> R:
        """Evaluate the linear equations at a state."""

    def merit(self, residual: R) -> float:
        """Norm of a residual."""

    def linearize(self, state: M) -> Newton[M, R]:
        """Factor the reduced matrix at a state."""

    def project(self, state: M, step: M, length: float, mu: float) -> M:
        """Take a step of some length and return to the products at μ."""

    def mend(self, state: M, residual: R, mu: float) -> M | None:
        """Bring agents back whom a step threw far off; None if nobody is moved."""

    def relative_size(self, state: M, step: M) -> float:
        """Largest change of a variable relative to itself."""

    def row_prices(self, state: M) -> FloatArray:
        """Prices of the supply rows."""


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

    def linearize(self, system: PathSystem[M, R], state: M) -> Newton[M, R]:
        """Factor, and count it."""
        self.factorisations += 1
        return system.linearize(state)

    def arrive(self, system: PathSystem[M, R], here: Centre[M]) -> None:
        """Take note of a point of the path."""
        pass_point(self.reporter, here.mu, system.row_prices(here.state))


@dataclass(frozen=True, eq=False)
class Centre(Generic[M]):
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

    state: M
    mu: float
    correction: M
    tangent: M
    orientation: int
    steps: int


Waypoint = tuple[M, float]
"""A state on the path, or close to it, and its μ."""


def line_search(
    system: PathSystem[M, R], state: M, residual: R, step: M, mu: float, halvings: int
) -> tuple[M, R, float] | None:
    """Halve a step until the merit falls; None if it does not."""
    before = system.merit(residual)
    length = 1.0
    for _ in range(halvings):
        trial = system.project(state, step, length, mu)
        trial_residual = system.residual(trial, mu)
        if falls(system.merit(trial_residual), before, length, mu):
            return trial, trial_residual, length
        mended = system.mend(trial, trial_residual, mu)
        if mended is not None:
            trial_residual = system.residual(mended, mu)
            if falls(system.merit(trial_residual), before, length, mu):
                return mended, trial_residual, length
        length *= 0.5
    return None


def falls(merit: float, before: float, length: float, mu: float) -> bool:
    """Whether a step of some length makes enough of the progress that a linear model promises."""
    return merit < (1.0 - 0.1 * length) * before or merit < 1e-3 * mu


def centre(
    system: PathSystem[M, R],
    state: M,
    mu: float,
    effort: Effort,
    *,
    size: float = 1.0,
    patient: bool = False,
) -> Centre[M] | None:
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
    residual = system.residual(state, mu)
    mended = system.mend(state, residual, mu)
    if mended is not None:
        state, residual = mended, system.residual(mended, mu)
    short = 0
    for steps in range(max_steps + 1):
        if effort.spent:
            return None
        newton = effort.linearize(system, state)
        correction = newton.correction(residual)
        move = system.relative_size(state, correction)
        if move < size:
            tangent = newton.tangent(mu)
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


def descend(
    system: PathSystem[M, R], start: Centre[M], mu_stop: float, effort: Effort, kept: int = TRAIL
) -> list[Waypoint[M]]:
    """Follow the path down as long as it goes down.

    Parameters
    ----------
    system, start, mu_stop, effort
        Where from, where to, and at what cost.
    kept : int
        Points to return at most.

    Returns
    -------
    list of Waypoint
        The last few points, in order: the last at ``mu_stop`` unless the path could not be followed or
        the time was up. Close to a fold the last points may have overshot it.
    """
    here, ratio = start, 0.3
    trail = [(here.state, here.mu)]
    effort.arrive(system, here)
    while here.mu > mu_stop and not effort.spent:
        mu = max(ratio * here.mu, mu_stop)
        step = here.correction.plus(here.tangent, mu / here.mu - 1.0)
        there = centre(system, system.project(here.state, step, 1.0, mu), mu, effort)
        if there is None:
            ratio = ratio**0.4
            if ratio > _STUCK_RATIO:
                break
            continue
        here = there
        trail = [*trail[1 - kept :], (here.state, here.mu)]
        pace = 2.0 if here.steps <= 2 else 1.2 if here.steps <= 4 else 0.8
        ratio = max(ratio**pace, _LEAST_RATIO)
        effort.arrive(system, here)
    return trail


def settle(system: PathSystem[M, R], state: M, mu: float, effort: Effort) -> tuple[M, float]:
    """Correct at a fixed μ down to rounding; return the state with the smallest merit, and that merit."""
    residual = system.residual(state, mu)
    best, least = state, system.merit(residual)
    for _ in range(_SETTLING):
        if effort.spent:
            break
        correction = effort.linearize(system, state).correction(residual)
        state = system.project(state, correction, 1.0, mu)
        residual = system.residual(state, mu)
        merit = system.merit(residual)
        if merit < least:
            best, least = state, merit
        if merit < _ROUNDING or not np.isfinite(merit):
            break
    return best, least
