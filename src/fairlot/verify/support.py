r"""Whether a support function is what was claimed, from the problem, the values w and the menu.

=============================  ===========================================================================
``non-negative``               no amount below 0 at full extent, relative to her largest amount
``caps``                       no amount or load above its ceiling at full extent, likewise
``polarized menu``             :func:`fairlot.verify.menus.polarization_residuals`; the remedial set alone
``activation``                 chance of each ray against its share of independent types: by how much they
                               differ beyond 5 standard errors of that share
``gain``                       against :math:`\sum_k P_k\, (w \cdot \kappa^k)^+`, or
                               :math:`\sum_i w_i^- \eta_i` for the remedial set, relative
``value``                      against :math:`w \cdot \eta` and the gain, relative
``bound``                      the value is not above it, relative
=============================  ===========================================================================
"""

from __future__ import annotations

import itertools

import numpy as np

from fairlot.certificate import Certificate, Check
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import Menu
from fairlot.model.tasks import ReallocationProblem
from fairlot.verify.menus import polarization_residuals

SUPPORT_REQUIRED = ("non-negative", "caps", "polarized menu", "activation", "gain", "value", "bound")
_TOLERANCE = 1e-9
_TYPES = 1 << 16
_ERRORS = 5.0
_FRESH = 0xC4EC


def verify_support(
    problem: ReallocationProblem,
    agent: str,
    w: FloatArray,
    menu: Menu,
    activation: FloatArray,
    gain: float,
    value: float,
    upper_bound: float | None = None,
    *,
    seed: int = 0,
) -> Certificate:
    """Check a support function.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    agent : str
        Whose menu it is.
    w : FloatArray, shape (n_tasks,)
        Values.
    menu : Menu
        Her rays at full extent.
    activation : FloatArray, shape (n_rays,)
        Claimed chance of each.
    gain, value : float
        Claimed.
    upper_bound : float, optional
        Claimed for the value; without one its check passes.
    seed : int
        Of the types drawn, which are independent of those that any search draws.
    """
    j = problem.agents.index(agent)
    endowment = problem.endowment[j]
    changes = menu.changes.reshape(-1, problem.n_tasks)
    scale = max(1.0, float(endowment.max(initial=0.0)))
    amounts = endowment + changes
    above = np.maximum(0.0, amounts - problem.amount_ceilings[j]).max(initial=0.0)
    overload = np.maximum(0.0, amounts.sum(axis=1) - problem.load_ceilings[j]).max(initial=0.0)
    pairs = list(itertools.combinations(range(len(changes)), 2))
    conflict = 0.0
    if pairs:
        first, second = np.array(pairs).T
        conflict = float(polarization_residuals(changes[first], changes[second]).max())

    if menu.remedial:
        told = np.zeros(len(changes))
        gained = float(np.maximum(-w, 0.0) @ endowment)
        apart = float(np.abs(activation - 1.0).max())
    else:
        shares, errors = _shares(problem, j, changes, seed)
        told = np.abs(shares - activation) - _ERRORS * errors
        apart = float(told.max(initial=0.0))
        gained = float(activation @ np.maximum(changes @ w, 0.0))
    size = max(1e-12, float(np.abs(w) @ endowment), abs(gained))
    worst = f"ray '{menu.rays[int(told.argmax())].name}'" if apart > 0 and len(changes) else ""
    checks = (
        Check("non-negative", float(np.maximum(0.0, -amounts).max(initial=0.0)) / scale, _TOLERANCE),
        Check("caps", float(max(above, overload)) / scale, _TOLERANCE),
        Check("polarized menu", conflict, _TOLERANCE),
        Check("activation", max(0.0, apart), 0.0, worst),
        Check("gain", abs(gain - gained) / size, 1e-6),
        Check("value", abs(value - float(w @ endowment) - gain) / size, _TOLERANCE),
        Check("bound", 0.0 if upper_bound is None else max(0.0, value - upper_bound) / size, _TOLERANCE),
    )
    return Certificate(SUPPORT_REQUIRED, checks)


def _shares(
    problem: ReallocationProblem, agent: int, changes: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Count which share of fresh types accepts each ray; returns the standard errors too."""
    belief = problem.beliefs.of(agent)
    if belief.samples is not None:
        types, n_drawn = belief.samples[:, 0], np.inf
    else:
        generator = np.random.default_rng([_FRESH, seed])
        types, n_drawn = belief.types(generator.random((_TYPES, 1, problem.n_tasks)))[:, 0], _TYPES
    loads = types @ changes.T
    shares = (loads < -1e-12 * (types @ np.abs(changes).T)).mean(axis=0)
    # as if one more type had gone either way, so that no share of 0 or 1 counts as certain
    spread = np.sqrt(np.maximum(shares * (1 - shares), 1.0 / n_drawn) / n_drawn)
    return np.asarray(shares), np.asarray(spread + _TOLERANCE)
