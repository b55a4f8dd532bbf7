"""Shortcuts: ten planted ones are found, none on ten clean sets."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.checks.shortcuts import find_shortcuts

COUNT = 240


def clean(seed: int, classes: int = 3) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Labels and facts that have nothing to do with them, as of photos by several cameras."""
    random = np.random.default_rng(seed)
    labels = np.arange(COUNT) % classes
    sizes = np.array([(640, 480), (1024, 768), (800, 600)])[random.integers(0, 3, COUNT)]
    facts = {
        "width": sizes[:, 0],
        "height": sizes[:, 1],
        "bytes": (sizes.prod(1) * random.uniform(0.1, 0.3, COUNT)).astype(int),
        "format": np.where(random.random(COUNT) < 0.2, b"PNG", b"JPEG"),
        "mode": np.where(random.random(COUNT) < 0.1, b"L", b"RGB"),
        "orientation": np.where(random.random(COUNT) < 0.2, 6, 1),
        "has_profile": (random.random(COUNT) < 0.3).astype(int),
        "brightness": random.uniform(0.2, 0.8, COUNT) + 0.03 * labels,  # classes differ a little in what they show
        "sharpness": random.uniform(0.05, 0.2, COUNT),
        "border": random.uniform(0, 1, (COUNT, 3)),
        "border_spread": random.uniform(0.05, 0.2, COUNT),
    }
    return labels, facts


@pytest.mark.parametrize("seed", range(10))
def test_clean_sets_have_no_shortcut(subject, seed):
    labels, facts = clean(seed, classes=2 + seed % 5)
    assert find_shortcuts(subject(labels, facts=facts)) == []


def _set(name, given, other):
    def plant(facts, own):
        facts[name][own] = given
        facts[name][~own] = other

    return plant


def _sizes(facts, own):
    facts["width"][own], facts["height"][own] = 512, 512


def _heavier(facts, own):
    facts["bytes"][own] *= 4


def _brighter(facts, own):
    facts["brightness"][own] += 1


def _sharper(facts, own):
    facts["sharpness"][own] *= 8


def _frame(facts, own):
    facts["border"][own], facts["border_spread"][own] = 1.0, 0.0


def _most(facts, own):
    mostly = own & (np.arange(COUNT) % 10 != 0)
    facts["format"][:] = np.where(mostly, b"PNG", b"JPEG")


PLANTED = {
    "width and height": _sizes,
    "format": _set("format", b"PNG", b"JPEG"),
    "format of nine in ten": _most,
    "colour mode": _set("mode", b"L", b"RGB"),
    "EXIF orientation": _set("orientation", 6, 1),
    "colour profile": _set("has_profile", 1, 0),
    "file size": _heavier,
    "brightness": _brighter,
    "sharpness": _sharper,
    "border colour": _frame,
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_shortcut_is_found_and_named_with_its_class(subject, name):
    labels, facts = clean(3)
    PLANTED[name](facts, labels == 1)
    found = find_shortcuts(subject(labels, facts=facts, classes=("ant", "bee", "cat")))
    assert any(finding.message.startswith(name.split(" of ")[0]) for finding in found)
    assert all("'bee'" in finding.message.split("(")[0] for finding in found)


def test_forty_copies_of_two_files_say_nothing(subject):
    labels = np.arange(80) % 2
    assert find_shortcuts(subject(labels, digests=[f"d{label}" for label in labels])) == []


def test_very_many_small_classes_are_passed_over(subject, monkeypatch):
    monkeypatch.setattr("sightline.checks.shortcuts._MOST_IMAGES", 300)
    labels = np.repeat(np.arange(100), 20)
    assert find_shortcuts(subject(labels, facts={"width": 50 + labels})) == []


def test_few_images_say_nothing(subject):
    labels = np.arange(20) % 2
    assert find_shortcuts(subject(labels, facts={"width": 100 + 100 * labels})) == []


def test_copies_can_not_vouch_for_each_other(subject):
    """A hundred copies of one file share its size by nature; a tree must not learn the one from the other."""
    labels, facts = clean(5)
    random = np.random.default_rng(0)
    contents = random.integers(0, 12, COUNT)  # twelve files, each many times, each with one label and one size
    labels = contents % 2
    facts["width"] = 500 + 37 * random.permutation(12)[contents]
    found = find_shortcuts(subject(labels, facts=facts, digests=[f"d{k}" for k in contents]))
    assert not [finding for finding in found if finding.message.startswith("width")]
