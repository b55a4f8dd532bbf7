"""The section of the report on what more training images would be expected to give."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.evaluation.gap import Gap
from sightline.reporting.canvas import INK, both_themes, empty_figure, leave_room, paint
from sightline.runs.recorded import Recorded
from sightline.text import signed

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_learning_curve", "more_data"]

_SHOWN = 10  # classes
_LINE, _HOPE = "#2563eb", "#d97706"


def more_data(run: Recorded) -> dict[str, Any]:
    """The learning curve of frozen features, and how to measure the gain for the classifier itself."""
    curve, facts, gap = run.learning_curve, run.facts, Gap.of(run.metrics)
    name = f"{run.folder.name}-half"
    data, out = shlex.quote(facts["data"]), shlex.quote(str(run.folder.parent))
    plan = shlex.quote(str(run.run.plan_file))
    how = [
        f"sightline train {data} --recipe {plan} --set train_share=0.5 --out {out} --name {shlex.quote(name)}",
        f"sightline compare {shlex.quote(str(run.folder.parent / name))} {shlex.quote(str(run.folder))}",
    ]
    if curve is None:
        return {"points": None, "is_pretrained": run.plan.settings.head_first, "how": how}
    classes = sorted((row for row in curve.classes if row.support), key=lambda row: -row.gain.value)
    return {
        "points": [(round(point.fitted), point.accuracy) for point in curve.points],
        "chart": both_themes(run, draw_learning_curve),
        "count": curve.count,
        "now": curve.now,
        "doubled": curve.doubled,
        "gain": [f"{100 * number:.1f}" for number in curve.gain],
        "is_clear": curve.gain.is_clear,
        "is_head_alone": not run.facts.get("best_epoch"),
        "classes": [(row, [signed(100 * end) for end in row.gain]) for row in classes[:_SHOWN]],
        "best": [row.name for row in classes[:3] if row.gain.is_clear],
        "count_classes": len(classes),
        "network": facts["model"],
        "refuted": gap if gap and gap.difference < 0 else None,
        "how": how,
    }


def draw_learning_curve(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the accuracy of a head on frozen features by the number of images; None where it was not measured."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    curve = run.learning_curve
    if curve is None:
        return None
    figure = empty_figure((6.4, 3.4))
    axes = figure.add_subplot()
    sizes = [point.fitted for point in curve.points]
    measured = [point.accuracy for point in curve.points]
    right, low, high = 100 * np.array([(found.value, found.low, found.high) for found in measured]).T
    axes.errorbar(sizes, right, [right - low, high - right], fmt="o-", ms=5, lw=1.6, color=_LINE, label="measured")
    ends = [curve.count, 2 * curve.count]
    hoped = 100 * np.array([curve.now, curve.doubled])
    _, least, most = (100 * number for number in curve.gain)
    reach = [[0, hoped[1] - hoped[0] - least], [0, most - (hoped[1] - hoped[0])]]
    axes.errorbar(
        ends, hoped, reach, fmt="s--", ms=5, lw=1.4, color=_HOPE, label="expected, now and with twice as many"
    )
    axes.set_xscale("log", base=2)
    axes.set_xticks([*sizes, ends[1]])
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.set(xlabel="training images", ylabel="accuracy on held-out images, percent")
    axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9, loc="lower right")
    paint(axes, INK[theme])
    leave_room(figure, 0.7, 0.5, top=0.15)
    return figure
