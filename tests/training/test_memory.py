"""Whether a training fits: what is counted, and what follows from it. The real peak is measured in benchmarks."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from sightline.errors import TrainingError
from sightline.networks.describe import describe_network
from sightline.networks.network import Network
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import Plan, make_plan
from sightline.planning.recipe import Recipe
from sightline.training import memory
from sightline.training.memory import StepMemory, fit_memory, measure_memory

MIB = 2**20


@pytest.fixture
def make(monkeypatch):
    """Return a function that plans, with so much memory free and a step that takes a MiB an image."""

    def plan(free: int, **chosen: object) -> Plan:
        monkeypatch.setattr(memory, "free_bytes", lambda _: (free, "of the group"))
        monkeypatch.setattr(memory, "measure_memory", lambda *_: StepMemory(8 * MIB, 10 * MIB, MIB, MIB // 8))
        data = DataFacts(("ant", "bee"), {"train": 64, "val": 16, "test": 16}, 16, 1.0)
        options = Recipe(**{"model": "small-resnet", "size": 16, "batch_size": 32, **chosen})
        return make_plan(Recipe(), options, data, Hardware("cpu", "x", 1, "x"), describe_network("small-resnet"))

    return plan


def taken(parts: int) -> int:
    return StepMemory(8 * MIB, 10 * MIB, MIB, MIB // 8).step(32, parts)


def test_a_plan_that_fits_is_left_alone(make):
    for chosen in ({}, {"accumulate": 2}):
        plan = make(taken(chosen.get("accumulate", 1)), **chosen)
        assert fit_memory(plan, 2, 64) == (plan, None)


def test_a_step_that_does_not_fit_goes_in_the_fewest_parts_that_do(make):
    for parts in (2, 3, 5, 32):
        plan, warning = fit_memory(make(taken(parts)), 2, 64)
        assert plan.settings.accumulate == parts and plan.settings.batch_size == 32
        decision = next(d for d in plan.decisions if d.name == "accumulate")
        assert decision.origin == "hardware" and "of the group" in decision.reason
        assert f"batch norms use {-(-32 // parts)} images at a time" in decision.reason
        assert warning is not None and warning.code == "plan.memory" and f"{parts} parts" in warning.message


def test_chosen_parts_are_raised_where_they_do_not_fit(make):
    assert fit_memory(make(taken(4), accumulate=2), 2, 64)[0].settings.accumulate == 4


def test_steps_hold_no_more_images_than_there_are(make):
    plan = make(taken(1), batch_size=4096)
    assert fit_memory(plan, 2, 32) == (plan, None)


def test_where_no_image_fits_it_is_refused_with_both_figures(make):
    with pytest.raises(TrainingError) as caught:
        fit_memory(make(taken(32) - MIB), 2, 64)
    assert caught.value.code == "machine.memory" and "small-resnet at 16 px" in caught.value.message
    assert f"at least {taken(32) / MIB:.0f} MiB" in caught.value.message and "(of the group)" in caught.value.message
    assert "--batch-size" in caught.value.cure


@pytest.mark.parametrize(("free", "missing"), [(MIB, "set_up_network"), (memory._LIBRARIES, "measure_memory")])
def test_what_is_too_large_by_its_weights_alone_is_not_even_measured(make, monkeypatch, free, missing):
    plan = make(free)
    monkeypatch.setattr(memory, missing, None)
    with pytest.raises(TrainingError, match="free"):
        fit_memory(plan, 2, 64)


def test_on_a_gpu_the_step_itself_finds_out(make):
    plan = make(0)
    plan = Plan(plan.settings.model_copy(update={"device": "cuda:0"}), plan.decisions)
    assert fit_memory(plan, 2, 64) == (plan, None)


def test_what_lasts_and_what_an_image_takes_are_counted(plain_settings):
    body = nn.Sequential(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(32 * 256, 64), nn.Tanh())
    settings = plain_settings(optimizer="adamw", ema=0.9, precision="fp32")
    network = Network(body, 64, 2, (0.5,) * 3, (0.5,) * 3)
    weights = sum(weight.nbytes for weight in network.parameters())
    found = measure_memory(network, settings, 2)
    # weights, gradients, two averages of AdamW, averaged weights; then a gradient that is being made
    assert 5 * weights <= found.lasting <= 6.1 * weights
    pixels, layer = 3 * 256 * 4, 32 * 256 * 4
    # the normalised image, the convolution's output and ReLU's are saved; two of them are gradients at the peak
    assert pixels + 2 * layer <= found.each <= 2 * pixels + 5 * layer
    assert 2 * layer <= found.inference <= 2 * pixels + 3 * layer
    assert pixels <= found.pixels <= 8 * pixels
    assert measure_memory(network, plain_settings(optimizer="sgd", ema=0.0, precision="fp32"), 2).lasting <= (
        found.lasting - 1.9 * weights
    )


def test_saved_tensors_are_counted_as_autograd_counts_them(plain_settings):
    """The oracle: torch's own hooks on what the backward pass needs, each storage once, weights left out."""
    from sightline.training.setup import set_up_network

    settings = plain_settings(model="small-resnet", size=32, precision="fp32")
    network = set_up_network(settings, 2, None).train()
    own = {weight.untyped_storage().data_ptr() for weight in network.state_dict().values()}

    def saved(count: int) -> int:
        found: dict[int, int] = {}

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            storage = tensor.untyped_storage()
            if storage.data_ptr() not in own:
                found[storage.data_ptr()] = storage.nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            logits = network(torch.rand(count, 3, 32, 32).contiguous(memory_format=torch.channels_last))
        del logits
        return sum(found.values())

    each = (saved(4) - saved(2)) / 2
    assert 0.98 * each <= measure_memory(network, settings, 2).each <= 1.6 * each
