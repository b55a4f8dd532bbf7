"""The section of the report on what more training images would be expected to give."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import numpy as np

from sightline.evaluation.intervals import Interval
from sightline.reporting.canvas import INK, both_themes, empty_figure, leave_room, paint
from sightline.runs.recorded import Recorded

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["draw_learning_curve", "more_data"]

_SHOWN = 10  # classes
_LINE, _HOPE = "#2563eb", "#d97706"


def more_data(run: Recorded) -> dict[str, Any]:
    """The learning curve of frozen features, and how to measure the gain for the classifier itself."""
    found, facts = run.learning_curve, run.facts
    name = f"{run.folder.name}-half"
    data, out = shlex.quote(facts["data"]), shlex.quote(str(run.folder.parent))
    plan = shlex.quote(str(run.run.plan_file))
    how = [
        f"sightline train {data} --recipe {plan} --set train_share=0.5 --out {out} --name {shlex.quote(name)}",
        f"sightline compare {shlex.quote(str(run.folder.parent / name))} {shlex.quote(str(run.folder))}",
    ]
    if found is None:
        return {"points": None, "is_pretrained": run.plan.settings.head_first, "how": how}
    classes = sorted((row for row in found["classes"] if row["support"]), key=lambda row: -row["gain"][0])
    return {
        "points": [(round(point["fitted"]), Interval(**point["accuracy"])) for point in found["points"]],
        "chart": both_themes(run, draw_learning_curve),
        "count": found["count"],
        "now": found["now"],
        "doubled": found["doubled"],
        "gain": [f"{100 * number:.1f}" for number in found["gain"]],
        "is_clear": found["gain"][1] > 0,
        "classes": [{**row, "points": [f"{100 * gain:+.1f}" for gain in row["gain"]]} for row in classes[:_SHOWN]],
        "best": [row["class"] for row in classes[:3] if row["gain"][1] > 0],
        "count_classes": len(classes),
        "network": facts["model"],
        "how": how,
    }


def draw_learning_curve(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the accuracy of a head on frozen features by the number of images; None where it was not measured."""
    from matplotlib.ticker import FuncFormatter, NullFormatter

    found = run.learning_curve
    if found is None:
        return None
    figure = empty_figure((6.4, 3.4))
    axes = figure.add_subplot()
    sizes = [point["fitted"] for point in found["points"]]
    right, low, high = (
        np.array([100 * point["accuracy"][name] for point in found["points"]]) for name in ("value", "low", "high")
    )
    axes.errorbar(sizes, right, [right - low, high - right], fmt="o-", ms=5, lw=1.6, color=_LINE, label="measured")
    ends = [found["count"], 2 * found["count"]]
    hoped = np.array([100 * found["now"], 100 * found["doubled"]])
    _, least, most = (100 * number for number in found["gain"])
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
