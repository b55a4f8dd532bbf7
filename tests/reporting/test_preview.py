"""The figure of random changes takes any name, any number of images, and says what is mixed in."""

from __future__ import annotations

import io

import numpy as np
import pytest

from sightline.reporting.canvas import any_letters
from sightline.reporting.preview import describe_mix, draw_views
from sightline.runs.kept_images import Views

HOSTILE = ["$\\frac{1}{0}$", "<script>alert(1)</script>", "a\nb\x1b[31m", "x" * 500, "日本 😀", "\udcff\udcfe"]


@pytest.mark.parametrize("count", [1, 5, 6, 7])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_draws_every_image_and_version_once(count, theme):
    random = np.random.default_rng(0)
    labels = np.arange(count) % len(HOSTILE)
    plain = random.integers(0, 255, (count, 8, 8, 3), dtype=np.uint8)
    changed = random.integers(0, 255, (count, 3, 8, 8, 3), dtype=np.uint8)
    shares = np.eye(len(HOSTILE), dtype=np.float32)[labels][:, None].repeat(3, 1)
    figure = draw_views(HOSTILE, Views(labels, plain, changed, shares), title="$x$", theme=theme)
    (axes,) = figure.axes
    shown = [image.get_array() for image in axes.images]
    assert len(shown) == 4 * count
    for number in range(count):
        assert np.array_equal(shown[4 * number], plain[number])
        assert np.array_equal(shown[4 * number + 3], changed[number, 2])
    width, height = figure.get_size_inches()
    boxes = [image.get_extent() for image in axes.images]
    for place, (left, right, bottom, top) in enumerate(boxes):  # nothing lies outside or upon another
        assert 0 <= left < right <= width and 0 <= top < bottom <= height
        for other in boxes[:place]:
            assert right <= other[0] or other[1] <= left or bottom <= other[3] or other[2] <= top
    assert axes.get_xlim() == (0, width) and axes.get_ylim() == (height, 0)
    for kind in ("png", "svg"):
        with any_letters():
            figure.savefig(io.BytesIO(), format=kind)


def test_a_mixed_image_names_what_is_in_it():
    shares = np.array([0.25, 0.0, 0.75], np.float32)
    assert describe_mix(["ant", "bee", "a very long name"], shares, 0) == "+ 75 % a very…"
    assert describe_mix(["ant", "bee", "a very long name"], shares, 2) == "+ 25 % ant"
    assert describe_mix(["ant", "bee", "cat"], np.array([0, 1, 0], np.float32), 1) == ""
