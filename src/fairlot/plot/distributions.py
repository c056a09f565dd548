"""Who gets what across mechanisms: ranks and utilities."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlot.baselines.comparison import Comparison
from fairlot.baselines.measures import Measures, valued
from fairlot.baselines.programs import entitlements
from fairlot.model.market import PseudoMarket
from fairlot.plot.style import axes, legend, line, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def _goods(comparison: Comparison) -> tuple[PseudoMarket, list[tuple[str, Measures]]]:
    if not isinstance(comparison.problem, PseudoMarket):
        msg = "ranks and utilities are of comparisons of mechanisms for goods"
        raise TypeError(msg)
    rows = [(row.mechanism.title, row.measures) for row in comparison.rows]
    return comparison.problem, [(title, found) for title, found in rows if isinstance(found, Measures)]


def plot_ranks(comparison: Comparison, ax: Axes | None = None, *, most: int = 10) -> Axes:
    """Draw how many copies per agent are of her best good, second best, ..., added up.

    Parameters
    ----------
    comparison : Comparison
        From :func:`fairlot.compare_mechanisms`, of mechanisms for goods.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Ranks drawn.

    Returns
    -------
    matplotlib.axes.Axes
    """
    _, rows = _goods(comparison)
    ax = axes(ax)
    last = min(most, max((len(found.ranks) for _, found in rows), default=1))
    for k, (title, found) in enumerate(rows):
        ranks = np.cumsum(np.pad(found.ranks, (0, max(0, last - len(found.ranks))))[:last])
        ax.plot(
            np.arange(1, last + 1),
            ranks,
            label=title,
            **line(k),
        )
    say(ax, x="rank of the good in the agent's own order (1 is best)")
    say(ax, y="copies per agent of this rank or better")
    ax.set_ylim(bottom=0)
    ax.locator_params(axis="x", integer=True)
    legend(ax)
    return ax


def plot_utilities(comparison: Comparison, ax: Axes | None = None) -> Axes:
    """Draw the distribution of expected utility over agents, mechanism by mechanism.

    Parameters
    ----------
    comparison, ax
        As in :func:`plot_ranks`.
    """
    market, rows = _goods(comparison)
    ax = axes(ax)
    weight, counted = entitlements(market), valued(market)
    share = 100 * (np.arange(int(counted.sum())) + 1) / max(1, int(counted.sum()))
    for k, (title, found) in enumerate(rows):
        ax.step(
            np.sort((found.utility / weight)[counted]),
            share,
            where="post",
            label=title,
            **line(k, markers=False),
        )
    say(ax, x="expected utility / utility of everything she could hold")
    say(ax, y="agents at or below (%)")
    ax.set_ylim(0, 100)
    legend(ax, loc="upper left")
    return ax
