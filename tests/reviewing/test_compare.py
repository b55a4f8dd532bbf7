"""Runs side by side: the same images found by content, whatever they are called and in whatever order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import fisher_exact
from statsmodels.stats.proportion import confint_proportions_2indep

import sightline
from sightline.errors import InputError, RunError, SightlineError
from sightline.evaluation.compare import compare_predictions
from sightline.evaluation.intervals import wilson
from sightline.evaluation.result import evaluate_rows
from sightline.reviewing.compare import Compared, _how_to_pair
from sightline.runs.folder import Run
from sightline.runs.writer import RunWriter
from sightline.runtime.predictions import Predictions
from sightline.text import p_value

CLASSES = ("ant", "bee", "cat")
Make = Callable[..., Run]


def answers(seed: int, labels: np.ndarray, share: float) -> np.ndarray:
    """Return ``[N, 3]`` probabilities, right for about ``share`` of the images."""
    random = np.random.default_rng(seed)
    said = random.dirichlet(np.ones(3), len(labels)) * 0.4
    right = random.random(len(labels)) < share
    said[np.arange(len(labels)), np.where(right, labels, (labels + 1) % 3)] += 0.6
    return said.astype(np.float32)


LABELS = np.arange(120) % 3


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Return a function that writes an evaluated run, through the writer of runs, without a training."""

    def one(
        name: str,
        said: np.ndarray,
        *,
        labels: np.ndarray = LABELS,
        classes: Sequence[str] = CLASSES,
        contents: Sequence[object] | None = None,
        leaked: Sequence[int] = (),
        bad: Sequence[int] = (),
        groups: Sequence[str] | None = None,
        part: str = "test",
        evaluated: bool = True,
        **facts: object,
    ) -> Run:
        count = len(labels)
        paths = [f"{name}-{k}.png" for k in range(count)]
        known = {"classes": list(classes), "headline_part": part, "data_root": str(tmp_path), "data": "photos"}
        known |= {"split_rule": "as given", "split_notes": []}
        writer = RunWriter.create(tmp_path / "runs", name, "", known | facts)
        contents = range(count) if contents is None else contents
        digests = [hashlib.sha256(repr(content).encode()).hexdigest() for content in contents]
        names = [classes[label] for label in labels]
        columns = {"path": paths, "label": names, "sha256": digests, "group": list(groups or [""] * count)}
        is_leaked = np.isin(np.arange(count), leaked)
        split = {"split": [part] * count, "leaked": [str(int(leak)) for leak in is_leaked]}
        writer.write_data({**columns, "error": [""] * count, "given_split": [""] * count}, split, [])
        if evaluated:
            said = said.copy()
            said[list(bad)] = np.nan
            errors = tuple("broken" if row in bad else None for row in range(count))
            rows = Predictions(tuple(classes), tuple(paths), said, np.zeros((count, 1), np.float32), errors)
            evaluation = evaluate_rows(rows, labels, is_leaked).with_part(part)
            writer.write_evaluation(evaluation.metrics, evaluation.columns(), said, None)
        writer.update(status="finished")
        writer.close()
        return writer.run

    return one


def compare(*runs: Run) -> Compared:
    return sightline.compare(*runs, quiet=True)


FIRST, SECOND = answers(1, LABELS, 0.6), answers(2, LABELS, 0.85)


def test_the_same_images_are_found_whatever_their_names_and_order(make: Make) -> None:
    order = np.random.default_rng(3).permutation(120)
    turn = (2, 0, 1)  # the second run has its classes in another order
    other = tuple(CLASSES[k] for k in turn)
    labels = np.array([other.index(CLASSES[label]) for label in LABELS[order]])
    one = make("one", FIRST)
    two = make("two", SECOND[order][:, turn], labels=labels, classes=other, contents=order.tolist())
    found = compare(one, two)
    wanted = compare_predictions(LABELS, FIRST, SECOND, CLASSES)
    assert found.pairs == (wanted,)
    assert found.pairs[0].is_significant
    assert found.names == ("one", "two") and found.paths[5] == "one-5.png"
    assert compare(two, one).pairs[0].corrected == wanted.newly_wrong


