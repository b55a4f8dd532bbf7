"""The runs of a folder as rows: what is read, what is damaged, and in which order."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sightline.errors import InputError
from sightline.evaluation.metrics import METRICS, Metric
from sightline.runs.folder import Run
from sightline.runs.table import COLUMNS, RunRow, read_rows, rows_csv, sort_rows

Make = Callable[..., Path]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that makes a run folder by hand."""

    def one(name: str, hour: int, accuracy: float | None = None, **facts: object) -> Path:
        folder = tmp_path / name
        (folder / "evaluation").mkdir(parents=True)
        started = f"2026-11-22T{hour:02d}:00:00.000000+00:00"
        known = {"status": "finished", "started": started, "data": "photos", "model": "small-cnn", "seconds": 12.5}
        (folder / "run.json").write_text(json.dumps(known | facts))
        if accuracy is not None:
            figure = {"value": accuracy, "low": accuracy - 0.1, "high": accuracy + 0.05, "n": 40, "method": "Wilson"}
            metrics = {"part": "test", "accuracy": figure, "macro_f1": {**figure, "value": accuracy - 0.01}}
            (folder / "evaluation" / "metrics.json").write_text(json.dumps(metrics))
        return folder

    return one


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_runs_can_be_sorted_by_every_metric_the_best_first(metric: Metric) -> None:
    rows = [RunRow(name, "finished", metrics={metric.name: value}) for name, value in (("a", 0.2), ("b", 0.7))]
    wanted = ["b", "a"] if metric.is_higher_better else ["a", "b"]
    assert [row.name for row in sort_rows(rows, metric.name)] == wanted
    assert [row.name for row in sort_rows(rows, metric.name, reverse=True)] == wanted[::-1]
    assert metric.name in COLUMNS and rows[0].to_dict()[metric.name] == 0.2


def test_an_alias_sorts_too() -> None:
    rows = [RunRow(name, "finished", metrics={"balanced_accuracy": value}) for name, value in (("a", 0.2), ("b", 0.7))]
    assert sort_rows(rows, "macro_recall") == rows[::-1]


def test_a_row_says_what_the_files_say(finished_run: Run) -> None:
    (row,) = [row for row in read_rows(finished_run.folder.parent) if row.name == finished_run.folder.name]
    facts, metrics = finished_run.facts, finished_run.metrics
    assert (row.status, row.data, row.network, row.started) == (
        "finished",
        facts["data"],
        facts["model"],
        facts["started"],
    )
    wanted = tuple(metrics["accuracy"][key] for key in ("value", "low", "n"))
    assert (row.value("accuracy"), row.accuracy_low, row.n) == wanted
    assert (row.value("macro_f1"), row.part, row.problem) == (metrics["macro_f1"]["value"], metrics["part"], "")


def test_runs_stand_oldest_first_and_those_without_figures_too(make: Make, tmp_path: Path) -> None:
    make("late", 12, 0.9)
    make("early", 8, status="running")
    (tmp_path / "no-run").mkdir()
    rows = read_rows(tmp_path)
    assert [(row.name, row.status, row.value("accuracy")) for row in rows] == [
        ("early", "running", None),
        ("late", "finished", 0.9),
    ]


@pytest.mark.parametrize("text", ["{", "", "[]", "null", "{}", '{"status": "finished", "seconds": "long"}', "\xff"])
def test_a_damaged_run_json_is_listed_as_damaged(make: Make, tmp_path: Path, text: str) -> None:
    make("good", 8, 0.9)
    (make("bad", 9) / "run.json").write_bytes(text.encode("latin-1"))
    rows = {row.name: row for row in read_rows(tmp_path)}
    assert rows["bad"].status == "damaged"
    assert rows["bad"].problem.startswith("run.json: ")
    assert rows["good"].status == "finished"


@pytest.mark.parametrize("text", ["{", "[]", '{"accuracy": 1}', '{"accuracy": {"value": 1}}', '{"part": "test"}'])
def test_damaged_figures_are_listed_as_damaged_with_the_start(make: Make, tmp_path: Path, text: str) -> None:
    (make("bad", 9, 0.5) / "evaluation" / "metrics.json").write_text(text)
    (row,) = read_rows(tmp_path)
    assert row.status == "damaged"
    assert row.problem.startswith("evaluation/metrics.json: ")
    assert row.started is not None and row.started.startswith("2026-11-22T09")


def test_a_folder_that_is_not_there_is_an_error_with_a_cure(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_rows(tmp_path / "none")
    assert caught.value.code == "runs.missing"
    assert "sightline train" in caught.value.cure
    assert read_rows(tmp_path) == []


ROWS = [
    RunRow("b", "finished", metrics={"accuracy": 0.5}, seconds=3.0, data="x"),
    RunRow("c", "failed", seconds=9.0, data="z"),
    RunRow("a", "finished", metrics={"accuracy": 0.75}, data="y"),
    RunRow("d", "finished", metrics={"accuracy": float("nan")}),
]


@pytest.mark.parametrize(
    ("column", "reverse", "names"),
    [
        ("accuracy", False, "abcd"),
        ("accuracy", True, "bacd"),
        ("seconds", False, "cbad"),
        ("name", False, "abcd"),
        ("name", True, "dcba"),
        ("data", False, "bacd"),
        ("problem", False, "bcad"),
    ],
)
def test_rows_are_sorted_and_what_has_no_value_comes_last(column: str, reverse: bool, names: str) -> None:
    assert "".join(row.name for row in sort_rows(ROWS, column, reverse=reverse)) == names


def test_another_column_is_an_error_that_lists_them() -> None:
    with pytest.raises(InputError) as caught:
        sort_rows(ROWS, "acuracy")
    assert caught.value.code == "runs.column"
    assert all(column in caught.value.cure for column in COLUMNS)


def test_the_csv_has_a_row_a_run() -> None:
    rows = list(csv.DictReader(io.StringIO(rows_csv([*ROWS, RunRow('a,"b', "failed", problem="x\ry")]))))
    assert [row["name"] for row in rows] == ["b", "c", "a", "d", 'a,"b']
    assert list(rows[0]) == list(COLUMNS)
    assert (rows[0]["accuracy"], rows[1]["accuracy"], rows[4]["problem"]) == ("0.5", "", "x\ry")
