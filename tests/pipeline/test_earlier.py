"""A run that starts from an earlier one: what it takes from it, and what it says."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import sightline
from finished import write_colours
from sightline.data.split import Split, with_seen
from sightline.errors import DataError, InputError, RunError, SightlineError, WeightsError
from sightline.events import Event, Noted, Warned
from sightline.networks.network import Network
from sightline.networks.weights import StartWeights
from sightline.pipeline.decide import Decided, decide, plan_job
from sightline.pipeline.job import Job
from sightline.pipeline.look import Looked, look
from sightline.pipeline.train import train_job
from sightline.planning.recipe import Recipe
from sightline.reading.weights import compare_classes, fetch_weights
from sightline.runs.earlier import find_earlier
from sightline.runs.folder import Run
from sightline.training.setup import set_up_network
from unrendered import leave_figures_unrendered

T = TypeVar("T")

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("no_figures")]

# One epoch that changes next to nothing: what the new network says is what the earlier one said.
STILL = {"epochs": 1, "learning_rate": 1e-12, "freeze_norm": True, "flip": 0.0, "translate": 0.0}
SHAPE = {
    **{"model": "small-resnet", "width": 8, "kernel_size": 5, "size": 24},
    **{"mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)},
}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, colours) -> Run:
    """A run with a shape of its own."""
    folder = tmp_path_factory.mktemp("runs")
    with pytest.MonkeyPatch.context() as patch:
        leave_figures_unrendered(patch)
        return sightline.train(colours, out=folder, name="first", epochs=3, quiet=True, **SHAPE)


def drive(events: Generator[Event, None, T]) -> tuple[T, str]:
    """Return what a generator returns, and all that it noted."""
    notes = []
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            return stop.value, "\n".join(notes)
        notes += [event.message] if isinstance(event, Noted) else []


def job_of(data: Path, out: Path, weights: object, **options: object) -> Job:
    return Job(data, options=Recipe(weights=str(weights), **{**STILL, **options}), out=out)


def planned(job: Job) -> tuple[Looked, Decided]:
    (looked, _), _ = drive(look(job))
    return looked, drive(decide(job, looked))[0]


def weights_of(looked: Looked, decided: Decided) -> tuple[StartWeights | None, str]:
    fetching = fetch_weights(decided.plan.settings, decided.network, looked.samples.classes, looked.earlier)
    (weights, _), notes = drive(fetching)
    return weights, notes


def start(job: Job) -> tuple[Network, Looked, Decided, str]:
    """Return the network before its first step, the data and the plan it follows, and what was noted."""
    looked, decided = planned(job)
    weights, notes = weights_of(looked, decided)
    return set_up_network(decided.plan.settings, len(looked.samples.classes), weights), looked, decided, notes


def assert_same_body(network: Network, run: Run) -> dict[str, torch.Tensor]:
    """Compare all but the head; returns the weights of the run."""
    theirs = load_file(run.weights_file)
    ours = network.state_dict()
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        if not name.startswith("head."):
            assert torch.allclose(ours[name], value, atol=1e-6), name
    return theirs


def said(run: Run, data: Path) -> np.ndarray:
    return run.classifier().predict(sorted(data.rglob("*.png"))[::7]).probabilities


@pytest.mark.parametrize("form", ["folder", "name", "latest", "classifier", "model.safetensors"])
def test_every_way_to_name_a_run_finds_it(form, earlier):
    inside = earlier.classifier_folder
    names = {"folder": earlier.folder, "name": "first", "latest": "latest", "classifier": inside}
    found = find_earlier(str(names.get(form, inside / form)), folder=earlier.folder.parent)
    assert found is not None and found.file == earlier.weights_file
    assert (found.model, found.classes) == ("small-resnet", ("blue", "green", "red"))


def test_the_same_classes_go_on_with_the_same_network(earlier, colours, tmp_path):
    run, notes = drive(train_job(job_of(colours, tmp_path, earlier.folder)))
    settings, before = run.plan.settings, earlier.plan.settings
    for name in ("model", "width", "depth", "kernel_size", "size", "mean", "std", "interpolation"):
        assert getattr(settings, name) == getattr(before, name)
        assert "first" in next(d.reason for d in run.plan.decisions if d.name == name)
    assert said(run, colours) == pytest.approx(said(earlier, colours), abs=1e-4)
    assert "run first" in run.facts["weights"] and run.facts["licence"] == earlier.facts["licence"]
    assert run.facts["earlier_classes"] == {"kept": ["blue", "green", "red"], "new": [], "dropped": []}
    assert f"licence: {earlier.facts['licence']}" in notes and "differ" not in notes


def test_classes_are_matched_by_name_and_a_changed_list_is_said(earlier, tmp_path):
    data = write_colours(tmp_path / "data", 12, seed=5)
    (data / "blue").rename(data / "zinc")  # known under another name: new, and now the last
    network, looked, _, notes = start(job_of(data, tmp_path, earlier.folder))
    theirs = assert_same_body(network, earlier)
    for name in ("weight", "bias"):
        rows, before = getattr(network.head, name), theirs[f"head.{name}"]
        assert torch.equal(rows[:2], before[1:]) and not torch.equal(rows[2], before[0])
    assert compare_classes(looked.samples.classes, looked.earlier) == {
        "kept": ["green", "red"],
        "new": ["zinc"],
        "dropped": ["blue"],
    }
    assert "Kept: green, red; new: zinc; dropped: blue" in notes


def test_a_list_without_a_known_class_gets_a_fitted_head(earlier, tmp_path):
    data = write_colours(tmp_path / "data", 12)
    for name in ("blue", "green", "red"):
        (data / name).rename(data / f"dark-{name}")
    network, _, decided, notes = start(job_of(data, tmp_path, earlier.folder))
    assert_same_body(network, earlier)
    assert decided.plan.settings.head_first and "fitted anew" in notes


def test_a_classifier_folder_without_its_run_brings_what_it_knows(earlier, colours, tmp_path):
    folder = Path(shutil.copytree(earlier.classifier_folder, tmp_path / "shipped"))
    network, _, decided, _ = start(job_of(colours, tmp_path, folder, width=8, kernel_size=5))
    theirs = assert_same_body(network, earlier)  # mean and std included
    assert torch.equal(network.head.weight, theirs["head.weight"])
    assert decided.plan.settings.size == 24
    with pytest.raises(WeightsError) as caught:
        start(job_of(colours, tmp_path, folder))
    assert caught.value.code == "weights.mismatch" and "width = 16" in caught.value.message


def test_mean_and_std_of_the_plan_win(earlier, colours, tmp_path):
    network, *_ = start(job_of(colours, tmp_path, earlier.folder, mean=(0.1, 0.2, 0.3)))
    assert network.mean.flatten().tolist() == pytest.approx([0.1, 0.2, 0.3])


@pytest.mark.parametrize("where", ["option", "recipe"])
def test_another_network_is_refused_with_the_cure(where, earlier, colours, tmp_path):
    chosen = Recipe(model="small-cnn"), Recipe(weights=str(earlier.folder), epochs=1)
    recipe, options = chosen if where == "recipe" else (Recipe(), Recipe(**chosen[0].chosen, **chosen[1].chosen))
    with pytest.raises(WeightsError) as caught:
        drive(plan_job(Job(colours, recipe, options, out=tmp_path)))
    assert caught.value.code == "weights.other-network"
    assert ("small-resnet" if where == "recipe" else "leave out --model") in caught.value.cure


def test_a_timm_network_goes_on_too(colours, tmp_path):
    chosen = {"model": "test_convnext", "pretrained": False, "size": 32, "epochs": 1, "quiet": True}
    first = sightline.train(colours, out=tmp_path, name="timms", **chosen)
    network, _, decided, _ = start(job_of(colours, tmp_path, "timms"))
    theirs = assert_same_body(network, first)
    assert torch.equal(network.head.weight, theirs["head.weight"])
    assert decided.plan.settings.model == first.plan.settings.model


def test_a_run_without_a_network_is_refused(earlier, colours, tmp_path):
    folder = Path(shutil.copytree(earlier.folder, tmp_path / "half"))
    shutil.rmtree(folder / "classifier")
    with pytest.raises(RunError, match="no network") as caught:
        start(job_of(colours, tmp_path, folder))
    assert "sightline export" in caught.value.cure


def test_a_file_of_ours_without_its_classes_is_refused(earlier, colours, tmp_path):
    file = Path(shutil.copy(earlier.weights_file, tmp_path))
    with pytest.raises(SightlineError) as caught:
        start(job_of(colours, tmp_path / "runs", file, model="small-resnet"))
    assert caught.value.code == "weights.not-for-small" and "--weights RUN" in caught.value.cure


@pytest.mark.parametrize(("form", "code"), [("run", "run.changed"), ("classifier", "weights.damaged")])
def test_a_network_that_was_cut_off_is_said_before_a_folder_is_made(form, code, earlier, colours, tmp_path):
    folder = Path(shutil.copytree(earlier.folder, tmp_path / "cut"))
    file = folder / "classifier" / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-100])
    if form == "classifier":
        folder = Path(shutil.move(folder / "classifier", tmp_path / "alone"))
    with pytest.raises(SightlineError) as caught:
        drive(train_job(job_of(colours, tmp_path / "runs", folder)))
    assert caught.value.code == code and not (tmp_path / "runs").exists()


def test_a_network_that_is_cut_off_later_is_an_error_of_ours(earlier, colours, tmp_path):
    folder = Path(shutil.copytree(earlier.folder, tmp_path / "cut"))
    looked, decided = planned(job_of(colours, tmp_path, folder))
    weights, _ = weights_of(looked, decided)
    assert weights is not None
    weights.path.write_bytes(weights.path.read_bytes()[:-100])
    with pytest.raises(WeightsError):
        set_up_network(decided.plan.settings, 3, weights)


# -- what the earlier run saw ------------------------------------------------------------------------------------


def warnings_of(events: Generator[Event, None, T]) -> tuple[T, list[Warned]]:
    said: list[Warned] = []
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            return stop.value, said
        said += [event] if isinstance(event, Warned) and event.code.startswith("weights.") else []


def digests_of(run: Run, *parts: str) -> set[str]:
    return {row["sha256"] for row in run.samples if row["split"] in parts}


def test_the_same_seed_and_data_leak_nothing(earlier, colours, tmp_path):
    for more in ({}, {"test_share": 0.0}):
        if more:
            first = sightline.train(colours, out=tmp_path, name="no-test", epochs=1, quiet=True, **SHAPE, **more)
        job = job_of(colours, tmp_path, (first if more else earlier).folder, **more)
        (_, (split,)), warnings = warnings_of(look(job))
        assert not warnings and not split.leaked.any()


def test_the_figures_leave_out_what_any_run_before_was_trained_on(earlier, colours, tmp_path):
    second, said = warnings_of(train_job(job_of(colours, tmp_path, earlier.folder, seed=1)))
    test = [row for row in second.samples if row["split"] == "test"]
    used = digests_of(earlier, "train", "val")
    expected = {row["path"] for row in test if row["sha256"] in used}
    assert 0 < len(expected) < len(test)
    assert {row["path"] for row in test if row["leaked"] == "1"} == expected
    assert [event.code for event in said] == ["weights.seen"]
    assert f"{len(expected)} of {len(test)} test images trained run first" in said[0].message
    assert "split_seed=0" in said[0].cure
    assert second.metrics["accuracy"]["n"] == len(test) - len(expected)
    assert second.metrics["count_leaked"] == len(expected) and "accuracy_with_leaks" in second.metrics
    # The third starts from the second, and so from the first.
    chain = find_earlier(str(second.folder), folder=tmp_path)
    assert chain and chain.seen["train"] | chain.seen["val"] >= used | digests_of(second, "train", "val")
    assert second.trained_digests() >= used


def test_near_duplicates_of_what_was_seen_leak_too(table):
    samples = replace(table([0, 0, 1, 1], digests=["a", "b", "c", "d"]), near=np.array([[0, 1]]))
    parts = np.array(["train", "test", "test", "test"], object)
    split = Split(parts, 0, "", (), "test", np.zeros(4, bool))
    assert with_seen(samples, split, {"a", "d"}).leaked.tolist() == [False, True, False, True]


def test_a_test_that_was_seen_altogether_is_refused_with_the_cure(earlier, colours, tmp_path):
    rows = [row for row in earlier.samples if row["split"] != "test"]
    seen = [f"{colours / row['path']},{row['label']},{'test' if k % 4 == 0 else 'train'}" for k, row in enumerate(rows)]
    (tmp_path / "table.csv").write_text("\n".join(["path,label,split", *seen]))
    with pytest.raises(DataError) as caught:
        drive(plan_job(job_of(tmp_path / "table.csv", tmp_path, earlier.folder)))
    assert caught.value.code == "weights.all-seen" and "split_seed=0" in caught.value.cure


def test_folds_from_an_earlier_run_are_refused(earlier, tmp_path):
    job = replace(job_of(tmp_path / "nowhere", tmp_path, earlier.folder), folds=3)
    with pytest.raises(InputError, match="run first was trained on") as caught:
        drive(plan_job(job))
    assert "leave out --folds" in caught.value.cure


def test_what_a_classifier_outside_its_run_saw_can_not_be_told(earlier, colours, tmp_path):
    folder = shutil.copytree(earlier.classifier_folder, tmp_path / "shipped")
    run, said = warnings_of(train_job(job_of(colours, tmp_path, folder, width=8, kernel_size=5)))
    assert [event.code for event in said] == ["weights.untraced"]
    _, said = warnings_of(plan_job(job_of(colours, tmp_path, run.folder)))  # nor of what starts from it
    assert [event.code for event in said] == ["weights.untraced"]
