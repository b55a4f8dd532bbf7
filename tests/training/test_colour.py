"""Colours change as torchvision changes them, where that is a matrix."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from sightline.training.augment import step_generator
from sightline.training.colour import change_colours, draw_colours

NEUTRAL = {"brightness": 1.0, "contrast": 1.0, "saturation": 1.0, "hue": 0.0}


def change(images, **factors: float):
    return change_colours(images, {k: torch.full((len(images),), v) for k, v in {**NEUTRAL, **factors}.items()})


def inner(noise):
    return noise(3, 8) * 0.4 + 0.3  # so far from 0 and 1 that nothing is cut off


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
@pytest.mark.parametrize("factor", [0.7, 1.0, 1.4])
def test_one_factor_is_torchvisions(noise, name, factor):
    wanted = getattr(reference, f"adjust_{name}")(inner(noise), factor)
    assert torch.allclose(change(inner(noise), **{name: factor}), wanted, atol=1e-5)


def test_all_factors_are_torchvisions_one_after_the_other(noise):
    wanted = reference.adjust_brightness(inner(noise), 1.1)
    wanted = reference.adjust_contrast(wanted, 0.8)
    wanted = reference.adjust_saturation(wanted, 1.3)
    assert torch.allclose(change(inner(noise), brightness=1.1, contrast=0.8, saturation=1.3), wanted, atol=1e-5)


@pytest.mark.parametrize("third", [-1 / 3, 1 / 3])
def test_the_hue_turns_by_thirds_as_torchvisions(noise, third):
    assert torch.allclose(change(noise(), hue=third), reference.adjust_hue(noise(), third), atol=1e-4)


@pytest.mark.parametrize("turn", [-0.4, 0.1, 0.5])
def test_a_turn_of_the_hue_keeps_grey_and_brightness_and_can_be_undone(noise, turn):
    grey = noise()[:, :1].expand(-1, 3, -1, -1).contiguous()
    assert torch.allclose(change(grey, hue=turn), grey, atol=1e-5)
    there = change(inner(noise), hue=turn)
    assert torch.allclose(there.mean(1), inner(noise).mean(1), atol=1e-5)
    assert torch.allclose(change(there, hue=-turn), inner(noise), atol=1e-5)


def test_what_goes_beyond_black_or_white_is_cut_once_at_the_end():
    images = torch.full((1, 3, 2, 2), 0.8)
    images[..., 0] = 0.4
    assert torch.allclose(change(images, brightness=2.0).amax(), torch.tensor(1.0))
    # 1.6 and 0.8 about 1.2 with half the contrast: 1.4 and 1.0. Cut in between, the first would lower the mean.
    assert change(images, brightness=2.0, contrast=0.5).amin() == pytest.approx(1.0, abs=1e-3)


def test_factors_are_even_within_their_range_and_none_without_a_setting(plain_settings):
    assert draw_colours(plain_settings(), 4, step_generator(0, 0)) is None
    chosen = {"brightness": 0.1, "contrast": 0.2, "saturation": 0.3, "hue": 0.4}
    draws = draw_colours(plain_settings(**chosen), 5000, step_generator(0, 0))
    for name, reach in chosen.items():
        middle = NEUTRAL[name]
        assert float(draws[name].min()) == pytest.approx(middle - reach, abs=0.01 * reach)
        assert float(draws[name].max()) == pytest.approx(middle + reach, abs=0.01 * reach)
        assert float(draws[name].std()) == pytest.approx(reach / 3**0.5, rel=0.05)
