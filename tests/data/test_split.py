"""Who serves for what: the table of the design, and the properties that make a figure honest."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.data.samples import Samples
from sightline.data.split import MIN_CLASS_SIZE, Split, find_twins, find_units, keep_share, make_split
from sightline.errors import DataError, InputError

Table = Callable[..., Samples]
ALL_THREE = ["train"] * 60 + ["val"] * 20 + ["test"] * 20
TRAIN_TEST = ["train"] * 80 + ["test"] * 20
TRAIN_VAL = ["train"] * 80 + ["val"] * 20
LABELS = [0, 1] * 50


def by_path(samples: Samples, split: Split) -> dict[str, str]:
    return dict(zip(samples.paths, split.parts, strict=True))


# -- the table of the design ------------------------------------------------------------------------------------


def test_without_a_split_70_15_15_are_drawn(table: Table) -> None:
    split = make_split(table([0] * 200 + [1] * 200))
    assert split.counts() == {"train": 280, "val": 60, "test": 60}
    assert split.headline == "test"
    assert split.rule.startswith("70 % / 15 % / 15 %")


def test_three_given_parts_are_used_as_given(table: Table) -> None:
    split = make_split(table(LABELS, given=ALL_THREE))
    assert list(split.parts) == ALL_THREE
    assert split.headline == "test"


def test_with_train_and_test_validation_is_drawn_from_train(table: Table) -> None:
    split = make_split(table(LABELS, given=TRAIN_TEST))
    assert split.counts() == {"train": 68, "val": 12, "test": 20}
    assert set(split.rows("test")) == set(range(80, 100))
    assert split.headline == "test"


def test_with_train_and_val_the_given_val_is_the_test_set(table: Table) -> None:
    split = make_split(table(LABELS, given=TRAIN_VAL))
    assert split.counts() == {"train": 68, "val": 12, "test": 20}
    assert set(split.rows("test")) == set(range(80, 100))
    assert split.headline == "test"
    assert "--select-on-val" in split.rule


@pytest.mark.parametrize("options", [{"select_on_val": True}, {"test_share": 0}, {"test_share": 0.0}])
def test_selecting_on_the_given_val_makes_a_validation_figure(table: Table, options: dict[str, object]) -> None:
    split = make_split(table(LABELS, given=TRAIN_VAL), **options)
    assert list(split.parts) == TRAIN_VAL
    assert split.headline == "val"


def test_val_02_and_test_0_give_a_plain_80_20(table: Table) -> None:
    split = make_split(table(LABELS), val_share=0.2, test_share=0)
    assert split.counts() == {"train": 80, "val": 20, "test": 0}
    assert split.headline == "val"


@pytest.mark.parametrize(("val", "test"), [(0.1, 0.3), (0.25, 0.25), (0.3, None), (None, 0.3)])
def test_the_shares_asked_for_are_drawn(table: Table, val: float | None, test: float | None) -> None:
    counts = make_split(table([0, 1, 2, 3] * 50), val_share=val, test_share=test).counts()
    assert abs(counts["val"] - 200 * (val or 0.15)) <= 2
    assert abs(counts["test"] - 200 * (test or 0.15)) <= 2


def test_the_share_asked_for_is_drawn_from_a_given_train(table: Table) -> None:
    split = make_split(table(LABELS, given=TRAIN_TEST), val_share=0.25, test_share=0)
    assert split.counts() == {"train": 60, "val": 20, "test": 20}


def test_rows_of_a_table_without_a_split_belong_to_train(table: Table) -> None:
    split = make_split(table(LABELS, given=[""] * 80 + ["test"] * 20))
    assert set(split.rows("test")) == set(range(80, 100))
    assert split.counts()["val"] == 12


def test_a_table_in_which_all_is_train_is_drawn_as_if_nothing_were_given(table: Table) -> None:
    assert make_split(table([0, 1] * 100, given=["train"] * 200)).counts() == {"train": 140, "val": 30, "test": 30}


@pytest.mark.parametrize(
    "shares",
    [{"val_share": 0}, {"val_share": 1}, {"val_share": -0.1}, {"test_share": 1.5}, {"test_share": float("nan")}],
)
def test_impossible_shares_are_refused(table: Table, shares: dict[str, float]) -> None:
    with pytest.raises(InputError) as caught:
        make_split(table(LABELS), **shares)
    assert caught.value.code == "split.share"


def test_shares_that_leave_nothing_to_train_on_are_refused(table: Table) -> None:
    with pytest.raises(InputError, match="no images for training"):
        make_split(table(LABELS), val_share=0.5, test_share=0.5)


# -- properties of a drawn split --------------------------------------------------------------------------------

counts_of_classes = st.lists(st.integers(1, 60), min_size=2, max_size=30).filter(lambda c: max(c) >= 12)


@given(counts_of_classes, st.integers(0, 9))
def test_every_image_stands_in_exactly_one_part(table: Table, counts: list[int], seed: int) -> None:
    split = make_split(table([k for k, n in enumerate(counts) for _ in range(n)]), seed=seed)
    assert set(split.parts) <= {"train", "val", "test"}
    assert sum(split.counts().values()) == sum(counts)
    assert split.seed == seed


@given(counts_of_classes, st.sampled_from([(0.15, 0.15), (0.05, 0.05), (0.2, 0.0), (0.1, 0.3)]))
def test_every_class_is_split_in_the_shares_within_one_image(
    table: Table, counts: list[int], shares: tuple[float, float]
) -> None:
    samples = table([k for k, n in enumerate(counts) for _ in range(n)])
    split = make_split(samples, val_share=shares[0], test_share=shares[1])
    for k, count in enumerate(counts):
        for part, share in zip(("val", "test"), shares, strict=True):
            drawn = int(((split.parts == part) & (samples.labels == k)).sum())
            assert count < MIN_CLASS_SIZE or abs(drawn - share * count) <= 1.001


def test_many_small_classes_do_not_empty_the_share_of_a_large_one(table: Table) -> None:
    samples = table([k for k in range(100) for _ in range(5)] + [100] * 1000)
    split = make_split(samples)
    large = samples.labels == 100
    assert abs(int(((split.parts == "val") & large).sum()) - 150) <= 1
    assert abs(int(((split.parts == "test") & large).sum()) - 150) <= 1


def test_hundreds_of_small_classes_still_give_the_share_asked_for(table: Table) -> None:
    counts = make_split(table([k for k in range(300) for _ in range(9)])).counts()
    assert abs(counts["val"] - 405) <= 5
    assert abs(counts["test"] - 405) <= 5


@given(st.lists(st.integers(1, 20), min_size=2, max_size=12).filter(lambda c: max(c) >= 8), st.integers(0, 3))
def test_classes_too_small_to_measure_are_all_in_train_and_named(table: Table, counts: list[int], seed: int) -> None:
    samples = table([k for k, n in enumerate(counts) for _ in range(n)])
    split = make_split(samples, seed=seed)
    for k, count in enumerate(counts):
        parts = set(split.parts[samples.labels == k])
        assert parts == ({"train"} if count < MIN_CLASS_SIZE else {"train", "val", "test"})
    tiny = [f"class{k:03d}" for k, count in enumerate(counts) if count < MIN_CLASS_SIZE]
    said = " ".join(split.notes)
    assert all(name in said for name in tiny[:5])
    assert bool(tiny) is ("too small to be evaluated, used for training only" in said)
    assert not tiny or said.startswith(f"{len(tiny)} class")


units = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from(["", *"abcdefgh"]), st.sampled_from(["", *"123456"])),
    min_size=1,
    max_size=30,
)


def grouped(table: Table, rows: list[tuple[int, str, str]], order: list[int] | None = None) -> Samples:
    """Some plain images of each class, and rows of (class, group, copy)."""
    plain = [(k % 3, "", "") for k in range(60)]
    facts = [(f"{i:03d}.png", *row) for i, row in enumerate(plain + rows)]
    facts = [facts[i] for i in order] if order else facts
    return table(
        [label for _, label, _, _ in facts],
        paths=[path for path, *_ in facts],
        groups=[group for *_, group, _ in facts],
        digests=[copy or f"digest-{path}" for path, *_, copy in facts],
    )


@given(units, st.integers(0, 5))
def test_groups_and_copies_never_stand_on_both_sides(table: Table, rows: list[tuple[int, str, str]], seed: int) -> None:
    samples = grouped(table, rows)
    parts = make_split(samples, seed=seed).parts
    for keys in (samples.groups, samples.digests):
        for key in set(keys) - {""}:
            assert len(set(parts[keys == key])) == 1


@given(units, st.integers(0, 5))
def test_no_test_image_is_leaked_in_a_drawn_split(table: Table, rows: list[tuple[int, str, str]], seed: int) -> None:
    assert not make_split(grouped(table, rows), seed=seed).leaked.any()


@given(units, st.integers(0, 99))
def test_the_split_does_not_depend_on_the_order_of_files(
    table: Table, rows: list[tuple[int, str, str]], shuffle: int
) -> None:
    order = np.random.default_rng(shuffle).permutation(60 + len(rows)).tolist()
    one, two = grouped(table, rows), grouped(table, rows, order)
    assert by_path(one, make_split(one)) == by_path(two, make_split(two))


def test_the_same_seed_gives_the_same_split_and_another_another(table: Table) -> None:
    samples = table([0, 1] * 100)
    assert list(make_split(samples, seed=3).parts) == list(make_split(samples, seed=3).parts)
    assert list(make_split(samples, seed=3).parts) != list(make_split(samples, seed=4).parts)


def test_renaming_files_changes_nothing(table: Table) -> None:
    digests = [f"{k * 7919 % 200:05d}" for k in range(200)]
    one = table([0, 1] * 100, digests=digests)
    two = table([0, 1] * 100, digests=digests, paths=[f"renamed/{200 - k:04d}.png" for k in range(200)])
    assert list(make_split(one).parts) == list(make_split(two).parts)


def test_over_many_seeds_every_image_is_tested_about_as_often(table: Table) -> None:
    samples = table([0, 1] * 20)
    times = sum((make_split(samples, seed=seed).parts == "test").astype(int) for seed in range(200))
    assert times.min() > 10
    assert times.max() < 55


def test_a_class_of_large_groups_does_not_drain_the_next_class(table: Table) -> None:
    """Three patients of a hundred images each can't give 15 %; the class after them must not pay for it."""
    labels = [0] * 300 + [1] * 100 + [2] * 100
    groups = [f"patient{k // 100}" for k in range(300)] + [""] * 200
    samples = table(labels, groups=groups)
    parts = make_split(samples).parts
    for label in (1, 2):
        counts = Counter(parts[samples.labels == label])
        assert abs(counts["val"] - 15) <= 2
        assert abs(counts["test"] - 15) <= 2


