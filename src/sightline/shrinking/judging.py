"""Whether a version may replace the classifier, and which of several is chosen. Numbers only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.evaluation.compare import Comparison, compare_predictions
from sightline.evaluation.intervals import Units
from sightline.runs.versions_record import VersionRow
from sightline.text import count_of, signed

__all__ = ["FASTER", "SAME", "Cost", "choose_version", "judge_version"]

SAME = 1e-3  # of a probability: an export may differ so much from its network too
FASTER = 1.05  # times the speed: below, the difference may be of the timing
_DRAWS = 500  # the interval of accuracy is by a formula unless images are in groups

Probabilities = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cost:
    """What a version costs on the same images.

    Attributes:
        comparison: with the classifier; None: it answers the same, see ``SAME``.
        changed: images that it decides otherwise.
        is_within: whether it is shown to lose no more than allowed.
        verdict: in words.
    """

    comparison: Comparison | None
    changed: int
    is_within: bool
    verdict: str


def judge_version(
    labels: npt.NDArray[np.int64],
    original: Probabilities,
    version: Probabilities,
    classes: tuple[str, ...],
    max_loss: float,
    units: Units | None = None,
) -> Cost:
    """Return what a version costs, and whether that is allowed.

    Args:
        labels: ``[N]``, true classes.
        original, version: ``[N, K]`` each, of the same images.
        classes: K names.
        max_loss: points of accuracy; the upper end of the interval of the loss must not be above it.
        units: ``[N]``: images of one unit are not independent; None: all are.

    Raises:
        DataError: if there is one image alone.
    """
    changed = int((original.argmax(1) != version.argmax(1)).sum())
    far = float(np.abs(original - version).max())
    if not changed and far <= SAME:
        same = f"gives the same answers: probabilities within {far:.1g}" if far else "gives exactly the same answers"
        return Cost(None, 0, True, same)
    found = compare_predictions(labels, original, version, classes, groups=units, draws=_DRAWS)
    change = found.metrics["accuracy"]
    worst = -100 * change.low
    said = f"{signed(100 * change.difference)} points ({signed(100 * change.low)} to {signed(100 * change.high)})"
    if worst <= max_loss:
        return Cost(found, changed, True, f"loses at most {_points(round(max(0.0, worst), 1))}: {said}")
    if -100 * change.high > max_loss:
        return Cost(found, changed, False, f"loses more than {_points(max_loss)}: {said}")
    accepts = math.ceil(10 * worst - 1e-9) / 10
    why = f"{count_of(len(labels), 'validation image')} can't show that it loses at most {_points(max_loss)}"
    return Cost(found, changed, False, f"{why}: {said}; --max-loss {accepts:g} accepts that")


def _points(number: float) -> str:
    return f"{number:g} point{'' if number == 1 else 's'}"


def choose_version(rows: Sequence[VersionRow]) -> tuple[str, str]:
    """Return (name, reason) of the fastest version that is within; of those that are not faster, the smallest.

    Args:
        rows: the classifier's own first.

    Returns:
        An empty name where no version is worth it.
    """
    original, *others = rows
    within = [row for row in others if row.is_within]
    if not within:
        return "", "no version is shown to lose little enough"
    fast = [row for row in within if row.speed(original) >= FASTER]
    if fast:
        best = max(fast, key=lambda row: row.speed(original))
        return best.name, f"the fastest of those that lose little enough: {best.speed(original):.1f} times as fast"
    smallest = min(within, key=lambda row: row.bytes)
    if smallest.bytes < original.bytes / FASTER:
        return smallest.name, "of those that lose little enough none is faster on this machine; this is the smallest"
    return "", "of those that are shown to lose little enough, none is faster on this machine, or smaller"
