"""Predictions: rows, tables and joins."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sightline.runtime.predictions import Predictions
from sightline.text import unguarded

CLASSES = ("ant", "bee", "cow")


def make(rows: list[list[float] | str], paths: list[str] | None = None) -> Predictions:
    """One row for each list of probabilities, or of an error's reason."""
    probabilities = np.array([[np.nan] * 3 if isinstance(row, str) else row for row in rows], np.float32)
    return Predictions(
        CLASSES,
        tuple(paths or [f"{k}.png" for k in range(len(rows))]),
        probabilities.reshape(-1, 3),
        np.zeros((len(rows), 2), np.float32),
        tuple(row if isinstance(row, str) else None for row in rows),
    )


SAID = make([[0.25, 0.5, 0.25], "the file is empty", [0.125, 0.125, 0.75]])


def read(text: str) -> list[dict[str, str]]:
    rows = csv.DictReader(io.StringIO(text, newline=""))
    return [{unguarded(name): unguarded(cell) for name, cell in row.items()} for row in rows]


def test_a_row_has_its_most_probable_class_first() -> None:
    assert SAID[2].label == "cow"
    assert SAID[2].confidence == 0.75
    assert [name for name, _ in SAID[2].top] == ["cow", "ant", "bee"]


def test_equal_probabilities_stand_in_the_order_of_the_classes() -> None:
    assert SAID[0].top == (("bee", 0.5), ("ant", 0.25), ("cow", 0.25))


def test_an_unreadable_image_has_no_label() -> None:
    row = SAID[1]
    assert (row.label, row.top, row.error) == (None, (), "the file is empty")
    assert math.isnan(row.confidence)


def test_bad_rows_are_counted() -> None:
    assert SAID.is_ok.tolist() == [True, False, True]
    assert SAID.count_bad == 1
    assert len(SAID) == 3


def test_negative_positions_and_iteration_work_as_in_a_list() -> None:
    assert SAID[-1] == SAID[2]
    assert [row.path for row in SAID] == ["0.png", "1.png", "2.png"]
    with pytest.raises(IndexError):
        SAID[3]


def test_a_slice_has_as_many_rows_as_it_names() -> None:
    try:
        part = SAID[:2]
    except TypeError:
        return  # refusing is an answer too
    assert [row.path for row in part] == ["0.png", "1.png"]


def test_join_keeps_all_rows_in_order() -> None:
    joined = Predictions.join([SAID, make([[1, 0, 0]], ["z.png"])])
    assert joined.paths == ("0.png", "1.png", "2.png", "z.png")
    assert joined.errors == (None, "the file is empty", None, None)
    assert joined[3].label == "ant"
    assert joined.features.shape == (4, 2)


def test_dicts_are_json_and_hold_no_nan() -> None:
    rows = json.loads(json.dumps(SAID.to_dicts(), allow_nan=False))
    assert rows[1] == {
        "path": "1.png",
        "label": None,
        "answer": None,
        "unknown": "",
        "confidence": None,
        "novelty": None,
        "probabilities": {},
        "error": "the file is empty",
    }
    assert rows[0]["probabilities"] == {"bee": 0.5, "ant": 0.25, "cow": 0.25}


def test_dicts_hold_the_top_ones_only_if_asked() -> None:
    assert SAID.to_dicts(top=2)[2]["probabilities"] == {"cow": 0.75, "ant": 0.125}


def test_jsonl_has_one_document_a_line() -> None:
    lines = SAID.to_jsonl().splitlines()
    assert [json.loads(line)["path"] for line in lines] == list(SAID.paths)
    assert SAID.to_jsonl().endswith("\n")


def test_csv_has_the_probability_of_each_class_in_model_order() -> None:
    rows = read(SAID.to_csv())
    columns = [f"probability:{name}" for name in CLASSES]
    assert list(rows[0]) == ["path", "label", "answer", "unknown", "confidence", "novelty", "error", *columns]
    assert [float(rows[2][name]) for name in columns] == [0.125, 0.125, 0.75]
    assert (rows[0]["label"], float(rows[0]["confidence"])) == ("bee", 0.5)


def test_csv_of_an_unreadable_image_has_empty_cells() -> None:
    row = read(SAID.to_csv())[1]
    assert row["error"] == "the file is empty"
    assert {row[name] for name in ("label", "confidence", *(f"probability:{name}" for name in CLASSES))} == {""}


