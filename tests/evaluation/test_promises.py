"""What thresholds promise, and when the measured images refute it."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.evaluation.abstain import choose_confidence, describe_unknown, fit_novelty
from sightline.evaluation.conformal import choose_mass, describe_sets
from sightline.evaluation.promises import find_promises


def answers(random, n: int, honest: bool):
    """Return labels and probabilities; of dishonest ones half of the sure answers are wrong."""
    sure = random.random(n)
    labels = random.integers(0, 2, n)
    right = random.random(n) < (0.9 + 0.1 * sure if honest else 0.7)
    confidence = 0.5 + 0.5 * sure
    said = np.where(right, labels, 1 - labels)
    shares = np.stack(
        [np.where(said == 0, confidence, 1 - confidence), np.where(said == 1, confidence, 1 - confidence)]
    )
    return labels, shares.T.astype(np.float32)


@pytest.mark.parametrize(("is_honest", "least", "most"), [(True, 0, 5), (False, 38, 40)])
def test_promises_are_refuted_where_they_are_broken_and_seldom_else(is_honest, least, most) -> None:
    random = np.random.default_rng(0)
    refuted = {"answers": 0, "sets": 0, "novelty": 0}
    for _ in range(40):
        labels, shares = answers(random, 1_500, True)
        threshold = choose_confidence(shares.max(1), shares.argmax(1) == labels)
        mass = choose_mass(labels, shares)
        known = random.normal(0, 1, (600, 4)).astype(np.float32) + 3
        novelty = fit_novelty(known[:300], np.zeros(300, np.int64), 1, known[300:])
        others, said = answers(random, 600, is_honest)
        foreign = random.normal(0, 1 if is_honest else 2, (600, 4)).astype(np.float32) + 3
        metrics = {
            "unknown": describe_unknown(others, said, novelty.of(foreign), threshold, 0.05),
            "sets": describe_sets(others, said, mass, 600).to_dict(),
            "calibration": {"validation": {"count": 300}},
        }
        for promise in find_promises(metrics):
            refuted[promise.name] += promise.is_refuted
    assert all(least <= count <= most for count in refuted.values()), refuted


def test_without_thresholds_nothing_is_promised() -> None:
    assert find_promises({}) == []
    assert find_promises({"unknown": {"min_confidence": None, "target_error": 0.05}, "sets": None}) == []
