"""A search the whole way, without torch: what it tries, what it keeps, what it goes on with, what it ships."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import sightline
from sightline.api.tuning import report_search
from sightline.errors import InputError, RunError, StopRequested, TrainingError
from sightline.events import Event, TrialEnded
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run, list_runs
from sightline.runs.lookup import find_run
from sightline.tuning import search, trial
from sightline.tuning.outcome import Outcome
from sightline.tuning.so_far import read_so_far
from sightline.tuning.space import check_space
from sightline.tuning.table import read_search, read_trials, write_search, write_trials
from unrendered import leave_figures_unrendered

pytestmark = pytest.mark.e2e

QUICK: dict[str, Any] = {"engine": "onnxruntime", "size": 32, "quiet": True}
SPACE = {"head_strength": {"low": 1e-4, "high": 1.0, "log": True}, "imbalance": ["none", "class_weights"]}
SHAPES = ("bars", "dots", "plain")

Finished = tuple[Path, Run, list[Event]]


@pytest.fixture(scope="module", autouse=True)
def no_drawing(tmp_path_factory: pytest.TempPathFactory) -> Generator[None, None, None]:
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_unrendered(patch)
        yield


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(cached: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Features of the same images are computed once for all tests; the ledger is of each test."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(cached))
    monkeypatch.setenv("SIGHTLINE_STATE", str(tmp_path / "state"))


def tune(data: Path, out: Path, **more: Any) -> Run:
    return sightline.tune(data, out=out, **{**QUICK, "trials": 4, "space": SPACE, "name": "found", **more})


def trials_of(out: Path, name: str = "found") -> list[Outcome]:
    return read_trials(out / "searches" / name)


def compared(outcomes: list[Outcome]) -> list[tuple[Any, ...]]:
    return [(one.number, one.state, dict(one.settings), one.score, one.loss) for one in outcomes]


class Listener:
    """What a search tells while it runs."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def show(self, event: Event) -> None:
        self.events.append(event)

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(scope="module")
def finished(shapes: Path, cached: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Return the folder of runs, the run, and the events of a search of ten trials, for tests that only look."""
    out, listener = tmp_path_factory.mktemp("finished"), Listener()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(cached))
        patch.setenv("SIGHTLINE_STATE", str(out.parent / "state"))
        run = tune(shapes, out, trials=10, display=listener)
    return out, run, listener.events


@pytest.fixture
def begun(finished: Finished, tmp_path: Path) -> Path:
    """Return a folder of runs with a copy of the finished search, for tests that go on with it."""
    return shutil.copytree(finished[0], tmp_path / "begun")


def test_what_a_search_leaves(shapes: Path, finished: Finished) -> None:
    out, run, _ = finished
    trials, facts = trials_of(out), read_search(out / "searches" / "found")
    assert [one.number for one in trials] == list(range(10)) and trials[0].is_plain
    assert all(one.state == "complete" and 0 <= (one.score or 0) <= 1 for one in trials)
    assert facts["status"] == "finished" and facts["run"] == "found" == run.folder.name
    scores = np.load(out / "searches" / "found" / "scores.npy", allow_pickle=False)
    assert scores.mean(1).tolist() == pytest.approx([one.score for one in trials])
    assert find_run("latest", folder=out).folder == run.folder
    assert run.classifier().predict([shapes / "test" / "bars" / "000.png"])[0].error is None
    assert run.facts["search"]["ships"] == "plain"  # so few images show no lead that is more than luck
    beside = [one for one in list_runs(out) if one.folder != run.folder]
    assert [one.folder.name for one in beside] == ([] if facts["verdict"]["best"] == 0 else ["found-best"])
    assert run.metrics["count_evaluations"] == 1
    assert not (out / "searches" / "found" / "scratch").exists()
    recipe = sightline.Recipe.from_toml(out / "searches" / "found" / "best.toml")
    assert recipe.chosen["size"] == 32


def test_the_run_keeps_the_trials_for_its_report(finished: Finished) -> None:
    out, run, _ = finished
    kept, trials = run.search, trials_of(out)
    assert kept is not None
    assert [(one.number, one.state, one.score) for one in kept.trials] == [
        (one.number, one.state, pytest.approx(one.score)) for one in trials
    ]
    assert kept.sentence == run.facts["search"]["sentence"]
    assert set(kept.space) == set(SPACE)
    different = len({one.score for one in trials}) > 1
    assert sum(kept.importance.values()) == pytest.approx(1 if different else 0, abs=1e-3)
    assert 'id="search"' in run.report_file.read_text(encoding="utf-8")


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "report.html"}


def test_a_search_is_drawn_from_its_files_and_nothing_is_touched(begun: Path) -> None:
    run, folder = Run(begun / "found"), begun / "searches" / "found"
    (folder / "search.json").write_text(json.dumps({**read_search(folder), "status": "running"}))
    before = files_of(begun)
    page = report_search("found", out=begun)
    assert files_of(begun) == before and page == folder / "report.html"
    text, found = page.read_text(encoding="utf-8"), read_so_far(folder).record
    assert "The search is not finished: this page shows 10 trials" in text and "What ships" not in text
    kept = run.search
    assert kept is not None and found.sentence == kept.sentence and found.lead == kept.lead
    assert [(one.number, one.state, dict(one.settings)) for one in found.trials] == [
        (one.number, one.state, dict(one.settings)) for one in kept.trials
    ]
    assert dict(found.importance) == pytest.approx(dict(kept.importance), abs=0.02)
    for search_of in (run, folder, "found"):
        figure = sightline.plot_search(search_of, "settings", out=begun)
        assert [label.get_text() for label in figure.axes[0].get_xticklabels()][-1] == "accuracy, %"
    with pytest.raises(InputError, match="no figure 'histroy'") as caught:
        sightline.plot_search(run, "histroy")
    assert caught.value.code == "tune.figure" and "'history'" in caught.value.cure


def test_what_can_t_be_drawn_is_refused_with_the_way_on(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        report_search("found", out=tmp_path)
    assert caught.value.code == "tune.no-search" and "begin one" in caught.value.cure
    folder = tmp_path / "searches" / "found"
    folder.mkdir(parents=True)
    space, facts = check_space(SPACE), {"name": "found", "sampler": "tpe", "pruner": "none", "seconds": 3.0}
    known = {"space": {dial.name: dial.to_dict() for dial in space}, "validation_images": 60, "status": "running"}
    write_search(folder, {**facts, **known})
    write_trials(folder, [Outcome(0, "running", is_plain=True)], space, 60)
    with pytest.raises(InputError, match="no complete trial") as caught:
        report_search("found", out=tmp_path)
    assert caught.value.code == "tune.no-trial" and not (folder / "report.html").exists()
    with pytest.raises(InputError, match="'fonud'") as caught:
        report_search("fonud", out=tmp_path)
    assert "'found'" in caught.value.cure
    (folder / "scores.npy").write_bytes(b"no array")
    with pytest.raises(RunError) as damaged:
        report_search(folder)
    assert damaged.value.code == "run.damaged"


def test_one_process_draws_the_same_trials_again(shapes: Path, tmp_path: Path, finished: Finished) -> None:
    tune(shapes, tmp_path, trials=10)
    assert compared(trials_of(tmp_path)) == compared(trials_of(finished[0]))


def test_the_plain_recipe_is_what_train_does(shapes: Path, tmp_path: Path, finished: Finished) -> None:
    out, run, _ = finished
    trained = sightline.train(shapes, out=tmp_path, name="trained", **QUICK)
    assert trials_of(out)[0].score == pytest.approx(trained.history["val_accuracy"][0])
    if run.facts["search"]["role"] == "plain":
        assert run.metrics["accuracy"] == trained.metrics["accuracy"]


def test_test_images_have_no_part_in_a_search(shapes: Path, tmp_path: Path, finished: Finished) -> None:
    """Neither their labels nor their pixels."""
    other = shutil.copytree(shapes, tmp_path / "other")
    folders = [other / "test" / name for name in SHAPES]
    folders[0].rename(other / "test" / "x")  # labels turn round
    for before, after in ((folders[1], folders[0]), (folders[2], folders[1]), (other / "test" / "x", folders[2])):
        before.rename(after)
    random = np.random.default_rng(9)
    for file in sorted((other / "test").rglob("*.png")):
        Image.fromarray(random.integers(0, 255, (40, 40, 3), np.uint8)).save(file)
    tune(other, tmp_path / "runs", trials=10)
    one, two = finished[0], tmp_path / "runs"
    assert compared(trials_of(one)) == compared(trials_of(two))
    verdicts = [read_search(out / "searches" / "found")["verdict"] for out in (one, two)]
    assert verdicts[0] == verdicts[1]


def test_the_same_call_changes_nothing_and_a_larger_budget_goes_on(shapes: Path, begun: Path) -> None:
    before = compared(trials_of(begun))
    assert tune(shapes, begun, trials=10).folder.name == "found"
    assert compared(trials_of(begun)) == before
    run = tune(shapes, begun, trials=12)
    assert run.folder.name == "found-2" and len(trials_of(begun)) == 12
    assert compared(trials_of(begun))[:10] == before


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"space": {"imbalance": ["none", "class_weights"]}}, "head_strength was .* and is not there now"),
        ({"fit": "pad"}, "the settings: fit was not there, and is pad"),
        ({"size": 48}, "the settings: size was 32, and is 48"),
    ],
)
def test_another_search_of_that_name_is_refused(shapes: Path, begun: Path, change: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        tune(shapes, begun, trials=10, **change)
    assert caught.value.code == "tune.differs" and "--new" in caught.value.cure


def test_a_new_search_is_beside_the_old_one(shapes: Path, begun: Path) -> None:
    run = tune(shapes, begun, trials=2, new=True, fit="pad")
    assert run.folder.name == "found-2"
    assert len(trials_of(begun, "found")) == 10 and len(trials_of(begun, "found-2")) == 2


def test_other_images_are_refused(shapes: Path, begun: Path, tmp_path: Path) -> None:
    data = shutil.copytree(shapes, tmp_path / "data")
    (data / "train" / "bars" / "000.png").unlink()
    with pytest.raises(InputError, match="the data's fingerprint was"):
        tune(data, begun, trials=10)


def test_a_trial_that_fails_is_kept_with_its_reason(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = trial.decide_again

    def decide(options: Any, *rest: Any) -> Generator[Event, None, Any]:
        if options.chosen.get("imbalance") == "class_weights":
            raise TrainingError("training.diverged", "the loss is not finite", "a lower rate")
        return (yield from real(options, *rest))

    monkeypatch.setattr(trial, "decide_again", decide)
    monkeypatch.setattr(search, "_LEAST_FAILED", 100)
    tune(shapes, tmp_path, trials=12, sampler="random")
    failed = [one for one in trials_of(tmp_path) if one.state == "failed"]
    assert failed and all(one.settings["imbalance"] == "class_weights" for one in failed)
    assert failed[0].reason == "training.diverged: the loss is not finite" and failed[0].score is None
    assert any(one.state == "complete" and not one.is_plain for one in trials_of(tmp_path))


def test_a_space_in_which_most_trials_fail_stops_early(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def decide(*_: Any) -> Generator[Event, None, Any]:
        yield from ()
        raise InputError("plan.conflict", "these don't go together", "choose")

    monkeypatch.setattr(trial, "decide_again", decide)
    with pytest.raises(
        InputError, match=r"5 of 5 trials failed, 5 of them with: plan\.conflict: these don't"
    ) as caught:
        tune(shapes, tmp_path, trials=40)
    assert caught.value.code == "tune.failing" and len(trials_of(tmp_path)) == 6
    assert read_search(tmp_path / "searches" / "found")["status"] == "failed"


@pytest.mark.parametrize("stop", [KeyboardInterrupt, SystemExit, StopRequested])
def test_a_stop_loses_the_running_trial_alone_and_the_same_call_goes_on(
    shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: type[BaseException]
) -> None:
    real, calls = search.measure, Counter[str]()

    def measure(*arguments: Any) -> Generator[Event, None, Outcome]:
        calls["made"] += 1
        if calls["made"] == 3:
            raise stop(2)
        return (yield from real(*arguments))

    monkeypatch.setattr(search, "measure", measure)
    with pytest.raises((KeyboardInterrupt, SystemExit, StopRequested)):
        tune(shapes, tmp_path, trials=5)
    before = trials_of(tmp_path)
    assert [one.state for one in before] == ["complete", "complete", "lost"]
    assert read_search(tmp_path / "searches" / "found")["status"] == "interrupted"
    if stop is not KeyboardInterrupt:  # all leave the same: one goes on
        return
    tune(shapes, tmp_path, trials=5)
    after = trials_of(tmp_path)
    assert compared(after)[:2] == compared(before)[:2]
    assert Counter(one.state for one in after) == {"complete": 5, "lost": 1}
    again = next(one for one in after if one.retry_of == 2)
    assert again.settings == after[2].settings and again.state == "complete"


def test_a_space_of_few_combinations_ends_when_all_were_tried(shapes: Path, tmp_path: Path) -> None:
    tune(shapes, tmp_path, trials=40, space={"imbalance": ["none", "class_weights"], "features": ["last", "stages"]})
    trials = trials_of(tmp_path)
    assert len({json.dumps(dict(one.settings)) for one in trials}) == 4 and len(trials) < 40
    same = [one for one in trials if one.reason.startswith("the same settings")]
    assert all(one.seconds == 0 for one in same)


def test_folds_measure_trials_on_all_images_but_the_test(shapes: Path, tmp_path: Path) -> None:
    run = tune(shapes, tmp_path, trials=4, folds=3)
    folder = tmp_path / "searches" / "found"
    facts, scores = read_search(folder), np.load(folder / "scores.npy")
    assert run.search is not None and run.search.folds == 3 and facts["pruner"] == "halving"
    assert facts["validation_images"] == 120 == scores.shape[1]
    complete = [one for one in trials_of(tmp_path) if one.state == "complete"]
    assert complete[0].is_plain and [len(one.course) for one in complete] == [3] * len(complete)
    assert scores.mean(1).tolist() == pytest.approx([one.score for one in complete])
    assert "120 images in 3 folds" in run.facts["search"]["sentence"]
    assert read_dataset(run)[1].counts() == {"train": 60, "val": 60, "test": 45}  # as without folds
    with pytest.raises(InputError, match="what measures a trial was 3 folds, and is 4 folds") as caught:
        tune(shapes, tmp_path, trials=4, folds=4)
    assert caught.value.code == "tune.differs"


def test_seeds_train_both_several_times_and_count_one_evaluation(shapes: Path, tmp_path: Path) -> None:
    weak = sightline.Recipe(head_strength=1e-4)
    run = tune(shapes, tmp_path, trials=6, seeds=2, recipe=weak)
    found, verdict = run.facts["search"]["seeds"], read_search(tmp_path / "searches" / "found")["verdict"]
    assert found["count"] == 2 and found["sentence"].startswith("Mean over 2 seeds: the plain recipe")
    assert run.plan.settings.seed == 0 and run.metrics["count_evaluations"] == 1
    assert verdict["best"] != 0, "another trial must be better, so that both are trained"
    for role in ("plain", "best"):
        made = [Run(folder) for folder in found[role]["runs"]]
        assert [one.plan.settings.seed for one in made] == [0, 1] and {one.status for one in made} == {"finished"}
        values = [one.metrics["accuracy"]["value"] for one in made]
        assert found[role]["values"] == values and found[role]["accuracy"]["value"] == pytest.approx(np.mean(values))
    assert found["gain"]["mean"] == pytest.approx(np.mean(found["best"]["values"]) - np.mean(found["plain"]["values"]))
    assert len(list_runs(tmp_path)) == 2 and find_run("latest", folder=tmp_path).folder == run.folder
    assert "Mean over 2 seeds" in run.report_file.read_text(encoding="utf-8")


def test_a_line_a_trial(finished: Finished) -> None:
    told = [event for event in finished[2] if isinstance(event, TrialEnded)]
    assert [event.number for event in told] == list(range(10))
    assert told[0].settings == "the plain recipe" and told[0].is_best
    assert "head_strength" in told[1].settings and told[1].result.endswith("%")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"trials": None}, "tune.budget"),
        ({"trials": 0}, "tune.budget"),
        ({"trials": 1}, "tune.budget"),
        ({"folds": 1}, "split.folds"),
        ({"seeds": 1}, "plan.seeds"),
        ({"sampler": "tpa"}, "tune.sampling"),
        ({"space": {"head_strenght": [0.1, 1.0]}}, "tune.unknown-setting"),
        ({"space": {"rotate": [0.0, 10.0]}}, "plan.needs-torch"),
        ({"space": {"augmentation": [0.5, 1.0]}}, "plan.needs-torch"),
        ({"space": {"size": [32, 64]}}, "tune.space"),  # given as an option too
        ({"storage": "postgres"}, "tune.storage"),
        ({"storage": "sqlite:////nowhere/at/all.db"}, "tune.storage"),
        ({"storage": "mysql://me@localhost/x"}, "tune.storage"),
    ],
)
def test_what_is_refused(shapes: Path, tmp_path: Path, more: dict[str, Any], code: str) -> None:
    with pytest.raises(InputError) as caught:
        tune(shapes, tmp_path, **more)
    assert caught.value.code == code and caught.value.cure
    assert not list_runs(tmp_path)
