"""Pictures of a report as inline SVG that follows the page's colours, each with the table behind it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from fairlot.errors import MissingExtraError

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Picture:
    """A picture and its data.

    Parameters
    ----------
    title, caption : str
        What it shows, and how to read it; the caption is also its text for those who do not see it.
    svg : str
        Inline SVG.
    header : tuple of str
    rows : sequence of tuple of str
        The table behind it.
    """

    title: str
    caption: str
    svg: str
    header: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]


def draw_svg(title: str, draw: Callable[[Axes], object], size: tuple[float, float] = (6.4, 4.2)) -> str:
    """Draw into a figure of its own and return it as inline SVG.

    Parameters
    ----------
    title : str
        Of the picture, for screen readers.
    draw : callable
        Draws into the Axes it is given.
    size : (float, float)
        Inches.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    """
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("fairlot report", "plot") from None
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "fairlot", "font.family": "sans-serif"}):
        figure = Figure(figsize=size, layout="constrained")
        draw(figure.add_subplot())
        out = io.StringIO()
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    # Identifiers must be unique in the page, not only in the picture.
    prefix = re.sub(r"\W+", "-", title.lower())
    svg = re.sub(r'id="([^"]+)"', rf'id="{prefix}-\1"', svg)
    svg = re.sub(r'(xlink:href|href)="#([^"]+)"', rf'\1="#{prefix}-\2"', svg)
    svg = re.sub(r"url\(#([^)]+)\)", rf"url(#{prefix}-\1)", svg)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{title}" ', 1)
