"""Label errors and outliers by features."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.checks.checkup import list_not_run
from sightline.checks.finding import Finding, Findings
from sightline.checks.labels import find_label_problems
from sightline.checks.subject import Embedding
from sightline.data.fixes import Fix


def embedded(subject, labels, features, **more):
    return replace(subject(labels, **more), embedding=Embedding(features.astype(np.float32), "a network"))


def blobs(seed=0):
    random = np.random.default_rng(seed)
    labels = np.arange(150) % 3
    return labels, random.normal(0, 1, (3, 16))[labels] * 3 + random.normal(0, 1, (150, 16))


def test_without_features_nothing_is_said_and_the_way_is_named(subject):
    plain = subject([0, 1] * 30)
    assert find_label_problems(plain) == []
    ((what, how),) = list_not_run(plain)
    assert "label errors" in what
    assert "--embeddings" in how


def test_a_wrong_label_is_found_with_the_right_one_as_a_proposal(subject):
    labels, features = blobs()
    labels[7] = 2  # it is a 1
    found = find_label_problems(embedded(subject, labels, features, classes=("ant", "bee", "cat")))
    (finding,) = [finding for finding in found if finding.code == "label-error"]
    assert [case.paths[0] for case in finding.cases] == ["00007.png"]
    assert [(fix.path, fix.action, fix.value) for fix in finding.fixes] == [("00007.png", "relabel", "bee")]


def test_an_image_like_no_other_is_an_outlier(subject):
    labels, features = blobs()
    features[4] = np.random.default_rng(9).normal(0, 6, 16)
    found = find_label_problems(embedded(subject, labels, features))
    outliers = [finding for finding in found if finding.code == "outlier"]
    assert outliers[0].cases[0].paths == ("00004.png",)
    assert len(outliers[0].cases) <= 4


def test_unreadable_images_are_left_out(subject):
    labels, features = blobs()
    features[3] = np.nan
    found = find_label_problems(embedded(subject, labels, features, errors={3: "broken"}))
    assert "00003.png" not in {path for finding in found for case in finding.cases for path in case.paths}


def test_a_copy_does_not_vouch_for_a_wrong_label(subject):
    labels, features = blobs()
    labels[7] = labels[10] = 2
    features[10] = features[7]
    digests = [f"d{k}" for k in range(150)]
    digests[10] = digests[7]
    found = find_label_problems(embedded(subject, labels, features, digests=digests))
    (finding,) = [finding for finding in found if finding.code == "label-error"]
    assert {case.paths[0] for case in finding.cases} == {"00007.png", "00010.png"}


def test_two_shots_of_one_thing_are_alike_and_proposed_as_a_group(subject):
    labels, features = blobs()
    features = np.concatenate([features, 4 * np.random.default_rng(1).normal(size=(150, 48))], 1)
    features[30] = features[3] * 1.1 + 0.02
    found = find_label_problems(embedded(subject, labels, features))
    (finding,) = [finding for finding in found if finding.code == "alike"]
    assert finding.cases[0].paths == ("00003.png", "00030.png")
    assert {(fix.path, fix.action, fix.value) for fix in finding.fixes} == {
        ("00003.png", "group", "alike-1"),
        ("00030.png", "group", "alike-1"),
    }


def test_near_duplicates_are_not_told_twice(subject):
    labels, features = blobs()
    features = np.concatenate([features, 4 * np.random.default_rng(1).normal(size=(150, 48))], 1)
    features[30] = features[3]
    found = find_label_problems(embedded(subject, labels, features, near=[(3, 30)]))
    assert "alike" not in [finding.code for finding in found]


@pytest.mark.parametrize(
    ("labels", "groups"),
    [
        (np.repeat(np.arange(13), 4), ()),
        (np.arange(60) % 2, [f"g{k // 20}" for k in range(60)]),
        (np.arange(60) // 30, [f"g{k // 30}" for k in range(60)]),
        (np.arange(60) // 30, ["g"] * 60),
        (np.array([0] * 59 + [1]), ()),
    ],
    ids=["thirteen classes of four", "three groups", "a class a group", "one group", "one of a class"],
)
def test_few_units_or_images_of_a_class_are_no_crash(subject, labels, groups):
    features = np.random.default_rng(0).normal(size=(len(labels), 8))
    find_label_problems(embedded(subject, labels, features, groups=groups))


def test_a_relabelled_image_may_be_in_a_group_too():
    both = (Fix("a", "relabel", "dog"), Fix("a", "group", "g"), Fix("b", "group", "g"), Fix("b", "exclude"))
    findings = Findings(Finding("label-error", "note", "x", (), "y", (fix,)) for fix in both)
    assert findings.fixes == both
