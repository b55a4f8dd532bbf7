"""The input size of a head under a time limit, and when torch would have time for more."""

from __future__ import annotations

import functools
import math
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sightline.errors import InputError
from sightline.planning.budget import Costs
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.head_in_time import HeadWork, why_head_alone
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings

SIDES = (288, 256, 224, 192, 160, 128, 96)


@functools.cache
def settings(engine: str, count: int = 3_000, **options: object) -> Settings:
    data = DataFacts(("ant", "bee"), {"train": count, "val": 300, "test": 400}, 300, 1.0)
    hardware = Hardware("cpu", "x", 2, "x", engine=engine)
    return make_plan(Recipe(), Recipe(**{"time": 60.0, **options}), data, hardware, CARRIED).settings


def work(feature: float = 0.006, count: int = 3_000, **more: object) -> HeadWork:
    counts = {"train": count, "val": 300, "measured": 400, "all": count + 700}
    costs = Costs(0.0, feature, feature, 2.0, SIDES)
    return HeadWork(settings("onnxruntime"), costs, counts, 0.001, 0.6, **more)


@given(st.floats(1, 500), st.floats(1e-4, 0.1), st.integers(100, 20_000))
def test_the_largest_side_at_which_all_is_done_in_time(left, feature, count):
    made = work(feature, count)
    try:
        side, reason = made.fit(left)["size"]
    except InputError as error:
        assert all(made.seconds(side) > left for side in SIDES) and error.code == "plan.time"
        return
    if "a third at least" in reason:
        assert side == 96 and made.seconds(96) > left > made.seconds(96) / 3
        return
    assert made.seconds(side) <= left and all(made.seconds(larger) > left for larger in SIDES if larger > side)
    assert ("than at 224 px" in reason) == (side > 224)


def test_a_limit_that_is_too_short_is_refused_with_one_that_is_enough():
    made, spent = work(), 25.0
    with pytest.raises(InputError) as caught:
        made.fit(60.0 - spent - 30.0)
    seconds = float(re.search(r"--time (\d+)s", caught.value.cure)[1])
    images = made.head(96) - made.costs.fit
    needed = made.around(96) + (made.costs.fit + images / 3) / 0.95
    assert seconds == math.ceil(1.1 * (55.0 + needed))  # 55 s were spent; the rest is a third of the images
    assert made.fit(seconds - 55.0)["size"][0] >= 96 and "a third" in made.fit(needed + 0.1)["size"][1]


def test_a_size_that_was_chosen_stays():
    made = work()
    assert made.fit(1e4, {"size"})["size"][0] == 224
    assert made.fit(made.seconds(224) - 0.1, {"size"})["size"][0] == 224
    with pytest.raises(InputError):
        made.fit(made.around(224), {"size"})


def test_what_the_caches_have_is_free():
    known = work(known={224: 3_300}, stored=(224,))
    assert known.head(224) == pytest.approx(2.0) and known.head(192) == work().head(192)
    assert work().around(224) - known.around(224) == pytest.approx(3.7)  # 3,700 images of 1 ms
    left = known.seconds(224) + 5
    assert known.fit(left)["size"][0] == 224 and work().fit(left)["size"][0] < 224
    assert "3,300 of its images are known" in known.fit(left)["size"][1]


def test_a_larger_side_that_is_known_is_taken_where_no_smaller_one_fits():
    known = work(feature=0.05, known={128: 3_300}, stored=(128,))
    assert known.seconds(128) < known.seconds(96)
    assert known.fit(known.seconds(128))["size"][0] == 128


def test_more_is_reserved_where_features_are_not_kept():
    assert work(has_cache=False).around(224) > work().around(224)


def test_a_slow_machine_takes_longer_for_all_of_it():
    slow = replace(work(), drawing=1.8)
    assert slow.head(224) > work().head(224) and slow.around(224) > work().around(224)


@pytest.mark.parametrize("feature", [0.001, 0.006, 0.03])
def test_torch_is_taken_from_a_limit_on_at_which_half_an_epoch_fits(feature):
    made, torch = work(feature), settings("torch")
    is_alone = [bool(why_head_alone(made, torch, left)) for left in range(1, 1_500)]
    first = is_alone.index(False)
    assert all(is_alone[:first]) and not any(is_alone[first:])
    half = 0.5 * 3_000 * 5 * feature
    assert first > made.head(224) + half + made.around(224, "torch")
    assert first < made.head(224) / 0.8 + half + made.around(224, "torch") + 60


def test_a_head_alone_that_was_asked_for_needs_no_torch_however_long_the_limit():
    assert "no epochs" in why_head_alone(work(), settings("torch", epochs=0), 1e6)
    assert not why_head_alone(work(), settings("torch"), 1e6)


def test_validation_is_computed_whole_however_few_images_the_head_is_fitted_on():
    """Half of the images are for validation: features of a third of all would leave none for the head."""
    counts = {"train": 3_000, "val": 3_000, "measured": 400, "all": 6_400}
    made = replace(work(), counts=counts)
    images = made.head(96) - made.costs.fit
    with pytest.raises(InputError):
        made.fit(made.around(96) + (made.costs.fit + 0.4 * images) / 0.95)
    assert made.fit(made.around(96) + (made.costs.fit + 0.55 * images) / 0.95)["size"][0] == 96
