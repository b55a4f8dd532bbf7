"""Folds: every image is tested once, what belongs together stays together, and what can't be is refused."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.folds import fold_validation, make_folds
from sightline.data.split import make_split
from sightline.errors import DataError, InputError

LABELS = [0] * 40 + [1] * 25 + [2] * 12


@given(st.lists(st.integers(0, 2), min_size=40, max_size=90), st.integers(2, 5), st.integers(0, 5))
def test_each_readable_image_is_tested_once_and_never_trained_on_in_that_fold(table, labels, folds, seed):
    counts = Counter(labels)
    samples = table([*labels, 0, 1, 2], errors={0: "damaged"})
    if min(counts[label] for label in range(3)) < folds + 1:
        return
    splits = make_folds(samples, folds, seed=seed)
    tested = sum((split.parts == "test").astype(int) for split in splits)
    assert tested.tolist() == samples.is_ok.astype(int).tolist()
    for split in splits:
        assert split.headline == "test" and split.counts()["val"] > 0
        assert set(split.parts[samples.is_ok]) == {"train", "val", "test"}
        assert not split.parts[0]


def test_classes_and_sizes_are_even(table):
    samples = table(LABELS)
    for split in (splits := make_folds(samples, 5, seed=3)):
        tested = np.bincount(samples.labels[split.rows("test")], minlength=3)
        assert tested.tolist() in ([8, 5, 2], [8, 5, 3])
    sizes = [split.counts()["test"] for split in splits]
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("seed", range(4))
def test_groups_copies_and_near_duplicates_stay_in_one_part_of_every_fold(table, seed):
    groups = [f"g{k // 3}" if k < 30 else "" for k in range(len(LABELS))]
    digests = [f"d{k}" for k in range(len(LABELS))]
    digests[45] = digests[46] = "copy"
    samples = replace(table(LABELS, groups=groups, digests=digests), near=np.array([[50, 51], [51, 52], [65, 66]]))
    together = [*([3 * k, 3 * k + 1, 3 * k + 2] for k in range(10)), [45, 46], [50, 51, 52], [65, 66]]
    for split in make_folds(samples, 4, seed=seed):
        for rows in together:
            assert len(set(split.parts[rows])) == 1, rows


def test_the_order_of_files_does_not_matter_and_the_seed_does(table):
    samples = table(LABELS)
    order = np.random.default_rng(0).permutation(len(LABELS))
    first = [dict(zip(samples.paths, split.parts, strict=True)) for split in make_folds(samples, 5, seed=1)]
    moved = samples.take(order)
    assert first == [dict(zip(moved.paths, split.parts, strict=True)) for split in make_folds(moved, 5, seed=1)]
    assert first != [dict(zip(samples.paths, split.parts, strict=True)) for split in make_folds(samples, 5, seed=2)]


def test_validation_is_drawn_from_the_training_part_at_the_share_asked_for(table):
    for split in make_folds(table([0] * 50 + [1] * 50), 5, val_share=0.25):
        assert split.counts() == {"train": 60, "val": 20, "test": 20}


def test_a_class_with_fewer_images_than_folds_is_refused_with_the_number_that_works(table):
    with pytest.raises(DataError) as caught:
        make_folds(table([0] * 20 + [1] * 3, classes=("ant", "bee")), 5)
    assert caught.value.code == "split.small-class"
    assert "'bee' has 3 readable images" in caught.value.message and "--folds 3" in caught.value.cure


def test_groups_that_leave_too_few_units_are_named(table):
    samples = table([0] * 20 + [1] * 12, groups=[""] * 20 + ["one"] * 6 + ["two"] * 6)
    with pytest.raises(DataError, match="in only 2 units") as caught:
        make_folds(samples, 3)
    assert caught.value.cure == "give at most --folds 2"


def test_a_given_split_is_refused(table):
    with pytest.raises(DataError) as caught:
        make_folds(table([0, 1] * 10, given=["train"] * 15 + ["test"] * 5), 5)
    assert caught.value.code == "split.folds-given" and "test, train" in caught.value.message
    assert "--resplit" in caught.value.cure


@pytest.mark.parametrize("folds", [1, 0, -2])
def test_less_than_two_folds_are_refused(table, folds):
    with pytest.raises(InputError, match=f"--folds {folds} is not valid"):
        make_folds(table(LABELS), folds)


def test_what_many_small_classes_leave_over_is_shared_by_the_folds(table):
    labels = [label for label in range(20) for _ in range(3)]
    sizes = [split.counts()["test"] for split in make_folds(table([*labels, *[20] * 30]), 2)]
    assert max(sizes) - min(sizes) <= 1


@given(st.lists(st.integers(0, 2), min_size=50, max_size=90), st.integers(2, 4), st.integers(0, 5))
def test_each_training_and_validation_image_validates_in_one_fold_and_units_stay_together(table, labels, folds, seed):
    counts = Counter(labels)
    if min(counts[label] for label in range(3)) < 5 * folds:
        return
    groups = [f"g{k // 2}" if k < 12 else "" for k in range(len(labels))]
    samples = table(labels, groups=groups)
    split = make_split(samples, seed=seed)
    splits = fold_validation(samples, split, folds, seed=seed)
    validating = sum((one.parts == "val").astype(int) for one in splits)
    assert validating.tolist() == np.isin(split.parts, ("train", "val")).astype(int).tolist()
    for one in splits:
        assert set(one.parts.tolist()) == {"train", "val", ""}
        for k in range(0, 12, 2):
            assert one.parts[k] == one.parts[k + 1]
