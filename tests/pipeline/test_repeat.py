"""Folds and seeds, the whole way: what lies where, what is shared, what is refused, and how they end early."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import accuracy_score

import sightline
from finished import write_colours
from sightline.api import reviewing
from sightline.errors import DataError, InputError, RunError
from sightline.events import Event, RunStarted, StageStarted
from sightline.pipeline import train
from sightline.pipeline.decide import plan_job
from sightline.pipeline.job import Job
from sightline.pipeline.look import look
from sightline.pipeline.repeat import repeat_job
from sightline.pipeline.workbench import Workbench
from sightline.planning.recipe import Recipe
from sightline.reporting.page import render_report
from sightline.runs.folder import Run, list_runs
from sightline.runs.lookup import find_run
from sightline.steps import result_of
from unrendered import leave_figures_unrendered

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    return write_colours(tmp_path_factory.mktemp("few") / "few", 12)


@pytest.fixture(scope="module")
def shared(tmp_path_factory, few):
    """Return (events of three folds that TensorBoard tracks, their run); not to be changed."""
    events: list[Event] = []

    class Listener:
        show, close = events.append, lambda self: None

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        leave_figures_unrendered(patch)
        out = tmp_path_factory.mktemp("runs")
        chosen = {"epochs": 2, "seed": 4, "track": ["tensorboard"], "display": Listener()}
        run = sightline.cross_validate(few, 3, out=out, name="cv", **chosen)
    return events, run


def weights(run: Run) -> bytes:
    return (run.classifier_folder / "model.safetensors").read_bytes()


def test_every_image_is_predicted_once_by_a_network_that_never_saw_it(shared):
    _, run = shared
    assert [part.folder.name for part in run.parts] == ["fold-1", "fold-2", "fold-3"]
    paths = [row["path"] for row in run.predictions]
    assert len(paths) == len(set(paths)) == 36
    for part in run.parts:
        used = {row["path"] for row in part.samples if row["split"] in ("train", "val")}
        tested = {row["path"] for row in run.predictions if row["run"] == part.folder.name}
        assert tested == {row["path"] for row in part.samples if row["split"] == "test"}
        assert len(used) == 24 and not used & tested
        said = {row["path"]: row["predicted"] for row in part.predictions}
        assert {p: row["predicted"] for row in run.predictions if (p := row["path"]) in tested} == said


def test_the_pooled_figures_are_those_of_the_pooled_predictions(shared):
    _, run = shared
    rows = run.predictions
    expected = accuracy_score([row["label"] for row in rows], [row["predicted"] for row in rows])
    assert run.metrics["accuracy"]["value"] == pytest.approx(expected)
    assert run.metrics["accuracy"]["n"] == 36
    assert np.load(run.probabilities_file).shape == (36, 3)
    values = [part.metrics["accuracy"]["value"] for part in run.parts]
    assert run.metrics["spread"]["accuracy"]["values"] == values
    assert run.status == "finished" and run.facts["done"] == run.facts["times"] == 3
    assert "3 folds" in run.facts["headline"]


def test_each_fold_has_the_findings_of_its_own_split(few, tmp_path, monkeypatch):
    class Said:
        def __init__(self, split):
            self.parts = list(split.parts)

        def to_dict(self):
            return self.parts

    class Writer:
        def write_data(self, samples, split, findings):
            self.split, self.findings = split["split"], findings

    looked, splits = result_of(look(Job(few, out=tmp_path, folds=3)))
    settings = SimpleNamespace(fixes="", model_dump=dict)
    plan = SimpleNamespace(settings=settings, preprocess=SimpleNamespace(value_range=None))
    monkeypatch.setattr(train, "check_subject", lambda subject: [Said(subject.split)])
    looked = replace(looked, findings=[Said(splits[0])])
    workbench = Workbench(looked.samples, looked.split, None)
    for split in splits:
        writer = Writer()
        train.record_data(writer, plan, looked, workbench, split)
        assert writer.findings == [writer.split] == [list(split.parts)]


def test_reading_comparing_and_decoding_happen_once(shared):
    events, _ = shared
    stages = [event.name for event in events if isinstance(event, StageStarted)]
    assert [stages.count(name) for name in ("Reading", "Comparing", "Planning", "Decoding")] == [1, 1, 1, 1]
    assert stages.count("Training") == 3


def test_seeds_and_plans_of_the_folds_differ_in_the_seed_alone(shared):
    _, run = shared
    plans = [part.plan.settings.model_dump() for part in run.parts]
    assert [plan.pop("seed") for plan in plans] == [4, 5, 6]
    assert plans[0] == plans[1] == plans[2]
    for part in run.parts:  # what a fold tests follows from no setting
        assert "split.csv" in next(d.reason for d in part.plan.decisions if d.name == "split_seed")


@pytest.mark.usefixtures("no_figures")
def test_the_page_says_that_it_measures_the_recipe(shared):
    _, run = shared
    page = run.report_file.read_text()
    assert "No classifier: this run evaluates the recipe." in page and "fold-3" in page
    assert "What is taken for what" in page
    assert (run.figures_folder / "confusion.png").is_file() and not run.classifier_folder.exists()
    before = page
    reviewing.report(run)
    assert run.report_file.read_text() == before


def test_it_is_no_classifier_and_never_the_latest(shared):
    _, run = shared
    with pytest.raises(RunError) as caught:
        sightline.load(run.folder)
    assert caught.value.code == "run.repeated" and "sightline train" in caught.value.cure
    with pytest.raises(RunError, match="measures a recipe"):
        sightline.export(run.folder)
    with pytest.raises(RunError, match="no finished run"):
        find_run("latest", folder=run.folder.parent)
    assert [found.folder for found in list_runs(run.folder.parent)] == [run.folder]
    part = find_run("cv/fold-2", folder=run.folder.parent)
    assert sightline.load(part.folder).predict(part.files("test")).count_bad == 0


@pytest.mark.usefixtures("no_figures")
def test_the_test_part_of_a_fold_serves_no_choice(shared, few, tmp_path):
    """A fold's network is the one that a plain training on its split gives, whatever its test images are."""
    part = shared[1].parts[1]
    with (tmp_path / "table.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["path", "label", "split"])
        for row in part.samples:
            # a neighbour's label for the test images: if they served any choice, the weights would differ
            label = (
                {"blue": "green", "green": "red", "red": "blue"}[row["label"]]
                if row["split"] == "test"
                else row["label"]
            )
            table.writerow([few / row["path"], label, row["split"]])
    plain = sightline.train(tmp_path / "table.csv", part.plan_file, out=tmp_path, name="plain", quiet=True)
    assert weights(plain) == weights(part)


@pytest.mark.usefixtures("no_figures")
def test_a_page_of_several_trainings_is_not_replaced_by_one_without_images(shared, few, tmp_path):
    run = Run(shutil.copytree(shared[1].folder, tmp_path / "cv"))
    for file in run.folder.rglob("run.json"):
        file.write_text(json.dumps({**json.loads(file.read_text()), "data_root": str(tmp_path / "gone")}))
    page = run.report_file.read_bytes()
    with pytest.raises(RunError, match="36 of 36 measured images"):
        reviewing.report(run)
    assert run.report_file.read_bytes() == page
    reviewing.report(run, moved_to=few)
    assert run.report_file.read_bytes().count(b"data:image") == page.count(b"data:image") > 0


@pytest.mark.usefixtures("no_figures")
def test_stopping_in_the_middle_leaves_what_is_done(few, tmp_path):
    steps = repeat_job(Job(few, options=Recipe(epochs=1), out=tmp_path, name="cv", folds=3))
    started = 0
    for event in steps:
        started += isinstance(event, RunStarted)
        if started == 3 and isinstance(event, StageStarted) and event.name == "Training":
            break  # the second fold (the first start is that of the whole) has begun to train
    steps.close()
    run = Run(tmp_path / "cv")
    assert run.status == "interrupted" and run.facts["done"] == 1
    assert "1 of 3 folds" in run.facts["headline"] and run.metrics["accuracy"]["n"] == 12
    assert Run(run.folder / "fold-2").status == "interrupted"
    assert "1 of 3 trainings are done" in run.report_file.read_text()


@pytest.mark.usefixtures("no_figures")
def test_seeds_share_the_split_and_differ_in_the_weights(few, tmp_path):
    run = sightline.repeat(few, 2, out=tmp_path, name="twice", epochs=1, seed=7, quiet=True)
    first, second = run.parts
    assert [part.plan.settings.seed for part in run.parts] == [7, 8]
    assert first.split_file.read_bytes() == second.split_file.read_bytes()
    assert weights(first) != weights(second)
    alone = result_of(plan_job(Job(few, options=Recipe(epochs=1, seed=7), out=tmp_path)))
    assert alone.settings == first.plan.settings  # the first is what a plain training would be
    again = sightline.train(
        few, second.plan_file, out=tmp_path, name="again", quiet=True
    )  # as the second is, by its plan
    assert again.split_file.read_bytes() == second.split_file.read_bytes() and weights(again) == weights(second)
    assert run.metrics["accuracy"]["n"] == first.metrics["accuracy"]["n"]
    assert {row["run"] for row in run.predictions} == {"seed-1", "seed-2"}
    page = run.report_file.read_text()
    assert "standard deviation" in page and "initial weights, the order of images and augmentation differ" in page


def test_each_fold_is_tracked_as_a_run_of_its_own(shared):
    _, run = shared
    assert [part.tensorboard_folder.is_dir() for part in run.parts] == [True] * 3
    assert not run.tensorboard_folder.exists()
    assert run.log_file.read_text().count("Tracking: TensorBoard") == 3


@pytest.mark.parametrize(
    ("job", "code"),
    [
        ({"folds": 2, "seeds": 2}, "plan.conflict"),
        *(({"seeds": count}, "plan.seeds") for count in (1, 0, -2)),
        *(({"folds": count}, "split.folds") for count in (1, 0, -2)),
        ({}, "plan.seeds"),
        ({"folds": 2, "options": Recipe(test_share=0.2)}, "plan.conflict"),
        ({"folds": 2, "options": Recipe(select_on_val=True)}, "plan.conflict"),
        ({"seeds": 2, "options": Recipe(time=60.0)}, "plan.conflict"),
        ({"folds": 2, "recipe": Recipe(time=60.0)}, "plan.conflict"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_read(job, code, tmp_path):
    with pytest.raises(InputError) as caught:
        list(repeat_job(Job(tmp_path / "nowhere", out=tmp_path / "runs", **job)))
    assert caught.value.code == code and not (tmp_path / "runs").exists()


@pytest.mark.parametrize("count", [0, 1, -1])
@pytest.mark.parametrize("function", [sightline.cross_validate, sightline.repeat])
def test_too_few_of_them_are_refused_from_python_too(function, count, tmp_path):
    with pytest.raises(InputError, match=f"is {count}"):
        function(tmp_path / "nowhere", count, out=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_more_folds_than_images_leave_no_folder(few, tmp_path):
    with pytest.raises(DataError, match="too few for 13 folds"):
        sightline.cross_validate(few, 13, out=tmp_path / "runs", quiet=True)
    assert not (tmp_path / "runs").exists()


def test_verifying_looks_into_every_fold_and_at_the_figures_together(shared, tmp_path):
    _, run = shared
    whole = reviewing.verify(run, quiet=True)
    assert whole.is_as_recorded, whole.differences
    names = [check.name for check in whole.checks]
    assert {"files", "fold-1 images", "fold-2 metrics", "fold-3 recount", "together"} <= set(names)
    copy = Run(shutil.copytree(run.folder, tmp_path / "cv"))
    text = copy.predictions_file.read_text()
    copy.predictions_file.write_text(text.replace("fold-2,", "fold-3,", 1))
    metrics = copy.metrics
    metrics["spread"]["accuracy"]["mean"] += 0.01
    copy.metrics_file.write_text(json.dumps(metrics))
    said = [str(one) for one in reviewing.verify(copy, data=False, quiet=True).differences]
    assert any("spread.accuracy.mean" in one for one in said)
    assert any("column run" in one for one in said)


def test_the_page_names_a_command_that_can_be_typed(shared, tmp_path):
    run = Run(shutil.copytree(shared[1].folder, tmp_path / "my cv"))
    text = unescape(render_report(run))
    command = shlex.split(text.partition("<code>sightline train ")[2].partition("</code>")[0])
    assert command == [run.facts["data"], "--recipe", str(run.plan_file)]
