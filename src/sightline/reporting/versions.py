"""The section of the report on smaller versions of the classifier, and their figure: accuracy against latency."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sightline.reporting.canvas import INK, both_themes, empty_figure, leave_room, paint
from sightline.reporting.letters import drawable_text
from sightline.runs.recorded import Recorded
from sightline.runs.versions_record import VersionRow, VersionsRecord
from sightline.runtime.classifier import Classifier
from sightline.text import readable_bytes, share, signed

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_versions", "versions"]

_WITHIN, _BEYOND, _ORIGINAL, _FRONT = "#2563eb", "#d97706", "#8b95a3", "#0f8a5f"
_NEAR = 0.1  # of the width of the figure: names would lie on each other


def versions(run: Recorded) -> dict[str, Any] | None:
    """What each version costs and gives; None where none was made."""
    found = run.versions
    if found is None:
        return None
    return {
        "found": found,
        "rows": [_cells(found, row) for row in found.rows],
        "test": None if found.test is None else _of_test(found),
        "figure": both_themes(run, draw_versions),
        "folder": str(run.run.versions_folder / found.chosen) if found.chosen else "",
        "is_of_now": Classifier.open(run.run.model_file).digest == found.classifier,
    }


def _cells(found: VersionsRecord, row: VersionRow) -> dict[str, str]:
    is_original = row is found.original
    speed = row.speed(found.original)
    slow = "" if is_original or speed > 1 else "; not faster than float32 on that machine"
    return {
        "name": row.name,
        "mark": "chosen" if row.name == found.chosen else "",
        "size": readable_bytes(row.bytes),
        "alone": f"{row.alone:.2f}",
        "together": f"{row.together:.2f}",
        "speed": f"{speed:.2f}",
        "accuracy": share(row.accuracy),
        "points": "" if is_original else "none" if row.answers_the_same else _points(row.difference, row.low, row.high),
        "changed": "" if is_original else f"{row.changed:,}",
        "words": row.words,
        "verdict": f"{row.verdict}{slow}",
    }


def _of_test(found: VersionsRecord) -> dict[str, Any]:
    test = found.test
    assert test is not None
    return {
        "n": f"{test.n:,}",
        "part": "test images" if test.part == "test" else "validation images, for want of test images",
        "verdict": test.verdict,
        "points": _points(test.difference, test.low, test.high),
        "changed": f"{test.changed:,}",
        "rows": [
            ("accuracy", *map(share, test.accuracy)),
            ("log-loss", *(f"{value:.4f}" for value in test.log_loss)),
            ("temperature", *(f"{value:.3f}" for value in test.temperature)),
            ("called new", *(("no limit",) * 2 if test.new is None else map(share, test.new))),
        ],
    }


def _points(difference: float, low: float, high: float) -> str:
    middle, least, most = (signed(100 * value) for value in (difference, low, high))
    return f"{middle} ({least} to {most})"


def draw_versions(run: Recorded, theme: str = "light") -> Figure | None:
    """Return accuracy against the latency of one image, with those marked that no other beats in both; or None."""
    found = run.versions
    if found is None or len(found.rows) < 2:
        return None
    figure = empty_figure((9, 3.4))
    axes = figure.add_subplot()
    front = sorted((row for row in found.rows if row.name in found.front), key=lambda row: row.alone)
    places, heights = [row.alone for row in front], [100 * row.accuracy for row in front]
    axes.step(places, heights, where="post", color=_FRONT, lw=1.2, zorder=1)
    label = "front: no other is faster and as right"
    axes.scatter(places, heights, s=150, facecolors="none", edgecolors=_FRONT, linewidths=1.6, label=label, zorder=2)
    groups = (
        ("float32", _ORIGINAL, "D", found.rows[:1]),
        ("loses no more than allowed", _WITHIN, "o", [row for row in found.rows[1:] if row.is_within]),
        ("not shown to lose little enough", _BEYOND, "x", [row for row in found.rows[1:] if not row.is_within]),
    )
    for label, colour, marker, rows in groups:
        if rows:
            places, heights = [row.alone for row in rows], [100 * row.accuracy for row in rows]
            axes.scatter(places, heights, s=46, c=colour, marker=marker, label=label, zorder=3, linewidths=1.4)
    for row in found.rows[1:]:
        base = 100 * found.original.accuracy
        ends = [[max(0.0, 100 * (row.difference - row.low))], [max(0.0, 100 * (row.high - row.difference))]]
        if not row.answers_the_same:
            height = base + 100 * row.difference
            axes.errorbar([row.alone], [height], yerr=ends, color=INK[theme], lw=0.8, capsize=3, alpha=0.6, zorder=2)
    slowest = max(row.alone for row in found.rows)
    _name(axes, found, slowest, INK[theme])
    axes.set(xlabel="milliseconds for one image", xlim=(0, 1.15 * slowest))
    axes.set_title("Validation accuracy, %, with the 95 % interval of the difference from float32")
    axes.margins(y=0.15)
    below = (0.5, -0.22)
    axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9, loc="upper center", bbox_to_anchor=below, ncols=4)
    paint(axes, INK[theme])
    leave_room(figure, 0.6, 0.85)
    return figure


def _name(axes: Axes, found: VersionsRecord, slowest: float, ink: str) -> None:
    """Write the name of each version at its point; of those that are near each other, one above the other."""
    level, before = 0, -slowest
    for row in sorted(found.rows, key=lambda row: row.alone):
        level = level + 1 if row.alone - before < _NEAR * slowest else 0
        before = row.alone
        axes.annotate(
            drawable_text(row.name),
            (row.alone, 100 * row.accuracy),
            (9, 9 + 12 * level),
            textcoords="offset points",
            color=ink,
            fontsize=9,
        )
