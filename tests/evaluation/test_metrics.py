"""Every formula of our own against scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.evaluation.intervals import wilson
from sightline.evaluation.metrics import (
    MACRO_METRICS,
    MIN_SUPPORT,
    class_table,
    confusion_matrix,
    evaluate_predictions,
    log_loss,
)


def cases(count: int) -> Iterator[tuple[int, np.ndarray, np.ndarray]]:
    """Random (classes, labels, predicted); often with classes that no image has, or that nobody said."""
    random = np.random.default_rng(0)
    for _ in range(count):
        classes = int(random.integers(2, 9))
        n = int(random.integers(1, 60))
        labels = random.choice(random.integers(0, classes, random.integers(1, classes + 1)), n)
        guesses = random.choice(random.integers(0, classes, random.integers(1, classes + 1)), n)
        yield classes, labels, np.where(random.random(n) < 0.6, labels, guesses)


def counts_of(matrix: np.ndarray) -> np.ndarray:
    return np.stack([matrix.diagonal(), matrix.sum(1), matrix.sum(0)]).astype(float)


def test_the_confusion_matrix_is_scikit_learns_on_a_thousand_cases() -> None:
    for classes, labels, said in cases(1000):
        wanted = sk.confusion_matrix(labels, said, labels=range(classes))
        np.testing.assert_array_equal(confusion_matrix(labels, said, classes), wanted)


def test_macro_figures_are_scikit_learns_on_a_thousand_cases() -> None:
    for classes, labels, said in cases(1000):
        wanted = sk.precision_recall_fscore_support(
            labels, said, labels=np.unique(labels), average="macro", zero_division=0
        )
        counts = counts_of(confusion_matrix(labels, said, classes))
        got = [MACRO_METRICS[name](counts) for name in ("macro_precision", "macro_recall", "macro_f1")]
        assert got == pytest.approx(wanted[:3])


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_macro_recall_is_balanced_accuracy() -> None:
    for classes, labels, said in cases(200):
        counts = counts_of(confusion_matrix(labels, said, classes))
        assert MACRO_METRICS["macro_recall"](counts) == pytest.approx(sk.balanced_accuracy_score(labels, said))


def test_the_table_has_a_test_for_each_macro_figure() -> None:
    assert set(MACRO_METRICS) == {"macro_precision", "macro_recall", "macro_f1"}


def test_log_loss_is_scikit_learns() -> None:
    random = np.random.default_rng(1)
    for _ in range(50):
        labels = random.integers(0, 5, 40)
        probabilities = random.dirichlet(np.ones(5), 40)
        assert log_loss(labels, probabilities) == pytest.approx(sk.log_loss(labels, probabilities, labels=range(5)))


def test_log_loss_of_a_certain_mistake_is_large_and_finite() -> None:
    said = np.array([[1.0, 0.0]], np.float32)
    assert log_loss(np.array([1]), said) == pytest.approx(-np.log(1e-7))
    assert log_loss(np.array([0]), said) == 0


def test_the_table_of_classes_is_scikit_learns() -> None:
    for classes, labels, said in cases(300):
        rows = class_table(confusion_matrix(labels, said, classes), tuple("abcdefgh"[:classes]))
        precision, recall, f1, support = sk.precision_recall_fscore_support(
            labels, said, labels=range(classes), zero_division=np.nan
        )
        assert [row["support"] for row in rows] == support.tolist()
        for name, wanted in (("precision", precision), ("recall", recall), ("f1", f1)):
            got = [np.nan if row[name] is None else row[name] for row in rows]
            np.testing.assert_allclose(got, wanted)


def test_recall_in_the_table_has_its_wilson_interval() -> None:
    row = class_table(np.array([[30, 10], [0, 5]]), ("ant", "bee"))[0]
    assert (row["recall_low"], row["recall_high"]) == (wilson(30, 40).low, wilson(30, 40).high)
    assert (row["class"], row["predicted"]) == ("ant", 30)


@pytest.mark.parametrize(("support", "few"), [(0, True), (MIN_SUPPORT - 1, True), (MIN_SUPPORT, False)])
def test_a_class_of_few_images_is_marked(support: int, few: bool) -> None:
    assert class_table(np.array([[support, 0], [0, 100]]), ("ant", "bee"))[0]["too_few"] is few


def test_a_class_without_images_has_no_recall() -> None:
    row = class_table(np.array([[5, 2], [0, 0]]), ("ant", "bee"))[1]
    assert (row["recall"], row["recall_low"], row["recall_high"]) == (None, None, None)
    assert (row["precision"], row["f1"]) == (0, 0)


def probabilities_for(said: np.ndarray, classes: int) -> np.ndarray:
    return (np.eye(classes)[said] * 0.5 + 0.5 / classes).astype(np.float32)


def test_all_figures_of_a_known_case() -> None:
    labels, said = np.repeat([0, 1, 2], 40), np.r_[np.zeros(60, int), np.ones(40, int), np.full(20, 2)]
    figures = evaluate_predictions(labels, probabilities_for(said, 3), ("a", "b", "c"))
    assert figures["accuracy"] == wilson(80, 120).to_dict()
    assert figures["confusion"] == sk.confusion_matrix(labels, said).tolist()
    assert figures["macro_f1"]["value"] == pytest.approx(sk.f1_score(labels, said, average="macro"))
    for name in MACRO_METRICS:
        assert figures[name]["low"] <= figures[name]["value"] <= figures[name]["high"]
        assert figures[name]["n"] == 120
    assert figures["log_loss"]["n"] == 120
    assert [row["class"] for row in figures["classes"]] == ["a", "b", "c"]


def test_figures_are_json_without_nan_even_where_classes_are_absent() -> None:
    for classes, labels, said in cases(12):
        figures = evaluate_predictions(labels, probabilities_for(said, classes), tuple("abcdefgh"[:classes]))
        assert json.loads(json.dumps(figures, allow_nan=False))["accuracy"]["n"] == len(labels)


def test_the_order_of_images_changes_no_point_figure() -> None:
    labels, said = np.arange(90) % 3, np.arange(90) // 3 % 3
    order = np.random.default_rng(0).permutation(90)
    one = evaluate_predictions(labels, probabilities_for(said, 3), ("a", "b", "c"))
    two = evaluate_predictions(labels[order], probabilities_for(said[order], 3), ("a", "b", "c"))
    for name in ("accuracy", *MACRO_METRICS, "log_loss"):
        assert one[name]["value"] == pytest.approx(two[name]["value"])
    assert one["classes"] == two["classes"]


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        evaluate_predictions(np.empty(0, np.int64), np.empty((0, 2), np.float32), ("a", "b"))
