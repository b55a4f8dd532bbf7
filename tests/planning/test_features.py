"""Which networks are planned with features of several stages, and who may ask for them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sightline.errors import InputError
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts
from sightline.planning.own_networks import SMALL_NETWORK
from sightline.planning.plan import Plan, make_plan
from sightline.planning.recipe import Recipe

CPU = Hardware("cpu", "a processor", 2, "no GPU on this machine")
HEAD = replace(CPU, engine="onnxruntime")
PHOTOS = DataFacts(("ant", "bee"), {"train": 1000, "val": 100, "test": 100}, 256, 1.5)
SMALL = NetworkFacts(SMALL_NETWORK, "small", 32, 32, "bilinear", (0.5,) * 3, (0.25,) * 3, False, "none")


def plan_of(network=CARRIED, hardware=CPU, earlier=None, **options: object) -> Plan:
    return make_plan(Recipe(), Recipe(model=network.name, **options), PHOTOS, hardware, network, earlier)


def run_of(model: str, features: str | None) -> EarlierRun:
    made_for = {"size": 224, "interpolation": "bicubic", **({"features": features} if features else {})}
    return EarlierRun("run first", Path("a"), Path("a/b"), model, ("ant", "wasp"), "", "", made_for)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        (CARRIED.name, "stages"),
        ("tf_efficientnet_lite2.in1k", "stages"),
        ("mobilenetv2_100.ra_in1k", "stages"),
        ("efficientnet_b0.ra_in1k", "last"),
        ("vit_tiny_patch16_224.augreg_in21k_ft_in1k", "last"),
    ],
)
def test_stages_are_planned_for_the_families_that_were_measured(name, wanted):
    plan = plan_of(replace(CARRIED, name=name))
    (made,) = (decision for decision in plan.decisions if decision.name == "features")
    assert plan.settings.features == wanted and (made.origin == "network") == (wanted == "stages")


def test_only_where_a_head_is_fitted_first():
    assert plan_of(hardware=HEAD).settings.features == "stages"
    assert plan_of(head_first=False).settings.features == "last"
    assert plan_of(pretrained=False).settings.features == "last"
    assert plan_of(SMALL).settings.features == "last"


def test_a_person_may_ask_for_either():
    assert plan_of(features="last").settings.features == "last"
    assert plan_of(replace(CARRIED, name="resnet18.a1_in1k"), features="stages").settings.features == "stages"
    with pytest.raises(InputError, match="features = stages, but small-fast") as caught:
        plan_of(SMALL, features="stages")
    assert caught.value.code == "plan.conflict" and "features=last" in caught.value.cure


@pytest.mark.parametrize(("features", "used"), [(None, "last"), ("last", "last"), ("stages", "stages")])
@pytest.mark.parametrize("hardware", [CPU, HEAD])
def test_the_network_of_an_earlier_run_goes_on_as_it_is(features, used, hardware):
    earlier = run_of(CARRIED.name, features)
    assert plan_of(earlier=earlier, hardware=hardware, weights="first").settings.features == used
    other = "stages" if used == "last" else "last"
    with pytest.raises(InputError, match=f"trained with features = {used}"):
        plan_of(earlier=earlier, hardware=hardware, weights="first", features=other)


def test_a_plan_of_an_older_version_is_one_of_the_last_layer():
    text = plan_of(features="last").to_toml()
    start = text.index("[features]")
    older = text[:start] + text[text.index("[", start + 1) :]
    assert "features]" not in older and Plan.from_toml(older).settings.features == "last"
