"""Arrays of images that a run keeps: what was written is read back, under the names of earlier versions too."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest

from sightline.runs.folder import Run
from sightline.runs.kept_images import Explanations, Views
from sightline.runs.writer import RunWriter

KEPT = Explanations(
    images=np.arange(2 * 4 * 4 * 3, dtype=np.uint8).reshape(2, 4, 4, 3),
    paths=np.array(["a.png", "b.png"]),
    labels=np.array([0, 1]),
    predicted=np.array([1, 1]),
    confidence=np.array([0.9, 0.8], np.float32),
    agreement=np.array([0.5, np.nan]),
    layer="layer4",
    gradcam=np.full((2, 4, 4), 7, np.uint8),
)


@pytest.fixture
def writer(tmp_path) -> RunWriter:
    return RunWriter.create(tmp_path, "run", "data", {})


def assert_same(found: object, wanted: object) -> None:
    assert type(found) is type(wanted)
    for field in fields(wanted):
        np.testing.assert_array_equal(getattr(found, field.name), getattr(wanted, field.name))


def test_explanations_are_read_back(writer) -> None:
    assert writer.run.explanations is None
    writer.write_explanations(KEPT)
    assert_same(Run(writer.run.folder).explanations, KEPT)
    with np.load(writer.run.explanations_file) as arrays:
        assert set(arrays) == {field.name for field in fields(KEPT)} - {"occlusion"}  # None is not written


def test_the_name_of_before_is_understood(writer) -> None:
    names = [field.name for field in fields(KEPT) if field.name != "occlusion"]
    arrays = {"pictures" if name == "images" else name: getattr(KEPT, name) for name in names}
    writer.run.explanations_file.parent.mkdir()
    np.savez(writer.run.explanations_file, **arrays)
    assert_same(writer.run.explanations, KEPT)


def test_views_are_read_back_and_shrunk(writer) -> None:
    assert writer.run.views is None
    random = np.random.default_rng(0)
    changed = random.integers(0, 255, (2, 3, 8, 8, 3), dtype=np.uint8)
    views = Views(np.array([0, 1]), changed[:, 0], changed, np.zeros((2, 3, 2), np.float32))
    writer.write_views(views)
    assert_same(writer.run.views, views)
    small = views.shrunk(4)
    assert small.changed.shape == (2, 3, 4, 4, 3) and views.shrunk(8) is views
    mean = changed[1, 2, :2, :2].reshape(4, 3).mean(0)
    assert np.abs(small.changed[1, 2, 0, 0] - mean).max() <= 1  # rounded once along each side
    assert_same(replace(small, plain=views.plain, changed=views.changed), views)
