"""Down the joint path of a market with crossing rows, to an equilibrium in expected copies."""

from __future__ import annotations

import numpy as np

from fairlot.model.hierarchy import FloatArray
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint.arclength import turn
from fairlot.pseudomarket.joint.smoothing import Centre, Effort, Waypoint, centre, descend, settle
from fairlot.pseudomarket.joint.start import fair_copies, prices_of_money
from fairlot.pseudomarket.joint.system import State
from fairlot.pseudomarket.timetable.system import RowSystem
from fairlot.pseudomarket.trace import begin_path

_FIRST_MU = (1.0, 0.3, 3.0, 0.1, 10.0)
_LAST_MU = 1e-11
_GOOD_MU = 1e-8
"""Barrier weight from which on the path may be lost to rounding."""
_ON_PATH = 1e-2
_PAST_FOLD = 0.7


def follow_rows(
    compiled: CompiledMarket,
    *,
    epsilon: FloatArray | None = None,
    deadline: float | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Point:
    """Follow the joint path by smoothing Newton steps, around folds by arclength.

    Parameters
    ----------
    compiled : CompiledMarket
        From :func:`~fairlot.pseudomarket.timetable.compiled.compile_rows`.
    epsilon : FloatArray, shape (n_agents,), optional
        Price of money per agent.
    deadline : float, optional
        Value of ``time.monotonic`` at which to stop.
    seed : int
        0 weighs all pairs alike; any other number draws weights, and with them another path.
    reporter : Reporter, optional
        Told the barrier weight.

    Returns
    -------
    Point
        ``finished`` if the path was followed down to 1e-8; ``alpha`` contains the price of money.
    """
    effort = Effort(deadline, reporter or NullReporter())
    weight = None
    if seed:
        weight = np.exp(np.random.default_rng(seed).normal(size=compiled.n_pairs))
    system = RowSystem(compiled, prices_of_money(compiled) if epsilon is None else epsilon, weight)
    begin_path(effort.reporter, "equilibrium", compiled)
    # A diverging iteration ends by its size; it is no error.
    with np.errstate(all="ignore"):
        here = _begin(system, effort)
        if here is None:
            note = "time is up" if effort.spent else "no way to the path"
            rough = system.rough_state(1.0)
            return system.point(rough, finished=False, iterations=effort.factorisations, note=note)
        while True:
            trail = descend(system, here, _LAST_MU, effort)
            if trail[-1][1] <= _GOOD_MU or effort.spent:
                break
            there = _around(system, trail, effort)
            if there is None:
                break
            here = there
        state, mu = _last(system, trail, effort)
    note = "" if mu <= _GOOD_MU else f"path lost at a barrier weight of {mu:.1e}"
    return system.point(state, finished=not note, iterations=effort.factorisations, note=note)


def _begin(system: RowSystem, effort: Effort) -> Centre[State] | None:
    scale = float(fair_copies(system.compiled).mean())
    for factor in _FIRST_MU:
        mu = factor * scale
        here = centre(system, system.rough_state(mu), mu, effort, patient=True)
        if here is not None:
            return here
    return None


def _around(system: RowSystem, trail: list[Waypoint[State]], effort: Effort) -> Centre[State] | None:
    """Go around the fold that stopped a descent, from the last point that is on the path for certain."""
    for state, mu in reversed(trail):
        anchor = centre(system, state, mu, effort, size=_ON_PATH)
        if anchor is not None:
            return turn(system, anchor, max(_LAST_MU, _PAST_FOLD * trail[-1][1]), effort)
    return None


def _last(system: RowSystem, trail: list[Waypoint[State]], effort: Effort) -> tuple[State, float]:
    """Settle at the end of the path, or before it where rounding spoils the end: state and μ."""
    choices = []
    for near, mu in reversed(trail):
        state, merit = settle(system, near, mu, effort)
        choices.append((state, mu, merit))
        if merit <= mu or effort.spent:
            break
    state, mu, _ = min(choices, key=lambda choice: choice[1] + choice[2])
    return state, mu
