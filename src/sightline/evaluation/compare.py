"""Whether one classifier is better than another on the same images: paired tests and intervals. Arrays only."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.metrics import macro_f1, macro_recall

__all__ = ["FIGURES", "Change", "ClassChange", "Comparison", "compare_predictions", "compare_several", "holm", "mid_p"]

LEVEL = 0.05
FIGURES = {  # name -> whether more of it is better
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "log_loss": False,
    "brier": False,
}
_DRAWS = 2_000
_WORK = 100_000_000  # images times draws, at most: some seconds
_Z = 1.959963984540054

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Change:
    """A figure of both classifiers, and the second's less the first's with its 95 % interval."""

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


@dataclass(frozen=True, slots=True)
class ClassChange:
    """The images of one class: how many the second classifier fixes and breaks, and whether that is chance.

    Attributes:
        name: of the class.
        n: its images.
        fixed, broken: of them, right in the second alone; in the first alone.
        first, second: recall of each.
        p: of the paired test, 0 to 1.
        p_adjusted: the same after Holm's correction over all classes.
    """

    name: str
    n: int
    fixed: int
    broken: int
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
        units: groups and single images; what is resampled, and what the test takes for independent.
        both_right, both_wrong: images on which they agree.
        fixed_rows, broken_rows: positions of the images that only the second, only the first has right.
        p: of the paired test on accuracy, 0 to 1.
        p_adjusted: the same after Holm's correction, where several are compared with the first.
        figures: name -> :class:`Change`, the names of ``FIGURES``.
        classes: one row a class that has images.
        draws: of the bootstrap.
    """

    n: int
    units: int
    both_right: int
    both_wrong: int
    fixed_rows: tuple[int, ...]
    broken_rows: tuple[int, ...]
    p: float
    p_adjusted: float
    figures: dict[str, Change]
    classes: tuple[ClassChange, ...]
    draws: int

    @property
    def fixed(self) -> int:
        """How many images the second has right and the first wrong."""
        return len(self.fixed_rows)

    @property
    def broken(self) -> int:
        """How many images the first has right and the second wrong."""
        return len(self.broken_rows)

    @property
    def is_significant(self) -> bool:
        """Whether such a difference of accuracy would be chance in fewer than 5 of 100 comparisons."""
        return self.p_adjusted < LEVEL

    def verdict(self, first: str, second: str) -> str:
        """Return in words which is better, by their names, or that no difference can be told."""
        if not self.fixed + self.broken:
            return f"No significant difference: {second} and {first} are right on the same images."
        is_better = self.fixed > self.broken
        head = (
            f"{second} is {'better' if is_better else 'worse'}" if self.is_significant else "No significant difference"
        )
        counts = f"{second} fixes {self.fixed:,} that {first} gets wrong and breaks {self.broken:,} that it gets right"
        corrected = "" if self.p == self.p_adjusted else f", {_shown(self.p_adjusted)} after Holm's correction"
        return f"{head}: of {self.n:,} images {counts} ({_shown(self.p)}{corrected})."

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values, with the counts and verdicts that follow from it."""
        fields = asdict(self)
        for row, change in zip(fields["classes"], self.classes, strict=True):
            row["is_significant"] = change.is_significant
        for name, figure in self.figures.items():
            fields["figures"][name]["is_clear"] = figure.is_clear
        return {"fixed": self.fixed, "broken": self.broken, "is_significant": self.is_significant, **fields}


def _shown(p: float) -> str:
    return "p < 0.0001" if p < 0.0001 else f"p = {p:.{2 if p >= 0.1 else 3 if p >= 0.001 else 4}f}"


def mid_p(differences: Labels) -> float:
    """Return the two-sided mid-p value of paired differences: could their signs be chance?

    Each difference would be as likely with the other sign if the two classifiers were equally good. With differences
    of 1 and -1 alone, one an image, this is McNemar's mid-p test; a group of images that are no independent witnesses
    gives one difference, the sum of its images'. In 1,000 simulated pairs of equally good classifiers it was below
    0.05 for less than 6 of 100 (``benchmarks/compare.py``), and it finds more than the exact test does.

    Args:
        differences: ``[U]``, one an independent unit: images right in the second alone less those in the first alone.

    References:
        M. W. Fagerland, S. Lydersen and P. Laake, The McNemar test for binary matched-pairs data, BMC Medical
        Research Methodology 13:91 (2013).

    Example:
        >>> round(mid_p(np.array([1, -1, -1, -1, -1, -1, -1, -1])), 4)
        0.0391
    """
    from scipy.stats import binom

    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    chance = np.ones(1)  # of each sum that the positive ones can have
    for size, count in zip(sizes.tolist(), counts.tolist(), strict=True):
        sums = np.zeros(size * count + 1)
        sums[::size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chance = np.convolve(chance, sums)
    positive = int(differences[differences > 0].sum())
    least = min(positive, len(chance) - 1 - positive)
    return min(1.0, float(2 * chance[:least].sum() + chance[least]))


def holm(p: Sequence[float]) -> list[float]:
    """Return p values corrected for how many there are: below 5 %, any of them is chance in 5 of 100 cases at most.

    References:
        S. Holm, Scandinavian Journal of Statistics 6 (1979).

    Example:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values, kind="stable")
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return [float(value) for value in adjusted]


