"""Whether one classifier is better than another on the same images: paired tests and intervals. Arrays only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import DataError
from sightline.evaluation.intervals import effective_count
from sightline.evaluation.metrics import METRICS
from sightline.evaluation.paired import Answers, bootstrap_differences, holm, mid_p, variance_of_gain
from sightline.text import count_of, p_value, share, signed

__all__ = ["Change", "ChangedImage", "ClassChange", "Comparison", "compare_predictions", "compare_several"]

LEVEL = 0.05
_DRAWS = 2_000
_WORK = 50_000_000  # images times draws: some seconds

Labels = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ChangedImage:
    """An image that one of two classifiers has right, and the other wrong.

    Attributes:
        path: of the image, as the run names it.
        label: its class.
        first, second: what each predicts, with ``first_confidence`` and ``second_confidence``.
    """

    path: str
    label: str
    first: str
    first_confidence: float
    second: str
    second_confidence: float

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class Change:
    """A metric of both classifiers, and the second's less the first's with its 95 % interval."""

    first: float
    second: float
    difference: float
    low: float
    high: float
    method: str

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out zero."""
        return self.low > 0 or self.high < 0

    def cells(self, name: str) -> tuple[str, str, str]:
        """Return first, second and difference as they are shown for the metric of that name.

        Example:
            >>> Change(0.9, 0.925, 0.025, 0.004, 0.046, "").cells("accuracy")
            ('90.0 %', '92.5 %', '+2.5 points (+0.4 to +4.6)')
        """
        values = self.difference, self.low, self.high
        if METRICS[name].unit != "share":
            change, low, high = (signed(value, 4) for value in values)
            return f"{self.first:.4f}", f"{self.second:.4f}", f"{change} ({low} to {high})"
        digits = 1 if self.high - self.low >= 0.005 else 2
        if self.difference and 0.0 in (self.low, self.high):  # often no changed image was drawn: the end says nothing
            few = f"{signed(100 * self.difference, digits)} points (too few changed images for an interval)"
            return share(self.first, digits), share(self.second, digits), few
        change, low, high = (signed(100 * value, digits) for value in values)
        return share(self.first, digits), share(self.second, digits), f"{change} points ({low} to {high})"


@dataclass(frozen=True, slots=True)
class ClassChange:
    """The images of one class: how many the second classifier corrects or gets newly wrong, and if that is chance.

    Attributes:
        name: of the class.
        n: its images.
        corrected, newly_wrong: of them, right in the second alone; in the first alone.
        first, second: recall of each.
        p: of the paired test, 0 to 1.
        p_adjusted: the same after Holm's correction over all classes.
    """

    name: str
    n: int
    corrected: int
    newly_wrong: int
    first: float
    second: float
    p: float
    p_adjusted: float

    @property
    def is_significant(self) -> bool:
        """Whether such a change would be chance in fewer than 5 of 100 comparisons."""
        return self.p_adjusted < LEVEL


