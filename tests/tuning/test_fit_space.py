"""The space that is searched where none is given: which dials a recipe has, and around which values."""

from __future__ import annotations

from typing import Any

import pytest

from sightline.networks.describe import describe_network
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings
from sightline.tuning.fit_space import suggest_space
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
