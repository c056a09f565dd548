"""What a lottery leaves to chance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.lotteries import Lottery
from fairlot.plot.style import COLOURS, axes

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
    ax.hist(free, bins=20, range=(0.0, 1.0), color=COLOURS[0], edgecolor="white", label="cells")
    ax.set_xlabel("probability that the cell gets its last copy")
    ax.set_ylabel("cells (agent and good)")
    ax.set_title(
        f"{len(free):,} of {lottery.n_cells:,} cells are left to chance; variance of all copies "
        f"{float((free * (1 - free)).sum()):.4g}",
        fontsize="medium",
    )
    rate = ax.twinx()
    grid = np.linspace(0, 1, 101)
    rate.plot(grid, grid * (1 - grid), color=COLOURS[2], linestyle="--", linewidth=1)
    rate.set_ylim(0, 0.27)
    rate.set_ylabel("variance of one such cell (copies squared, dashed)")
    return ax
