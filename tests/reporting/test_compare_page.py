"""The page of ``sightline compare``: metrics, classes and images of what changed; no stranger's code."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

import sightline
from finished import record_again
from sightline.evaluation.metrics import METRICS
from sightline.reporting.compare_page import render_comparison
from sightline.reviewing.compare import Compared
from sightline.runs.folder import Run

HOSTILE = "<script>alert(1)<script>\"'{{ 7*7 }}"


@pytest.fixture
def compared(finished_run: Run, tmp_path: Path) -> Compared:
    """The finished run against a copy that has every third image wrong, under a hostile name."""
    other = Run(shutil.copytree(finished_run.folder, tmp_path / HOSTILE.replace("/", "")))
    said = np.load(other.probabilities_file)
    said[::3] = np.roll(said[::3], 1, axis=1)
    np.save(other.probabilities_file, said)
    record_again(other)
    return sightline.compare(finished_run, other, quiet=True)


def render(compared: Compared) -> str:
    images = [compared.rows(place) for place in range(len(compared.pairs))]
    return render_comparison(compared.runs, compared.names, [compared.images()], compared.pairs, images)


def test_the_page_shows_verdict_figures_classes_and_images(compared: Compared) -> None:
    page = render(compared)
    text = html.unescape(page)
    assert compared.verdicts()[0] in text
    for name, change in compared.pairs[0].metrics.items():
        assert all(cell in text for cell in (METRICS[name].words, *change.cells(name)))
    assert all(f'<th scope="row">{row.name}</th>' in page for row in compared.pairs[0].classes)
    assert page.count("data:image/png;base64,") == compared.pairs[0].corrected + compared.pairs[0].newly_wrong > 0
    assert all(row.path in text for row in compared.rows(0)["newly_wrong"])


def test_names_are_strangers_strings(compared: Compared) -> None:
    page = render(compared)
    assert "<script>alert" not in page and page.count("<script>") == 1
    assert "{{ 7*7 }}" in html.unescape(page)


def test_nothing_comes_from_elsewhere(compared: Compared) -> None:
    page = render(compared)
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)
    assert "default-src 'none'" in html.unescape(page)


def test_images_that_are_gone_are_said(compared: Compared, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    run = Run(shutil.copytree(compared.runs[0].folder, tmp_path / "gone"))
    run.facts_file.write_text(json.dumps(run.facts | {"data_root": str(tmp_path / "nowhere")}))
    images = [compared.rows(0)]
    page = render_comparison((run, compared.runs[1]), compared.names, [], compared.pairs, images)
    assert page.count("image not found") == len(images[0]["corrected"]) + len(images[0]["newly_wrong"])


def test_many_pairs_and_images_stay_a_small_page(compared: Compared) -> None:
    rows = compared.rows(0)
    many = dict.fromkeys(("corrected", "newly_wrong"), (rows["corrected"] or rows["newly_wrong"]) * 200)
    pairs, names = compared.pairs * 8, (compared.names[0], *compared.names[1:] * 8)
    page = render_comparison(compared.runs, names, [], pairs, [many] * 8)
    assert len(page) < 3_000_000
    assert page.count("<figure>") <= 240
