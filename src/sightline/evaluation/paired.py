"""Statistics of two classifiers on the same images: a paired test, Holm's correction, a paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import draw_weights
from sightline.evaluation.metrics import macro_f1, macro_recall
from sightline.evaluation.scores import image_briers, image_losses

__all__ = ["FIGURES", "Said", "bootstrap_differences", "holm", "mid_p"]

FIGURES = {  # name -> whether more of it is better
    "accuracy": True,
    "balanced_accuracy": True,
    "macro_f1": True,
    "log_loss": False,
    "brier": False,
}

Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


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


@dataclass(frozen=True, slots=True, eq=False)
class Said:
    """What one classifier said, ``[N]`` each.

    Attributes:
        predicted: class.
        right: whether it is the true one.
        loss: negative log-probability of the true class, in nats; probabilities are clipped at 1e-7.
        squares: sum over classes of the squared error of the probability, 0 to 2: its mean is Brier's score.
    """

    predicted: Labels
    right: npt.NDArray[np.bool_]
    loss: Floats
    squares: Floats

    @classmethod
    def of(cls, labels: Labels, probabilities: npt.NDArray[np.float32]) -> Said:
        """Return it for ``[N]`` labels and ``[N, K]`` probabilities."""
        probabilities = np.ascontiguousarray(probabilities)  # sums depend on the order in memory, in the last digit
        predicted = probabilities.argmax(1)
        losses, squares = image_losses(labels, probabilities), image_briers(labels, probabilities)
        return cls(predicted, predicted == labels, losses, squares)

    def figures(self, labels: Labels, weights: Floats, classes: int) -> dict[str, float]:
        """Return each of ``FIGURES`` of images that count ``weights`` times."""
        hits = np.bincount(labels, weights * self.right, classes)
        counts: Floats = np.stack(
            [hits, np.bincount(labels, weights, classes), np.bincount(self.predicted, weights, classes)]
        )
        total = float(weights.sum())
        return {
            "accuracy": float(hits.sum()) / total,
            "balanced_accuracy": macro_recall(counts),
            "macro_f1": macro_f1(counts),
            "log_loss": float(weights @ self.loss) / total,
            "brier": float(weights @ self.squares) / total,
        }


def bootstrap_differences(
    labels: Labels, said: tuple[Said, Said], units: npt.NDArray[np.intp], classes: int, draws: int, seed: int
) -> dict[str, Floats]:
    """Return figure -> ``[draws]`` differences of the second's less the first's, rising.

    Units are taken with replacement within each class, the same for both, see
    :func:`~sightline.evaluation.intervals.draw_weights`.

    Args:
        labels: ``[N]``.
        said: of the two classifiers.
        units: ``[N]``, the number of each image's unit.
        classes: how many there are.
        draws: how often to draw.
        seed: of the draws.
    """
    drawn = np.empty((draws, len(FIGURES)))
    for draw, weights in enumerate(draw_weights(labels, units, rounds=draws, seed=seed)):
        first, second = (one.figures(labels, weights, classes) for one in said)
        drawn[draw] = [second[name] - first[name] for name in FIGURES]
    drawn.sort(axis=0)
    return {name: drawn[:, place] for place, name in enumerate(FIGURES)}
