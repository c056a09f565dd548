"""Road A: from a compiled market to a point near a strong equilibrium, by the path in price space."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.pricepath.clearing import Clearing, Position, UnitClearing
from fairlot.pseudomarket.pricepath.layout import BOTH, EQUAL, LOWER, TAPER, Layout, lay_out
from fairlot.pseudomarket.pricepath.newton import State
from fairlot.pseudomarket.pricepath.path import Progress, follow
from fairlot.pseudomarket.pricepath.unit import LEAST_MU, wants_one_bound
from fairlot.pseudomarket.trace import begin_path

_ATTEMPTS = 5
_MONEY_SHARE = 0.03
_MOST_FACTORIZATIONS = 6000
_NEAR_END = 1e-7
"""Barrier parameter from which a path of agents under one bound that stops is lost to rounding only."""


def solve_price_path(
    compiled: CompiledMarket,
    *,
    start: Point | None = None,
    tol: float = 1e-10,
    deadline: float | None = None,
    max_iter: int | None = None,
    seed: int = 0,
    reporter: Reporter | None = None,
) -> Point:
    """Follow smoothed equilibria in price space until the barrier parameter is below ``tol``.

    Agents are at their optimum all the way; only the prices of the scarce supply rows are unknown. A
    path that does not reach its end is tried again with random barrier weights; one at whose end an
    agent keeps money that she would rather spend, with a smaller value of money to her.

    Parameters
    ----------
    compiled : CompiledMarket
        The market; each agent's own bounds must be consistent.
    start : Point, optional
        Whose prices to start from, instead of equal ones.
    tol : float
        Largest product of a complementary pair at the end, in scaled units.
    deadline : float, optional
        ``time.monotonic`` value at which to stop.
    max_iter : int, optional
        Most factorisations, over all paths.
    seed : int
        Of the random weights; unless it is 0 they are drawn for the first path too.
    reporter : Reporter, optional
        Told the barrier parameter.

    Returns
    -------
    Point
        ``finished`` only if the path reached its end; else the point of the smallest barrier parameter
        met. ``alpha`` is complementary to unspent money: a satiated agent's is nearly 0, though among
        her best bundles she takes the cheapest.

    Examples
    --------
    >>> from fairlot.model.constraints import Quota
    >>> from fairlot.model.market import PseudoMarket
    >>> from fairlot.pseudomarket.compiled import compile_market
    >>> values = [[100, 20, 0], [100, 20, 0], [100, 80, 0]]
    >>> market = PseudoMarket.from_arrays(values, capacities=1, quotas=[Quota("one", max=1)])
    >>> point = solve_price_path(compile_market(market))
    >>> point.finished, point.q.round(6).tolist()
    (True, [2.5, 0.5, 0.0])
    """
    reporter = NullReporter() if reporter is None else reporter
    if compiled.n_pairs == 0:
        return Point(
            x=np.zeros(0),
            q=np.zeros(len(compiled.supply)),
            alpha=np.zeros(compiled.n_agents),
            y=np.zeros(compiled.n_nodes),
            finished=True,
            iterations=0,
        )
    ends: list[tuple[Layout, Progress]] = []
    rng = np.random.default_rng(seed)
    drawn, shares = seed != 0, np.full(compiled.n_agents, _MONEY_SHARE)
    simple = wants_one_bound(compiled)
    left = np.inf if max_iter is None else max_iter
    for _ in range(_ATTEMPTS):
        begin_path(reporter, "price path", compiled)
        layout = lay_out(compiled, shares, rng if drawn else None)
        with np.errstate(all="ignore"):  # numerical trouble ends a path, it is no error
            clearing, progress = _descend(
                layout,
                _start(layout, start),
                tol,
                simple,
                int(min(left, _MOST_FACTORIZATIONS)),
                deadline,
                reporter,
            )
        left -= progress.factorizations
        ends.append((layout, progress))
        if left <= 0 or (deadline is not None and time.monotonic() > deadline):
            break
        if progress.note and simple and tol < LEAST_MU:
            simple = False  # the closed form is not accurate enough for so fine an end
            continue
        if progress.note and not (simple and progress.position.mu <= _NEAR_END):
            drawn, start = drawn or start is None, None
            continue
        frugal = clearing.frugal(progress.position)
        if progress.note or not frugal.any():
            break
        shares[layout.who[frugal]] *= 0.01
    finished = [end for end in ends if not end[1].note]
    best = finished[-1] if finished else min(ends, key=lambda end: end[1].position.mu)
    return _point(compiled, *best, sum(progress.factorizations for _, progress in ends))


def _descend(
    layout: Layout,
    position: Position,
    tol: float,
    simple: bool,
    most: int,
    deadline: float | None,
    reporter: Reporter,
) -> tuple[Clearing, Progress]:
    """Follow one path: agents under one bound first as such, down to where that is accurate."""
    kappa = 2.0 / _usual_price(layout)
    stages: list[tuple[type[Clearing], float]] = [(UnitClearing, max(tol, LEAST_MU))] if simple else []
    if not simple or tol < LEAST_MU:
        stages.append((Clearing, tol))
    spent = 0
    for kind, end in stages:
        clearing = kind(layout, kappa)
        progress = follow(
            clearing, position, tol=end, most=most - spent, deadline=deadline, reporter=reporter
        )
        spent += progress.factorizations
        position = progress.position
        if progress.note:
            break
    return clearing, replace(progress, factorizations=spent)


def _start(layout: Layout, point: Point | None) -> Position:
    """Choose a position in the interior: equal prices, everyone spending about half her money."""
    a, fold = layout.agents, layout.fold
    n_columns = fold.shape[1]
    pairs = np.bincount(a.column, minlength=n_columns + 1)[:-1]
    share = np.ones(n_columns + 1)
    offered = 0.9 * np.maximum(layout.supply, 0.1) / np.maximum(fold @ pairs, 1.0)
    row, column = fold.nonzero()
    np.minimum.at(share, column, offered[row])
    x = np.minimum(0.5 * a.cap, share[a.column])
    mu = float(x.mean())
    budget = a.upper[layout.budget_row]
    if point is None:
        q = np.full(len(layout.supply), min(_usual_price(layout), 0.5 * _affordable(layout)))
    else:
        q = np.maximum(point.q[layout.supply_row], 1e-3 * budget.sum() / layout.supply.sum())
    total = _slice_sums(x, a.low, a.high)
    total[layout.budget_row] = _slice_sums(
        x * np.append(fold.T @ q, 0.0)[a.column], a.pair_start[:-1], a.pair_start[1:]
    )
    room = np.where(np.isfinite(a.upper), a.upper - total, 1.0)
    excess = np.where(np.isfinite(a.lower), total - a.lower, 1.0)
    least = np.full(len(a.kind), 0.05)
    least[layout.budget_row] = 0.1 * budget
    room, excess = np.maximum(room, least), np.maximum(excess, least)
    toll, rebate = mu / room, mu / excess
    soft = a.kind == TAPER
    toll[soft] = rebate[soft] = 0.5 * a.penalty[soft]
    room[soft] = excess[soft] = mu / toll[soft]
    toll[a.kind == EQUAL] = 0.0
    z, w = mu / x, np.where(a.capped, mu / (a.cap - x), 0.0)
    return Position(q, mu, State(x, z, w, room, toll, excess, rebate))


def _usual_price(layout: Layout) -> float:
    """Return the price of all rows at which half of all money would buy all that can be used."""
    a = layout.agents
    return float(0.5 * a.upper[layout.budget_row].sum() / min(layout.supply.sum(), a.cap.sum()))


def _affordable(layout: Layout) -> float:
    """Return a price of all rows at which everybody can pay for the copies that bounds force on her."""
    a = layout.agents
    least = np.where(np.isfinite(a.lower), np.maximum(a.lower, 0.0), 0.0)
    needed = np.add.reduceat(least, a.row_start[:-1]) + _slice_sums(
        a.forced, a.forced_start[:-1], a.forced_start[1:]
    )
    rows = layout.fold.sum(axis=0).max(initial=1.0)
    return float((a.upper[layout.budget_row] / np.maximum(rows * needed, 1e-300)).min())


def _slice_sums(numbers: FloatArray, low: IntArray, high: IntArray) -> FloatArray:
    sums = np.concatenate([[0.0], np.cumsum(numbers)])
    return np.asarray(sums[high] - sums[low])


def _point(compiled: CompiledMarket, layout: Layout, progress: Progress, spent: int) -> Point:
    """Translate a position back to the compiled market's order."""
    state, kind = progress.position.state, layout.agents.kind
    x = np.empty(compiled.n_pairs)
    x[layout.pair] = state.x
    q = np.zeros(len(compiled.supply))
    q[layout.supply_row] = progress.position.q
    unspent, beta = state.room[layout.budget_row], state.toll[layout.budget_row]
    alpha = np.zeros(compiled.n_agents)
    alpha[layout.who] = np.where(beta < unspent, beta, beta + layout.agents.money)
    y = np.zeros(compiled.n_nodes)
    net = np.where(kind == LOWER, 0.0, state.toll) - np.where(
        (kind == LOWER) | (kind == BOTH), state.rebate, 0.0
    )
    y[layout.node] = net[layout.node_row]
    return Point(x, q, alpha, y, not progress.note, spent, progress.note)
