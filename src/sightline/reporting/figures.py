"""Figures of a run, as matplotlib draws them: curves of the training, the confusion matrix."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.confusion import confusion_from
from sightline.reporting.canvas import (
    INK,
    Draw,
    any_letters,
    empty_figure,
    figure_of,
    leave_room,
    paint,
    place_image,
    svg_of,
    whole_image,
    write_png,
)
from sightline.reporting.confidence import draw_coverage, draw_reliability
from sightline.reporting.letters import drawable, drawable_text
from sightline.reporting.more_data import draw_learning_curve
from sightline.reporting.preview import draw_views
from sightline.reporting.ranking import draw_ranking
from sightline.reporting.search_figures import draw_importance, draw_search, draw_settings, draw_two_settings
from sightline.reporting.versions import draw_versions
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import write_text
from sightline.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "FIGURES",
    "best_row",
    "draw_confusion",
    "draw_curves",
    "draw_images",
    "draw_matrix",
    "draw_rates",
    "draw_steps",
    "write_figures",
]

_TRAIN, _VAL, _BEST = "#d97706", "#2563eb", "#8b95a3"
_MAX_CLASSES = 40
_CELL, _TITLE, _GAP = 2.3, 0.4, 0.1  # inches, of images in rows
_MAX_POINTS = 1500  # of a curve by step, in a report that is one file


def draw_curves(run: Recorded, theme: str = "light") -> Figure | None:
    """Return loss and accuracy of training and validation by epoch, or None where there is no epoch."""
    from matplotlib.ticker import MaxNLocator

    history = run.history
    if not history or run.is_head_alone:
        return None
    best = history["epoch"][best_row(run)]
    figure = empty_figure((9, 3.2))
    for position, (name, unit) in enumerate((("loss", "cross-entropy, nats"), ("accuracy", "share correct"))):
        axes = figure.add_subplot(1, 2, position + 1)
        axes.axvline(best, color=_BEST, linestyle=":", linewidth=1.2, label="best epoch")
        axes.plot(history["epoch"], history[f"train_{name}"], "o-", ms=3, lw=1.6, color=_TRAIN, label="training")
        axes.plot(history["epoch"], history[f"val_{name}"], "s-", ms=3, lw=1.6, color=_VAL, label="validation")
        axes.set(title=f"{name.capitalize()} ({unit})", xlabel="epoch")
        if len(history["epoch"]) == 1:
            axes.set_xlim(best - 1, best + 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9)
        paint(axes, INK[theme])
    leave_room(figure, 0.6, 0.5)
    return figure


def draw_steps(run: Recorded, theme: str = "light") -> Figure | None:
    """Return learning rate and norm of the gradient by step, or None before the first epoch."""
    steps = run.steps
    if not steps:
        return None
    each = -(-len(steps["step"]) // _MAX_POINTS)
    columns = {name: np.array(column)[::each] for name, column in steps.items()}
    figure = empty_figure((9, 2.6))
    axes = figure.add_subplot(1, 2, 1)
    axes.plot(columns["step"], columns["learning_rate"], lw=1.6, color=_TRAIN)
    axes.set(title="Learning rate", xlabel="step")
    paint(axes, INK[theme])
    axes = figure.add_subplot(1, 2, 2)
    clipped = columns["is_clipped"] > 0
    axes.plot(columns["step"], columns["gradient_norm"], ".", ms=2, color=_VAL, label="as it was")
    if clipped.any():
        norms = columns["gradient_norm"][clipped]
        axes.plot(columns["step"][clipped], norms, ".", ms=2, color=_TRAIN, label="clipped")
        axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9)
    axes.set(title="Norm of the gradient", xlabel="step", yscale="log")
    _write_plain(axes.yaxis)
    paint(axes, INK[theme])
    leave_room(figure, 0.75, 0.5)
    return figure


def draw_rates(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the losses of the learning rate finder, and the rate that it chose; None where it was not used."""
    rates = run.rates
    if not rates:
        return None
    figure = empty_figure((9, 2.6))
    axes = figure.add_subplot()
    axes.plot(rates["learning_rate"], rates["loss"], lw=1.6, color=_VAL)
    axes.axvline(run.plan.settings.learning_rate, color=_BEST, linestyle=":", linewidth=1.2, label="chosen")
    axes.set(title="Learning rate finder", xlabel="learning rate", ylabel="loss, smoothed", xscale="log")
    _write_plain(axes.xaxis)
    axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9)
    paint(axes, INK[theme])
    leave_room(figure, 0.75, 0.5)
    return figure