@dataclass(frozen=True, slots=True)
class Comparison:
    """A second classifier against a first, on the same images.

    Attributes:
        n: images.
        units: groups and single images: what is resampled, and what the test counts as independent.
        n_effective: how many independent images would tell the difference of accuracy as surely.
        both_right, both_wrong: images on which they agree.
        corrected_rows, newly_wrong_rows: positions of the images that only the second, only the first has right.
        p: of the paired test on accuracy, 0 to 1.
        p_adjusted: the same after Holm's correction, where several are compared with the first.
        metrics: name -> :class:`Change`, of each metric that is one of counts, or a mean over images.
        classes: one row a class that has images.
        draws: of the bootstrap.
    """

    n: int
    units: int
    n_effective: int
    both_right: int
    both_wrong: int
    corrected_rows: tuple[int, ...]
    newly_wrong_rows: tuple[int, ...]
    p: float
    p_adjusted: float
    metrics: dict[str, Change]
    classes: tuple[ClassChange, ...]
    draws: int

    @property
    def corrected(self) -> int:
        """How many images the second has right and the first wrong."""
        return len(self.corrected_rows)

    @property
    def newly_wrong(self) -> int:
        """How many images the first has right and the second wrong."""
        return len(self.newly_wrong_rows)

    @property
    def is_significant(self) -> bool:
        """Whether such a difference of accuracy would be chance in fewer than 5 of 100 comparisons."""
        return self.p_adjusted < LEVEL

    def verdict(self, first: str, second: str) -> str:
        """Return in words which is better, by their names, or that the difference is not significant.

        What is tested is the accuracy. Probabilities can differ clearly where it does not, which is said too.
        """
        of_probabilities = self._about_probabilities(second)
        none = "No significant difference in accuracy"
        if not self.corrected + self.newly_wrong:
            return f"{none}: {second} and {first} are right on the same images.{of_probabilities}"
        is_better = self.corrected > self.newly_wrong
        head = f"{second} is {'better' if is_better else 'worse'}" if self.is_significant else none
        counts = f"{second} is right on {self.corrected:,} that {first} gets wrong, and wrong on {self.newly_wrong:,} "
        counts += "that it gets right"
        adjusted = "" if self.p == self.p_adjusted else f", {p_value(self.p_adjusted)} after Holm's correction"
        images = count_of(self.n, "image")
        images += "" if self.units == self.n else f" (effective n={self.n_effective:,})"
        return f"{head}: of {images} {counts} ({p_value(self.p)}{adjusted}).{of_probabilities}"

    def _about_probabilities(self, second: str) -> str:
        """Return a sentence on the log-loss where its interval leaves out zero; empty where it does not."""
        change = self.metrics.get("log_loss")
        if change is None or not change.is_clear:
            return ""
        before, after, difference = change.cells("log_loss")
        words = f"lower with {second}: better" if change.difference < 0 else f"higher with {second}: worse"
        return f" The log-loss is clearly {words} probabilities ({before}, then {after}; {difference})."

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values, with the counts and verdicts that follow from it."""
        fields = asdict(self)
        for row, change in zip(fields["classes"], self.classes, strict=True):
            row["is_significant"] = change.is_significant
        for name, metric in self.metrics.items():
            fields["metrics"][name]["is_clear"] = metric.is_clear
        counts = {"corrected": self.corrected, "newly_wrong": self.newly_wrong}
        return {**counts, "is_significant": self.is_significant, **fields}


def compare_several(
    labels: Labels,
    probabilities: Sequence[npt.NDArray[np.float32]],
    classes: tuple[str, ...],
    *,
    groups: npt.NDArray[np.intp] | None = None,
) -> list[Comparison]:
    """Compare the second, third ... classifier with the first, corrected for how many there are.

    Tests by Holm's method; intervals are wider (Bonferroni), so that all of them hold the truth in 95 of 100 cases.

    Args:
        labels, classes, groups: as for ``compare_predictions``.
        probabilities: ``[N, K]`` of each classifier, two or more.
    """
    first, *others = probabilities
    level = LEVEL / len(others)
    pairs = [compare_predictions(labels, first, second, classes, groups=groups, level=level) for second in others]
    adjusted = holm([pair.p for pair in pairs])
    return [replace(pair, p_adjusted=p) for pair, p in zip(pairs, adjusted, strict=True)]


def compare_predictions(
    labels: Labels,
    first: npt.NDArray[np.float32],
    second: npt.NDArray[np.float32],
    classes: tuple[str, ...],
    *,
    groups: npt.NDArray[np.intp] | None = None,
    draws: int | None = None,
    level: float = LEVEL,
    seed: int = 0,
) -> Comparison:
    """Compare two classifiers on the same images.

    Accuracy is tested with McNemar's mid-p test; its interval is Wald's with Bonett and Price's adjustment. The other
    metrics have the percentile interval of a bootstrap that takes images of each class with replacement, the same for
    both classifiers. Where there are groups, whole groups are taken, and tested, and accuracy's interval is the
    same with groups in place of images: a bootstrap of few changed groups left out the truth in up to 7 of 10 cases.
    None of them includes the chance in training: they are about these two classifiers.

    Args:
        labels: ``[N] int64``, true classes as positions in ``classes``.
        first, second: ``[N, K] float32``, rows sum to 1.
        classes: names.
        groups: ``[N]``, equal for images of one group, -1 for those of none; None: there are no groups.
        draws: of the bootstrap; None: 2,000, fewer, down to 500, where there are more than 25,000 images.
        level: share of intervals that may miss the truth.
        seed: of the draws.

    Raises:
        ValueError: if there are no images, or the arrays don't fit together.
        DataError: if there is one image or one group alone.

    References:
        D. G. Bonett and R. M. Price, Journal of Educational and Behavioral Statistics 37 (2012), recommended by
        M. W. Fagerland, S. Lydersen and P. Laake, Statistics in Medicine 33 (2014).

    Example:
        >>> labels = np.zeros(100, np.int64)
        >>> good, bad = np.tile([0.9, 0.1], (100, 1)), np.tile([0.9, 0.1], (100, 1))
        >>> bad[:10] = [0.1, 0.9]
        >>> found = compare_predictions(labels, bad, good, ("ant", "bee"))
        >>> found.corrected, found.newly_wrong, found.is_significant
        (10, 0, True)
    """
    if not len(labels) or not (first.shape == second.shape == (len(labels), len(classes))):
        raise ValueError(f"{len(labels)} labels, {first.shape} and {second.shape} for {len(classes)} classes")
    units = _units_of(groups, len(labels))
    if int(units.max()) < 1:
        message = "one image or one group alone was evaluated: too few to tell a difference from chance"
        raise DataError("compare.too-few", message, "measure both on more images")
    count = min(_DRAWS, max(500, _WORK // len(labels))) if draws is None else draws
    answers = Answers.of(labels, first), Answers.of(labels, second)
    gain = answers[1].hits.astype(np.int64) - answers[0].hits
    p = mid_p(np.bincount(units, gain).astype(np.int64))
    drawn = bootstrap_differences(answers, units, count, seed)
    points = [one.metrics(np.ones(len(labels))) for one in answers]
    sure = f"{100 * (1 - level):.3g} %"
    how = f"paired bootstrap{'' if groups is None else ' of groups'}, {sure}"
    metrics = {}
    for name in points[0]:
        before, after = (float(point[name]) for point in points)
        low, high = (float(end) for end in np.quantile(drawn[name], (level / 2, 1 - level / 2)))
        metrics[name] = Change(before, after, after - before, low, high, how)
    adjusted = _adjusted_wald(gain, level) if groups is None else _adjusted_by_units(gain, units, level)
    metrics["accuracy"] = replace(metrics["accuracy"], **adjusted)
    return Comparison(
        n=len(labels),
        units=int(units.max()) + 1,
        n_effective=len(labels) if groups is None else effective_count(gain.astype(np.float64), units),
        both_right=int((answers[0].hits & answers[1].hits).sum()),
        both_wrong=int((~answers[0].hits & ~answers[1].hits).sum()),
        corrected_rows=tuple(np.flatnonzero(gain > 0).tolist()),
        newly_wrong_rows=tuple(np.flatnonzero(gain < 0).tolist()),
        p=p,
        p_adjusted=p,
        metrics=metrics,
        classes=_class_changes(labels, answers, gain, units, classes),
        draws=count,
    )


def _units_of(groups: npt.NDArray[np.intp] | None, count: int) -> npt.NDArray[np.intp]:
    """Return ``[N]`` the number of each image's group, from 0 without a gap; an image without one is its own."""
    if groups is None:
        return np.arange(count)
    alone = groups < 0
    named = np.where(alone, groups.max() + 1 + np.arange(count), groups)
    return np.unique(named, return_inverse=True)[1]


