"""The page of ``sightline check``: every finding with its images, and no stranger's code."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.checks.checkup import check_subject
from sightline.checks.finding import Case, Finding, Findings
from sightline.checks.subject import Subject
from sightline.data.inspect import inspect_samples
from sightline.data.sources import read_samples
from sightline.data.split import make_split_of_nothing
from sightline.reporting.check_page import render_check

HOSTILE = "<script>alert(1)</script>\"'{{ 7*7 }}"


def inspected(folder):
    steps = inspect_samples(read_samples(folder))
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


@pytest.fixture
def visited(photos, write_image):
    """A folder with a copy, a broken file and a hostile name; its samples and findings."""
    write_image(photos / "red" / "copy.png", (220, 30, 20), seed=20)
    write_image(photos / "red" / "again.png", (220, 30, 20), seed=20)
    (photos / "blue" / f"{HOSTILE.replace('/', '')}.png").write_bytes(b"nothing")
    samples = inspected(photos)
    return samples, check_subject(Subject(samples, make_split_of_nothing(samples)))


def test_every_finding_has_a_section_with_its_words(visited):
    samples, findings = visited
    page = html.unescape(render_check(samples, findings, []))
    assert len(findings) >= 3
    assert len(re.findall(r'<section id="finding-\d+"', page)) == len(findings)
    assert all(finding.message in page and finding.code in page for finding in findings)


def test_images_stand_in_the_page_and_broken_ones_are_said(visited):
    samples, findings = visited
    page = render_check(samples, findings, [])
    assert page.count("data:image/png;base64,") >= 2
    assert "no image" in page
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_names_are_strangers_strings(visited):
    page = render_check(*visited, [(HOSTILE, HOSTILE)])
    assert "<script>alert" not in page
    assert page.count("<script>") == 1
    assert "{{ 7*7 }}" in html.unescape(page)


def test_what_was_not_run_is_said(visited):
    assert "--embeddings MODEL" in render_check(*visited, [("label errors", "--embeddings MODEL")])


def test_nothing_wrong_is_said_too(photos):
    samples = inspected(photos)
    assert "Nothing wrong was found" in render_check(samples, Findings(), [])


def test_a_page_of_very_many_cases_stays_small(photos):
    samples = inspected(photos)
    cases = tuple(Case((str(path), *map(str, samples.paths))) for path in samples.paths) * 2_000
    findings = Findings(Finding(f"code-{k}", "note", "many", cases, "none") for k in range(30))
    page = render_check(samples, findings, [])
    assert len(page) < 3_000_000
    assert page.count("and 17,800 more; --json lists all") == 30


def test_a_range_makes_floats_visible(photos, monkeypatch):
    path = photos / "red" / "depth.tif"
    Image.fromarray(np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8)).save(path)
    samples = inspected(photos)
    finding = Finding("flat", "warning", "one", (Case(("red/depth.tif",)),), "look")
    assert "no image" in render_check(samples, [finding], [])
    assert "no image" not in render_check(samples, [finding], [], (0, 1))


def test_the_page_does_not_change_the_files(visited, photos):
    before = {path: path.stat().st_mtime_ns for path in Path(photos).rglob("*")}
    render_check(*visited, [])
    assert {path: path.stat().st_mtime_ns for path in Path(photos).rglob("*")} == before
