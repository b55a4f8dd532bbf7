"""What evaluating costs, and whether intervals hold what they promise.

    python benchmarks/evaluation.py coverage
    python benchmarks/evaluation.py groups
    python benchmarks/evaluation.py size --images 100000 --classes 1000

``coverage``: how often intervals of a share hold the true one, exactly, by adding up the binomial distribution.
``groups``: the same for macro figures of images that come in groups, by simulation: Dirichlet posteriors with a design
effect, as we make them, beside a bootstrap that draws whole groups.
``size``: seconds and peak memory of all figures of made-up predictions.
"""

from __future__ import annotations

import argparse
import resource
import time

import numpy as np
from scipy.stats import binom
from statsmodels.stats.proportion import proportion_confint

from sightline.evaluation.intervals import design_effect, draw_weights, macro_intervals, wilson
from sightline.evaluation.metrics import balanced_accuracy, confusion_matrix, evaluate_predictions, macro_f1

_COUNTS, _SHARES = (30, 50, 100, 300, 1_000, 2_000), (0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99)
_CLASSES = 4


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("coverage", "groups", "size"))
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
    elif arguments.what == "groups":
        simulate_groups()
    else:
        measure_size(arguments.images, arguments.classes)


def print_row(n: int, method: str, ends: list[tuple[float, float]]) -> None:
    """Print how often the ends hold each share."""
    low, high = np.array(ends).T
    held = [binom.pmf(np.arange(n + 1), n, p)[(low <= p) & (p <= high)].sum() for p in _SHARES]
    print(f"| {n:,} | {method} | {' | '.join(f'{100 * share:.1f} %' for share in held)} |", flush=True)


def draw_groups(groups: int, size: int, strength: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, predictions and groups; the lower the strength, the more alike the images of a group are."""
    random = np.random.default_rng(seed)
    of_group = random.integers(0, _CLASSES, groups)
    usual = np.array([0.95, 0.9, 0.8, 0.7])[of_group]
    recall = random.beta(usual * strength, (1 - usual) * strength)
    labels, units = np.repeat(of_group, size), np.repeat(np.arange(groups), size)
    is_hit = random.random(groups * size) < np.repeat(recall, size)
    return labels, np.where(is_hit, labels, (labels + random.integers(1, _CLASSES, len(labels))) % _CLASSES), units


def simulate_groups(rounds: int = 300) -> None:
    """Print how often both kinds of interval hold the true figure, and how wide they are."""
    chosen = {"balanced_accuracy": balanced_accuracy, "macro_f1": macro_f1}

    def figure(name: str, matrix: np.ndarray) -> float:
        return chosen[name](np.stack([matrix.diagonal(), matrix.sum(1), matrix.sum(0)]).astype(float))

    print("| groups | images each | strength | figure | design effect | width | bootstrap of groups | width |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for groups, size, strength in ((30, 10, 2), (60, 10, 2), (60, 10, 20), (150, 4, 2)):
        labels, said, _ = draw_groups(100_000, 5, strength, 0)
        truth = {name: figure(name, confusion_matrix(labels, said, _CLASSES)) for name in chosen}
        ends: dict[str, list[tuple[float, float, float, float]]] = {name: [] for name in chosen}
        for seed in range(1, rounds + 1):
            labels, said, units = draw_groups(groups, size, strength, seed)
            effect = design_effect(said == labels, units)
            ours = macro_intervals(confusion_matrix(labels, said, _CLASSES), chosen, draws=400, effect=effect)
            weights = zip(range(300), draw_weights(labels, units, seed=seed), strict=False)
            counts = [np.bincount(labels * _CLASSES + said, w, _CLASSES**2).reshape(_CLASSES, -1) for _, w in weights]
            for name in chosen:
                low, high = np.quantile([figure(name, matrix) for matrix in counts], (0.025, 0.975))
                ends[name].append((ours[name].low, ours[name].high, low, high))
        for name, found in ends.items():
            a, b, c, d = np.array(found).T
            held = [np.mean((one <= truth[name]) & (truth[name] <= two)) for one, two in ((a, b), (c, d))]
            print(
                f"| {groups} | {size} | {strength} | {name} | {held[0]:.1%} | {(b - a).mean():.3f} | {held[1]:.1%} | "
                f"{(d - c).mean():.3f} |",
                flush=True,
            )


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
