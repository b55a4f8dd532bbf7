"""A finished run knows about itself what validation told it, and the test images told it nothing."""

from __future__ import annotations

import math
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import sightline
from finished import write_colours
from sightline.data.samples import Samples
from sightline.data.split import Split, calibration_rows, selection_rows
from sightline.data.units import number_units
from sightline.evaluation.abstain import describe_unknown, new_shares
from sightline.evaluation.calibration import describe_calibration
from sightline.events import Progressed, Warned
from sightline.measuring import evaluate
from sightline.pipeline.calibrate import calibrate, describe_confidence, describe_novelty
from sightline.planning.ending import LEAST_REFERENCES
from sightline.runs.folder import Run
from sightline.steps import Steps


def split_of(parts: list[str]) -> Split:
    return Split(np.array(parts, object), 0, "", (), "test", np.zeros(len(parts), bool))


def test_few_validation_images_do_both_and_many_are_halved_class_by_class() -> None:
    few = split_of(["train"] * 5 + ["val"] * 999)
    labels = np.arange(1_004) % 3
    assert np.array_equal(selection_rows(few, labels), few.rows("val"))
    assert np.array_equal(calibration_rows(few, labels), few.rows("val"))
    many, labels = split_of(["train"] * 5 + ["val"] * 1_001), np.random.default_rng(0).integers(0, 3, 1_006)
    one, other = selection_rows(many, labels), calibration_rows(many, labels)
    assert sorted([*one, *other]) == many.rows("val").tolist()
    for label in range(3):
        assert abs(int((labels[one] == label).sum()) - int((labels[other] == label).sum())) <= 1


def test_images_without_a_group_are_units_of_their_own() -> None:
    samples = Samples(
        Path("x"),
        "x",
        ("a",),
        np.array(list("pqrst"), object),
        np.zeros(5, np.int64),
        groups=np.array(["one", "", "one", "", "two"], object),
    )
    units = number_units(samples, np.arange(5))
    assert units is not None
    assert units[0] == units[2]
    assert len(set(units.tolist())) == 4
    assert number_units(samples, np.array([1, 3])) is None


class Timed:
    """A network with features of two classes; where there is a limit, its time is over at once."""

    def __init__(self, labels: np.ndarray) -> None:
        self._features = np.random.default_rng(1).normal(labels[:, None], 0.5, (len(labels), 2)).astype(np.float32)

    def extract(self, bench: Any, rows: np.ndarray, total: int, done: int, until: float = math.inf) -> Any:
        yield Progressed(done, total, "images")
        return self._features[rows if until == math.inf else rows[:0]]

    def logits(self, features: np.ndarray) -> np.ndarray:
        return np.stack([1 - features[:, 0], features[:, 0]], 1)


@pytest.mark.parametrize(("limit", "rest_on"), [(60.0, LEAST_REFERENCES), (0.0, 400)])
def test_novelty_rests_on_some_images_whatever_the_limit_is(limit: float, rest_on: int) -> None:
    split = split_of(["train"] * 400 + ["val"] * 100)
    labels = np.arange(500) % 2
    samples = Samples(Path("x"), "x", ("a", "b"), np.array([f"{number}" for number in range(500)], object), labels)
    bench: Any = SimpleNamespace(samples=samples, split=split, store=SimpleNamespace(errors={}))
    plan: Any = SimpleNamespace(settings=SimpleNamespace(seed=0, time=limit))
    network: Any = Timed(labels)
    steps = Steps(calibrate(network, plan, bench))
    events, found = list(steps), steps.result
    assert len(found.rows) == len(found.features) == rest_on
    warned = [event.message for event in events if isinstance(event, Warned)]
    assert bool(warned) is (rest_on < 400)


