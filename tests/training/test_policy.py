"""Policies are torchvision's, image by image, and leave torch's own randomness alone."""

from __future__ import annotations

import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from sightline.training.augment import step_generator
from sightline.training.policy import apply_policy, draw_seeds


@pytest.mark.parametrize(("name", "kind"), [("randaugment", v2.RandAugment), ("trivialaugment", v2.TrivialAugmentWide)])
def test_each_image_is_changed_as_torchvision_does_from_the_same_seed(noise, plain_settings, name, kind):
    images = (noise(6, 24) * 255).round() / 255
    seeds = draw_seeds(6, step_generator(1, 2))
    after = apply_policy(images, plain_settings(policy=name), seeds)
    for before, changed, seed in zip(images, after, seeds.tolist(), strict=True):
        torch.manual_seed(seed)
        wanted = kind(interpolation=InterpolationMode.BILINEAR)((before * 255).round().to(torch.uint8))
        assert torch.equal((changed * 255).round().to(torch.uint8), wanted)
