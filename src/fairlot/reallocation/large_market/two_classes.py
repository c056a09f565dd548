r"""The best two prices for one agent, in closed form: two classes of tasks, each in her own proportions.

With :math:`u^A, u^B` the shares of her endowment in either class, :math:`c_A = c \cdot u^A` and likewise for
B, she takes one A for 1/t fewer B if :math:`\theta = c_B / c_A > t`, and sheds one A for 1/s more B if
:math:`\theta < s`. At full extents :math:`e, f` (as far as she has tasks to give, and the caps allow) the
offers are worth

.. math:: e(t)\,(w_A - w_B / t)\,P(\theta > t) \quad\text{and}\quad f(s)\,(w_B / s - w_A)\,P(\theta < s),

and the menu of both is polarized if and only if :math:`t \ge s`. With two tasks this is :math:`S_j`
(Valenzuela-Stookey, Remark 1; Baron et al. 2025). On a sample of types only the thresholds just below and
just above the types' :math:`\theta` need be tried, so that for beliefs that are samples the maximum is exact.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.stats import qmc

from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import BoolArray, FloatArray
from fairlot.model.tasks import ReallocationProblem
from fairlot.reallocation.large_market.pricing import Priced
from fairlot.reallocation.obvious.rays import ray_extents
from fairlot.reallocation.value.acceptance import acceptance

_TYPES = 4096
_MARGIN = 1e-9
"""How far beside a type's rate a threshold is put, relative: a tie is not accepted."""


class TwoClassPricer:
    """Prices one agent's two offers.

    Parameters
    ----------
    problem : ReallocationProblem
        The problem.
    agent : int
        Whom; she needs something of either class, else nothing is offered.
    in_a : BoolArray, shape (n_tasks,)
        Class A; the rest is B.
    seed : int
        Of the types.
    """

    def __init__(self, problem: ReallocationProblem, agent: int, in_a: BoolArray, *, seed: int = 0) -> None:
        self._belief = problem.beliefs.of(agent)
        endowment = problem.endowment[agent]
        of_a, of_b = np.where(in_a, endowment, 0.0), np.where(in_a, 0.0, endowment)
        self._take = self._shed = np.zeros((0, problem.n_tasks))
        self._take_share = self._shed_share = np.zeros(0)
        if of_a.any() and of_b.any():
            share_a, share_b = of_a / of_a.sum(), of_b / of_b.sum()
            types = _types(self._belief, problem.n_tasks, seed)
            with np.errstate(divide="ignore", invalid="ignore"):
                rate = np.sort((types @ share_b) / (types @ share_a))
            rate = rate[np.isfinite(rate) & (rate > 0)]
            levels, first = np.unique(rate, return_index=True)
            last = np.append(first[1:], len(rate))
            takes = share_a - share_b / (levels * (1 - _MARGIN))[:, None]
            sheds = share_b / (levels * (1 + _MARGIN))[:, None] - share_a
            owner = np.full(len(levels), agent)
            self._take = takes * ray_extents(problem, owner, takes)[:, None]
            self._shed = sheds * ray_extents(problem, owner, sheds)[:, None]
            self._take_share = (len(rate) - first) / len(types)
            self._shed_share = last / len(types)

    def best(
        self,
        values: FloatArray,
        start: Sequence[FloatArray] = (),
        *,
        explore: int = 0,
        seed: int = 0,
    ) -> Priced:
        """Find the best two offers; there is nothing to search."""
        taking = np.maximum((self._take @ values) * self._take_share, 0.0)
        shedding = np.maximum((self._shed @ values) * self._shed_share, 0.0)
        chosen = _best_pair(taking, shedding)
        rays = [
            ray for ray in (self._row(self._take, chosen[0]), self._row(self._shed, chosen[1])) if len(ray)
        ]
        changes = np.concatenate(rays) if rays else np.zeros((0, len(values)))
        owner = np.zeros(len(changes), dtype=np.int64)
        return Priced(changes, acceptance(self._belief, owner, changes))

    @staticmethod
    def _row(rays: FloatArray, k: int | None) -> FloatArray:
        return rays[k : k + 1] if k is not None and rays[k].any() else rays[:0]


def _best_pair(taking: FloatArray, shedding: FloatArray) -> tuple[int | None, int | None]:
    """Choose a threshold for taking above that for shedding, either of them possibly none."""
    n = len(taking)
    if n == 0 or max(taking.max(), shedding.max()) <= 0:
        return None, None
    above = np.maximum.accumulate(taking[::-1])[::-1]
    below = np.maximum.accumulate(shedding)
    # between two neighbouring levels: take at k or later, shed before k; or only one of them
    both = np.append(above, 0.0) + np.insert(below, 0, 0.0)
    k = int(both.argmax())
    take = k + int(taking[k:].argmax()) if k < n and above[k] > 0 else None
    shed = int(shedding[:k].argmax()) if k > 0 and below[k - 1] > 0 else None
    return take, shed


def _types(belief: Beliefs, n_tasks: int, seed: int) -> FloatArray:
    if belief.samples is not None:
        return belief.samples[:, 0]
    points = qmc.Sobol(n_tasks, seed=seed).random(_TYPES)
    return belief.types(points[:, None])[:, 0]
