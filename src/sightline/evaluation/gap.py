"""Whether a classifier is as often right on test images as on validation images, and what may be behind a gap.

A gap by more than chance means that validation doesn't stand for the test: what was chosen or promised on validation
(the epoch, thresholds, what more images would give) holds for images like those of validation, not for the test's.
Arrays only.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, proportion
from sightline.evaluation.paired import holm
from sightline.evaluation.shift import LabelledPredictions, join_parts
from sightline.evaluation.slices import compare_means, compare_shares, has_units

__all__ = ["LEVEL", "Cause", "Gap", "PartFacts", "compare_ranks", "find_gap", "nearest_distances"]

LEVEL = 0.03  # chance of a gap, or of a cause, that is none
_CLEAR = 0.1  # a cause's area under the ROC curve is at least so far from 0.5, its shares at least so far apart
_BLOCK = 2_048  # images that are compared at once
_SHOWN = 3  # properties, classes

Features = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class PartFacts:
    """What is known of the images of one part beside how they are classified; ``N`` images.

    Attributes:
        distances: ``[N]`` to the nearest training image, see ``nearest_distances``; None: not known.
        numbers: name -> ``[N]``, such as the brightness; the names are the same for both parts.
        words: name -> ``[N]``, such as the file format.
        related: ``[N] bool``: whether the image's group, or a copy of it, is in training; None: not known.
    """

    distances: Values | None
    numbers: Mapping[str, Values]
    words: Mapping[str, npt.NDArray[np.object_]]
    related: npt.NDArray[np.bool_] | None = None


@dataclass(frozen=True, slots=True)
class Cause:
    """Something in which validation and test differ by more than chance, and which may be behind the gap.

    Attributes:
        kind: ``related``, ``nearness``, ``classes`` or ``appearance``.
        words: what differs, with its numbers.
        cure: what to do if this is the cause.
    """

    kind: str
    words: str
    cure: str


@dataclass(frozen=True, slots=True)
class Gap:
    """Accuracy on validation and on test.

    Attributes:
        validation, test: accuracies, with intervals that respect groups.
        low, high: 95 % interval of ``test - validation``.
        p: of the difference, two-sided.
        causes: likely ones, where the gap is more than chance.
    """

    validation: Interval
    test: Interval
    low: float
    high: float
    p: float
    causes: tuple[Cause, ...] = ()

    @property
    def difference(self) -> float:
        """Accuracy on test less that on validation."""
        return self.test.value - self.validation.value

    @property
    def is_significant(self) -> bool:
        """Whether such a gap would be chance in fewer than 3 of 100 trainings."""
        return self.p < LEVEL

    def sentence(self) -> str:
        """Return in words how far apart they are."""
        low, high = sorted(abs(100 * end) for end in (self.low, self.high))
        worse = "worse" if self.difference < 0 else "better"
        return (
            f"the classifier is {worse} on the test than on validation by more than chance: {self.test} against "
            f"{self.validation}, {abs(100 * self.difference):.0f} points ({low:.0f} to {high:.0f})"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values, as in ``metrics.json``."""
        parts = {"validation": self.validation.to_dict(), "test": self.test.to_dict()}
        ends = {"low": self.low, "high": self.high, "p": self.p, "is_significant": self.is_significant}
        return {**parts, **ends, "causes": [asdict(cause) for cause in self.causes]}

    @classmethod
    def of(cls, metrics: Mapping[str, Any]) -> Gap | None:
        """Return the gap of a run's metrics if it is more than chance, else None.

        Raises:
            LookupError, TypeError: if the values are of something else.
        """
        found = metrics.get("validation_gap")
        if not found or not found["is_significant"]:
            return None
        validation, test = (Interval(**found[name]) for name in ("validation", "test"))
        causes = tuple(Cause(**cause) for cause in found["causes"])
        return cls(validation, test, found["low"], found["high"], found["p"], causes)


