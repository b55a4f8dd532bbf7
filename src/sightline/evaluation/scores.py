"""Metrics of probabilities: how well they rank, and how far they are from the truth. scikit-learn is the oracle."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, draw_blocks, wilson

__all__ = [
    "Ranking",
    "image_briers",
    "image_hits",
    "image_losses",
    "log_loss",
    "macro_average_precision",
    "macro_roc_auc",
    "rank_classes",
    "rank_scores",
    "roc_auc",
    "top_hits",
    "true_ranks",
]

_LEAST = 1e-7  # what a probability is raised to before its logarithm
_AP_CELLS = 200_000  # images times classes up to which average precision gets an interval
_Z = 1.959963984540054

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]
Values = npt.NDArray[np.float64]


def log_loss(labels: Labels, probabilities: Shares) -> float:
    """Return the mean negative log-probability of the true class, in nats; probabilities are clipped at 1e-7."""
    return float(image_losses(labels, probabilities).mean())


def image_hits(labels: Labels, probabilities: Shares) -> npt.NDArray[np.bool_]:
    """Return ``[N]``: whether the most probable class of each image is the true one."""
    hits: npt.NDArray[np.bool_] = probabilities.argmax(1) == labels
    return hits


def top_hits(k: int, labels: Labels, probabilities: Shares) -> npt.NDArray[np.bool_]:
    """Return ``[N]``: whether the true class is among the ``k`` most probable ones."""
    hits: npt.NDArray[np.bool_] = true_ranks(labels, probabilities) < k
    return hits


def image_losses(labels: Labels, probabilities: Shares) -> Values:
    """Return ``[N]``: the loss of each image, in nats."""
    said = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    losses: Values = -np.log(np.clip(said, _LEAST, 1))
    return losses


def image_briers(labels: Labels, probabilities: Shares) -> Values:
    """Return ``[N]``: the squared distance of the probabilities from the truth, summed over classes, 0 to 2."""
    said = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    scores: Values = np.einsum("nk,nk->n", probabilities, probabilities, dtype=np.float64) - 2 * said + 1
    return scores


def true_ranks(labels: Labels, probabilities: Shares) -> npt.NDArray[np.int64]:
    """Return ``[N]``: the place of the true class among the answers, from 0; of equal ones the first class is first.

    Example:
        >>> true_ranks(np.array([1]), np.array([[0.2, 0.3, 0.5]], np.float32))
        array([1])
    """
    own = probabilities[np.arange(len(labels)), labels][:, None]
    before = np.arange(probabilities.shape[1])[None] < labels[:, None]
    ranks: npt.NDArray[np.int64] = ((probabilities > own) | ((probabilities == own) & before)).sum(1)
    return ranks


@dataclass(frozen=True, slots=True, eq=False)
class Ranking:
    """How well the probabilities of each class rank its images above all others.

    Attributes:
        rows: for each class ``roc_auc`` and ``average_precision``; None where it can't be told.
        parts: ``[N]``: what each image adds to the error of the mean ROC area; its squares add up.
    """

    rows: list[dict[str, float | None]]
    parts: Values


def rank_classes(labels: Labels, probabilities: Shares) -> Ranking:
    """Return the areas of each class against all others.

    Args:
        labels, probabilities: as for ``evaluate_predictions``.
    """
    n, classes = probabilities.shape
    rows: list[dict[str, float | None]] = []
    parts, present = np.zeros(n), 0
    for k in range(classes):
        is_class = labels == k
        if not is_class.any() or is_class.all():
            rows.append({"roc_auc": None, "average_precision": None})
            continue
        area, precision, own = rank_scores(is_class, probabilities[:, k])
        rows.append({"roc_auc": area, "average_precision": precision})
        parts, present = parts + own, present + 1
    return Ranking(rows, parts / max(1, present))


def rank_scores(is_class: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating[Any]]) -> tuple[float, float, Values]:
    """Return the area under the ROC curve, the average precision, and ``[N]`` what each image adds to the area's error.

    Args:
        is_class: ``[N] bool``, both kinds present.
        scores: ``[N]``, higher for the class; in the area ties count half.

    References:
        E. R. DeLong, D. M. DeLong and D. L. Clarke-Pearson, Biometrics 44 (1988), for the error of the area; average
        precision as scikit-learn's.
    """
    n, order = len(scores), np.argsort(scores, kind="stable")
    ranked, yes = scores[order], is_class[order]
    first = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))  # of equal scores
    sizes = np.diff(first, append=n)
    hits = np.add.reduceat(yes, first, dtype=np.int64)
    misses = sizes - hits
    hits_below, misses_below = np.cumsum(hits) - hits, np.cumsum(misses) - misses
    count = int(hits.sum())
    above = (misses_below + misses / 2) / (n - count)  # share of the others that an image of the class is ranked above
    below = 1 - (hits_below + hits / 2) / count
    area = float((above * hits).sum() / count)
    parts = np.empty(n)
    own, others = _sampled(count), _sampled(n - count)
    spread = np.where(yes, own * np.repeat(above - area, sizes), others * np.repeat(below - area, sizes))
    parts[order] = spread
    if count == 1:  # one image does not show how far such images lie apart
        parts[is_class] = math.sqrt(max(0.0, _variance_of_one(area, n) - float((parts**2).sum())))
    precision = float((hits * (count - hits_below) / (n - first)).sum() / count)
    return area, precision, parts


def _sampled(count: int) -> float:
    """Return what turns deviations from a mean of ``count`` into parts of its error, which is larger than they show."""
    return 1 / count * math.sqrt(count / max(1, count - 1))


def _variance_of_one(area: float, n: int) -> float:
    """Return the variance of an area that rests on one image of the class and ``n - 1`` others.

    References:
        J. A. Hanley and B. J. McNeil, Radiology 143 (1982).
    """
    return (area * (1 - area) + (n - 2) * (2 * area**2 / (1 + area) - area**2)) / (n - 1)


def roc_auc(is_class: npt.NDArray[np.bool_], scores: npt.NDArray[np.floating[Any]]) -> float:
    """Return the area under the ROC curve; arguments as for ``rank_scores``."""
    return rank_scores(is_class, scores)[0]


def _present(ranking: Ranking) -> list[int]:
    """Return the classes that can be ranked: they have images, and so have others."""
    return [k for k, row in enumerate(ranking.rows) if row["roc_auc"] is not None]


def macro_roc_auc(
    labels: Labels, probabilities: Shares, ranking: Ranking, units: Units | None = None, seed: int = 0
) -> Interval | None:
    """Return the mean over classes of the area under the ROC curve, with DeLong's interval; None for one class alone.

    Args:
        labels, probabilities, units, seed: as for ``evaluate_predictions``; nothing is drawn here.
        ranking: of these, by ``rank_classes``.
    """
    present = _present(ranking)
    if not present:
        return None
    value = float(np.mean([ranking.rows[k]["roc_auc"] for k in present]))
    parts = ranking.parts
    if units is not None:
        parts = np.bincount(np.unique(units, return_inverse=True)[1], parts).astype(np.float64)
    error = math.sqrt(float((parts**2).sum()))
    if not 0 < value < 1 or not error:
        return _interval_of_perfect(value, labels, present, units)
    middle, reach = math.log(value / (1 - value)), _Z * error / (value * (1 - value))
    low, high = (1 / (1 + math.exp(-min(700.0, max(-700.0, middle + sign * reach)))) for sign in (-1, 1))
    return Interval(value, low, high, len(labels), "DeLong, on the logit, 95 %")


def _interval_of_perfect(value: float, labels: Labels, present: list[int], units: Units | None) -> Interval:
    """Return the interval of a ranking without a fault: as sure as so many hits in a row of the rarest class."""
    witnesses = np.arange(len(labels)) if units is None else units
    fewest = min(len(np.unique(witnesses[labels == k])) for k in present)
    return Interval(value, min(value, wilson(fewest, fewest).low), 1.0, len(labels), "rule of the rarest class, 95 %")


def _falling(scores: npt.NDArray[np.floating[Any]]) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Return the order from the highest score, and for each place the last one that has an equal score."""
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(np.diff(scores[order], append=-np.inf) != 0)
    return order, ends[np.searchsorted(ends, np.arange(len(scores)))]


