"""What fine-tuning did to the predictions of the head on frozen features, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion
from sightline.evaluation.paired import mid_p

__all__ = ["FrozenHead", "compare_frozen_head"]


@dataclass(frozen=True, slots=True)
class FrozenHead:
    """The head on frozen features, before anything else was trained, beside the network that was fine-tuned.

    Attributes:
        accuracy: of the head alone.
        corrected: images that it had wrong and the fine-tuned network has right.
        newly_wrong: images that it had right and the fine-tuned network has wrong.
        p: of so uneven a change by chance alone (mid-p).
    """

    accuracy: Interval
    corrected: int
    newly_wrong: int
    p: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values, as in ``metrics.json``."""
        counts = {"corrected": self.corrected, "newly_wrong": self.newly_wrong}
        return {"accuracy": self.accuracy.to_dict(), **counts, "p": self.p}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> FrozenHead:
        """Return what ``to_dict`` was called on.

        Raises:
            LookupError, TypeError: if the values are of something else.
        """
        return cls(Interval(**values["accuracy"]), values["corrected"], values["newly_wrong"], values["p"])

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> FrozenHead | None:
        """Return the one of a run's metrics; None where the head alone was not evaluated."""
        found = metrics.get("frozen_head")
        return None if found is None else cls.from_dict(found)


def compare_frozen_head(
    before: npt.NDArray[np.bool_], after: npt.NDArray[np.bool_], units: Units | None = None
) -> FrozenHead:
    """Return what fine-tuning changed.

    Args:
        before: ``[N]``, whether the head alone classified each image rightly; N is at least 1.
        after: ``[N]``, whether the fine-tuned network does.
        units: ``[N]``: images of one unit (a group) are not independent; None: all are.

    Example:
        >>> head = compare_frozen_head(np.array([True, False, False]), np.array([False, True, True]))
        >>> head.corrected, head.newly_wrong, round(head.p, 3)
        (2, 1, 0.625)
    """
    change = after.astype(np.int64) - before
    of_units = change if units is None else np.bincount(units, change).round().astype(np.int64)
    corrected, newly_wrong = int((change > 0).sum()), int((change < 0).sum())
    return FrozenHead(proportion(before, units), corrected, newly_wrong, mid_p(of_units))