def find_gap(
    validation: LabelledPredictions,
    test: LabelledPredictions,
    facts: tuple[PartFacts, PartFacts],
    names: tuple[str, ...],
) -> Gap | None:
    """Return how accuracy differs between validation and test, with likely causes; None where too little is there.

    The difference is tested by Fisher's exact test with Newcombe's interval; where images come in groups, by a t-test
    that counts groups, of which each side needs five.

    Args:
        validation, test: of the same classifier; no image is in both.
        facts: of the images of both.
        names: of the classes.

    Example:
        >>> def of(right: int) -> LabelledPredictions:
        ...     predicted = np.repeat([0, 1], [right, 100 - right])
        ...     return LabelledPredictions(np.zeros(100, np.int64), predicted, np.ones(100, np.float32))
        >>> nothing = PartFacts(None, {}, {})
        >>> gap = find_gap(of(95), of(70), (nothing, nothing), ("ant",))
        >>> gap.is_significant, round(gap.difference, 2)
        (True, -0.25)
    """
    labels, hits, is_test, units = join_parts(validation, test)
    if is_test.all() or not is_test.any() or not has_units(is_test, units):
        return None
    p, low, high = compare_shares(hits, is_test, units)
    parts = [proportion(hits[side], None if units is None else units[side]) for side in (~is_test, is_test)]
    gap = Gap(parts[0], parts[1], low, high, p)
    if not gap.is_significant:
        return gap
    found = _related(facts, is_test, units) + _nearness(facts, is_test, units)
    found += _classes(labels, hits, is_test, units, names) + _appearance(facts, is_test, units)
    return Gap(parts[0], parts[1], low, high, p, tuple(found))


def nearest_distances(features: Features, known: Features) -> Values:
    """Return ``[N]``: one less the cosine of each image's features and those of the nearest known image.

    Args:
        features: ``[N, D]``.
        known: ``[M, D]`` of training images, at least one.

    Example:
        >>> nearest_distances(np.array([[2.0, 0.0]], np.float32), np.eye(2, dtype=np.float32)).tolist()
        [0.0]
    """
    unit = _directions(known)
    nearest = [
        1 - (_directions(features[start : start + _BLOCK]) @ unit.T).max(1) for start in range(0, len(features), _BLOCK)
    ]
    return np.concatenate([np.zeros(0), *nearest]).astype(np.float64)


def _directions(features: Features) -> Features:
    lengths: Features = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(1e-12))
    return features / lengths


def compare_ranks(values: Values, inside: npt.NDArray[np.bool_], units: Units | None = None) -> tuple[float, float]:
    """Return p, two-sided, and how often a value inside is above one outside (0.5: as often as below).

    Ranks are compared by a t-test that allows for unequal variances and for units, as Brunner and Munzel's does without
    units.

    Args:
        values: ``[N]``.
        inside: ``[N] bool``, both kinds present.
        units: as for :func:`~sightline.evaluation.slices.compare_shares`.

    References:
        E. Brunner and U. Munzel, Biometrical Journal 42 (2000).
    """
    from scipy.stats import rankdata

    ranks = rankdata(values) / len(values)
    p, low, high = compare_means(ranks, inside, np.arange(len(values)) if units is None else units)
    return p, 0.5 + (low + high) / 2


def _related(facts: tuple[PartFacts, PartFacts], is_test: npt.NDArray[np.bool_], units: Units | None) -> list[Cause]:
    """Return a cause where more validation images than test images have their group, or a copy, in training."""
    before, after = (one.related for one in facts)
    if before is None or after is None:
        return []
    related = np.concatenate([before, after])
    p, _, _ = compare_shares(related, is_test, units)
    if p >= LEVEL or before.mean() < after.mean() + _CLEAR:
        return []
    shares = f"{before.mean():.0%} of the validation images, and of {after.mean():.0%} of the test images"
    words = f"a copy or another image of the group is in training of {shares}"
    return [Cause("related", words, "draw a split that keeps them together: --resplit")]


