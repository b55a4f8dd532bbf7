"""``metrics.json`` of earlier versions: read under the names of this one, by everything that reads runs."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from finished import record_again
from sightline.api import reviewing
from sightline.errors import RunError
from sightline.evaluation.confusion import confusion_from
from sightline.evaluation.intervals import proportion, wilson
from sightline.evaluation.metrics import METRICS
from sightline.reporting.page import render_report
from sightline.runs.folder import Run
from sightline.runs.metrics_file import read_metrics
from sightline.runs.table import read_rows


def as_of_version_2(metrics: dict) -> dict:
    """Return metrics as version 2 of ``metrics.json`` had them."""
    old = {**metrics, "schema_version": 2, "macro_recall": metrics["balanced_accuracy"], "count_looks": 4}
    old["frozen_head"] = {"accuracy": metrics["accuracy"], "fixed": 3, "broken": 1, "p": 0.4}
    for name in ("balanced_accuracy", "count_evaluations"):
        del old[name]
    return old


@pytest.fixture
def earlier(copied_run: Run) -> Run:
    """A run as an earlier version recorded it."""
    copied_run.metrics_file.write_text(json.dumps(as_of_version_2(copied_run.metrics)))
    record_again(copied_run)
    return copied_run


def test_earlier_names_are_read_as_todays(earlier: Run, finished_run: Run) -> None:
    assert "macro_recall" in json.loads(earlier.metrics_file.read_text())
    metrics, wanted = earlier.metrics, finished_run.metrics
    assert metrics["schema_version"] == wanted["schema_version"] == 4
    assert metrics["balanced_accuracy"] == wanted["balanced_accuracy"]
    assert metrics["count_evaluations"] == 4
    assert metrics["frozen_head"] == {"accuracy": wanted["accuracy"], "corrected": 3, "newly_wrong": 1, "p": 0.4}
    assert metrics.keys() - {"frozen_head"} == wanted.keys() - {"frozen_head"}


def test_a_square_of_an_earlier_run_is_read_as_its_cells(copied_run: Run, finished_run: Run) -> None:
    metrics = copied_run.metrics
    square = confusion_from(metrics["confusion"], 3).tolist()
    copied_run.metrics_file.write_text(json.dumps({**metrics, "schema_version": 3, "confusion": square}))
    assert copied_run.metrics == finished_run.metrics
    copied_run.metrics_file.write_text(json.dumps({**metrics, "schema_version": 3, "confusion": square[:2]}))
    with pytest.raises(RunError, match="confusion matrix"):
        _ = copied_run.metrics


def test_the_spread_of_an_earlier_run_is_read_too(tmp_path: Path) -> None:
    accuracy = wilson(3, 4).to_dict()
    old = {
        "schema_version": 2,
        "accuracy": accuracy,
        "spread": {"macro_recall": {"mean": 0.5}, "macro_f1": {"mean": 0.4}},
    }
    (tmp_path / "metrics.json").write_text(json.dumps(old))
    assert read_metrics(tmp_path / "metrics.json")["spread"] == {
        "balanced_accuracy": {"mean": 0.5},
        "macro_f1": {"mean": 0.4},
    }


def test_report_table_and_comparison_take_an_earlier_run(earlier: Run, finished_run: Run) -> None:
    page = render_report(earlier)
    assert METRICS["balanced_accuracy"].words in page and "fine-tuning corrected 3 predictions" in page
    (row,) = read_rows(earlier.folder.parent)
    assert row.metrics["balanced_accuracy"] == finished_run.metrics["balanced_accuracy"]["value"]
    compared = reviewing.compare(finished_run, earlier, quiet=True)
    assert compared.pairs[0].metrics["balanced_accuracy"].difference == 0


def test_an_earlier_run_is_verified(earlier: Run) -> None:
    facts = {name: value for name, value in earlier.facts.items() if name != "files"}  # those are of the new names
    earlier.facts_file.write_text(json.dumps(facts))
    found = reviewing.verify(earlier, data=False, quiet=True)
    assert not found.differences
    same = next(check for check in found.checks if check.name == "metrics")
    assert "balanced_accuracy" not in " ".join(same.not_checked)


@pytest.mark.parametrize("text", ["[]", "{}", '{"part": "test"}'])
def test_a_file_without_metrics_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match="holds no metrics"):
        read_metrics(tmp_path / "metrics.json")


def test_effective_counts_gaps_and_torn_groups_are_read_as_they_were_written(copied_run: Run) -> None:
    share = proportion(np.arange(40) < 32, np.arange(40) // 4).to_dict()
    gap = {
        "validation": share,
        "test": share,
        "low": -0.2,
        "high": 0.1,
        "p": 0.4,
        "is_significant": False,
        "causes": [],
    }
    torn = {"groups": 3, "count_groups": 9, "images": 12, "count": 40, "accuracy": share}
    metrics = {**copied_run.metrics, "accuracy": share, "validation_gap": gap, "torn_groups": torn}
    copied_run.metrics_file.write_text(json.dumps(metrics))
    assert copied_run.metrics == metrics and copied_run.metrics["accuracy"]["n_effective"] == 10
    copied_run.metrics_file.write_text(json.dumps({**metrics, "accuracy": {**share, "n_other": 3}}))
    with pytest.raises(ValueError, match="other fields"):
        read_metrics(copied_run.metrics_file)
