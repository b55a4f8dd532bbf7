"""Near-duplicates: under one label, under two, and across a given split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.checks.copies import (
    find_doubtful_pairs,
    find_leaks,
    find_near_conflicts,
    find_near_copies,
    find_uncompared,
    find_versions,
)

LABELS = [0, 1] * 20
GIVEN = ["train"] * 24 + ["val"] * 8 + ["test"] * 8


def test_a_pair_under_one_label_is_a_note(subject):
    (finding,) = find_near_copies(subject(LABELS, near=[(0, 2)]))
    assert (finding.severity, finding.cases[0].paths) == ("note", ("00000.png", "00002.png"))
    assert not find_near_conflicts(subject(LABELS, near=[(0, 2)]))


def test_a_pair_under_two_labels_is_a_warning(subject):
    (finding,) = find_near_conflicts(subject(LABELS, near=[(0, 1)], classes=("cat", "dog")))
    assert (finding.severity, finding.cases[0].note) == ("warning", "cat and dog")
    assert not find_near_copies(subject(LABELS, near=[(0, 1)]))


@pytest.mark.parametrize("pair", [(0, 32), (32, 0), (24, 32)])
def test_a_test_image_that_nearly_stands_in_train_or_val_is_a_near_leak(subject, pair):
    (finding,) = find_leaks(subject(LABELS, near=[pair], given=GIVEN))
    other = min(pair)
    assert finding.code == "near-leak"
    assert finding.cases[0].paths == ("00032.png", f"{other:05d}.png")


def test_near_duplicates_within_the_test_set_are_no_leak(subject):
    assert find_leaks(subject(LABELS, near=[(32, 34)], given=GIVEN)) == []


def test_a_copy_of_a_near_duplicate_leaks_as_well(subject):
    digests = [f"d{k}" for k in range(40)]
    digests[33] = digests[32]  # two test images of one content, of which only the first was compared
    (finding,) = find_leaks(subject(LABELS, near=[(0, 32)], given=GIVEN, digests=digests))
    assert [case.paths[0] for case in finding.cases] == ["00032.png", "00033.png"]


def test_an_exact_leak_is_not_told_twice(subject):
    digests = [f"d{k}" for k in range(40)]
    digests[32] = digests[0]
    found = find_leaks(subject(LABELS, near=[(2, 32)], given=GIVEN, digests=digests))
    assert [finding.code for finding in found] == ["leak"]
    assert found[0].cases[0].paths == ("00032.png", "00000.png", "00002.png")


def test_pairs_that_there_was_no_time_to_compare_are_recorded_with_a_cure(subject):
    known = subject(LABELS)
    assert find_uncompared(known) == []
    (finding,) = find_uncompared(replace(known, samples=replace(known.samples, uncompared=(30, 1_200))))
    assert finding.severity == "note" and finding.message.startswith("1,170 of 1,200 pairs")
    assert finding.cure.startswith("sightline check ")


def test_versions_are_told_by_their_originals_and_proposed_as_groups(subject):
    found = subject(LABELS, versions=[(0, 2), (2, 4), (10, 12)])
    (finding,) = find_versions(found)
    assert finding.message.startswith("5 images show 2 originals")
    assert [case.paths for case in finding.cases] == [
        ("00000.png", "00002.png", "00004.png"),
        ("00010.png", "00012.png"),
    ]
    assert [fix.value for fix in finding.fixes] == ["original-1"] * 3 + ["original-2"] * 2
    assert {fix.action for fix in finding.fixes} == {"group"}
    assert finding.severity == "warning"  # more than a tenth of the images
    assert find_versions(subject(LABELS, versions=[(0, 2)]))[0].severity == "note"
    assert find_versions(subject(LABELS, near=[(0, 2)])) == []


def test_where_a_given_split_separates_versions_a_split_is_proposed_that_does_not(subject):
    assert "--resplit" not in find_versions(subject(LABELS, versions=[(0, 2)], given=GIVEN))[0].cure
    many = subject(LABELS, versions=[(k, k + 32) for k in range(6)], given=GIVEN)
    for cure in (find_versions(many)[0].cure, find_leaks(many)[0].cure):
        assert f"sightline train {many.samples.source} --resplit" in cure
    assert "--resplit" not in find_leaks(subject(LABELS, versions=[(0, 32)], given=GIVEN))[0].cure


def test_a_test_image_with_a_version_in_train_leaks_through_a_chain(subject):
    """Version by version: the test image has no pair in train of its own."""
    found = subject(LABELS, versions=[(0, 32), (32, 34), (1, 3)], given=GIVEN)
    (finding,) = find_leaks(found)
    assert (finding.code, finding.severity) == ("version-leak", "error")
    assert [case.paths for case in finding.cases] == [("00032.png", "00000.png"), ("00034.png", "00000.png")]
    assert np.flatnonzero(found.split.leaked).tolist() == [32, 34]


def test_a_near_leak_is_not_told_again_as_a_version(subject):
    found = find_leaks(subject(LABELS, near=[(0, 32)], versions=[(2, 32)], given=GIVEN))
    assert [finding.code for finding in found] == ["near-leak"]


def test_a_doubtful_pair_is_a_question_and_nothing_else(subject):
    found = subject(LABELS, doubtful=[(0, 33)], given=GIVEN, classes=("cat", "dog"))
    (finding,) = find_doubtful_pairs(found)
    assert (finding.severity, finding.cases[0].note) == ("note", "cat and dog")
    assert finding.fixes == ()  # nobody knows
    assert find_leaks(found) == find_near_conflicts(found) == find_near_copies(found) == []
    assert not found.split.leaked.any()
