"""A small run of each schema so far is read as far as it can be, and what can't be read is no damage.

``earlier_runs`` holds them, made by the versions of then, without pixels, page and weights. A new schema adds one.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from sightline.errors import RunError
from sightline.reporting.page import render_report
from sightline.reporting.sections import SECTIONS
from sightline.reviewing.compare import compare_runs
from sightline.reviewing.verify import verify_run
from sightline.runs.facts_file import SCHEMA
from sightline.runs.folder import Run
from sightline.runs.measured import read_measured
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import write_json
from sightline.runs.table import read_rows
from sightline.steps import result_of

EARLIER = Path(__file__).with_name("earlier_runs")
NAMES = sorted(path.name for path in EARLIER.iterdir())
pytestmark = pytest.mark.usefixtures("no_figures")


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return Path(shutil.copytree(EARLIER, tmp_path / "runs"))


def test_every_run_is_listed_with_its_accuracy_and_none_is_damaged(runs: Path) -> None:
    rows = {row.name: row for row in read_rows(runs)}
    assert sorted(rows) == NAMES == ["metrics-1", "metrics-2", "metrics-3"]
    for name, row in rows.items():
        recorded = json.loads((EARLIER / name / "evaluation" / "metrics.json").read_text())
        assert (row.status, row.problem) == ("finished", "")
        assert row.value("accuracy") == recorded["accuracy"]["value"] and row.n == recorded["accuracy"]["n"]
    assert "log_loss" not in rows["metrics-1"].metrics  # it had no interval yet
    assert (
        rows["metrics-2"].metrics["balanced_accuracy"]
        == json.loads((EARLIER / "metrics-2" / "evaluation" / "metrics.json").read_text())["macro_recall"]["value"]
    )


@pytest.mark.parametrize("name", NAMES)
def test_what_was_predicted_is_read_and_compared(runs: Path, name: str) -> None:
    run = Run(runs / name)
    measured = read_measured(run)
    assert measured.probabilities.shape == (len(measured), 2)
    assert (measured.probabilities.argmax(1) == measured.predicted).all()
    other = Run(shutil.copytree(runs / name, runs / "twin"))
    assert "right on the same images" in result_of(compare_runs([run, other])).verdicts()[0]


@pytest.mark.parametrize("name", ["metrics-2", "metrics-3"])
def test_the_plan_and_the_report_of_then_are_read(runs: Path, name: str) -> None:
    run = Run(runs / name)
    assert run.plan.settings.model == "small-cnn" and run.plan.settings.width == 4
    for section in SECTIONS:
        if section.id != "use":  # these runs were kept without their classifier
            section.collect(Recorded(run))


def test_what_can_not_be_read_names_the_version_and_ways_on(runs: Path) -> None:
    run = Run(runs / "metrics-1")
    for read in (lambda: run.plan, lambda: render_report(run)):
        with pytest.raises(RunError) as caught:
            read()
        assert caught.value.code == "run.other-version"
        assert "was made by Sightline 0.1.0 (runs of schema 1)" in caught.value.message
        assert f"schema {SCHEMA}" in caught.value.message and "damaged" not in str(caught.value)
        assert "sightline train colours" in caught.value.cure and "report.html stays" in caught.value.cure
        assert "sightline verify" not in caught.value.cure and "put it back" not in caught.value.cure


def test_damage_of_an_older_run_is_not_taken_for_its_age(runs: Path) -> None:
    run = Run(runs / "metrics-1")
    for file, content in ((run.metrics_file, b'{"accuracy": '), (run.probabilities_file, b"\x93NUMPY\x01\x00")):
        whole = file.read_bytes()
        file.write_bytes(content)
        with pytest.raises(RunError) as caught:
            _ = run.metrics, read_measured(run).probabilities
        assert caught.value.code == "run.damaged" and str(file) in caught.value.message
        file.write_bytes(whole)


def test_a_run_of_a_newer_version_asks_for_that_version(copied_run: Run) -> None:
    write_json(copied_run.facts_file, {**copied_run.facts, "schema_version": SCHEMA + 1})
    copied_run.plan_file.write_text(
        copied_run.plan_file.read_text() + '\n[of_tomorrow]\nvalue = 1\norigin = "x"\nreason = "x"\n'
    )
    with pytest.raises(RunError) as caught:
        _ = copied_run.plan
    assert caught.value.code == "run.other-version" and "newer" in caught.value.cure


@pytest.mark.parametrize("name", NAMES)
def test_verify_does_not_take_age_for_a_difference(runs: Path, name: str) -> None:
    checks = result_of(verify_run(Run(runs / name), with_data=False)).checks
    aged = [row for check in checks for row in check.differences if "classifier" not in row.file]
    assert not [row for row in aged if "classifier.json" not in row.found], aged