@pytest.mark.parametrize("top", [1, 2, 3, 10])
def test_csv_with_top_repeats_label_and_confidence(top: int) -> None:
    rows = read(SAID.to_csv(top=top))
    ranks = range(2, min(top, 3) + 1)
    assert list(rows[0]) == ["path", "label", "answer", "unknown", "confidence", "novelty", "error"] + [
        f"{n}_{k}" for k in ranks for n in ("label", "confidence")
    ]
    for rank in ranks:
        assert (rows[2][f"label_{rank}"], rows[2][f"confidence_{rank}"]) == (CLASSES[rank - 2], "0.125000")
    assert None not in rows[1]


def test_csv_without_header_continues_a_file() -> None:
    assert SAID.to_csv() == SAID.to_csv(header=True)
    assert SAID.to_csv().split("\n", 1)[1] == SAID.to_csv(header=False)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), min_size=1, max_size=4))
@example(["two\nlines.png", "a,b.png", 'a "b".png'])
@example(["Icon\r"])
def test_paths_survive_csv_and_jsonl(paths: list[str]) -> None:
    said = make([[1, 0, 0]] * len(paths), paths)
    assert [row["path"] for row in read(said.to_csv())] == paths
    assert [json.loads(line)["path"] for line in said.to_jsonl().split("\n")[:-1]] == paths


OURS = ["path", "label", "answer", "unknown", "confidence", "novelty", "error", "probability:cat", "label_2"]
NAMES = st.lists(
    st.sampled_from(OURS) | st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8),
    min_size=2,
    max_size=6,
    unique=True,
)


@given(NAMES, st.integers(0, 2**32 - 1), st.booleans())
@example(["error", "label", "confidence"], 0, False)
@example(["unknown", "cat"], 0, True)
def test_any_class_names_survive_csv(names: list[str], seed: int, judged: bool) -> None:
    """Classes called label and error gave these columns twice, and a class unknown looked like the answer unknown."""
    values = np.random.default_rng(seed).dirichlet(np.ones(len(names)), 3).astype(np.float32)
    nothing = np.zeros((3, 0), np.float32)
    said = Predictions(tuple(names), ("a", "b", "c"), values, nothing, (None, None, None))
    said = said.judged(float(np.median(values.max(1))), 1.0) if judged else said
    text = said.to_csv()
    header = [unguarded(name) for name in next(csv.reader(io.StringIO(text, newline="")))]
    assert len(set(header)) == len(header)
    for row, cells in zip(said, read(text), strict=True):
        of = {name.removeprefix("probability:"): float(cells[name]) for name in header[7:]}
        assert list(of) == names and np.allclose(
            list(of.values()), said.probabilities[said.paths.index(row.path)], atol=1e-6
        )
        assert (cells["label"], cells["answer"], cells["unknown"]) == (row.label, row.answer, row.unknown)
        assert (cells["answer"] == cells["label"]) or cells["unknown"]


def test_the_notebook_table_escapes_names_and_stops_at_twenty() -> None:
    shown = make([[1, 0, 0]] * 30, ["<script>.png"] * 30)._repr_html_()
    assert "<script>" not in shown
    assert shown.count("&lt;script&gt;") == 20
    assert "and 10 more" in shown


def test_the_notebook_table_shows_the_reason_of_a_bad_row() -> None:
    assert "the file is empty" in SAID._repr_html_()
    assert "more" not in SAID._repr_html_()


def test_a_set_holds_classes_until_the_mass_is_full() -> None:
    assert SAID.sets(0.4) == [("bee",), (), ("cow",)]
    assert SAID.sets(0.5) == [("bee", "ant"), (), ("cow",)]
    assert SAID.sets(1.0) == [("bee", "ant", "cow"), (), ("cow", "ant", "bee")]
    assert [row["set"] for row in SAID.to_dicts(mass=0.5)] == [["bee", "ant"], [], ["cow"]]
    assert "set" not in SAID.to_dicts()[0]


def test_what_is_judged_new_or_unsure_is_answered_with_unknown() -> None:
    said = replace(SAID, novelty=np.array([0.5, np.nan, 2.0], np.float32)).judged(0.6, 1.0)
    assert said.unknown == ("unsure", "", "new")
    assert [row.answer for row in said] == ["unknown", None, "unknown"]
    assert [row["answer"] for row in read(said.to_csv())] == ["unknown", "", "unknown"]
    assert [row["novelty"] for row in read(said.to_csv())] == ["0.5000", "", "2.0000"]
    assert [row["unknown"] for row in said.to_dicts()] == ["unsure", "", "new"]
    assert "unknown (cow?)" in said._repr_html_()
    assert Predictions.join([said, SAID]).unknown == ("unsure", "", "new", "", "", "")
