"""The section on validation and test: from the file of a run, and not there where a run has none."""

from __future__ import annotations

import json
import re

import numpy as np

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
