"""A run that starts from an earlier one: what it takes from it, and what it says."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

import sightline
from finished import write_colours
from sightline.errors import RunError, SightlineError, WeightsError
from sightline.events import Noted
from sightline.pipeline.prepare import Job
from sightline.pipeline.run import train_job
from sightline.planning.recipe import Recipe
from sightline.runs.earlier import find_earlier
from sightline.runs.folder import Run

pytestmark = pytest.mark.e2e

# One epoch that changes next to nothing: what the new network says is what the earlier one said.
STILL = {"epochs": 1, "learning_rate": 1e-12, "freeze_norm": True, "flip": 0.0, "translate": 0.0}
SHAPE = {"model": "small-resnet", "width": 8, "size": 24, "mean": (0.4, 0.5, 0.6), "std": (0.2, 0.25, 0.3)}


@pytest.fixture(scope="module")
def earlier(tmp_path_factory, colours) -> Run:
    """A run with a shape of its own."""
    folder = tmp_path_factory.mktemp("runs")
    return sightline.train(colours, out=folder, name="first", epochs=3, quiet=True, **SHAPE)


def go_on(data: Path, out: Path, weights: object, **options: object) -> tuple[Run, str]:
    """Train from an earlier run; returns the run, and all that it noted."""
    job, notes = Job(data, options=Recipe(weights=str(weights), **{**STILL, **options}), out=out), []
    events = train_job(job)
    while True:
        try:
            event = next(events)
        except StopIteration as stop:
            return stop.value, "\n".join(notes)
        notes += [event.message] if isinstance(event, Noted) else []


def said(run: Run, data: Path) -> tuple[tuple[str, ...], np.ndarray]:
    classifier = run.classifier()
    found = classifier.predict(sorted(data.rglob("*.png"))[::7])
    return classifier.classes, found.probabilities


@pytest.mark.parametrize("form", ["folder", "name", "latest", "classifier", "model.safetensors"])
def test_every_way_to_name_a_run_finds_it(form, earlier):
    inside = earlier.classifier_folder
    names = {"folder": earlier.folder, "name": "first", "latest": "latest", "classifier": inside}
    found = find_earlier(str(names.get(form, inside / form)), folder=earlier.folder.parent)
    assert found is not None and found.file == earlier.weights_file
    assert (found.model, found.classes) == ("small-resnet", ("blue", "green", "red"))


def test_the_same_classes_go_on_with_the_same_network(earlier, colours, tmp_path):
    run, notes = go_on(colours, tmp_path, earlier.folder)
    settings, before = run.plan.settings, earlier.plan.settings
    for name in ("model", "width", "depth", "size", "mean", "std", "interpolation"):
        assert getattr(settings, name) == getattr(before, name)
        assert "first" in next(d.reason for d in run.plan.decisions if d.name == name)
    assert said(run, colours)[1] == pytest.approx(said(earlier, colours)[1], abs=1e-4)
    assert "run first" in run.facts["weights"] and run.facts["licence"] == earlier.facts["licence"]
    assert f"licence: {earlier.facts['licence']}" in notes and "differ" not in notes


def test_classes_are_matched_by_name_and_a_changed_list_is_said(earlier, tmp_path):
    data = write_colours(tmp_path / "data", 20, seed=5)
    (data / "blue").rename(data / "zinc")  # known under another name: new, and now the last
    run, notes = go_on(data, tmp_path / "runs", earlier.folder)
    assert run.facts["earlier_classes"] == {"kept": ["green", "red"], "new": ["zinc"], "dropped": ["blue"]}
    assert "Kept: green, red; new: zinc; dropped: blue" in notes
    before, after = said(earlier, data)[1], said(run, data)[1]
    assert after[:, 0] / after[:, 1] == pytest.approx(before[:, 1] / before[:, 2], rel=1e-2)  # green to red


def test_a_list_without_a_known_class_gets_a_fitted_head(earlier, tmp_path):
    data = write_colours(tmp_path / "data", 20)
    for name in ("blue", "green", "red"):
        (data / name).rename(data / f"dark-{name}")
    run, notes = go_on(data, tmp_path / "runs", earlier.folder)
    assert run.plan.settings.head_first and "fitted anew" in notes
    assert run.metrics["accuracy"]["value"] > 0.9


def test_a_classifier_folder_without_its_run_brings_what_it_knows(earlier, colours, tmp_path):
    folder = Path(shutil.copytree(earlier.classifier_folder, tmp_path / "shipped"))
    run, _ = go_on(colours, tmp_path / "runs", folder, width=8)
    assert run.plan.settings.mean == pytest.approx(earlier.plan.settings.mean)
    assert said(run, colours)[1] == pytest.approx(said(earlier, colours)[1], abs=1e-4)
    with pytest.raises(WeightsError) as caught:
        go_on(colours, tmp_path / "runs", folder)
    assert caught.value.code == "weights.mismatch" and "width = 16" in caught.value.message


@pytest.mark.parametrize("where", ["option", "recipe"])
def test_another_network_is_refused_with_the_cure(where, earlier, colours, tmp_path):
    chosen = Recipe(model="small-cnn"), Recipe(weights=str(earlier.folder), epochs=1)
    recipe, options = chosen if where == "recipe" else (Recipe(), Recipe(**chosen[0].chosen, **chosen[1].chosen))
    with pytest.raises(WeightsError) as caught:
        list(train_job(Job(colours, recipe, options, out=tmp_path)))
    assert caught.value.code == "weights.other-network"
    assert ("small-resnet" if where == "recipe" else "leave out --model") in caught.value.cure


def test_a_timm_network_goes_on_too(colours, tmp_path):
    first = sightline.train(
        colours, out=tmp_path, name="timms", model="test_convnext", pretrained=False, size=32, epochs=1, quiet=True
    )
    run, _ = go_on(colours, tmp_path, "timms")
    assert run.plan.settings.model == first.plan.settings.model
    assert said(run, colours)[1] == pytest.approx(said(first, colours)[1], abs=1e-4)


def test_a_run_without_a_network_is_refused(earlier, colours, tmp_path):
    folder = Path(shutil.copytree(earlier.folder, tmp_path / "half"))
    shutil.rmtree(folder / "classifier")
    with pytest.raises(RunError, match="no network") as caught:
        go_on(colours, tmp_path, folder)
    assert "sightline export" in caught.value.cure


def test_a_file_of_ours_without_its_classes_is_refused(earlier, colours, tmp_path):
    file = Path(shutil.copy(earlier.weights_file, tmp_path))
    with pytest.raises(SightlineError) as caught:
        go_on(colours, tmp_path / "runs", file, model="small-resnet")
    assert caught.value.code == "weights.not-for-small" and "--weights RUN" in caught.value.cure
