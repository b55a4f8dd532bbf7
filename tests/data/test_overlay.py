"""Images laid over each other: versions agree in their details, other images do not, whatever their outlines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from PIL import Image

from scenes import VERSIONS, round_thing, scene
from sightline.data.overlay import LEAST_AGREEMENT, OverlaidImage, agreement


def overlaid(image: Image.Image) -> OverlaidImage:
    return OverlaidImage(np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("change", VERSIONS.values(), ids=VERSIONS)
def test_versions_of_one_original_agree_and_those_of_others_do_not(change: Callable[[Image.Image], Image.Image]):
    originals, changed = [[overlaid(of(scene(k))) for k in range(4)] for of in (lambda image: image, change)]
    for k, one in enumerate(originals):
        assert agreement(one, changed[k]) > LEAST_AGREEMENT
        assert agreement(one, changed[k - 1]) < LEAST_AGREEMENT


def test_two_versions_agree_where_both_show_the_original():
    image = scene(3)
    turns = [image.rotate(angle, Image.Resampling.BICUBIC) for angle in (-35, 70, 160)]
    assert all(agreement(overlaid(one), overlaid(other)) > LEAST_AGREEMENT for one, other in combinations(turns, 2))


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_round_things_on_plain_ground_are_no_versions(pair):
    one, other = (overlaid(round_thing(k)) for k in pair)
    assert agreement(one, other) < LEAST_AGREEMENT


def test_flat_and_tiny_images_agree_with_nothing():
    flat = overlaid(Image.new("RGB", (64, 64), (90, 90, 90)))
    assert agreement(flat, flat) == 0
    assert agreement(flat, overlaid(scene(1))) == 0