def test_groups_are_mentioned(table: Table) -> None:
    split = make_split(table(LABELS, groups=[f"g{k // 2}" for k in range(100)]))
    assert "50 groups are kept together" in split.notes


def test_a_given_split_that_tears_a_group_does_not_say_groups_are_kept(table: Table) -> None:
    split = make_split(table(LABELS, given=ALL_THREE, groups=["one patient"] * 100))
    assert not any("kept together" in note for note in split.notes)


# -- leaks and unreadable images --------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [0, 65], ids=["train", "val"])
def test_a_given_test_image_that_was_trained_on_is_marked(table: Table, other: int) -> None:
    digests = [f"d{k}" for k in range(100)]
    digests[90] = digests[other]
    split = make_split(table(LABELS, given=ALL_THREE, digests=digests))
    assert np.flatnonzero(split.leaked).tolist() == [90]
    assert list(split.parts) == ALL_THREE


def test_images_without_a_digest_are_no_copies_of_each_other(table: Table) -> None:
    digests = [f"d{k}" for k in range(100)]
    digests[5] = digests[90] = ""
    split = make_split(table(LABELS, given=ALL_THREE, digests=digests))
    assert not split.leaked.any()


def test_unreadable_images_of_a_given_test_set_stay_in_it(table: Table) -> None:
    split = make_split(table(LABELS, given=ALL_THREE, errors={3: "broken", 70: "broken", 85: "broken"}))
    assert [split.parts[row] for row in (3, 70, 85)] == ["", "", "test"]
    assert split.counts() == {"train": 59, "val": 19, "test": 20}


