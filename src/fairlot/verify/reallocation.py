r"""Whether the outcome of a reallocation is what was promised, from the problem, the menus and the picks.

================================  ========================================================================
``everything assigned``           expected amounts of every task add up to its count, relative
``within the chosen sets``        :math:`\eta + y\kappa`, :math:`0 \le y \le 1`, or at most :math:`\eta`:
                                  distance relative to the agent's largest amount
``non-negative``                  no amount below 0, in instances
``caps``                          no amount or load above its ceiling, in instances
``participation``                 the load of no type that could have made the pick has grown
                                  (:func:`fairlot.verify.menus.participation_residuals`)
``polarized menus``               :func:`fairlot.verify.menus.polarization_check`
``cost``                          not above that of the endowment, relative
``best selection``                not above the bound that the prices prove, relative to the endowment's
================================  ========================================================================
"""

from __future__ import annotations

import numpy as np

from fairlot.certificate import Certificate, Check
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.verify.menus import participation_residuals, polarization_check

REQUIRED = (
    "everything assigned",
    "within the chosen sets",
    "non-negative",
    "caps",
    "participation",
    "polarized menus",
    "cost",
    "best selection",
)
_TOLERANCE = 1e-9


def verify_outcome(
    problem: ReallocationProblem,
    menus: Menus,
    picks: IntArray,
    displacements: FloatArray,
    prices: FloatArray,
) -> Certificate:
    r"""Check an outcome.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        What was offered.
    picks : IntArray, shape (n_members,)
        Position of the ray that each member picked, members of the first agent first; -1 keeps.
    displacements : FloatArray, shape (n_members, n_tasks)
        Expected amounts less the endowment.
    prices : FloatArray, shape (n_tasks,)
        :math:`\lambda`, which proves the selection to be optimal.
    """
    member = np.repeat(np.arange(problem.n_agents), problem.sizes)
    names = problem.agents
    keeps = picks < 0
    changes = np.vstack([menus.changes, np.zeros(problem.n_tasks)])[picks]
    remedial = np.append(menus.remedial_rays, False)[picks]
    endowment = problem.endowment[member]
    amounts = endowment + displacements
    costs = problem.costs[member]
    scale = np.maximum(1.0, endowment.max(axis=1, initial=0.0))

    missing = np.abs(amounts.sum(axis=0) - problem.counts) / np.maximum(1.0, problem.counts)
    length = (changes**2).sum(axis=1)
    extent = (displacements * changes).sum(axis=1) / np.where(length > 0, length, 1.0)
    on_ray = displacements - np.clip(extent, 0.0, 1.0)[:, None] * changes
    in_box = displacements - np.clip(displacements, np.minimum(changes, 0.0), 0.0)
    outside = np.abs(np.where(remedial[:, None], in_box, on_ray)).max(axis=1) / scale
    negative = np.maximum(0.0, -amounts).max(axis=1)
    above = np.maximum(0.0, amounts - problem.amount_ceilings[member]).max(axis=1)
    overload = np.maximum(0.0, amounts[:, ~problem.transfer].sum(axis=1) - problem.load_ceilings[member])
    from_status_quo = amounts - problem.status_quo[member]
    grown = participation_residuals(from_status_quo, changes, keeps | remedial) / scale

    before = float((costs * endowment).sum())
    after = float((costs * amounts).sum())
    reduced = (costs - prices) * changes
    by_ray = np.minimum(0.0, reduced.sum(axis=1))
    by_task = np.minimum(0.0, np.where(changes < 0, reduced, 0.0)).sum(axis=1)
    bound = float(np.where(remedial, by_task, by_ray).sum())
    money = max(1e-300, float((np.abs(costs) * endowment).sum()))
    checks = (
        _worst("everything assigned", missing, problem.tasks, "task"),
        _worst("within the chosen sets", outside, names, "agent", member),
        _worst("non-negative", negative / scale, names, "agent", member),
        _worst("caps", np.maximum(above, overload) / scale, names, "agent", member),
        _worst("participation", grown, names, "agent", member),
        polarization_check(menus),
        Check("cost", max(0.0, after - before) / money, _TOLERANCE),
        Check("best selection", abs(after - before - bound) / money, _TOLERANCE),
    )
    return Certificate(REQUIRED, checks)


MENU_REQUIRED = ("non-negative", "caps", "polarized menus")


def verify_menus(problem: ReallocationProblem, menus: Menus) -> Certificate:
    """Check that menus are polarized, and that every ray stays in the orthant and within the caps.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    menus : Menus
        Its menus.
    """
    owner = menus.ray_agents
    amounts = problem.endowment[owner] + menus.changes
    scale = np.maximum(1.0, problem.endowment[owner].max(axis=1, initial=0.0))
    above = np.maximum(0.0, amounts - problem.amount_ceilings[owner]).max(axis=1)
    overload = np.maximum(0.0, amounts[:, ~problem.transfer].sum(axis=1) - problem.load_ceilings[owner])
    negative = np.maximum(0.0, -amounts).max(axis=1)
    checks = (
        _worst("non-negative", negative / scale, problem.agents, "agent", owner),
        _worst("caps", np.maximum(above, overload) / scale, problem.agents, "agent", owner),
        polarization_check(menus),
    )
    return Certificate(MENU_REQUIRED, checks)


def _worst(
    name: str, residuals: FloatArray, ids: tuple[str, ...], noun: str, owner: IntArray | None = None
) -> Check:
    if not len(residuals):
        return Check(name, 0.0, _TOLERANCE)
    worst = int(np.argmax(residuals))
    residual = float(residuals[worst])
    at = worst if owner is None else int(owner[worst])
    return Check(name, residual, _TOLERANCE, f"{noun} '{ids[at]}'" if not residual <= _TOLERANCE else "")