def compare_several(
    labels: Labels,
    probabilities: Sequence[npt.NDArray[np.float32]],
    classes: tuple[str, ...],
    *,
    groups: npt.NDArray[np.intp] | None = None,
) -> list[Comparison]:
    """Compare the second, third ... classifier with the first; the tests are corrected for how many there are.

    Args:
        labels, classes, groups: as for ``compare_predictions``.
        probabilities: ``[N, K]`` of each classifier, two or more.
    """
    first, *others = probabilities
    pairs = [compare_predictions(labels, first, second, classes, groups=groups) for second in others]
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
    seed: int = 0,
) -> Comparison:
    """Compare two classifiers on the same images.

    Accuracy is tested with McNemar's mid-p test; its interval is Wald's with Bonett and Price's adjustment. The other
    figures have the percentile interval of a bootstrap that takes images of each class with replacement, the same for
    both classifiers. Where there are groups, whole groups are taken, and tested, and accuracy's interval is of the
    bootstrap too. What chance does in training is in none of them: they are about these two classifiers.

    Args:
        labels: ``[N] int64``, true classes as positions in ``classes``.
        first, second: ``[N, K] float32``, rows sum to 1.
        classes: names.
        groups: ``[N]``, equal for images of one group, -1 for those of none; None: there are no groups.
        draws: of the bootstrap; None: 2,000, fewer where there are more than 50,000 images.
        seed: of the draws.

    Raises:
        ValueError: if there are no images, or the arrays don't fit together.

    References:
        D. G. Bonett and R. M. Price, Journal of Educational and Behavioral Statistics 37 (2012), recommended by
        M. W. Fagerland, S. Lydersen and P. Laake, Statistics in Medicine 33 (2014).

    Example:
        >>> labels = np.zeros(100, np.int64)
        >>> good, bad = np.tile([0.9, 0.1], (100, 1)), np.tile([0.9, 0.1], (100, 1))
        >>> bad[:10] = [0.1, 0.9]
        >>> found = compare_predictions(labels, bad, good, ("ant", "bee"))
        >>> found.fixed, found.broken, found.is_significant
        (10, 0, True)
    """
    if not len(labels) or not (first.shape == second.shape == (len(labels), len(classes))):
        raise ValueError(f"{len(labels)} labels, {first.shape} and {second.shape} for {len(classes)} classes")
    units = _units_of(groups, len(labels))
    count = min(_DRAWS, max(500, _WORK // len(labels))) if draws is None else draws
    said = _Said.of(labels, first), _Said.of(labels, second)
    gain = said[1].right.astype(np.int64) - said[0].right
    p = mid_p(np.bincount(units, gain).astype(np.int64))
    ends = _bootstrap(labels, said, units, len(classes), count, seed)
    points = [one.figures(labels, np.ones(len(labels)), len(classes)) for one in said]
    how = "paired bootstrap, 95 %" if groups is None else "paired bootstrap of groups, 95 %"
    figures = {
        name: Change(points[0][name], points[1][name], points[1][name] - points[0][name], *ends[name], how)
        for name in FIGURES
    }
    if groups is None:
        figures["accuracy"] = _adjusted_wald(figures["accuracy"], gain)
    return Comparison(
        n=len(labels),
        units=int(units.max()) + 1,
        both_right=int((said[0].right & said[1].right).sum()),
        both_wrong=int((~said[0].right & ~said[1].right).sum()),
        fixed_rows=tuple(np.flatnonzero(gain > 0).tolist()),
        broken_rows=tuple(np.flatnonzero(gain < 0).tolist()),
        p=p,
        p_adjusted=p,
        figures=figures,
        classes=_class_changes(labels, said, gain, units, classes),
        draws=count,
    )


def _units_of(groups: npt.NDArray[np.intp] | None, count: int) -> npt.NDArray[np.intp]:
    """Return ``[N]`` the number of each image's group, from 0 without a gap; an image without one is its own."""
    if groups is None:
        return np.arange(count)
    alone = groups < 0
    named = np.where(alone, groups.max() + 1 + np.arange(count), groups)
    return np.unique(named, return_inverse=True)[1]


def _adjusted_wald(change: Change, gain: Labels) -> Change:
    n = len(gain) + 2
    fixed, broken = (int((gain > 0).sum()) + 1) / n, (int((gain < 0).sum()) + 1) / n
    spread = _Z * math.sqrt((fixed + broken - (fixed - broken) ** 2) / n)
    middle = fixed - broken
    return replace(
        change, low=max(-1.0, middle - spread), high=min(1.0, middle + spread), method="Bonett and Price, 95 %"
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Said:
    """What one classifier said, an array an image each: class, whether it is right, log-loss, Brier's squares."""

    predicted: Labels
    right: npt.NDArray[np.bool_]
    loss: Floats
    squares: Floats

    @classmethod
    def of(cls, labels: Labels, probabilities: npt.NDArray[np.float32]) -> _Said:
        predicted = probabilities.argmax(1)
        rows = np.arange(len(labels))
        of_label = probabilities[rows, labels].astype(np.float64)
        loss = -np.log(np.clip(of_label, 1e-7, 1))
        # sum over classes of (p - y)^2, without a second array of that size
        squares = np.einsum("nk,nk->n", probabilities, probabilities, dtype=np.float64) - 2 * of_label + 1
        return cls(predicted, predicted == labels, loss, squares)

    def figures(self, labels: Labels, weights: Floats, classes: int) -> dict[str, float]:
        """Return each of ``FIGURES`` of images that count ``weights`` times."""
        hits = np.bincount(labels, weights * self.right, classes)
        counts = np.stack([hits, np.bincount(labels, weights, classes), np.bincount(self.predicted, weights, classes)])
        total = float(weights.sum())
        return {
            "accuracy": float(hits.sum()) / total,
            "balanced_accuracy": macro_recall(counts),
            "macro_f1": macro_f1(counts),
            "log_loss": float(weights @ self.loss) / total,
            "brier": float(weights @ self.squares) / total,
        }


def _bootstrap(
    labels: Labels, said: tuple[_Said, _Said], units: npt.NDArray[np.intp], classes: int, draws: int, seed: int
) -> dict[str, tuple[float, float]]:
    """Return figure -> ends of the interval of the second's less the first's."""
    count = int(units.max()) + 1
    # a group's stratum is the class that most of its images have
    pairs, sizes = np.unique(units * classes + labels, return_counts=True)
    order = np.lexsort((sizes, pairs // classes))
    stratum = np.zeros(count, np.int64)
    stratum[pairs[order] // classes] = pairs[order] % classes  # of equal places the last, the largest, stays
    by_stratum = np.argsort(stratum, kind="stable")
    size_of = np.bincount(stratum, minlength=classes)
    sizes, starts = (each[stratum[by_stratum]] for each in (size_of, np.cumsum(size_of) - size_of))
    random = np.random.default_rng(seed)
    drawn = np.empty((draws, len(FIGURES)))
    for draw in range(draws):
        taken = by_stratum[starts + (random.random(count) * sizes).astype(np.int64)]
        weights = np.bincount(taken, minlength=count)[units].astype(np.float64)
        first, second = (one.figures(labels, weights, classes) for one in said)
        drawn[draw] = [second[name] - first[name] for name in FIGURES]
    low, high = np.quantile(drawn, (0.025, 0.975), axis=0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(FIGURES)}


def _class_changes(
    labels: Labels, said: tuple[_Said, _Said], gain: Labels, units: npt.NDArray[np.intp], classes: tuple[str, ...]
) -> tuple[ClassChange, ...]:
    rows = []
    order = np.argsort(labels, kind="stable")
    for mine in np.split(order, np.cumsum(np.bincount(labels, minlength=len(classes)))[:-1]):
        if not len(mine):
            continue
        own = gain[mine]
        p = mid_p(np.bincount(np.unique(units[mine], return_inverse=True)[1], own).astype(np.int64))
        recalls = [float(one.right[mine].mean()) for one in said]
        name = classes[int(labels[mine[0]])]
        rows.append(ClassChange(name, len(mine), int((own > 0).sum()), int((own < 0).sum()), *recalls, p, p))
    adjusted = holm([row.p for row in rows])
    return tuple(replace(row, p_adjusted=p) for row, p in zip(rows, adjusted, strict=True))
