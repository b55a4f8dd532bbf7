"""Does twice the images give what the learning curve expects of it? Half of a set tells of the whole of it.

    python benchmarks/learning_curve.py clothing10/ --model mobilenetv2_100.ra_in1k --weights FILE [--draws 10]

Frozen features of all images are made once. In each draw a random half of the pool (train and validation) gives a
curve, which says what the whole pool will gain; then logistic regression, as the training fits it, is fitted on the
half and on the whole, and both are measured on the test images. Printed: the mean of both gains, how often they differ
by no more than their chance allows (that of the curve's images and that of the test images), and the same for smaller
pools.
"""

from __future__ import annotations

import argparse

import numpy as np

from sightline.data.split import make_split
from sightline.evaluation.learning_curve import measure_learning_curve
from sightline.reading.embed import Embedder, embed_samples
from sightline.reading.source import inspect_source
from sightline.steps import result_of
from sightline.training.logistic import fit_head


def hits(train: np.ndarray, labels: np.ndarray, test: np.ndarray, test_labels: np.ndarray, classes: int) -> np.ndarray:
    """Return whether a fitted head is right, for each test image."""
    none = (np.zeros((0, train.shape[1]), np.float32), np.zeros(0, np.int64))
    return fit_head(train, labels, *none, classes).logits(test).argmax(1) == test_labels


def main() -> None:
    """Print a line for each size of the pool."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--draws", type=int, default=10)
    options = parser.parse_args()
    samples = result_of(inspect_source(options.data))
    split = make_split(samples)
    features = result_of(embed_samples(samples, split, Embedder(options.model, options.weights))).features
    fine = np.isfinite(features).all(1)
    pool = np.flatnonzero(np.isin(split.parts, ["train", "val"]) & fine)
    test = np.flatnonzero((split.parts == split.headline) & fine & ~split.leaked)
    classes = len(samples.classes)
    print(f"{len(pool):,} images, {len(test):,} of the test, {classes} classes")
    for size in (len(pool), len(pool) // 2, len(pool) // 4):
        rows = []
        for draw in range(options.draws):
            whole = np.random.default_rng(draw).permutation(pool)[:size]
            half = whole[: size // 2]
            curve = measure_learning_curve(
                features[half], samples.labels[half], np.arange(len(half)), samples.classes, len(half), seed=draw
            )
            if curve is None:
                continue
            now, then = (
                hits(features[some], samples.labels[some], features[test], samples.labels[test], classes) * 1.0
                for some in (half, whole)
            )
            gain, low, high = curve.gain
            chance = np.hypot((high - low) / 3.92, (then - now).std() / np.sqrt(len(test)))
            top = curve.points[-1].accuracy.value
            rows.append((gain, (then - now).mean(), chance, low > 0, curve.now, top, now.mean()))
        if not rows:
            print(f"{size // 2:,} to {size:,} images: too few to tell")
            continue
        gains, given, chance, clear, now, top, real = np.array(rows, float).T
        print(
            f"{size // 2:,} to {size:,} images: expected {100 * gains.mean():+.1f} points, found "
            f"{100 * given.mean():+.1f}; they agree within their chance in "
            f"{np.mean(abs(gains - given) < 1.96 * chance):.0%} of the draws; called clear {clear.mean():.0%}; "
            f"accuracy expected now {now.mean():.1%}, held out "
            f"{top.mean():.1%}, logistic regression {real.mean():.1%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
