"""Where a head alone is trained, the plan says which settings are not used, and stays a recipe."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.head_alone import refuse_torch_settings
from sightline.planning.plan import Plan, make_plan
from sightline.planning.recipe import UNUSED, Recipe

HEAD = Hardware("cpu", "a processor", 2, "onnxruntime computes on the CPU", engine="onnxruntime")
PHOTOS = DataFacts(("ant", "bee"), {"train": 1000, "val": 100, "test": 100}, 256, 1.5)


def plan_of(recipe: Recipe | None = None, **options: object) -> Plan:
    return make_plan(recipe or Recipe(), Recipe(**options), PHOTOS, HEAD, CARRIED)


def origins(plan: Plan) -> dict[str, str]:
    return {decision.name: decision.origin for decision in plan.decisions}


def test_what_only_torch_does_is_called_unused():
    found = origins(plan_of(seed=3))
    unused = {name for name, origin in found.items() if origin == UNUSED}
    assert {"optimizer", "learning_rate", "batch_size", "loss", "zoom", "flip", "ema", "epochs"} <= unused
    assert not unused & {"model", "size", "fit", "seed", "split_seed", "imbalance", "views", "threads"}
    assert found["seed"] == "option"


def test_a_mirror_of_the_views_keeps_its_reason():
    flip = next(decision for decision in plan_of(views=4).decisions if decision.name == "flip")
    assert flip.value == 0.5 and "of the views: most objects look natural when mirrored" in flip.reason


def test_its_plan_is_a_recipe_for_the_same_again(tmp_path):
    first = plan_of(seed=3, views=2, imbalance="class_weights")
    (tmp_path / "plan.toml").write_text(first.to_toml(), encoding="utf-8")
    recipe = Recipe.from_toml(tmp_path / "plan.toml")
    refuse_torch_settings(recipe.chosen, None, "torch is not installed", "install it")
    assert plan_of(recipe).settings == first.settings
    assert "zoom" not in recipe.chosen and recipe.chosen["engine"] == "onnxruntime"


def test_a_plan_with_epochs_is_none_without_torch(tmp_path):
    (tmp_path / "plan.toml").write_text('[epochs]\nvalue = 4\norigin = "hardware"\nreason = "few"\n')
    with pytest.raises(InputError, match="epochs = 4") as caught:
        refuse_torch_settings(
            Recipe.from_toml(tmp_path / "plan.toml").chosen, None, "torch is not installed", "install it"
        )
    assert caught.value.code == "plan.needs-torch"
