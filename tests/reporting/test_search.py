"""The report's section on a search: its figures show the trials that there were, its words what they are worth."""

from __future__ import annotations

import base64
import re
from typing import Any

import numpy as np
import pytest

from sightline.errors import RunError
from sightline.reporting.page import render_page, write_report
from sightline.reporting.search import search
from sightline.reporting.search_figures import draw_importance, draw_search, draw_settings, draw_two_settings
from sightline.runs.recorded import Recorded
from sightline.runs.search_record import SearchRecord
from sightline.runs.writer import RunWriter

SPACE = {"learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}, "width": {"choices": [16, 32]}}
LEAD = {"observed": 0.021, "expected": 0.012, "luck": 0.009, "low": 0.001, "high": 0.03, "trials": 14, "images": 500}


def trial(number: int, *, state: str = "complete", score: float | None = 0.8, **more: Any) -> dict[str, Any]:
    settings = {"learning_rate": 10 ** -(1 + 3 * number / 20), "width": (16, 32)[number % 2]}
    course = [] if state == "failed" else [0.5, score or 0.6]
    row = {"number": number, "state": state, "reason": "", "is_plain": number == 0, "settings": settings}
    return {**row, "score": score, "course": course, "seconds": 2.5, "loss": 0.5, **more}


def record(trials: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    best = max((row for row in trials if row["score"] is not None), key=lambda row: row["score"])["number"]
    known = {"name": "tune-photos", "sentence": "Better than the plain recipe: <b>by 2.1</b>.", "plain": 0}
    found = {"ships": "best", "lead": LEAD, "sampler": "tpe", "pruner": "halving", "seconds": 75.0}
    rest = {"validation_images": 500, "space": SPACE, "importance": {"width": 0.3, "learning_rate": 0.7}}
    return {**known, **found, **rest, "best": best, "trials": trials, **more}


USUAL = [
    *(trial(k, score=0.7 + 0.01 * k) for k in range(12)),
    trial(12, state="pruned", score=None, reason="behind other trials after epoch 2"),
    trial(13, state="failed", score=None, reason="the loss was not finite"),
]


@pytest.fixture
def searched(copied_run):
    """Return a function that gives the run a search, and opens it."""

    def open_with(found: dict[str, Any]) -> Recorded:
        RunWriter.open(copied_run).write_search(found)
        return Recorded(copied_run)

    return open_with


def points_of(figure: Any, label: str) -> np.ndarray:
    (found,) = [each for each in figure.axes[0].collections if each.get_label() == label]
    return np.asarray(found.get_offsets())


def test_a_run_that_no_search_made_has_no_section(finished_run):
    run = Recorded(finished_run)
    assert search(run) is None
    assert [draw(run) for draw in (draw_search, draw_importance, draw_settings, draw_two_settings)] == [None] * 4


def test_the_history_has_every_trial_at_its_accuracy(searched):
    figure = draw_search(searched(record(USUAL)))
    np.testing.assert_allclose(points_of(figure, "trial"), [(k, 70 + k) for k in range(1, 11)])
    np.testing.assert_allclose(points_of(figure, "plain recipe"), [(0, 70)])
    np.testing.assert_allclose(points_of(figure, "best"), [(11, 81)])
    np.testing.assert_allclose(points_of(figure, "stopped early, at its last epoch"), [(12, 60)])
    (line,) = figure.axes[0].lines
    np.testing.assert_allclose(line.get_ydata(), 70 + np.arange(12))


@pytest.mark.parametrize("draw", [draw_search, draw_importance, draw_settings, draw_two_settings])
def test_figures_are_drawn_in_both_themes(searched, draw):
    run = searched(record(USUAL))
    inks = [draw(run, theme).axes[0].xaxis.label.get_color() for theme in ("light", "dark")]
    assert inks[0] != inks[1]


def test_importance_is_as_recorded_and_the_largest_on_top(searched):
    axes = draw_importance(searched(record(USUAL))).axes[0]
    assert [bar.get_width() for bar in axes.patches] == [30, 70]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["width", "learning_rate"]


def test_a_line_a_trial_goes_through_its_values(searched):
    axes = draw_settings(searched(record(USUAL))).axes[0]
    lines = [line.get_ydata() for line in axes.lines if len(line.get_ydata()) == 3]
    assert len(lines) == 12
    best = lines[-1]  # drawn last; by importance the rate comes first
    assert best[0] == pytest.approx(1 - 11 / 20)
    assert best[2] == 1 and best[1] == max(line[1] for line in lines)  # those of one width lie beside each other
    assert [round(line[1]) for line in lines] == [0, 1] * 6 and len({line[1] for line in lines}) == 12


def test_two_settings_are_those_that_matter_most(searched):
    axes = draw_two_settings(searched(record(USUAL))).axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("learning_rate", "width")
    places = np.asarray(axes.collections[-1].get_offsets())
    np.testing.assert_allclose(places[:, 0], 1 - np.arange(12) / 20)
    np.testing.assert_allclose(places[:, 1], np.arange(12) % 2, atol=0.05)


@pytest.mark.parametrize(
    "trials",
    [
        USUAL[:1],
        USUAL[:2],
        [trial(k, score=0.8) for k in range(20)],  # all equal
        [trial(k, score=0.8 + 0.001 * k, settings={"learning_rate": 0.01, "width": 16}) for k in range(20)],
        [trial(0, settings={}), *USUAL[1:]],  # a plain recipe outside of the space
        [trial(0), *(trial(k, state="failed", score=None) for k in range(1, 9))],
    ],
)
def test_few_equal_and_missing_values_are_drawn(searched, trials, no_figures):
    run = searched(record(trials))
    page = render_page("search.html.jinja", v=search(run))
    assert page.count('<th scope="row"') == len(trials)


def test_the_page_says_what_the_search_was_worth(searched, no_figures):
    run = searched(record(USUAL))
    run.facts["search"] = {"test": {"sentence": "no difference was found"}}
    page = " ".join(render_page("search.html.jinja", v=search(run)).split())
    assert "Better than the plain recipe: &lt;b&gt;by 2.1" in page
    assert "On the measured images, which no trial has seen: no difference was found." in page
    assert "12 complete, 1 pruned, 1 failed" in page
    assert "+1.2 (+0.1 to +3.0)" in page and ">+0.9<" in page and ">+2.1<" in page
    assert "the loss was not finite" in page
    first, last = page.index("81.00 %"), page.index("70.00 %")
    assert first < last  # the best first


def test_no_lead_is_shown_where_the_plain_recipe_is_the_best(searched, no_figures):
    trials = [trial(0, score=0.9), *USUAL[1:]]
    run = searched(record(trials, ships="plain"))
    run.facts["search"] = {"role": "plain"}
    page = render_page("search.html.jinja", v=search(run))
    assert "What ships is the plain recipe." in page
    assert "luck of the best" not in page


def test_the_whole_report_shows_the_section(searched):
    run = searched(record(USUAL)).run
    write_report(run)
    page = run.report_file.read_text(encoding="utf-8")
    section = re.search(r'<section id="search".*?</section>', page, re.S).group(0)
    drawn = re.findall(r'<img class="chart" src="data:image/svg\+xml;base64,([^"]+)"', section)
    assert len(drawn) == 4
    assert all(base64.b64decode(svg).startswith(b"<?xml") for svg in drawn)
    assert (run.figures_folder / "search_settings.png").is_file()


def test_a_damaged_record_is_told(searched):
    run = searched(record(USUAL))
    (run.folder / "search.json").write_text('{"name": 3}')
    with pytest.raises(RunError, match="search"):
        _ = run.search


def test_a_record_is_read_as_written():
    found = SearchRecord.from_dict(record(USUAL))
    assert found.trial(12).reason == "behind other trials after epoch 2"
    assert found.trial(12).reached == 0.6
    assert np.isnan(found.trial(13).reached)
    with pytest.raises(KeyError):
        found.trial(99)
