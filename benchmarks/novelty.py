"""How well measures of novelty tell foreign images from known ones: ROC areas, and classes left out in turn.

    python benchmarks/novelty.py runs/NAME other-photos/ more-photos/

The classifier's features of 1,200 training images are what is known; 400 test images of its own are set against those
of each folder, and against images that show nothing. ``left out``: each class's test images against the others',
with the class's training images taken out (but not out of the network).
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.sources import find_images
from sightline.evaluation.abstain import fit_novelty, separation
from sightline.pixels.containers import place_of
from sightline.pixels.non_images import NON_IMAGES, make_non_images
from sightline.runs.folder import Run
from sightline.runtime.classifier import Classifier

Features = npt.NDArray[np.float32]
Measure = Callable[[Features, npt.NDArray[np.int64], Features], Callable[[Features], Features]]
_KNOWN, _VAL, _TEST, _FOREIGN = 1_200, 400, 400, 200


def unit(features: Features) -> Features:
    """Return the features at length one."""
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def ours(train: Features, labels: npt.NDArray[np.int64], val: Features) -> Callable[[Features], Features]:
    """The one that ships."""
    return fit_novelty(train, labels, int(labels.max()) + 1, val).of


def nearest(train: Features, labels: npt.NDArray[np.int64], val: Features) -> Callable[[Features], Features]:
    """Cosine to the fifth nearest training image."""
    return lambda asked: -np.sort(unit(asked) @ unit(train).T, 1)[:, -5]


def mahalanobis(train: Features, labels: npt.NDArray[np.int64], val: Features) -> Callable[[Features], Features]:
    """Mahalanobis' distance to the nearest class, in features of length one (Mahalanobis++)."""
    seen = unit(train).astype(np.float64)
    means = np.stack([seen[labels == k].mean(0) for k in np.unique(labels)])
    spread = seen - means[np.searchsorted(np.unique(labels), labels)]
    covariance = spread.T @ spread / len(seen)
    inverse = np.linalg.inv(covariance + 1e-3 * np.trace(covariance) / len(covariance) * np.eye(len(covariance)))

    def distance(asked: Features) -> Features:
        gaps = unit(asked)[:, None] - means[None]
        return np.einsum("nkd,de,nke->nk", gaps, inverse, gaps).min(1)

    return distance


def shortness(train: Features, labels: npt.NDArray[np.int64], val: Features) -> Callable[[Features], Features]:
    """The shorter the features, the newer."""
    return lambda asked: -np.linalg.norm(asked, axis=1)


MEASURES: dict[str, Measure] = {
    "class mean and length (ours)": ours,
    "fifth nearest image": nearest,
    "Mahalanobis++": mahalanobis,
    "shortness": shortness,
}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run")
    parser.add_argument("foreign", nargs="*", type=Path)
    arguments = parser.parse_args()
    run = Run(arguments.run)
    classifier = run.classifier()
    train, labels = look(run, classifier, "train", _KNOWN)
    val, _ = look(run, classifier, "val", _VAL)
    test, truth = look(run, classifier, "test", _TEST)
    others: dict[str, Features] = {}
    for kind in NON_IMAGES:
        squares = make_non_images(kind, classifier.preprocess.size)
        others[kind] = np.concatenate([classifier.run(squares[i : i + 4])[1] for i in range(0, len(squares), 4)])
    for folder in arguments.foreign:
        paths = find_images(folder)[0]
        said = classifier.predict(paths[:: max(1, len(paths) // _FOREIGN)][:_FOREIGN])
        others[folder.name] = said.features[said.is_ok]
    print(f"| measure | {' | '.join(others)} | left out |\n| --- |{' --- |' * (len(others) + 1)}")
    for name, measure in MEASURES.items():
        score = measure(train, labels, val)
        areas = [separation(score(test), score(features)) for features in others.values()]
        left = []
        for k in np.unique(truth):
            without = measure(train[labels != k], labels[labels != k], val)(test)
            left.append(separation(without[truth != k], without[truth == k]))
        print(f"| {name} | {' | '.join(f'{area:.3f}' for area in areas)} | {np.mean(left):.3f} |", flush=True)


def look(run: Run, classifier: Classifier, part: str, most: int) -> tuple[Features, npt.NDArray[np.int64]]:
    """Return features and labels of images of a part, drawn by chance."""
    rows = [row for row in run.samples if row["split"] == part and not row["error"]]
    chosen = np.random.default_rng(0).permutation(len(rows))[:most]
    root = Path(run.facts["data_root"])
    said = classifier.predict([place_of(root, rows[row]["path"]) for row in chosen])
    return said.features, np.array([classifier.classes.index(rows[row]["label"]) for row in chosen])


if __name__ == "__main__":
    main()
