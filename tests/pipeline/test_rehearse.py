"""Which training is too long for what is left before the end of a run."""

from __future__ import annotations

import time

import pytest

from sightline.errors import InputError
from sightline.networks.describe import describe_network
from sightline.pipeline import fit
from sightline.planning.budget import Costs
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe


def test_a_head_that_was_begun_is_fitted_on_some_images_where_there_is_no_time_for_all():
    data = DataFacts(("ant", "bee"), {"train": 5_000, "val": 20, "test": 16}, 224, 1.0)
    options = Recipe(model="tf_efficientnet_lite0.in1k", size=224, time=600.0)
    network = describe_network("tf_efficientnet_lite0.in1k")
    settings = make_plan(Recipe(), options, data, Hardware("cpu", "x", 1, "x"), network).settings
    assert settings.head_first
    costs = Costs(step=9.0, forward=0.01, feature=0.1, fit=1.0)
    enough = 20 * (0.01 + 0.1) + 8 * 0.1 + 1.0  # validation, one batch of eight, and fitting
    fit._refuse_too_short(settings, costs, 5_000, 20, time.monotonic() + enough + 60)
    with pytest.raises(InputError, match="too short"):
        fit._refuse_too_short(settings, costs, 5_000, 20, time.monotonic() + enough - 0.1)
    alone = settings.model_copy(update={"head_first": False})
    with pytest.raises(InputError, match="too short"):  # a step and validation
        fit._refuse_too_short(alone, costs, 5_000, 20, time.monotonic() + 9.1)
