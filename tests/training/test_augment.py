"""Augmentations: each does what its name says, and all of them keep what must be kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms.v2 import functional as reference

from sightline.training.augment import AUGMENTATIONS, flip, step_generator, translate, zoom


def images(count: int = 4, side: int = 16) -> torch.Tensor:
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_shape_dtype_range_and_input_are_kept(name):
    before = images()
    kept = before.clone()
    after = AUGMENTATIONS[name](before, 0.3, step_generator(0, 0))
    assert after.shape == before.shape and after.dtype == before.dtype
    assert after.min() >= 0 and after.max() <= 1
    assert torch.equal(before, kept)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_the_same_step_gives_the_same_images_and_another_step_others(name):
    def change(step: int) -> torch.Tensor:
        return AUGMENTATIONS[name](images(32), 0.5, step_generator(3, step))

    assert torch.equal(change(7), change(7))
    assert not torch.equal(change(7), change(8))


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_strength_zero_changes_nothing(name):
    after = AUGMENTATIONS[name](images(), 0.0, step_generator(0, 0))
    assert torch.allclose(after, images(), atol=1e-5)


def test_flip_mirrors_about_the_given_share_and_leaves_the_rest():
    before = images(2000, 4)
    after = flip(before, 0.5, step_generator(0, 0))
    mirrored = (after == before.flip(3)).all((1, 2, 3))
    same = (after == before).all((1, 2, 3))
    assert (mirrored ^ same).all()
    assert 900 < int(mirrored.sum()) < 1100


def test_translate_shifts_whole_pixels_and_mirrors_the_edge_in():
    before = images(64, 8)
    after = translate(before, 0.25, step_generator(1, 1)).numpy()
    padded = np.pad(before.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    shifts = set()
    for number in range(64):
        fits = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if np.array_equal(after[number], padded[number, :, top : top + 8, left : left + 8])
        ]
        assert len(fits) == 1
        shifts.add(fits[0])
    assert len(shifts) > 15  # of 25


def test_zoom_takes_a_square_from_inside():
    ramp = torch.linspace(0, 1, 32).expand(8, 3, 32, 32)  # the value is the column
    after = zoom(ramp, 0.5, step_generator(0, 0))
    slope = (after[:, 0, 16, 20] - after[:, 0, 16, 10]) / (ramp[0, 0, 16, 20] - ramp[0, 0, 16, 10])
    assert (slope < 1.001).all() and (slope > 0.499).all()  # between half of the side and the whole
    assert after.min() >= 0 and after.max() <= 1


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_colours_change_as_torchvision_changes_them(name):
    before = images(1, 8) * 0.4 + 0.3  # so far from 0 and 1 that nothing is cut off
    factor = float(1 + 0.2 * (2 * torch.rand(1, generator=step_generator(5, 5)) - 1))
    after = AUGMENTATIONS[name](before, 0.2, step_generator(5, 5))
    wanted = getattr(reference, f"adjust_{name}")(before, factor)
    assert torch.allclose(after, wanted, atol=2e-3)  # torchvision's grey has one digit less
