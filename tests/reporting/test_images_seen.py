"""Where the images went: every one is counted once, under its own cause."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.split import Split
from sightline.reporting.images_seen import data, where_images_went
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import read_rows, write_columns

PARTS = st.sampled_from(["train", "val", "test", ""])


@given(st.lists(st.tuples(PARTS, st.booleans()), min_size=1, max_size=40))
def test_each_image_is_in_one_place(table, rows: list[tuple[str, bool]]) -> None:
    samples = table([0] * len(rows), errors={k: "cut off" for k, (_, is_bad) in enumerate(rows) if is_bad})
    parts = np.array([part for part, _ in rows], object)
    went = where_images_went(samples, Split(parts, 0, "", (), "test", np.zeros(len(rows), bool)))
    assert sorted(np.concatenate(list(went.values())).tolist()) == list(range(len(rows)))
    assert len(went["can't be read"]) == sum(is_bad for _, is_bad in rows)


@pytest.mark.usefixtures("no_figures")
def test_images_left_out_by_train_share_are_not_called_unreadable(copied_run) -> None:
    samples, split = read_rows(copied_run.samples_file), read_rows(copied_run.split_file)
    trained = [row for row in split if row["split"] == "train"]
    for row in trained[::2]:
        row["split"] = ""  # as train_share leaves them out
    bad = trained[1]  # one that could not be read
    bad["split"] = ""
    next(row for row in samples if row["path"] == bad["path"])["error"] = "cut off"
    for file, rows in ((copied_run.samples_file, samples), (copied_run.split_file, split)):
        write_columns(file, {name: [row[name] for row in rows] for name in rows[0]})
    found = data(Recorded(copied_run))
    counts = Counter(row["split"] for row in split)
    assert found["went"] == [
        *[(counts[part], part) for part in ("train", "val", "test")],
        (1, "can't be read"),
        (len(trained[::2]), "left out by train_share"),
    ]
    assert sum(number for number, _ in found["went"]) == found["total"] == len(samples)
    for row in found["classes"]:
        assert sum(row["cells"]) == row["all"]
    assert found["columns"] == ["train", "val", "test", "can't be read", "left out by train_share"]
