"""Prices, shares and supply of a pseudo-market's equilibrium."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fairlot.baselines.gains import open_gains
from fairlot.baselines.picking import draft
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.plot.style import BLUE, RED, SHADES, axes, ink, legend, name_ticks, say, shade_bar, shortened
from fairlot.verify.branching import most_wanted

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fairlot.model.shares import RandomAllocation

_MOST_NAMED = 6
"""Goods named in a picture of prices, the dearest."""
_MOST_BARS = 40
"""Goods above which bars become a skyline."""


class Solved(Protocol):
    """What these pictures read of an equilibrium, as solved or as a result folder publishes it."""

    @property
    def market(self) -> PseudoMarket:
        """The market."""

    @property
    def prices(self) -> FloatArray | None:
        """Money per copy, shape (n_goods,)."""

    @property
    def shares(self) -> RandomAllocation | None:
        """Expected copies."""


def solved_part(equilibrium: Solved) -> tuple[FloatArray, RandomAllocation]:
    """Return prices and shares.

    Raises
    ------
    ValueError
        If there are none.
    """
    if equilibrium.prices is None or equilibrium.shares is None:
        msg = "there is nothing to draw: no assignment respects every bound"
        raise ValueError(msg)
    return equilibrium.prices, equilibrium.shares


def wanted_for_free(market: PseudoMarket) -> IntArray:
    """Count the copies of each good that agents would hold together if everything were free and plenty.

    Parameters
    ----------
    market : PseudoMarket
        The market.
    """
    if market.crossings:
        return most_wanted(market)
    gains = open_gains(market)
    plenty = replace(gains, supply=np.full(len(gains.supply), np.iinfo(np.int64).max // 2))
    order, ties = np.arange(market.n_agents), np.zeros(market.values.nnz)
    copies = draft(plenty, order, ties, whole_bundles=True, reverse=False)
    return np.bincount(market.pair_good, copies, minlength=market.n_goods).astype(np.int64)


def plot_prices(equilibrium: Solved, ax: Axes | None = None) -> Axes:
    """Draw prices against popularity: copies wanted if all were free, per copy there is.

    Parameters
    ----------
    equilibrium : Equilibrium or PublishedEquilibrium
        A solved market.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import fairlot as fl
    >>> market = fl.PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=1)
    >>> plot_prices(fl.solve_equilibrium(market)).get_ylabel()
    'price of a copy (mean budget = 1)'
    """
    prices, _ = solved_part(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    popularity = wanted_for_free(market) / np.maximum(market.capacities, 1)
    money = float(market.budgets.mean())
    offered = market.capacities > 0
    ax.scatter(popularity[offered], prices[offered] / money, s=24, color=BLUE, alpha=0.7)
    ax.axvline(1.0, color=ink(), linewidth=0.8, linestyle=":")
    named = [j for j in np.argsort(-prices, kind="stable")[:_MOST_NAMED] if prices[j] > 0 and offered[j]]
    ax.margins(x=0.1, y=0.08)
    say(ax, x="copies wanted if all were free / copies there are")
    say(ax, y="price of a copy (mean budget = 1)")
    ax.set_ylim(bottom=-0.03 * max(1e-9, float(prices.max(initial=0.0)) / money))
    _name_points(ax, [market.goods[j] for j in named], popularity[named], prices[named] / money)
    return ax


def _name_points(ax: Axes, ids: Sequence[str], x: FloatArray, y: FloatArray) -> None:
    """Write ids beside points, inwards, leaving out those that would stand on one another."""
    ax.autoscale_view()
    at = ax.transData.transform(np.column_stack([x, y])) * 72.0 / ax.figure.dpi  # in points
    right = ax.bbox.x1 * 72.0 / ax.figure.dpi
    taken: list[tuple[float, float, float]] = []
    for name, place, (left, level) in zip(map(shortened, ids), zip(x, y, strict=True), at, strict=True):
        width = 6.0 * len(name)
        inwards = left + width > right
        start = left - width if inwards else left
        if any(
            abs(level - other) < 11 and start < end and begin < start + width for begin, end, other in taken
        ):
            continue
        taken.append((start, start + width, level))
        ax.annotate(
            name,
            place,
            xytext=(-4 if inwards else 4, 4),
            textcoords="offset points",
            fontsize="small",
            ha="right" if inwards else "left",
        )


def plot_shares(equilibrium: Solved, ax: Axes | None = None) -> Axes:
    """Draw expected copies as a map of agents by goods, dearest goods first.

    Parameters
    ----------
    equilibrium, ax
        As in :func:`plot_prices`. Agents are ordered by the good they hold most of.
    """
    prices, shares = solved_part(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    columns = np.argsort(-prices, kind="stable")
    table = shares.to_array()[:, columns]
    rows = np.lexsort((-table.max(axis=1), table.argmax(axis=1)))
    most = max(1.0, float(table.max(initial=0.0)))
    image = ax.imshow(table[rows], aspect="auto", cmap=SHADES, vmin=0.0, vmax=most)
    shade_bar(ax, image, "expected copies")
    name_ticks(ax, [market.goods[j] for j in columns], "goods (dearest first)", "x")
    name_ticks(ax, [market.agents[i] for i in rows], "agents (by what they hold most of)", "y")
    return ax


def plot_supply(equilibrium: Solved, ax: Axes | None = None) -> Axes:
    """Draw copies wanted for free, copies there are and copies given, by good, dearest first.

    Parameters
    ----------
    equilibrium, ax
        As in :func:`plot_prices`.
    """
    prices, shares = solved_part(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    order = np.lexsort((-market.capacities, -prices))
    place = np.arange(market.n_goods)
    given = np.asarray(shares.matrix.sum(axis=0)).ravel()
    wanted = wanted_for_free(market)
    if market.n_goods <= _MOST_BARS:
        ax.bar(place, market.capacities[order], color="none", edgecolor=ink(), label="copies there are")
        ax.bar(place, given[order], color=BLUE, width=0.5, label="copies given")
    else:
        edges = np.arange(market.n_goods + 1) - 0.5
        ax.stairs(given[order], edges, fill=True, color=BLUE, label="copies given")
        ax.stairs(market.capacities[order], edges, color=ink(), linewidth=0.8, label="copies there are")
    ax.plot(
        place,
        wanted[order],
        linestyle="",
        marker="_",
        markersize=float(np.clip(200 / market.n_goods, 3, 12)),
        markeredgewidth=1.8,
        color=RED,
        label="wanted for free",
    )
    priced = int((prices > 0).sum())
    if 0 < priced < market.n_goods:
        ax.axvline(priced - 0.5, color=ink(), linestyle=":", linewidth=0.8)
        ax.annotate(
            "price 0",
            (priced - 0.5, 1.0),
            xytext=(3, -3),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            va="top",
            fontsize="small",
        )
    say(ax, y="copies")
    name_ticks(ax, [market.goods[j] for j in order], "goods (dearest first)", "x")
    legend(ax, above=True)
    return ax
