"""Explanations of a real run: which methods, which images, what a run keeps, and what it may cost."""

from __future__ import annotations

import shutil
import sys

import numpy as np
import pytest

from finished import record_again
from sightline.errors import InputError, ModelError
from sightline.evaluation.result import evaluate_rows
from sightline.events import Noted, StageEnded, Warned
from sightline.measuring.evaluate import evaluate_samples
from sightline.measuring.explain import Wish, choose_examples, explain_images, explain_some
from sightline.networks.gradcam import grad_cam
from sightline.runs.dataset import read_dataset
from sightline.runs.writer import RunWriter
from sightline.runtime.classifier import Classifier
from sightline.runtime.occlusion import count_positions, occlusion_map
from sightline.runtime.predictions import Predictions
from sightline.steps import result_of
from sightline.training.setup import load_shipped


@pytest.fixture(scope="module")
def classifier(finished_run) -> Classifier:
    return finished_run.classifier()


def explained(classifier, images, **wish):
    events = []
    generator = explain_images(classifier, images, Wish(**wish))
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            return stop.value, events


def test_both_maps_are_of_the_network_and_of_the_file_that_ships(finished_run, classifier):
    file = finished_run.files("test")[0]
    (one,), _ = explained(classifier, [file])
    said = classifier.predict([file])
    square = classifier.preprocess.apply(classifier.preprocess.decode(file))
    assert (one.label, one.predicted, one.error) == (said[0].label, said[0].label, None)
    assert one.confidence == pytest.approx(said[0].confidence)
    assert np.array_equal(one.image, square)
    label = classifier.classes.index(one.label)
    network = load_shipped(finished_run.plan.settings, 3, finished_run.weights_file)
    assert np.array_equal(one.gradcam, grad_cam(network, square[None], np.array([label])).maps[0])
    assert np.array_equal(one.occlusion, occlusion_map(classifier, square, label))
    assert -1 <= one.agreement <= 1 and one.layer


def test_another_class_can_be_asked_for(finished_run, classifier):
    file = finished_run.files("test")[0]
    said = classifier.predict([file])[0]
    other = next(name for name in classifier.classes if name != said.label)
    (one,), _ = explained(classifier, [file], class_name=other)
    assert (one.label, one.predicted) == (other, said.label)
    assert one.confidence == pytest.approx(dict(said.top)[other])
    with pytest.raises(InputError, match="'blu'") as caught:
        explained(classifier, [file], class_name="blu")
    assert caught.value.code == "explain.class" and "blue" in caught.value.cure


@pytest.mark.parametrize(("method", "made"), [("gradcam", ["gradcam"]), ("occlusion", ["occlusion"])])
def test_one_method_makes_one_map(finished_run, classifier, method, made):
    (one,), _ = explained(classifier, finished_run.files("test")[:1], method=method)
    assert list(one.maps) == made and one.agreement is None


def test_an_image_that_can_not_be_read_is_a_row(finished_run, classifier, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_bytes(b"no image")
    rows, _ = explained(classifier, [bad, finished_run.files("test")[0]])
    assert rows[0].error and rows[0].path == str(bad) and not rows[0].maps
    assert rows[1].error is None


def test_outside_of_its_run_a_classifier_is_explained_by_occlusion_alone(finished_run, tmp_path):
    shutil.copy(finished_run.model_file, tmp_path / "model.onnx")
    alone = Classifier.open(tmp_path)
    (one,), events = explained(alone, finished_run.files("test")[:1])
    assert list(one.maps) == ["occlusion"]
    assert any(isinstance(event, Noted) and "outside" in event.message for event in events)
    with pytest.raises(ModelError) as caught:
        explained(alone, finished_run.files("test")[:1], method="gradcam")
    assert caught.value.code == "explain.no-weights"


@pytest.mark.parametrize("wish", [{"method": "lime"}, {"cells": 2}, {"cells": 33}])
def test_what_can_not_be_wished_for_is_named(wish):
    with pytest.raises(InputError):
        Wish(**wish)


def test_too_many_images_are_refused_before_any_work(classifier):
    with pytest.raises(InputError) as caught:
        explained(classifier, ["x.png"] * 257)
    assert caught.value.code == "explain.count"


# -- what a run keeps -------------------------------------------------------------------------------------------


def said_of(confidences: list[float], right: list[bool], labels: list[int]) -> tuple[Predictions, np.ndarray]:
    """Predictions of three classes: right ones of their label, wrong ones of the class after it."""
    rows = np.full((len(labels), 3), np.nan, np.float32)
    for row, (confidence, is_right, label) in enumerate(zip(confidences, right, labels, strict=True)):
        rows[row] = (1 - confidence) / 2
        rows[row, label if is_right else (label + 1) % 3] = confidence
    names = tuple(f"{k}.png" for k in range(len(labels)))
    return Predictions(("a", "b", "c"), names, rows, np.zeros((len(labels), 1), np.float32), (None,) * len(labels)), (
        np.array(labels)
    )


def test_the_surest_mistakes_and_the_median_of_what_is_right():
    confidences = [0.8, 0.9, 0.99, 0.7, 0.95, 0.6, 0.97, 0.5, 0.85]
    right = [True, True, True, False, False, False, False, False, True]
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 1]
    evaluation = evaluate_rows(*said_of(confidences, right, labels))
    assert choose_examples(evaluation).tolist() == [6, 4, 3, 5, 1, 8]
    leaked = np.arange(9) == 6
    assert choose_examples(evaluate_rows(*said_of(confidences, right, labels), leaked)).tolist()[:2] == [4, 3]