def _nearness(facts: tuple[PartFacts, PartFacts], is_test: npt.NDArray[np.bool_], units: Units | None) -> list[Cause]:
    """Return a cause where validation images are nearer to training images than test images are, or the reverse."""
    before, after = (one.distances for one in facts)
    if before is None or after is None:
        return []
    p, area = compare_ranks(np.concatenate([before, after]), is_test, units)
    if p >= LEVEL or abs(area - 0.5) < _CLEAR:
        return []
    near = [1 - float(np.median(each)) for each in (before, after)]
    measured = (
        f"the median cosine of features with the nearest is {near[0]:.2f} on validation and {near[1]:.2f} on test"
    )
    if area < 0.5:
        words = f"test images are nearer to training images than validation images are: {measured}"
        return [Cause("nearness", words, "look for copies, versions or groups on both sides of the given split")]
    words = f"validation images are nearer to training images than test images are: {measured}"
    cure = (
        "if validation holds versions, bursts or groups of training images, name them (--group) and draw the split "
        "again (--resplit); if the test images are of another kind, train and choose on images like them"
    )
    return [Cause("nearness", words, cure)]


def _classes(
    labels: npt.NDArray[np.int64],
    hits: npt.NDArray[np.bool_],
    is_test: npt.NDArray[np.bool_],
    units: Units | None,
    names: tuple[str, ...],
) -> list[Cause]:
    """Return a cause where the shares of classes differ, with what validation would be with those of the test."""
    present = np.unique(labels)
    own = [labels == label for label in present]
    adjusted = holm([compare_shares(one, is_test, units)[0] if not one.all() else 1.0 for one in own])
    shares = [[float(one[side].mean()) for one in own] for side in (~is_test, is_test)]
    far = [place for place, p in enumerate(adjusted) if p < LEVEL]
    if not far:
        return []
    far.sort(key=lambda place: -abs(shares[1][place] - shares[0][place]))
    told = [f"{names[present[place]]!r} {shares[0][place]:.0%} and {shares[1][place]:.0%}" for place in far[:_SHOWN]]
    of_both = [(shares[1][place], one & ~is_test) for place, one in enumerate(own) if (one & ~is_test).any()]
    weighed = sum(share * float(hits[where].mean()) for share, where in of_both) / sum(share for share, _ in of_both)
    words = (
        f"classes have other shares on validation and test ({', '.join(told)}): with those of the test, validation "
        f"would be right for {weighed:.0%}"
    )
    return [Cause("classes", words, "judge by balanced accuracy and by the table of classes, or draw the split again")]


def _appearance(facts: tuple[PartFacts, PartFacts], is_test: npt.NDArray[np.bool_], units: Units | None) -> list[Cause]:
    """Return a cause that names what differs in how images look, or in their files."""
    before, after = facts
    found: list[tuple[float, float, str]] = []  # (p, how far, words)
    for name, values in before.numbers.items():
        p, area = compare_ranks(np.concatenate([values, after.numbers[name]]), is_test, units)
        middle = [float(np.median(each)) for each in (values, after.numbers[name])]
        found.append((p, abs(area - 0.5), f"median {name} {_number(middle[0])} and {_number(middle[1])}"))
    for name, column in before.words.items():
        both = np.concatenate([column, after.words[name]])
        for word in sorted(set(both.tolist()))[:-1]:
            p, _, _ = compare_shares(both == word, is_test, units)
            shares = [float((each == word).mean()) for each in (column, after.words[name])]
            found.append((p, abs(shares[0] - shares[1]), f"{name} {word} {shares[0]:.0%} and {shares[1]:.0%}"))
    adjusted = holm([p for p, *_ in found])
    clear = [(far, words) for (_, far, words), p in zip(found, adjusted, strict=True) if p < LEVEL and far >= _CLEAR]
    if not clear:
        return []
    told = "; ".join(words for _, words in sorted(clear, reverse=True)[:_SHOWN])
    cure = "if the test is of another camera, place or time, train and choose on such images too"
    return [Cause("appearance", f"the images look different on validation and test: {told}", cure)]


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.2f}"
