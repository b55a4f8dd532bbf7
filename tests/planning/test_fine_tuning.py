"""How much of a pretrained network learns, and which network is kept."""

from __future__ import annotations

import pytest

from sightline.errors import InputError
from sightline.networks.describe import describe_network
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe

PHOTOS = DataFacts(("ant", "bee"), {"train": 640, "val": 160, "test": 160}, 300, 1.0)


def settings(device: str = "cpu", model: str = "tf_efficientnet_lite0.in1k", **chosen: object):
    """Return the planned settings for photos."""
    options = Recipe(model=model, **chosen)
    return make_plan(Recipe(), options, PHOTOS, Hardware(device, "x", 2, "x"), describe_network(model)).settings


def test_on_a_cpu_the_last_stages_learn_and_a_gpu_trains_the_whole_network():
    assert settings().thaw == 3
    assert settings("cuda:0").thaw == 0


@pytest.mark.parametrize(
    "chosen", [{"head_first": False}, {"pretrained": False}, {"freeze_body": True}, {"unfreeze_every": 1.0}]
)
def test_without_a_head_below_which_layers_learn_nothing_is_thawed(chosen):
    assert settings(**chosen).thaw == 0


@pytest.mark.parametrize("chosen", [{"head_first": False}, {"pretrained": False}, {"freeze_body": True}])
def test_a_network_is_blended_only_with_a_fitted_head_that_it_started_from(chosen):
    assert settings().blend
    assert not settings(**chosen).blend


@pytest.mark.parametrize(
    "chosen",
    [{"thaw": 2, "freeze_body": True}, {"thaw": 2, "unfreeze_every": 1.0}, {"blend": True, "head_first": False}],
)
def test_what_contradicts_is_refused_with_both_names(chosen):
    with pytest.raises(InputError) as caught:
        settings(**chosen)
    first, second = chosen
    assert caught.value.code == "plan.conflict"
    assert first in caught.value.message and second in caught.value.message


def test_a_whole_network_learns_from_few_images_at_the_cautious_rate():
    assert settings().learning_rate == pytest.approx(3e-4)
    assert settings("cuda:0").learning_rate == settings(thaw=0).learning_rate == pytest.approx(1e-4)
