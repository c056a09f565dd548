r"""The best bilateral trades: for one pair, for all pairs, and for disjoint pairs.

A trade :math:`\gamma` moves agent a by :math:`+\gamma` and agent b by :math:`-\gamma` where both gain, and
saves

.. math:: P(\gamma \cdot c_a < 0)\; P(\gamma \cdot c_b > 0)\; (\pi_b - \pi_a) \cdot \gamma

in expectation. The sign of :math:`\gamma` covers both roles of Lemma 2. The probabilities do not
depend on the scale of :math:`\gamma`, so that it always goes as far as what both have, and the caps, allow.
The search climbs the logarithm with each probability smoothed, :math:`P(z < 0) \approx E[1 / (1 + e^{z/h})]`,
from wide h to narrow, starting from trades that hand a the tasks with the largest
:math:`(\pi_b - \pi_a)(i) / E c(i)` for the others at an even load; what is reported is computed afresh.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import scipy.sparse as sp
from numba import njit
from scipy.stats import qmc

from fairlot.model.hierarchy import BoolArray, FloatArray, IntArray
from fairlot.model.menus import Menu, Menus, Ray
from fairlot.model.tasks import ReallocationProblem
from fairlot.progress import NullReporter, Reporter
from fairlot.reallocation.obvious.rays import full_extent, ray_extents
from fairlot.reallocation.programs import LinearProgram, solve_program
from fairlot.reallocation.value.acceptance import acceptance

_TYPES = 256
_ROUGH = (np.array([0.1, 0.03]), 6, 1, 128)
_FINE = (np.array([0.2, 0.06, 0.02]), 25, 3, _TYPES)
"""Widths, steps at each, starts and types of a search."""
_SCORING_TYPES = 1 << 11
_PARTNERS = 20
"""So many partners of each agent, the best in the rough search, get the fine one."""


@dataclass(frozen=True, eq=False)
class BilateralTrade:
    r"""A trade between two agents.

    Parameters
    ----------
    first, second : int
        Who moves by :math:`+\gamma`, and who by :math:`-\gamma`; each a member, if they are groups.
    trade : FloatArray, shape (n_tasks,)
        :math:`\gamma`, at full extent.
    probability : float
        That both want it.
    saving : float
        Expected, per pair of members.
    """

    first: int
    second: int
    trade: FloatArray
    probability: float
    saving: float


@dataclass(frozen=True, eq=False)
class BilateralTrades:
    """What trades between two agents can save.

    Parameters
    ----------
    trades : tuple of BilateralTrade
        The best trade of each pair that has one, the most saving first.
    disjoint : tuple of BilateralTrade
        The disjoint pairs with the largest total saving.
    saving : float
        Expected from the disjoint pairs, each group's members paired with the other's.
    """

    trades: tuple[BilateralTrade, ...]
    disjoint: tuple[BilateralTrade, ...]
    saving: float


def best_bilateral_trades(
    problem: ReallocationProblem, *, seed: int = 0, reporter: Reporter | None = None
) -> BilateralTrades:
    """Search the best trade of every pair, and match the pairs.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents. Every pair is searched; with more than 21 agents roughly first, and again, with more
        starts, types and steps, where it is among the 20 best of either agent.
    seed : int
        Of the types that the search looks at.
    reporter : Reporter, optional
        Told how many pairs are done.
    """
    problem.require_fixed_burdens()
    reporter = NullReporter() if reporter is None else reporter
    reporter.stage("bilateral trades")
    n = problem.n_agents
    if problem.n_tasks < 2:
        return BilateralTrades((), (), 0.0)  # nobody would rather have more of the only task
    points = qmc.Sobol(problem.n_tasks, seed=seed).random(_TYPES)
    types = np.ascontiguousarray(
        problem.beliefs.types(np.repeat(points[:, None], n, axis=1)).transpose(1, 0, 2)
    )
    promise = np.zeros((n, n))
    found: dict[tuple[int, int], FloatArray] = {}
    everybody = np.ones((n, n), dtype=np.bool_)
    if n > _PARTNERS + 1:
        for a, b, trade, saving in _searched(problem, types, everybody, _ROUGH, reporter, (0.0, 0.6)):
            found[a, b] = trade
            promise[a, b] = promise[b, a] = saving
    again = (0.6, 1.0) if found else (0.0, 1.0)
    for a, b, trade, _ in _searched(problem, types, _among_the_best(promise), _FINE, reporter, again):
        found[a, b] = trade
    rows = [(a, b, trade) for (a, b), trade in sorted(found.items(), key=lambda item: item[0])]
    trades = score_trades(problem, rows)
    chosen = disjoint_pairs(problem, trades)
    members = [min(int(problem.sizes[t.first]), int(problem.sizes[t.second])) for t in chosen]
    saving = sum(m * t.saving for m, t in zip(members, chosen, strict=True))
    return BilateralTrades(trades, chosen, float(saving))


def trade_bounds(problem: ReallocationProblem, first: int, second: int) -> tuple[FloatArray, FloatArray]:
    r"""Bound :math:`\gamma` by what both have and may have, task by task.

    Parameters
    ----------
    problem : ReallocationProblem
        Endowments and caps.
    first, second : int
        The pair.

    Returns
    -------
    lower, upper : FloatArray, shape (n_tasks,)
    """
    has, may = problem.endowment, problem.amount_ceilings - problem.endowment
    return -np.minimum(has[first], may[second]), np.minimum(has[second], may[first])


def score_trades(
    problem: ReallocationProblem, rows: list[tuple[int, int, FloatArray]]
) -> tuple[BilateralTrade, ...]:
    """Evaluate trades at full extent, and sort those that save by what they save.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.
    rows : list of (int, int, FloatArray)
        Pairs and trades, of any scale.
    """
    if not rows:
        return ()
    first: IntArray = np.array([row[0] for row in rows], dtype=np.int64)
    second: IntArray = np.array([row[1] for row in rows], dtype=np.int64)
    trade = np.array([row[2] for row in rows])
    scaled = full_extent_of_trades(problem, first, second, trade)
    chance = partial(acceptance, problem.beliefs, n_types=_SCORING_TYPES)
    both = chance(first, scaled) * chance(second, -scaled)
    saving = both * ((problem.costs[second] - problem.costs[first]) * scaled).sum(axis=1)
    order = np.argsort(-saving, kind="stable")
    return tuple(
        BilateralTrade(int(first[k]), int(second[k]), scaled[k], float(both[k]), float(saving[k]))
        for k in order.tolist()
        if saving[k] > 0
    )


def full_extent_of_trades(
    problem: ReallocationProblem, first: IntArray, second: IntArray, trades: FloatArray
) -> FloatArray:
    r"""Scale trades as far as both sides can go.

    Parameters
    ----------
    problem : ReallocationProblem
        Endowments and caps.
    first, second : IntArray, shape (n_trades,)
        Who moves by :math:`+\gamma`, and who by :math:`-\gamma`.
    trades : FloatArray, shape (n_trades, n_tasks)
        :math:`\gamma`, each with a positive and a negative entry.
    """
    extents = np.minimum(ray_extents(problem, first, trades), ray_extents(problem, second, -trades))
    return np.asarray(trades * extents[:, None])


def disjoint_pairs(
    problem: ReallocationProblem, trades: tuple[BilateralTrade, ...]
) -> tuple[BilateralTrade, ...]:
    """Choose pairs without a common agent that save the most together: a maximum-weight matching.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.
    trades : tuple of BilateralTrade
        At most one per pair.
    """
    if not trades:
        return ()
    ends = np.array([[t.first, t.second] for t in trades])
    members = problem.sizes[ends].min(axis=1)
    weight = members * np.array([t.saving for t in trades])
    n = len(trades)
    incidence = sp.csc_array(
        (np.ones(2 * n), (ends.ravel(), np.repeat(np.arange(n), 2))), shape=(problem.n_agents, n)
    )
    program = LinearProgram(
        cost=-weight / weight.max(),
        lower=np.zeros(n),
        upper=np.ones(n),
        matrix=incidence,
        row_lower=np.full(problem.n_agents, -np.inf),
        row_upper=np.ones(problem.n_agents),
        whole=True,
    )
    solution = solve_program(program)
    if not solution.optimal:
        msg = "the matching was not solved"  # no pair at all is feasible
        raise ArithmeticError(msg)
    return tuple(trade for trade, x in zip(trades, solution.x, strict=True) if x > 0.5)


def bilateral_menus(problem: ReallocationProblem, trades: tuple[BilateralTrade, ...]) -> Menus:
    """Offer each agent her side of her trade as a ray, as far as her own endowment and caps allow.

    Parameters
    ----------
    problem : ReallocationProblem
        The agents.
    trades : tuple of BilateralTrade
        Of disjoint pairs.
    """
    sides = [(t.first, t.trade) for t in trades] + [(t.second, -t.trade) for t in trades]
    if not sides:
        return Menus.of(problem.agents, problem.tasks, [])
    agents: IntArray = np.array([j for j, _ in sides], dtype=np.int64)
    changes = full_extent(problem, agents, np.array([change for _, change in sides]))
    menus = [
        Menu(problem.agents[j], (Ray("trade", change),)) for j, change in zip(agents, changes, strict=True)
    ]
    return Menus.of(problem.agents, problem.tasks, menus)


def _searched(
    problem: ReallocationProblem,
    types: FloatArray,
    chosen: BoolArray,
    effort: tuple[FloatArray, int, int, int],
    reporter: Reporter,
    share: tuple[float, float],
) -> Iterator[tuple[int, int, FloatArray, float]]:
    """Search the chosen pairs; yield both agents, a trade that saves, and its saving on the types at hand."""
    widths, steps, n_starts, n_types = effort
    types = types[:, :n_types]
    for a in range(problem.n_agents - 1):
        reporter.update(share[0] + (share[1] - share[0]) * a / problem.n_agents)
        others = np.flatnonzero(chosen[a, a + 1 :]) + a + 1
        starts, promises = _screen(problem, types, a, others)
        for k, b in enumerate(others.tolist()):
            gain = problem.costs[b] - problem.costs[a]
            best = starts[k, np.argsort(-promises[k], kind="stable")[:n_starts]]
            bounds = trade_bounds(problem, a, b)
            trade, saving = _best_trade(types[a], types[b], gain, *bounds, best, widths, steps)
            if gain @ trade > 0:
                yield a, b, trade, saving


def _among_the_best(promise: FloatArray) -> BoolArray:
    """Keep the pairs that are among the most promising of either agent."""
    n = len(promise)
    if n <= _PARTNERS + 1:
        return np.ones((n, n), dtype=np.bool_)
    rank = np.argsort(np.argsort(-promise, axis=1, kind="stable"), axis=1)
    return np.asarray((rank < _PARTNERS) | (rank.T < _PARTNERS))


def _screen(
    problem: ReallocationProblem, types: FloatArray, a: int, others: IntArray
) -> tuple[FloatArray, FloatArray]:
    """Try trades between a and others that hand a the tasks she is relatively best at, and those only.

    A task's rank is its gain over its mean load; every cut of the ranking is one trade, at an even load to
    the average type.

    Returns
    -------
    starts : FloatArray, shape (n_others, n_tasks - 1, n_tasks)
        Trades.
    promises : FloatArray, shape (n_others, n_tasks - 1)
        Expected savings on the types at hand.
    """
    gain = problem.costs[others] - problem.costs[a]
    bounds = [trade_bounds(problem, a, b) for b in others.tolist()]
    lower, upper = (np.array([pair[side] for pair in bounds]).reshape(gain.shape) for side in (0, 1))
    mean = types.mean(axis=1)
    mean /= mean.mean(axis=1, keepdims=True)
    load = mean[a] + mean[others]
    rank = np.argsort(np.argsort(-gain / load, axis=1, kind="stable"), axis=1)
    taken = rank[:, None, :] < np.arange(1, problem.n_tasks)[None, :, None]
    starts = np.where(taken, upper[:, None, :], lower[:, None, :])
    up = (np.maximum(starts, 0) * load[:, None, :]).sum(axis=2, keepdims=True)
    down = (np.maximum(-starts, 0) * load[:, None, :]).sum(axis=2, keepdims=True)
    even = np.minimum(up, down)
    with np.errstate(divide="ignore", invalid="ignore"):
        starts = np.where(even > 0, np.where(starts > 0, starts * even / up, starts * even / down), 0.0)
    wanted = (np.einsum("mi,bsi->bms", types[a], starts) < 0).mean(axis=1)
    given = (np.matmul(types[others], starts.transpose(0, 2, 1)) > 0).mean(axis=1)
    return starts, np.einsum("bi,bsi->bs", gain, starts) * wanted * given


@njit(cache=True)
def _smooth_value(trade, first, second, gain, width, gradient):  # type: ignore[no-untyped-def]
    """Evaluate the logarithm of the smoothed saving, and its gradient into ``gradient``."""
    n_types, n = first.shape
    saving = 0.0
    for i in range(n):
        saving += gain[i] * trade[i]
    if saving <= 0:
        return -np.inf
    value = np.log(saving)
    for i in range(n):
        gradient[i] = gain[i] / saving
    for side in range(2):
        types = first if side == 0 else second
        sign = 1.0 if side == 0 else -1.0
        total = 0.0
        slope = np.zeros(n)
        for t in range(n_types):
            z = 0.0
            for i in range(n):
                z += types[t, i] * trade[i]
            p = 1.0 / (1.0 + np.exp(min(max(sign * z / width, -500.0), 500.0)))
            total += p
            weight = -sign * p * (1 - p) / width
            for i in range(n):
                slope[i] += weight * types[t, i]
        if total <= 0:
            return -np.inf
        value += np.log(total / n_types)
        for i in range(n):
            gradient[i] += slope[i] / total
    return value


@njit(cache=True)
def _climb(  # type: ignore[no-untyped-def]
    trade, first, second, gain, lower, upper, widths, steps
):
    """Climb from a trade, in place, by projected gradients with backtracking, from wide to narrow."""
    n = len(trade)
    gradient, trial, trial_gradient = np.zeros(n), np.zeros(n), np.zeros(n)
    for width in widths:
        value = _smooth_value(trade, first, second, gain, width, gradient)
        length = 1.0
        for _ in range(steps):
            gained = 0.0
            for _ in range(12):
                for i in range(n):
                    half = (upper[i] - lower[i]) / 2
                    trial[i] = min(max(trade[i] + length * half * half * gradient[i], lower[i]), upper[i])
                trial_value = _smooth_value(trial, first, second, gain, width, trial_gradient)
                if trial_value > value:
                    gained = trial_value - value
                    break
                length /= 3
            if gained == 0.0:
                break
            value = trial_value
            for i in range(n):
                trade[i] = trial[i]
                gradient[i] = trial_gradient[i]
            length *= 2
            if gained < 1e-5:
                break


def _best_trade(
    types_first: FloatArray,
    types_second: FloatArray,
    gain: FloatArray,
    lower: FloatArray,
    upper: FloatArray,
    starts: FloatArray,
    widths: FloatArray,
    steps: int,
) -> tuple[FloatArray, float]:
    """Climb from starts, and keep the best trade on the types at hand, with what it saves there."""
    # loads in units of half the box, so that widths mean the same for every pair and type
    half = np.maximum((upper - lower) / 2, 1e-300)
    first = types_first / (types_first @ half)[:, None]
    second = types_second / (types_second @ half)[:, None]
    climbed = starts.copy()
    for trade in climbed:
        _climb(trade, first, second, gain, lower, upper, widths, steps)
    tried = np.vstack([climbed, starts[:1]])
    values = _hard_values(tried, first, second, gain)
    best = int(values.argmax())
    return tried[best], float(values[best])


def _hard_values(trades: FloatArray, first: FloatArray, second: FloatArray, gain: FloatArray) -> FloatArray:
    """Evaluate the expected savings on the types at hand."""
    wanted, given = (first @ trades.T < 0).mean(axis=0), (second @ trades.T > 0).mean(axis=0)
    return np.asarray((trades @ gain) * wanted * given)