@pytest.fixture
def measured(copied_run):
    samples, split = read_dataset(copied_run)
    rows = split.rows(split.headline)
    evaluation = result_of(
        evaluate_samples(copied_run.classifier(), samples, rows, samples.labels[rows], split.leaked[rows])
    )
    return samples, rows, evaluation


def test_a_run_keeps_a_few_and_gives_them_back(copied_run, measured):
    samples, rows, evaluation = measured
    copied_run.explanations_file.unlink()
    writer = RunWriter.open(copied_run)
    result_of(explain_some(writer, samples, rows, evaluation))
    kept = copied_run.explanations
    chosen = choose_examples(evaluation)
    assert kept.paths.tolist() == [evaluation.predictions.paths[row] for row in chosen]
    assert kept.images.shape == (len(chosen), 16, 16, 3) and kept.images.dtype == np.uint8
    assert kept.gradcam.shape == (len(chosen), 16, 16) and kept.gradcam.dtype == np.uint8
    assert kept.labels.tolist() == evaluation.labels[chosen].tolist()
    assert kept.layer
    # 18 measured images: less than one of them can be covered 65 times
    assert len(rows) < count_positions(7) and kept.occlusion is None and np.isnan(kept.agreement).all()


def test_the_cross_check_takes_no_more_predictions_than_the_evaluation(copied_run, measured, monkeypatch):
    samples, rows, evaluation = measured
    monkeypatch.setattr("sightline.measuring.explain.count_positions", lambda cells: len(rows) // 2)
    result_of(explain_some(RunWriter.open(copied_run), samples, rows, evaluation))
    kept = copied_run.explanations
    assert len(kept.occlusion) == 2
    assert np.isnan(kept.agreement).tolist()[2:] == [True] * (len(kept.paths) - 2)


def test_a_training_without_torch_is_explained_without_it(copied_run, measured, monkeypatch):
    samples, rows, evaluation = measured
    plan = copied_run.plan_file.read_text(encoding="utf-8")
    copied_run.plan_file.write_text(
        plan.replace('[engine]\nvalue = "torch"', '[engine]\nvalue = "onnxruntime"'), encoding="utf-8"
    )
    record_again(copied_run)
    monkeypatch.setattr("sightline.measuring.explain.count_positions", lambda cells: len(rows) // 2)
    monkeypatch.setitem(sys.modules, "torch", None)
    events = list(explain_some(RunWriter.open(copied_run), samples, rows, evaluation))
    assert isinstance(events[-1], StageEnded), events
    kept = copied_run.explanations
    assert len(kept.occlusion) == 2 and kept.gradcam is None and not kept.layer


def test_a_image_that_changed_since_is_left_out(copied_run, measured, tmp_path):
    samples, rows, evaluation = measured
    first = choose_examples(evaluation)[0]
    root = shutil.copytree(samples.root, tmp_path / "data")
    moved = type(samples)(root, "x", samples.classes, samples.paths, samples.labels, digests=samples.digests)
    (root / samples.paths[rows[first]]).write_bytes(b"other")
    result_of(explain_some(RunWriter.open(copied_run), moved, rows, evaluation))
    assert evaluation.predictions.paths[first] not in copied_run.explanations.paths.tolist()


def test_what_fails_is_a_warning_and_ends_no_run(copied_run, measured):
    samples, rows, evaluation = measured
    copied_run.model_file.write_bytes(b"no model")
    copied_run.explanations_file.unlink()
    events = list(explain_some(RunWriter.open(copied_run), samples, rows, evaluation))
    assert isinstance(events[-1], Warned) and events[-1].code == "explain.failed"
    assert copied_run.explanations is None
