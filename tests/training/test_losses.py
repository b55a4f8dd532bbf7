"""Losses beside torch's, torchvision's and timm's."""

from __future__ import annotations

import pytest
import torch
from timm.data.mixup import mixup_target
from timm.loss import BinaryCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from torch.nn import functional as F
from torchvision.ops import sigmoid_focal_loss

from sightline.training.losses import LOSSES, as_shares, make_loss, plain_sums

K = 5
COUNTS = (60, 20, 10, 6, 4)
EVEN = (1,) * K


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return logits, labels and mixed shares of twelve images."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(12, K, generator=generator)
    labels = torch.arange(12) % K
    return logits, labels, torch.softmax(torch.randn(12, K, generator=generator), 1)


def test_cross_entropy_with_smoothing_is_torchs_and_timms(plan_settings, batch):
    logits, labels, shares = batch
    loss = make_loss(plan_settings(label_smoothing=0.1), EVEN)
    assert loss(logits, labels).shape == (12,)
    torch.testing.assert_close(loss(logits, labels).mean(), LabelSmoothingCrossEntropy(0.1)(logits, labels))
    torch.testing.assert_close(loss(logits, labels).mean(), F.cross_entropy(logits, labels, label_smoothing=0.1))
    torch.testing.assert_close(loss(logits, shares).mean(), F.cross_entropy(logits, shares, label_smoothing=0.1))
    plain = make_loss(plan_settings(), EVEN)
    torch.testing.assert_close(plain(logits, shares).mean(), SoftTargetCrossEntropy()(logits, shares))


def test_class_weights_leave_the_size_of_the_loss_and_count_small_classes_more(plan_settings, batch):
    logits, labels, shares = batch
    loss = make_loss(plan_settings(imbalance="class_weights"), COUNTS)
    weights = torch.tensor([100 / (K * count) for count in COUNTS])
    torch.testing.assert_close(loss(logits, labels), F.cross_entropy(logits, labels, weights, reduction="none"))
    torch.testing.assert_close(loss(logits, shares), F.cross_entropy(logits, shares, weights, reduction="none"))
    everyone = torch.repeat_interleave(torch.arange(K), torch.tensor(COUNTS))
    assert loss(torch.zeros(100, K), everyone).mean() == pytest.approx(float(torch.tensor(float(K)).log()), abs=1e-5)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_by_hand_and_as_cross_entropy_where_gamma_is_0(plan_settings, batch, gamma):
    logits, labels, shares = batch
    loss = make_loss(plan_settings(loss="focal", focal_gamma=gamma), EVEN)
    p = torch.softmax(logits.double(), 1)[torch.arange(12), labels]
    torch.testing.assert_close(loss(logits, labels).double(), -((1 - p) ** gamma) * p.log(), rtol=1e-4, atol=1e-6)
    if not gamma:
        smooth = make_loss(plan_settings(loss="focal", focal_gamma=0, label_smoothing=0.2), EVEN)
        wanted = F.cross_entropy(logits, shares, label_smoothing=0.2, reduction="none")
        torch.testing.assert_close(smooth(logits, shares), wanted)


def test_focal_of_two_classes_is_torchvisions_of_their_difference(plan_settings):
    logits = 4 * torch.randn(20, 2, generator=torch.Generator().manual_seed(1))
    labels = torch.arange(20) % 2
    mine = make_loss(plan_settings(loss="focal", focal_gamma=2.0), (1, 1))(logits, labels)
    theirs = sigmoid_focal_loss(logits[:, 1] - logits[:, 0], labels.float(), alpha=-1, gamma=2.0)
    torch.testing.assert_close(mine, theirs)


@pytest.mark.parametrize("gamma", [0.0, 0.5, 2.0])
def test_focal_has_a_finite_slope_where_the_network_is_sure(plan_settings, gamma):
    logits = torch.tensor([[50.0, -50.0], [-50.0, 50.0]], requires_grad=True)
    make_loss(plan_settings(loss="focal", focal_gamma=gamma), (1, 1))(logits, torch.tensor([0, 0])).sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_binary_cross_entropy_is_timms(plan_settings, batch, smoothing):
    logits, labels, shares = batch
    loss = make_loss(plan_settings(loss="binary_cross_entropy", label_smoothing=smoothing), EVEN)
    torch.testing.assert_close(loss(logits, labels).mean(), BinaryCrossEntropy(smoothing)(logits, labels))
    if not smoothing:
        torch.testing.assert_close(loss(logits, shares).mean(), BinaryCrossEntropy(0.0)(logits, shares))
    weighted = make_loss(plan_settings(loss="binary_cross_entropy", imbalance="class_weights"), COUNTS)
    plain = make_loss(plan_settings(loss="binary_cross_entropy"), EVEN)
    torch.testing.assert_close(weighted(logits, labels)[1] / plain(logits, labels)[1], torch.tensor(1.0))
    torch.testing.assert_close(weighted(logits, labels)[4] / plain(logits, labels)[4], torch.tensor(5.0))


@pytest.mark.parametrize("imbalance", ["none", "class_weights"])
def test_a_sum_of_losses_is_the_sum_of_its_parts(plan_settings, batch, imbalance):
    logits, labels, _ = batch
    both = make_loss(plan_settings(loss={"cross_entropy": 0.7, "focal": 2.0}, imbalance=imbalance), COUNTS)
    one, other = (
        make_loss(plan_settings(loss=name, imbalance=imbalance), COUNTS) for name in ("cross_entropy", "focal")
    )
    torch.testing.assert_close(both(logits, labels), 0.7 * one(logits, labels) + 2 * other(logits, labels))


@pytest.mark.parametrize("name", LOSSES)
def test_labels_and_their_shares_are_one_target(plan_settings, batch, name):
    logits, labels, _ = batch
    loss = make_loss(plan_settings(loss=name, label_smoothing=0.1, imbalance="class_weights"), COUNTS)
    torch.testing.assert_close(loss(logits, labels), loss(logits, F.one_hot(labels, K).float()))


@pytest.mark.parametrize("name", LOSSES)
def test_half_precision_is_summed_in_single(plan_settings, batch, name):
    logits, labels, _ = batch
    loss = make_loss(plan_settings(loss=name), EVEN)(logits.bfloat16(), labels)
    assert loss.dtype == torch.float32


def test_smoothing_is_timms(batch):
    _, labels, _ = batch
    torch.testing.assert_close(as_shares(labels, K, 0.3), mixup_target(labels, K, 1.0, 0.3))


def test_figures_stay_plain_whatever_is_minimised(batch):
    logits, labels, shares = batch
    loss, hits = plain_sums(logits, labels)
    torch.testing.assert_close(loss, F.cross_entropy(logits, labels) * 12)
    assert hits == (logits.argmax(1) == labels).sum()
    loss, hits = plain_sums(logits, shares)
    torch.testing.assert_close(loss, SoftTargetCrossEntropy()(logits, shares) * 12)
    assert hits == (logits.argmax(1) == shares.argmax(1)).sum()
