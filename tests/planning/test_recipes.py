"""The packaged recipes: each a whole plan, words about itself, and a training that runs."""

from __future__ import annotations

import math
from dataclasses import asdict

import numpy as np
import pytest
import torch

from sightline.events import EpochEnded
from sightline.networks.describe import describe_network
from sightline.pixels.cache import PixelStore
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.plan import Plan, choose_model, make_plan
from sightline.planning.recipe import PACKAGED, Recipe, list_recipes
from sightline.planning.settings import Settings
from sightline.training.loop import train_network
from sightline.training.setup import make_batches, set_up_network

NAMES = sorted(file.stem for file in PACKAGED.glob("*.toml"))
CPU = Hardware("cpu", "x", 1, "x")
DATA = DataFacts(("ant", "bee", "cat"), {"train": 24, "val": 9, "test": 9}, 224, 1.0)


def plan_of(recipe: Recipe, options: Recipe | None = None) -> Plan:
    options = options or Recipe()
    network = describe_network(choose_model(recipe, options, DATA, CPU).value)
    return make_plan(recipe, options, DATA, CPU, network)


def test_the_published_systems_are_there():
    assert {
        "cnn-dropout", "convnext-small-images", "convnext-tiny-finetune", "resnet-small-onecycle", "resnet18-transfer"
    } <= set(NAMES)  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_is_a_whole_plan_and_says_what_it_is(name):
    recipe = Recipe.find(name)
    plan = plan_of(recipe)
    assert {d.name for d in plan.decisions if d.origin == "recipe"} == set(recipe.chosen)
    assert all(getattr(plan.settings, setting) == value for setting, value in recipe.chosen.items())
    about = next(asdict(facts) for facts in list_recipes() if facts.name == name)
    assert all(len(value) > 5 for value in about.values())
    assert f"--recipe {name}" in about["command"]


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_trains_on_a_handful_of_images(name, tmp_path):
    recipe = Recipe.find(name)
    model = str(recipe.chosen["model"])
    # A network of timm's that was made for tests stands for a large one: of its kind, and without weights.
    small = {"model": "test_convnext" if "convnext" in model else "test_resnet", "pretrained": False}
    options = Recipe(epochs=1, batch_size=12, size=32, resize=32, **({} if model in OWN_NETWORKS else small))
    plan = plan_of(recipe, options)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (33, 32, 32, 3), dtype=np.uint8)
    index = np.array([[k * 3072, 32, 32] for k in range(33)])
    store = PixelStore(images.ravel(), index, {})
    labels = [k % 3 for k in range(33)]
    train, val = (make_batches(plan, store, rows, [labels[k] for k in rows]) for rows in (range(24), range(24, 33)))
    network = set_up_network(plan.settings, 3, None)
    before = [weights.detach().clone() for weights in network.parameters()]
    events = list(train_network(network, train, val, plan.settings, tmp_path / "best"))
    ended = [event for event in events if isinstance(event, EpochEnded)]
    assert ended[-1].epoch == 1 and math.isfinite(ended[-1].val_loss)
    changed = [not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True)]
    assert sum(changed) > len(changed) / 2


def plan_with(name: str) -> Settings:
    return plan_of(Recipe.find(name)).settings


def test_what_each_published_system_is_known_for():
    scenes, flowers, photos = (
        plan_with(name) for name in ("resnet-small-onecycle", "resnet18-transfer", "convnext-tiny-finetune")
    )
    assert (scenes.schedule, scenes.warmup, scenes.learning_rate, scenes.clip_value) == ("one-cycle", 0.5, 0.01, 0.1)
    assert round(scenes.translate * scenes.size) == 4
    assert (flowers.optimizer, flowers.decay_every, flowers.decay_factor, flowers.fit) == ("adam", 7, 0.1, "squash")
    assert flowers.select_by == "accuracy" and not flowers.head_first
    assert (photos.learning_rate, photos.decay_every, photos.decay_factor, photos.patience) == (8e-5, 3, 0.5, 3)
    assert (photos.val_share, photos.test_share, photos.batch_size) == (0.2, 0, 16)


@pytest.mark.parametrize("model", ["resnet50.tv2_in1k", "vgg16.tv_in1k", "mobilenetv2_100.ra_in1k"])
def test_the_transfer_recipe_serves_the_other_networks_of_its_series(model):
    plan = plan_of(Recipe.find("resnet18-transfer"), Recipe(model=model, freeze_body=True))
    assert plan.settings.model == model and plan.settings.learning_rate == 1e-3
