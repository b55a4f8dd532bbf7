"""Trials over folds: each image is measured once by a network that was not trained on it, and no test image at all."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sightline.errors import InputError, TrainingError
from sightline.events import Progressed
from sightline.pipeline.decide import decide
from sightline.pipeline.job import Job
from sightline.pipeline.look import look
from sightline.planning.recipe import Recipe
from sightline.reading import frozen_features
from sightline.steps import Steps, result_of
from sightline.tuning import trial
from sightline.tuning.budget import Budget
from sightline.tuning.folds import measure
from sightline.tuning.handover import Share, read_bench, write_bench
from sightline.tuning.job import SearchJob, refuse_search
from sightline.tuning.outcome import Outcome, unpack_hits
from sightline.tuning.trial import Bench, measure_trial

HEAD: dict[str, Any] = {"engine": "onnxruntime", "size": 32, "versions": "off"}
NETWORK: dict[str, Any] = {"model": "small-cnn", "epochs": 1, "size": 16, "versions": "off"}


def never(step: int | None, accuracy: float) -> tuple[str, str]:
    return "", ""


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(cached: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SIGHTLINE_CACHE", str(cached))


def bench_of(data: Path, chosen: dict[str, Any], count: int) -> Bench:
    job = Job(data, options=Recipe(**chosen))
    looked, _ = result_of(look(job))
    return Bench(job.options, looked, result_of(decide(job, looked)), count)


@pytest.fixture(scope="module")
def bench(shapes: Path) -> Bench:
    return bench_of(shapes, HEAD, 3)


@pytest.fixture(scope="module")
def measured(bench: Bench, cached: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The plain recipe."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(cached))
        return result_of(measure(bench, {}, tmp_path_factory.mktemp("scratch") / "trial-0", never))


def test_each_image_but_those_of_the_test_is_measured_once(bench: Bench, measured: Outcome) -> None:
    paths = bench.looked.samples.paths[bench.val]
    assert len(paths) == len(set(paths)) == 120 and not any(path.startswith("test") for path in paths)
    hits = unpack_hits(measured.hits, 120)
    assert measured.score == pytest.approx(hits.mean()) and 0.4 < hits.mean() < 1
    ends = np.cumsum([len(part.val) for part in bench.parts])
    assert list(measured.course) == pytest.approx([hits[:end].mean() for end in ends], abs=1e-6)
    assert measured.loss is not None and measured.state == "complete"


def test_a_fold_is_what_the_same_split_in_folders_gives(bench: Bench, measured: Outcome, tmp_path: Path) -> None:
    """The second fold, copied into folders train and val."""
    part = bench.parts[1]
    samples, split = part.looked.samples, part.looked.split
    for name in ("train", "val"):
        for row in split.rows(name):
            target = tmp_path / "data" / name / samples.classes[samples.labels[row]]
            target.mkdir(parents=True, exist_ok=True)
            shutil.copy(samples.root / samples.paths[row], target / samples.paths[row].replace("/", "-"))
    other = bench_of(tmp_path / "data", {**HEAD, "select_on_val": True}, 0)
    found = result_of(measure_trial(other, {}, tmp_path / "trial-0", never))
    first = len(bench.parts[0].val)
    mine = unpack_hits(measured.hits, 120)[first : first + len(part.val)]
    by_name = dict(zip((path.replace("/", "-") for path in samples.paths[part.val]), mine.tolist(), strict=True))
    theirs = unpack_hits(found.hits, len(other.val))
    names = [Path(path).name for path in other.looked.samples.paths[other.val]]
    assert by_name == dict(zip(names, theirs.tolist(), strict=True))


def test_features_are_computed_once_for_all_folds(
    bench: Bench, measured: Outcome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen_features, "open_session", lambda *_, **__: pytest.fail("features were computed again"))
    again = result_of(measure(replace(bench, folds=4, _parts=[]), {"head_strength": 0.01}, tmp_path / "trial-1", never))
    assert again.state == "complete" and len(again.course) == 4


def test_a_trial_that_is_behind_stops_between_two_folds(bench: Bench, measured: Outcome, tmp_path: Path) -> None:
    told: list[tuple[int, float]] = []

    def watch(fold: int | None, accuracy: float) -> tuple[str, str]:
        told.extend([(fold, accuracy)] if fold else [])
        return ("pruned", "behind") if fold == 2 else ("", "")

    steps = Steps(measure(bench, {}, tmp_path / "trial-2", watch))
    shown = [event for event in steps if isinstance(event, Progressed) and "folds" in event.unit]
    assert [event.done for event in shown] == [1, 2] and not (tmp_path / "trial-2").exists()
    found = steps.result
    assert (found.state, found.reason, found.score, found.hits) == ("pruned", "behind", None, "")
    assert told == [(1, measured.course[0]), (2, measured.course[1])]


def test_a_fold_that_fails_is_named(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, calls = trial.ENGINES["onnxruntime"], []

    class Engine:
        open = real.open

        def fit(self, plan: Any, workbench: Any, session: Any) -> Any:
            calls.append(workbench.split.counts())
            if len(calls) == 2:
                raise TrainingError("training.diverged", "the loss is not finite", "a lower rate")
            return real.fit(plan, workbench, session)

    monkeypatch.setitem(trial.ENGINES, "onnxruntime", Engine())
    found = result_of(measure(bench, {}, tmp_path / "trial-3", never))
    assert found.state == "failed" and found.reason == "training.diverged: the loss is not finite (fold 2 of 3)"
    assert calls == [{"train": 80, "val": 40, "test": 0}] * 2 and len(found.course) == 1


def test_with_torch_a_network_is_trained_once_a_fold(shapes: Path, tmp_path: Path) -> None:
    bench = bench_of(shapes, NETWORK, 2)
    asked: list[int] = []

    def watch(fold: int | None, accuracy: float) -> tuple[str, str]:
        asked.extend([fold] if fold else [])
        return "", ""

    found = result_of(measure(bench, {}, tmp_path / "trial-0", watch))
    assert found.state == "complete" and len(found.course) == 2 and asked == [1]
    assert unpack_hits(found.hits, len(bench.val)).mean() == pytest.approx(found.score)


def test_folds_are_refused_with_an_earlier_run_of_these_images(finished_run: Any) -> None:
    job = Job("nowhere", options=Recipe(weights=str(finished_run.folder)), out=finished_run.folder.parent)
    with pytest.raises(InputError, match="was trained on") as caught:
        refuse_search(SearchJob(job, trials=3, folds=3))
    assert caught.value.code == "plan.conflict" and "--folds" in caught.value.cure


def test_a_worker_measures_in_the_same_folds(bench: Bench, measured: Outcome, tmp_path: Path) -> None:
    """Copies and groups are what keeps images together, and workers aren't told of all of them."""
    write_bench(tmp_path / "a" / "given", bench, {}, Budget(1.0, 0.0, 0.0, 1.0, 1.0))
    other, _, _ = read_bench(tmp_path / "a" / "given", Share(1, 1, "cpu"))
    for mine, theirs in zip(bench.parts, other.parts, strict=True):
        for part in ("train", "val"):
            assert mine.looked.split.rows(part).tolist() == theirs.looked.split.rows(part).tolist()
    again = result_of(measure(other, {}, tmp_path / "trial-0", never))
    assert (again.score, again.hits, again.course) == (measured.score, measured.hits, measured.course)