def test_unreadable_images_are_drawn_for_nothing(table: Table) -> None:
    errors = dict.fromkeys(range(0, 100, 7), "broken")
    split = make_split(table(LABELS, errors=errors))
    assert set(split.parts[list(errors)]) == {""}
    assert sum(split.counts().values()) == 100 - len(errors)


def test_a_class_without_a_readable_training_image_is_refused(table: Table) -> None:
    with pytest.raises(DataError, match="'class001'") as caught:
        make_split(table([0] * 20 + [1], errors={20: "broken"}))
    assert caught.value.code == "split.class-without-training"


@pytest.mark.parametrize("labels", [[0, 1], [0, 0, 0, 0, 1, 1, 1, 1]])
def test_data_that_leaves_nothing_for_validation_is_refused(table: Table, labels: list[int]) -> None:
    with pytest.raises(DataError) as caught:
        make_split(table(labels))
    assert caught.value.code == "split.empty"


def test_the_samples_are_not_changed(table: Table) -> None:
    samples = table(LABELS, given=TRAIN_VAL)
    make_split(samples)
    assert list(samples.given) == TRAIN_VAL


def test_the_rows_of_a_part_are_ascending(table: Table) -> None:
    split = make_split(table(LABELS))
    rows = split.rows("train")
    assert (np.diff(rows) > 0).all()
    assert (split.parts[rows] == "train").all()


