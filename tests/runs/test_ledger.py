"""Evaluations on a test set: counted once a classifier, kept whole, and never in the way of an evaluation."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sightline.runs.ledger import count_evaluation, fingerprint_of, ledger_file


def test_each_classifier_counts_once() -> None:
    assert [count_evaluation("set", name) for name in ("a", "b", "a", "c", "c")] == [1, 2, 2, 3, 3]
    assert count_evaluation("another set", "a") == 1


def test_a_set_is_its_images_and_labels_in_any_order() -> None:
    rows = [("1", "ant"), ("2", "bee"), ("2", "ant")]
    assert fingerprint_of(rows) == fingerprint_of(rows[::-1])
    assert fingerprint_of(rows) != fingerprint_of(rows[:2])
    assert fingerprint_of([("1", "bee"), ("2", "ant"), ("2", "bee")]) != fingerprint_of(rows)


def test_evaluations_at_one_time_are_all_counted() -> None:
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: count_evaluation("set", str(number)), range(24)))
    assert count_evaluation("set", "0") == 24


def test_a_damaged_file_is_begun_again() -> None:
    count_evaluation("set", "a")
    ledger_file().write_text('{"looks": 3')
    assert count_evaluation("set", "b") == 1


def test_a_file_of_an_earlier_version_is_gone_on_with() -> None:
    count_evaluation("set", "a")
    ledger_file().write_text('{"schema_version": 1, "looks": {"set": ["a", "b"]}}')
    assert [count_evaluation("set", name) for name in ("b", "c")] == [2, 3]


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("SIGHTLINE_STATE", str(tmp_path / "file" / "inside"))
    assert count_evaluation("set", "a") is None
