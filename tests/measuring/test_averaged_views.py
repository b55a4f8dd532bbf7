"""Averaging over views: the looks themselves, and a figure beside the headline that never touches it."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from sightline.data.samples import Samples
from sightline.evaluation.result import evaluate_rows
from sightline.measuring.averaged_views import add_views, views_of
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import Classifier
from sightline.runtime.predictions import Predictions
from sightline.steps import result_of


@pytest.mark.parametrize("has_mirror", [True, False])
@pytest.mark.parametrize("side", [16, 32, 64])
def test_ten_looks_differ_and_the_first_is_the_image(side, has_mirror):
    square = np.random.default_rng(0).integers(0, 255, (side, side, 3), dtype=np.uint8)
    looks = views_of(square, 10, has_mirror=has_mirror)
    assert looks.shape == (10, side, side, 3) and np.array_equal(looks[0], square)
    assert len({look.tobytes() for look in looks}) == 10
    mirrored = [np.array_equal(look, square[:, ::-1]) for look in looks]
    assert mirrored == [False, has_mirror, *[False] * 8]
    unit = max(1, side // 32)
    shifted = looks[2 if has_mirror else 1]
    assert np.array_equal(shifted[unit:, unit:], square[:-unit, :-unit])


class OneSided(Classifier):
    """Sees class 1 where the left edge is bright, half as surely where the right one is."""

    def run(self, squares):
        left, right = squares[:, :, 0].mean((1, 2)) / 255, squares[:, :, -1].mean((1, 2)) / 255
        one = 0.3 + 0.5 * left - 0.2 * right
        return np.stack([1 - one, one], 1).astype(np.float32), np.zeros((len(squares), 1)), np.zeros(len(squares))


def test_probabilities_are_averaged_and_the_figures_stay(tmp_path):
    import hashlib

    from PIL import Image

    pixels = np.zeros((2, 16, 16, 3), np.uint8)
    pixels[0, :, :8] = 255  # class 1 at one look: 0.8; in the mirror 0.1: together 0.45
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    digests = [hashlib.sha256((tmp_path / f"{k}.png").read_bytes()).hexdigest() for k in range(2)]
    paths, labels = np.array(["0.png", "1.png"], object), np.array([1, 0])
    samples = Samples(tmp_path, "x", ("a", "b"), paths, labels, digests=np.array(digests, object))
    bundle = Bundle(("a", "b"), Preprocess(size=16, resize=16), "one-sided", 1, *["none"] * 5)
    classifier = OneSided(None, bundle, None)
    said = Predictions(("a", "b"), tuple(paths), classifier.run(pixels)[0], np.zeros((2, 1), np.float32), (None, None))
    before = evaluate_rows(said, labels)
    after = result_of(add_views(classifier, samples, np.arange(2), before, (2, True)))
    assert before.accuracy.value == 1 and after.accuracy == before.accuracy and after.headline() == before.headline()
    assert after.metrics["accuracy_with_views"]["value"] == 0.5 and after.metrics["count_views"] == 2
    assert "accuracy_with_views" not in before.metrics
    leaked = result_of(
        add_views(classifier, samples, np.arange(2), evaluate_rows(said, labels, np.array([True, False])), (2, True))
    )
    assert leaked.metrics["accuracy_with_views"]["n"] == 1


def test_the_class_is_that_of_the_mean_over_all_views(table) -> None:
    """Neither the first view, nor the last, nor the most of them decide, but the mean of their probabilities."""
    shares = np.array([[0.6, 0.4], [0.55, 0.45], [0.0, 1.0], [0.6, 0.4]], np.float32)

    class Stub:
        def squares(self, images):
            return (np.zeros((16, 16, 3), np.uint8) for _ in images)

        def answer(self, views):
            assert len(views) == len(shares)
            return SimpleNamespace(probabilities=shares)

    kept = SimpleNamespace(
        predictions=SimpleNamespace(is_ok=np.ones(2, bool)),
        leaked=np.zeros(2, bool),
        labels=np.array([1, 0]),
        units=None,
    )
    kept.with_views = lambda accuracy, views: (accuracy.value, views)
    samples = table([1, 0])
    assert result_of(add_views(Stub(), samples, np.arange(2), kept, (4, True))) == (0.5, 4)
    kept.labels = np.array([1, 1])
    assert result_of(add_views(Stub(), samples, np.arange(2), kept, (4, True))) == (1.0, 4)
    kept.with_views = lambda accuracy, views: accuracy
    assert result_of(add_views(Stub(), samples, np.arange(2), kept, (4, True))).n_effective is None
    kept.units = np.zeros(2, np.int64)  # both are of one patient
    assert result_of(add_views(Stub(), samples, np.arange(2), kept, (4, True))).n_effective == 1
