"""Two JSON documents, value by value."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.runs.verification import Checked, Difference, compare_leaves

VALUES = st.none() | st.booleans() | st.integers(-5, 5) | st.floats(-5, 5) | st.text(max_size=3)
DOCUMENTS = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
)


@given(DOCUMENTS)
def test_a_document_equals_itself(document: Any) -> None:
    leaves = compare_leaves(document, json.loads(json.dumps(document)))
    assert not leaves.other and not leaves.only_recorded and not leaves.only_found


@given(st.lists(VALUES, min_size=1, max_size=6), st.data())
def test_any_changed_value_is_found(values: list[Any], data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(values) - 1))
    changed = [*values]
    changed[place] = "other, and longer than any"
    assert [row[0] for row in compare_leaves({"a": values}, {"a": changed}).other] == [f"a[{place}]"]


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        (0.5, 0.5 + 1e-10, True),
        (0.5, 0.5 + 1e-8, False),
        (1e6, 1e6 + 1e-4, True),
        (1e6, 1e6 + 1e-2, False),
        (1, 1.0, True),
        (372, 373, False),
        (float("nan"), float("nan"), False),
        (True, 1, False),
        (0, None, False),
        ("1", 1, False),
        ({}, [], False),
        (None, None, True),
    ],
)
def test_numbers_may_differ_by_1e_9_and_nothing_else(one: Any, two: Any, same: bool) -> None:
    leaves = compare_leaves({"x": one}, {"x": two})
    assert (not leaves.other) is same
    assert leaves.same == int(same)


def test_lists_of_other_lengths_and_lonely_keys_are_named() -> None:
    leaves = compare_leaves({"a": [1, 2], "b": {"c": 1}}, {"a": [1], "b": {"d": 1}})
    assert leaves.other == [("length of a", 2, 1)]
    assert (leaves.only_recorded, leaves.only_found) == (["b.c"], ["b.d"])


def test_outcomes_are_json_and_words() -> None:
    check = Checked("files", "2 files", (Difference("a.csv", "sha256", "1", "2"),), ("b.csv",))
    assert json.loads(json.dumps(check.to_dict()))["differences"][0]["file"] == "a.csv"
    assert str(check.differences[0]) == "a.csv: sha256: recorded 1, found 2"
