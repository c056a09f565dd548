r"""The curve that a solver followed through prices, with its folds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlot.model.market import PseudoMarket
from fairlot.plot.style import axes, ink, legend, line, say, shortened
from fairlot.pseudomarket.trace import Leg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 6
"""Goods drawn one by one; of more, the dearest."""


def plot_path(leg: Leg, market: PseudoMarket, ax: Axes | None = None, *, most: int = _MOST) -> Axes:
    r"""Draw prices along the path of the solver, against the barrier weight that it brings down to 0.

    Time runs to the right, where :math:`\mu` falls. At a fold (a ring) the path turns back in
    :math:`\mu` and a line runs to the left for a while: at that :math:`\mu` there are several smoothed
    equilibria.

    Parameters
    ----------
    leg : Leg
        From :attr:`fairlot.PathRecorder.legs`; the last is the one that led to the result.
    market : PseudoMarket
        What was solved.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    most : int
        Goods drawn, those dearest at the end.

    Returns
    -------
    matplotlib.axes.Axes

    Examples
    --------
    >>> import fairlot as fl
    >>> market = fl.PseudoMarket.from_arrays([[10, 8], [10, 2], [10, 2]], capacities=1)
    >>> recorder = fl.PathRecorder()
    >>> found = fl.solve_equilibrium(market, reporter=recorder)
    >>> plot_path(recorder.legs[-1], market).get_ylabel()
    'price of a copy (mean budget = 1)'
    """
    ax = axes(ax)
    prices = leg.prices / float(market.budgets.mean())
    dearest = np.argsort(-prices[-1], kind="stable")[:most]
    for k, j in enumerate(dearest):
        ax.plot(
            leg.mu,
            prices[:, j],
            **line(k, markers=False),
            label=shortened(market.goods[j]),
        )
    folds = leg.folds
    for k, j in enumerate(dearest):
        ax.plot(
            leg.mu[folds],
            prices[folds, j],
            linestyle="",
            marker="o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor=ink(),
            label=None if k or not len(folds) else f"folds: {len(folds)}",
        )
    ax.set_xscale("log")
    ax.invert_xaxis()
    ax.set_ylim(bottom=0)
    say(ax, x="barrier weight μ (copies × price, scaled); 0 is the equilibrium")
    say(ax, y="price of a copy (mean budget = 1)")
    legend(ax, f"{leg.road}, {len(leg.mu):,} points; the {len(dearest)} dearest goods")
    return ax
