"""How often a gap between validation and test is called more than chance: on honest splits, and where one is planted.

    python benchmarks/validation_gap.py photos/ [--images 1500] [--splits 200]

Heads are fitted on features of the carried network; their regularisation is chosen on validation, as an epoch is.
``honest``: random splits, 70 / 15 / 15. ``versions``: four versions (mirrored, cropped) of a fifth of the images are
drawn for training and validation alike, and the test is of other images. ``camera``: the test images are blurred and
darker. The last columns count the causes that were named where a gap was found.
"""

from __future__ import annotations

import argparse
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageEnhance, ImageFilter, ImageOps
from safetensors.numpy import load_file

from sightline.data.choices import FindingChoices
from sightline.data.sources import read_samples
from sightline.evaluation.gap import Gap, PartFacts, find_gap, nearest_distances
from sightline.evaluation.shift import LabelledPredictions
from sightline.networks.carried import carried_file
from sightline.networks.lite import build_body
from sightline.pixels.decode import decode_image
from sightline.planning.carried_network import CARRIED
from sightline.runtime.onnx_session import open_session

Array = npt.NDArray[np.float32]
Part = tuple[Array, npt.NDArray[np.int64], npt.NDArray[np.float64]]  # features, labels, brightness
_SIDE, _BATCH, _COMPONENTS = 224, 8, 64


def cropped(image: Image.Image) -> Image.Image:
    """The middle 85 %."""
    edges = (0.075 * image.width, 0.075 * image.height)
    return image.crop((int(edges[0]), int(edges[1]), int(image.width - edges[0]), int(image.height - edges[1])))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "plain": lambda image: image,
    "mirrored": ImageOps.mirror,
    "cropped": cropped,
    "both": lambda image: ImageOps.mirror(cropped(image)),
    "camera": lambda image: ImageEnhance.Brightness(image.filter(ImageFilter.GaussianBlur(3))).enhance(0.5),
}


def measure(images: list[Image.Image]) -> dict[str, tuple[Array, npt.NDArray[np.float64]]]:
    """Return features and brightness of the images under each change."""
    body = build_body(load_file(carried_file()), _SIDE, CARRIED.mean, CARRIED.std)
    session, found = open_session(body.SerializeToString(), threads=1), {}
    for name, change in CHANGES.items():
        squares = [np.asarray(change(image).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)) for image in images]
        parts = [
            session.run(None, {"pixels": np.stack(squares[first : first + _BATCH])})[0]
            for first in range(0, len(squares), _BATCH)
        ]
        found[name] = np.concatenate(parts), np.array([square.mean() / 255 for square in squares])
    return found


def gap_of(train: Part, val: Part, test: Part, basis: Array, names: tuple[str, ...]) -> Gap:
    """Return the gap of the head that is best on validation."""
    from sklearn.linear_model import LogisticRegression

    heads = [LogisticRegression(C=c, max_iter=80).fit(train[0] @ basis, train[1]) for c in (0.003, 0.03, 0.3)]
    head = max(heads, key=lambda one: one.score(val[0] @ basis, val[1]))
    sides, facts = [], []
    for features, labels, brightness in (val, test):
        sides.append(LabelledPredictions(labels, head.predict(features @ basis), np.ones(len(labels), np.float32)))
        facts.append(PartFacts(nearest_distances(features, train[0]), {"brightness": brightness}, {}))
    found = find_gap(sides[0], sides[1], (facts[0], facts[1]), names)
    assert found is not None
    return found


def main() -> None:
    """Print a line for each kind of split."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("--images", type=int, default=1_500)
    parser.add_argument("--splits", type=int, default=200)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    random = np.random.default_rng(0)
    samples = read_samples(Path(options.data), choices=FindingChoices(resplit=True))
    rows = np.sort(random.permutation(len(samples))[: options.images])
    images = [Image.fromarray(decode_image(samples.file(int(row)))) for row in rows]
    labels, seen = samples.labels[rows], measure(images)
    plain = seen["plain"][0]
    basis = np.linalg.svd(plain - plain.mean(0), full_matrices=False)[2][:_COMPONENTS].T
    count = len(labels)

    def part(where: npt.NDArray[np.intp], *kinds: str) -> Part:
        features, brightness = (np.concatenate([seen[kind][k][where] for kind in kinds]) for k in (0, 1))
        return features, np.tile(labels[where], len(kinds)), brightness

    versions = ("plain", "mirrored", "cropped", "both")
    found: dict[str, list[Gap]] = {"honest": [], "versions": [], "camera": []}
    for number in range(options.splits):
        train, val, test = np.split(random.permutation(count), [int(0.7 * count), int(0.85 * count)])
        parts = part(train, "plain"), part(val, "plain")
        found["honest"].append(gap_of(*parts, part(test, "plain"), basis, samples.classes))
        if number >= options.splits // 5:
            continue
        found["camera"].append(gap_of(*parts, part(test, "camera"), basis, samples.classes))
        mixed = part(train[: count // 5], *versions)
        order = random.permutation(len(mixed[1]))
        own, kept = (tuple(column[some] for column in mixed) for some in np.split(order, [int(0.85 * len(order))]))
        found["versions"].append(gap_of(own, kept, part(test, "plain"), basis, samples.classes))
    print(f"{'split':<9}{'draws':>6}{'called':>8}{'mean gap':>10}  nearness  appearance  classes")
    for kind, gaps in found.items():
        called = [gap for gap in gaps if gap.is_significant]
        causes = Counter(cause.kind for gap in called for cause in gap.causes)
        mean = 100 * np.mean([gap.difference for gap in gaps])
        told = f"{causes['nearness']:>8}  {causes['appearance']:>10}  {causes['classes']:>7}"
        print(f"{kind:<9}{len(gaps):>6}{len(called):>8}{mean:>+9.1f} {' '}{told}")


if __name__ == "__main__":
    main()
