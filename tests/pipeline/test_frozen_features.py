"""What frozen features tell, in a real run: the learning curve, the head alone beside what was fine-tuned."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest

import sightline
from finished import write_colours
from sightline.evaluation.learning_curve import Gain, LearningCurve
from sightline.evaluation.result import evaluate_rows
from sightline.events import FeaturesSeen
from sightline.measuring.evaluate import evaluate_samples
from sightline.pipeline.frozen_features import compare_with_head, expect_more_data, say_more_data
from sightline.pipeline.workbench import set_up_workbench
from sightline.reporting.page import render_report
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.steps import result_of
from unrendered import leave_figures_unrendered

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def tuned(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose head was fitted before the rest was fine-tuned; its checkpoints are kept."""
    data = write_colours(tmp_path_factory.mktemp("data") / "colours", 40)
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_unrendered(patch)
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("SIGHTLINE_STATE", str(tmp_path_factory.mktemp("state")))
        return sightline.train(
            data, out=folder, name="tuned", epochs=3, head_first=True, keep_checkpoints=True, quiet=True
        )


def test_the_curve_is_kept_and_shown(tuned: Run) -> None:
    curve = tuned.learning_curve
    assert curve is not None and [row.name for row in curve.classes] == ["blue", "green", "red"]
    train, val = (sum(row["split"] == part for row in tuned.samples) for part in ("train", "val"))
    assert curve.count == train and all(point.accuracy.n == train + val for point in curve.points)
    assert curve.to_dict() == json.loads(tuned.learning_curve_file.read_text())
    assert "learning_curve.json" in tuned.facts["files"]
    assert (tuned.figures_folder / "learning_curve.svg").is_file()
    assert "More images" in render_report(tuned) and "train_share=0.5" in render_report(tuned)


def test_the_head_alone_is_measured_on_the_same_images(tuned: Run, tmp_path) -> None:
    """On these colours the head alone is the best: what it said is set against answers that are half wrong."""
    import torch

    from sightline.training.setup import load_trained, make_batches

    copy = Run(shutil.copytree(tuned.folder, tmp_path / "copy"))
    copy.facts_file.write_text(json.dumps({**copy.facts, "best_epoch": 2}))
    samples, split = read_dataset(copy)
    workbench = result_of(set_up_workbench(samples, split, copy.plan))
    samples, store = workbench.samples, workbench.store
    rows = split.rows("test")
    labels = samples.labels[rows]
    said = result_of(evaluate_samples(copy.classifier(), samples, rows, labels, split.leaked[rows])).predictions
    wrong = np.arange(len(rows)) % 2 == 0
    moved = np.where(wrong[:, None], np.roll(np.eye(3, dtype=np.float32)[labels], 1, axis=1), np.eye(3)[labels])
    evaluation = evaluate_rows(replace(said, probabilities=moved.astype(np.float32)), labels)
    found = result_of(compare_with_head(copy, copy.plan, workbench, rows, evaluation)).metrics["frozen_head"]
    network, epoch = load_trained(copy.plan.settings, 3, copy.head_checkpoint, copy.weights_file)
    assert epoch == 0
    batches = make_batches(copy.plan, store, rows.tolist(), labels.tolist())
    with torch.inference_mode():
        answers = np.concatenate([network.eval()(images).argmax(1).numpy() for images, _ in batches.in_order(8)])
    hits = answers == labels
    assert hits.any() and found["accuracy"]["value"] == pytest.approx(hits.mean())
    assert (found["corrected"], found["newly_wrong"]) == (int((~wrong & ~hits).sum()), int((wrong & hits).sum()))
    assert found["newly_wrong"] > 0


def test_a_head_that_ships_is_not_compared_with_itself(tuned: Run) -> None:
    assert (tuned.facts["best_epoch"] == 0) == ("frozen_head" not in tuned.metrics)


def test_a_finished_run_that_is_exported_again_keeps_both(tuned: Run, tmp_path) -> None:
    copy = Run(shutil.copytree(tuned.folder, tmp_path / "copy"))
    metrics = json.loads(copy.metrics_file.read_text())
    metrics["frozen_head"] = {"accuracy": metrics["accuracy"], "corrected": 3, "newly_wrong": 1, "p": 0.4}
    copy.metrics_file.write_text(json.dumps(metrics))
    shutil.rmtree(copy.checkpoints_folder)
    sightline.export(copy.folder, quiet=True)
    assert copy.metrics["frozen_head"] == metrics["frozen_head"]
    assert "fine-tuning corrected 3 predictions and made 1 wrong" in " ".join(render_report(copy).split())
    assert copy.learning_curve == tuned.learning_curve


def test_a_network_that_learnt_all_from_the_images_has_no_curve(finished_run) -> None:
    assert finished_run.learning_curve is None and "frozen_head" not in finished_run.metrics
    page = render_report(finished_run)
    assert "trained on these images from scratch, so its features can" in page


def test_features_that_are_no_numbers_are_left_out(finished_run) -> None:
    samples, split = read_dataset(finished_run)
    train, val = len(split.rows("train")), len(split.rows("val"))
    random = np.random.default_rng(0)
    features = random.normal(size=(train, 8)).astype(np.float32)
    features[:3] = np.nan
    seen = FeaturesSeen(np.arange(train), features, random.normal(size=(val, 8)).astype(np.float32))
    found = expect_more_data(seen, samples, split, 0)
    assert found is not None and found.points[0].accuracy.n == train + val - 3
    json.dumps(found.to_dict(), allow_nan=False)


def test_what_is_said_follows_the_interval() -> None:
    curve = LearningCurve((), 100, 0.8, 0.83, Gain(0.03, 0.01, 0.06), ())
    assert "3.0 points of accuracy (1.0 to 6.0)" in say_more_data(curve)
    assert "no clear gain" in say_more_data(replace(curve, gain=Gain(0.03, 0.0, 0.06)))
    assert "can't be estimated" in say_more_data(None)