def test_copies_follow_their_near_duplicates_whichever_copy_was_compared(table):
    """Near pairs name one copy of a content; where that one is a given test image, the other copy is no stranger."""
    labels = [0, 1] * 40
    given = ["train"] * 60 + ["test"] * 20
    digests = [f"d{k:03d}" for k in range(80)]
    near = []
    for k in range(8):
        digests[60 + k] = digests[k]  # a copy in the test set, the one that was compared
        near.append((60 + k, 30 + k))  # and a near-duplicate in train
    samples = replace(table(labels, given=given, digests=digests), near=np.array(near, np.intp))
    for seed in range(5):
        parts = make_split(samples, seed=seed).parts
        assert all(parts[k] == parts[30 + k] for k in range(8))


@pytest.mark.parametrize("sizes", [[90, *[1] * 10], [50, 2, 2, 2], [30, 1, 1, 1, 1], [5, 40, 5], [1, 1, 200]])
@pytest.mark.parametrize("seed", range(5))
def test_one_giant_group_leaves_images_for_every_part(table, sizes, seed):
    groups = [f"g{k}" for k, size in enumerate(sizes) for _ in range(size)]
    labels = [0] * 30 + [1] * len(groups)
    samples = table(labels, groups=[""] * 30 + groups)
    split = make_split(samples, seed=seed)
    for part in ("train", "val", "test"):
        assert (samples.labels[split.rows(part)] == 1).any()


def test_of_many_images_only_as_many_are_drawn_as_measuring_needs(table):
    split = make_split(table([0, 1] * 50_000))
    assert (len(split.rows("val")), len(split.rows("test"))) == (5_000, 10_000)
    assert split.rule.startswith("85 % / 5 % / 10 %")
    given = make_split(table([0, 1] * 50_000, given=["train"] * 80_000 + ["test"] * 20_000))
    assert (len(given.rows("val")), len(given.rows("test"))) == (5_000, 20_000)


# -- fewer training images ---------------------------------------------------------------------------------------


def test_a_share_of_the_training_images_leaves_what_is_measured(table: Table) -> None:
    samples = table([0] * 100 + [1] * 300, groups=[f"g{k // 2}" for k in range(400)])
    split = make_split(samples)
    half = keep_share(samples, split, 0.5)
    assert len(half.rows("train")) == pytest.approx(len(split.rows("train")) / 2, abs=4)
    for part in ("val", "test"):
        assert half.rows(part).tolist() == split.rows(part).tolist()
    assert set(half.rows("train")) <= set(split.rows("train"))
    kept, left = (set(samples.groups[half.parts == part]) for part in ("train", ""))
    assert not kept & left
    share = Counter(samples.labels[half.rows("train")].tolist())
    assert share[1] == pytest.approx(3 * share[0], rel=0.1)
    assert "training images are used (train_share)" in half.notes[-1]
    assert keep_share(samples, split, 1.0) is split


