"""Images laid over each other: versions agree in their details, other images do not, whatever their outlines."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from scenes import VERSIONS, scene
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


def round_thing(colour: tuple[int, int, int], inside: Callable[[ImageDraw.ImageDraw], None]) -> Image.Image:
    """A photo of something round from above, on plain ground: soft light, a rim, little else."""
    image = Image.new("RGB", (192, 256), (205, 200, 190))
    draw = ImageDraw.Draw(image)
    draw.ellipse((24, 56, 168, 200), fill=colour, outline=tuple(level // 2 for level in colour), width=3)
    inside(draw)
    noise = np.random.default_rng(sum(colour)).normal(0, 2, (256, 192, 3))
    light = np.linspace(0.9, 1.1, 192)[None, :, None]
    return Image.fromarray(
        (np.asarray(image.filter(ImageFilter.GaussianBlur(1.5))) * light + noise).clip(0, 255).astype(np.uint8)
    )


THINGS = [
    round_thing((60, 140, 70), lambda draw: draw.ellipse((80, 112, 112, 144), fill=(50, 120, 60))),  # a cap
    round_thing((90, 60, 30), lambda draw: draw.ellipse((60, 92, 132, 164), outline=(60, 40, 20), width=2)),  # a bottle
    round_thing((235, 235, 230), lambda draw: draw.arc((40, 72, 152, 184), 20, 150, fill=(190, 190, 185), width=3)),
]


@pytest.mark.parametrize("pair", [(0, 1), (0, 2), (1, 2)])
def test_round_things_on_plain_ground_are_no_versions(pair):
    one, other = (overlaid(THINGS[k]) for k in pair)
    assert agreement(one, other) < LEAST_AGREEMENT


def test_flat_and_tiny_images_agree_with_nothing():
    flat = overlaid(Image.new("RGB", (64, 64), (90, 90, 90)))
    assert agreement(flat, flat) == 0
    assert agreement(flat, overlaid(scene(1))) == 0
