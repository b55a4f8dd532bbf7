"""The space that is searched where none is given: which dials a recipe has, and around which values."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sightline.networks.describe import describe_network
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings
from sightline.tuning.fit_space import suggest_space
from sightline.tuning.networks_here import comparable_networks
from sightline.tuning.space import Dial


def plain(recipe: str = "", **chosen: Any) -> Settings:
    data = DataFacts(("ant", "bee"), {"train": 100, "val": 20, "test": 20}, 32, 1.0)
    given = Recipe.find(recipe) if recipe else Recipe()
    model = chosen.get("model", given.chosen.get("model", "small-fast"))
    return make_plan(given, Recipe(**chosen), data, Hardware("cpu", "x", 1, "x"), describe_network(model)).settings


def dials_of(settings: Settings, **typed: Any) -> dict[str, Dial]:
    return {dial.name: dial for dial in suggest_space(settings, typed)}


def test_the_recipe_of_the_published_search_has_all_that_it_searched() -> None:
    """Filters, kernels, dropout, units of the dense layer, and the learning rate."""
    dials = dials_of(plain("cnn-dropout"))
    assert dials["width"].choices == (16, 32, 48, 64)
    assert dials["kernel_size"].choices == (3, 5)
    assert dials["dense_units"].choices == (64, 128, 256, 512)
    assert {"dropout", "stage_dropout", "depth", "learning_rate"} <= dials.keys()
    assert dials["learning_rate"].low == pytest.approx(2e-4) and dials["learning_rate"].high == pytest.approx(5e-3)


@pytest.mark.parametrize(
    "recipe", ["cnn-dropout", "resnet-small-onecycle", "convnext-small-images", "fast-small-images"]
)
def test_the_plain_recipe_is_a_point_of_its_space(recipe: str) -> None:
    settings = plain(recipe)
    shape = ("width", "depth", "kernel_size", "dropout", "dense_units", "stage_dropout")
    dials = dials_of(settings)
    lacks = OWN_NETWORKS[settings.model].lacks
    assert [name for name in shape if name not in lacks] == [name for name in shape if name in dials]
    assert all(dials[name].contains(getattr(settings, name)) for name in shape if name in dials)


def test_what_was_typed_is_not_searched() -> None:
    assert "kernel_size" not in dials_of(plain(kernel_size=5), kernel_size=5)


RESNET, CONVNEXT = "test_resnet.r160_in1k", "test_convnext.r160_in1k"


@pytest.fixture
def plant(cache_weights: Callable[[str, Path], Path], tmp_path: Path) -> Callable[[str, int], None]:
    """Return a function that puts a file of some bytes into the hub's cache as a network's weights."""

    def put(name: str, count: int) -> None:
        (tmp_path / "weights").write_bytes(b"x" * count)
        cache_weights(name, tmp_path / "weights")

    return put


@pytest.mark.parametrize("training", [{}, {"epochs": 0}, {"freeze_body": True}], ids=["network", "head", "frozen"])
def test_the_network_is_a_dial_where_two_are_here(plant: Callable[[str, int], None], training: dict[str, Any]) -> None:
    settings = plain(model=CARRIED.name, size=224, **training)
    assert comparable_networks(settings) == ()  # the carried one alone
    plant(RESNET, 100)
    networks = comparable_networks(settings)
    assert networks == (RESNET, CARRIED.name)
    dials = suggest_space(settings, {}, networks)
    assert dials[0] == Dial("model", choices=networks) and dials[0].contains(settings.model)
    assert "model" not in {dial.name for dial in suggest_space(settings, {"model": CARRIED.name}, networks)}


def test_networks_that_cost_much_more_are_left_out_and_few_are_tried(plant: Callable[[str, int], None]) -> None:
    sizes = {RESNET: 100, CONVNEXT: 400, "test_efficientnet.r160_in1k": 401}
    for name, count in sizes.items():
        plant(name, count)
    settings = plain(model=RESNET)
    assert comparable_networks(settings) == (CONVNEXT, RESNET)  # not the carried one: it has more than 400 bytes
    others = [f"resnet{depth}.{tag}" for depth in (18, 34, 50) for tag in ("a1_in1k", "a2_in1k", "a3_in1k")]
    for place, name in enumerate(others):
        plant(name, 101 + place)
    assert comparable_networks(settings) == tuple(sorted([RESNET, *others[:5]]))


@pytest.mark.parametrize(
    "chosen",
    [{"pretrained": False}, {"weights": "mine.safetensors"}, {"engine": "onnxruntime"}, {"model": "small-cnn"}],
)
def test_no_network_is_searched_where_one_alone_can_be(
    plant: Callable[[str, int], None], chosen: dict[str, Any]
) -> None:
    plant(RESNET, 100)
    assert comparable_networks(plain(**{"model": CARRIED.name, "size": 224, **chosen})) == ()


def test_a_network_that_must_be_downloaded_first_is_searched_alone(plant: Callable[[str, int], None]) -> None:
    plant(RESNET, 100)
    assert comparable_networks(plain(model=CONVNEXT)) == ()


def test_a_search_that_goes_on_keeps_its_networks_whatever_was_downloaded_since(
    plant: Callable[[str, int], None],
) -> None:
    plant(RESNET, 100)
    settings = plain(model=CARRIED.name, size=224)
    began = {dial.name: dial.to_dict() for dial in suggest_space(settings, {}, comparable_networks(settings))}
    plant(CONVNEXT, 100)
    assert comparable_networks(settings) == (CONVNEXT, RESNET, CARRIED.name)
    assert comparable_networks(settings, began) == (RESNET, CARRIED.name)
    assert comparable_networks(settings, {"size": {"choices": [224, 256]}}) == ()
