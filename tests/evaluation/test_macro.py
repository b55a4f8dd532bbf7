"""Macro metrics: scikit-learn's default stands beside ours, and the words say where they differ."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sk

from sightline.evaluation.macro import describe_macro, macro_words
from sightline.evaluation.metrics import class_table, evaluate_predictions

NAMES = ("ant", "bee", "cat", "dog", "eel")
PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=30)


@given(PAIRS)
def test_the_other_definition_is_that_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    labels, said = np.array(pairs, np.int64).T
    found = describe_macro(class_table(labels, said, NAMES))
    default = found["sklearn_default"]
    for name, score in (("precision", sk.precision_score), ("recall", sk.recall_score), ("f1", sk.f1_score)):
        assert default[name] == pytest.approx(score(labels, said, average="macro", zero_division=0))
    assert default["classes"] == len(set(labels) | set(said)) and found["classes"] == len(set(labels))
    assert found["without_images"] == [name for k, name in enumerate(NAMES) if k not in labels]


def test_a_user_who_computes_it_again_finds_both_values() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    said = np.array([0, 0, 3, 1, 1, 4])
    metrics = evaluate_predictions(labels, np.eye(5, dtype=np.float32)[said], NAMES)
    assert json.loads(json.dumps(metrics))["macro"] == metrics["macro"]
    ours = sk.f1_score(labels, said, average="macro", labels=[0, 1])
    theirs = sk.f1_score(labels, said, average="macro")
    assert metrics["macro_f1"]["value"] == pytest.approx(ours) and theirs < ours
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(
        sk.recall_score(labels, said, average="macro", labels=[0, 1])
    )
    words = macro_words(metrics)
    assert "the 2 classes with images, of 5; without: cat, dog, eel" in words
    assert "counts 2 of these too" in words and f"F1 {theirs:.4f}" in words


def test_nothing_is_said_where_every_class_has_images_and_of_absent_ones_that_nobody_named() -> None:
    labels = np.arange(5)
    assert macro_words({"classes": class_table(labels, labels, NAMES)}) == "" == macro_words({})
    assert "scikit-learn" not in macro_words({"classes": class_table(labels[:3], labels[:3], NAMES)})
