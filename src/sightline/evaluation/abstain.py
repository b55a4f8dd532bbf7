"""When to answer ``unknown``: too unsure, or unlike everything that was trained on. Arrays only.

Two knobs for two questions. ``min_confidence`` keeps the wrong answers among those that are given rare. ``novelty``
asks how unlike the training the features of an image are, whatever the probabilities say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Units, design_effect, effective_count, proportion
from sightline.evaluation.scores import roc_auc

__all__ = [
    "CASES",
    "IMAGES_FOR_CONFIDENCE",
    "IMAGES_FOR_NOVELTY",
    "KEPT",
    "LEAST_LENGTH",
    "TARGET_ERROR",
    "Novelty",
    "choose_confidence",
    "count_witnesses",
    "describe_unknown",
    "fit_novelty",
    "leave_one_out",
    "new_shares",
    "risk_coverage",
    "separation",
]

KEPT = 0.95  # share of images like the validation images that are not called new
CASES = 0.9  # of draws of validation images: in so many of them this is kept
TARGET_ERROR = 0.05  # among the answers that are given
LEAST_LENGTH = 1e-6  # of features, before they are divided by it
IMAGES_FOR_NOVELTY = math.ceil(math.log(1 - CASES) / math.log(KEPT))  # with fewer not even the largest novelty will do
_LEAST_ANGLE, _LEAST_SHORTNESS = 1e-3, 1e-2  # that count: below them lies what two programs compute differently
_LEAST_SCALED = 0.5
_ROUNDING = 1.01  # above the limit on validation: what is equal but for rounding is not new
_SIGMA = 2  # from the median to the usual end, over that to the 84 % quantile
_BROKEN = 0.05  # of draws of validation images in which a threshold of confidence may promise too much
_LEVELS = (1.0, 0.8, 0.4, 0.2, 0.1)  # shares of images that the first thresholds answer
_TRIED = 500  # thresholds, where each is looked at by groups, which takes longer
# With fewer, all of them right, too many wrong answers would not be improbable enough for the first level's half of it.
IMAGES_FOR_CONFIDENCE = math.ceil(math.log(_BROKEN / 2) / math.log(1 - TARGET_ERROR))
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
        angle: (usual, reach) of ``1 - cosine``: median on validation, and twice the way to its 84 % quantile.
        shortness: (usual, reach) of minus the logarithm of the length.
        scale: makes 1 what 95 % of images like the validation images lie below, see :func:`new_shares`.
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


def fit_novelty(train: Features, labels: Labels, classes: int, val: Features, units: Units | None = None) -> Novelty:
    """Return a measure of novelty from features of training images, scaled on validation images.

    At most 5 in 100 images like the validation images have a novelty above 1, in 9 of 10 draws of validation images;
    with fewer than 45 of them no number could promise that, and 1 is the largest novelty among them.

    Compared with the nearest training images, with Mahalanobis' distance in features of length one, and with the length
    alone (``benchmarks/novelty.py``): on two networks none told foreign images apart better overall, and none is as
    small. Images of a class that was left out are noticed a little better by the nearest training images.

    Args:
        train: ``[N, D]``, finite.
        labels: ``[N]``.
        classes: K; a class without an image is infinitely far.
        val: ``[M, D]`` of images that were not trained on, at least one.
        units: ``[M]``: images of one unit are not independent; None: all are.

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
    usual = _usual(angles, _LEAST_ANGLE), _usual(-np.log(length), _LEAST_SHORTNESS)
    plain = Novelty(means.astype(np.float32), absent.astype(np.float32), *usual, scale=1.0)
    count = count_witnesses(len(val), units)
    share = (_rank_kept(count) or count) / count
    limit = np.sort(plain.of(val))[min(len(val), math.ceil(share * len(val) - 1e-9)) - 1]
    return replace(plain, scale=1 / (_ROUNDING * max(float(limit), _LEAST_SCALED)))


def count_witnesses(count: int, units: Units | None) -> int:
    """Return as how many independent images so many count whose units are quite alike; large units make it fewer.

    Example:
        >>> count_witnesses(6, None), count_witnesses(6, np.array([0, 0, 1, 1, 2, 2]))
        (6, 3)
    """
    return count if units is None else effective_count(np.ones(count, bool), units)


def new_shares(count: int) -> tuple[float, float] | None:
    """Return between which shares of images like the validation images are called new, in 9 of 10 draws of these.

    The share below the r-th of n values has a beta distribution with r and n + 1 - r, whatever the values are.

    Args:
        count: validation images, as ``count_witnesses`` counts them.

    Returns:
        (low, high), 0 to 1; None where they are too few for a limit.

    References:
        S. S. Wilks, Determination of sample sizes for setting tolerance limits, Annals of Mathematical Statistics 12
        (1941).

    Example:
        >>> [round(end, 3) for end in new_shares(500)], new_shares(44)
        ([0.025, 0.053], None)
    """
    from scipy.stats import beta

    rank = _rank_kept(count)
    if rank is None:
        return None
    low, high = (1 - float(end) for end in beta.ppf((0.95, 0.05), rank, count + 1 - rank))
    return low, high


