"""A run's tables as arrays: what stands in the files, read once a page, and refused where it does not fit."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sightline.errors import RunError
from sightline.reporting.page import render_report, write_report
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.measured import read_measured
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import read_rows, write_columns

OPENED: list[str] = []
_WATCHED: list[str] = []


def _watch(event: str, args: tuple) -> None:
    if (
        event == "open"
        and _WATCHED
        and isinstance(args[0], str | Path)
        and not (isinstance(args[1], str) and "w" in args[1])
    ):
        path = str(args[0])
        if path.startswith(_WATCHED[0]):
            OPENED.append(path.removeprefix(_WATCHED[0]))


@pytest.fixture(scope="module", autouse=True)
def _hook() -> None:
    sys.addaudithook(_watch)  # stays for good: it looks at nothing outside a test of this file


@pytest.fixture
def opened(copied_run: Run) -> Iterator[list[str]]:
    """The files of the run that were opened to be read since the test began."""
    OPENED.clear()
    _WATCHED[:] = [f"{copied_run.folder}/"]
    yield OPENED
    _WATCHED.clear()


def edit(file: Path, place: int, /, **cells: str) -> None:
    rows = read_rows(file)
    rows[place] |= cells
    write_columns(file, {name: [row[name] for row in rows] for name in rows[0]})


def test_a_page_opens_each_file_of_its_run_once(copied_run: Run, opened: list[str]) -> None:
    assert "<h1>" in render_report(copied_run)
    counts = Counter(opened)
    read = {"run.json", "plan.toml", "data/samples.csv", "data/split.csv", "evaluation/predictions.csv"}
    read |= {"evaluation/metrics.json", "evaluation/probabilities.npy", "evaluation/features.npy"}
    assert read <= counts.keys()
    assert {name: count for name, count in counts.items() if count > 1} == {}


def test_a_whole_report_opens_each_file_of_its_run_once(copied_run: Run, opened: list[str]) -> None:
    write_report(copied_run)
    ours = Counter(name for name in opened if name.partition("/")[0] in ("run.json", "plan.toml", "data", "evaluation"))
    assert set(ours.values()) == {1}


def test_measured_images_are_the_rows_of_the_tables(copied_run: Run) -> None:
    edit(copied_run.predictions_file, 1, leaked="1")
    edit(copied_run.predictions_file, 2, predicted="", confidence="", correct="", error="the file is empty")
    measured, rows = read_measured(copied_run), copied_run.predictions
    samples = {row["path"]: row for row in copied_run.samples}
    assert list(measured.paths) == [row["path"] for row in rows]
    assert [measured.classes[label] for label in measured.labels] == [row["label"] for row in rows]
    assert [str(int(hit)) for hit in measured.correct] == [row["correct"] or "0" for row in rows]
    assert [measured.classes[k] if k >= 0 else "" for k in measured.predicted] == [row["predicted"] for row in rows]
    assert np.flatnonzero(measured.leaked).tolist() == [1] and np.flatnonzero(~measured.is_ok).tolist() == [2]
    assert np.flatnonzero(~measured.used).tolist() == [1, 2]
    assert measured.errors[2] == "the file is empty" and np.isnan(measured.confidence[2])
    assert list(measured.digests) == [samples[row["path"]]["sha256"] for row in rows]
    assert measured.predictions.count_bad == 1
    assert measured.features is not None and measured.features.shape[0] == len(rows) == len(measured)


def test_the_dataset_is_the_rows_of_the_tables(copied_run: Run) -> None:
    edit(copied_run.split_file, 3, leaked="1")
    edit(copied_run.samples_file, 5, error="truncated", group="g")
    samples, split = read_dataset(copied_run)
    rows = copied_run.samples
    assert samples.paths.tolist() == [row["path"] for row in rows]
    assert [samples.classes[label] for label in samples.labels] == [row["label"] for row in rows]
    assert split.parts.tolist() == [row["split"] for row in rows]
    assert np.flatnonzero(split.leaked).tolist() == [3] and samples.errors == {5: "truncated"}
    assert samples.groups[5] == "g" and samples.widths.tolist() == [int(row["width"]) for row in rows]


@pytest.mark.parametrize("cells", [{"label": "nothing"}, {"predicted": "nothing"}, {"path": "gone.png"}])
def test_rows_that_do_not_fit_are_refused(copied_run: Run, cells: dict[str, str]) -> None:
    edit(copied_run.predictions_file, 0, **cells)
    with pytest.raises(RunError, match="does not fit together") as caught:
        read_measured(copied_run)
    assert "sightline verify" in caught.value.cure


def test_probabilities_of_another_shape_are_refused(copied_run: Run) -> None:
    np.save(copied_run.probabilities_file, np.zeros((3, 3), np.float32))
    measured = read_measured(copied_run)
    with pytest.raises(RunError, match=r"probabilities\.npy of the shape"):
        _ = measured.probabilities


def test_a_run_without_an_evaluation_says_what_to_do(copied_run: Run) -> None:
    copied_run.metrics_file.unlink()
    copied_run.predictions_file.unlink()
    with pytest.raises(RunError) as caught:
        read_measured(copied_run)
    assert caught.value.code == "run.not-evaluated"


def test_a_page_does_not_change_while_it_is_made(copied_run: Run) -> None:
    recorded = Recorded(copied_run)
    before = recorded.facts
    copied_run.facts_file.write_text(json.dumps({**before, "status": "interrupted"}))
    assert recorded.facts["status"] == before["status"] and copied_run.status == "interrupted"
    assert recorded.measured is recorded.measured