def test_a_share_that_leaves_a_class_nothing_keeps_one_unit_of_it(table: Table) -> None:
    samples = table([0] * 100 + [1] * 6)
    kept = keep_share(samples, make_split(samples), 0.01)
    assert set(samples.labels[kept.rows("train")].tolist()) == {0, 1}


# -- what must stay together ------------------------------------------------------------------------------------


@given(st.data())
def test_units_are_the_sets_that_groups_copies_and_pairs_join(table: Table, data: st.DataObject) -> None:
    """Against SciPy's disjoint sets, joined one by one."""
    from scipy.cluster.hierarchy import DisjointSet

    count = data.draw(st.integers(1, 12))
    names = [
        data.draw(st.lists(st.sampled_from(letters), min_size=count, max_size=count)) for letters in (" ab", "cdefghi")
    ]
    groups, digests = [name.strip() for name in names[0]], names[1]
    pairs = data.draw(st.lists(st.tuples(st.integers(0, count - 1), st.integers(0, count - 1)), max_size=3))
    rows = np.flatnonzero(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    near = np.array(pairs, np.intp).reshape(-1, 2)
    samples = replace(table([0] * count, groups=groups, digests=digests), near=near)
    sets = DisjointSet(rows.tolist())
    for one in rows.tolist():
        for other in rows.tolist():
            contents = {digests[one], digests[other]}
            is_pair = any(contents == {digests[left], digests[right]} for left, right in pairs)
            if is_pair or len(contents) == 1 or (groups[one] and groups[one] == groups[other]):
                sets.merge(one, other)
    assert [unit.tolist() for unit in find_units(samples, rows)] == [sorted(unit) for unit in sets.subsets()]


@pytest.mark.parametrize("count", [500, 2_000])
def test_a_chain_of_copies_holds_no_more_than_its_images(table: Table, count: int) -> None:
    """A film: each frame is a copy of the next. What is kept must not grow with the square of its length."""
    samples = replace(table([0] * count), near=np.stack([np.arange(count - 1), np.arange(1, count)], 1))
    parts = np.array(["train"] * (count // 2) + ["test"] * (count - count // 2), object)
    find_twins(samples, parts, "test")  # scipy is imported now
    tracemalloc.start()
    try:
        twins = find_twins(samples, parts, "test")
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sorted(twins) == list(range(count // 2, count))
    assert twins[count // 2][0] == count // 2 - 1  # the nearest first
    assert all(len(set(rows)) == len(rows) == 20 and max(rows) < count // 2 for rows in twins.values())
    assert most < 4_000 * count


def test_twins_are_those_that_a_walk_along_the_pairs_reaches(table: Table) -> None:
    random = np.random.default_rng(0)
    digests = [f"d{k}" for k in random.integers(0, 60, 90)]
    samples = replace(table([0] * 90, digests=digests), near=random.integers(0, 90, (45, 2)))
    parts = random.choice(["train", "val", "test"], 90).astype(object)
    linked: dict[str, set[str]] = {digest: {digest} for digest in digests}
    for one, other in samples.digests[samples.near].tolist():
        together = linked[one] | linked[other]
        linked |= dict.fromkeys(together, together)
    wanted = {
        row: {k for k in range(90) if digests[k] in linked[digests[row]] and parts[k] in ("train", "val")}
        for row in np.flatnonzero(parts == "test").tolist()
    }
    found = {row: set(rows) for row, rows in find_twins(samples, parts, "test").items()}
    assert {row: len(rows) for row, rows in found.items()} == {
        r: min(20, len(rows)) for r, rows in wanted.items() if rows
    }
    assert all(rows <= wanted[row] for row, rows in found.items())
