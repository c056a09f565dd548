r"""Who would rather have whose lottery."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.hierarchy import FloatArray, IntArray
from fairlot.model.lotteries import Decomposition, Lottery
from fairlot.model.market import PseudoMarket
from fairlot.plot.markets import Solved, solved_part
from fairlot.plot.style import SHADES, axes, name_ticks, shade_bar
from fairlot.pseudomarket.timetable.result import TimetableEquilibrium
from fairlot.verify.branching import best_lotteries, open_menus
from fairlot.verify.demand import open_trees
from fairlot.verify.envy import uses

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_envy(
    equilibrium: Solved, ax: Axes | None = None, *, most: int = 60, lottery: Lottery | None = None
) -> Axes:
    r"""Draw what each agent would get from every other's lottery, relative to her own.

    Parameters
    ----------
    equilibrium : Equilibrium or PublishedEquilibrium
        A solved market.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Agents drawn; of more, evenly chosen ones in the order of budgets.
    lottery : Lottery, optional
        Where quotas cross and the equilibrium comes from a result folder: the lottery with its terms.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If quotas cross and there is no lottery.

    Notes
    -----
    Entry (i, k) is :math:`\max \{\bar u_i(y) : y \le x_k, y \in P_i\} / \bar u_i(x_i)`; agent i envies k of
    the same budget where it is above 1. Where quotas cross it is the mean, over the bundles of k's lottery,
    of the best use that i could make of each. Empty where no part meets her lower bounds.
    """
    chosen, ratio = envy_table(equilibrium, most=most, lottery=lottery)
    return draw_envy(equilibrium.market, chosen, ratio, axes(ax))


def draw_envy(market: PseudoMarket, chosen: IntArray, ratio: FloatArray, ax: Axes) -> Axes:
    """Draw what :func:`envy_table` computed.

    Parameters
    ----------
    market : PseudoMarket
        Whose agents they are.
    chosen, ratio
        From there.
    ax : matplotlib.axes.Axes
        Where to draw.
    """
    image = ax.imshow(ratio, cmap=SHADES, vmin=0.0, vmax=max(1.0, float(np.nanmax(ratio, initial=1.0))))
    shade_bar(ax, image, "value of the other's lottery / of her own")
    label = "agents (lowest budget first)"
    name_ticks(ax, [market.agents[i] for i in chosen], label, "x")
    name_ticks(ax, [market.agents[i] for i in chosen], label, "y")
    return ax


def envy_table(
    equilibrium: Solved, *, most: int = 60, lottery: Lottery | None = None
) -> tuple[IntArray, FloatArray]:
    """Compute what :func:`plot_envy` draws.

    Parameters
    ----------
    equilibrium, most, lottery
        As there.

    Returns
    -------
    chosen : IntArray, shape (n,)
        Positions of the agents drawn.
    ratio : FloatArray, shape (n, n)
        Value of the column's lottery to the row's agent, relative to her own; NaN where there is none.
    """
    _, shares = solved_part(equilibrium)
    market = equilibrium.market
    order = np.argsort(market.budgets, kind="stable")
    chosen = order[np.unique(np.linspace(0, market.n_agents - 1, min(most, market.n_agents)).astype(int))]
    if market.crossings:
        if lottery is None and isinstance(equilibrium, TimetableEquilibrium):
            lottery = equilibrium.lottery()
        if lottery is None or lottery.terms is None:
            msg = "where quotas cross, envy is of whole bundles: it takes the lottery with its terms"
            raise ValueError(msg)
        worth = _uses_of_bundles(market, lottery, lottery.terms, chosen)
    else:
        worth = uses(market, open_trees(market), shares.matrix, chosen)
    own = np.diag(worth)[:, None]
    ratio = np.divide(worth, own, out=np.full_like(worth, np.nan), where=own > 0)
    return chosen, ratio


def _uses_of_bundles(
    market: PseudoMarket, lottery: Lottery, terms: Decomposition, chosen: IntArray
) -> FloatArray:
    """Compute what each chosen agent could make of the bundles of each other's lottery, on average."""
    menus = open_menus(market)
    agent = np.repeat(np.arange(market.n_agents), np.diff(menus.start))
    first = np.ones(len(agent), dtype=bool)
    first[1:] = (agent[1:] != agent[:-1]) | (menus.good[1:] != menus.good[:-1])
    place = np.arange(len(agent))
    nth = place - np.maximum.accumulate(np.where(first, place, 0))  # which copy of its good it is
    present = np.isin(agent, chosen)
    free = np.zeros(market.n_goods)

    def best(bundle: tuple[int, ...]) -> FloatArray:
        there = present & (nth < np.array(bundle)[menus.good])
        worth = best_lotteries(
            market, free, replace(menus, value=np.where(there, menus.value, -np.inf))
        ).value
        return np.where(np.isfinite(worth[chosen]), worth[chosen], np.nan)

    found = np.zeros((len(chosen), len(chosen)))
    for column, k in enumerate(chosen):
        for bundle, chance in _bundles(market, lottery, terms, market.agents[k]).items():
            found[:, column] += chance * best(bundle)
    return found


def _bundles(
    market: PseudoMarket, lottery: Lottery, terms: Decomposition, agent: str
) -> dict[tuple[int, ...], float]:
    """Return an agent's bundles, copies by good of the market, and the probability of each."""
    cells = np.flatnonzero(lottery.cell_agent == lottery.agents.index(agent))
    goods = [market.goods.index(lottery.goods[g]) for g in lottery.cell_good[cells]]
    owned: dict[tuple[int, ...], float] = {}
    for t in range(terms.n_terms):
        copies = np.zeros(market.n_goods, dtype=np.int64)
        copies[goods] = terms.copies(t)[cells]
        bundle = tuple(copies.tolist())
        owned[bundle] = owned.get(bundle, 0.0) + float(terms.weights[t]) / lottery.denominator
    return owned
