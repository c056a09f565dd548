"""Savings against replicas, and the way from money of value to fiat money."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fairlot.plot.style import BLUE, RED, SKY, axes, ink, legend, line, say

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from fairlot.pseudomarket.quasilinear.limit import LimitPath
    from fairlot.reallocation.large_market.replicas import ReplicaStudy


def plot_replicas(study: ReplicaStudy, ax: Axes | None = None) -> Axes:
    """Draw mean savings per replica against the size of the economy, with their 95% band.

    Parameters
    ----------
    study : ReplicaStudy
        From :func:`fairlot.reallocation.large_market.replicas.study_replicas`.
    ax : matplotlib.axes.Axes, optional
        Where to draw.

    Returns
    -------
    matplotlib.axes.Axes
    """
    ax = axes(ax)
    n = np.array([row.replicas for row in study.rows], dtype=float)
    mean = np.array([row.saving for row in study.rows])
    margin = 1.96 * np.array([row.standard_error for row in study.rows])
    least = np.array([row.least for row in study.rows])
    ax.fill_between(n, mean - margin, mean + margin, color=SKY, alpha=0.4, label="95% of the mean")
    ax.plot(n, mean, color=BLUE, marker="o", markersize=4, label="mean saving")
    ax.plot(n, least, color=ink(), marker="v", markersize=4, linestyle=":", label="smallest draw")
    ax.axhline(study.large_market_saving, color=RED, linestyle="--", label="large market")
    ax.set_xscale("log")
    ax.set_ylim(bottom=min(0.0, float(least.min(initial=0.0))))
    say(ax, x="replicas N of every agent and task")
    say(ax, y="saving per replica (cost units per period)")
    legend(ax)
    return ax


def plot_limit(path: LimitPath, ax: Axes | None = None) -> Axes:
    """Draw prices along growing n, on the way to fiat money.

    Parameters
    ----------
    path : LimitPath
        From :func:`fairlot.follow_limit`.
    ax : matplotlib.axes.Axes, optional
        Where to draw.
    """
    ax = axes(ax)
    columns = path.columns()
    for j in range(path.economy.n_goods):
        ax.plot(
            columns["n"],
            columns[f"price {j}"],
            label=f"good {j}",
            **line(j),
        )
    ax.set_xscale("log")
    say(ax, x="n: how many units of money a unit of utility is worth")
    say(ax, y="price (units of money)")
    ax.set_ylim(bottom=0)
    legend(ax)
    return ax