def _write_plain(axis: Any) -> None:
    """Write the powers of ten of an axis as numbers: matplotlib's formulas are off, since names must not be read so."""
    from matplotlib.ticker import LogFormatter

    axis.set_major_formatter(LogFormatter())
    axis.set_minor_formatter(LogFormatter(minor_thresholds=(1, 0.5)))


def best_row(run: Recorded) -> int:
    """Return the row of the history that holds the exported epoch."""
    history = run.history
    epoch = run.facts.get("best_epoch")
    return history["epoch"].index(epoch) if epoch in history.get("epoch", []) else 0


def draw_confusion(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the confusion matrix, rows in percent of the true class; None above 40 classes, and over seeds."""
    metrics = run.metrics
    if "confusion" not in metrics:
        return None
    names = [row["class"] for row in metrics["classes"]]
    if len(names) > _MAX_CLASSES:
        return None
    return draw_matrix(confusion_from(metrics["confusion"], len(names)), names, theme=theme)


def draw_matrix(
    matrix: npt.NDArray[np.int64], classes: Sequence[str], *, theme: str = "light", normalize: bool = False
) -> Figure | None:
    """Return an image of a confusion matrix, or None above 40 classes.

    Args:
        matrix: ``[K, K]`` counts, row the true class, column the predicted one; colours are shares of the row.
        classes: K names.
        theme: ``light`` or ``dark``.
        normalize: write shares of the row in percent instead of counts.
    """
    if len(matrix) > _MAX_CLASSES:
        return None
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    full = [printable(name) for name in drawable(classes)]
    names = [name if len(name) <= 24 else name[:23] + "…" for name in full]
    side = 2.4 + 0.42 * len(matrix)
    figure = empty_figure((side + 0.6, side))
    axes = figure.add_subplot()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    axes.set(xlabel="predicted", ylabel="true class")
    axes.set_xticks(range(len(names)), names, rotation=45, ha="right", parse_math=False)
    axes.set_yticks(range(len(names)), names, parse_math=False)
    for row, column in zip(*np.nonzero(matrix), strict=True):
        shade = "white" if shares[row, column] > 0.55 else "#1f2733"
        text = f"{100 * shares[row, column]:.0f}" if normalize else f"{matrix[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=8, color=shade)
    paint(axes, INK[theme])
    with any_letters():
        figure.tight_layout()
    return figure


def draw_images(images: Sequence[npt.NDArray[np.uint8]], titles: Sequence[str]) -> Figure:
    """Return images in rows of four, each under its title.

    Args:
        images: ``[H, W, 3] uint8`` each, of any size.
        titles: one for each.
    """
    columns = min(4, max(1, len(images)))
    rows = max(1, -(-len(images) // columns))
    figure = empty_figure((_CELL * columns, (_CELL + _TITLE) * rows))
    axes = whole_image(figure)
    for number, (image, title) in enumerate(zip(images, titles, strict=True)):
        left, top = number % columns * _CELL, number // columns * (_CELL + _TITLE)
        words = "\n".join(drawable_text(printable(line))[:30] for line in title.split("\n"))
        axes.text(left + _CELL / 2, top + _TITLE / 2, words, fontsize=9, ha="center", va="center", parse_math=False)
        height, width = (side / max(image.shape[:2]) * (_CELL - _GAP) for side in image.shape[:2])
        place_image(axes, image, left + (_CELL - width) / 2, top + _TITLE + (_CELL - height) / 2, width, height)
    return figure


def draw_augmented(run: Recorded, theme: str = "light") -> Figure | None:
    """Return some training images beside their random changes, or None for a run that kept none."""
    views = run.views
    if views is None:
        return None
    return draw_views(run.facts["classes"], views, theme=theme)


_FIRST = '<g id="figure_1">'  # of what matplotlib draws

# A new figure is one function and one row.
FIGURES: dict[str, Draw] = {
    "curves": draw_curves,
    "steps": draw_steps,
    "learning_rate": draw_rates,
    "confusion": draw_confusion,
    "reliability": draw_reliability,
    "coverage": draw_coverage,
    "ranking": draw_ranking,
    "learning_curve": draw_learning_curve,
    "augmented": draw_augmented,
    "versions": draw_versions,
    "search": draw_search,
    "search_importance": draw_importance,
    "search_settings": draw_settings,
    "search_two_settings": draw_two_settings,
}


def write_figures(run: Recorded) -> None:
    """Write every figure of the run as PNG and SVG into ``figures/``."""
    for name, draw in FIGURES.items():
        figure = figure_of(run, draw)
        if figure is not None:
            write_png(figure, run.run.figures_folder / f"{name}.png", 150)
            on_white = svg_of(run, draw).replace(
                _FIRST, f'<rect width="100%" height="100%" fill="white"/>\n {_FIRST}', 1
            )
            write_text(run.run.figures_folder / f"{name}.svg", on_white)