def test_exact_copies_among_the_images_are_paired_one_by_one(make: Make) -> None:
    contents = [k // 2 * 3 if k < 6 else k for k in range(120)]  # three pairs of copies ...
    labels = LABELS.copy()
    labels[:6] = 0  # ... each under one label
    found = compare(
        make("one", FIRST, labels=labels, contents=contents), make("two", SECOND, labels=labels, contents=contents)
    )
    (pair,), wanted = found.pairs, compare_predictions(labels, FIRST, SECOND, CLASSES)
    assert (pair.n, pair.units) == (120, len(set(contents)))  # copies are one witness
    assert (pair.corrected_rows, pair.newly_wrong_rows) == (wanted.corrected_rows, wanted.newly_wrong_rows)


def test_leaked_and_unreadable_images_of_either_run_are_left_out_and_counted(make: Make) -> None:
    one = make("one", FIRST, leaked=[0, 1], bad=[5])
    two = make("two", SECOND, leaked=[1, 2], bad=[0, 6])
    found = compare(one, two)
    kept = np.setdiff1d(np.arange(120), [0, 1, 2, 5, 6])
    assert (found.count_leaked, found.count_bad, found.pairs[0].n) == (3, 2, 115)
    assert found.pairs == (compare_predictions(LABELS[kept], FIRST[kept], SECOND[kept], CLASSES),)
    assert "3 more left out: a run was trained on them" in found.images()
    assert "2 more left out: a run could not read them" in found.images()


def test_several_runs_are_compared_with_the_first(make: Make) -> None:
    found = compare(make("a", FIRST), make("b", SECOND), make("c", FIRST), make("d", answers(9, LABELS, 0.6)))
    assert len(found.pairs) == 3
    assert found.pairs[0].p_adjusted == pytest.approx(3 * found.pairs[0].p)
    assert found.verdicts()[1] == "No significant difference in accuracy: c and a are right on the same images."
    assert repr(found).startswith("Compared(a, b, c, d; b is better")


def test_groups_count_as_one_witness(make: Make) -> None:
    groups = [f"patient-{k // 10}" if k < 100 else "" for k in range(120)]
    found = compare(make("a", FIRST, groups=groups), make("b", SECOND, groups=groups))
    assert (found.count_groups, found.pairs[0].units) == (10, 30)
    assert "10 groups of images that belong together" in found.images()
    other = compare(make("c", FIRST), make("d", SECOND, groups=groups))  # what one run knows holds for both
    assert other.pairs[0].units == 30
    assert f"of 120 images (effective n={other.pairs[0].n_effective})" in other.verdicts()[0]


def test_images_of_a_single_class_are_compared(make: Make) -> None:
    labels = np.ones(120, np.int64)
    found = compare(
        make("one", answers(1, labels, 0.6), labels=labels), make("two", answers(2, labels, 0.9), labels=labels)
    )
    (pair,) = found.pairs
    assert pair.corrected > pair.newly_wrong and pair.is_significant
    assert pair.metrics["balanced_accuracy"].first == pair.metrics["accuracy"].first
    assert "two is better" in found.verdicts()[0]


def test_a_validation_figure_is_said_to_be_one(make: Make) -> None:
    (note,) = compare(make("a", FIRST), make("b", SECOND, part="val")).notes
    assert "chose the epoch of b" in note


def test_rows_name_the_images_with_what_both_said_the_largest_change_first(make: Make) -> None:
    found = compare(make("a", FIRST), make("b", SECOND))
    rows = found.rows(0)
    assert {row.path for row in rows["corrected"]} == {f"a-{k}.png" for k in found.pairs[0].corrected_rows}
    for row in rows["corrected"]:
        assert row.second == row.label != row.first
    for row in rows["newly_wrong"]:
        assert row.first == row.label != row.second
    for name, sign in (("corrected", 1), ("newly_wrong", -1)):
        images = [int(row.path[2:-4]) for row in rows[name]]
        change = (SECOND - FIRST)[images, LABELS[images]]
        assert len(images) > 3 and (sign * change > 0).all() and (np.diff(np.abs(change)) <= 0).all()
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["pairs"][0]["images_corrected"] == [row.to_dict() for row in rows["corrected"]]
    assert document["pairs"][0]["corrected"] == len(rows["corrected"])
    assert "corrected_rows" not in document["pairs"][0]


def test_runs_of_one_name_in_two_folders_keep_their_paths(make: Make, tmp_path: Path) -> None:
    one, two = make("a", FIRST), make("b", SECOND)
    (tmp_path / "other").mkdir()
    moved = Run(two.folder.rename(tmp_path / "other" / "a"))
    assert compare(one, moved).names == (str(one.folder), str(moved.folder))


# -- refused ----------------------------------------------------------------------------------------------------


def refused(code: str, *runs: Run) -> SightlineError:
    with pytest.raises(SightlineError) as caught:
        compare(*runs)
    assert caught.value.code == code
    assert caught.value.cure
    return caught.value


def test_other_images_are_refused_and_named(make: Make) -> None:
    contents = [*range(118), "new", "newer"]
    error = refused("compare.other-images", make("a", FIRST), make("b", SECOND, contents=contents))
    assert "2 images only in" in error.message
    assert "a-118.png, a-119.png" in error.message and "b-118.png, b-119.png" in error.message
    assert "--set split_seed" in error.cure
    other = refused(
        "compare.other-images", make("c", FIRST), make("d", SECOND, contents=contents, data_fingerprint="x")
    )
    assert "split_seed" not in other.cure and "test part" in other.cure


def test_other_groups_of_the_same_images_are_named_as_the_reason(make: Make) -> None:
    grouped = make("a", FIRST, groups=[f"g{k // 4}" for k in range(120)], data_fingerprint="x")
    assert "--group RULE --set split_seed=NUMBER" in _how_to_pair(grouped, make("b", SECOND))
    assert "the data differ" in _how_to_pair(grouped, make("c", SECOND, contents=range(1, 121)))


def test_what_can_be_said_of_runs_on_other_images_is_said(make: Make) -> None:
    """As of a training on the given split and one on a split of its own: each accuracy, and an unpaired difference."""
    others = answers(5, LABELS, 0.95)
    error = refused("compare.other-images", make("a", FIRST), make("b", others, contents=range(200, 320)))
    right = [int((said.argmax(1) == LABELS).sum()) for said in (FIRST, others)]
    assert f"a {wilson(right[0], 120)}, b {wilson(right[1], 120)}" in error.message
    low, high = confint_proportions_2indep(right[1], 120, right[0], 120, compare="diff", method="newcomb")
    assert f"({100 * low:+.1f} to {100 * high:+.1f}, {p_value(p_of(right))}) more than chance" in error.message
    assert "of the runs, of their test images, or of both" in error.message
    groups = ["one"] * 60 + ["two"] * 60
    few = refused("compare.other-images", make("c", FIRST), make("d", SECOND, contents=range(200, 320), groups=groups))
    assert "too few groups" in few.message


def p_of(right: list[int]) -> float:
    return float(fisher_exact([[right[1], 120 - right[1]], [right[0], 120 - right[0]]]).pvalue)


def test_fewer_images_are_refused(make: Make) -> None:
    half = make("b", SECOND[:60], labels=LABELS[:60])
    assert "60 images only in" in refused("compare.other-images", make("a", FIRST), half).message


def test_another_label_is_refused_and_named(make: Make) -> None:
    labels = LABELS.copy()
    labels[4] = 2
    error = refused("compare.other-images", make("a", FIRST), make("b", SECOND, labels=labels))
    assert "1 image with another label (a-4.png is 'bee', then 'cat')" in error.message
    assert "only in" not in error.message


def test_other_classes_are_refused_and_named(make: Make) -> None:
    other = make("b", SECOND, classes=("ant", "bee", "dog"))
    error = refused("compare.other-classes", make("a", FIRST), other)
    assert "'cat' only in" in error.message and "'dog' only in" in error.message


def test_a_run_that_was_not_evaluated_is_refused(make: Make) -> None:
    refused("run.not-evaluated", make("a", FIRST), make("b", SECOND, evaluated=False))


def test_a_run_over_several_seeds_is_refused_with_a_training_to_name(make: Make) -> None:
    error = refused("compare.repeated", make("a", FIRST), make("b", SECOND, kind="seeds", times=3))
    assert "b/seed-1" in error.cure


def test_one_run_is_too_few(make: Make) -> None:
    with pytest.raises(InputError) as caught:
        compare(make("a", FIRST))
    assert caught.value.code == "compare.few"


def test_nothing_left_is_refused(make: Make) -> None:
    one, two = make("a", FIRST, leaked=range(0, 119)), make("b", SECOND, leaked=range(1, 120))
    refused("compare.no-images", one, two)


def test_an_evaluation_that_does_not_fit_together_is_refused(make: Make) -> None:
    one, two = make("a", FIRST), make("b", SECOND)
    np.save(two.probabilities_file, SECOND[:50])
    error = refused("run.damaged", one, two)
    assert isinstance(error, RunError) and "(50, 3)" in error.message and "verify" in error.cure


def test_nothing_is_written(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    one, two = make("a", FIRST), make("b", SECOND)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    compare(one, two)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
