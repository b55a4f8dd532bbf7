"""What thresholds promise of images like those of validation, and whether the test refutes it. Numbers of metrics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sightline.evaluation.abstain import new_shares
from sightline.evaluation.conformal import PredictionSets
from sightline.evaluation.intervals import Interval

__all__ = ["Promise", "find_promises"]


@dataclass(frozen=True, slots=True)
class Promise:
    """What a threshold promises, and what the measured images show.

    Attributes:
        name: ``answers``, ``sets`` or ``novelty``.
        words: the promise and the measured share.
        is_refuted: whether the measured share is worse than promised by more than chance, in the measured images and in
            those that the threshold was chosen on.
    """

    name: str
    words: str
    is_refuted: bool


def find_promises(metrics: Mapping[str, Any]) -> list[Promise]:
    """Return what a run's thresholds promise, as far as its metrics say.

    Args:
        metrics: of ``metrics.json``, of the test.

    Example:
        >>> wrong = Interval(0.2, 0.15, 0.26, 200, "").to_dict()
        >>> new = Interval(0.05, 0.03, 0.09, 200, "").to_dict()
        >>> found = {"min_confidence": 0.6, "target_error": 0.05, "wrong_answers": wrong, "new": new}
        >>> [promise.is_refuted for promise in find_promises({"unknown": found})]
        [True]
    """
    unknown = metrics.get("unknown") or {}
    promises = []
    if unknown.get("min_confidence") is not None and unknown.get("wrong_answers"):
        wrong, target = Interval(**unknown["wrong_answers"]), float(unknown["target_error"])
        least = unknown["min_confidence"]
        words = f"of the answers with a confidence of {least:.2f} or more at most {target:.0%} are wrong: {wrong}"
        promises.append(Promise("answers", words, wrong.low > target))
    if metrics.get("sets"):
        sets = PredictionSets.from_dict(metrics["sets"])
        words = f"sets of classes contain the true class for {sets.aim:.0%} of the images: {sets.coverage}"
        promises.append(Promise("sets", words, sets.coverage.high < sets.band[0]))
    count = ((metrics.get("calibration") or {}).get("validation") or {}).get("count")
    shares = new_shares(count) if count else None
    if shares and unknown.get("new") and unknown.get("max_novelty", 1.0) is not None:
        new = Interval(**unknown["new"])
        words = f"at most {shares[1]:.1%} of images like those of validation are called new: {new}"
        promises.append(Promise("novelty", words, new.low > shares[1]))
    return promises
