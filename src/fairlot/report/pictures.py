"""Pictures of a report as inline SVG in the page's own colours, each with the table behind it.

Every picture is drawn twice, for a screen and for a phone, since letters that shrink with the page cannot be
read. Lines and letters take the colour of the page's text, so that they follow it from light to dark.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import escape

from fairlot.errors import MissingExtraError
from fairlot.pseudomarket.explanation import number_words

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_WIDE, _NARROW = (8.0, 4.4), (3.4, 3.6)
"""Inches."""
_INK = "#010203"
"""Stands for the colour of text until the picture is in the page."""
SHOWN = 100
"""Rows of a table that the page shows; the file to save has all."""

Cell = str | int | float
Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Picture:
    """A picture and its data.

    Parameters
    ----------
    title, caption : str
        What it shows, and how to read it; the caption is also its text for those who do not see it.
    wide, narrow : str
        Inline SVG, for a screen and for a phone.
    header : tuple of str
        Columns of the table behind it, with units.
    rows : sequence of tuple
        Its rows, numbers at full precision.
    """

    title: str
    caption: str
    wide: str
    narrow: str
    header: tuple[str, ...]
    rows: Sequence[Row]

    @property
    def shown(self) -> list[tuple[str, ...]]:
        """The first rows, for reading."""
        return [tuple(map(words, row)) for row in self.rows[:SHOWN]]

    @property
    def name(self) -> str:
        """Name of the file with the table."""
        return re.sub(r"\W+", "-", self.title.lower()).strip("-") + ".csv"


def words(cell: Cell) -> str:
    """Write a cell of a table."""
    return number_words(cell) if isinstance(cell, float) else str(cell)


def picture(
    title: str,
    caption: str,
    draw: Callable[[Axes], object],
    header: tuple[str, ...],
    rows: Sequence[Row],
) -> Picture:
    """Draw a picture for both widths.

    Parameters
    ----------
    title, caption, header, rows
        As in :class:`Picture`.
    draw : callable
        Draws into the Axes it is given.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    prefix = re.sub(r"\W+", "-", title.lower())
    wide, narrow = (
        _svg(title, draw, size, f"{prefix}-{kind}") for kind, size in (("wide", _WIDE), ("narrow", _NARROW))
    )
    return Picture(title, caption, wide, narrow, header, rows)


def _svg(title: str, draw: Callable[[Axes], object], size: tuple[float, float], prefix: str) -> str:
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("fairlot report", "plot") from None
    ink: dict[Any, Any] = dict.fromkeys(
        ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color"), _INK
    )
    paper: dict[Any, Any] = {
        "axes.facecolor": "none",
        "figure.facecolor": "none",
        "savefig.facecolor": "none",
    }
    fixed: dict[Any, Any] = {"svg.fonttype": "none", "svg.hashsalt": "fairlot", "font.family": "sans-serif"}
    with mpl.rc_context({**ink, **paper, **fixed}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", dpi=144, metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :].replace(_INK, "currentColor")
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Identifiers must be unique in the page, not only in the picture.
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{prefix}-\2"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{escape(title)}" ', 1)
