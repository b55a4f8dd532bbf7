"""What the training saw is left out of a measurement: the same file, and nearly the same image."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from finished import write_colours
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.events import Noted, Warned
from sightline.measuring import seen_images
from sightline.measuring.evaluate import evaluate_source
from sightline.runs.dataset import read_dataset


def evaluated(model, data: Path):
    events, steps = [], evaluate_source(sightline.load(model), data)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return stop.value, events


@pytest.fixture
def mixed(finished_run, tmp_path) -> Path:
    """Five new images a class, a file that trained, and another one twice as large."""
    root = write_colours(tmp_path / "new", 5, seed=77)
    samples, split = read_dataset(finished_run)
    for label, name in enumerate(samples.classes):
        one, other = np.flatnonzero((split.parts == "train") & (samples.labels == label))[:2]
        shutil.copy(samples.file(int(one)), root / name / "copy.png")
        Image.open(samples.file(int(other))).resize((32, 32), Image.Resampling.BICUBIC).save(root / name / "larger.png")
    return root


def test_copies_and_near_copies_of_training_images_are_told_and_left_out(copied_run, mixed):
    found, events = evaluated(copied_run.folder, mixed)
    leaked = {path for path, is_leaked in zip(found.predictions.paths, found.leaked, strict=True) if is_leaked}
    assert leaked == {f"{name}/{file}.png" for name in ("blue", "green", "red") for file in ("copy", "larger")}
    assert found.accuracy.n == 15
    assert found.metrics["accuracy_with_leaks"]["n"] == 21
    (warned,) = [event.message for event in events if isinstance(event, Warned)]
    assert "of 21 images, 3 were used in training and 3 are near-duplicates or versions" in warned


def test_new_images_are_told_to_be_new(copied_run, tmp_path):
    found, events = evaluated(copied_run.folder, write_colours(tmp_path / "new", 4, seed=78))
    assert not found.leaked.any()
    assert any("no near-duplicate or version" in event.message for event in events if isinstance(event, Noted))


def test_training_images_that_went_away_are_told(copied_run, mixed, tmp_path):
    copied_run_root = tmp_path / "moved"
    samples, _ = read_dataset(copied_run)
    facts = copied_run.folder / "run.json"
    facts.write_text(facts.read_text("utf-8").replace(str(samples.root), str(copied_run_root)), "utf-8")
    found, events = evaluated(copied_run.folder, mixed)
    assert found.metrics["count_leaked"] == 3  # by their content
    assert any("are not where they were" in event.message for event in events if isinstance(event, Noted))


def test_too_many_training_images_are_told(copied_run, mixed, monkeypatch):
    monkeypatch.setattr(seen_images, "_MOST", 10)
    found, events = evaluated(copied_run.folder, mixed)
    assert found.metrics["count_leaked"] == 3
    assert any("too many to be compared with" in event.message for event in events if isinstance(event, Noted))


def test_without_a_run_images_are_compared_with_each_other(finished_run, mixed, tmp_path):
    model = shutil.copy(finished_run.model_file, tmp_path / "model.onnx")
    found, events = evaluated(model, mixed)
    assert not found.leaked.any()
    assert any("is not known" in event.message for event in events if isinstance(event, Noted))


def test_a_joint_table_names_both_where_they_are(colours, tmp_path):
    one, other = (read_samples(root) for root in (write_colours(tmp_path / "new", 2), colours))
    joint: Samples = seen_images._join(one, other)
    assert [joint.file(row) for row in range(len(one))] == list(one.files)
    assert [joint.file(row) for row in range(len(one), len(joint))] == list(other.files)
    assert [joint.classes[label] for label in joint.labels[len(one) :]] == [other.classes[k] for k in other.labels]


def test_columns_and_units_of_the_images_survive_the_comparison_with_the_training(table):
    """They were lost whenever the training images were there: no column was searched for what is worse."""
    camera, units = np.array(["old", "new", "old"], object), np.array(["u", "", "u"], object)
    samples = replace(table([0, 1, 1]), extra={"camera": camera}, units=units)
    joint = seen_images._join(samples, table([0] * 4))
    assert len(joint) == 7 and joint.extra["camera"][3:].tolist() == joint.units[3:].tolist() == [""] * 4
    again = joint.take(np.arange(3))
    assert again.extra["camera"].tolist() == camera.tolist() and again.units.tolist() == units.tolist()
