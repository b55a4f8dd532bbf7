"""The count from words against scikit-learn, absent classes and ties included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from sightline.evaluation.confusion import confusion_from
from sightline.evaluation.recount import recount

CLASSES = ("ant", "bee", "cat", "dog")
ROW = st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES[:3]), st.integers(0, 5))


def table(rows: list[tuple[str, str, int]]) -> list[dict[str, str]]:
    return [
        {
            "label": label,
            "predicted": "" if kind == 4 else said,
            "leaked": str(int(kind == 5)),
            "error": "bad" * (kind == 4),
        }
        for label, said, kind in rows
    ]


@given(st.lists(ROW, min_size=1, max_size=60).filter(lambda rows: any(kind < 4 for *_, kind in rows)))
def test_the_figures_are_scikit_learns(rows: list[tuple[str, str, int]]) -> None:
    found = recount(table(rows), CLASSES)
    used = [(label, said) for label, said, kind in rows if kind < 4]
    labels, said = zip(*used, strict=True)
    assert found["accuracy"] == {"value": pytest.approx(accuracy_score(labels, said)), "n": len(used)}
    matrix = confusion_from(found["confusion"], len(CLASSES))
    assert (matrix == confusion_matrix(labels, said, labels=CLASSES)).all()
    precision, recall, f1, support = precision_recall_fscore_support(labels, said, labels=CLASSES, zero_division=0)
    present = support > 0
    for name, values in (("macro_precision", precision), ("balanced_accuracy", recall), ("macro_f1", f1)):
        assert found[name]["value"] == pytest.approx(values[present].mean())
    for k, row in enumerate(found["classes"]):
        assert row["support"] == support[k]
        for name, values in (("precision", precision), ("recall", recall), ("f1", f1)):
            assert row[name] is None or row[name] == pytest.approx(values[k])
        assert (row["recall"] is None) == (support[k] == 0)
    assert (found["count"], found["count_bad"]) == (len(rows), sum(kind == 4 for *_, kind in rows))
    assert found["count_leaked"] == sum(kind == 5 for *_, kind in rows)


def test_it_counts_what_a_run_wrote(finished_run) -> None:
    metrics, found = finished_run.metrics, recount(finished_run.predictions, finished_run.facts["classes"])
    assert found["confusion"] == metrics["confusion"]
    assert found["macro_f1"]["value"] == pytest.approx(metrics["macro_f1"]["value"], abs=1e-12)
    assert np.trace(confusion_from(found["confusion"], 3)) / found["accuracy"]["n"] == metrics["accuracy"]["value"]


@pytest.mark.parametrize(("rows", "word"), [([("ant", "bee", 4)], "no row"), ([("ant", "cow", 0)], "'cow'")])
def test_what_can_not_be_counted_is_said(rows: list[tuple[str, str, int]], word: str) -> None:
    with pytest.raises(ValueError, match=word):
        recount(table(rows), CLASSES)
