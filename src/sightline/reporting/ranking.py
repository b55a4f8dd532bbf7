"""ROC and precision-recall curves: how well each class's probability ranks its images above all others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.reporting.behind import COLOURS
from sightline.reporting.canvas import INK, empty_figure, leave_room, paint
from sightline.reporting.letters import drawable
from sightline.runs.recorded import Recorded
from sightline.text import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["curves_of_class", "draw_ranking"]

_NAMED = 8  # classes that are drawn in a colour of their own: of more, those with the least average precision
_DRAWN = 100  # classes that are drawn at all, those with the least average precision
_POINTS = 201  # of a curve on a page
_OTHER = "#8b95a3"

Values = npt.NDArray[np.float64]


def draw_ranking(run: Recorded, theme: str = "light") -> Figure | None:
    """Return ROC and precision-recall curves of each class against all others; None where there is nothing to rank."""
    metrics = run.metrics
    if not run.run.probabilities_file.is_file() or "classes" not in metrics:
        return None
    measured, names = run.measured, run.measured.classes
    used = measured.used
    probabilities, labels = measured.probabilities[used], measured.labels[used]
    present = {*labels.tolist()}
    areas = {
        place: row
        for place, row in enumerate(metrics["classes"])
        if row.get("roc_auc") is not None and place in present
    }
    if not areas:
        return None
    order = sorted(areas, key=lambda place: float(areas[place]["average_precision"]))[:_DRAWN]
    named, drawn = order[:_NAMED], drawable(names)
    # As in the map of the images, where that has a colour for each class.
    colours = {place: COLOURS[place if len(names) <= len(COLOURS) else number] for number, place in enumerate(named)}
    figure = empty_figure((9, 3.8))
    roc, precision = figure.add_subplot(1, 2, 1), figure.add_subplot(1, 2, 2)
    roc.plot([0, 1], [0, 1], color=_OTHER, linestyle=":", linewidth=1.0)
    for place in reversed(order):
        curves = curves_of_class(labels == place, probabilities[:, place])
        for axes, (x, y), area in zip((roc, precision), curves, ("roc_auc", "average_precision"), strict=True):
            style = "default" if axes is roc else "steps-post"  # between two precisions there is no third
            if place in named:
                label = f"{printable(drawn[place])[:20]} {areas[place][area]:.3f}"
                axes.plot(x, y, lw=1.4, drawstyle=style, color=colours[place], label=label)
            else:
                axes.plot(x, y, lw=0.6, drawstyle=style, color=_OTHER, alpha=0.5)
    roc.set(title="ROC", xlabel="share of the others taken for the class", ylabel="share of the class found")
    precision.set(title="Precision and recall", xlabel="recall: share of the class found", ylabel="precision")
    places: tuple[tuple[Any, str], ...] = ((roc, "lower right"), (precision, "lower left"))
    for axes, where in places:
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.03))
        handles, labels_of = axes.get_legend_handles_labels()
        axes.legend(handles[::-1], labels_of[::-1], frameon=False, labelcolor=INK[theme], fontsize=8, loc=where)
        paint(axes, INK[theme])
    leave_room(figure, 0.65, 0.5)
    return figure


def curves_of_class(
    is_class: npt.NDArray[np.bool_], scores: Any
) -> tuple[tuple[Values, Values], tuple[Values, Values]]:
    """Return ((false positive rate, true positive rate), (recall, precision)) by scikit-learn, thinned for a page.

    Args:
        is_class: ``[N] bool``, both kinds present.
        scores: ``[N]``, higher for the class.
    """
    from sklearn.metrics import precision_recall_curve, roc_curve

    false, true, _ = roc_curve(is_class, scores)
    precision, recall, _ = precision_recall_curve(is_class, scores)
    return _thinned(false, true), _thinned(recall, precision)


def _thinned(x: Values, y: Values) -> tuple[Values, Values]:
    """Return at most 201 points of a curve, spread evenly along it, with both ends."""
    if len(x) <= _POINTS:
        return x, y
    way = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
    kept = np.unique(np.searchsorted(way, np.linspace(0, way[-1], _POINTS)).clip(0, len(x) - 1))
    kept = np.unique(np.append(kept, [0, len(x) - 1]))
    return x[kept], y[kept]
