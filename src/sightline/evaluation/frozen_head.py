"""What fine-tuning did to the predictions of the head on frozen features, on the same images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion
from sightline.evaluation.paired import mid_p
from sightline.text import count_of, p_value

__all__ = ["FrozenHead", "compare_frozen_head"]

_CHANCE = 0.05


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

    def words(self) -> str:
        """Return in a sentence what fine-tuning did, which way, and whether that can be chance.

        Example:
            >>> FrozenHead(proportion(np.array([True, True, False])), 0, 1, 0.5).words().split(": ")[-1]
            'fewer right than the head alone, which can be chance (p = 0.50).'
        """
        did = f"fine-tuning corrected {count_of(self.corrected, 'prediction')} and made {self.newly_wrong:,} wrong"
        gain = self.corrected - self.newly_wrong
        if not gain:
            return f"The head on frozen features alone: {self.accuracy}; {did}: as many right as before."
        which = "more right than the head alone" if gain > 0 else "fewer right than the head alone"
        if self.p >= _CHANCE:
            sure = f"which can be chance ({p_value(self.p)})"
        elif gain > 0:
            sure = f"by more than chance ({p_value(self.p)})"
        else:
            sure = (
                f"by more than chance ({p_value(self.p)}): the head alone is the better classifier on these images. "
                "--epochs 0 trains it; where that choice rests on test images, measure it on new ones"
            )
        return f"The head on frozen features alone: {self.accuracy}; {did}: {which}, {sure}."

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
