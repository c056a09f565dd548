r"""Two tasks: the best menu exactly.

With :math:`\theta = c_2 / c_1` and t a price, ray A takes all of task 2 off for :math:`\eta_2 t` of task 1
and is picked where :math:`\theta > t`; ray B takes all of task 1 off for :math:`\eta_1 / t` of task 2 and is
picked where :math:`\theta < t`. They gain

.. math:: \eta_2\, P(\theta > t)\, (w_1 t - w_2)\, \bar y_A(t), \qquad
          \eta_1\, P(\theta < t)\, (w_2 / t - w_1)\, \bar y_B(t),

:math:`\bar y` being 1 without caps. A gains only above :math:`w_2 / w_1` and B only below, so that the
best A and the best B are polarized, and each is found by itself: on cells of t, by bisection of those whose
bound, the chance at one end times the gain at the other, is not yet met.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize_scalar

from fairlot.model.beliefs import Beliefs
from fairlot.model.hierarchy import FloatArray
from fairlot.reallocation.support.terms import Terms
from fairlot.reallocation.value.acceptance import exact_probability

_GAP = 1e-5
_MOST_CELLS = 20_000
_FARTHEST = 80.0
"""Logarithm of prices beyond which nobody is asked; only beliefs without ends go so far."""
_SLIVER = 1e-9


@dataclass(frozen=True, eq=False)
class TwoTaskMenu:
    """The best menu for two tasks.

    Parameters
    ----------
    changes : FloatArray, shape (n_rays, 2)
        One ray or two at full extent.
    chances : FloatArray, shape (n_rays,)
        Probability that each is picked.
    gain : float
        What they gain.
    bound : float
        No ray menu gains more.
    """

    changes: FloatArray
    chances: FloatArray
    gain: float
    bound: float


def has_exact_chance(belief: Beliefs) -> bool:
    """Tell whether the probability of a ray between two tasks is known by a formula.

    Parameters
    ----------
    belief : Beliefs
        About one agent and two tasks.
    """
    return exact_probability(belief, np.array([1.0, -1.0])) is not None


def best_two_task_menu(terms: Terms, w: FloatArray) -> TwoTaskMenu:
    """Find the best menu for two tasks, and a bound five digits close.

    Parameters
    ----------
    terms : Terms
        The agent; her belief must have an exact chance (:func:`has_exact_chance`).
    w : FloatArray, shape (2,)
        Values.
    """
    rays, chances, gain, bound = [], [], 0.0, 0.0
    for gives in (1, 0):
        if terms.endowment[gives] <= 0 or terms.closed[1 - gives] or w[1 - gives] <= 0:
            continue
        ray, chance, value, most = _best_ray(terms, w, gives)
        bound += most
        if value > 0:
            rays.append(ray)
            chances.append(chance)
            gain += value
    return TwoTaskMenu(np.array(rays).reshape(-1, 2), np.array(chances), gain, bound)


def _best_ray(terms: Terms, w: FloatArray, gives: int) -> tuple[FloatArray, float, float, float]:
    """Find the best ray that takes all of one task off; returns it, its chance, its gain and a bound."""
    takes, endowment = 1 - gives, terms.endowment[gives]

    def ray(log_rate: float) -> FloatArray:
        change = np.zeros(2)
        change[gives], change[takes] = -endowment, endowment * np.exp(log_rate)
        return change

    room, load_room = float(terms.room[takes]), terms.load_room

    def worth(log_rate: float) -> float:
        taken = endowment * math.exp(log_rate)
        extent: float = min(1.0, room / taken, load_room / (taken - endowment) if taken > endowment else 1.0)
        return float(w[takes] * taken - w[gives] * endowment) * extent

    def chance(log_rate: float) -> float:
        found = exact_probability(terms.belief, ray(log_rate))
        return 0.0 if found is None else found

    kinks = _kinks(terms, w, gives)
    low, high = _rates(terms, w, gives, kinks)
    if low >= high:
        return np.zeros(2), 0.0, 0.0, 0.0
    at, bound = _best_rate(worth, chance, low, high, kinks)
    near = minimize_scalar(
        lambda rate: -chance(rate) * worth(rate), bounds=(at - 0.01, at + 0.01), options={"xatol": 1e-10}
    )
    if -near.fun > chance(at) * worth(at):
        at = float(near.x)
    change = terms.full(ray(at)[None])[0]
    accepted = exact_probability(terms.belief, change) or 0.0
    value = accepted * float(w @ change)
    return change, accepted, value, max(bound, value)


def _best_rate(
    worth: Callable[[float], float],
    chance: Callable[[float], float],
    low: float,
    high: float,
    kinks: list[float],
) -> tuple[float, float]:
    """Maximise chance times worth over the logarithm of a rate, and bound the maximum.

    The chance falls in the rate. Between its kinks the worth is monotone, hence largest at an end of a cell.
    """
    edges = np.unique([low, high, *(k for k in kinks if low < k < high), *np.linspace(low, high, 65)])
    chances, worths = [chance(e) for e in edges.tolist()], [worth(e) for e in edges.tolist()]
    values = [p * v for p, v in zip(chances, worths, strict=True)]
    best = int(np.argmax(values))
    at, value = float(edges[best]), values[best]
    cells = [
        (-chances[k] * max(worths[k], worths[k + 1]), float(edges[k]), float(edges[k + 1]), chances[k])
        for k in range(len(edges) - 1)
    ]
    heapq.heapify(cells)
    for _ in range(_MOST_CELLS):
        if not cells or -cells[0][0] <= value * (1 + _GAP):
            break
        _, left, right, at_left = heapq.heappop(cells)
        middle = 0.5 * (left + right)
        if not left < middle < right:
            continue
        at_middle, worth_middle = chance(middle), worth(middle)
        if at_middle * worth_middle > value:
            at, value = middle, at_middle * worth_middle
        heapq.heappush(cells, (-at_left * max(worth(left), worth_middle), left, middle, at_left))
        heapq.heappush(cells, (-at_middle * max(worth_middle, worth(right)), middle, right, at_middle))
    return at, max(value, -cells[0][0] if cells else 0.0)


def _rates(terms: Terms, w: FloatArray, gives: int, kinks: list[float]) -> tuple[float, float]:
    """Find the logarithms of rates that gain something and that some type accepts."""
    belief, takes = terms.belief, 1 - gives
    gainful = np.log(w[gives] / w[takes]) if w[gives] > 0 else -_FARTHEST
    with np.errstate(divide="ignore"):
        least = np.log(belief.low[0, gives] / belief.high[0, takes])
        most = np.log(belief.high[0, gives] / belief.low[0, takes])
    # below the least rate that anybody refuses nothing is won by a lower rate, if no cap binds there
    low = max(gainful, min([least, _FARTHEST, *kinks]) - _SLIVER, -_FARTHEST)
    return float(low), float(min(most, _FARTHEST))


def _kinks(terms: Terms, w: FloatArray, gives: int) -> list[float]:
    """List the rates at which a cap begins to bind; between them the worth is monotone in the rate."""
    takes, endowment = 1 - gives, terms.endowment[gives]
    with np.errstate(divide="ignore"):
        by_task = np.log(terms.room[takes] / endowment)
        by_load = np.log1p(terms.load_room / endowment)
    kinks = [float(k) for k in (by_task, by_load) if np.isfinite(k)]
    if terms.room[takes] > terms.load_room > 0:
        kinks.append(-float(np.log1p(-terms.load_room / terms.room[takes])))
    return kinks
