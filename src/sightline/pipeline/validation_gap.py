"""Whether validation stands for the test: accuracy on both, likely causes of a gap, and groups that a split tears."""

from __future__ import annotations

from collections.abc import Generator

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.data.split import Split, find_torn
from sightline.data.units import with_units
from sightline.evaluation.gap import Gap, PartFacts, find_gap, nearest_distances
from sightline.evaluation.intervals import proportion
from sightline.evaluation.result import Evaluation
from sightline.evaluation.shift import LabelledPredictions
from sightline.events import Event, Warned
from sightline.pipeline.calibrate import Calibrated

__all__ = ["compare_with_validation", "without_torn_groups"]

Rows = npt.NDArray[np.intp]


def compare_with_validation(
    evaluation: Evaluation, calibrated: Calibrated, samples: Samples, split: Split
) -> Generator[Event, None, Evaluation]:
    """Return the evaluation of the test images with how it differs from validation, and warn of a gap beyond chance.

    Args:
        evaluation: of the test images, in the order of the split.
        calibrated: what was found on validation.
        samples: of both.
        split: the whole one.
    """
    rows, used = split.rows("test"), evaluation.used
    said, labels = evaluation.predictions.probabilities[used], evaluation.labels[used]
    test = LabelledPredictions(labels, said.argmax(1), said.max(1), evaluation.used_units)
    related = _related(samples, split, ("train",))
    parts = [(calibrated.validation_rows, calibrated.validation_features)]
    parts += [(rows[used], evaluation.predictions.features[used])]
    before, after = (
        _facts(samples, where, nearest_distances(features, calibrated.features), related[where])
        for where, features in parts
    )
    gap = find_gap(calibrated.validation, test, (before, after), samples.classes)
    if gap is None:
        return evaluation
    if gap.is_significant:
        yield Warned("evaluation.validation-gap", *_in_words(gap))
    return evaluation.with_values(validation_gap=gap.to_dict())


def _in_words(gap: Gap) -> tuple[str, str]:
    """Return the message and the cure of a gap."""
    likely = "; ".join(cause.words for cause in gap.causes) or "no difference in nearness, classes or looks was found"
    cure = "; ".join(cause.cure for cause in gap.causes) or "look at the mistakes on the test, and how it was collected"
    promised = "Thresholds and what more images would give were measured on validation, and may not hold for the test"
    return f"{gap.sentence()}. {promised}. Likely: {likely}", cure


def _facts(
    samples: Samples, rows: Rows, distances: npt.NDArray[np.float64], related: npt.NDArray[np.bool_]
) -> PartFacts:
    facts = samples.facts[rows]
    width, height = (np.maximum(facts[side], 1).astype(np.float64) for side in ("width", "height"))
    numbers = {"short side": np.minimum(width, height), "width by height": width / height}
    numbers |= {name: facts[name].astype(np.float64) for name in ("brightness", "contrast", "sharpness", "saturation")}
    formats = np.array([name.decode() for name in facts["format"].tolist()], object)
    return PartFacts(distances, numbers, {"format": formats}, related)


def _related(samples: Samples, split: Split, parts: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """Return ``[N] bool``: whether an image of the same unit is in one of the parts."""
    names = with_units(samples).units
    known = set(names[np.isin(split.parts, parts)].tolist()) - {""}
    return np.array([name in known for name in names.tolist()], bool)


def without_torn_groups(evaluation: Evaluation, samples: Samples, split: Split) -> Evaluation:
    """Return the evaluation with the accuracy on images of which no other of the group trained or chose the network.

    Nothing is added where a split keeps groups together, as those that are drawn do.

    Args:
        evaluation: of the images of the headline's part, in the order of the split.
        samples, split: as for ``compare_with_validation``.
    """
    torn = find_torn(samples.groups, split.parts)
    if not torn:
        return evaluation
    earlier = ("train", "val") if split.headline == "test" else ("train",)
    known = set(samples.groups[np.isin(split.parts, earlier)].tolist()) - {""}
    used = split.rows(split.headline)[evaluation.used]
    fresh = np.array([group not in known for group in samples.groups[used].tolist()], bool)
    units = evaluation.used_units
    accuracy = proportion(evaluation.hits[fresh], None if units is None else units[fresh]) if fresh.any() else None
    counts = {"groups": len(torn), "count_groups": len(set(samples.groups.tolist()) - {""})}
    counts |= {"images": int((~fresh).sum()), "count": len(fresh)}
    found = {**counts, "accuracy": None if accuracy is None else accuracy.to_dict()}
    return evaluation.with_values(torn_groups=found)
