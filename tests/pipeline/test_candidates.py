"""A few networks are compared where their weights are here and there is time; the better features win."""

from __future__ import annotations

import re

import numpy as np
import pytest

from sightline.data.inspect import inspect_samples
from sightline.data.sources import read_samples
from sightline.data.split import make_split
from sightline.events import Noted, StageEnded, Warned
from sightline.networks.describe import describe_network
from sightline.pipeline import candidates
from sightline.pipeline.candidates import CANDIDATES, compare_networks, describe_obtainable
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import Hardware, describe_data
from sightline.planning.plan import choose_model, make_plan
from sightline.planning.recipe import Recipe
from sightline.steps import result_of

CPU = Hardware("cpu", "x", 1, "x")
GPU = Hardware("cuda:0", "x", 1, "x")
GOOD, BAD = "resnet10t.c3_in1k", "mobilenetv3_small_050.lamb_in1k"


@pytest.fixture
def looked(tmp_path, write_image):
    """Return (samples, split, facts) of images that need a pretrained network by their size."""
    for name, colour in (("dark", (40, 40, 60)), ("light", (190, 200, 180))):
        for k in range(16):
            write_image(tmp_path / "photos" / name / f"{k:02d}.png", colour, seed=k, size=(90, 80))
    samples = result_of(inspect_samples(read_samples(tmp_path / "photos")))
    split = make_split(samples)
    return samples, split, describe_data(samples, split)


@pytest.fixture
def weights(cache_weights, tmp_path, monkeypatch):
    """Put random weights of one network into the cache, and weights of another that see nothing."""
    import timm
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(0)
    for name, scale in ((GOOD, 1.0), (BAD, 0.0)):
        file = tmp_path / f"{name}.safetensors"
        state = timm.create_model(name.split(".")[0], pretrained=False).state_dict()
        save_file({k: v * scale if v.is_floating_point() and "running" not in k else v for k, v in state.items()}, file)
        cache_weights(name, file)
    monkeypatch.setitem(candidates.CANDIDATES, "cpu", (BAD, GOOD))


def drive(generator):
    events = []
    while True:
        try:
            events.append(next(generator))
        except StopIteration as stop:
            return stop.value, events


def test_the_network_with_the_better_features_wins_and_the_figures_are_its_reason(looked, weights):
    (name, reason), events = drive(compare_networks(*looked, CPU, {"time": 3600.0}))
    assert name == GOOD and GOOD in reason and BAD in reason
    ended = [event for event in events if isinstance(event, StageEnded) and event.name == "Choosing"]
    losses = {name: float(loss) for name, loss in re.findall(r"(\S+) (\d\.\d{3}) \(", ended[0].detail)}
    assert losses[BAD] == pytest.approx(np.log(2), abs=0.05)  # of features that say nothing
    assert losses[GOOD] < 0.2


@pytest.mark.parametrize(
    "chosen", [{}, {"time": 600.0}, {"time": 3600.0, "model": GOOD}, {"time": 3600.0, "weights": "x"}]
)
def test_without_the_time_or_with_a_choice_nothing_is_compared(looked, weights, chosen):
    assert drive(compare_networks(*looked, CPU, chosen)) == (None, [])


def test_where_fewer_than_two_have_their_weights_here_that_is_said(looked, hub):
    found, events = drive(compare_networks(*looked, CPU, {"time": 3600.0}))
    assert found is None
    (said,) = (event for event in events if isinstance(event, Noted))
    assert all(name in said.message for name in CANDIDATES["cpu"])
    assert f"the weights of {CARRIED.name} are here" in said.message
    found, events = drive(compare_networks(*looked, GPU, {"time": 3600.0}))
    assert found is None and "none of them" in events[0].message


def test_every_candidate_has_published_weights():
    import timm

    assert {name for names in CANDIDATES.values() for name in names} <= set(timm.list_pretrained())


def obtainable(data, hardware, recipe=Recipe(), **options):
    """Return (network, warnings, plan) where nothing was compared."""
    options = Recipe(**options)
    model = choose_model(recipe, options, data, hardware)
    planned = describe_network(str(model.value))
    network, events = drive(describe_obtainable(planned, model, {**recipe.chosen, **options.chosen}))
    plan = make_plan(recipe, options, data, hardware, network)
    return network, [event for event in events if isinstance(event, Warned)], plan


def test_on_a_gpu_without_a_hub_the_carried_network_is_used_and_both_are_named(looked, hub):
    network, (warning,), plan = obtainable(looked[2], GPU)
    assert network == CARRIED and plan.settings.model == CARRIED.name
    assert warning.code == "weights.carried-instead"
    assert "convnext_tiny.in12k_ft_in1k" in warning.message and CARRIED.name in warning.message
    assert f"--model {CARRIED.name}" in warning.cure


def test_on_a_gpu_with_its_weights_here_the_default_stays(looked, cache_weights, tmp_path):
    (tmp_path / "weights").write_bytes(b"x")
    cache_weights("convnext_tiny.in12k_ft_in1k", tmp_path / "weights")
    network, warnings, plan = obtainable(looked[2], GPU)
    assert network.name == plan.settings.model == "convnext_tiny.in12k_ft_in1k" and not warnings


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ({}, {"model": "convnext_tiny.in12k_ft_in1k"}),
        ({"model": "convnext_tiny.in12k_ft_in1k"}, {}),
        ({}, {"pretrained": False}),
        ({}, {"weights": "own.safetensors"}),
    ],
)
def test_a_network_that_was_asked_for_or_needs_no_hub_is_never_replaced(looked, hub, recipe, options):
    network, warnings, _ = obtainable(looked[2], GPU, Recipe(**recipe), **options)
    assert network.name == "convnext_tiny.in12k_ft_in1k" and not warnings


def test_on_a_cpu_the_carried_network_needs_no_hub(looked, hub):
    network, warnings, _ = obtainable(looked[2], CPU)
    assert network == CARRIED and not warnings
