"""Shards: every image in exactly one, on every machine in the same."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from predicting_steps import predicted, request_of
from sightline.errors import InputError
from sightline.predicting.shards import Shard


@given(st.text(), st.integers(1, 70))
def test_an_image_is_in_one_shard(name, count):
    assert sum(Shard(number, count).holds(name) for number in range(count)) == 1


def test_the_division_is_written_in_stone():
    """A part that was written by one version is finished for the next."""
    names = [f"photos/{number}.jpg" for number in range(8)]
    assert [next(k for k in range(5) if Shard(k, 5).holds(name)) for name in names] == [0, 4, 0, 0, 2, 2, 3, 2]
    assert Shard(2, 5).holds("photos\\1.jpg") == Shard(2, 5).holds("photos/1.jpg")


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as lines:
        return list(csv.DictReader(lines))


def test_shards_in_any_order_are_the_rows_of_one_run(folder, classifier, tmp_path):
    predicted(tmp_path / "all.csv", classifier, request_of(folder))
    rows = rows_of(tmp_path / "all.csv")
    order = list(range(8))
    random.Random(3).shuffle(order)
    found = []
    for number in order:
        shard = Shard(number, 8)
        file = shard.file_of(tmp_path / "part.csv")
        predicted(file, classifier, request_of(folder, shard=shard))
        found += rows_of(file)
    assert len(found) == len(rows)
    for one, other in zip(sorted(found, key=lambda row: row["path"]), rows, strict=True):
        # A batch of other images may round the last digit otherwise.
        near = {name: float(cell) for name, cell in one.items() if name.startswith(("prob", "conf", "nov")) and cell}
        assert near == pytest.approx({name: float(other[name]) for name in near}, abs=2e-5)
        assert {k: cell for k, cell in one.items() if k not in near} == {k: other[k] for k in one if k not in near}
    again = predicted(file, classifier, request_of(folder, shard=shard), resume=True)
    assert again.is_finished


def test_a_shard_may_be_empty(folder, classifier, tmp_path):
    one = folder / "00.png"
    sizes = [predicted(tmp_path / f"{k}.csv", classifier, request_of(one, shard=Shard(k, 4))).rows for k in range(4)]
    assert sorted(sizes) == [0, 0, 0, 1]


@pytest.mark.parametrize("text", ["64/64", "3", "-1/4", "a/b", "0/0", "1/2/3", "٣/64"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match="shard") as caught:
        Shard.parse(text)
    assert "--shard 0/" in caught.value.cure


def test_each_has_a_file_of_its_own():
    assert str(Shard.parse("3/64").file_of(Path("a/said.csv"))) == str(Path("a/said-00003-of-00064.csv"))
    assert Shard.parse("0/1").file_of(Path("said.csv")) == Path("said.csv")
