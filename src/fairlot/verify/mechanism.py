r"""Whether the randomised mechanism behind a design is what was claimed, from the problem and its menus.

Agent j is offered menu m with probability :math:`q_{jm}`, and picks ray k of it with :math:`P_{jm}^k`
(Valenzuela-Stookey, section 4.2).

=============================  ===========================================================================
``probabilities``              none below 0, none of an agent's together above 1
``non-negative``               no amount below 0 at full extent, relative to the agent's largest amount
``caps``                       no amount or load above its ceiling at full extent, likewise
``polarized menus``            every two rays of a menu, the remedial set alone in its menu
``activation``                 chances that rays are picked against their shares of independent types: by
                               how much they differ beyond 6 standard errors
``everything assigned``        :math:`\sum_{j,m,k} s_j q_{jm} P_{jm}^k \kappa_{jm}^k = 0`, relative to the
                               number of instances of each task
``saving``                     against :math:`-\sum s_j q_{jm} P_{jm}^k\, \pi_j \cdot \kappa_{jm}^k`, relative
``bound``                      a bound that is claimed is the sum of its parts :math:`s_j \bar g_j`, is not
                               below the saving, and no part is below what some menu of the agent's is worth
                               at its prices, 6 standard errors allowed; relative
``menus``                      the published menus are not expected to save more than what they are worth,
                               :math:`\sum_j s_j \sum_k P_j^k ((\lambda - \pi_j) \cdot \kappa_j^k)^+`, at any
                               prices, here :math:`\lambda`; 6 standard errors allowed; relative
=============================  ===========================================================================

That no menu is worth more than :math:`\bar g_j` takes the proof of
:mod:`fairlot.reallocation.support.bounds`; what is seen here is that nothing offered contradicts it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairlot.certificate import Certificate, Check
from fairlot.model.hierarchy import FloatArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem
from fairlot.verify.menus import polarization_residuals

MECHANISM_REQUIRED = (
    "probabilities",
    "non-negative",
    "caps",
    "polarized menus",
    "activation",
    "everything assigned",
    "saving",
    "bound",
    "menus",
)
_TOLERANCE = 1e-9
_ROUNDED = 1e-6
"""What weights that were rounded to 1e-7 leave."""
_TYPES = 1 << 15
_ERRORS = 6.0
_FRESH = 0xD15C


@dataclass(frozen=True, eq=False)
class OfferedMenu:
    """A menu that an agent is offered with some probability.

    Parameters
    ----------
    agent : int
        Whom.
    weight : float
        The probability.
    changes : FloatArray, shape (n_rays, n_tasks)
        Rays at full extent; of the remedial set one row, of what is taken away.
    activation : FloatArray, shape (n_rays,)
        Claimed chance that each is picked.
    remedial : bool
        Whether it is the remedial set.
    """

    agent: int
    weight: float
    changes: FloatArray
    activation: FloatArray
    remedial: bool = False


@dataclass(frozen=True, eq=False)
class ClaimedBound:
    """A bound on the saving of every mechanism.

    Parameters
    ----------
    saving : float
        The bound.
    prices : FloatArray, shape (n_tasks,)
        Prices of its dual solution.
    gains : FloatArray, shape (n_agents,)
        Bounds on what a menu for one member is worth at these prices, beyond keeping.
    """

    saving: float
    prices: FloatArray
    gains: FloatArray


def verify_mechanism(
    problem: ReallocationProblem,
    offers: Sequence[OfferedMenu],
    saving: float,
    prices: FloatArray,
    *,
    bound: ClaimedBound | None = None,
    menus: Menus | None = None,
    expected_saving: float = 0.0,
    seed: int = 0,
) -> Certificate:
    r"""Check a randomised mechanism.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem, with the beliefs that the claims are about.
    offers : sequence of OfferedMenu
        What an agent's weights lack to 1 being that of no choice.
    saving : float
        Claimed, in the large market, over all members.
    prices : FloatArray, shape (n_tasks,)
        :math:`\lambda` that go with it.
    bound : ClaimedBound, optional
        Without one its check passes.
    menus : Menus, optional
        The menus that were published instead; without them their check passes.
    expected_saving : float
        Claimed of the published menus: the lower end of its interval, where it comes from draws.
    seed : int
        Of the types drawn.
    """
    n_agents, n_tasks = problem.n_agents, problem.n_tasks
    worst = _Worst(problem)
    given, moved, total = np.zeros(n_agents), np.zeros(n_tasks), 0.0
    money = max(1e-300, float(problem.sizes @ (np.abs(problem.costs) * problem.endowment).sum(axis=1)))
    shares = _Shares(problem, seed)
    for offer in offers:
        j, endowment = offer.agent, problem.endowment[offer.agent]
        scale = max(1.0, float(endowment.max(initial=0.0)))
        given[j] += offer.weight
        worst.note("probabilities", j, -offer.weight)
        amounts = endowment + offer.changes
        worst.note("non-negative", j, -float(amounts.min(initial=0.0)) / scale)
        above = float((amounts - problem.amount_ceilings[j]).max(initial=0.0))
        burdens = amounts[:, ~problem.transfer].sum(axis=1)
        overload = float((burdens - problem.load_ceilings[j]).max(initial=0.0))
        worst.note("caps", j, max(above, overload) / scale)
        pairs = list(itertools.combinations(range(len(offer.changes)), 2))
        if pairs:
            first, second = np.array(pairs).T
            apart = polarization_residuals(offer.changes[first], offer.changes[second])
            worst.note("polarized menus", j, float(apart.max()))
        told, errors = shares.of(j, offer.changes, offer.remedial)
        worst.note(
            "activation", j, float((np.abs(told - offer.activation) - _ERRORS * errors).max(initial=0.0))
        )
        expected = float(problem.sizes[j]) * offer.weight * (offer.activation @ offer.changes)
        moved += expected
        total -= float(problem.costs[j] @ expected)
        if bound is not None:
            gain, spread = _worth(bound.prices - problem.costs[j], offer.changes, offer.activation, errors)
            worst.note("bound", j, float(problem.sizes[j]) * (gain - spread - bound.gains[j]) / money)
    for j in range(n_agents):
        worst.note("probabilities", j, given[j] - 1.0)
    short = np.abs(moved) / np.maximum(1.0, problem.counts)
    task = int(short.argmax())
    checks = [
        worst.check("probabilities", _ROUNDED),
        *(worst.check(name, _TOLERANCE) for name in ("non-negative", "caps", "polarized menus")),
        worst.check("activation", 0.0),
        Check(
            "everything assigned",
            float(short[task]),
            _ROUNDED,
            f"task '{problem.tasks[task]}'" if short[task] > _ROUNDED else "",
        ),
        Check("saving", abs(saving - total) / money, _ROUNDED),
    ]
    if bound is not None:
        values = bound.prices - problem.costs
        least = (np.maximum(-values, 0.0) * problem.endowment).sum(axis=1)
        for j in range(n_agents):
            worst.note("bound", j, float(problem.sizes[j]) * (least[j] - bound.gains[j]) / money)
        apart_by = abs(bound.saving - float(problem.sizes @ bound.gains))
        worst.note("bound", None, max(apart_by, saving - bound.saving) / money)
    checks.append(worst.check("bound", _ROUNDED))
    if menus is not None:
        worst.note("menus", None, _above_worth(problem, menus, expected_saving, prices, shares) / money)
    checks.append(worst.check("menus", _ROUNDED))
    return Certificate(MECHANISM_REQUIRED, tuple(checks))


class _Worst:
    """The largest residual of each check, and whose it is."""

    def __init__(self, problem: ReallocationProblem) -> None:
        self._agents = problem.agents
        self._found: dict[str, tuple[float, int | None]] = {}

    def note(self, name: str, agent: int | None, residual: float) -> None:
        if not residual <= self._found.get(name, (0.0, None))[0]:  # NaN counts
            self._found[name] = (residual, agent)

    def check(self, name: str, tolerance: float) -> Check:
        residual, agent = self._found.get(name, (0.0, None))
        whose = "" if agent is None or residual <= tolerance else f"agent '{self._agents[agent]}'"
        return Check(name, residual, tolerance, whose)


class _Shares:
    """Shares of independent types that pick rays."""

    def __init__(self, problem: ReallocationProblem, seed: int) -> None:
        self._problem, self._seed = problem, seed
        self._types: dict[int, FloatArray] = {}

    def of(self, agent: int, changes: FloatArray, remedial: bool) -> tuple[FloatArray, FloatArray]:
        """Count who picks each ray; returns the standard errors too."""
        if remedial:
            return np.ones(len(changes)), np.full(len(changes), _TOLERANCE)
        belief = self._problem.beliefs.of(agent)
        if belief.samples is not None:
            types, n_drawn = belief.samples[:, 0], np.inf
        else:
            if agent not in self._types:
                points = np.random.default_rng([_FRESH, self._seed, agent]).random(
                    (_TYPES, 1, self._problem.n_tasks)
                )
                self._types = {agent: belief.types(points)[:, 0]}
            types, n_drawn = self._types[agent], float(_TYPES)
        loads = types @ changes.T
        shares = (loads < -1e-12 * (types @ np.abs(changes).T)).mean(axis=0)
        # as if one more type had gone either way, so that no share of 0 or 1 counts as certain
        spread = np.sqrt(np.maximum(shares * (1 - shares), 1.0 / n_drawn) / n_drawn)
        return np.asarray(shares), np.asarray(spread + _TOLERANCE)


def _worth(
    values: FloatArray, changes: FloatArray, shares: FloatArray, errors: FloatArray
) -> tuple[float, float]:
    """Value what is picked where that is worth something; returns how far off it may be, too."""
    worth = np.maximum(changes @ values, 0.0)
    return float(shares @ worth), _ERRORS * float(errors @ worth)


def _above_worth(
    problem: ReallocationProblem, menus: Menus, claimed: float, prices: FloatArray, shares: _Shares
) -> float:
    """Measure how far a claimed saving is above what menus are worth at prices."""
    most = float(problem.status_quo_cost - problem.sizes @ (problem.costs * problem.endowment).sum(axis=1))
    for j in range(problem.n_agents):
        rays = slice(menus.starts[j], menus.starts[j + 1])
        changes, values = menus.changes[rays], prices - problem.costs[j]
        if menus.remedial_rays[rays].any():
            most += float(problem.sizes[j]) * float(np.maximum(-values, 0.0) @ problem.endowment[j])
        elif len(changes):
            told, errors = shares.of(j, changes, False)
            most += float(problem.sizes[j]) * sum(_worth(values, changes, told, errors))
    return claimed - most
