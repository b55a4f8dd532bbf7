"""Every formula of our own against scikit-learn."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from sklearn import metrics as sk

from sightline.evaluation.confusion import confusion_from
from sightline.evaluation.intervals import wilson
from sightline.evaluation.metrics import (
    METRICS,
    MIN_SUPPORT,
    Metric,
    OfCounts,
    OfImages,
    OfRanking,
    class_table,
    confusion_matrix,
    evaluate_predictions,
    find_metric,
)
from sightline.evaluation.scores import rank_classes

Oracle = Callable[[np.ndarray, np.ndarray, np.ndarray], float]


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


def test_the_confusion_matrix_is_scikit_learns_on_hundreds_of_cases() -> None:
    for classes, labels, said in cases(300):
        wanted = sk.confusion_matrix(labels, said, labels=range(classes))
        np.testing.assert_array_equal(confusion_matrix(labels, said, classes), wanted)


def probabilities_of(said: np.ndarray, classes: int, random: np.random.Generator) -> np.ndarray:
    """Probabilities whose largest is that of the class that was predicted."""
    shares = random.dirichlet(np.ones(classes), len(said)) / 2 + np.eye(classes)[said]
    return (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def value_of(metric: Metric, labels: np.ndarray, shares: np.ndarray) -> float | None:
    """Return a metric as the table computes it, without the interval that takes long."""
    classes = shares.shape[1]
    match metric.compute:
        case OfCounts(of):
            return of(counts_of(confusion_matrix(labels, shares.argmax(1), classes)))
        case OfImages(of, least_classes):
            return float(of(labels, shares).mean()) if classes >= least_classes else None
        case OfRanking(of):
            found = of(labels, shares, rank_classes(labels, shares), None, 0)
            return None if found is None else found.value


def macro(name: str, average: str = "macro") -> Oracle:
    def value(labels: np.ndarray, said: np.ndarray, shares: np.ndarray) -> float:
        score = getattr(sk, f"{name}_score")
        return score(labels, said, labels=np.unique(labels), average=average, zero_division=0)

    return value


def mean_over_classes(score: Callable[..., float]) -> Oracle:
    def value(labels: np.ndarray, said: np.ndarray, shares: np.ndarray) -> float:
        present = [k for k in range(shares.shape[1]) if 0 < (labels == k).sum() < len(labels)]
        return float(np.mean([score(labels == k, shares[:, k]) for k in present]))

    return value


def top(k: int) -> Oracle:
    return lambda labels, said, shares: sk.top_k_accuracy_score(labels, shares, k=k, labels=range(shares.shape[1]))


def log_loss(labels: np.ndarray, said: np.ndarray, shares: np.ndarray) -> float:
    wide = shares.astype(np.float64)
    return sk.log_loss(labels, wide / wide.sum(1, keepdims=True), labels=range(shares.shape[1]))


# Of each metric scikit-learn's value, from labels, predicted classes and probabilities.
ORACLES: dict[str, Oracle] = {
    "accuracy": lambda labels, said, shares: sk.accuracy_score(labels, said),
    "balanced_accuracy": lambda labels, said, shares: sk.balanced_accuracy_score(labels, said),
    "macro_precision": macro("precision"),
    "macro_f1": macro("f1"),
    "weighted_precision": macro("precision", "weighted"),
    "weighted_f1": macro("f1", "weighted"),
    "top_3": top(3),
    "top_5": top(5),
    "matthews": lambda labels, said, shares: sk.matthews_corrcoef(labels, said),
    "cohen_kappa": lambda labels, said, shares: sk.cohen_kappa_score(labels, said) if len({*labels, *said}) > 1 else 0,
    "roc_auc": mean_over_classes(sk.roc_auc_score),
    "average_precision": mean_over_classes(sk.average_precision_score),
    "log_loss": log_loss,
    "brier": lambda labels, said, shares: ((shares - np.eye(shares.shape[1])[labels]) ** 2).sum(1).mean(),
}


def test_every_metric_has_an_oracle() -> None:
    assert ORACLES.keys() == METRICS.keys()


@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true")
@pytest.mark.filterwarnings("ignore:A single label was found")
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_each_metric_is_scikit_learns_on_hundreds_of_cases(metric: Metric) -> None:
    random, compared = np.random.default_rng(1), 0
    for classes, labels, said in cases(100 if isinstance(metric.compute, OfRanking) else 200):
        shares = probabilities_of(said, classes, random)
        value = value_of(metric, labels, shares)
        if value is not None:
            assert value == pytest.approx(ORACLES[metric.name](labels, said, shares), abs=1e-6)
            assert metric.least <= value <= metric.most
            compared += 1
    assert compared > 40


def test_metrics_of_many_tables_are_those_of_each() -> None:
    """Intervals draw many tables of counts at once; in these, classes lack images, predictions, or both."""
    tables = [counts_of(confusion_matrix(labels, said, 8)) for _, labels, said in cases(120)]
    for metric in METRICS.values():
        if isinstance(metric.compute, OfCounts):
            together = metric.compute.of(np.reshape(tables, (4, 30, 3, 8)))
            assert together.shape == (4, 30)
            np.testing.assert_allclose(together.ravel(), [metric.compute.of(counts) for counts in tables], atol=1e-12)


def test_weighted_recall_is_accuracy() -> None:
    for _, labels, said in cases(100):
        wanted = sk.recall_score(labels, said, average="weighted", zero_division=0)
        assert float((labels == said).mean()) == pytest.approx(wanted, abs=1e-9)


def test_better_predictions_have_better_values() -> None:
    labels, random = np.arange(400) % 8, np.random.default_rng(0)
    poor, good = (
        probabilities_of(np.where(random.random(400) < share, labels, (labels + 1) % 8), 8, random)
        for share in (0.5, 0.9)
    )
    for metric in METRICS.values():
        gain = value_of(metric, labels, good) - value_of(metric, labels, poor)
        assert gain > 0 if metric.is_higher_better else gain < 0, metric.name


def test_an_alias_is_found() -> None:
    assert find_metric("macro_recall") is METRICS["balanced_accuracy"] is find_metric("balanced_accuracy")
    assert find_metric("recall") is None


def test_metrics_are_torchmetrics() -> None:
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
        metrics = evaluate_predictions(labels, said, tuple("abcdefghij"[:classes]))
        given = torch.from_numpy(said), torch.from_numpy(labels)
        wanted = {
            "accuracy": multiclass_accuracy(*given, classes, average="micro"),
            "balanced_accuracy": multiclass_accuracy(*given, classes, average="macro"),
            "roc_auc": multiclass_auroc(*given, classes),
            "average_precision": multiclass_average_precision(*given, classes),
        }
        for name, value in wanted.items():
            assert metrics[name]["value"] == pytest.approx(float(value), abs=1e-6), name  # torchmetrics counts in fp32


def test_images_of_one_group_widen_every_interval() -> None:
    random = np.random.default_rng(0)
    labels = np.tile([0, 1, 2], 60)
    said = np.where(np.repeat(random.random(18) < 0.7, 10), labels, (labels + 1) % 3)  # whole bursts right or wrong
    shares = probabilities_for(said, 3)
    alone = evaluate_predictions(labels, shares, ("a", "b", "c"))
    together = evaluate_predictions(labels, shares, ("a", "b", "c"), np.repeat(np.arange(18), 10))
    assert together["count_groups"] == 18
    for name in [name for name in METRICS if name in together and name != "average_precision"]:
        widths = [metrics[name]["high"] - metrics[name]["low"] for metrics in (alone, together)]
        assert widths[1] > 1.5 * widths[0], name
        assert together[name]["value"] == pytest.approx(alone[name]["value"])
    assert all(9 < together[name]["n_effective"] <= 20 for name in METRICS if name in together)
    assert not any("n_effective" in alone[name] for name in METRICS if name in alone)
    assert all(row["n_effective"] <= 20 and row["too_few"] for row in together["classes"])
    assert not any(row["too_few"] for row in alone["classes"])


def answers(matrix: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Labels and predicted classes that give this confusion matrix."""
    pairs = [(i, j) for i, row in enumerate(matrix) for j, count in enumerate(row) for _ in range(count)]
    return np.array([i for i, _ in pairs]), np.array([j for _, j in pairs])


