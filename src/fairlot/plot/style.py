"""What all pictures share: where they are drawn, and colours and marks that differ in grey too.

The colours are those of Okabe and Ito (2008), "Color Universal Design", in an order in which neighbours
differ in lightness; lines differ in dash and marker besides. Shades are matplotlib's *cividis*, made for
readers with and without colour vision alike (Nuñez, Anderton and Renslow 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from fairlot.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072B2", "#E69F00", "#000000", "#CC79A7", "#009E73", "#D55E00", "#56B4E9", "#F0E442")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SHADES = "cividis"
MOST_LABELS = 30
"""Ids along an axis beyond which they are counted instead of named."""


def axes(ax: Axes | None) -> Axes:
    """Return the Axes to draw into: the one given, or the only one of a new figure.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    if ax is not None:
        return ax
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingExtraError("fairlot.plot", "plot") from None
    return plt.subplots(layout="constrained")[1]


def name_ticks(ax: Axes, ids: Sequence[str], noun: str, axis: str) -> None:
    """Label an axis of positions by ids, or where they are many by how many there are.

    Parameters
    ----------
    ax : Axes
    ids : sequence of str
        In order of position.
    noun : str
        What they are, in the plural, with the order in brackets if any.
    axis : "x" or "y"
    """
    target = ax.xaxis if axis == "x" else ax.yaxis
    if len(ids) <= MOST_LABELS:
        target.set_ticks(range(len(ids)), labels=list(ids))
        if axis == "x" and max(map(len, ids), default=0) * len(ids) > 50:
            ax.tick_params(axis="x", labelrotation=90)
        target.set_label_text(noun)
    else:
        target.set_label_text(f"{len(ids):,} {noun}")
