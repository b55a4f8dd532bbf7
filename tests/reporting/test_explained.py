"""The image of an explanation: any names, any size, the map where it belongs, and colours that rise in lightness."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from PIL import Image

from sightline.reporting.canvas import any_letters
from sightline.reporting.explained import Explained, overlay

HOSTILE = ["$\\frac{1}{0}$", "<script>alert(1)</script>", "a\nb\x1b[31m", "x" * 500, "日本 😀", "\udcff\udcfe"]


def lightness(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(float) @ (0.2126, 0.7152, 0.0722)


@pytest.mark.parametrize("grey", [0, 128, 255])
def test_colours_rise_in_lightness_with_the_map(grey):
    ramp = np.linspace(0, 1, 64, dtype=np.float32)[None]
    seen = lightness(overlay(np.full((1, 64, 3), grey, np.uint8), ramp))[0]
    assert (np.diff(seen[32:]) > 0).all() and seen[-1] > seen[0] + 60
    assert seen.min() > seen[0] - 12  # on a white image it falls a little before it rises


def test_the_image_shines_through_everywhere():
    stripes = np.zeros((8, 8, 3), np.uint8)
    stripes[:, ::2] = 255
    for strength in (0.0, 0.5, 1.0):
        seen = lightness(overlay(stripes, np.full((8, 8), strength, np.float32)))
        assert seen[:, ::2].mean() > seen[:, 1::2].mean() + 25


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("side", [1, 16, 224])
def test_any_name_and_size_can_be_drawn(name, side):
    random = np.random.default_rng(0)
    image = random.integers(0, 255, (side, side, 3), dtype=np.uint8)
    fall = random.normal(0, 0.1, (side, side)).astype(np.float32)
    one = Explained(name, name, 0.5, name, image, random.random((side, side)).astype(np.float32), fall, "x", 0.5)
    out = io.BytesIO()
    with any_letters():
        one.figure().savefig(out, format="png", dpi=40)
    assert Image.open(out).width > Image.open(out).height
    assert one.figure()._repr_png_().startswith(b"\x89PNG")  # what a notebook shows
    json.dumps(one.to_dict())
    assert "Explained(" in repr(one)


def test_the_figure_holds_the_image_and_each_map():
    image = np.zeros((8, 8, 3), np.uint8)
    fall = np.zeros((8, 8), np.float32)
    fall[2, 3] = 0.3
    one = Explained("a.png", "ant", 0.7, "bee", image, None, fall)
    figure = one.figure()
    texts = [text.get_text() for text in figure.texts]
    assert "ant 70.0 % (predicted: bee)" in texts and "occlusion" in texts and "Grad-CAM" not in texts
    assert any("30.0 points" in text for text in texts)
    images = [axes.images[0].get_array() for axes in figure.axes]
    assert np.array_equal(images[0], image)
    assert np.unravel_index(lightness(np.asarray(images[1])).argmax(), (8, 8)) == (2, 3)


def test_falls_below_zero_speak_for_nothing():
    one = Explained(
        "a.png", "ant", 0.7, "ant", np.zeros((2, 2, 3), np.uint8), None, np.float32([[-0.5, 0.1], [0.2, 0]])
    )
    assert one.maps["occlusion"].tolist() == [[0, 0.5], [1, 0]]
    nothing = Explained("a.png", "ant", 0.7, "ant", np.zeros((2, 2, 3), np.uint8), None, -np.ones((2, 2), np.float32))
    assert not nothing.maps["occlusion"].any()


def test_an_unreadable_image_has_a_figure_that_says_so():
    one = Explained("a.png", error="the file is empty")
    assert any("the file is empty" in text.get_text() for text in one.figure().texts)
    assert one.to_dict()["confidence"] is None and "the file is empty" in repr(one)
