"""Prices, shares, supply and envy of a pseudo-market's equilibrium."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import numpy as np

from fairlot.baselines.gains import open_gains
from fairlot.baselines.picking import draft
from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.market import PseudoMarket
from fairlot.plot.style import COLOURS, MOST_LABELS, SHADES, axes, name_ticks
from fairlot.verify.branching import most_wanted
from fairlot.verify.demand import open_trees
from fairlot.verify.envy import uses

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fairlot.model.shares import RandomAllocation


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


def _solved(equilibrium: Solved) -> tuple[FloatArray, RandomAllocation]:
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
    prices, _ = _solved(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    popularity = wanted_for_free(market) / np.maximum(market.capacities, 1)
    money = float(market.budgets.mean())
    offered = market.capacities > 0
    ax.scatter(popularity[offered], prices[offered] / money, s=24, color=COLOURS[0], alpha=0.7)
    ax.axvline(1.0, color=COLOURS[2], linewidth=0.8, linestyle=":")
    for j in np.argsort(-prices, kind="stable")[: min(6, MOST_LABELS)]:
        if prices[j] > 0 and offered[j]:
            ax.annotate(
                market.goods[j],
                (popularity[j], prices[j] / money),
                xytext=(4, 4),
                textcoords="offset points",
                fontsize="small",
            )
    ax.set_xlabel("copies wanted if all were free / copies there are")
    ax.set_ylabel("price of a copy (mean budget = 1)")
    ax.set_ylim(bottom=-0.03 * max(1e-9, float(prices.max(initial=0.0)) / money))
    return ax


def plot_shares(equilibrium: Solved, ax: Axes | None = None) -> Axes:
    """Draw expected copies as a map of agents by goods, dearest goods first.

    Parameters
    ----------
    equilibrium, ax
        As in :func:`plot_prices`. Agents are ordered by the good they hold most of.
    """
    prices, shares = _solved(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    columns = np.argsort(-prices, kind="stable")
    table = shares.to_array()[:, columns]
    rows = np.lexsort((-table.max(axis=1), table.argmax(axis=1)))
    most = max(1.0, float(table.max(initial=0.0)))
    image = ax.imshow(table[rows], aspect="auto", cmap=SHADES, vmin=0.0, vmax=most, interpolation="nearest")
    ax.figure.colorbar(image, ax=ax, label="expected copies")
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
    prices, shares = _solved(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    order = np.lexsort((-market.capacities, -prices))
    place = np.arange(market.n_goods)
    given = np.asarray(shares.matrix.sum(axis=0)).ravel()
    wanted = wanted_for_free(market)
    ax.bar(place, market.capacities[order], color="white", edgecolor=COLOURS[2], label="copies there are")
    ax.bar(place, given[order], color=COLOURS[0], width=0.5, label="copies given")
    ax.plot(
        place,
        wanted[order],
        linestyle="",
        marker="_",
        markersize=9,
        color=COLOURS[5],
        label="wanted for free",
    )
    priced = int((prices > 0).sum())
    if 0 < priced < market.n_goods:
        ax.axvline(priced - 0.5, color=COLOURS[2], linestyle=":", linewidth=0.8)
        ax.annotate(
            "price 0", (priced - 0.4, 1.0), xycoords=("data", "axes fraction"), va="top", fontsize="small"
        )
    ax.set_ylabel("copies")
    name_ticks(ax, [market.goods[j] for j in order], "goods (dearest first)", "x")
    ax.legend(loc="upper right", frameon=False)
    return ax


def plot_envy(equilibrium: Solved, ax: Axes | None = None, *, most: int = 60) -> Axes:
    r"""Draw what each agent would get from every other's expected copies, relative to her own.

    Parameters
    ----------
    equilibrium, ax
        As in :func:`plot_prices`.
    most : int
        Agents drawn; of more, evenly chosen ones in the order of budgets.

    Notes
    -----
    Entry (i, k) is :math:`\max \{\bar u_i(y) : y \le x_k, y \in P_i\} / \bar u_i(x_i)`; agent i envies k of
    the same budget where it is above 1. Empty where no part of :math:`x_k` meets her lower bounds.
    """
    _, shares = _solved(equilibrium)
    market = equilibrium.market
    ax = axes(ax)
    order = np.argsort(market.budgets, kind="stable")
    chosen = order[np.unique(np.linspace(0, market.n_agents - 1, min(most, market.n_agents)).astype(int))]
    worth = uses(market, open_trees(market), shares.matrix, chosen)
    own = np.diag(worth)[:, None]
    ratio = np.divide(worth, own, out=np.full_like(worth, np.nan), where=own > 0)
    image = ax.imshow(ratio, cmap=SHADES, vmin=0.0, vmax=max(1.0, float(np.nanmax(ratio, initial=1.0))))
    ax.figure.colorbar(image, ax=ax, label="value of the column agent's lottery / own lottery")
    label = "agents (lowest budget first)"
    name_ticks(ax, [market.agents[i] for i in chosen], label, "x")
    name_ticks(ax, [market.agents[i] for i in chosen], label, "y")
    return ax
