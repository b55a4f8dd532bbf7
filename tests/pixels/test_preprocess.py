"""From an image to the network's square."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageOps

from sightline.errors import ModelError
from sightline.pixels.preprocess import Preprocess

FILTERS = {
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


def make_image(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.uint8)


@given(
    st.integers(1, 90),
    st.integers(1, 90),
    st.integers(1, 40),
    st.integers(0, 10),
    st.sampled_from(["crop", "pad", "squash"]),
)
def test_every_image_becomes_a_square_of_the_size(height: int, width: int, size: int, more: int, fit: str) -> None:
    square = Preprocess(size=size, resize=size + more, fit=fit).apply(make_image(height, width))
    assert square.shape == (size, size, 3)
    assert square.dtype == np.uint8


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 60), (50, 50), (10, 20)])
def test_crop_is_pillows_resize_and_its_centre(height: int, width: int, interpolation: str) -> None:
    image = Image.fromarray(make_image(height, width))
    scale = 32 / min(height, width)
    small = image.resize((round(width * scale), round(height * scale)), FILTERS[interpolation])
    left, top = (small.width - 24) // 2, (small.height - 24) // 2
    wanted = np.asarray(small.crop((left, top, left + 24, top + 24)))
    square = Preprocess(size=24, resize=32, interpolation=interpolation).apply(np.asarray(image))
    np.testing.assert_array_equal(square, wanted)


@pytest.mark.parametrize(("height", "width"), [(60, 80), (80, 40), (48, 48), (10, 20)])
def test_pad_is_pillows_pad_on_the_background(height: int, width: int) -> None:
    image = Image.fromarray(make_image(height, width))
    wanted = ImageOps.pad(image, (24, 24), Image.Resampling.BILINEAR, color=(9, 8, 7))
    square = Preprocess(size=24, resize=24, fit="pad", background=(9, 8, 7)).apply(np.asarray(image))
    np.testing.assert_array_equal(square, np.asarray(wanted))


def test_squash_is_pillows_resize() -> None:
    image = Image.fromarray(make_image(30, 70))
    square = Preprocess(size=24, resize=24, fit="squash", interpolation="bicubic").apply(np.asarray(image))
    np.testing.assert_array_equal(square, np.asarray(image.resize((24, 24), Image.Resampling.BICUBIC)))


def test_the_default_background_is_white() -> None:
    square = Preprocess(size=10, resize=10, fit="pad").apply(np.zeros((10, 4, 3), np.uint8))
    assert (square[:, 0] == 255).all()
    assert (square[:, 5] == 0).all()


def test_pad_keeps_the_whole_image_in_the_middle() -> None:
    square = Preprocess(size=9, resize=9, fit="pad", background=(1, 1, 1)).apply(np.full((9, 3, 3), 200, np.uint8))
    assert np.flatnonzero(square[4, :, 0] == 200).tolist() == [3, 4, 5]


def test_a_image_of_the_right_size_is_not_touched() -> None:
    pixels = make_image(24, 24)
    for fit in ("crop", "pad", "squash"):
        np.testing.assert_array_equal(Preprocess(size=24, resize=24, fit=fit).apply(pixels), pixels)


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 30), st.integers(0, 8))
def test_the_stored_image_of_a_crop_has_the_short_side_asked_for(h: int, w: int, size: int, more: int) -> None:
    stored = Preprocess(size=size, resize=size + more).shrink(make_image(h, w))
    assert min(stored.shape[:2]) == size + more


@pytest.mark.parametrize("shape", [(1, 20_000), (20_000, 1), (2, 9_000)])
def test_an_extremely_long_image_is_stored_small(shape: tuple[int, int]) -> None:
    stored = Preprocess(size=24, resize=32).shrink(np.zeros((*shape, 3), np.uint8))
    assert max(stored.shape[:2]) <= 4 * 32


def test_an_extremely_long_image_keeps_its_centre() -> None:
    pixels = np.zeros((4, 4000, 3), np.uint8)
    pixels[:, 1980:2020] = 255
    assert (Preprocess(size=4, resize=4).apply(pixels) == 255).all()


@given(
    st.integers(1, 300),
    st.integers(0, 300),
    st.sampled_from(["crop", "pad", "squash"]),
    st.sampled_from(sorted(FILTERS)),
    st.tuples(*[st.integers(0, 255)] * 3),
)
def test_it_survives_json(size: int, more: int, fit: str, interpolation: str, background: tuple[int, int, int]) -> None:
    import json

    one = Preprocess(size, size + more, fit, interpolation, background)
    assert Preprocess.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_an_older_model_without_draft_and_range_decodes_in_full() -> None:
    fields = {name: value for name, value in GOOD.items() if name not in ("draft", "value_range")}
    assert Preprocess.from_dict(fields) == Preprocess(size=24, resize=32, draft=0, value_range=None)


def test_decode_uses_the_range_and_the_background(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    Image.fromarray(np.array([[0, 1, 4]], np.float32)).save(path)
    one = Preprocess(size=1, resize=1, value_range=(0, 2), background=(9, 8, 7))
    assert one.decode(path)[0, :, 0].tolist() == [0, 128, 255]
    clear = Image.new("RGBA", (1, 1), (200, 0, 0, 0))
    clear.save(tmp_path / "clear.png")
    for image in (tmp_path / "clear.png", str(tmp_path / "clear.png"), clear):
        assert one.decode(image).tolist() == [[[9, 8, 7]]]


GOOD = Preprocess(size=24, resize=32).to_dict()


@pytest.mark.parametrize(
    "fields",
    [
        {**GOOD, "size": 0},
        {**GOOD, "size": 33},
        {**GOOD, "resize": 5000},
        {**GOOD, "size": "24"},
        {**GOOD, "fit": "stretch"},
        {**GOOD, "interpolation": "nearest"},
        {**GOOD, "surprise": 1},
        {**GOOD, "background": None},
        {**GOOD, "background": [1, 2]},
        {**GOOD, "background": [300, 0, 0]},
        {**GOOD, "background": [0.5, 0, 0]},
        {**GOOD, "size": 24.0},
        {**GOOD, "draft": -1},
        {**GOOD, "draft": "2"},
        {**GOOD, "value_range": [1]},
        {**GOOD, "value_range": [2, 1]},
        {**GOOD, "value_range": [0, float("inf")]},
        {**GOOD, "value_range": ["0", "1"]},
        {key: value for key, value in GOOD.items() if key != "background"},
        {key: value for key, value in GOOD.items() if key != "size"},
    ],
)
def test_preprocessing_that_is_not_possible_is_refused(fields: dict[str, object]) -> None:
    with pytest.raises(ModelError) as caught:
        Preprocess.from_dict(fields)
    assert caught.value.code == "model.preprocess"
