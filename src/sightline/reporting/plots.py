"""Figures for notebooks: each is a function of a run or of predictions and returns a matplotlib figure."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sightline.errors import RunError, UnreadableImage
from sightline.evaluation.confusion import confusion_from
from sightline.installation import require_extra
from sightline.pixels.containers import place_of
from sightline.pixels.decode import decode_image
from sightline.pixels.modes import Range
from sightline.reporting.canvas import in_cells, write_png
from sightline.reporting.figures import draw_curves, draw_images, draw_matrix, draw_steps
from sightline.reporting.letters import drawable
from sightline.runs.folder import Run
from sightline.runs.recorded import Recorded
from sightline.runtime.predictions import Predictions
from sightline.text import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "plot_confusion",
    "plot_curves",
    "plot_mistakes",
    "plot_predictions",
    "plot_samples",
    "plot_steps",
    "write_mistakes",
]

_SIDE = 256  # px that are decoded of an image that is shown small


def plot_curves(run: Run) -> Figure:
    """Return loss and accuracy of training and validation by epoch.

    Raises:
        RunError: before the first epoch, and for a run that holds several (plot each of ``run.parts``).

    Example:
        ``sightline.plot_curves(run).savefig("curves.png")``
    """
    require_extra("light", "a figure")
    return _shown(draw_curves(Recorded(run)), run, "no epochs")


def plot_steps(run: Run) -> Figure:
    """Return learning rate and norm of the gradient by step, that is, by update of the weights.

    Raises:
        RunError: as for :func:`plot_curves`.

    Example:
        ``sightline.plot_steps(run)``
    """
    require_extra("light", "a figure")
    return _shown(draw_steps(Recorded(run)), run, "no steps")


def plot_confusion(run: Run, *, normalize: bool = False) -> Figure:
    """Return the confusion matrix on the measured images: row the true class, column the predicted one.

    Args:
        run: evaluated.
        normalize: shares of the row in percent instead of counts.

    Raises:
        RunError: if the run was not evaluated, or has more than 40 classes.

    Example:
        ``sightline.plot_confusion(run, normalize=True)``
    """
    require_extra("light", "a figure")
    metrics = run.metrics
    if "confusion" not in metrics:
        raise _nothing(run, "no confusion matrix of its own")
    names = [row["class"] for row in metrics["classes"]]
    figure = draw_matrix(confusion_from(metrics["confusion"], len(names)), names, normalize=normalize)
    return _shown(figure, run, f"{len(names)} classes, too many for an image")


def plot_mistakes(run: Run, *, count: int = 12) -> Figure:
    """Return the measured images that are classified wrongly, the most confident first, with predicted and true class.

    Args:
        run: evaluated; its images are read again from where they lie.
        count: at most.

    Raises:
        RunError: if the run was not evaluated. Without a mistake the figure says so.

    Example:
        ``sightline.plot_mistakes(run, count=8)``
    """
    require_extra("light", "a figure")
    return _draw_mistakes(Recorded(run), count)


def _draw_mistakes(run: Recorded, count: int) -> Figure:
    measured = run.measured
    rows = np.flatnonzero(measured.is_ok & ~measured.correct)
    rows = rows[np.argsort(-measured.confidence[rows], kind="stable")][:count]
    names = drawable(measured.classes)
    shown = [
        (
            measured.paths[row],
            f"{names[measured.predicted[row]]} {share(measured.confidence[row], 0)}\nis {names[measured.labels[row]]}",
        )
        for row in rows
    ]
    return _draw_grid(shown, run.root, run.value_range, "no mistakes")


def write_mistakes(run: Recorded) -> None:
    """Write ``figures/mistakes.png``, where there are any."""
    measured = run.measured
    if (measured.is_ok & ~measured.correct).any():
        write_png(_draw_mistakes(run, 16), run.run.figures_folder / "mistakes.png", 110)


def plot_samples(run: Run, part: str = "train", *, count: int = 12) -> Figure:
    """Return some images of ``train``, ``val`` or ``test`` with their classes, spread over the whole part.

    Args:
        run: its images are read again from where they lie.
        part: of the split.
        count: at most.

    Example:
        ``sightline.plot_samples(run, "test", count=8)``
    """
    require_extra("light", "a figure")
    recorded = Recorded(run)
    samples, split = recorded.samples, recorded.split
    rows = split.rows(part)
    rows = rows[samples.is_ok[rows]]
    chosen = rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]
    names = drawable(samples.classes)
    shown = [(str(samples.paths[row]), names[samples.labels[row]]) for row in chosen]
    return _draw_grid(shown, recorded.root, recorded.value_range, f"no images in {part}")


def plot_predictions(predictions: Predictions, *, count: int = 12) -> Figure:
    """Return the first images of predictions that were made from paths, each with its most probable class.

    Args:
        predictions: of ``classifier.predict(paths)``.
        count: at most.

    Example:
        ``sightline.plot_predictions(classifier.predict(["a.jpg", "b.jpg"]))``
    """
    require_extra("light", "a figure")
    names = dict(zip(predictions.classes, drawable(predictions.classes), strict=True))
    rows = [(row.path, f"{names[row.label or '']} {share(row.confidence, 0)}") for row in predictions if not row.error]
    return _draw_grid(rows[:count], Path(), None, "no images that could be read")


def _draw_grid(rows: list[tuple[str, str]], root: Path, value_range: Range | None, nothing: str) -> Figure:
    """Return (path, title) rows as images; one that can't be read any more is grey."""
    images = []
    for path, _ in rows:
        try:
            images.append(decode_image(place_of(root, path), value_range=value_range, least_side=_SIDE))
        except UnreadableImage:
            images.append(np.full((8, 8, 3), 200, np.uint8))
    figure = draw_images(images, [title for _, title in rows])
    if not rows:
        figure.text(0.5, 0.5, nothing, ha="center", va="center")
    return in_cells(figure)


def _shown(figure: Figure | None, run: Run, why: str) -> Figure:
    if figure is None:
        raise _nothing(run, why)
    return in_cells(figure)


def _nothing(run: Run, why: str) -> RunError:
    cure = "plot one of run.parts" if run.is_repeated else "see run.metrics, and the report"
    return RunError("run.no-figure", f"{run.folder} has {why}", cure)
