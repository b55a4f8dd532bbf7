"""Corruptions: scipy, torchvision and torch say what each should do; the same image is always harmed alike."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torchvision.transforms import functional
from torchvision.transforms.functional import InterpolationMode

from sightline.pixels.corruptions import CORRUPTIONS, SEVERITIES, corrupt


@pytest.fixture
def image() -> np.ndarray:
    """An image with edges, gradients and some noise, 96 px."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96]
    waves = np.stack([128 + 90 * np.sin(x / 9), 128 + 90 * np.cos(y / 7), 2.5 * ((x + y) % 80)], -1)
    waves[30:60, 20:50] = (220, 40, 60)
    return (waves + random.normal(0, 6, waves.shape)).clip(0, 255).astype(np.uint8)


def tensor(image: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)


def pixels(image: torch.Tensor) -> np.ndarray:
    return image.permute(1, 2, 0).numpy()


def distance(one: np.ndarray, two: np.ndarray) -> np.ndarray:
    return np.abs(one.astype(int) - two.astype(int))


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_each_keeps_shape_and_type_and_harms_more_from_one_severity_to_the_next(name, image):
    before = image.copy()
    assert corrupt(image, name, 0) is image
    changes = [distance(corrupt(image, name, severity), image).mean() for severity in SEVERITIES]
    assert 0 < changes[0] < changes[1] < changes[2]
    assert np.array_equal(image, before)
    for shape in ((1, 1, 3), (1, 7, 3), (9, 2, 3), (40, 64, 3)):
        harmed = corrupt(np.full(shape, 90, np.uint8), name, 3)
        assert harmed.shape == shape and harmed.dtype == np.uint8
    with pytest.raises(ValueError, match="severity 4"):
        corrupt(image, name, 4)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_the_same_image_and_seed_give_the_same(name, image):
    assert np.array_equal(corrupt(image, name, 2, seed=4), corrupt(image.copy(), name, 2, seed=4))


def test_chance_depends_on_seed_and_image():
    flat = [np.full((32, 32, 3), level, np.uint8) for level in (100, 101)]
    drawn = [corrupt(flat[0], "noise", 1, seed=seed).astype(int) - 100 for seed in (0, 1)]
    other = corrupt(flat[1], "noise", 1, seed=0).astype(int) - 101
    assert abs(np.corrcoef(drawn[0].ravel(), drawn[1].ravel())[0, 1]) < 0.1
    assert abs(np.corrcoef(drawn[0].ravel(), other.ravel())[0, 1]) < 0.1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_blur_is_nearly_a_true_gaussian(image, severity):
    large = np.asarray(Image.fromarray(image).resize((288, 288)))
    sigma = 288 * CORRUPTIONS["blur"].strengths[severity - 1]
    wanted = gaussian_filter(large.astype(float), (sigma, sigma, 0), mode="nearest")
    assert distance(corrupt(large, "blur", severity), wanted.round()).mean() < 1


@pytest.mark.parametrize("severity", SEVERITIES)
def test_noise_has_its_spread_and_no_drift(severity):
    grey = np.full((200, 200, 3), 128, np.uint8)
    change = corrupt(grey, "noise", severity).astype(float) - 128
    share = CORRUPTIONS["noise"].strengths[severity - 1]
    assert abs(change.mean()) < 0.5
    assert change.std() == pytest.approx(255 * share, rel=0.03)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_jpeg_has_the_tables_of_its_quality(image, severity):
    quality = CORRUPTIONS["jpeg"].strengths[severity - 1]
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=int(quality))
    luminance = Image.open(out).quantization[0]
    scale = 5000 / quality if quality < 50 else 200 - 2 * quality
    assert luminance[0] == (16 * scale + 50) // 100  # the standard's first entry, scaled as libjpeg does
    assert np.array_equal(corrupt(image, "jpeg", severity), np.asarray(Image.open(out)))


@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize(
    ("name", "theirs"),
    [
        ("darker", functional.adjust_brightness),
        ("brighter", functional.adjust_brightness),
        ("contrast", functional.adjust_contrast),
    ],
)
def test_light_is_torchvisions(image, name, theirs, severity):
    wanted = pixels(theirs(tensor(image), CORRUPTIONS[name].strengths[severity - 1]))
    assert distance(corrupt(image, name, severity), wanted).max() <= 2


@pytest.mark.parametrize("severity", SEVERITIES)
def test_rotation_is_torchvisions_to_one_side_or_the_other(image, severity):
    degrees = CORRUPTIONS["rotation"].strengths[severity - 1]
    smooth = np.asarray(Image.fromarray(image).resize((24, 24)).resize((96, 96)))
    harmed = corrupt(smooth, "rotation", severity)
    y, x = np.mgrid[:96, :96] - 47.5
    inside = np.hypot(y, x) < 44  # further out the corners come in
    sides = [
        distance(harmed, pixels(functional.rotate(tensor(smooth), turn, InterpolationMode.BILINEAR)))[inside].mean()
        for turn in (degrees, -degrees)
    ]
    assert min(sides) < 1.5 < max(sides)
    assert not (harmed == 0).all(-1).any()  # no black corners


def test_rotation_goes_to_both_sides():
    edge = np.zeros((41, 41, 3), np.uint8)
    edge[:, 21:] = 200
    tops = [corrupt(edge + np.uint8(k), "rotation", 3)[4, 20, 0] > 100 for k in range(20)]
    assert 4 < sum(tops) < 16


@pytest.mark.parametrize("severity", SEVERITIES)
def test_resolution_is_torchs_antialiased_resize(image, severity):
    side = round(96 / CORRUPTIONS["resolution"].strengths[severity - 1])
    few = torch.nn.functional.interpolate(tensor(image)[None].float(), (side, side), mode="bilinear", antialias=True)
    wanted = torch.nn.functional.interpolate(few, (96, 96), mode="bilinear", antialias=True)[0]
    assert distance(corrupt(image, "resolution", severity), pixels(wanted.round())).max() <= 2


def test_every_severity_has_words():
    words = [corruption.describe(severity) for corruption in CORRUPTIONS.values() for severity in SEVERITIES]
    assert len(set(words)) == 3 * len(CORRUPTIONS)
    assert CORRUPTIONS["blur"].describe(1) == "blurred over 0.5 % of the side"
    assert CORRUPTIONS["darker"].describe(3) == "25 % of the brightness"
