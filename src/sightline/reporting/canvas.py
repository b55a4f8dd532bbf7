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

__all__ = ["INK", "any_letters", "both_themes", "empty_figure", "in_cells", "paint"]

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


def both_themes(figure: Figure | None) -> dict[str, str]:
    """Return ``light`` and ``dark`` data URIs of a figure that was drawn for light pages; empty for None.

    Only the ink differs, which is one colour in the SVG: drawing twice would take twice the time.
    """
    if figure is None:
        return {}
    out = io.StringIO()
    with any_letters():
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
    light = out.getvalue()
    drawn = {"light": light, "dark": light.replace(INK["light"], INK["dark"])}
    return {
        theme: "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
        for theme, svg in drawn.items()
    }


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


def in_cells(figure: Figure) -> Figure:
    """Let a notebook show the figure as a picture; without pyplot, which keeps state, it would show its name."""

    def picture(**_: Any) -> bytes:
        out = io.BytesIO()
        with any_letters():
            figure.savefig(out, format="png", dpi=100, facecolor="white")
        return out.getvalue()

    figure._repr_png_ = picture  # type: ignore[attr-defined]
    return figure
