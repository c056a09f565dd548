r"""Beliefs from what people picked before.

Of the people one model is estimated: :math:`\log c_j(i) = \mu_i + \sigma \varepsilon_{ji}`, standard normal
and independent, the same :math:`\mu, \sigma` for everybody. A pick of ray k from a polarized menu has
probability :math:`P(c \cdot \kappa^k < 0)`, and keeping the rest; the logarithm of the likelihood is climbed
with each acceptance smoothed, beside a prior centred on what was believed before
(:math:`\mu_i \sim N(\log \text{median}_i, 1)`, :math:`\log \sigma \sim N(\log 0.5, 1)`), which decides what
the picks do not.

Limits: picks tell only how costs compare, so that the scale stays as it was believed; a task that no past
menu moved keeps its prior; differences between people are taken to be chance; and people who picked for
other reasons than their load mislead it. The menus stay obviously strategy-proof and never lose, whatever the
truth.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit, ndtri
from scipy.stats import qmc

from fairlot.errors import InvalidProblemError, Issue
from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.menus import Menus
from fairlot.model.tasks import ReallocationProblem

_TYPES = 512
_WIDTH = 0.02
"""Acceptance is smoothed over this share of a ray's load."""
_USUAL_SPREAD = 0.5
_LEAST = 1e-6

Period = tuple[Menus, IntArray]
"""What was offered, and the position of the ray that each member picked, -1 to keep."""


@dataclass(frozen=True, eq=False)
class PickedBeliefs:
    r"""What past picks say of private costs.

    Parameters
    ----------
    beliefs : Beliefs
        Lognormal, the same for everybody.
    medians : FloatArray, shape (n_tasks,)
        :math:`e^\mu`, in the unit of the prior belief.
    sigma : float
        :math:`\sigma`.
    offers : int
        Menus that somebody could pick from.
    log_likelihood : float
        Of the picks, without the prior.
    """

    beliefs: Beliefs
    medians: FloatArray
    sigma: float
    offers: int
    log_likelihood: float

    def problem(self, problem: ReallocationProblem) -> ReallocationProblem:
        """Return the problem with these beliefs."""
        return replace(problem, beliefs=self.beliefs)


def beliefs_from_picks(problem: ReallocationProblem, periods: Sequence[Period]) -> PickedBeliefs:
    """Estimate beliefs.

    Parameters
    ----------
    problem : ReallocationProblem
        Its own belief is the prior.
    periods : sequence of Period
        Menus and picks of the past, for the same agents and tasks.

    Raises
    ------
    InvalidProblemError
        If nobody had a choice, or the periods are not those of this problem.
    """
    rays, counts, keeps = _offers(problem, periods)
    points = qmc.Sobol(problem.n_tasks, seed=0).random(_TYPES)
    normal = ndtri(np.clip(points, 1e-9, 1 - 1e-9))
    half = np.full((1, *problem.status_quo.shape), 0.5)
    prior = np.log(np.maximum(problem.beliefs.types(half)[0], 1e-12)).mean(axis=0)
    stacked = np.vstack(rays)
    moved = np.abs(stacked).any(axis=0)
    menu = np.repeat(np.arange(len(rays)), [len(r) for r in rays])
    picked = np.concatenate(counts)

    def likelihood(mu: FloatArray, sigma: float) -> float:
        types = np.exp(mu + sigma * normal)
        loads = (types @ stacked.T) / (types @ np.abs(stacked).T)
        chance = expit(-loads / _WIDTH).mean(axis=0)
        kept = 1 - np.bincount(menu, weights=chance, minlength=len(rays))
        return float(picked @ np.log(np.maximum(chance, _LEAST)) + keeps @ np.log(np.maximum(kept, _LEAST)))

    def unlikely(x: FloatArray) -> float:
        mu = prior + x[:-1]
        spread = x[-1] - np.log(_USUAL_SPREAD)
        return -likelihood(mu, float(np.exp(x[-1]))) + 0.5 * float(x[:-1] @ x[:-1] + spread**2)

    found = minimize(unlikely, np.append(np.zeros(problem.n_tasks), np.log(_USUAL_SPREAD)), method="L-BFGS-B")
    shift = found.x[:-1] - found.x[:-1][moved].mean()  # the scale is not told by picks
    mu, sigma = np.where(moved, prior + shift, prior), float(np.exp(found.x[-1]))
    medians = np.exp(mu)
    beliefs = Beliefs.lognormal(medians, sigma).broadcast((problem.n_agents, problem.n_tasks))
    offers = int(picked.sum() + keeps.sum())
    return PickedBeliefs(beliefs, medians, sigma, offers, likelihood(mu, sigma))


def _offers(
    problem: ReallocationProblem, periods: Sequence[Period]
) -> tuple[list[FloatArray], list[FloatArray], FloatArray]:
    """List every menu of the past, how often each ray was picked from it, and how often none was."""
    member = np.repeat(np.arange(problem.n_agents), problem.sizes)
    rays: list[FloatArray] = []
    counts: list[FloatArray] = []
    keeps: list[float] = []
    for menus, picks in periods:
        if (menus.agents, menus.tasks) != (problem.agents, problem.tasks) or len(picks) != len(member):
            expected = "the problem's agents and tasks, in its order, and a pick for every member"
            raise InvalidProblemError([Issue("past menus and picks", expected=expected)])
        chosen = np.bincount(picks[picks >= 0], minlength=menus.n_rays).astype(np.float64)
        for j in np.unique(menus.ray_agents[~menus.remedial_rays]).tolist():
            span = slice(menus.starts[j], menus.starts[j + 1])
            rays.append(menus.changes[span])
            counts.append(chosen[span])
            keeps.append(float(problem.sizes[j] - chosen[span].sum()))
    if not rays:
        raise InvalidProblemError([Issue("past menus", found="no rays", expected="at least one exchange")])
    return rays, counts, np.array(keeps)
