"""The whole way: what a run leaves, what it may not depend on, and how it ends early."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import shutil
import tomllib
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import sightline
from finished import write_colours
from sightline.errors import DataError, ExportMismatch, InputError, RunError
from sightline.evaluation.metrics import evaluate_predictions
from sightline.events import CheckpointSaved, EpochEnded, RunStarted, Warned
from sightline.pipeline.job import Job
from sightline.pipeline.train import train_job
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings
from sightline.process_settings import set_up_process
from sightline.runs.folder import Run
from sightline.runs.lock import lock_run
from unrendered import leave_figures_unrendered

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]

QUICK = {"epochs": 1, "quiet": True}


@pytest.fixture(scope="module")
def kept(tmp_path_factory, colours) -> Run:
    """A run of one epoch that kept its checkpoints; not to be changed."""
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_unrendered(patch)
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SIGHTLINE_STATE", str(tmp_path_factory.mktemp("state")))
        return sightline.train(
            colours, out=tmp_path_factory.mktemp("runs"), name="kept", keep_checkpoints=True, **QUICK
        )


def tree_hash(folder: Path) -> str:
    rows = [
        (str(p.relative_to(folder)), p.stat().st_mtime_ns, p.read_bytes())
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    ]
    return hashlib.sha256(repr(rows).encode()).hexdigest()


def weights(run: Run) -> bytes:
    return (run.classifier_folder / "model.safetensors").read_bytes()


def split_folders(colours: Path, root: Path) -> Path:
    """Copy class folders into train, val and test by position."""
    for file in sorted(colours.rglob("*.png")):
        part = {0: "test", 1: "val"}.get(int(file.stem) % 5, "train")
        target = root / part / file.parent.name / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return root


def test_a_finished_run_has_everything_and_says_so(finished_run):
    names = {str(path.relative_to(finished_run.folder)) for path in finished_run.folder.rglob("*") if path.is_file()}
    assert names == {
        "run.json",
        "run.lock",
        "plan.toml",
        "history.csv",
        "steps.csv",
        "learning_rate.csv",
        "log.txt",
        "report.html",
        "data/samples.csv",
        "data/split.csv",
        "data/findings.json",
        "data/augmented.npz",
        "classifier/model.onnx",
        "classifier/model.safetensors",
        "classifier/classifier.json",
        "classifier/classes.txt",
        "classifier/README.md",
        "evaluation/predictions.csv",
        "evaluation/probabilities.npy",
        "evaluation/features.npy",
        "evaluation/metrics.json",
        "evaluation/explanations.npz",
        "evaluation/validation.npz",
        "figures/curves.png",
        "figures/curves.svg",
        "figures/steps.png",
        "figures/steps.svg",
        "figures/learning_rate.png",
        "figures/learning_rate.svg",
        "figures/confusion.png",
        "figures/confusion.svg",
        "figures/augmented.png",
        "figures/augmented.svg",
        "figures/reliability.png",
        "figures/reliability.svg",
        "figures/coverage.png",
        "figures/coverage.svg",
        "figures/ranking.png",
        "figures/ranking.svg",
    }
    assert finished_run.status == "finished"
    assert finished_run.history["epoch"] == [0, 1, 2, 3, 4, 5, 6]


def test_every_setting_of_the_plan_is_kept_with_origin_and_reason(finished_run):
    tables = tomllib.loads(finished_run.plan_file.read_text())
    assert list(tables) == list(Settings.model_fields)
    assert all(set(table) == {"value", "origin", "reason"} for table in tables.values())
    assert tables["epochs"]["origin"] == "option" and tables["epochs"]["value"] == 6


def test_every_step_is_kept_and_the_rate_is_the_one_that_the_finder_chose(finished_run):
    steps, decisions = finished_run.steps, {d.name: d for d in finished_run.plan.decisions}
    assert steps["step"] == list(range(len(steps["step"]))) and sorted(set(steps["epoch"])) == [1, 2, 3, 4, 5, 6]
    rate = decisions["learning_rate"]
    assert rate.origin == "finder" and "range test" in rate.reason
    assert max(steps["learning_rate"]) == pytest.approx(rate.value)
    assert finished_run.rates["learning_rate"][0] < rate.value < finished_run.rates["learning_rate"][-1]
    assert not finished_run.plan.settings.find_rate
    assert f"Learning rate {rate.value:g}, by the finder" in finished_run.log_file.read_text()


def test_the_metrics_are_those_of_the_saved_predictions(finished_run):
    rows = finished_run.predictions
    classes = tuple(finished_run.facts["classes"])
    labels = np.array([classes.index(row["label"]) for row in rows])
    probabilities = np.load(finished_run.probabilities_file)
    recomputed = evaluate_predictions(labels, probabilities, classes)
    assert {name: finished_run.metrics[name] for name in recomputed} == recomputed
    assert [row["predicted"] for row in rows] == [classes[k] for k in probabilities.argmax(1)]
    assert np.load(finished_run.features_file).dtype == np.float16


def test_predictions_are_joined_by_path_with_the_test_part_of_the_split(finished_run):
    with finished_run.split_file.open() as file:
        test = {row["path"]: row["label"] for row in csv.DictReader(file) if row["split"] == "test"}
    assert {row["path"]: row["label"] for row in finished_run.predictions} == test
    assert {str(path) for path in finished_run.files("test")} == {
        str(Path(finished_run.facts["data_root"]) / path) for path in test
    }


def test_the_classifier_gives_the_predictions_that_were_evaluated(finished_run):
    said = sightline.load(finished_run.folder).predict(finished_run.files("test"))
    assert np.array_equal(said.probabilities, np.load(finished_run.probabilities_file))


def test_the_users_files_are_not_touched(tmp_path):
    data = write_colours(tmp_path / "data", 12)
    before = tree_hash(data)
    sightline.train(data, out=tmp_path / "runs", **QUICK)
    sightline.check(data, quiet=True)
    assert tree_hash(data) == before


def test_the_test_split_serves_no_choice(colours, tmp_path):
    """Neither shuffled labels nor noise in the test split change a byte of the weights or the history."""
    plain = split_folders(colours, tmp_path / "plain")
    shuffled = shutil.copytree(plain, tmp_path / "shuffled")
    folders = sorted(path for path in (shuffled / "test").iterdir())
    names = [path.name for path in folders]
    for path in folders:
        path.rename(path.with_name(f"_{path.name}"))
    for name, other in zip(names, names[1:] + names[:1], strict=True):
        (shuffled / "test" / f"_{name}").rename(shuffled / "test" / other)
    noise = shutil.copytree(plain, tmp_path / "noise")
    random = np.random.default_rng(9)
    for file in (noise / "test").rglob("*.png"):
        Image.fromarray(random.integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(file)
    runs = [sightline.train(data, out=tmp_path / "runs", epochs=3, quiet=True) for data in (plain, shuffled, noise)]
    assert weights(runs[0]) == weights(runs[1]) == weights(runs[2])
    columns = ("train_loss", "val_loss", "val_accuracy")
    histories = [[run.history[column] for column in columns] for run in runs]
    assert histories[0] == histories[1] == histories[2]
    accuracies = [run.metrics["accuracy"]["value"] for run in runs]
    assert accuracies[0] > accuracies[1] and accuracies[0] > accuracies[2]  # the change did reach the test


def test_unreadable_images_are_left_out_named_and_counted(tmp_path):
    data = split_folders(write_colours(tmp_path / "colours", 80), tmp_path / "data")
    train_bad, test_bad = data / "train" / "red" / "002.png", data / "test" / "red" / "000.png"
    train_bad.write_bytes(train_bad.read_bytes()[:150])
    test_bad.write_bytes(b"<html>not found</html>")
    run = sightline.train(data, out=tmp_path / "runs", **QUICK)
    splits = {row["path"]: row["split"] for row in run.samples}
    assert splits["train/red/002.png"] == "" and splits["test/red/000.png"] == "test"
    metrics = run.metrics
    assert (metrics["count"], metrics["count_bad"], metrics["accuracy"]["n"]) == (48, 1, 47)
    errors = {row["path"]: row["error"] for row in run.predictions if row["error"]}
    assert list(errors) == ["test/red/000.png"] and "web page" in errors["test/red/000.png"]
    unreadable = next(finding for finding in run.findings if finding["code"] == "unreadable")
    assert len(unreadable["cases"]) == 2


def test_too_many_unreadable_images_stop_the_run_before_it_starts(tmp_path):
    data = write_colours(tmp_path / "data", 20)
    for number in range(3):
        (data / "red" / f"{number:03d}.png").write_bytes(b"broken")
    with pytest.raises(DataError) as caught:
        sightline.train(data, out=tmp_path / "runs", **QUICK)
    assert caught.value.code == "data.too-many-bad" and "3 of 60" in caught.value.message
    assert not (tmp_path / "runs").exists()


def test_leaked_test_images_are_left_out_of_the_headline(colours, tmp_path):
    data = split_folders(colours, tmp_path / "data")
    for name in ("blue", "green"):
        shutil.copy(data / "train" / name / "002.png", data / "test" / name / "copy.png")
    run = sightline.train(data, out=tmp_path / "runs", **QUICK)
    metrics = run.metrics
    assert (metrics["count"], metrics["count_leaked"], metrics["accuracy"]["n"]) == (26, 2, 24)
    assert metrics["accuracy_with_leaks"]["n"] == 26


def test_a_test_image_that_changes_while_the_training_runs_is_not_measured(colours, tmp_path):
    data = split_folders(colours, tmp_path / "data")

    class Change:
        def show(self, event):
            if isinstance(event, CheckpointSaved):  # a training image in the place of a test image
                shutil.copy(data / "train" / "red" / "002.png", data / "test" / "red" / "000.png")

        def close(self):
            pass

    run = sightline.train(data, out=tmp_path / "runs", epochs=1, display=Change())
    metrics = run.metrics
    assert (metrics["count"], metrics["count_bad"], metrics["accuracy"]["n"]) == (24, 1, 23)
    (row,) = [row for row in run.predictions if row["error"]]
    assert row["path"] == "test/red/000.png" and "changed" in row["error"]


def test_a_test_set_of_training_images_is_refused_before_the_training(colours, tmp_path):
    shutil.copytree(colours, tmp_path / "data" / "train")
    shutil.copytree(colours, tmp_path / "data" / "test")
    with pytest.raises(DataError) as caught:
        sightline.train(tmp_path / "data", out=tmp_path / "runs", **QUICK)
    assert caught.value.code == "split.all-leaked"
    assert not (tmp_path / "runs").exists()


def test_class_names_that_are_no_utf8_reach_the_classifier_as_they_are(tmp_path):
    data = write_colours(tmp_path / "data", 12)
    (data / "red").rename(data / os.fsdecode(b"caf\xe9"))
    run = sightline.train(data, out=tmp_path / "runs", **QUICK)
    assert run.classifier().classes[1] == os.fsdecode(b"caf\xe9")
    assert (run.classifier_folder / "classes.txt").read_bytes().splitlines()[1] == b"caf\xe9"


def test_a_killed_run_is_interrupted_once_it_is_exported(kept, tmp_path):
    run = Run(shutil.copytree(kept.folder, tmp_path / "killed"))
    facts = run.facts
    run.facts_file.write_text(json.dumps({**facts, "status": "running"}))  # as kill -9 leaves it
    shutil.rmtree(run.classifier_folder)
    assert sightline.export(run, quiet=True).status == "interrupted"


def test_a_runs_own_plan_is_a_recipe(finished_run, colours, tmp_path):
    again = sightline.train(colours, finished_run.plan_file, out=tmp_path, quiet=True)
    assert again.history["val_loss"] == finished_run.history["val_loss"]
    assert weights(again) == weights(finished_run)


def test_without_a_test_split_the_figure_is_called_a_validation_figure(colours, tmp_path):
    run = sightline.train(colours, out=tmp_path, val_share=0.2, test_share=0, **QUICK)
    assert run.metrics["part"] == "val"
    assert run.facts["headline"].startswith("Validation accuracy")
    assert run.metrics["count"] == 24


def test_a_run_never_writes_into_anothers_folder(colours, copied_run):
    before = tree_hash(copied_run.folder)
    with pytest.raises(RunError) as caught:
        sightline.train(colours, out=copied_run.folder.parent, name="copied", **QUICK)
    assert caught.value.code == "run.exists"
    assert tree_hash(copied_run.folder) == before


class Interrupt:
    """A display that stops the run after its first epoch, as Ctrl-C does."""

    def show(self, event):
        if isinstance(event, EpochEnded) and event.epoch:
            self.armed = True
        elif getattr(self, "armed", False):
            raise KeyboardInterrupt

    def close(self):
        pass


def test_an_interrupted_run_says_so_and_can_be_exported(colours, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        sightline.train(colours, out=tmp_path, name="stopped", epochs=5, display=Interrupt())
    run = Run(tmp_path / "stopped")
    assert run.status == "interrupted"
    assert not run.classifier_folder.exists()
    with pytest.raises(RunError) as caught:
        sightline.load(run.folder)
    assert "sightline export" in caught.value.cure
    exported = sightline.export(run.folder, quiet=True)
    assert exported.status == "interrupted"
    assert exported.metrics["part"] == "test"
    assert exported.report_file.is_file()
    assert sightline.load(run.folder).classes == ("blue", "green", "red")


def test_a_run_stopped_before_its_first_epoch_has_nothing_to_export(colours, tmp_path):
    class Early(Interrupt):
        def show(self, event):
            if isinstance(event, RunStarted):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sightline.train(colours, out=tmp_path, name="early", epochs=5, display=Early())
    assert Run(tmp_path / "early").status == "interrupted"
    with pytest.raises(RunError, match=r"stopped before"):
        sightline.export(tmp_path / "early", quiet=True)


def test_a_mismatch_of_the_export_fails_the_run_and_keeps_the_network(colours, tmp_path, monkeypatch):
    from sightline.exporting import export

    def differ(*arguments):
        raise ExportMismatch("export.mismatch", "it decides otherwise", "report this")

    monkeypatch.setattr(export, "prove_parity", differ)
    with pytest.raises(ExportMismatch):
        sightline.train(colours, out=tmp_path, name="differs", **QUICK)
    run = Run(tmp_path / "differs")
    assert run.status == "failed" and "otherwise" in run.facts["error"]
    assert (run.classifier_folder / "model.safetensors").is_file() and not run.model_file.exists()
    assert run.best_checkpoint.is_dir()
    monkeypatch.undo()
    assert sightline.export(run.folder, quiet=True).model_file.is_file()


def test_a_finished_run_can_be_exported_again_from_what_ships(copied_run, monkeypatch):
    class Later(datetime):
        @classmethod
        def now(cls, tz=None):
            return datetime(2031, 1, 1, tzinfo=tz)

    monkeypatch.setattr("sightline.pipeline.shipping.datetime", Later)
    before, digest = np.load(copied_run.probabilities_file), copied_run.classifier().digest
    copied_run.model_file.unlink()
    sightline.export(copied_run.folder, quiet=True)
    assert np.allclose(np.load(copied_run.probabilities_file), before, atol=1e-6)
    again = copied_run.classifier()
    assert (
        again.bundle.created.startswith("2031") and again.digest == digest
    )  # a look at the test set that is no new one


def test_a_run_that_another_process_writes_into_is_not_exported(copied_run):
    with lock_run(copied_run.folder):
        before = tree_hash(copied_run.folder)
        with pytest.raises(RunError) as caught:
            sightline.export(copied_run.folder, quiet=True)
        assert caught.value.code == "run.locked" and tree_hash(copied_run.folder) == before


def test_checkpoints_are_dropped_unless_they_are_asked_for(finished_run, kept):
    assert not finished_run.best_checkpoint.exists()
    assert kept.best_checkpoint.is_dir()


def test_evaluating_matches_classes_by_name(copied_run, tmp_path):
    data = write_colours(tmp_path / "more", 5, seed=7)
    shutil.rmtree(data / "blue")  # so that green is 0 here and 1 in the classifier
    assert sightline.evaluate(copied_run.folder, data, quiet=True).accuracy.value == 1


def test_evaluating_an_unknown_class_is_refused(copied_run, tmp_path):
    data = write_colours(tmp_path / "more", 5)
    (data / "red").rename(data / "pink")
    with pytest.raises(DataError, match="'pink'"):
        sightline.evaluate(copied_run.folder, data, quiet=True)


def test_evaluating_leaves_out_what_the_training_saw(copied_run, colours):
    evaluation = sightline.evaluate(copied_run.folder, colours, quiet=True)
    trained = sum(row["split"] in ("train", "val") for row in copied_run.samples)
    assert evaluation.metrics["count_leaked"] == trained
    assert evaluation.accuracy.n == 120 - trained


def test_a_recipe_file_and_options_reach_the_plan(colours, tmp_path):
    recipe = tmp_path / "mine.toml"
    recipe.write_text("epochs = 1\nbatch_size = 8\n")
    run = sightline.train(colours, recipe, out=tmp_path / "runs", batch_size=16, quiet=True)
    tables = tomllib.loads(run.plan_file.read_text())
    assert (tables["epochs"]["origin"], tables["batch_size"]["origin"]) == ("recipe", "option")
    assert tables["batch_size"]["value"] == 16


def test_a_wrong_setting_stops_before_anything_is_read(tmp_path):
    with pytest.raises(InputError, match="epohcs"):
        sightline.train(tmp_path / "nowhere", epohcs=3)


def test_run_json_says_what_made_it(finished_run):
    facts = json.loads(finished_run.facts_file.read_text())
    assert {"torch", "timm", "numpy", "python", "sightline"} <= set(facts["versions"])
    assert facts["hardware"]["threads"] >= 1 and facts["seconds"] > 0
    assert facts["process_settings"] == set_up_process().record() and facts["process_settings"]["openmp"]
    assert facts["export"]["images"] >= 32
    assert len(facts["data_fingerprint"]) == 64


def test_streamed_images_give_the_same_weights_and_a_warning(colours, kept, tmp_path, monkeypatch):
    monkeypatch.setattr("sightline.pixels.cache._MEMORY_BYTES", 20_000)
    monkeypatch.setenv("SIGHTLINE_CACHE_LIMIT", "1K")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "other"))
    events = list(train_job(Job(colours, options=Recipe(epochs=1), out=tmp_path, name="streamed")))
    (warned,) = (event for event in events if isinstance(event, Warned) and event.code.startswith("cache."))
    assert warned.code == "cache.too-large"
    assert "decoded again in every epoch" in warned.message and "SIGHTLINE_CACHE_LIMIT" in warned.cure
    streamed = Run(tmp_path / "streamed")
    assert weights(streamed) == weights(kept)
    same = {"count_evaluations": 1}  # the second training is evaluated on the same test images
    assert {**streamed.metrics, **same} == {**kept.metrics, **same}
    assert not list((tmp_path / "other" / "pixels").iterdir())


def test_a_cache_that_can_not_be_written_is_a_warning(colours, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "file"))
    events = list(train_job(Job(colours, options=Recipe(epochs=1), out=tmp_path, name="run")))
    warned = [event.code for event in events if isinstance(event, Warned)]
    assert [code for code in warned if not code.startswith("data.")] == ["cache.unwritable"]


def test_a_wrong_limit_of_the_cache_is_said_before_anything_is_done(colours, tmp_path, monkeypatch):
    monkeypatch.setenv("SIGHTLINE_CACHE_LIMIT", "much")
    with pytest.raises(InputError, match="SIGHTLINE_CACHE_LIMIT"):
        sightline.train(colours, out=tmp_path / "runs", **QUICK)
    assert not (tmp_path / "runs").exists()


def test_views_are_a_further_figure_and_change_no_other(colours, kept, tmp_path):
    again = sightline.train(colours, out=tmp_path, name="views", views=4, **QUICK)
    assert again.metrics["count_views"] == 4
    assert again.metrics["accuracy_with_views"]["n"] == again.metrics["accuracy"]["n"]
    further = {"accuracy_with_views", "count_views"}
    assert {k: v for k, v in again.metrics.items() if k not in further} == kept.metrics
