"""Blur and erasing compared with torchvision's."""

from __future__ import annotations

import math

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional as reference

from sightline.training.augment import step_generator
from sightline.training.effects import blur_images, draw_boxes, draw_sigmas, erase_boxes


@pytest.mark.parametrize(("side", "sigma"), [(16, 0.2), (17, 0.9), (32, 2.0), (40, 4.5)])
def test_a_blur_is_torchvisions(noise, side, sigma):
    kernel = 2 * max(1, math.ceil(3 * sigma)) + 1
    wanted = reference.gaussian_blur(noise(3, side), [kernel, kernel], [sigma, sigma])
    after = blur_images(noise(3, side), torch.tensor([0.0, sigma, sigma]), sigma)
    assert torch.equal(after[0], noise(3, side)[0])
    assert torch.allclose(after[1:], wanted[1:], atol=1e-5)


def test_images_of_one_batch_are_blurred_each_by_its_own(noise):
    """A kernel that is wider than an image needs must not change what comes out."""
    together = blur_images(noise(2, 32), torch.tensor([0.5, 2.0]), 2.0)
    wanted = reference.gaussian_blur(noise(2, 32), [13, 13], [0.5, 0.5])
    assert torch.allclose(together[0], wanted[0], atol=1e-5)


def test_the_share_and_the_strength_of_blurs(plain_settings):
    sigmas = draw_sigmas(plain_settings(blur=0.3, blur_sigma=4.0), 10_000, 112, step_generator(0, 0))
    blurred = sigmas[sigmas > 0]
    assert len(blurred) == pytest.approx(3000, rel=0.05)
    assert float(blurred.min()) == pytest.approx(0.05, abs=0.01) and float(blurred.max()) == pytest.approx(2, abs=0.01)
    assert float(blurred.mean()) == pytest.approx(1.025, rel=0.03)


@pytest.mark.parametrize("side", [32, 224])
def test_areas_and_ratios_are_those_of_torchvision(plain_settings, side):
    boxes = draw_boxes(plain_settings(erasing=1.0), 4000, (side, side), step_generator(0, 0)).float()
    torch.manual_seed(0)
    erase = v2.RandomErasing(p=1.0)
    image = torch.zeros(3, side, side)
    given = [erase.make_params([image]) for _ in range(4000)]
    theirs = torch.tensor([(one["i"], one["j"], one["h"], one["w"]) for one in given], dtype=torch.float)
    for ours, other in ((boxes, theirs), (boxes.sqrt(), theirs.sqrt())):
        assert torch.allclose(ours.mean(0), other.mean(0), rtol=0.06)
        assert torch.allclose(ours.std(0), other.std(0), rtol=0.06)
    area = boxes[:, 2] * boxes[:, 3] / side**2
    assert area.min() > 0.01 and area.max() < 0.35
    assert area.mean() == pytest.approx(float((theirs[:, 2] * theirs[:, 3]).mean()) / side**2, rel=0.05)


def test_boxes_lie_within_and_only_the_given_share_has_one(plain_settings):
    boxes = draw_boxes(plain_settings(erasing=0.25), 4000, (20, 31), step_generator(0, 0))
    assert 900 < int((boxes[:, 2] > 0).sum()) < 1100
    assert (boxes[:, 0] + boxes[:, 2] <= 20).all() and (boxes[:, 1] + boxes[:, 3] <= 31).all() and (boxes >= 0).all()


def test_erasing_is_torchvisions_with_the_mean_colour(noise):
    before = noise(2, 16)
    after = erase_boxes(before, torch.tensor([[2, 3, 5, 7], [0, 0, 0, 0]]))
    mean = before.mean((2, 3))[:, :, None, None]
    assert torch.allclose(after[0], reference.erase(before[0], 2, 3, 5, 7, mean[0].expand(3, 5, 7)))
    assert torch.equal(after[1], before[1])
