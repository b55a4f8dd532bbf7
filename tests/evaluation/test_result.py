"""``Evaluation``: which rows count, and what stands beside the figures."""

from __future__ import annotations

import csv
import html
import io
import json

import numpy as np
import pytest

from sightline.errors import DataError
from sightline.evaluation.intervals import wilson
from sightline.evaluation.metrics import intervals_in
from sightline.evaluation.result import Evaluation, evaluate_rows
from sightline.runtime.predictions import Predictions

CLASSES = ("ant", "bee")
LABELS = np.array([0, 0, 0, 1, 1, 1, 1, 1])
SAID = np.array([0, 0, 1, 1, 1, 1, 0, 0])  # five of eight are right
BAD = (7,)


def predictions(bad: tuple[int, ...] = BAD) -> Predictions:
    probabilities = np.where(np.eye(2)[SAID] == 1, 0.75, 0.25).astype(np.float32)
    probabilities[list(bad)] = np.nan
    errors = tuple("broken" if row in bad else None for row in range(8))
    return Predictions(
        CLASSES, tuple(f"{k}.png" for k in range(8)), probabilities, np.zeros((8, 1), np.float32), errors
    )


def leaks(*rows: int) -> np.ndarray:
    return np.isin(np.arange(8), rows)


@pytest.fixture
def evaluation() -> Evaluation:
    return evaluate_rows(predictions(), LABELS)


def test_unreadable_images_are_counted_and_in_no_figure(evaluation: Evaluation) -> None:
    assert evaluation.accuracy == wilson(5, 7)
    assert (evaluation.metrics["count"], evaluation.metrics["count_bad"]) == (8, 1)
    assert evaluation.metrics["confusion"]["cells"] == [[0, 0, 2], [0, 1, 1], [1, 0, 1], [1, 1, 3]]


def test_leaked_images_are_left_out_and_the_figure_with_them_stands_beside(evaluation: Evaluation) -> None:
    without = evaluate_rows(predictions(), LABELS, leaks(0, 1, 2))
    assert without.accuracy == wilson(3, 4)
    assert without.metrics["accuracy_with_leaks"] == wilson(5, 7).to_dict()
    assert without.metrics["count_leaked"] == 3
    assert without.metrics["count"] == 8
    assert evaluation.accuracy == wilson(5, 7)


@pytest.mark.parametrize("rows", [(), (7,)], ids=["none", "unreadable"])
def test_without_a_readable_leak_nothing_changes(evaluation: Evaluation, rows: tuple[int, ...]) -> None:
    assert evaluate_rows(predictions(), LABELS, leaks(*rows)).metrics == evaluation.metrics


def test_nothing_readable_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError) as caught:
        evaluate_rows(predictions(tuple(range(8))), LABELS)
    assert caught.value.code == "evaluation.no-images"
    assert "8 can't be read" in caught.value.message


def test_nothing_but_leaks_is_an_error_of_the_data() -> None:
    with pytest.raises(DataError):
        evaluate_rows(predictions(), LABELS, leaks(*range(8)))


@pytest.mark.parametrize(("part", "word"), [("test", "Test"), ("val", "Validation"), (None, "Measured")])
def test_the_headline_says_what_it_was_measured_on(evaluation: Evaluation, part: str | None, word: str) -> None:
    named = evaluation.with_part(part) if part else evaluation
    assert named.headline() == f"{word} accuracy {wilson(5, 7)}"


def test_baselines_are_measured_on_the_same_images() -> None:
    small = {row: np.array([float(label)]) for row, label in enumerate(LABELS)}
    train_labels = np.array([0, 0, 1])
    train = {0: np.array([0.0]), 2: np.array([1.0])}
    with_leaks = evaluate_rows(predictions(), LABELS, leaks(0)).with_baselines(train_labels, train, small)
    assert with_leaks.metrics["baselines"] == {
        "majority_class": wilson(2, 6).to_dict(),
        "nearest_class_mean": wilson(6, 6).to_dict(),
    }
    assert with_leaks.accuracy == wilson(4, 6)


@pytest.mark.parametrize(("train", "measured"), [({}, {0: np.zeros(1)}), ({0: np.zeros(1)}, {})])
def test_without_images_only_the_majority_is_measured(evaluation: Evaluation, train: dict, measured: dict) -> None:
    metrics = evaluation.with_baselines(np.array([0, 1, 1]), train, measured).metrics
    assert list(metrics["baselines"]) == ["majority_class"]


def test_metrics_are_json() -> None:
    whole = evaluate_rows(predictions(), LABELS, leaks(3)).with_part("test").with_baselines(np.array([0]), {}, {})
    assert json.loads(json.dumps(whole.metrics, allow_nan=False))["part"] == "test"


def test_the_columns_have_one_row_an_image() -> None:
    columns = evaluate_rows(predictions(), LABELS, leaks(2)).columns()
    assert columns["label"] == ["ant"] * 3 + ["bee"] * 5
    assert columns["predicted"] == ["ant", "ant", "bee", "bee", "bee", "bee", "ant", ""]
    assert columns["correct"] == ["1", "1", "0", "1", "1", "1", "0", ""]
    assert columns["leaked"] == ["0", "0", "1", "0", "0", "0", "0", "0"]
    assert columns["error"] == [""] * 7 + ["broken"]
    assert columns["confidence"] == ["0.750000"] * 7 + [""]
    assert columns["probability_of_label"] == ["0.750000", "0.750000", "0.250000"] + ["0.750000"] * 3 + ["0.250000", ""]


def test_the_columns_fit_a_csv(evaluation: Evaluation) -> None:
    columns = evaluation.columns()
    out = io.StringIO()
    csv.writer(out).writerows([columns, *zip(*columns.values(), strict=True)])
    assert len(list(csv.DictReader(io.StringIO(out.getvalue())))) == 8


def test_the_notebook_table_has_every_metric(evaluation: Evaluation) -> None:
    shown = evaluation._repr_html_()
    assert all(html.escape(metric.words) in shown for metric in intervals_in(evaluation.metrics))
    assert str(wilson(5, 7)) in shown
