"""An empty figure without pyplot, in our colours, that takes any letters."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INK", "any_letters", "empty_figure", "in_cells"]

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


def in_cells(figure: Figure) -> Figure:
    """Let a notebook show the figure as a picture; without pyplot, which keeps state, it would show its name."""

    def picture(**_: Any) -> bytes:
        out = io.BytesIO()
        with any_letters():
            figure.savefig(out, format="png", dpi=100, facecolor="white")
        return out.getvalue()

    figure._repr_png_ = picture  # type: ignore[attr-defined]
    return figure
