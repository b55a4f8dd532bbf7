"""The last step of a training: what it is given, and what stays when it is done again."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import sightline
from finished import write_colours
from sightline.api import reviewing
from sightline.errors import DataError, ExportMismatch, RunError
from sightline.evaluation.abstain import fit_novelty
from sightline.exporting import formats
from sightline.pipeline import finish, train
from sightline.pipeline.engine import find_engine
from sightline.pipeline.finish import _write_classifier, export_run
from sightline.pipeline.job import Job
from sightline.pipeline.train import train_job
from sightline.planning.decisions import Decision
from sightline.planning.recipe import Recipe
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runtime.classifier import Classifier
from sightline.steps import result_of

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]


def test_an_image_that_vanishes_before_it_is_decoded_is_in_no_metric(tmp_path, monkeypatch):
    """Without a test set the headline is that of validation, which then has one image less."""
    data = write_colours(tmp_path / "colours", 40)
    decode, gone = train.set_up_workbench, []

    def lose(samples, split, *more):
        gone.append(samples.root / samples.paths[split.rows("val")[0]])
        gone[0].unlink()
        return decode(samples, split, *more)

    monkeypatch.setattr(train, "set_up_workbench", lose)
    run = result_of(train_job(Job(data, options=Recipe(epochs=1, test_share=0.0), out=tmp_path / "runs", name="cut")))
    split = read_dataset(run)[1]
    assert run.metrics["count"] == len(split.rows("val")) and run.metrics["count_bad"] == 0
    assert reviewing.verify(run, data=False, quiet=True).differences == ()


def test_a_training_refuses_too_many_bad_images_and_an_export_does_not(copied_run, tmp_path, monkeypatch):
    samples, split = read_dataset(copied_run)
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cold"))
    data = tmp_path / "moved"
    data.mkdir()
    for path in samples.paths.tolist():
        target = data / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((samples.root / path).read_bytes())
    for row in split.rows("train")[:5]:
        (data / samples.paths[row]).unlink()
    facts = json.loads(copied_run.facts_file.read_text())
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": str(data)}))
    assert result_of(export_run(copied_run)).metrics["count"] == len(split.rows("test"))
    with pytest.raises(DataError, match="can't be read"):
        train.refuse_bad(samples.with_errors(dict.fromkeys(range(5), "gone")), "skip")


def contents(folder):
    made_again = ("report.html", "README.md", "run.json")
    files = (path for path in folder.rglob("*") if path.is_file() and path.name not in made_again)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files if "figures" not in path.parts}


@pytest.mark.parametrize("part", ["test", "val"])
def test_an_evaluation_is_not_replaced_by_one_of_fewer_images(part, copied_run, colours, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cold"))
    moved = tmp_path / "moved"
    shutil.copytree(colours, moved)
    count = copied_run.metrics["count"]
    facts = json.loads(copied_run.facts_file.read_text())
    copied_run.facts_file.write_text(json.dumps({**facts, "data_root": str(moved)}))
    samples, split = read_dataset(copied_run)
    (moved / samples.paths[split.rows(part)[0]]).unlink()
    before = contents(copied_run.folder)
    with pytest.raises(RunError, match=r"1 of \d+ measured images") as caught:
        sightline.export(copied_run, quiet=True)
    assert caught.value.code == "run.images-gone"
    assert caught.value.cure.index("--data FOLDER") < caught.value.cure.index("--without-images")
    assert contents(copied_run.folder) == before
    assert sightline.export(copied_run, moved_to=colours, quiet=True).metrics["count"] == count
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "colder"))
    sightline.export(copied_run, without_images=True, quiet=True)
    metrics = Run(copied_run.folder).metrics
    assert metrics["count"] - metrics["count_bad"] == count - (part == "test")


@pytest.mark.parametrize("place", ["judge_evaluation", "explain_some"])
def test_an_interrupted_export_leaves_the_run_as_it_was(place, copied_run, monkeypatch):
    """The classifier was replaced already; at the second place the metrics too."""
    monkeypatch.setattr(finish, place, interrupt)
    (copied_run.classifier_folder / "note.txt").write_text("in the old one only")
    before, facts = contents(copied_run.folder), copied_run.facts
    with pytest.raises(KeyboardInterrupt):
        result_of(export_run(copied_run))
    run = Run(copied_run.folder)
    assert contents(run.folder) == before
    assert {**run.facts, "seconds": 0} == {**facts, "seconds": 0}
    run.classifier()


def test_an_export_that_is_interrupted_at_its_page_is_recorded(copied_run, monkeypatch):
    monkeypatch.setattr(finish, "write_page", interrupt)
    (copied_run.classifier_folder / "note.txt").write_text("in the old one only")
    with pytest.raises(KeyboardInterrupt):
        result_of(export_run(copied_run))
    run = Run(copied_run.folder)
    assert not (run.classifier_folder / "note.txt").exists()
    assert run.facts["files"] == hash_files(run)


def test_an_export_after_the_training_does_not_keep_its_time_limit(copied_run, monkeypatch):
    limited = copied_run.plan.replace(Decision("time", 60.0, "option", "chosen by you"))
    monkeypatch.setattr(Run, "plan", property(lambda run: limited))
    seen = []

    def stop(writer, plan, *rest):
        seen.append(plan.settings.time)
        raise KeyboardInterrupt

    monkeypatch.setattr(finish, "finish", stop)
    with pytest.raises(KeyboardInterrupt):
        sightline.export(copied_run, quiet=True)
    assert seen == [0.0]


def interrupt(*args):
    raise KeyboardInterrupt


def test_a_further_format_stays_when_the_run_is_exported_again(copied_run):
    sightline.export(copied_run, format="pt2", quiet=True)
    again = sightline.export(copied_run, quiet=True)
    assert (again.classifier_folder / "model.pt2").is_file() and "pt2" in again.facts["export"]["formats"]


def test_a_further_format_that_fails_leaves_a_whole_run(copied_run, monkeypatch):
    def fail(graph, bundle, path, exporter):
        raise ExportMismatch("export.failed", "it can't be written so", "none")

    broken = replace(formats.FORMATS["pt2"], write=fail)
    monkeypatch.setitem(formats.FORMATS, "pt2", broken)
    before = copied_run.facts["export"]["images"]
    with pytest.raises(ExportMismatch, match="no pt2 file: it can't be written so"):
        result_of(export_run(copied_run, "pt2"))
    run = Run(copied_run.folder)
    assert run.status == "finished" and run.facts["export"]["images"] == before
    assert run.model_file.is_file() and not (run.classifier_folder / "model.pt2").exists()
    assert "on 0 real images" not in run.report_file.read_text()
    assert reviewing.verify(run, data=False, quiet=True).differences == ()


def test_a_table_with_another_label_is_named(copied_run):
    text = copied_run.samples_file.read_text()
    copied_run.samples_file.write_text(text.replace(",red,", ",rad,", 1))
    with pytest.raises(RunError, match=r"samples\.csv is damaged: it has the label 'rad'"):
        read_dataset(copied_run)


class Rounded:
    """An exported file that computes a little more novelty than the network, wherever there is any."""

    def __init__(self, path):
        self.classifier = Classifier.open(path)

    def run(self, pixels):
        probabilities, features, novelty = self.classifier.run(pixels)
        return probabilities, features, np.where(novelty > 0, novelty + 1, 0)


def test_novelty_that_can_not_be_proved_is_left_out_and_the_classifier_ships(copied_run, tmp_path, monkeypatch):
    run, (samples, split) = copied_run, read_dataset(copied_run)
    monkeypatch.setitem(formats.FORMATS, "onnx", replace(formats.FORMATS["onnx"], open=Rounded))
    trained, _ = find_engine("torch").open(run, run.plan, len(samples.classes))
    files = [samples.file(row) for row in split.rows("train")[:8]]
    bundle = replace(run.classifier().bundle, max_novelty=1.0)
    features = run.classifier().predict(files).features
    calibrated = SimpleNamespace(novelty=fit_novelty(features, np.arange(8) % 3, 3, features * 10))
    steps = _write_classifier(trained, calibrated, bundle, tmp_path / "classifier", files, ("onnx",))
    assert [event.code for event in steps] == ["export.novelty"]
    shipped = Classifier.open(tmp_path / "classifier")
    assert shipped.bundle.max_novelty is None
    said = shipped.predict(files)
    assert not said.novelty.any() and {row.unknown for row in said} == {""}
