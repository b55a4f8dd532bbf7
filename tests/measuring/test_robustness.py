"""Robustness of a real run, recounted image by image; and of sets of the user's own."""

from __future__ import annotations

import json
import shutil
import tomllib

import numpy as np
import pytest
import tomli_w

from finished import record_again, write_colours
from sightline.errors import DataError, InputError, RunError
from sightline.events import Noted, Warned
from sightline.measuring.robustness import measure_robustness
from sightline.pixels.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from sightline.runs.safe_files import read_rows, write_columns
from sightline.runtime.classifier import Classifier
from sightline.steps import result_of


@pytest.fixture(scope="module")
def measured(finished_run, tmp_path_factory):
    from sightline.runs.folder import Run

    run = Run(shutil.copytree(finished_run.folder, tmp_path_factory.mktemp("robust") / "run"))
    return run, result_of(measure_robustness(run.classifier(), None, 500))


def test_every_figure_is_that_of_the_harmed_squares(measured):
    run, found = measured
    classifier = run.classifier()
    door = classifier.preprocess
    rows = [row for row in run.samples if row["split"] == "test"]
    squares = [door.apply(door.decode(file)) for file in run.files("test")]
    labels = np.array([classifier.classes.index(row["label"]) for row in rows])
    before = classifier.run(np.stack(squares))[0].argmax(1) == labels
    assert found.accuracy.value == pytest.approx(before.mean()) and found.count == len(rows)
    assert [(row.corruption, row.severity) for row in found.rows] == [
        (name, severity) for name in CORRUPTIONS for severity in SEVERITIES
    ]
    for row in found.rows:
        harmed = np.stack([corrupt(square, row.corruption, row.severity) for square in squares])
        after = classifier.run(harmed)[0].argmax(1) == labels
        assert row.drop.accuracy.value == pytest.approx(after.mean())
        assert row.drop.lost == (before & ~after).sum() and row.drop.gained == (after & ~before).sum()


def test_the_run_keeps_it_and_its_report_is_made_again(measured):
    run, found = measured
    assert run.robustness == found
    assert json.loads(run.robustness_file.read_text()) == json.loads(json.dumps(found.to_dict()))
    assert run.report_file.stat().st_mtime >= run.robustness_file.stat().st_mtime


def test_fewer_images_are_drawn_evenly_and_that_is_said(copied_run):
    classifier = copied_run.classifier()
    events = []
    generator = measure_robustness(classifier, None, 6)
    try:
        while True:
            events.append(next(generator))
    except StopIteration as stop:
        found = stop.value
    assert (found.count, found.count_all) == (6, 18)
    assert any(isinstance(event, Noted) and "drawn evenly from 18" in event.message for event in events)


def test_leaked_images_of_the_run_itself_are_left_out(copied_run):
    rows = read_rows(copied_run.split_file)
    leaked = [row for row in rows if row["split"] == "test"][::9]
    for row in leaked:
        row["leaked"] = "1"
    write_columns(copied_run.split_file, {name: [row[name] for row in rows] for name in rows[0]})
    record_again(copied_run)
    found = result_of(measure_robustness(copied_run.classifier(), None, 3))
    assert (len(leaked), found.count_all) == (2, 16)
    assert found.example not in {row["path"] for row in leaked}


def test_a_set_of_ones_own_leaves_the_run_alone(copied_run, tmp_path):
    data = write_colours(tmp_path / "new", 5, seed=9)
    (data / "blue" / "bad.png").write_bytes(b"no image")
    classifier = copied_run.classifier()
    found = result_of(measure_robustness(classifier, str(data), 500))
    said = classifier.predict(sorted(path for path in data.rglob("0*.png")))
    assert found.accuracy.value == np.mean([row.label in row.path for row in said])
    assert (found.count, found.count_bad, found.part) == (15, 1, "whole")
    assert found.bad == ("blue/bad.png",) and copied_run.robustness is None


def test_what_was_trained_on_is_left_out(copied_run, colours):
    events = []
    generator = measure_robustness(copied_run.classifier(), str(colours), 500)
    try:
        while True:
            events.append(next(generator))
    except StopIteration as stop:
        found = stop.value
    assert any(isinstance(event, Warned) and event.code == "evaluation.leak" for event in events)
    assert found.count == 18  # the test part: 15 % of 120


def test_without_a_run_images_must_be_named(finished_run, tmp_path):
    shutil.copy(finished_run.model_file, tmp_path / "model.onnx")
    with pytest.raises(InputError) as caught:
        result_of(measure_robustness(Classifier.open(tmp_path), None, 500))
    assert caught.value.code == "robustness.no-images"


def test_wrong_wishes_are_named(copied_run, tmp_path):
    with pytest.raises(InputError) as caught:
        result_of(measure_robustness(copied_run.classifier(), None, 0))
    assert caught.value.code == "robustness.count"
    data = write_colours(tmp_path / "new", 2)
    (data / "red").rename(data / "crimson")
    with pytest.raises(DataError) as wrong:
        result_of(measure_robustness(copied_run.classifier(), str(data), 5))
    assert wrong.value.code == "evaluation.unknown-class" and "crimson" in wrong.value.message


def test_images_that_are_gone_are_counted(copied_run, tmp_path):
    facts = json.loads(copied_run.facts_file.read_text())
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": str(tmp_path)}))
    with pytest.raises(RunError, match="18 of 18 measured images") as caught:
        result_of(measure_robustness(copied_run.classifier(), None, 500))
    assert caught.value.code == "run.images-gone"


def test_images_of_ones_own_are_in_groups_as_in_the_training(copied_run, tmp_path):
    """One function reads labelled images for evaluate and robustness, so both count a group once."""
    settings = tomllib.loads(copied_run.plan_file.read_text(encoding="utf-8"))
    settings["group"]["value"] = r"(\d)\d\.png"
    copied_run.plan_file.write_text(tomli_w.dumps(settings), encoding="utf-8")
    rows = read_rows(copied_run.samples_file)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    write_columns(copied_run.samples_file, columns | {"group": [row["path"][-6] for row in rows]})
    record_again(copied_run)
    data = str(write_colours(tmp_path / "new", 12, seed=9))
    classifier = copied_run.classifier()
    by_rule = result_of(measure_robustness(classifier, data, 500))
    assert "2 groups" in by_rule.accuracy.method and by_rule.accuracy.n_effective <= 2 < by_rule.accuracy.n
    assert all(row.drop.accuracy.n_effective is not None for row in by_rule.rows)
    assert result_of(measure_robustness(classifier, data, 500, group="")).accuracy.n_effective is None
    with pytest.raises(InputError) as caught:
        result_of(measure_robustness(classifier, None, 500, group=r"(\d)"))
    assert caught.value.code == "robustness.group"
