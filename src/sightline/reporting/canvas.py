"""An empty figure without pyplot, in our colours, that takes any letters."""

from __future__ import annotations

import base64
import contextlib
import io
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import write_bytes

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "INK",
    "PAPER",
    "Draw",
    "any_letters",
    "both_themes",
    "empty_figure",
    "figure_of",
    "in_cells",
    "leave_room",
    "paint",
    "place_image",
    "svg_of",
    "whole_image",
    "write_png",
]

_SMALL = 100  # px: fewer are shown as the squares that they are
INK = {"light": "#333a45", "dark": "#c9d1dc"}
PAPER = {"light": "#fefefe", "dark": "#1a2029"}  # behind letters that lie on lines; the page's own white is another


class Draw(Protocol):
    """A function that draws a figure of a run, or returns None where the run has nothing of the kind."""

    __name__: str

    def __call__(self, run: Recorded, theme: str = "light") -> Any:
        """Return the figure for pages of a theme, ``light`` or ``dark``."""


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


def figure_of(run: Recorded, draw: Draw) -> Figure | None:
    """Return the figure of a run by a function that draws it for light pages; once."""
    figure: Figure | None = run.once(f"figure {draw.__name__}", lambda: draw(run))
    return figure


def svg_of(run: Recorded, draw: Draw) -> str:
    """Return the figure as SVG without a background; empty where there is nothing to draw."""

    def write() -> str:
        figure = figure_of(run, draw)
        if figure is None:
            return ""
        out = io.StringIO()
        with any_letters():
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        return out.getvalue()

    svg: str = run.once(f"svg {draw.__name__}", write)
    return svg


def both_themes(run: Recorded, draw: Draw) -> dict[str, str]:
    """Return ``light`` and ``dark`` data URIs of a figure; empty where there is nothing to draw.

    Only ink and paper differ, each of which is one colour in the SVG: drawing twice would take twice the time.
    """
    light = svg_of(run, draw)
    if not light:
        return {}
    drawn = {"light": light, "dark": light.replace(INK["light"], INK["dark"]).replace(PAPER["light"], PAPER["dark"])}
    return {
        theme: "data:image/svg+xml;base64," + base64.b64encode(svg.encode()).decode("ascii")
        for theme, svg in drawn.items()
    }


def write_png(figure: Figure, path: Path, dots: int) -> None:
    """Write a figure as PNG on white, whole or not at all; ``dots`` an inch."""
    out = io.BytesIO()
    with any_letters():
        figure.savefig(out, format="png", dpi=dots, facecolor="white")
    write_bytes(path, out.getvalue())


def whole_image(figure: Figure) -> Axes:
    """Return axes without lines that cover the figure, in inches from its upper left corner: for many small images.

    Axes of its own for each of them take ten times as long.
    """
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set(xlim=(0, width), ylim=(height, 0), autoscale_on=False)
    return axes


def place_image(axes: Axes, image: npt.NDArray[np.uint8], left: float, top: float, width: float, height: float) -> None:
    """Draw an image into the axes of ``whole_image``, at a place and of a size in inches."""
    how = "nearest" if min(image.shape[:2]) < _SMALL else "antialiased"
    axes.imshow(image, extent=(left, left + width, top + height, top), aspect="auto", interpolation=how)


def leave_room(figure: Figure, left: float, bottom: float, *, top: float = 0.32, right: float = 0.1) -> None:
    """Set the margins around the axes, in inches: known ones need no layout, which takes as long as drawing."""
    width, height = figure.get_size_inches()
    edges = {"left": left / width, "right": 1 - right / width, "bottom": bottom / height, "top": 1 - top / height}
    count = max(1, len({round(axes.get_position().x0, 3) for axes in figure.axes}))
    each = (width - left - right - (count - 1) * (left + right)) / count
    figure.subplots_adjust(**edges, wspace=(left + right) / each)


def paint(axes: Axes, ink: str) -> None:
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
    """Let a notebook show the figure as an image; without pyplot, which keeps state, it would show its name."""

    def image(**_: Any) -> bytes:
        out = io.BytesIO()
        with any_letters():
            figure.savefig(out, format="png", dpi=100, facecolor="white")
        return out.getvalue()

    figure._repr_png_ = image  # type: ignore[attr-defined]
    return figure
