"""What corruptions of the images do to the accuracy, on the same images: how much, and whether that can be chance."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion
from sightline.evaluation.paired import holm, mid_p

__all__ = ["CorruptionDrop", "Drop", "Robustness", "measure_drops"]


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


@dataclass(frozen=True, slots=True)
class CorruptionDrop:
    """What one corruption in one severity did to the accuracy.

    Attributes:
        corruption: its name, such as ``blur``.
        severity: 1 to 3.
        words: what was done, such as ``"blurred over 2.0 % of the side"``.
        drop: of the accuracy.
    """

    corruption: str
    severity: int
    words: str
    drop: Drop

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values, those of the drop among them."""
        own = {"corruption": self.corruption, "severity": self.severity, "words": self.words}
        return {**own, **self.drop.to_dict()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> CorruptionDrop:
        """Return what ``to_dict`` was called on.

        Raises:
            LookupError, TypeError: if the values are of something else.
        """
        accuracy = Interval(**values["accuracy"])
        drop = Drop(accuracy, values["drop"], values["lost"], values["gained"], values["p"])
        return cls(values["corruption"], values["severity"], values["words"], drop)


@dataclass(frozen=True, slots=True)
class Robustness:
    """The accuracy of a classifier on images as they are and under each corruption.

    Attributes:
        part: that the images are of: ``test``, ``val`` or ``whole``.
        count: images that were measured, of ``count_all``.
        bad: paths of images that could not be read, 20 at most of ``count_bad``.
        seed: of the corruptions.
        example: path of the first measured image.
        accuracy: on the images as they are.
        rows: one for each corruption and severity.
    """

    part: str
    count: int
    count_all: int
    count_bad: int
    bad: tuple[str, ...]
    seed: int
    example: str
    accuracy: Interval
    rows: tuple[CorruptionDrop, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values, as in ``robustness.json``."""
        return {
            "schema_version": 1,
            "part": self.part,
            "count": self.count,
            "count_all": self.count_all,
            "count_bad": self.count_bad,
            "bad": list(self.bad),
            "seed": self.seed,
            "example": self.example,
            "accuracy": self.accuracy.to_dict(),
            "rows": [row.to_dict() for row in self.rows],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Robustness:
        """Return what ``to_dict`` was called on.

        Raises:
            LookupError, TypeError: if the values are of something else.
        """
        return cls(
            part=values["part"],
            count=values["count"],
            count_all=values["count_all"],
            count_bad=values["count_bad"],
            bad=tuple(values["bad"]),
            seed=values["seed"],
            example=values["example"],
            accuracy=Interval(**values["accuracy"]),
            rows=tuple(CorruptionDrop.from_dict(row) for row in values["rows"]),
        )


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
