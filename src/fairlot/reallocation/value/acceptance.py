r"""How likely an agent is to pick a ray, :math:`P(c_j \cdot \kappa < 0)` under the designer's belief.

Exact for independent uniform costs,

.. math::
   P\Big(\sum_i a_i U_i < t\Big)
   = \frac{1}{n! \prod_i a_i} \sum_{v \in \{0,1\}^n} (-1)^{|v|} (t - a \cdot v)_+^n ,

for two lognormal costs and for samples; otherwise the probability given all costs but one, which the
distribution function of that one gives, averaged over a scrambled Sobol sequence.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, ndtr
from scipy.stats import qmc

from fairlot.model.beliefs import FAMILIES, Beliefs
from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray

_MOST_UNIFORM = 12
_MOST_CANCELLATION = 1e8
"""Largest sum of terms, relative to 1, for which extended precision leaves ten digits."""
_ENOUGH_TO_RANK = 256
"""Types on which the cost that matters most is picked; any cost would do."""
_PLAIN = [code for code, name in enumerate(FAMILIES) if name in ("uniform", "degenerate")]


def acceptance(
    beliefs: Beliefs, agents: IntArray, changes: FloatArray, *, n_types: int = 1 << 13, seed: int = 0
) -> FloatArray:
    """Evaluate the probability that agents gain from displacements.

    Parameters
    ----------
    beliefs : Beliefs
        About all agents.
    agents : IntArray, shape (n_rays,)
        Who is offered each ray.
    changes : FloatArray, shape (n_rays, n_tasks)
        The rays.
    n_types : int
        Points of the Sobol sequence, a power of 2.
    seed : int
        Of its scrambling.

    Returns
    -------
    FloatArray, shape (n_rays,)
        Probabilities of strict gains.

    Examples
    --------
    >>> belief = Beliefs.uniform([0.5, 0.5], [1.5, 1.5]).broadcast((1, 2))
    >>> acceptance(belief, np.array([0]), np.array([[-1.0, 1.5]]))  # 3/16
    array([0.1875])
    """
    points: FloatArray | None = None
    types: FloatArray | None = None
    result = np.empty(len(changes))
    last = -1
    for r in np.argsort(agents, kind="stable").tolist():  # agent by agent: each is drawn once
        agent, change = int(agents[r]), changes[r]
        if agent != last:
            known, types, last = beliefs.of(agent), None, agent
        exact = exact_probability(known, change)
        if exact is None:
            if points is None:
                points = qmc.Sobol(changes.shape[1], seed=seed).random(n_types)
            if types is None:
                types = known.types(points[:, None, :])[:, 0]
            exact = conditional_probability(known, change, types)
        result[r] = exact
    return result


def exact_probability(belief: Beliefs, change: FloatArray) -> float | None:
    """Evaluate the probability of a strict gain where a formula gives it.

    Parameters
    ----------
    belief : Beliefs
        About one agent, shape (1, n_tasks).
    change : FloatArray, shape (n_tasks,)
        The ray.

    Returns
    -------
    float or None
        For samples, for uniform and known costs, and for two lognormal costs without ends; else None.
    """
    if belief.samples is not None:
        loads = belief.samples[:, 0] @ change
        return float((loads < -1e-12 * np.abs(belief.samples[:, 0]) @ np.abs(change)).mean())
    moved = change != 0
    if moved.sum() == 2 and (change < 0).sum() == 1 and _endless_lognormal(belief)[moved].all():
        gives, takes = change < 0, change > 0
        median, sigma = belief.parameters[0].T
        margin = np.log(-change[gives] * median[gives] / (change[takes] * median[takes]))
        return float(ndtr(margin / np.hypot(sigma[gives], sigma[takes]))[0])
    if not np.isin(belief.family[0, moved], _PLAIN).all():
        return None
    return uniform_probability(change[moved], belief.low[0, moved], belief.high[0, moved])


def uniform_probability(change: FloatArray, low: FloatArray, high: FloatArray) -> float | None:
    r"""Evaluate :math:`P(\kappa \cdot c < 0)` for independent uniform c.

    Parameters
    ----------
    change, low, high : FloatArray, shape (n_tasks,)
        :math:`\kappa` and the box.

    Returns
    -------
    float or None
        None where cancellation, or more than 12 tasks, would cost the precision.
    """
    widths = np.abs(change) * (high - low)
    least = float(np.where(change > 0, change * low, change * high).sum())
    size = float((np.abs(change) * high).sum())
    widths = widths[widths > 1e-15 * size]
    total, n = float(widths.sum()), len(widths)
    if n == 0 or -least <= 0 or -least >= total:
        return float(-least > 1e-15 * size)
    log_factor = n * np.log(total) - float(gammaln(n + 1)) - float(np.log(widths).sum())
    if n > _MOST_UNIFORM or log_factor > np.log(_MOST_CANCELLATION):
        return None
    upper_half = -least > total / 2
    level = np.longdouble(total + least if upper_half else -least)
    sums, signs = np.zeros(1, np.longdouble), np.ones(1, np.longdouble)
    for width in widths:
        sums, signs = np.concatenate([sums, sums + width]), np.concatenate([signs, -signs])
    tail = float((signs * np.maximum((level - sums) / total, 0) ** n).sum()) * float(np.exp(log_factor))
    probability = min(max(tail, 0.0), 1.0)
    return 1 - probability if upper_half else probability


def conditional_probability(belief: Beliefs, change: FloatArray, types: FloatArray) -> float:
    """Average the probability of a gain given all costs but one over types.

    Parameters
    ----------
    belief : Beliefs
        About one agent, independent marginals.
    change : FloatArray, shape (n_tasks,)
        The ray.
    types : FloatArray, shape (n_types, n_tasks)
        Drawn from the belief; the cost that matters most is not used.
    """
    spread = np.abs(change) * types[:_ENOUGH_TO_RANK].std(axis=0)
    free = int(spread.argmax())
    if spread[free] == 0:
        return float(types[0] @ change < 0)
    rest = types @ np.where(np.arange(len(change)) == free, 0.0, change)
    column = slice(free, free + 1)
    of_one = Beliefs(
        belief.low[:, column], belief.high[:, column], belief.family[:, column], belief.parameters[:, column]
    )
    below = of_one.cumulative(-rest[:, None, None] / change[free])
    return float(np.mean(below if change[free] > 0 else 1 - below))


def _endless_lognormal(belief: Beliefs) -> BoolArray:
    """Find the lognormal marginals that are not truncated, shape (n_tasks,)."""
    lognormal = belief.family[0] == list(FAMILIES).index("lognormal")
    return np.asarray(lognormal & (belief.low[0] == 0) & np.isinf(belief.high[0]))
