"""Odd looks, beside the class: planted ones are found, and nothing in classes that are dark by nature."""

from __future__ import annotations

import numpy as np
import pytest

from sightline.checks.appearance import find_odd_appearance
from sightline.checks.shapes import find_odd_aspects, find_odd_sizes

LABELS = np.array([0, 1] * 50)


def usual(seed: int = 0) -> dict[str, np.ndarray]:
    """Facts of a hundred ordinary photos: class 1 is darker and softer than class 0."""
    random = np.random.default_rng(seed)
    dark = LABELS == 1
    return {
        "brightness": np.where(dark, 0.2, 0.5) + random.normal(0, 0.04, 100),
        "contrast": random.uniform(0.1, 0.25, 100),
        "sharpness": np.where(dark, 0.05, 0.1) * np.exp(random.normal(0, 0.3, 100)),
        "saturation": random.uniform(0.1, 0.4, 100),
        "spread": random.uniform(0.1, 0.25, (100, 3)),
    }


@pytest.mark.parametrize("seed", range(10))
def test_ordinary_photos_have_no_odd_looks(subject, seed):
    assert find_odd_appearance(subject(LABELS, facts=usual(seed))) == []


@pytest.mark.parametrize(
    ("code", "values"),
    [
        ("dark", {"brightness": 0.02}),
        ("bright", {"brightness": 0.97}),
        ("flat", {"contrast": 0.001, "sharpness": 0.0}),
        ("blurred", {"sharpness": 0.004}),
        ("grey", {"saturation": 0.0}),
        ("empty-channel", {"spread": (0.2, 0.2, 0.0)}),
    ],
)
def test_a_planted_oddity_is_found_alone(subject, code, values):
    facts = usual()
    for name, value in values.items():
        facts[name][8] = value
    found = find_odd_appearance(subject(LABELS, facts=facts))
    assert [(finding.code, [case.paths[0] for case in finding.cases]) for finding in found] == [(code, ["00008.png"])]


def test_what_is_odd_in_one_class_is_usual_in_another(subject):
    facts = usual()
    facts["brightness"][8] = 0.1  # class 0 lies near 0.5
    facts["brightness"][9] = 0.1  # class 1 lies near 0.2
    (finding,) = find_odd_appearance(subject(LABELS, facts=facts))
    assert [case.paths[0] for case in finding.cases] == ["00008.png"]


def test_a_class_of_grey_images_is_no_finding(subject):
    facts = usual()
    facts["saturation"][LABELS == 1] = 0
    assert find_odd_appearance(subject(LABELS, facts=facts)) == []


def test_unreadable_images_have_no_looks(subject):
    facts = usual()
    for name in facts:
        facts[name][8] = 0
    assert find_odd_appearance(subject(LABELS, facts={**facts, "width": np.where(np.arange(100) == 8, 0, 64)})) == []


def test_thumbnails_and_giants_are_odd_sizes(subject):
    width = np.full(100, 400)
    width[3], width[4] = 40, 4000
    (finding,) = find_odd_sizes(subject(LABELS, facts={"width": width, "height": width}))
    assert {case.paths[0]: case.note for case in finding.cases} == {"00003.png": "40x40", "00004.png": "4000x4000"}


def test_sizes_within_eight_times_are_usual(subject):
    width = np.linspace(60, 400, 100).astype(int)
    assert find_odd_sizes(subject(LABELS, facts={"width": width, "height": width})) == []


def test_a_strip_is_an_odd_aspect_but_not_among_strips(subject):
    width = np.full(100, 100)
    width[7] = 900
    (finding,) = find_odd_aspects(subject(LABELS, facts={"width": width, "height": 100}))
    assert [case.paths[0] for case in finding.cases] == ["00007.png"]
    assert find_odd_aspects(subject(LABELS, facts={"width": 900, "height": 100})) == []
