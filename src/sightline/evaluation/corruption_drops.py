"""What a change of the images does to the accuracy, on the same images: how much, and whether that can be chance."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion
from sightline.evaluation.paired import holm, mid_p

__all__ = ["Drop", "measure_drops"]


@dataclass(frozen=True, slots=True)
class Drop:
    """What a change did to the accuracy.

    Attributes:
        accuracy: under the change, with Wilson's interval.
        points: of accuracy lost, as a share (0.1: ten points); negative where it gained.
        lost: images that were right before and are wrong now.
        gained: images that were wrong before and are right now.
        p: of so uneven a change by chance alone: McNemar's test, mid-p, corrected for the number of changes (Holm).
    """

    accuracy: Interval
    points: float
    lost: int
    gained: int
    p: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        counts = {"lost": self.lost, "gained": self.gained}
        return {"accuracy": self.accuracy.to_dict(), "drop": self.points, **counts, "p": self.p}


def measure_drops(
    before: npt.NDArray[np.bool_], after: Sequence[npt.NDArray[np.bool_]], units: Units | None = None
) -> list[Drop]:
    """Return what each of several changes did to the same images.

    Args:
        before: ``[N]``, whether each image was classified rightly as it is; N is at least 1.
        after: for each change ``[N]``, whether it was then.
        units: ``[N]``: images of one unit are not independent; None: all are.

    References:
        M. Fagerland, S. Lydersen and P. Laake 2013, doi 10.1186/1471-2288-13-91: McNemar's test with mid-p.

    Example:
        >>> drop = measure_drops(np.ones(20, bool), [np.arange(20) < 10])[0]
        >>> drop.points, drop.lost, drop.p < 0.01
        (0.5, 10, True)
    """
    lost = [int((before & ~now).sum()) for now in after]
    gained = [int((~before & now).sum()) for now in after]
    place = np.arange(len(before)) if units is None else np.unique(units, return_inverse=True)[1]
    changes = [np.bincount(place, now.astype(np.int64) - before).astype(np.int64) for now in after]
    chances = holm([mid_p(change) for change in changes])
    accuracies = [proportion(now, units) for now in after]
    return [
        Drop(accuracy, (less - more) / len(before), less, more, p)
        for accuracy, less, more, p in zip(accuracies, lost, gained, chances, strict=True)
    ]
