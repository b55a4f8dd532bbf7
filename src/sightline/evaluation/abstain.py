"""When to answer ``unknown``: too unsure, or unlike everything that was trained on. Arrays only.

Two knobs for two questions. ``min_confidence`` keeps the wrong answers among those that are given rare. ``novelty``
asks how unlike the training the features of an image are, whatever the probabilities say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Units, proportion, wilson
from sightline.evaluation.scores import roc_auc

__all__ = [
    "KEPT",
    "LEAST_LENGTH",
    "TARGET_ERROR",
    "Novelty",
    "choose_confidence",
    "describe_unknown",
    "fit_novelty",
    "leave_one_out",
    "risk_coverage",
    "separation",
]

KEPT = 0.95  # share of the validation images that are not called new
TARGET_ERROR = 0.05  # among the answers that are given
LEAST_LENGTH = 1e-6  # of features, before they are divided by it
_TRIED = 500  # thresholds, where each is looked at by groups, which takes longer
_LEAST_ANSWERED = 20  # images that a threshold must leave answered
_POINTS = 101  # of a curve

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Novelty:
    """How unlike the training an image is, from its features; few numbers that fit into ``model.onnx``.

    Two things are looked at, and the more unusual one counts: the angle to the mean direction of the nearest class, and
    how short the features are, since a network that recognises nothing answers with short ones.

    Attributes:
        means: ``[K, D]``, mean direction of each class, of length one; zeros for a class without images.
        absent: ``[K]``: 0, or a number that puts a class without images infinitely far.
        angle: (usual, reach) of ``1 - cosine``: median on validation, and from there to its 97.5 % quantile.
        shortness: (usual, reach) of minus the logarithm of the length.
        scale: makes 1 what 95 % of the validation images lie below.
    """

    means: Features
    absent: Features
    angle: tuple[float, float]
    shortness: tuple[float, float]
    scale: float

    def distances(self, features: Features) -> Features:
        """Return ``[N, K] float32``: the novelty if each class were the only one."""
        length = np.maximum(np.linalg.norm(features, axis=1, keepdims=True), np.float32(LEAST_LENGTH))
        far = 1 - features / length @ self.means.T + self.absent
        angles, short = (far - self.angle[0]) / self.angle[1], (-np.log(length) - self.shortness[0]) / self.shortness[1]
        scaled: Features = (np.maximum(np.maximum(angles, short), 0) * self.scale).astype(np.float32)
        return scaled

    def of(self, features: Features) -> Features:
        """Return ``[N] float32``: 0 for an image as usual as most; above 1 it is new."""
        nearest: Features = self.distances(features).min(1)
        return nearest


def fit_novelty(train: Features, labels: Labels, classes: int, val: Features) -> Novelty:
    """Return a measure of novelty from features of training images, scaled on validation images.

    Compared with the nearest training images, with Mahalanobis' distance in features of length one, and with the length
    alone (``benchmarks/novelty.py``): on two networks none told foreign images apart better overall, and none is as
    small. Images of a class that was left out are noticed a little better by the nearest training images.

    Args:
        train: ``[N, D]``, finite.
        labels: ``[N]``.
        classes: K; a class without an image is infinitely far.
        val: ``[M, D]`` of images that were not trained on, at least one.

    References:
        J. Snell, K. Swersky and R. Zemel, Prototypical networks, NeurIPS 2017, for distances to class means;
        S. Vaze, K. Han, A. Vedaldi and A. Zisserman, Open-set recognition, ICLR 2022, for the length of features.

    Example:
        >>> spread = np.random.default_rng(0).normal(0, 0.1, (400, 3)).astype(np.float32)
        >>> seen = spread + np.eye(3, dtype=np.float32)[[0, 1] * 200]
        >>> novelty = fit_novelty(seen[:200], np.array([0, 1] * 100), 2, seen[200:])
        >>> bool(novelty.of(np.array([[0, 0, 1.0]], np.float32))[0] > 2)
        True
    """
    unit = train / np.maximum(np.linalg.norm(train, axis=1, keepdims=True), LEAST_LENGTH)
    means = np.zeros((classes, unit.shape[1]))
    np.add.at(means, labels, unit)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), LEAST_LENGTH)
    absent = np.where(np.bincount(labels, minlength=classes) > 0, 0.0, 1e9)
    length = np.maximum(np.linalg.norm(val, axis=1), LEAST_LENGTH)
    angles = (1 - val / length[:, None] @ means.T + absent).min(1)
    found = means.astype(np.float32), absent.astype(np.float32), _usual(angles), _usual(-np.log(length))
    plain = Novelty(*found, scale=1.0)
    share = min(1.0, KEPT * (len(val) + 1) / len(val))  # few images: room for the next one, as in conformal sets
    return replace(plain, scale=1 / max(float(np.quantile(plain.of(val), share, method="higher")), 1e-6))


def _usual(values: npt.NDArray[np.floating[Any]]) -> tuple[float, float]:
    middle, high = (float(end) for end in np.quantile(values, (0.5, 0.975)))
    return middle, max(high - middle, 1e-6)


def choose_confidence(
    confidence: npt.NDArray[np.floating[Any]],
    hits: npt.NDArray[np.bool_],
    target: float = TARGET_ERROR,
    units: Units | None = None,
) -> float | None:
    """Return the lowest confidence from which on at most ``target`` of the answers are wrong, with 95 % confidence.

    The upper end of the interval of the error among the answered validation images must not be above the target. None
    where no threshold that leaves 20 images answered can promise that; 0 where all images may be answered.

    Args:
        confidence: ``[N]``, of validation.
        hits: ``[N] bool``.
        target: share of wrong answers, 0 to 1.
        units: ``[N]``: images of one unit are not independent; None: all are.

    References:
        After Y. Geifman and R. El-Yaniv, Selective classification for deep neural networks, NeurIPS 2017, without their
        correction for how many thresholds are tried: neighbours are nearly the same images, and the promise was broken
        in 5 to 7 of 100 simulated sets of 500 and 2,000 images at the edge of it.

    Example:
        >>> choose_confidence(np.array([0.9] * 200 + [0.4] * 100), np.array([True] * 200 + [False] * 100), 0.05)
        0.9
    """
    order = np.argsort(-confidence, kind="stable")
    wrong = np.cumsum(~hits[order])
    ends = np.flatnonzero(np.diff(confidence[order], append=-1.0) != 0)  # equal ones are answered together
    chosen = None
    ends = ends[ends + 1 >= _LEAST_ANSWERED]
    step = 1 if units is None else 1 + len(ends) // _TRIED
    for end in ends[::-1][::step][::-1]:  # the last one, that of all images, is among them
        answered = order[: end + 1]
        if units is None:
            share = wilson(int(wrong[end]), len(answered))
        else:
            share = proportion(~hits[answered], units[answered])
        if share.high <= target:
            chosen = float(confidence[order[end]]) if end + 1 < len(hits) else 0.0
    return chosen


def risk_coverage(
    confidence: npt.NDArray[np.floating[Any]], hits: npt.NDArray[np.bool_], units: Units | None = None
) -> list[dict[str, float]]:
    """Return for thresholds from 0 to 1, a hundredth apart: the share that is answered, and how much of it is right.

    ``accuracy`` with ``low`` and ``high`` is left out where nothing is answered.
    """
    rows = []
    for threshold in np.linspace(0, 1, _POINTS):
        answered = confidence >= threshold
        row = {"threshold": round(float(threshold), 2), "coverage": float(answered.mean()), "n": int(answered.sum())}
        if answered.any():
            share = proportion(hits[answered], None if units is None else units[answered])
            row |= {"accuracy": share.value, "low": share.low, "high": share.high}
        rows.append(row)
    return rows


def separation(known: npt.NDArray[np.floating[Any]], new: npt.NDArray[np.floating[Any]]) -> float:
    """Return the AUROC of telling new images from known ones by a score that is higher for new ones; 0.5 is chance."""
    is_new = np.repeat([False, True], [len(known), len(new)])
    return roc_auc(is_new, np.concatenate([known, new]))


def leave_one_out(distances: Features, labels: Labels) -> list[float | None]:
    """Return for each class the AUROC of noticing its images as new if the class had no mean of its own.

    Too hopeful: the features were learnt with the class. None for classes without images, or where there are two.

    Args:
        distances: ``[N, K]`` of test images, by ``Novelty.distances``.
        labels: ``[N]``.
    """
    found: list[float | None] = []
    for k in range(distances.shape[1]):
        is_class = labels == k
        if not 0 < is_class.sum() < len(labels) or distances.shape[1] < 3:
            found.append(None)
            continue
        nearest = np.delete(distances, k, axis=1).min(1)
        found.append(separation(nearest[~is_class], nearest[is_class]))
    return found


def describe_unknown(
    labels: Labels,
    probabilities: Features,
    novelty: Features,
    min_confidence: float | None,
    target: float,
    units: Units | None = None,
) -> dict[str, Any]:
    """Return what the two thresholds do on test images, JSON-able.

    Args:
        labels: ``[N]``.
        probabilities: ``[N, K]``.
        novelty: ``[N]``, 1 where 95 % of the validation images lie below.
        min_confidence: chosen on validation; None: there is none.
        target: error among the answers that it was chosen for.
        units: ``[N]``: images of one unit are not independent; None: all are.
    """
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels
    found: dict[str, Any] = {
        "min_confidence": min_confidence,
        "target_error": target,
        "new": proportion(novelty > 1, units).to_dict(),
    }
    if min_confidence is not None:
        answered = confidence >= min_confidence
        of_answered = None if units is None else units[answered]
        found["answered"] = proportion(answered, units).to_dict()
        found["wrong_answers"] = proportion(~hits[answered], of_answered).to_dict() if answered.any() else None
    return found
