"""One trial: what it is measured on, what it leaves, and how it is stopped; with torch and without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
from safetensors.torch import save_file

import sightline
from sightline.networks.weights import StartWeights
from sightline.pipeline.decide import decide
from sightline.pipeline.job import Job
from sightline.pipeline.look import look
from sightline.pipeline.torch_engine import TorchEngine
from sightline.planning.recipe import Recipe
from sightline.steps import result_of
from sightline.tuning import trial
from sightline.tuning.budget import Budget
from sightline.tuning.handover import Share, read_bench, write_bench
from sightline.tuning.outcome import Outcome, unpack_hits
from sightline.tuning.trial import Bench, measure_trial

CHOSEN: dict[str, Any] = {"model": "small-cnn", "epochs": 2, "size": 16, "seed": 1, "versions": "off"}


NETWORKS = ("test_resnet.r160_in1k", "test_efficientnet.r160_in1k")


def never(epoch: int | None, accuracy: float) -> tuple[str, str]:
    return "", ""


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Bench:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        job = Job(colours, options=Recipe(**CHOSEN))
        looked, _ = result_of(look(job))
        return Bench(job.options, looked, result_of(decide(job, looked)))


def measured(bench: Bench, folder: Path, values: dict[str, Any], watch: Any = never) -> Outcome:
    return result_of(measure_trial(bench, values, folder / "trial-1", watch))


def test_a_trial_reaches_what_the_same_training_reaches(
    bench: Bench, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_figures: None
) -> None:
    values = {"learning_rate": 0.003, "dropout": 0.1, "width": 16, "kernel_size": 5, "dense_units": 24}
    found = measured(bench, tmp_path, values)
    run = sightline.train(colours, out=tmp_path, name="same", quiet=True, **CHOSEN, **values)
    history, best = run.history["val_accuracy"], int(run.facts["best_epoch"])
    assert found.score == pytest.approx(history[best]) and found.epoch == best
    assert list(found.course) == pytest.approx(history[1:], abs=1e-6)
    assert found.loss == pytest.approx(run.history["val_loss"][best])
    assert unpack_hits(found.hits, len(bench.val)).mean() == pytest.approx(found.score)
    assert not (tmp_path / "trial-1").exists()


def test_the_network_itself_can_be_a_dial(
    colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache_weights: Callable[[str, Path], Path]
) -> None:
    """Each starts from its own weights, and sees images as they expect them."""
    monkeypatch.setenv("SIGHTLINE_CACHE", str(tmp_path / "cache"))
    for name in NETWORKS:
        file = tmp_path / f"{name}.safetensors"
        save_file(timm.create_model(name.partition(".")[0]).state_dict(), file)
        cache_weights(name, file)
    job = Job(colours, options=Recipe(model=NETWORKS[0], size=32, epochs=0, seed=1, versions="off"))
    looked, _ = result_of(look(job))
    bench = Bench(job.options.without("model"), looked, result_of(decide(job, looked)))
    used: list[StartWeights] = []
    real = TorchEngine.fit

    def fit(self: TorchEngine, plan: Any, workbench: Any, session: Any) -> Any:
        assert plan.settings.model in str(workbench.weights.path)
        used.append(workbench.weights)
        return real(self, plan, workbench, session)

    monkeypatch.setattr(TorchEngine, "fit", fit)
    found = [measured(bench, tmp_path, {"model": name}) for name in (NETWORKS[1], NETWORKS[0])]
    assert [one.state for one in found] == ["complete", "complete"] and len({one.path for one in used}) == 2


def test_no_test_image_is_in_reach(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[np.ndarray] = []
    real = trial.ENGINES["torch"].fit

    class Engine:
        def fit(self, plan: Any, workbench: Any, session: Any) -> Any:
            seen.append(workbench.split.parts)
            return real(plan, workbench, session)

    monkeypatch.setitem(trial.ENGINES, "torch", Engine())
    assert measured(bench, tmp_path, {}).state == "complete"
    assert set(seen[0].tolist()) == {"train", "val", ""}


def test_a_trial_that_is_behind_stops_after_that_epoch(bench: Bench, tmp_path: Path) -> None:
    asked: list[int] = []

    def watch(epoch: int | None, accuracy: float) -> tuple[str, str]:
        asked.extend([epoch] if epoch else [])
        return ("pruned", "behind") if epoch == 1 else ("", "")

    found = measured(bench, tmp_path, {"dropout": 0.2}, watch)
    assert (found.state, found.reason, found.score, asked) == ("pruned", "behind", None, [1])
    assert len(found.course) == 1 and not (tmp_path / "trial-1").exists()


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"learning_rate": 90.0, "optimizer": "sgd", "clip_norm": 0.0}, "training.diverged"),
        ({"stochastic_depth": 0.5}, "plan.conflict: stochastic_depth"),
    ],
)
def test_what_can_t_be_trained_is_an_outcome(bench: Bench, tmp_path: Path, values: dict[str, Any], reason: str) -> None:
    found = measured(bench, tmp_path, values)
    if reason == "training.diverged" and found.state == "complete":
        pytest.fail("this rate was meant to diverge")
    assert found.state == "failed" and found.reason.startswith(reason), found
    assert found.score is None and not (tmp_path / "trial-1").exists()


def test_images_are_decoded_once_for_all_trials(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measured(bench, tmp_path, {})
    monkeypatch.setattr(trial, "set_up_workbench", lambda *_: pytest.fail("images were decoded again"))
    assert measured(bench, tmp_path, {"dropout": 0.3}).state == "complete"


def test_nothing_of_a_run_is_made_but_what_a_trial_needs(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No images of random changes, no mistakes, no learning curve."""
    files: set[str] = set()

    def watch(epoch: int | None, accuracy: float) -> tuple[str, str]:
        if epoch:
            files.update(
                path.relative_to(tmp_path / "trial-1").as_posix() for path in (tmp_path / "trial-1").rglob("*")
            )
        return "", ""

    measured(bench, tmp_path, {}, watch)
    assert "run.json" in files
    assert not {"data/augmented.npz", "learning_curve.json", "plan.toml"} & files


def test_a_worker_measures_what_the_process_measures_that_started_it(bench: Bench, tmp_path: Path) -> None:
    """All that it needs goes through files, and the images come from the cache."""
    result_of(bench.set_up(bench.decided))
    settings, budget = bench.decided.plan.settings, Budget(1.0, 60.0, 2.0, 3.0, 4.0)
    write_bench(tmp_path / "a" / "given", bench, {"name": "found"}, budget)
    other, about, kept = read_bench(tmp_path / "a" / "given", Share(2, settings.threads, "cpu"))
    assert (about, kept) == ({"name": "found"}, budget)
    assert other.decided.plan.settings == settings and other.decided.data == bench.decided.data
    assert other.decided.hardware == bench.decided.hardware and other.decided.network == bench.decided.network
    for place, values in enumerate(({}, {"learning_rate": 0.002, "augmentation": 2.0})):
        here = measured(bench, tmp_path / f"here-{place}", values)
        there = measured(other, tmp_path / f"there-{place}", values)
        assert (here.score, here.loss, here.hits) == (there.score, there.loss, there.hits)
    few, _, _ = read_bench(tmp_path / "a" / "given", Share(1, 1, "cpu"))
    decided = result_of(few.decide({"learning_rate": 0.002}))
    assert few.decided.plan.settings.threads == decided.plan.settings.threads == 1
