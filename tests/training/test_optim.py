"""Optimisers beside torch's own on real steps, and how weights are grouped."""

from __future__ import annotations

import copy

import pytest
import timm
import torch
from timm.optim import param_groups_layer_decay
from torch import nn

from sightline.networks.build import build_network
from sightline.networks.network import Network
from sightline.training.layer_groups import layer_groups
from sightline.training.optim import OPTIMIZERS, make_optimizer, set_rate, weight_groups


def small(size: int = 5) -> Network:
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, size, 3), nn.BatchNorm2d(size), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return Network(body, size, 2, (0.5,) * 3, (0.5,) * 3)


# What torch is asked for, written out: (weights that decay, weights that do not) -> its own optimiser.
TORCHS = {
    "sgd": lambda a, b: torch.optim.SGD(
        [{"params": a, "weight_decay": 0.1}, {"params": b}], lr=0.05, momentum=0.8, nesterov=True
    ),
    "adam": lambda a, b: torch.optim.Adam(
        [{"params": a, "weight_decay": 0.1}, {"params": b}], lr=0.05, betas=(0.8, 0.999)
    ),
    "adamw": lambda a, b: torch.optim.AdamW(
        [{"params": a, "weight_decay": 0.1}, {"params": b, "weight_decay": 0.0}], lr=0.05, betas=(0.8, 0.999)
    ),
    "rmsprop": lambda a, b: torch.optim.RMSprop(
        [{"params": a, "weight_decay": 0.1}, {"params": b}], 0.05, momentum=0.8
    ),
}


@pytest.mark.parametrize("name", TORCHS)
def test_steps_are_those_of_torch(plan_settings, name):
    network = small()
    other = copy.deepcopy(network)
    settings = plan_settings(optimizer=name, learning_rate=0.05, momentum=0.8, weight_decay=0.1)
    mine = make_optimizer(network, settings)
    flat = [weight for weight in other.parameters() if weight.ndim <= 1]
    theirs = TORCHS[name]([weight for weight in other.parameters() if weight.ndim > 1], flat)
    for step in range(5):
        images = torch.rand(8, 3, 6, 6, generator=torch.Generator().manual_seed(step))
        for net, optimizer in ((network, mine), (other, theirs)):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(images), torch.arange(8) % 2).backward()
            optimizer.step()
    for ours, torchs in zip(network.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(ours, torchs, rtol=1e-5, atol=1e-6)


def test_every_optimiser_but_muon_is_compared_with_torchs():
    assert set(TORCHS) == set(OPTIMIZERS) - {"muon"}


def test_norms_and_biases_get_no_weight_decay_and_every_weight_is_there_once(plan_settings):
    network = small()
    groups = weight_groups(network, plan_settings(weight_decay=0.1, optimizer="adamw"))
    decayed = {id(weight) for group in groups if group["weight_decay"] == 0.1 for weight in group["params"]}
    assert decayed == {id(network.body[0].weight), id(network.head.weight)}
    assert sum(len(group["params"]) for group in groups) == len(list(network.parameters()))
    assert {group["weight_decay"] for group in groups} == {0.1, 0.0}


def test_norms_and_biases_decay_where_that_is_asked_for(plan_settings):
    groups = weight_groups(small(), plan_settings(weight_decay=0.1, decay_norms=True))
    assert {group["weight_decay"] for group in groups} == {0.1}


def test_norms_biases_and_the_head_have_rates_of_their_own(plan_settings):
    network = small()
    optimizer = make_optimizer(network, plan_settings(bias_rate=2.0, head_rate=0.5, optimizer="sgd"))
    set_rate(optimizer, 0.3, 0.5)
    rates = {id(weight): group["lr"] for group in optimizer.param_groups for weight in group["params"]}
    for name, weight in network.named_parameters():
        wanted = 0.15 if name.startswith("head.") else 0.6 if weight.ndim <= 1 else 0.3
        assert rates[id(weight)] == pytest.approx(wanted)
    assert {group["momentum"] for group in optimizer.param_groups} == {0.5}


def test_frozen_weights_are_left_out(plan_settings):
    network = small()
    network.body.requires_grad_(False)
    groups = weight_groups(network, plan_settings())
    assert {id(w) for group in groups for w in group["params"]} == {id(network.head.weight), id(network.head.bias)}


def test_filters_go_to_muon_and_the_rest_to_sgd(plan_settings):
    network = small()
    kinds = {
        id(weight): group["kind"]
        for group in weight_groups(network, plan_settings(optimizer="muon"))
        for weight in group["params"]
    }
    assert [name for name, weight in network.named_parameters() if kinds[id(weight)] == "muon"] == ["body.0.weight"]


def test_under_muon_a_step_takes_the_same_share_from_all_that_decays(plan_settings):
    """Decay is a share of the weight, however high its own rate: each is still there after a step without gradient."""
    settings = plan_settings(
        optimizer="muon", weight_decay=0.1, decay_norms=True, bias_rate=50.0, head_rate=0.02, learning_rate=0.5
    )
    network = small()
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    for weight in network.parameters():
        weight.grad = torch.zeros_like(weight)
    make_optimizer(network, settings).step()
    assert all(torch.allclose(weight, before[name] * 0.95) for name, weight in network.named_parameters())


@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_efficientnet"])
def test_rates_by_depth_are_timms(plan_settings, model):
    settings = plan_settings(model=model, size=32, layer_decay=0.7, weight_decay=0.1)
    whole = timm.create_model(model, num_classes=2)
    spared = getattr(whole, "no_weight_decay", set)()
    theirs = param_groups_layer_decay(whole, 0.1, no_weight_decay_list=spared, layer_decay=0.7)
    wanted = {id(weight): (group["lr_scale"], group["weight_decay"]) for group in theirs for weight in group["params"]}
    body = timm.create_model(model, num_classes=0)
    network = Network(body, body.num_features, 2, (0.5,) * 3, (0.5,) * 3)
    mine = {
        id(weight): (group["scale"], group["weight_decay"])
        for group in weight_groups(network, settings)
        for weight in group["params"]
    }
    classifier = whole.default_cfg["classifier"]
    for name, weight in whole.named_parameters():
        name = name.replace(classifier, "head") if name.startswith(classifier) else f"body.{name}"
        assert mine[id(network.get_parameter(name))] == (pytest.approx(wanted[id(weight)][0]), wanted[id(weight)][1])
    assert len(set(wanted.values())) > 6


@pytest.mark.parametrize("coarse", [True, False])
@pytest.mark.parametrize("model", ["small-resnet", "test_resnet", "test_vit"])
def test_groups_of_layers_hold_every_weight_once_from_the_stem_to_the_head(plan_settings, model, coarse):
    if model.startswith("test_"):
        body = timm.create_model(model, num_classes=0)
        network = Network(body, body.num_features, 2, (0.5,) * 3, (0.5,) * 3)
    else:
        network = build_network(plan_settings(), 2, None)
    groups = layer_groups(network, coarse=coarse)
    names = [name for group in groups for name in group]
    assert sorted(names) == sorted(name for name, _ in network.named_parameters())
    assert len(groups) >= 3 and groups[-1] == ["head.weight", "head.bias"]
    if model == "small-resnet":
        assert [group[0].split(".")[1] for group in groups[:-1]] == ["stem", "stages", "stages", "stages"]
