"""Curves of ranking: thinned ones still have the areas of scikit-learn's whole ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import auc, average_precision_score, roc_auc_score

from sightline.reporting.ranking import curves_of_class, draw_ranking
from sightline.runs.recorded import Recorded


@pytest.mark.parametrize("n", [20, 5_000])
def test_thinned_curves_keep_their_areas(n: int) -> None:
    random = np.random.default_rng(n)
    is_class = random.random(n) < 0.2
    scores = random.normal(size=n) + is_class
    (false, true), (recall, precision) = curves_of_class(is_class, scores)
    assert len(false) <= 205 and len(recall) <= 205
    assert auc(false, true) == pytest.approx(roc_auc_score(is_class, scores), abs=0.005)
    steps = float(-(np.diff(recall) * precision[:-1]).sum())
    assert steps == pytest.approx(average_precision_score(is_class, scores), abs=0.01)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)


def test_each_class_is_drawn_with_its_areas(finished_run) -> None:
    roc, precision = draw_ranking(Recorded(finished_run)).axes
    rows = {row["class"]: row for row in finished_run.metrics["classes"]}
    for axes, name in ((roc, "roc_auc"), (precision, "average_precision")):
        labels = [text.get_text() for text in axes.get_legend().get_texts()]
        assert sorted(labels) == sorted(f"{key} {row[name]:.3f}" for key, row in rows.items())