def test_the_table_of_classes_is_scikit_learns() -> None:
    for classes, labels, said in cases(100):
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


def test_all_metrics_of_a_known_case() -> None:
    labels, said = np.repeat([0, 1, 2], 40), np.r_[np.zeros(60, int), np.ones(40, int), np.full(20, 2)]
    metrics = evaluate_predictions(labels, probabilities_for(said, 3), ("a", "b", "c"))
    assert metrics["accuracy"] == wilson(80, 120).to_dict()
    assert (confusion_from(metrics["confusion"], 3) == sk.confusion_matrix(labels, said)).all()
    assert metrics["macro_f1"]["value"] == pytest.approx(sk.f1_score(labels, said, average="macro"))
    for name in METRICS.keys() - {"top_3", "top_5"}:
        assert metrics[name]["low"] <= metrics[name]["value"] <= metrics[name]["high"]
        assert metrics[name]["n"] == 120
    assert not {"top_3", "top_5"} & metrics.keys()  # of three classes, any three are right
    assert [row["class"] for row in metrics["classes"]] == ["a", "b", "c"]


def test_metrics_are_json_without_nan_even_where_classes_are_absent() -> None:
    for classes, labels, said in cases(12):
        metrics = evaluate_predictions(labels, probabilities_for(said, classes), tuple("abcdefgh"[:classes]))
        assert json.loads(json.dumps(metrics, allow_nan=False))["accuracy"]["n"] == len(labels)


def test_the_order_of_images_changes_no_point_value() -> None:
    labels, said = np.arange(90) % 3, np.arange(90) // 3 % 3
    order = np.random.default_rng(0).permutation(90)
    one = evaluate_predictions(labels, probabilities_for(said, 3), ("a", "b", "c"))
    two = evaluate_predictions(labels[order], probabilities_for(said[order], 3), ("a", "b", "c"))
    for name in METRICS.keys() & one.keys():
        assert one[name]["value"] == pytest.approx(two[name]["value"])
    assert one["classes"] == two["classes"]


def test_no_images_are_refused() -> None:
    with pytest.raises(ValueError, match="no images"):
        evaluate_predictions(np.empty(0, np.int64), np.empty((0, 2), np.float32), ("a", "b"))
