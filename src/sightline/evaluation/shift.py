"""Whether classes are recognised as well on test images as on validation images. Arrays only."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Units
from sightline.evaluation.paired import holm
from sightline.evaluation.slices import compare_shares, has_units

__all__ = ["LabelledPredictions", "RecallChange", "compare_recalls", "join_parts"]

LEVEL = 0.05

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class LabelledPredictions:
    """Predictions of images whose classes are known, ``[N]`` each.

    Attributes:
        labels, predicted: ``int64``, true and most probable classes.
        confidence: ``float32``, the probability of the latter.
        units: ``int64``: images of one unit (a group) are not independent; None: all are.
    """

    labels: Labels
    predicted: Labels
    confidence: npt.NDArray[np.float32]
    units: Units | None = None


@dataclass(frozen=True, slots=True)
class RecallChange:
    """The recall of one class on validation and test images.

    Attributes:
        label: the class, a position in the classes.
        validation, test: recall on each.
        n_validation, n_test: images of the class.
        low, high: 95 % interval of ``test - validation``.
        p: of the difference, two-sided.
        p_adjusted: the same after Holm's correction over all classes that have images in both.
    """

    label: int
    validation: float
    test: float
    n_validation: int
    n_test: int
    low: float
    high: float
    p: float
    p_adjusted: float

    @property
    def difference(self) -> float:
        """Recall on test images less that on validation images."""
        return self.test - self.validation

    @property
    def is_significant(self) -> bool:
        """Whether such a change in any class would be chance in fewer than 5 of 100 cases."""
        return self.p_adjusted < LEVEL


def compare_recalls(validation: LabelledPredictions, test: LabelledPredictions) -> list[RecallChange]:
    """Return the change of each class's recall from validation to test, the largest first.

    Each class is compared by Fisher's exact test, with Newcombe's interval; where images come in groups, by a t-test
    that counts groups. Classes that lack images (or five groups) on either side are left out.

    Args:
        validation, test: of the same classifier; no image is in both.

    Example:
        >>> def of(right: int) -> LabelledPredictions:
        ...     predicted = np.repeat([0, 1], [right, 50 - right])
        ...     return LabelledPredictions(np.zeros(50, np.int64), predicted, np.ones(50, np.float32))
        >>> change = compare_recalls(of(48), of(30))[0]
        >>> round(change.difference, 2), change.is_significant
        (-0.36, True)
    """
    labels, hits, is_test, units = join_parts(validation, test)
    rows = []
    for label in np.unique(labels).tolist():
        own = labels == label
        side = is_test[own]
        of_class = None if units is None else units[own]
        if side.all() or not side.any() or not has_units(side, of_class):
            continue
        p, low, high = compare_shares(hits[own], side, of_class)
        before, after = (float(hits[own][part].mean()) for part in (~side, side))
        rows.append(RecallChange(label, before, after, int((~side).sum()), int(side.sum()), low, high, p, p))
    adjusted = holm([row.p for row in rows])
    rows = [replace(row, p_adjusted=p) for row, p in zip(rows, adjusted, strict=True)]
    return sorted(rows, key=lambda row: (not row.is_significant, -abs(row.difference), row.label))


def join_parts(
    validation: LabelledPredictions, test: LabelledPredictions
) -> tuple[Labels, npt.NDArray[np.bool_], npt.NDArray[np.bool_], Units | None]:
    """Return (labels, hits, whether each is of the test, units) of both, ``[N]`` each, validation first."""
    labels = np.concatenate([validation.labels, test.labels])
    hits = labels == np.concatenate([validation.predicted, test.predicted])
    is_test = np.repeat([False, True], [len(validation.labels), len(test.labels)])
    return labels, hits, is_test, _units(validation, test)


def _units(validation: LabelledPredictions, test: LabelledPredictions) -> Units | None:
    """Return the units of both, none of one side equal to one of the other; None where all images are independent."""
    if validation.units is None and test.units is None:
        return None
    one, two = (
        np.arange(len(each.labels)) if each.units is None else np.unique(each.units, return_inverse=True)[1]
        for each in (validation, test)
    )
    return np.concatenate([one, two + len(one)]).astype(np.int64)
