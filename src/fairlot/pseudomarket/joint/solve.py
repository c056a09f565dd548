"""The joint road: down the path by smoothing Newton, around its folds by arclength."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.market import utilities
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint.arclength import turn
from fairlot.pseudomarket.joint.smoothing import Centre, Effort, Waypoint, centre, descend, settle
from fairlot.pseudomarket.joint.start import (
    fair_copies,
    lending,
    prices_of_money,
    rough_state,
    warm_state,
)
from fairlot.pseudomarket.joint.system import JointSystem, State
from fairlot.pseudomarket.polish import polish, residual
from fairlot.pseudomarket.trace import begin_path
from fairlot.verify.demand import best_affordable

MONEY_ROUNDS = 6
LOWER_MONEY = 0.3
"""Factor by which ε falls for agents who miss their greatest utility by more than ``_LOSS``."""
_LOSS = 1e-6
DEEPER = 1e-3
"""Barrier weight at which the path ends, over the tolerance."""
STILL_DEEPER, DEEPEST = 1e-2, 1e-17
"""Factor by which to go on where the end does not show the active set, and barrier weight to stop at."""
_ROUNDING_MU = 1e-8
"""Barrier weight below which the path is lost to rounding, not to a fold."""
_WARM_MU = (1e-6, 1e-4, 1e-3, 1e-2)
"""Barrier weights at which to begin from a start, the first only if its residual is below ``_CLOSE``."""
_CLOSE = 1e-5
FIRST_MU = (1.0, 0.3, 3.0, 0.1, 10.0)
"""Barrier weights to begin with, in copies per pair."""
_PAST_FOLD = 0.7
_ON_PATH = 1e-2


def solve_joint(
    compiled: CompiledMarket,
    *,
    start: Point | None = None,
    tol: float = 1e-9,
    deadline: float | None = None,
    max_iter: int | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
    money: FloatArray | None = None,
) -> Point:
    """Follow the joint path in prices, copies and multipliers to a strong equilibrium.

    Parameters
    ----------
    compiled : CompiledMarket
        The market.
    start : Point, optional
        Where to begin; a rough state of its own by default.
    tol : float
        Largest residual of the linear equations and largest complementary product of a finished point.
    deadline : float, optional
        Value of ``time.monotonic`` at which to stop.
    max_iter : int, optional
        Factorisations after which to stop.
    seed : int
        0 weighs all pairs alike; any other number draws weights, and with them another path.
    reporter : Reporter, optional
        Told the barrier weight as the path goes down.
    money : FloatArray, shape (n_agents,), optional
        ε as it stands, in scaled units, where money has a value of its own outside the market. By default it
        has none, and ε is small enough for the satiated to attain their greatest utility.

    Returns
    -------
    Point
        ``alpha`` contains the price of money ε, which is all there is of it for satiated agents.
    """
    effort = Effort(deadline, reporter or NullReporter(), max_iter)
    epsilon = prices_of_money(compiled) if money is None else money
    weight = None
    if seed:
        weight = np.exp(np.random.default_rng(seed).normal(size=compiled.n_pairs))
    # A diverging iteration ends by its size; it is no error.
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for _ in range(MONEY_ROUNDS):
            begin_path(effort.reporter, "joint path", compiled)
            system = JointSystem(compiled, epsilon, weight, lending(compiled))
            point = _solve(system, start, tol, effort, money is None)
            deprived = deprived_agents(compiled, point, epsilon)
            if money is not None or not point.finished or not deprived.any():
                return point
            epsilon = np.where(deprived, LOWER_MONEY * epsilon, epsilon)
    return replace(point, finished=False, note="satiated agents miss their greatest utility")


def _solve(system: JointSystem, start: Point | None, tol: float, effort: Effort, exact: bool) -> Point:
    """Go down the path at a given price of money; finish on the active set if it is to be ``exact``."""
    here = _begin(system, start, effort)
    if here is None:
        rough = rough_state(system, 1.0)
        note = effort.why if effort.spent else "no way to the path"
        return system.point(rough, finished=False, iterations=effort.factorisations, note=note)
    note = ""
    while True:
        trail = descend(system, here, DEEPER * tol, effort)
        mu = trail[-1][1]
        if mu <= max(tol, _ROUNDING_MU) or effort.spent:
            break
        there = _around(system, trail, DEEPER * tol, effort)
        if there is None:
            note = f"path lost at a barrier weight of {mu:.1e}"
            break
        here = there
    if exact and mu <= tol:
        point = _finish(system, trail, DEEPER * tol, effort)
        if point is not None:
            return point
    state, mu, merit = _last(system, trail, effort)
    finished = bool(mu <= tol and merit <= tol)
    if effort.spent:
        note = effort.why
    elif not note:
        note = f"at a barrier weight of {mu:.1e} the linear equations hold to {merit:.1e} only"
    return system.point(
        state, finished=finished, iterations=effort.factorisations, note="" if finished else note
    )


def _finish(
    system: JointSystem, trail: list[Waypoint[State]], mu_stop: float, effort: Effort
) -> Point | None:
    """Solve the active set at the end of the path, or deeper down where that does not show it yet."""
    while True:
        point = system.point(trail[-1][0], finished=False, iterations=effort.factorisations)
        polished = polish(system.compiled, point)
        if polished.finished:
            return polished
        mu_stop *= STILL_DEEPER
        here = None if mu_stop < DEEPEST or effort.spent else centre(system, *trail[-1], effort)
        if here is None:
            return None
        trail = descend(system, here, mu_stop, effort)
        if trail[-1][1] > mu_stop:
            return None


def _last(system: JointSystem, trail: list[Waypoint[State]], effort: Effort) -> tuple[State, float, float]:
    """Settle at the end of the path, or before it where rounding spoils the end: state, μ and merit."""
    choices = []
    for near, mu in reversed(trail):
        state, merit = settle(system, near, mu, effort)
        choices.append((state, mu, merit))
        if merit <= mu or effort.spent:
            break
    return min(choices, key=lambda choice: choice[1] + choice[2])


def _begin(system: JointSystem, start: Point | None, effort: Effort) -> Centre[State] | None:
    """Reach the path, close to ``start`` if possible."""
    if start is not None:
        close = residual(system.compiled, start) < _CLOSE
        for mu in _WARM_MU if close else _WARM_MU[1:]:
            here = centre(system, warm_state(system, start, mu), mu, effort)
            if here is not None:
                return here
    scale = float(fair_copies(system.compiled).mean()) if system.compiled.n_pairs else 1.0
    for factor in FIRST_MU:
        mu = factor * scale
        here = centre(system, rough_state(system, mu), mu, effort, patient=True)
        if here is not None:
            return here
    return None


def _around(
    system: JointSystem, trail: list[Waypoint[State]], mu_stop: float, effort: Effort
) -> Centre[State] | None:
    """Go around the fold that stopped a descent, from the last point that is on the path for certain."""
    for state, mu in reversed(trail):
        anchor = centre(system, state, mu, effort, size=_ON_PATH)
        if anchor is not None:
            return turn(system, anchor, max(mu_stop, _PAST_FOLD * trail[-1][1]), effort)
    return None


def deprived_agents(compiled: CompiledMarket, point: Point, epsilon: FloatArray) -> BoolArray:
    """Agents whom ε keeps from what they can afford: satiated by it, and short of their greatest utility."""
    satiated = point.alpha < 2.0 * epsilon
    prices = np.maximum(compiled.rows.T @ point.q, 0.0) * compiled.budget_scale
    best = best_affordable(compiled.market, prices).value
    loss = (best - utilities(compiled.market, compiled.copies(point.x))) / compiled.value_scale
    return np.asarray(satiated & (loss > _LOSS))
