"""What a lottery leaves to chance, and over how many assignments it is spread."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.lotteries import Decomposition, Lottery
from fairlot.plot.style import BLUE, axes, ink, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_lottery(lottery: Lottery, ax: Axes | None = None) -> Axes:
    r"""Draw how many cells are left to chance, by the probability of the extra copy, and their variance.

    A cell with expectation :math:`w + f`, w whole, is rounded up with probability f and down otherwise, with
    variance :math:`f (1 - f)`, the smallest that any lottery over integers can have.

    Parameters
    ----------
    lottery : Lottery
        From :func:`fairlot.market_lottery` and the like.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    chance = lottery.fraction / lottery.denominator
    free = chance[lottery.fraction > 0]
    ax.hist(free, bins=20, range=(0.0, 1.0), color=BLUE, edgecolor="white", linewidth=0.5, label="cells")
    say(ax, x="probability that the cell gets its last copy")
    say(ax, y="cells (agent and good)")
    ax.locator_params(axis="y", integer=True)
    title = (
        f"{len(free):,} of {lottery.n_cells:,} cells are left to chance; variance of all copies "
        f"{float((free * (1 - free)).sum()):.4g}"
    )
    say(ax, title=title)
    rate = ax.twinx()
    grid = np.linspace(0, 1, 101)
    rate.plot(grid, grid * (1 - grid), color=ink(), linestyle="--", linewidth=1)
    rate.set_ylim(0, 0.27)
    say(rate, y="variance of one cell (copies², dashed)")
    return ax


def plot_terms(decomposition: Decomposition, ax: Axes | None = None) -> Axes:
    r"""Draw the support of a lottery: its assignments, likeliest first, and how much they add up to.

    Parameters
    ----------
    decomposition : Decomposition
        From :func:`fairlot.decompose`, or the terms that a timetable's lottery carries.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import fairlot as fl
    >>> market = fl.PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=1)
    >>> terms = fl.decompose(fl.solve_equilibrium(market).lottery())
    >>> plot_terms(terms).get_ylabel()
    'probability (%)'
    """
    ax = axes(ax)
    weight = np.sort(decomposition.weights.astype(np.float64))[::-1]
    percent = 100 * weight / weight.sum()
    place = np.arange(1, len(percent) + 1)
    ax.stairs(percent, np.arange(len(percent) + 1) + 0.5, fill=True, color=BLUE)
    say(ax, x="assignments in the lottery (likeliest first)")
    say(ax, y="probability (%)")
    ax.set_ylim(bottom=0)
    ax.set_xlim(0.5, len(percent) + 0.5)
    ax.locator_params(axis="x", integer=True)
    half = int(np.searchsorted(np.cumsum(percent), 50.0)) + 1
    title = f"{len(percent):,} assignments; the first {half:,} make up half of the probability"
    say(ax, title=title)
    total = ax.twinx()
    total.plot(place, np.cumsum(percent), color=ink(), linestyle="--", linewidth=1)
    total.set_ylim(0, 105)
    say(total, y="added up (%, dashed)")
    return ax
