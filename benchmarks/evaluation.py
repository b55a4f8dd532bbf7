"""What evaluating costs, and whether intervals hold what they promise.

    python benchmarks/evaluation.py coverage
    python benchmarks/evaluation.py size --images 100000 --classes 1000

``coverage``: how often intervals of a share hold the true one, exactly, by adding up the binomial distribution.
``size``: seconds and peak memory of all figures of made-up predictions.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from sightline.evaluation.intervals import wilson
from sightline.evaluation.metrics import evaluate_predictions

_COUNTS, _SHARES = (30, 50, 100, 300, 1_000, 2_000), (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("coverage", "size"))
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--classes", type=int, default=1_000)
    arguments = parser.parse_args()
    if arguments.what == "coverage":
        print(f"| n | method | {' | '.join(f'p = {share}' for share in _SHARES)} |")
        print(f"| --- | --- |{' --- |' * len(_SHARES)}")
        for n in _COUNTS:
            ours = [(wilson(k, n).low, wilson(k, n).high) for k in range(n + 1)]
            print_row(n, "Wilson (ours)", ours)
            print_row(n, "Wald", [proportion_confint(k, n, method="normal") for k in range(n + 1)])
    else:
        measure_size(arguments.images, arguments.classes)


def print_row(n: int, method: str, ends: list[tuple[float, float]]) -> None:
    """Print how often the ends hold each share."""
    low, high = np.array(ends).T
    held = [binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in _SHARES]
    print(f"| {n:,} | {method} | {' | '.join(f'{100 * share:.1f} %' for share in held)} |", flush=True)


def measure_size(images: int, classes: int) -> None:
    """Print seconds and peak memory."""
    random = np.random.default_rng(0)
    labels = random.integers(0, classes, images)
    said = random.random((images, classes), np.float32)
    said[np.arange(images), labels] += random.random(images, np.float32)
    said /= said.sum(1, keepdims=True)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    start = time.monotonic()
    figures = evaluate_predictions(labels, said, tuple(str(k) for k in range(classes)))
    seconds = time.monotonic() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        "| images | classes | seconds | peak RSS, MiB | of it before | figures |\n| --- | --- | --- | --- | --- | --- |"
    )
    count = sum(isinstance(one, dict) for one in figures.values())
    print(f"| {images:,} | {classes:,} | {seconds:.1f} | {peak:,.0f} | {before:,.0f} | {count} |")


if __name__ == "__main__":
    main()
