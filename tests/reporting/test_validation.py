"""The section on validation and test: from the file of a run, and not there where a run has none."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from sightline.evaluation.gap import PartFacts, find_gap
from sightline.evaluation.intervals import proportion
from sightline.evaluation.learning_curve import measure_learning_curve
from sightline.evaluation.shift import LabelledPredictions
from sightline.reporting.page import render_report
from sightline.reporting.validation import validation_and_test
from sightline.runs.folder import Run
from sightline.runs.recorded import Recorded
from sightline.runs.writer import RunWriter


def write(run: Run, predictions: LabelledPredictions) -> None:
    writer = RunWriter.open(run)
    writer.write_validation(predictions)
    writer.close()


def test_a_training_keeps_what_was_predicted_on_validation(finished_run: Run) -> None:
    kept = finished_run.validation
    assert kept is not None
    parts = [row for row in finished_run.samples if row["split"] == "val" and not row["error"]]
    assert len(kept.labels) == len(parts)
    names = finished_run.facts["classes"]
    assert sorted(names[label] for label in kept.labels) == sorted(row["label"] for row in parts)
    assert kept.predicted.max() < len(names) and ((kept.confidence > 1 / 3) & (kept.confidence <= 1)).all()


def test_what_is_written_is_read(copied_run: Run) -> None:
    for units in (None, np.array([0, 0, 1])):
        labels = np.array([0, 1, 2])
        write(copied_run, LabelledPredictions(labels, labels[::-1], np.array([0.5, 0.75, 1], np.float32), units))
        kept = copied_run.validation
        assert kept is not None and kept.predicted.tolist() == [2, 1, 0] and kept.confidence.tolist() == [0.5, 0.75, 1]
        assert kept.units is None if units is None else kept.units is not None and kept.units.tolist() == [0, 0, 1]


def test_a_class_that_is_worse_on_test_is_named(copied_run: Run) -> None:
    labels = np.repeat([0, 1, 2], 200)
    write(copied_run, LabelledPredictions(labels, np.where(labels == 1, 2, labels), np.ones(600, np.float32)))
    found = validation_and_test(Recorded(copied_run))
    assert found is not None and found["significant"] == 1
    assert found["largest"]["class"] == copied_run.facts["classes"][1] and found["largest"]["change"].difference > 0.5
    section = render_report(copied_run).partition('id="validation"')[2].partition("</section>")[0]
    text = " ".join(re.sub(r"<[^>]+>", " ", section).split())
    assert "The recall of 1 of 3 classes differs between validation and test by more than chance" in text


def test_no_change_beyond_chance_is_said(finished_run: Run) -> None:
    section = render_report(finished_run).partition('id="validation"')[2].partition("</section>")[0]
    assert "No class is recognised better or worse" in section


def test_without_the_file_or_a_test_part_there_is_no_section(copied_run: Run) -> None:
    metrics = copied_run.metrics
    copied_run.metrics_file.write_text(json.dumps({**metrics, "part": "val"}))
    assert validation_and_test(Recorded(copied_run)) is None
    copied_run.metrics_file.write_text(json.dumps(metrics))
    assert validation_and_test(Recorded(copied_run)) is not None
    copied_run.validation_file.unlink()
    assert validation_and_test(Recorded(copied_run)) is None
    assert 'id="validation"' not in render_report(copied_run)


def with_gap(run: Run, validation: float, test: float) -> None:
    """Let a run look as if validation and test had these accuracies, of 400 images each."""
    sides = [np.arange(400) >= 400 * share for share in (validation, test)]
    parts = (LabelledPredictions(np.zeros(400, np.int64), side.astype(np.int64), np.ones(400)) for side in sides)
    facts = PartFacts(np.arange(400.0), {}, {}), PartFacts(np.arange(400.0) + 300, {}, {})
    gap = find_gap(*parts, facts, tuple(run.facts["classes"]))
    run.metrics_file.write_text(json.dumps({**run.metrics, "validation_gap": gap.to_dict()}))


def section(run: Run, name: str) -> str:
    found = render_report(run).partition(f'id="{name}"')[2].partition("</section>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", found).split())


def test_a_gap_comes_first_in_the_verdict_with_its_causes(copied_run: Run) -> None:
    with_gap(copied_run, 0.95, 0.8)
    verdict = section(copied_run, "verdict")
    first = verdict.index("Validation does not stand for the test.")
    assert first < verdict.index("test accuracy") and first < verdict.index("passed")
    assert "worse on the test than on validation" in verdict and "15 points" in verdict
    assert "validation images are nearer to training images" in verdict and "Do: if validation holds" in verdict
    assert verdict.index("! check validation does not stand") < verdict.index("baseline (")
    assert "the difference is more than chance" in section(copied_run, "validation")


def test_what_can_be_chance_passes(copied_run: Run) -> None:
    with_gap(copied_run, 0.95, 0.94)
    verdict = section(copied_run, "verdict")
    assert "does not stand" not in verdict and "passed no more than chance between validation and test" in verdict
    assert "the difference can be chance" in section(copied_run, "validation")


@pytest.mark.parametrize(("test", "is_promised"), [(0.8, False), (0.94, True)])
def test_more_images_promise_nothing_that_the_test_refutes(copied_run: Run, test: float, is_promised: bool) -> None:
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(3), 200)
    features = np.eye(3)[labels] + random.normal(0, 0.7, (600, 3))
    names = tuple(copied_run.facts["classes"])
    curve = measure_learning_curve(features.astype(np.float32), labels, np.arange(600), names, 500)
    writer = RunWriter.open(copied_run)
    writer.write_learning_curve(curve)
    writer.close()
    with_gap(copied_run, 0.95, test)
    words = section(copied_run, "more_data")
    assert ("twice the 500 training images" in words.lower()) == is_promised
    assert ("pulled towards the mean of all classes" in words) == is_promised
    assert ("The test refutes this curve" in words) != is_promised


def test_a_threshold_that_the_test_refutes_is_not_promised(copied_run: Run) -> None:
    metrics = copied_run.metrics
    wrong = proportion(np.arange(200) < 40).to_dict()
    metrics["unknown"] |= {"min_confidence": 0.6, "answered": wrong, "wrong_answers": wrong}
    copied_run.metrics_file.write_text(json.dumps(metrics))
    assert "! check the test refutes what was promised on validation, of the answers" in section(copied_run, "verdict")
    assert "The measured images refute it" in section(copied_run, "confidence")
    metrics["unknown"]["wrong_answers"] = proportion(np.arange(200) < 8).to_dict()
    copied_run.metrics_file.write_text(json.dumps(metrics))
    assert "refute" not in section(copied_run, "verdict") + section(copied_run, "confidence")


def test_torn_groups_are_in_the_verdict_with_the_accuracy_without_them(copied_run: Run) -> None:
    torn = {"groups": 678, "count_groups": 1674, "images": 500, "count": 624}
    for accuracy in (proportion(np.arange(124) < 90), None):
        found = {**torn, "accuracy": None if accuracy is None else accuracy.to_dict()}
        copied_run.metrics_file.write_text(json.dumps({**copied_run.metrics, "torn_groups": found}))
        verdict = section(copied_run, "verdict")
        assert "the given split separates 678 of 1,674 groups: 500 of 624" in verdict and "--resplit" in verdict
        assert (str(accuracy) in verdict) == (accuracy is not None)
