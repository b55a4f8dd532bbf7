"""The probe in the way to a plan: what it looks at, what it leaves out, and what it warns of."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import sightline
from finished import write_colours
from sightline.errors import SightlineError
from sightline.events import Planned, StageEnded, Warned
from sightline.pipeline.decide import plan_job
from sightline.pipeline.job import Job
from sightline.planning.recipe import Recipe


@pytest.fixture(scope="module")
def arrows(tmp_path_factory):
    """Split folders: an ``ant`` is bright on the left, a ``bee`` on the right; the test part is dark."""
    root, random = tmp_path_factory.mktemp("arrows"), np.random.default_rng(0)
    for part, count in (("train", 60), ("val", 20), ("test", 20)):
        for name in ("ant", "bee"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 60, (16, 16, 3))
                if part != "test":
                    pixels[:, :8] += random.integers(80, 180)
                    pixels = pixels if name == "ant" else pixels[:, ::-1]
                Image.fromarray(pixels.astype(np.uint8)).save(root / part / name / f"{number}.png")
    return root


def planned(data, **chosen):
    events = plan_job(Job(data, Recipe(), Recipe(device="cpu", **chosen)))
    seen = []
    while True:
        try:
            seen.append(next(events))
        except StopIteration as stop:
            return stop.value, seen


def test_classes_that_a_mirror_changes_are_not_mirrored(arrows):
    plan, events = planned(arrows)
    flip = next(d for d in plan.decisions if d.name == "flip")
    assert flip.value == 0 and "against 100 % without" in flip.reason and "n=40" in flip.reason
    assert any(isinstance(event, StageEnded) and "mirror: harmful" in event.detail for event in events)
    assert any(isinstance(event, Planned) for event in events)
    assert not [event for event in events if isinstance(event, Warned) and event.code.startswith("plan")]


def test_a_chosen_mirror_is_kept_and_warned_of(arrows):
    plan, events = planned(arrows, flip=0.5, flip_vertical=0.5)
    assert plan.settings.flip == 0.5
    warnings = [event for event in events if isinstance(event, Warned) and event.code == "plan.harmful-change"]
    assert len(warnings) == 1 and "flip = 0.5" in warnings[0].message and "flip=0" in warnings[0].cure


def test_without_a_mirror_nothing_is_probed(arrows):
    _, events = planned(arrows, flip=0.0)
    assert not any(getattr(event, "name", "") == "Probing" for event in events)


def test_too_few_validation_images_are_said(tmp_path):
    plan, _ = planned(write_colours(tmp_path, 8))
    flip = next(d for d in plan.decisions if d.name == "flip")
    assert flip.value == 0.5 and "validation images are too few" in flip.reason


def test_no_test_image_is_looked_at(arrows, monkeypatch):
    from sightline.pixels.preprocess import Preprocess

    seen, real = [], Preprocess.decode
    monkeypatch.setattr(Preprocess, "decode", lambda self, image, **more: seen.append(image) or real(self, image))
    planned(arrows)
    assert len(seen) == 160 and not any("test" in str(image).split("arrows")[-1] for image in seen)


def test_a_file_that_vanished_is_left_out(arrows, monkeypatch):
    from sightline.pixels.preprocess import Preprocess

    real = Preprocess.decode

    def lose(self, image, **more):
        if str(image).endswith("7.png"):
            raise sightline.errors.UnreadableImage(str(image), "gone")
        return real(self, image, **more)

    monkeypatch.setattr(Preprocess, "decode", lose)
    plan, _ = planned(arrows)
    assert "n=36" in next(d for d in plan.decisions if d.name == "flip").reason
    assert issubclass(sightline.errors.UnreadableImage, SightlineError)
