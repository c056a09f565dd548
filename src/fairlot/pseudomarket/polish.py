"""From a point near an equilibrium to one at rounding, on the active set that it shows.

The equations of an active set, and how they are solved: :mod:`~fairlot.pseudomarket.active`.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairlot.pseudomarket.active import SOLVED, ActiveSystem, Values
from fairlot.pseudomarket.compiled import CompiledMarket, Point

_CAREFUL = 1_200
"""Most prices, agents and nodes for which least squares are tried."""
WILD = 0.1
"""What equations miss when the active set has nothing to do with an equilibrium."""
ROUNDS = 8
NEAR = 1e-5
"""Residual above which a result says nothing, whatever the point's own."""
_ATTEMPTS = ((1e-4, False), (1.0, False), (1e-4, True))
"""How much slacks of nodes and rows count against their duals, and whether to care for degeneracy.

What is wrongly taken to bind shows it by a sign, what is wrongly taken to be slack leaves those who want it
without what stops them. Only where an agent has fewer choices than equations, nothing shows."""


def polish(compiled: CompiledMarket, point: Point) -> Point:
    """Solve the equations of the active set that a point shows, repairing signs.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    point : Point
        Near an equilibrium. Of satiated agents ``alpha`` may be 0 or contain the price of money.

    Returns
    -------
    Point
        With a smaller :func:`residual`, its ``alpha`` of satiated agents the price of money, ``finished``
        if only rounding is left; or the point itself, if none was found.
    """
    if compiled.n_pairs == 0:
        return point
    system = ActiveSystem(compiled)
    near = system.values(point)
    least = system.residual(near)
    if least <= SOLVED:
        return point
    best, least = None, min(least, NEAR)
    with np.errstate(over="ignore", invalid="ignore"):  # a diverging iteration ends, it is no error
        for lean, careful in _ATTEMPTS:
            found, reached = _solve_active(system, near.copy(), lean, careful)
            if reached < least:
                best, least = found, reached
            if least <= SOLVED:
                break
    if best is None:
        return point
    finished = point.finished or least <= SOLVED
    return replace(point, x=best.x, q=best.q, alpha=best.alpha, y=best.y, finished=finished)


def _solve_active(system: ActiveSystem, now: Values, lean: float, careful: bool) -> tuple[Values, float]:
    """Solve active sets, one after another, from a point; return the best values met and their residual."""
    best, least = now, np.inf
    active = system.classify(now, lean)
    system.settle(now, active)
    for _ in range(ROUNDS):
        before = now.copy()
        missing = system.newton(now, active, careful=False)
        if careful and SOLVED < missing <= WILD and active.inner <= _CAREFUL:
            now = before
            missing = system.newton(now, active, careful=True)
        if not missing <= WILD:
            break
        reached = system.residual(system.cleaned(now))
        if reached < least:
            best, least = system.cleaned(now), reached
        if not system.repair(now, active):
            break
    return best, least


def residual(compiled: CompiledMarket, point: Point) -> float:
    """Compute the largest violation of the complementarity system, as minima of what must vanish.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    point : Point
        As for :func:`polish`.

    Returns
    -------
    float
        In scaled units; reduced costs count in money where an agent's money value is below 1.
    """
    system = ActiveSystem(compiled)
    return system.residual(system.values(point))
