"""Statistics of two classifiers on the same images: a paired test, Holm's correction, a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import draw_blocks, sum_by
from sightline.evaluation.metrics import METRICS, OfCounts, OfImages

__all__ = ["Answers", "bootstrap_differences", "holm", "mid_p", "variance_of_gain"]

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


def mid_p(differences: Labels) -> float:
    """Return the two-sided mid-p value of paired differences: could their signs be chance?

    Each difference would be as likely with the other sign if the two classifiers were equally good. With differences
    of 1 and -1 alone, one an image, this is McNemar's mid-p test; a group of images that are not independent
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


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """What one classifier answered to images whose classes are known, as far as a paired bootstrap needs it.

    Attributes:
        labels: ``[N] int64``, true classes.
        predicted: ``[N] int64``.
        of_images: metric -> ``[N]``, the values whose mean it is.
        classes: how many there are.
    """

    labels: Labels
    predicted: Labels
    of_images: dict[str, Floats]
    classes: int

    @classmethod
    def of(cls, labels: Labels, probabilities: npt.NDArray[np.float32]) -> Answers:
        """Return it for ``[N]`` labels and ``[N, K]`` probabilities."""
        probabilities = np.ascontiguousarray(probabilities)  # sums depend on the order in memory, in the last digit
        classes = probabilities.shape[1]
        of_images = {
            name: metric.compute.of(labels, probabilities).astype(np.float64)
            for name, metric in METRICS.items()
            if isinstance(metric.compute, OfImages) and classes >= metric.compute.least_classes
        }
        return cls(labels, probabilities.argmax(1), of_images, classes)

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """``[N] bool``: whether the prediction is the true class."""
        hits: npt.NDArray[np.bool_] = self.predicted == self.labels
        return hits

    def metrics(self, weights: Floats) -> dict[str, Floats]:
        """Return the metrics of images that count ``weights [..., N]`` times, each ``[...]``.

        They are those of counts, and means over images.
        """
        rows = (self.labels, weights * self.hits), (self.labels, weights), (self.predicted, weights)
        counts: Floats = np.stack([sum_by(places, each, self.classes) for places, each in rows], axis=-2)
        total = weights.sum(-1)
        found = {name: weights @ values / total for name, values in self.of_images.items()}
        for name, metric in METRICS.items():
            if isinstance(metric.compute, OfCounts):
                found[name] = metric.compute.of(counts)
        return {name: found[name] for name in METRICS if name in found}


def bootstrap_differences(
    answers: tuple[Answers, Answers], units: npt.NDArray[np.intp], draws: int, seed: int
) -> dict[str, Floats]:
    """Return metric -> ``[draws]`` differences of the second's less the first's, rising.

    Units are taken with replacement within each class, the same for both, see
    :func:`~sightline.evaluation.intervals.draw_blocks`.

    Args:
        answers: of the two classifiers to the same images.
        units: ``[N]``, the number of each image's unit.
        draws: how often to draw.
        seed: of the draws.
    """
    drawn: dict[str, list[Floats]] = {}
    for weights in draw_blocks(answers[0].labels, units, rounds=draws, seed=seed):
        first, second = (one.metrics(weights) for one in answers)
        for name in first:
            drawn.setdefault(name, []).append(second[name] - first[name])
    return {name: np.sort(np.concatenate(blocks)) for name, blocks in drawn.items()}


def variance_of_gain(gain: npt.NDArray[np.float64], names: npt.NDArray[np.intp]) -> tuple[float, int]:
    """Return the variance of a mean difference over images, by units, and its degrees of freedom.

    One unit that gains as much as any gains or loses, and one that loses as much, are added to those that were seen,
    so that few changed images are not taken for certainty; where nothing changed, whole ones. For 1, 0 and -1 it is
    Bonett and Price's interval of a paired difference, with Student's quantile.

    Args:
        gain: ``[V]``, of each image.
        names: ``[V]``, numbers of the units from 0 on, without gaps; there are two at least.

    References:
        D. G. Bonett and R. M. Price, Journal of Educational and Behavioral Statistics 37 (2012).
    """
    sums, sizes = np.bincount(names, gain), np.bincount(names)
    count, most = len(sums), np.abs(sums).max() or sizes.mean()
    sums, sizes = np.append(sums, (most, -most)), np.append(sizes, (sizes.mean(), sizes.mean()))
    off = sums - sums.sum() / sizes.sum() * sizes
    return float((off**2).sum() / sizes.sum() ** 2), count - 1