def test_the_promise_is_told_in_words() -> None:
    hits = np.array([True] * 80 + [False] * 20)
    assert "No confidence threshold" in describe_confidence(None, 0.05, hits)
    assert "100 validation images are too few" in describe_confidence(None, 0.05, np.ones(100, bool))
    assert "All images" in describe_confidence(0, 0.05, hits)
    assert "From a confidence of 0.80 on" in describe_confidence(0.8, 0.05, hits)
    assert "72 are needed" in describe_confidence(None, 0.05, np.ones(50, bool))
    assert "24 validation images are too few for a limit of novelty: 45" in describe_novelty(None, 24)
    assert "2.5 to 5.3 of 100 are called new" in describe_novelty(new_shares(500), 500)
    assert "12 validation images in 4 groups" in describe_novelty(None, 12, np.arange(12) // 3)


def test_temperature_and_thresholds_ship_with_the_classifier(finished_run: Run) -> None:
    bundle, metrics = finished_run.classifier().bundle, finished_run.metrics
    assert bundle.temperature == metrics["calibration"]["validation"]["temperature"]
    assert bundle.min_confidence == metrics["unknown"]["min_confidence"]


def test_what_is_told_of_the_test_images_follows_from_the_files(finished_run: Run) -> None:
    rows, metrics = finished_run.predictions, finished_run.metrics
    said = np.load(finished_run.probabilities_file)
    labels = np.array([finished_run.facts["classes"].index(row["label"]) for row in rows])
    told = describe_calibration(labels, said, metrics["calibration"]["temperature"])
    assert metrics["calibration"]["after"] == told["after"]
    assert metrics["calibration"]["before"] == told["before"]
    novelty = np.array([float(row["novelty"]) for row in rows], np.float32)
    found = describe_unknown(labels, said, novelty, metrics["unknown"]["min_confidence"], 0.05, None, None)
    assert metrics["unknown"]["max_novelty"] is None  # 18 validation images
    assert metrics["unknown"]["new"] == found["new"]
    assert metrics["unknown"]["non_images"]["noise"]["n"] == 16


def test_the_nearest_training_image_is_one_and_of_the_same_colour(finished_run: Run) -> None:
    parts = {row["path"]: row["split"] for row in finished_run.samples}
    rows = finished_run.predictions
    assert {parts[row["nearest"]] for row in rows} == {"train"}
    agree = [Path(row["nearest"]).parent.name == row["label"] for row in rows]
    assert np.mean(agree) > 0.8


def test_evaluating_other_images_keeps_figures_and_answers(finished_run: Run, tmp_path: Path) -> None:
    other = write_colours(tmp_path / "other", 6, seed=7)
    strange = tmp_path / "strange"
    for name in ("red", "blue"):
        (strange / name).mkdir(parents=True)
    evaluation = sightline.evaluate(
        finished_run.folder, other, unknown=other / "red", out=tmp_path / "kept", quiet=True
    )
    assert {path.name for path in (tmp_path / "kept").iterdir()} == {
        "metrics.json",
        "predictions.csv",
        "probabilities.npy",
        "evaluation.json",
        "report.html",
    }
    page = (tmp_path / "kept" / "report.html").read_text(encoding="utf-8")
    words = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))
    assert f"Of {evaluation.accuracy.n} images of {other}" in words
    assert finished_run.classifier().bundle.max_novelty is None  # validation is small
    assert "Of 6 such images none can be called new, without a limit of novelty" in words
    assert np.array_equal(np.load(tmp_path / "kept" / "probabilities.npy"), evaluation.predictions.probabilities)
    foreign = evaluation.metrics["unknown"]["foreign"]
    assert (foreign["count"], foreign["count_bad"]) == (6, 0)
    novelty = finished_run.classifier().predict(sorted((other / "red").iterdir())).novelty
    known = finished_run.classifier().predict(sorted(other.glob("*/*"))).novelty
    assert foreign["new"]["value"] == np.mean(novelty > 1) != np.mean(novelty < 1)
    truth = np.repeat([True, False], [len(novelty), len(known)])
    assert foreign["auroc_novelty"] == pytest.approx(roc_auc_score(truth, [*novelty, *known]))
    assert foreign["auroc_novelty"] < 0.9  # they are of the known kind
    assert evaluation.metrics["count_evaluations"] == 1
    with pytest.raises(sightline.errors.RunError, match="not empty"):
        sightline.evaluate(finished_run.folder, other, out=tmp_path / "kept", quiet=True)
    with pytest.raises(sightline.errors.DataError, match="holds no images"):
        sightline.evaluate(finished_run.folder, other, unknown=strange, out=tmp_path / "new", quiet=True)


def test_the_tenth_classifier_on_one_set_is_warned_of(finished_run: Run, tmp_path: Path, monkeypatch, capsys) -> None:

    other = write_colours(tmp_path / "other", 3, seed=8)
    monkeypatch.setattr(evaluate, "MANY_EVALUATIONS", 1)
    sightline.evaluate(finished_run.folder, other, out=tmp_path / "kept")
    assert "the best result is too optimistic" in capsys.readouterr().err
