"""Findings about files: named for another format, odd inside."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from sightline.checks.appearance import find_odd_appearance
from sightline.checks.bad_files import (
    find_narrow_range,
    find_oddities,
    find_other_formats,
    find_skipped,
    find_unreadable,
    find_wrong_extensions,
)
from sightline.data.fixes import EXCLUDED
from sightline.data.folders import FOREIGN
from sightline.pixels.decode import REMARKS

LABELS = [0, 1] * 10


@pytest.mark.parametrize(
    ("path", "form", "wrong"),
    [
        ("a/1.jpg", b"JPEG", False),
        ("a/1.JPEG", b"JPEG", False),
        ("a/1.jfif", b"JPEG", False),
        ("a/1.jpg", b"PNG", True),
        ("a/1.png", b"JPEG", True),
        ("a/1.gif", b"WEBP", True),
        ("a/1.xyz", b"PNG", False),
        ("a/1", b"PNG", False),
        ("a/1.png", b"", False),  # unreadable: another finding says so
        ("z.zip::a/1.png", b"GIF", True),
    ],
)
def test_an_ending_that_promises_another_format_is_named(subject, path, form, wrong):
    paths = [path, *(f"{k}.png" for k in range(19))]
    formats = [form, *[b"PNG"] * 19]
    found = find_wrong_extensions(subject(LABELS, paths=paths, facts={"format": formats}))
    assert [case.paths for finding in found for case in finding.cases] == ([(path,)] if wrong else [])


@pytest.mark.parametrize("remark", REMARKS)
def test_each_remark_of_the_decoder_is_a_finding(subject, remark):
    remarks = np.full(20, b"", "S16")
    remarks[3] = remark.encode()
    (finding,) = find_oddities(subject(LABELS, facts={"remark": remarks}))
    assert finding.code == remark
    assert finding.cases[0].paths == ("00003.png",)


def test_twelve_bits_in_sixteen_are_named_before_they_are_called_dark(subject):
    remarks = np.full(20, b"sixteen-bit", "S16")
    dark = subject(LABELS, facts={"remark": remarks, "brightness": 0.02, "contrast": 0.008, "sharpness": 0.01})
    (finding,) = find_narrow_range(dark)
    assert "--range 0,4095" in finding.cure
    assert find_odd_appearance(dark) == []
    assert find_narrow_range(replace(dark, value_range=(0, 4095))) == []
    assert find_narrow_range(subject(LABELS, facts={"remark": remarks})) == []


def test_a_table_of_which_no_path_exists_is_told_where_paths_begin(subject):
    (finding,) = find_unreadable(subject(LABELS, errors=dict.fromkeys(range(20), "no such file")))
    assert finding.message.startswith("none of the 20 paths exists")
    assert "relative to its folder" in finding.cure
    assert finding.fixes == ()


@pytest.mark.parametrize(("name", "value", "code"), [("frames", 3, "animation"), ("orientation", 6, "sideways")])
def test_animations_and_turned_photos_are_noted(subject, name, value, code):
    values = np.ones(20, int)
    values[5] = value
    (finding,) = find_oddities(subject(LABELS, facts={name: values}))
    assert (finding.code, finding.severity, finding.cases[0].paths) == (code, "note", ("00005.png",))


def test_images_in_other_formats_are_told_with_their_share_of_each_class(subject):
    paths = [f"cat/{k}.png" for k in range(8)] + [f"dog/{k}.png" for k in range(12)]
    skipped = [(f"cat/{k}.jp2", f"{FOREIGN}: JPEG 2000") for k in range(22)]
    skipped += [("dog/deep/x.tga", f"{FOREIGN}: TGA"), ("bird/y.tga", f"{FOREIGN}: TGA"), ("cat/n.txt", "not an image")]
    given = subject(np.repeat([0, 1], [8, 12]), paths=paths, skipped=tuple(skipped))
    (finding,) = find_other_formats(given)
    cat, dog = given.samples.classes
    assert (finding.code, finding.severity) == ("other-format", "warning")
    assert finding.message.startswith("24 images in formats that are not read (JPEG 2000, TGA): ")
    assert finding.message.endswith(f"1 of 1 of 'bird', 22 of 30 of {cat!r}, 1 of 13 of {dog!r}")
    assert [case.paths for case in finding.cases] == [(path,) for path, _ in skipped[:-1]]
    assert [case.paths for one in find_skipped(given) for case in one.cases] == [("cat/n.txt",)]


def test_excluded_images_are_counted_as_images_and_not_as_skipped_files(subject):
    (finding,) = find_skipped(subject(LABELS, skipped=(("a.png", EXCLUDED), ("b.png", EXCLUDED))))
    assert finding.message.startswith("2 images excluded by the list of fixes")
