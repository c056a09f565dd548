"""What all pictures share: where they are drawn, and colours and marks that differ in grey too.

The colours are those of Okabe and Ito (2008), "Color Universal Design", in an order in which neighbours
differ in lightness; lines differ in dash and marker besides. What they call black is the ink: the colour of
matplotlib's text, so that a dark style keeps it legible. Shades are matplotlib's *cividis*, made for readers
with and without colour vision alike (Nuñez, Anderton and Renslow 2018).
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal

from fairlot.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

BLUE, ORANGE, PINK, GREEN, RED, SKY, YELLOW = (
    "#0072B2",
    "#E69F00",
    "#CC79A7",
    "#009E73",
    "#D55E00",
    "#56B4E9",
    "#F0E442",
)
_DASHES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (8, 3)))
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
SHADES = "cividis"
MOST_LABELS = 30
"""Ids along an axis beyond which they are counted instead of named."""
_LONGEST_LABEL = 24
_LETTERS = 13
"""Letters of a label to an inch."""
_SMALL_LETTERS = 15
"""The same in small print."""
_NARROW = 3.5
"""Inches of a picture too narrow for anything but its lines."""


def ink() -> str:
    """Return the colour of text in matplotlib's present style."""
    import matplotlib as mpl

    return str(mpl.rcParams["text.color"])


def colours() -> tuple[str, ...]:
    """Return the colours of lines, in an order in which neighbours differ in lightness."""
    return (BLUE, ORANGE, ink(), PINK, GREEN, RED, SKY, YELLOW)


def line(k: int, *, markers: bool = True) -> dict[str, Any]:
    """Return how the k-th line of a picture looks: colour, dash and marker.

    Parameters
    ----------
    k : int
        Its number; every eighth looks the same.
    markers : bool
        Whether points are marked.
    """
    palette = colours()
    look = {"color": palette[k % len(palette)], "linestyle": _DASHES[k % len(_DASHES)]}
    return look | ({"marker": _MARKERS[k % len(_MARKERS)], "markersize": 4} if markers else {})


def new_figure() -> Figure:
    """Make a figure.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    try:
        from matplotlib import pyplot as plt
    except ImportError:
        raise MissingExtraError("fairlot.plot", "plot") from None
    return plt.figure(layout="constrained")


def axes(ax: Axes | None) -> Axes:
    """Return the Axes to draw into: the one given, or the only one of a new figure."""
    return new_figure().add_subplot() if ax is None else ax


def say(ax: Axes, x: str = "", y: str = "", title: str = "") -> None:
    """Write the labels of the axes, and a title, in lines that fit.

    Parameters
    ----------
    ax : Axes
    x, y, title : str
        Left as they are where empty.
    """
    width, height = _inches(ax)
    if x:
        ax.set_xlabel(_wrapped(x, width))
    if y:
        ax.set_ylabel(_wrapped(y, height))
    if title:
        ax.set_title(_wrapped(title, width), fontsize="medium")


def legend(
    ax: Axes, title: str = "", *, loc: Literal["best", "upper left"] = "best", above: bool = False
) -> None:
    """Explain the lines: within the picture if they are few and it is wide, else above it.

    Parameters
    ----------
    ax : Axes
    title : str
        Of the picture.
    loc : str
        Where within the picture.
    above : bool
        Above it in any case.
    """
    labels = ax.get_legend_handles_labels()[1]
    width = _inches(ax)[0]
    if len(labels) <= 4 and width >= _NARROW and not above:
        ax.legend(frameon=False, fontsize="small", loc=loc)
        say(ax, title=title)
        return
    columns = int(_SMALL_LETTERS * width / (max(map(len, labels), default=0) + 5))
    ax.legend(
        title=_wrapped(title, width) or None,
        frameon=False,
        fontsize="small",
        ncols=min(max(columns, 1), len(labels)),
        title_fontsize="small",
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
    )


def shade_bar(ax: Axes, image: AxesImage, text: str) -> None:
    """Explain shades by a bar beside the picture.

    Parameters
    ----------
    ax : Axes
    image : AxesImage
        What is shaded.
    text : str
        What a shade means.
    """
    ax.figure.colorbar(image, ax=ax, label=_wrapped(text, _inches(ax)[1]))


def _wrapped(text: str, inches: float) -> str:
    return textwrap.fill(text, max(12, int(_LETTERS * inches)), break_long_words=False)


def _inches(ax: Axes) -> tuple[float, float]:
    return ax.bbox.width / ax.figure.dpi, ax.bbox.height / ax.figure.dpi


def shortened(name: str) -> str:
    """Shorten an id to what a label has room for, with nothing that matplotlib would read as markup."""
    name = f"{name[: _LONGEST_LABEL - 1]}…" if len(name) > _LONGEST_LABEL else name
    return (" " if name.startswith("_") else "") + name.replace("$", r"\$")


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
    inches = _inches(ax)[0 if axis == "x" else 1]
    if len(ids) <= min(MOST_LABELS, 6 * inches):
        names = [shortened(name) for name in ids]
        target.set_ticks(range(len(ids)), labels=names)
        if axis == "x" and sum(map(len, names)) + 2 * len(names) > 11 * inches:
            ax.tick_params(axis="x", labelrotation=90)
        say(ax, **{axis: noun})
    else:
        say(ax, **{axis: f"{len(ids):,} {noun}"})
