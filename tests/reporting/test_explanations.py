"""The report's section of explanations: its images, its words, nothing where nothing was kept."""

from __future__ import annotations

import base64
import html
import io
import re
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from sightline.reporting.explained import CAVEAT
from sightline.reporting.explanations import explanations
from sightline.reporting.page import render_page
from sightline.runs.kept_images import Explanations
from sightline.runs.recorded import Recorded
from sightline.runs.writer import RunWriter

HOSTILE = "<script>alert(1)</script>\"'{{ 7*7 }}"


@pytest.fixture
def kept() -> Explanations:
    random = np.random.default_rng(0)
    return Explanations(
        images=random.integers(0, 255, (3, 128, 128, 3), dtype=np.uint8),
        gradcam=random.integers(0, 255, (3, 128, 128), dtype=np.uint8),
        occlusion=random.integers(0, 255, (2, 128, 128), dtype=np.uint8),
        paths=np.array(["a.png", HOSTILE, "\udcff.png"]),
        labels=np.array([0, 1, 2]),
        predicted=np.array([1, 1, 2]),
        confidence=np.array([0.9, 0.8, 0.7]),
        agreement=np.array([0.5, 0.25, np.nan]),
        layer="layer4",
    )


def shown(run) -> str:
    return render_page("explanations.html.jinja", v=explanations(Recorded(run)))


def test_a_run_without_them_has_no_section(copied_run):
    copied_run.explanations_file.unlink()
    assert explanations(Recorded(copied_run)) is None


def test_each_image_stands_beside_its_maps(copied_run, kept):
    RunWriter.open(copied_run).write_explanations(kept)
    found = explanations(Recorded(copied_run))
    mistakes, right = (cards for _, cards in found["groups"])
    assert [card["path"] for card in mistakes] == ["a.png"] and len(right) == 2
    assert [[m["name"] for m in card["maps"]] for card in mistakes + right] == [["Grad-CAM", "occlusion"]] * 2 + [
        ["Grad-CAM"]
    ]
    assert found["agreement"] == "0.38"  # the mean of 0.5 and 0.25
    page = shown(copied_run)
    assert CAVEAT in html.unescape(page) and page.count("<img") == 8 and page.count("alt=") == 8
    for uri in re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page):
        image = Image.open(io.BytesIO(base64.b64decode(uri)))
        assert image.size == (128, 128) and not image.getexif()
    assert len(page) < 150_000


def test_strange_names_stay_names(copied_run, kept):
    RunWriter.open(copied_run).write_explanations(kept)
    page = shown(copied_run)
    assert "<script>" not in page and "{{" not in page.replace("{{ 7*7 }}", "") and "&lt;script&gt;" in page


def test_occlusion_alone_is_shown_too(copied_run, kept):
    RunWriter.open(copied_run).write_explanations(replace(kept, gradcam=None, layer=""))
    page = shown(copied_run)
    assert "Grad-CAM" not in page and "Occlusion covers" in page