def _rank_kept(count: int) -> int | None:
    """Return which of so many values, the smallest first, at least ``KEPT`` of all lie below in ``CASES`` of draws."""
    from scipy.stats import beta

    ranks = np.arange(1, count + 1)
    kept = np.flatnonzero(beta.ppf(1 - CASES, ranks, count + 1 - ranks) >= KEPT)
    return int(ranks[kept[0]]) if len(kept) else None


def _usual(values: npt.NDArray[np.floating[Any]], least: float) -> tuple[float, float]:
    """Return (median, reach); of the higher quantiles a few images say too little."""
    middle, high = (float(end) for end in np.quantile(values, (0.5, 0.84)))
    return middle, max(_SIGMA * (high - middle), least)


def choose_confidence(
    confidence: npt.NDArray[np.floating[Any]],
    hits: npt.NDArray[np.bool_],
    target: float = TARGET_ERROR,
    units: Units | None = None,
) -> float | None:
    """Return the lowest confidence from which on at most ``target`` of the answers are wrong, in 19 of 20 cases.

    A case is a draw of validation images; that many thresholds are tried is paid for. From each of five shares of
    images, all of them first, thresholds are lowered step by step as long as an exact test says that more wrong answers
    would be chance in too few cases; the five have parts of the 1 in 20, the first of them half of it.

    Args:
        confidence: ``[N]``, of validation.
        hits: ``[N] bool``.
        target: share of wrong answers, 0 to 1.
        units: ``[N]``: images of one unit are not independent; None: all are.

    Returns:
        The threshold; 0 where all images may be answered; None where none can promise that.

    References:
        A. N. Angelopoulos, S. Bates, E. J. Candes, M. I. Jordan and L. Lei, Learn then test, Annals of Applied
        Statistics 19 (2025), fixed sequences from several starts; Y. Geifman and R. El-Yaniv, Selective classification
        for deep neural networks, NeurIPS 2017.

    Example:
        >>> choose_confidence(np.array([0.9] * 200 + [0.4] * 100), np.array([True] * 200 + [False] * 100), 0.05)
        0.9
    """
    order = np.argsort(-confidence, kind="stable")
    ends = np.flatnonzero(np.diff(confidence[order], append=-1.0) != 0)  # equal ones are answered together
    step = 1 if units is None else 1 + len(ends) // _TRIED
    wrong = ~hits[order]
    ordered = None if units is None else units[order]
    for level in _LEVELS:
        place = int(np.searchsorted(ends, level * len(hits) - 1, side="right")) - 1
        allowed = _BROKEN / 2 if level == 1 else _BROKEN / 2 / (len(_LEVELS) - 1)
        passed = None
        while 0 <= place < len(ends) and _chance(wrong, ordered, ends[place] + 1, target) <= allowed:
            passed, place = place, place + step
        if passed is not None:
            end = ends[passed]
            return float(confidence[order[end]]) if end + 1 < len(hits) else 0.0
    return None


def _chance(wrong: npt.NDArray[np.bool_], units: Units | None, count: int, target: float) -> float:
    """Return how probable it is that no more of the first ``count`` are wrong, if the share ``target`` of all were."""
    from scipy.special import betainc

    found, effect = wrong[:count], 1.0 if units is None else design_effect(wrong[:count], units[:count])
    errors = int(found.sum())
    return 1.0 if errors == count else 1 - float(betainc(errors / effect + 1, (count - errors) / effect, target))


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
    max_novelty: float | None = 1.0,
) -> dict[str, Any]:
    """Return what the two thresholds do on test images, JSON-able.

    Args:
        labels: ``[N]``.
        probabilities: ``[N, K]``.
        novelty: ``[N]``.
        min_confidence: chosen on validation; None: there is none.
        target: error among the answers that it was chosen for.
        units: ``[N]``: images of one unit are not independent; None: all are.
        max_novelty: above it an image is new; None: none is, for want of validation images.
    """
    limit = math.inf if max_novelty is None else max_novelty
    confidence, hits = probabilities.max(1), probabilities.argmax(1) == labels
    found: dict[str, Any] = {
        "min_confidence": min_confidence,
        "target_error": target,
        "max_novelty": max_novelty,
        "new": proportion(novelty > limit, units).to_dict(),
    }
    if min_confidence is not None:
        answered = confidence >= min_confidence
        of_answered = None if units is None else units[answered]
        found["answered"] = proportion(answered, units).to_dict()
        found["wrong_answers"] = proportion(~hits[answered], of_answered).to_dict() if answered.any() else None
    return found
