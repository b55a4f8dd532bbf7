"""A figure of training images beside what random changes make of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.reporting.canvas import INK, empty_figure, place_image, whole_image
from sightline.reporting.letters import drawable
from sightline.runs.kept_images import Views
from sightline.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["describe_mix", "draw_views", "name_of"]

_TILE, _NAME, _HEAD, _GAP, _EDGE, _SPACE = 1.0, 0.2, 0.55, 0.35, 0.1, 0.03  # inches
_LETTERS = 15  # that fit above a tile
_ROWS = 5  # from which on two blocks stand side by side


def draw_views(
    classes: Sequence[str],
    views: Views,
    *,
    title: str = "Training images and their random changes",
    theme: str = "light",
) -> Figure:
    """Return a figure with a row an image: the plain square, then its changed versions, each under its classes.

    Args:
        classes: names; whatever letters they hold.
        views: the images.
        title: above all.
        theme: ``light`` or ``dark`` surroundings.
    """
    count, versions = views.changed.shape[:2]
    classes = drawable(classes)
    blocks = 2 if count > _ROWS else 1
    rows = -(-count // blocks)
    block_width = (versions + 1) * _TILE + _GAP
    width, height = blocks * block_width - _GAP + 2 * _EDGE, rows * (_TILE + _NAME) + _HEAD
    figure = empty_figure((width, height))

    axes = whole_image(figure)

    def write(left: float, top: float, words: str, size: float) -> None:
        axes.text(left + _SPACE, top, words, color=INK[theme], fontsize=size, va="center", parse_math=False)

    write(_EDGE, 0.18, title, 10)
    for block in range(min(blocks, count)):
        write(_EDGE + block * block_width, 0.45, "original", 8)
        write(_EDGE + block * block_width + _TILE, 0.45, "as the network gets it, epoch by epoch", 8)
    for number in range(count):
        block, row = divmod(number, rows)
        top = _HEAD + row * (_TILE + _NAME) + _NAME
        for view in range(versions + 1):
            left = _EDGE + block * block_width + view * _TILE
            image = views.changed[number, view - 1] if view else views.plain[number]
            place_image(axes, image, left + _SPACE, top, _TILE - 2 * _SPACE, _TILE - 2 * _SPACE)
            label = int(views.labels[number])
            own = name_of(classes[label])  # at the row's head
            words = describe_mix(classes, views.shares[number, view - 1], label) if view else own
            write(left, top - 0.06, words, 7)
    return figure


def name_of(name: str, letters: int = _LETTERS) -> str:
    """Return a class name as it can be drawn: no control letters, and cut off where it is too long."""
    shown = printable(name)
    return shown if len(shown) <= letters else shown[: letters - 1] + "…"


def describe_mix(classes: Sequence[str], shares: npt.NDArray[np.float32], label: int) -> str:
    """Return what else an image shows than its own class, in a few letters; nothing where it is not mixed.

    Example:
        >>> describe_mix(["ant", "bee"], np.array([0.7, 0.3], np.float32), 0)
        '+ 30 % bee'
    """
    others = np.array(shares)
    others[label] = 0
    other = int(others.argmax())
    return f"+ {100 * others[other]:.0f} % {name_of(classes[other], 7)}" if others[other] >= 0.005 else ""
