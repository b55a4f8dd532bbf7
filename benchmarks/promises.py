"""Promised against kept: how often the thresholds of novelty and confidence hold on new images.

Each row draws validation sets of one size, 200 by default, fits the thresholds on each, and measures them on so many
new images that chance is small. Novelty: images of five classes, whose features vary in angle and length with heavy
tails. Confidence: three kinds of classifier, of which one is wrong in a little more than the promised share at every
threshold, so that each threshold that is found breaks the promise, as at the edge of it.

    python benchmarks/promises.py [--draws 200]
"""

from __future__ import annotations

import argparse

import numpy as np

from sightline.evaluation.abstain import TARGET_ERROR, choose_confidence, fit_novelty, new_shares

SIZES = (20, 50, 100, 500, 2_000)
NEW = 20_000
CLASSES, WIDTH = 5, 32


def draw_features(count: int, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return (features ``[N, D]``, labels ``[N]``) of images."""
    centres = np.abs(np.random.default_rng(7).normal(0, 1, (CLASSES, WIDTH)))
    labels = random.integers(0, CLASSES, count)
    spread = random.normal(0, 1, (count, WIDTH)) * random.gamma(4, 0.25, (count, 1))
    features = np.maximum(centres[labels] + spread, 0) * random.lognormal(0, 0.2, (count, 1))
    return features.astype(np.float32), labels


def called_new(count: int, draws: int, new: int = NEW) -> tuple[np.ndarray, np.ndarray] | None:
    """Return the shares ``[draws]`` of new images and of training images that are called new; None without a limit."""
    if new_shares(count) is None:
        return None
    found = []
    for draw in range(draws):
        random = np.random.default_rng([draw, count])
        train, labels = draw_features(300, random)
        measure = fit_novelty(train, labels, CLASSES, draw_features(count, random)[0])
        found.append([(measure.of(some) > 1).mean() for some in (draw_features(new, random)[0], train)])
    shares = np.array(found)
    return shares[:, 0], shares[:, 1]


def error_above(kind: str, threshold: float) -> float:
    """Return the share of wrong answers above a threshold; confidence is uniform from 0 to 1."""
    if kind == "edge":
        return TARGET_ERROR * 1.001
    slope = {"poor": 0.4, "good": 0.08}[kind]  # wrong with a probability of slope * (1 - confidence)
    return slope * (1 - threshold) / 2


def wrong_answers(kind: str, count: int, draws: int) -> np.ndarray:
    """Return the true shares of wrong answers of the thresholds that are found, NaN where none is."""
    found = []
    for draw in range(draws):
        random = np.random.default_rng([draw, count, 1])
        confidence = random.random(count)
        slope = {"edge": None, "poor": 0.4, "good": 0.08}[kind]
        wrong = TARGET_ERROR * 1.001 if slope is None else slope * (1 - confidence)
        threshold = choose_confidence(confidence, random.random(count) >= wrong)
        found.append(np.nan if threshold is None else error_above(kind, threshold))
    return np.array(found)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=200)
    draws = parser.parse_args().draws
    print("novelty: at most 5 of 100 like the validation images are called new, in 9 of 10 draws")
    print(f"{'images':>7} {'called new':>11} {'promised':>14} {'kept in':>8} {'training images called new':>27}")
    for count in SIZES:
        shares, found = new_shares(count), called_new(count, draws)
        if found is None or shares is None:
            print(f"{count:>7,} {'no limit':>11}")
            continue
        band = f"{shares[0]:.1%} to {shares[1]:.1%}"
        new, train = found
        print(f"{count:>7,} {new.mean():>11.1%} {band:>14} {(new <= 0.05).mean():>8.0%} {train.mean():>27.1%}")
    print("\nconfidence: at most 5 of 100 answers are wrong, in 19 of 20 draws")
    print(f"{'images':>7} {'classifier':>11} {'has a threshold':>16} {'wrong':>7} {'kept in':>8}")
    for count in SIZES:
        for kind in ("edge", "poor", "good"):
            wrong = wrong_answers(kind, count, draws)
            is_there = np.isfinite(wrong)
            mean = f"{wrong[is_there].mean():.1%}" if is_there.any() else "-"
            kept = 1 - (wrong > TARGET_ERROR).mean()
            print(f"{count:>7,} {kind:>11} {is_there.mean():>16.0%} {mean:>7} {kept:>8.0%}")


if __name__ == "__main__":
    main()
