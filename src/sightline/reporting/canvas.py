"""An empty figure without pyplot, in our colours, that takes any letters."""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INK", "any_letters", "empty_figure", "paint", "svg_uri"]

INK = {"light": "#333a45", "dark": "#c9d1dc"}


@contextlib.contextmanager
def any_letters() -> Iterator[None]:
    """Let matplotlib draw a box, without a remark, for a letter that its font lacks: an emoji, say."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def empty_figure(size: tuple[float, float]) -> Figure:
    """Return an empty figure of a size in inches, without pyplot, which keeps state and wants a screen."""
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams.update({"svg.hashsalt": "sightline", "font.size": 10, "text.parse_math": False})
    return Figure(figsize=size)


def svg_uri(figure: Figure) -> str:
    """Return a figure as a data URI of an SVG picture, for an ``img`` element."""
    out = io.BytesIO()
    with any_letters():
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def paint(axes: Any, ink: str) -> None:
    """Draw the axes in one quiet colour."""
    axes.tick_params(colors=ink, labelsize=9)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(ink)
        text.set_fontsize(10)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(ink)
        spine.set_linewidth(0.6)
