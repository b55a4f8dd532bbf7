"""A row of ``METRICS`` is enough: each metric is in every place that shows, requires, compares or sorts metrics."""

from __future__ import annotations

import html
import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from sightline.evaluation.compare import compare_predictions
from sightline.evaluation.intervals import Interval
from sightline.evaluation.metrics import METRICS, Metric, OfImages, OfRanking, evaluate_predictions
from sightline.evaluation.repeats import average_metrics
from sightline.evaluation.result import Evaluation
from sightline.reporting.card import render_model_card
from sightline.reporting.page import render_report
from sightline.reporting.sections import all_metrics
from sightline.reporting.verdicts import repeated
from sightline.runs.folder import Run
from sightline.runs.recorded import Recorded

CLASSES = tuple("abcdef")


def has(metric: Metric, classes: int) -> bool:
    """Whether so many classes have that metric."""
    return not isinstance(metric.compute, OfImages) or classes >= metric.compute.least_classes


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray]:
    """Labels and probabilities of six classes, for which every metric can be computed."""
    random, labels = np.random.default_rng(0), np.arange(120) % 6
    shares = random.dirichlet(np.ones(6), 120) + 0.8 * np.eye(6)[labels]
    return labels, (shares / shares.sum(1, keepdims=True)).astype(np.float32)


def test_every_metric_is_computed(case: tuple[np.ndarray, np.ndarray], finished_run: Run) -> None:
    assert METRICS.keys() <= evaluate_predictions(*case, CLASSES).keys()
    recorded = {name for name, metric in METRICS.items() if has(metric, 3)}
    assert METRICS.keys() & finished_run.metrics.keys() == recorded


def test_the_report_the_card_and_a_notebook_show_every_metric(finished_run: Run) -> None:
    page, card = html.unescape(render_report(finished_run)), render_model_card(Recorded(finished_run))
    shown = all_metrics(Recorded(finished_run))["rows"]
    assert [metric for metric, *_ in shown] == [metric for metric in METRICS.values() if has(metric, 3)]
    measured = Evaluation(None, None, finished_run.metrics, None)  # type: ignore[arg-type]
    cell = html.unescape(measured._repr_html_())
    for metric, text, _ in shown:
        assert metric.shown(Interval(**finished_run.metrics[metric.name])) == text
        assert f'data-metric="{metric.name}"' in page
        assert f"| {metric.words} | {text} |" in card
        assert metric.words in page and text in page and metric.words in cell and text in cell


def test_evaluate_prints_and_takes_every_metric(sightline, finished_run: Run, colours: Path, here: Path) -> None:
    run = shutil.copytree(finished_run.folder, here / "run")
    given = [metric for metric in METRICS.values() if has(metric, 3)]
    required = [
        option
        for metric in given
        for option in ("--require", f"{metric.name}{'>=' if metric.is_higher_better else '<='}{worst(metric)}")
    ]
    status, out, err = sightline("evaluate", run, colours, *required)
    assert status in (0, 3), err
    assert [metric.words for metric in given if re.search(rf"^{re.escape(metric.words)}  ", out, re.M)] == [
        metric.words for metric in given
    ]
    assert err.count(": met") == len(given)


def worst(metric: Metric) -> float:
    return metric.least if metric.is_higher_better else min(metric.most, 99)


def test_repeats_average_every_metric_and_show_its_spread(case: tuple[np.ndarray, np.ndarray]) -> None:
    own = {"schema_version": 3, "part": "test", "count": 120, "count_bad": 0, "count_leaked": 0, "baselines": {}}
    metrics = average_metrics([own | evaluate_predictions(*case, CLASSES)] * 2)
    assert METRICS.keys() == metrics["spread"].keys()
    assert METRICS.keys() <= metrics.keys()

    facts = {"kind": "seeds", "times": 2, "data": "d"}
    of_two = {"facts": facts, "metrics": {**metrics, "done": 2}, "folder": Path("runs/two")}
    run = SimpleNamespace(**of_two, run=SimpleNamespace(parts=[]))
    rows = {row["words"]: row for row in repeated(run)["rows"]}  # type: ignore[arg-type]
    assert list(rows) == [metric.words for metric in METRICS.values()]
    assert all(len(row["cells"]) == 4 and len(row["values"]) == 2 for row in rows.values())


def test_a_comparison_has_every_metric_but_those_of_ranking(case: tuple[np.ndarray, np.ndarray]) -> None:
    labels, shares = case
    found = compare_predictions(labels, shares, np.roll(shares, 1, axis=0), CLASSES, draws=20)
    assert list(found.metrics) == [
        name for name, metric in METRICS.items() if not isinstance(metric.compute, OfRanking)
    ]


def test_runs_are_listed_with_every_metric(sightline, finished_run: Run, here: Path) -> None:
    shutil.copytree(finished_run.folder, here / "runs" / "one")
    for metric in METRICS.values():
        status, out, err = sightline("runs", "--sort", metric.name)
        assert status == 0, err
        assert metric.words in out.splitlines()[0]
        (row,) = json.loads(sightline("runs", "--json", "--sort", metric.name)[1])["runs"]
        wanted = finished_run.metrics[metric.name]["value"] if has(metric, 3) else None
        assert row[metric.name] == wanted
