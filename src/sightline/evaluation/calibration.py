"""Probabilities that mean what they say: a temperature fitted on validation, and how far off they are. Arrays only."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Units, proportion
from sightline.evaluation.scores import image_losses

__all__ = [
    "ECE_FROM",
    "Calibration",
    "calibration_error",
    "cool",
    "describe_calibration",
    "fit_temperature",
    "reliability",
]

ECE_FROM = 200  # images: with fewer the error of calibration says nothing
_COLDEST, _HOTTEST = 0.25, 4.0
_BELIEF_BELOW, _BELIEF = 200, 0.5  # fewer images are held back by a belief in 1: its spread, of the logarithm
_FOLDS = 5
_BINS = 15
_DRAWS = 200  # of what a perfect model would show

Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """One temperature for all logits, and what it was worth on images that had no say in it.

    Attributes:
        temperature: that the logits are divided by; 1 where a fitted one did not help.
        fitted: the temperature as fitted on all images, whether it is used or not.
        loss_before, loss_after: cross-fitted log-loss on the same images without and with it, in nats.
        count: images of validation.
    """

    temperature: float
    fitted: float
    loss_before: float
    loss_after: float
    count: int

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return asdict(self)


def cool(probabilities: Shares, temperature: float) -> Shares:
    """Return the probabilities at another temperature; above 1 they come nearer to each other.

    Args:
        probabilities: ``[N, K] float32``, rows sum to 1.
        temperature: what the logits behind them are divided by.

    Example:
        >>> cool(np.array([[0.8, 0.2]], np.float32), 2).round(3).tolist()
        [[0.6669999957084656, 0.3330000042915344]]
    """
    logits = np.log(np.maximum(probabilities, np.float32(1e-38))) / np.float32(temperature)
    raised = np.exp(logits - logits.max(1, keepdims=True))
    cooled: Shares = raised / raised.sum(1, keepdims=True)
    return cooled


def fit_temperature(logits: Shares, labels: Labels, units: Units | None = None, *, seed: int = 0) -> Calibration:
    """Return the temperature of the lowest log-loss, kept only where it helps images that it was not fitted on.

    Whether it helps is cross-fitted: five parts take turns in being measured with the temperature of the other four,
    units whole. With fewer than 200 images a belief in 1 holds it back.

    Args:
        logits: ``[N, K]`` of validation images.
        labels: ``[N]``.
        units: ``[N]``, images of one unit stay together; None: each is its own.
        seed: of the parts.

    References:
        C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, On calibration of modern neural networks, ICML 2017.

    Example:
        >>> sure = np.array([[9.0, 0.0]] * 300, np.float32)
        >>> fit_temperature(sure, np.array([0, 0, 1] * 100)).temperature
        4.0
    """
    fitted = _fit(logits, labels)
    names = np.arange(len(labels)) if units is None else np.unique(units, return_inverse=True)[1]
    part = np.random.default_rng(seed).permutation(int(names.max()) + 1) % _FOLDS
    part = part[names]
    after = np.zeros(len(labels))
    for fold in range(_FOLDS):
        held = part == fold
        if held.any() and not held.all():
            after[held] = _losses(logits[held], labels[held], _fit(logits[~held], labels[~held]))
        else:
            after[held] = np.inf  # one unit alone can't tell
    before, cross_fitted = float(_losses(logits, labels, 1).mean()), float(after.mean())
    kept = fitted if cross_fitted < before else 1.0
    cross_fitted = cross_fitted if math.isfinite(cross_fitted) else before
    return Calibration(kept, fitted, before, cross_fitted, len(labels))


def _fit(logits: Shares, labels: Labels) -> float:
    from scipy.optimize import minimize_scalar

    belief = 1 / (2 * _BELIEF**2) if len(labels) < _BELIEF_BELOW else 0.0

    def cost(log_temperature: float) -> float:
        return float(_losses(logits, labels, math.exp(log_temperature)).sum()) + belief * log_temperature**2

    bounds = math.log(_COLDEST), math.log(_HOTTEST)
    found = float(minimize_scalar(cost, bounds=bounds, method="bounded", options={"xatol": 1e-4}).x)
    best = min((*bounds, found), key=cost)  # the search never touches its bounds
    return math.exp(best)


def _losses(logits: Shares, labels: Labels, temperature: float) -> Floats:
    scaled = logits.astype(np.float64) / temperature
    top = scaled.max(1, keepdims=True)
    totals = np.log(np.exp(scaled - top).sum(1)) + top[:, 0]
    losses: Floats = totals - scaled[np.arange(len(labels)), labels]
    return losses


def calibration_error(
    confidence: Floats, hits: npt.NDArray[np.bool_] | Floats, bins: int = _BINS
) -> tuple[float, float]:
    """Return the expected calibration error over bins of equally many images: (plain, debiased), 0 to 1.

    Plain is the mean distance of confidence and accuracy (M. P. Naeini et al., AAAI 2015), which even a perfect model
    does not bring to 0. Debiased is the root of the mean squared distance less what chance adds (A. Kumar, P. Liang and
    T. Ma, Verified uncertainty calibration, NeurIPS 2019).

    Args:
        confidence: ``[N]``, probability of the predicted class.
        hits: ``[N] bool``, whether it is the true one; or numbers whose means stand for the share of hits.
        bins: at most; each has at least two images. Equal confidences are dealt out to them by chance.

    Example:
        >>> calibration_error(np.full(400, 0.75), np.arange(400) % 4 > 0)[1]
        0.0
    """
    plain = squared = 0.0
    parts = np.array_split(_rising(confidence), max(1, min(bins, len(hits) // 2)))
    for part in parts:
        share, accuracy = len(part) / len(hits), float(hits[part].mean())
        gap = float(confidence[part].mean()) - accuracy
        plain += share * abs(gap)
        squared += share * (gap**2 - accuracy * (1 - accuracy) / max(1, len(part) - 1))
    return plain, math.sqrt(max(0.0, squared))


def _rising(confidence: Floats) -> npt.NDArray[np.intp]:
    """Return positions from the lowest confidence; equal ones in an order of chance, not in that of the classes."""
    order = np.random.default_rng(0).permutation(len(confidence))
    rising: npt.NDArray[np.intp] = order[np.argsort(confidence[order], kind="stable")]
    return rising


def _chance(confidence: Floats, hits: npt.NDArray[np.bool_], units: Units | None, seed: int) -> list[float]:
    """Return the ends of the errors that a perfectly calibrated model with these confidences would show.

    Of independent images the hits are drawn. Of groups, what they are off by together keeps its size and gets another
    sign, group by group (a wild bootstrap), so that images of one group stay as alike as they are.
    """
    random = np.random.default_rng(seed)
    if units is None:
        drawn = [calibration_error(confidence, random.random(len(hits)) < confidence)[0] for _ in range(_DRAWS)]
    else:
        place, off = np.unique(units, return_inverse=True)[1], hits - confidence
        signs = random.choice((-1.0, 1.0), (_DRAWS, int(place.max()) + 1))
        drawn = [calibration_error(confidence, confidence + sign[place] * off)[0] for sign in signs]
    return [float(end) for end in np.quantile(drawn, (0.025, 0.975))]


def describe_calibration(
    labels: Labels, probabilities: Shares, temperature: float, units: Units | None = None, *, seed: int = 0
) -> dict[str, Any]:
    """Return log-loss, Brier score and calibration error before and after a temperature, JSON-able.

    ``ece`` comes with the band that a perfectly calibrated model with the same confidences would show in 95 of 100
    sets of this size; it is None below 200 images.

    Args:
        labels: ``[N]`` of test images.
        probabilities: ``[N, K]`` as they ship, with the temperature.
        temperature: that is in them.
        units: ``[N]``: images of one unit are not independent; None: all are.
        seed: of what a perfect model would show.
    """
    from sightline.evaluation.scores import image_briers

    def values_of(said: Shares) -> dict[str, Any]:
        confidence, hits = said.max(1).astype(np.float64), said.argmax(1) == labels
        found: dict[str, Any] = {
            "log_loss": float(image_losses(labels, said).mean()),
            "brier": float(image_briers(labels, said).mean()),
            "confidence": float(confidence.mean()),
            "ece": None,
        }
        if len(labels) >= ECE_FROM:
            plain, debiased = calibration_error(confidence, hits)
            found |= {"ece": plain, "ece_chance": _chance(confidence, hits, units, seed), "ece_debiased": debiased}
        return {**found, "reliability": reliability(confidence, hits, units)}

    before = values_of(cool(probabilities, 1 / temperature)) if temperature != 1 else None
    return {"temperature": temperature, "count": len(labels), "before": before, "after": values_of(probabilities)}


def reliability(
    confidence: Floats, hits: npt.NDArray[np.bool_], units: Units | None = None, bins: int = 10
) -> list[dict[str, float]]:
    """Return for bins of equally many images mean confidence, accuracy, and the ends of its interval, lowest first.

    Args:
        confidence, hits: as for ``calibration_error``.
        units: ``[N]``, as for ``describe_calibration``.
        bins: at most; fewer images make fewer, so that each has ten.
    """
    rows = []
    for part in np.array_split(_rising(confidence), max(1, min(bins, len(hits) // 10))):
        share = proportion(hits[part], None if units is None else units[part])
        mean = float(confidence[part].mean())
        rows.append({"confidence": mean, "accuracy": share.value, "low": share.low, "high": share.high, "n": share.n})
    return rows
