"""How often the comparison of two classifiers is wrong, how often it finds a true gain, and what it costs.

    python benchmarks/compare.py [--pairs 1000] [--intervals 200]

A pair of classifiers is simulated on images of ten classes: both have most images right or wrong together, and on
the rest each is right as often as the setting says. "false alarms" are pairs that are equally good, "found" those
whose second classifier is better by the gain; at 5 %, two-sided.
"""

from __future__ import annotations

import argparse
import math
import resource
import time

import numpy as np
from scipy.stats import binomtest, norm

from sightline.evaluation.compare import compare_predictions
from sightline.evaluation.paired import mid_p

CLASSES = 10
COMPARED = ("accuracy", "balanced_accuracy", "macro_f1", "log_loss", "brier")
DISCORDANT = 0.06  # images that one has right and the other wrong


def draw_gains(random: np.random.Generator, n: int, gain: float) -> np.ndarray:
    """Return ``[n]``: 1 where the second alone is right, -1 where the first alone is, else 0."""
    shares = ((DISCORDANT + gain) / 2, (DISCORDANT - gain) / 2, 1 - DISCORDANT)
    return random.choice((1, -1, 0), n, p=shares)


def unpaired(gains: np.ndarray, accuracy: float = 0.9) -> bool:
    """Whether a z test finds it that takes the two accuracies for those of different images."""
    n = len(gains)
    difference = gains.sum() / n
    return abs(difference) > norm.ppf(0.975) * math.sqrt(2 * accuracy * (1 - accuracy) / n)


def test_rows(pairs: int) -> None:
    """Print false alarms and power of the test on accuracy, beside two others."""
    print("| images | true gain | pairs | mid-p McNemar | exact McNemar | unpaired z |\n|" + " --- |" * 6)
    for n in (100, 300, 1_000, 10_000):
        for gain in (0.0, 0.02):
            random = np.random.default_rng(n)
            found = np.zeros(3)
            for _ in range(pairs):
                gains = draw_gains(random, n, gain)
                fixed, broken = int((gains > 0).sum()), int((gains < 0).sum())
                exact = binomtest(fixed, fixed + broken).pvalue < 0.05 if fixed + broken else False
                found += (mid_p(gains) < 0.05, exact, unpaired(gains))
            shares = " | ".join(f"{share:.1%}" for share in found / pairs)
            what = f"{100 * gain:g} points" if gain else "none"
            print(f"| {n:,} | {what} | {pairs:,} | {shares} |", flush=True)


def make_pair(random: np.random.Generator, n: int, classes: int, gain: float) -> tuple[np.ndarray, ...]:
    """Return labels and the probabilities of two classifiers."""
    labels = random.integers(0, classes, n)
    gains, both = draw_gains(random, n, gain), random.random(n) < 0.92
    said = []
    for mine in (-1, 1):
        right = np.where(gains == 0, both, gains == mine)
        predicted = np.where(right, labels, (labels + random.integers(1, classes, n)) % classes)
        sure = random.beta(4, 1, n).astype(np.float32)[:, None]
        probabilities = np.full((n, classes), 1 / classes, np.float32) * (1 - sure)
        probabilities[np.arange(n), predicted] += sure[:, 0]
        said.append(probabilities)
    return labels, *said


def interval_rows(pairs: int) -> None:
    """Print how often the interval of each metric leaves out zero for two classifiers that are equally good."""
    print(f"\n| images | pairs | {' | '.join(name.replace('_', ' ') for name in COMPARED)} |\n|" + " --- |" * 7)
    for n in (100, 300, 1_000):
        random = np.random.default_rng(n)
        clear = dict.fromkeys(COMPARED, 0)
        names = tuple(map(str, range(CLASSES)))
        for seed in range(pairs):
            found = compare_predictions(*make_pair(random, n, CLASSES, 0.0), names, draws=500, seed=seed)
            for name in COMPARED:
                clear[name] += found.metrics[name].is_clear
        print(f"| {n:,} | {pairs:,} | {' | '.join(f'{count / pairs:.1%}' for count in clear.values())} |", flush=True)


def cost_rows() -> None:
    """Print seconds and peak memory of one comparison."""
    print("\n| images | classes | draws | seconds | peak memory, MiB |\n|" + " --- |" * 5)
    for n, classes in ((1_000, 10), (10_000, 10), (100_000, 1_000)):
        case = make_pair(np.random.default_rng(0), n, classes, 0.02)
        start = time.perf_counter()
        found = compare_predictions(*case, tuple(map(str, range(classes))))
        took = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"| {n:,} | {classes:,} | {found.draws:,} | {took:.1f} | {peak:,.0f} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=1_000)
    parser.add_argument("--intervals", type=int, default=200)
    options = parser.parse_args()
    test_rows(options.pairs)
    interval_rows(options.intervals)
    cost_rows()
