"""Mixup and CutMix compared with torchvision's; shares with what is really in the image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats
from torchvision.transforms import v2

from sightline.training.mix import cut_images, mix_batch, mix_images, mix_targets

LABELS = torch.tensor([0, 2, 1, 2])
ROLLED = torch.tensor([3, 0, 1, 2])  # torchvision's partners: the batch, rolled by one


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_mixup_is_torchvisions(noise, share):
    theirs = v2.MixUp(num_classes=3)
    params = {"lam": share, "labels": LABELS, "batch_size": 4}
    assert torch.allclose(mix_images(noise(), ROLLED, share), theirs.transform(noise(), params), atol=1e-6)
    assert torch.allclose(mix_targets(LABELS, ROLLED, share, 3), theirs.transform(LABELS, params), atol=1e-6)


def test_cutmix_is_torchvisions(noise, monkeypatch):
    images, share = noise(4, 20, 31), 0.4
    middle = iter([torch.tensor([25]), torch.tensor([3])])  # torchvision draws x, then y
    monkeypatch.setattr(torch, "randint", lambda *args, **more: next(middle))
    theirs = v2.CutMix(num_classes=3)
    monkeypatch.setattr(theirs, "_dist", stats_constant(share))
    params = theirs.make_params([images])
    params |= {"labels": LABELS, "batch_size": 4}
    mixed, left = cut_images(images, ROLLED, share, (3.5 / 20, 25.5 / 31))
    assert torch.equal(mixed, theirs.transform(images, params))
    assert left == pytest.approx(params["lam_adjusted"])
    assert torch.allclose(mix_targets(LABELS, ROLLED, left, 3), theirs.transform(LABELS, params), atol=1e-6)


def stats_constant(value: float):
    class Constant:
        def sample(self, shape: tuple[int, ...]) -> torch.Tensor:
            return torch.tensor(value)

    return Constant()


@pytest.mark.parametrize("chosen", [{"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.2, "cutmix": 1.0}])
def test_targets_say_what_is_in_the_image(plain_settings, chosen):
    """Each image is of its class's one colour, so the mean of a channel is the class's share."""
    images = torch.eye(3)[LABELS][:, :, None, None].expand(-1, -1, 40, 40).contiguous()
    kept = images.clone()
    for step in range(20):
        mixed, targets = mix_batch(images, LABELS, 3, plain_settings(**chosen), step)
        assert targets.shape == (4, 3) and targets.dtype == torch.float32
        assert torch.allclose(mixed.mean((2, 3)), targets, atol=1e-5)
    assert torch.equal(images, kept)


def test_without_either_labels_and_images_are_as_they_came(noise, plain_settings):
    images = noise()
    same, labels = mix_batch(images, LABELS, 3, plain_settings(), 0)
    assert same is images and labels is LABELS


def test_shares_are_drawn_from_beta_and_partners_from_all(plain_settings):
    images, labels = torch.zeros(2, 3, 8, 8), torch.tensor([0, 1])
    images[1] = 1
    shares, swapped = [], 0
    for step in range(600):
        mixed, _ = mix_batch(images, labels, 2, plain_settings(mixup=0.4), step)
        first, second = float(mixed[0, 0, 0, 0]), float(mixed[1, 0, 0, 0])
        if (first, second) != (0, 1):  # else the images are their own partners
            swapped += 1
            shares.append(1 - first)
    assert 250 < swapped < 350
    assert stats.kstest(shares, stats.beta(0.4, 0.4).cdf).pvalue > 0.01


def test_with_both_on_a_coin_decides_a_batch(plain_settings):
    images = torch.rand(8, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    cut = 0
    for step in range(200):
        mixed, _ = mix_batch(images, torch.arange(8), 8, plain_settings(mixup=1.0, cutmix=1.0), step)
        cut += bool(torch.isin(mixed, images).all())
    assert 70 < cut < 130


def test_a_step_repeats_itself_and_one_image_is_its_own_partner(noise, plain_settings):
    settings = plain_settings(mixup=1.0)
    first, again, other = (mix_batch(noise(), LABELS, 3, settings, step)[0] for step in (5, 5, 6))
    assert torch.equal(first, again) and not torch.equal(first, other)
    for chosen in ({"mixup": 1.0}, {"cutmix": 1.0}):
        alone, targets = mix_batch(noise(1), torch.tensor([2]), 3, plain_settings(**chosen), 0)
        assert torch.allclose(alone, noise(1), atol=1e-6) and np.allclose(targets, [[0, 0, 1]], atol=1e-6)
