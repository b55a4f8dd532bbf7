"""Warps compared with torchvision's affine, moves with numpy's padding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as reference

from sightline.training.augment import step_generator
from sightline.training.warp import affine_maps, draw_maps, draw_moves, move_pixels, warp_images


@pytest.mark.parametrize(
    ("angle", "shear", "scale", "shift"),
    [
        (0, 0, 1, (0, 0)),
        (30, 0, 1, (0, 0)),
        (-72, 0, 1, (0, 0)),
        (0, 20, 1, (0, 0)),
        (0, 0, 1.4, (0, 0)),
        (0, 0, 0.8, (3, -2)),
        (25, -15, 1.2, (2, 4)),
    ],
)
@pytest.mark.parametrize("shape", [(32, 32), (33, 21)])
def test_a_warp_is_torchvisions_inside_the_image(noise, angle, shear, scale, shift, shape):
    images = torch.nn.functional.avg_pool2d(noise(2, shape[0] * 2, shape[1] * 2), 2)
    one = torch.ones(2)
    maps = affine_maps(angle * one, shear * one, scale * one, torch.tensor([shift, shift], dtype=torch.float))
    more = {"angle": angle, "translate": list(shift), "scale": scale, "shear": [shear, 0]}
    wanted = reference.affine(images, **more, interpolation=InterpolationMode.BILINEAR)
    covered = reference.affine(torch.ones_like(images), **more, interpolation=InterpolationMode.BILINEAR) > 0.9999
    assert covered.float().mean() > 0.3
    assert torch.allclose(warp_images(images, maps)[covered], wanted[covered], atol=1e-4)


def test_what_lies_beyond_the_border_is_the_mirrored_image(noise):
    images = noise(1, 16)
    zero, one = torch.zeros(1), torch.ones(1)
    out = warp_images(images, affine_maps(zero, zero, one, torch.tensor([[5.0, -3.0]])))
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (8, 8), (8, 8)), mode="symmetric")
    assert np.allclose(out.numpy(), padded[:, :, 8 + 3 : 24 + 3, 8 - 5 : 24 - 5], atol=1e-5)


@pytest.mark.parametrize("name", ["zoom", "zoom_out", "both"])
def test_a_zoom_shows_a_square_of_the_planned_sides_at_all_places(plain_settings, name):
    chosen = {"zoom": {"zoom": 0.4}, "zoom_out": {"zoom_out": 0.6}, "both": {"zoom": 0.4, "zoom_out": 0.6}}[name]
    maps = draw_maps(plain_settings(**chosen), 4000, (20, 20), step_generator(0, 0))
    sides = maps[:, 0, 0]
    low, high = 1 - chosen.get("zoom", 0), 1 + chosen.get("zoom_out", 0)
    assert torch.allclose(maps[:, 0, 0], maps[:, 1, 1]) and (maps[:, 0, 1] == 0).all()
    assert low - 1e-5 <= sides.min() < low + 0.01 and high - 0.01 < sides.max() <= high + 1e-5
    slack = (1 - sides).abs() * 10  # pixels that the middle of what is shown may lie off the image's
    assert (maps[:, :, 2].abs() <= slack[:, None] + 1e-4).all()
    assert (maps[:, :, 2] / slack[:, None].clamp(min=0.1)).std() == pytest.approx(3**-0.5, rel=0.1)


def test_turns_leans_and_shifts_reach_as_far_as_they_may(plain_settings):
    settings = plain_settings(rotate=40.0, translate=0.25)
    maps = draw_maps(settings, 4000, (20, 40), step_generator(0, 0))
    angles = torch.rad2deg(torch.atan2(maps[:, 0, 1], maps[:, 0, 0]))
    assert 39 < angles.max() <= 40.001 and -40.001 <= angles.min() < -39 and abs(angles.mean()) < 1
    still = draw_maps(plain_settings(translate=0.25), 4000, (20, 40), step_generator(0, 0))[:, :, 2].abs().amax(0)
    assert still.tolist() == pytest.approx([10, 5], rel=0.01)
    leans = draw_maps(plain_settings(shear=30.0), 4000, (20, 20), step_generator(0, 0))[:, 0, 1]
    assert float(leans.max()) == pytest.approx(np.tan(np.deg2rad(30)), rel=0.02)


@pytest.mark.parametrize("is_last", [True, False])
def test_moves_shift_whole_pixels_and_mirror_the_edge_in(noise, is_last):
    before = noise(64, 8)
    given = before.to(memory_format=torch.channels_last) if is_last else before
    moves = draw_moves(0.25, (8, 8), 64, step_generator(1, 1))
    after = move_pixels(given, moves, None, None).numpy()
    padded = np.pad(before.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    for number, (down, right) in enumerate((moves + 2).tolist()):
        assert np.array_equal(after[number], padded[number, :, down : down + 8, right : right + 8])
    assert len(set(map(tuple, moves.tolist()))) > 18  # of 25


def test_every_shift_is_as_likely_as_every_other():
    moves = draw_moves(0.125, (16, 16), 50_000, step_generator(0, 0))
    assert moves.min() == -2 and moves.max() == 2
    assert torch.bincount(moves[:, 0] + 2).tolist() == pytest.approx([10_000] * 5, rel=0.05)
    assert torch.bincount(moves[:, 1] + 2).tolist() == pytest.approx([10_000] * 5, rel=0.05)


def test_moves_mirror_the_image_before_it_is_shifted(noise):
    before = noise(2, 8)
    moves = torch.tensor([[1, 2], [0, -2]])
    flipped = move_pixels(before, moves, torch.tensor([True, True]), torch.tensor([True, False]))
    by_hand = torch.stack([before[0].flip(1, 2), before[1].flip(2)])
    assert torch.equal(flipped, move_pixels(by_hand, moves, None, None))