def _adjusted_wald(gain: Labels, level: float) -> dict[str, Any]:
    """Return the interval of a difference of accuracy, and its method."""
    n = len(gain) + 2
    up, down = (int((gain > 0).sum()) + 1) / n, (int((gain < 0).sum()) + 1) / n
    spread = NormalDist().inv_cdf(1 - level / 2) * math.sqrt((up + down - (up - down) ** 2) / n)
    return _around(up - down, spread, "", level)


def _adjusted_by_units(gain: Labels, units: npt.NDArray[np.intp], level: float) -> dict[str, Any]:
    """Return the same where images of one unit are one witness."""
    from scipy.stats import t

    variance, freedom = variance_of_gain(gain.astype(np.float64), units)
    spread = float(t.ppf(1 - level / 2, freedom)) * math.sqrt(variance)
    return _around(float(gain.mean()), spread, ", by groups", level)


def _around(middle: float, spread: float, by: str, level: float) -> dict[str, Any]:
    method = f"Bonett and Price{by}, {100 * (1 - level):.3g} %"
    return {"low": max(-1.0, middle - spread), "high": min(1.0, middle + spread), "method": method}


def _class_changes(
    labels: Labels,
    answers: tuple[Answers, Answers],
    gain: Labels,
    units: npt.NDArray[np.intp],
    classes: tuple[str, ...],
) -> tuple[ClassChange, ...]:
    rows = []
    order = np.argsort(labels, kind="stable")
    for mine in np.split(order, np.cumsum(np.bincount(labels, minlength=len(classes)))[:-1]):
        if not len(mine):
            continue
        own = gain[mine]
        p = mid_p(np.bincount(np.unique(units[mine], return_inverse=True)[1], own).astype(np.int64))
        before, after = (float(one.hits[mine].mean()) for one in answers)
        name = classes[int(labels[mine[0]])]
        rows.append(ClassChange(name, len(mine), int((own > 0).sum()), int((own < 0).sum()), before, after, p, p))
    adjusted = holm([row.p for row in rows])
    return tuple(replace(row, p_adjusted=p) for row, p in zip(rows, adjusted, strict=True))