def _average_precision(is_class: npt.NDArray[np.bool_], weights: Values, last: npt.NDArray[np.intp]) -> Values:
    """Return ``[...]`` scikit-learn's average precision of images in falling order of score.

    Args:
        is_class: ``[N]``.
        weights: ``[..., N]``, how often each image counts.
        last: of ``_falling``.
    """
    own = np.flatnonzero(is_class)
    ends = last[own]  # where the images that score as much as one of the class end ...
    hits = np.take(weights, own, -1)
    above = np.take(np.cumsum(hits, -1), np.searchsorted(own, ends, "right") - 1, -1)  # ... and the class's among them
    precision = above / np.maximum(np.take(np.cumsum(weights, -1), ends, -1), 1e-12)
    values: Values = (hits * precision).sum(-1) / np.maximum(hits.sum(-1), 1e-12)
    return values


def macro_average_precision(
    labels: Labels, probabilities: Shares, ranking: Ranking, units: Units | None = None, seed: int = 0
) -> Interval | None:
    """Return the mean over classes of average precision, with the interval of a bootstrap.

    None for one class alone, and where images times classes are more than 200,000: the interval would take minutes.

    Args:
        labels, probabilities, ranking, units, seed: as for ``macro_roc_auc``.
    """
    present = _present(ranking)
    if not present or probabilities.size > _AP_CELLS:
        return None
    ordered = [(k, *_falling(probabilities[:, k])) for k in present]

    def macro(weights: Values) -> Values:
        own = [_average_precision(labels[order] == k, np.take(weights, order, -1), last) for k, order, last in ordered]
        means: Values = np.mean(own, axis=0)
        return means

    value = float(macro(np.ones(len(labels))))
    if value > 1 - 1e-9:  # every draw is perfect too
        return _interval_of_perfect(value, labels, present, units)
    drawn = [macro(weights) for weights in draw_blocks(labels, units, cells=4 * probabilities.size, seed=seed)]
    low, high = (float(end) for end in np.quantile(np.concatenate(drawn), (0.025, 0.975)))
    over = "within classes" if units is None else "over groups"
    return Interval(value, min(low, value), max(high, value), len(labels), f"bootstrap {over}, 95 %")
