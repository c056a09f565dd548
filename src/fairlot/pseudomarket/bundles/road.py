"""Road C in floating point: paths on bundle columns, asked of the demand oracles until none is missing."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from fairlot.model.economies import FiatEconomy
from fairlot.progress import NullReporter, Reporter
from fairlot.pseudomarket.bundles.columns import MOST_ALL, BundlePoint, Columns
from fairlot.pseudomarket.compiled import CompiledMarket, Point
from fairlot.pseudomarket.joint import solve_joint
from fairlot.pseudomarket.polish import polish, residual
from fairlot.pseudomarket.pricepath import solve_price_path

_SOLVED = 1e-8
"""Residual up to which a point of the columns is an equilibrium of them."""
_MISSED = 1e-9
"""What a missing bundle must add, over the agent's greatest value."""
_ROUNDS = 200
_FIRST_DEMANDS = 12
_LISTED = ("path", "path", "joint", "path", "joint", "path")
_ASKED = ("joint", "path", "path", "joint", "path")
"""Roads in the order in which they are tried: with all columns from the start, and with columns asked for."""


@dataclass(frozen=True)
class Journey:
    """What the road led to.

    Parameters
    ----------
    point : BundlePoint or None
        The equilibrium of the columns; None if no path arrived.
    complete : bool
        Whether no bundle is missing at its prices.
    iterations : int
        Factorisations.
    columns : int
        Columns at the end, over all agents.
    """

    point: BundlePoint | None
    complete: bool
    iterations: int
    columns: int


def travel(
    economy: FiatEconomy,
    *,
    seed: int = 0,
    deadline: float | None = None,
    reporter: Reporter | None = None,
) -> Journey:
    """Go down the road.

    Parameters
    ----------
    economy : FiatEconomy
        The economy; every agent must have some bundle in her domain.
    seed : int
        Of random weights of the paths: another seed may lead to another equilibrium.
    deadline : float, optional
        ``time.monotonic`` value at which to stop.
    reporter : Reporter, optional
        Told the rounds.
    """
    reporter = reporter or NullReporter()
    columns = Columns(economy)
    listed = economy.n_goods <= MOST_ALL
    if listed:
        columns.add_all()
    else:
        _first_columns(columns, seed)
    spent, point = 0, None
    for _ in range(_ROUNDS):
        reporter.stage("bundle columns")
        compiled, masks = columns.compile()
        start = None if point is None else columns.write(compiled, masks, point)
        found = _solve(compiled, _LISTED if listed else _ASKED, start, seed, deadline)
        spent += found.iterations
        if residual(compiled, found) > _SOLVED:
            return Journey(None, False, spent, sum(map(len, columns.values)))
        point = columns.read(compiled, masks, found)
        new = [] if listed else [columns.add(i, mask) for i, mask in columns.missing(point, _MISSED)]
        if not any(new):
            return Journey(point, True, spent, sum(map(len, columns.values)))
        if deadline is not None and time.monotonic() > deadline:
            break
    return Journey(point, False, spent, sum(map(len, columns.values)))


def _solve(
    compiled: CompiledMarket,
    roads: Sequence[str],
    start: Point | None,
    seed: int,
    deadline: float | None,
) -> Point:
    """Try one road after the other until one arrives."""
    points: list[Point] = []
    for k, road in enumerate(roads):
        solve = solve_price_path if road == "path" else solve_joint
        points.append(
            polish(compiled, solve(compiled, start=start, seed=seed + k // 2 * 97, deadline=deadline))
        )
        late = deadline is not None and time.monotonic() > deadline
        if residual(compiled, points[-1]) <= _SOLVED or late:
            break
        start = None
    return min(points, key=lambda point: residual(compiled, point))


def _first_columns(columns: Columns, seed: int) -> None:
    """Ask every agent what she would take at a few random prices, cheap to dear."""
    economy = columns.economy
    rng = np.random.default_rng(seed)
    usual = sum(float(b) for b in economy.budgets) / economy.n_goods
    everything = (1 << economy.n_goods) - 1
    for i, (u, budget) in enumerate(zip(economy.valuations, economy.budgets, strict=True)):
        columns.add(i, everything)
        top = float(u.value(range(economy.n_goods)))
        for level in np.geomspace(0.1, 10.0, _FIRST_DEMANDS):
            prices = (usual * rng.uniform(0.5, 1.5, economy.n_goods)).tolist()
            alpha = level * max(top, 1e-300) / float(budget)
            bundle = u.demand(prices, alpha)
            columns.add(i, sum(1 << j for j in bundle))
