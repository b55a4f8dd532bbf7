"""The report's section of robustness: every figure, the words that follow from them, one image under each change."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest

from sightline.evaluation.corruption_drops import CorruptionDrop, Robustness, measure_drops
from sightline.evaluation.intervals import Interval
from sightline.pixels.corruptions import CORRUPTIONS, SEVERITIES
from sightline.reporting.corruptions import robustness
from sightline.reporting.page import render_page
from sightline.runs.recorded import Recorded
from sightline.runs.writer import RunWriter


def measured_of(run, lost: dict[tuple[str, int], int], count: int = 300) -> Robustness:
    """What a measurement would have written, had each change cost so many of 90 % right images."""
    before = np.arange(count) < 0.9 * count
    changes = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    after = [np.arange(count) < 0.9 * count - lost.get(change, 0) for change in changes]
    drops = measure_drops(before, after)
    return Robustness(
        part="test",
        count=count,
        count_all=1000,
        count_bad=2,
        bad=("x.png", "y.png"),
        seed=0,
        example=run.predictions[0]["path"],
        accuracy=Interval(0.9, 0.86, 0.93, count, "Wilson, 95 %"),
        rows=tuple(
            CorruptionDrop(n, s, CORRUPTIONS[n].describe(s), drop) for (n, s), drop in zip(changes, drops, strict=True)
        ),
    )


@pytest.fixture
def page(copied_run):
    lost = {("noise", 2): 60, ("noise", 3): 150, ("blur", 3): 30, ("jpeg", 3): 4}
    RunWriter.open(copied_run).write_robustness(measured_of(copied_run, lost))
    found = robustness(Recorded(copied_run))
    return found, render_page("robustness.html.jinja", v=found)


def test_a_run_without_it_has_no_section(finished_run):
    assert robustness(Recorded(finished_run)) is None


def test_the_table_has_every_change_with_its_figures(page):
    rows = re.findall(r"<tr>(.*?)</tr>", page[1], re.S)[1:]
    assert len(rows) == 24
    (noise,) = [row for row in rows if "noise of 10 % of the range" in row]
    assert "70 % (65 to 75, n=300)" in noise and "-20.0" in noise and ">60<" in noise and "&lt; 0.0001" in noise
    assert "300 images of the test part, drawn evenly from 1,000" in " ".join(page[1].split())
    assert "2 could not be read" in page[1]


def test_what_hurts_is_said_by_its_mildest_form_the_costliest_first(page):
    assert page[0]["hurt"] == [
        "noise of 10 % of the range costs 20.0 points",
        "blurred over 2.0 % of the side costs 10.0 points",
    ]
    assert page[0]["spared"] == [name for name in CORRUPTIONS if name not in ("noise", "blur")]


def test_a_image_stands_there_under_each_change(page):
    assert len(page[0]["changed"]) == 24 and page[1].count("<img") == 25
    assert len({image["uri"] for image in page[0]["changed"]}) > 20


def test_a_image_that_is_gone_leaves_the_table(copied_run):
    written = replace(measured_of(copied_run, {}), example="gone.png")
    RunWriter.open(copied_run).write_robustness(written)
    page = render_page("robustness.html.jinja", v=robustness(Recorded(copied_run)))
    assert "<img" not in page and page.count("<tr>") == 25
    assert "What hurts" not in page
