"""An empty figure without pyplot, in our colours, that takes any letters."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["INK", "any_letters", "empty_figure"]

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
