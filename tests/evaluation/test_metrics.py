"""Every formula of our own against scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.evaluation.intervals import wilson
from sightline.evaluation.metrics import (
    COUNT_METRICS,
    MIN_SUPPORT,
    class_table,
    confusion_matrix,
    evaluate_predictions,
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
        got = [COUNT_METRICS[name](counts) for name in ("macro_precision", "macro_recall", "macro_f1")]
        assert got == pytest.approx(wanted[:3])


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
def test_macro_recall_is_balanced_accuracy() -> None:
    for classes, labels, said in cases(200):
        counts = counts_of(confusion_matrix(labels, said, classes))
        assert COUNT_METRICS["macro_recall"](counts) == pytest.approx(sk.balanced_accuracy_score(labels, said))


def test_weighted_figures_are_scikit_learns_on_a_thousand_cases() -> None:
    for classes, labels, said in cases(1000):
        wanted = sk.precision_recall_fscore_support(labels, said, average="weighted", zero_division=0)
        counts = counts_of(confusion_matrix(labels, said, classes))
        got = [COUNT_METRICS[name](counts) for name in ("weighted_precision", "weighted_f1")]
        assert got == pytest.approx([wanted[0], wanted[2]], abs=1e-9)
        assert float((labels == said).mean()) == pytest.approx(wanted[1], abs=1e-9)  # weighted recall is accuracy


@pytest.mark.filterwarnings("ignore:A single label was found")
def test_matthews_is_scikit_learns_on_a_thousand_cases() -> None:
    for classes, labels, said in cases(1000):
        counts = counts_of(confusion_matrix(labels, said, classes))
        assert COUNT_METRICS["matthews"](counts) == pytest.approx(sk.matthews_corrcoef(labels, said), abs=1e-9)


def test_the_table_has_a_test_for_each_figure() -> None:
    macro = {"macro_precision", "macro_recall", "macro_f1"}
    assert set(COUNT_METRICS) == macro | {"weighted_precision", "weighted_f1", "matthews"}


def test_figures_are_torchmetrics() -> None:
    import torch
    from torchmetrics.functional.classification import (
        multiclass_accuracy,
        multiclass_auroc,
        multiclass_average_precision,
    )

    random = np.random.default_rng(5)
    for classes, n in ((2, 30), (4, 200), (10, 500)):
        labels = np.r_[np.arange(classes), random.integers(0, classes, n)]
        said = random.dirichlet(np.ones(classes), len(labels)).astype(np.float32)
        figures = evaluate_predictions(labels, said, tuple("abcdefghij"[:classes]))
        given = torch.from_numpy(said), torch.from_numpy(labels)
        wanted = {
            "accuracy": multiclass_accuracy(*given, classes, average="micro"),
            "macro_recall": multiclass_accuracy(*given, classes, average="macro"),
            "roc_auc": multiclass_auroc(*given, classes),
            "average_precision": multiclass_average_precision(*given, classes),
        }
        for name, value in wanted.items():
            assert figures[name]["value"] == pytest.approx(float(value), abs=1e-6), name  # torchmetrics counts in fp32


def test_images_of_one_group_widen_every_interval() -> None:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1, 2], 60)
    said = np.where(np.repeat(random.random(18) < 0.7, 10), labels, (labels + 1) % 3)  # whole bursts right or wrong
    shares = probabilities_for(said, 3)
    alone = evaluate_predictions(labels, shares, ("a", "b", "c"))
    together = evaluate_predictions(labels, shares, ("a", "b", "c"), np.repeat(np.arange(18), 10))
    assert together["count_groups"] == 18
    for name in ("accuracy", *COUNT_METRICS, "log_loss", "brier", "roc_auc"):
        widths = [figures[name]["high"] - figures[name]["low"] for figures in (alone, together)]
        assert widths[1] > 1.5 * widths[0], name
        assert together[name]["value"] == pytest.approx(alone[name]["value"])


def answers(matrix: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes that give this confusion matrix."""
    pairs = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) for _ in range(count)]
    return np.array([i for i, _ in pairs]), np.array([j for _, j in pairs])


def test_the_table_of_classes_is_scikit_learns() -> None:
    for classes, labels, said in cases(300):
        rows = class_table(labels, said, tuple("abcdefgh"[:classes]))
        precision, recall, f1, support = sk.precision_recall_fscore_support(
            labels, said, labels=range(classes), zero_division=np.nan
        )
        assert [row["support"] for row in rows] == support.tolist()
        for name, wanted in (("precision", precision), ("recall", recall), ("f1", f1)):
            got = [np.nan if row[name] is None else row[name] for row in rows]
            np.testing.assert_allclose(got, wanted)


def test_recall_in_the_table_has_its_wilson_interval() -> None:
    row = class_table(*answers([[30, 10], [0, 5]]), ("ant", "bee"))[0]
    assert (row["recall_low"], row["recall_high"]) == (wilson(30, 40).low, wilson(30, 40).high)
    assert (row["class"], row["predicted"]) == ("ant", 30)


@pytest.mark.parametrize(("support", "few"), [(0, True), (MIN_SUPPORT - 1, True), (MIN_SUPPORT, False)])
def test_a_class_of_few_images_is_marked(support: int, few: bool) -> None:
    assert class_table(*answers([[support, 0], [0, 100]]), ("ant", "bee"))[0]["too_few"] is few


def test_a_class_without_images_has_no_recall() -> None:
    row = class_table(*answers([[5, 2], [0, 0]]), ("ant", "bee"))[1]
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
    for name in COUNT_METRICS:
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
    for name in ("accuracy", *COUNT_METRICS, "log_loss"):
        assert one[name]["value"] == pytest.approx(two[name]["value"])
    assert one["classes"] == two["classes"]


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        evaluate_predictions(np.empty(0, np.int64), np.empty((0, 2), np.float32), ("a", "b"))
