"""One update: parts add up to the whole, clipping beside torch's, sizes of the early steps."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from sightline.errors import TrainingError
from sightline.networks.network import Network
from sightline.training.batches import Batch
from sightline.training.schedules import Course
from sightline.training.update import Updater, logits_of, named_errors, prepare_batch, shrink_images, side_at

IMAGES = torch.rand(10, 3, 8, 8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(10) % 3


def plain() -> Network:
    """Return a network without batch norm."""
    torch.manual_seed(0)
    body = nn.Sequential(nn.Conv2d(3, 6, 3), nn.SiLU(), nn.Flatten(), nn.Linear(216, 7), nn.Tanh())
    return Network(body, 7, 3, (0.5,) * 3, (0.5,) * 3)


class Narrow(nn.Module):
    """Runs out of memory above a number of images: in the forward pass, or only in the backward one."""

    def __init__(self, most: int, where: str) -> None:
        super().__init__()
        self.most, self.where, self.seen = most, where, []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(len(images))
        if self.where == "forward":
            self.refuse(images)
        elif images.requires_grad:
            images.register_hook(self.refuse)
        return images * 1.0

    def refuse(self, images: torch.Tensor) -> None:
        if len(images) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def narrow(most: int, where: str, *, norm: bool = False) -> tuple[Network, Narrow]:
    """Return a network with dropout, with or without batch norm, and its layer that runs out of memory."""
    network, layer = plain(), Narrow(most, where)
    middle = nn.BatchNorm2d(6) if norm else nn.Identity()
    network.body = nn.Sequential(*network.body[:2], middle, nn.Dropout(0.3), layer, *network.body[2:])
    return network.train(), layer


def update(network: Network, settings, images=IMAGES, targets=LABELS, counts=(4, 3, 3), **more):
    values = {"rate": 0.1, "momentum": 0.9, "step": 0, **more}
    return Updater(network, settings, counts).make(images, targets, **values)


def gradients(network: Network) -> list[torch.Tensor]:
    return [weight.grad for weight in network.parameters()]


@pytest.mark.parametrize("parts", [2, 3, 10, 64])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("imbalance", ["none", "class_weights"])
def test_the_gradients_of_the_parts_add_up_to_that_of_the_batch(plan_settings, parts, mixed, imbalance):
    chosen = {"label_smoothing": 0.1, "imbalance": imbalance, "batch_size": 64, "optimizer": "sgd"}
    targets = torch.softmax(torch.randn(10, 3, generator=torch.Generator().manual_seed(1)), 1) if mixed else LABELS
    whole, cut = plain(), plain()
    first = update(whole, plan_settings(**chosen), targets=targets)
    second = update(cut, plan_settings(accumulate=parts, **chosen), targets=targets)
    for one, other in zip(gradients(whole), gradients(cut), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-5, atol=1e-6)
    assert first.loss == pytest.approx(second.loss, rel=1e-5)
    assert first.gradient_norm == pytest.approx(second.gradient_norm, rel=1e-5)
    torch.testing.assert_close(first.cross_entropy, second.cross_entropy)
    assert first.hits == second.hits


@pytest.mark.parametrize("where", ["forward", "backward"])
@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize(("most", "parts"), [(9, 2), (3, 4), (1, 10)])
def test_out_of_memory_the_step_is_made_in_smaller_parts_as_if_they_were_planned(
    plan_settings, where, norm, most, parts
):
    (network, layer), (planned, _) = narrow(most, where, norm=norm), narrow(99, where, norm=norm)
    first = Updater(network, plan_settings(batch_size=10, weight_decay=0.1), (4, 3, 3))
    second = Updater(planned, plan_settings(batch_size=10, weight_decay=0.1, accumulate=parts), (4, 3, 3))
    for step in range(3):
        made, wanted = (u.make(IMAGES, LABELS, rate=0.1, momentum=0.9, step=step) for u in (first, second))
        assert made.parts == parts and made[:3] == wanted[:3]
    before, after = network.state_dict(), planned.state_dict()
    for name in before:
        assert torch.equal(before[name], after[name]), name
    largest = max(layer.seen[-parts:])
    assert largest <= most and layer.seen.count(10) == 1  # later steps start with the parts that fitted


@pytest.mark.parametrize("where", ["forward", "backward"])
def test_an_image_that_does_not_fit_alone_changes_no_weight_and_is_named(plan_settings, where):
    network, _ = narrow(0, where, norm=True)
    before = copy.deepcopy(network.state_dict())
    with pytest.raises(TrainingError) as caught, named_errors(plan_settings()):
        update(network, plan_settings(batch_size=10))
    assert caught.value.code == "machine.memory"
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_other_errors_are_not_tried_again(plan_settings):
    network, layer = narrow(99, "forward")
    with pytest.raises(RuntimeError, match="shape"):
        update(network, plan_settings(batch_size=10), images=torch.rand(10, 3, 9, 9))
    assert layer.seen == [10]


@torch.inference_mode()
def test_validation_out_of_memory_looks_at_halves():
    network, layer = narrow(3, "forward", norm=True)
    network.eval()
    torch.testing.assert_close(logits_of(network, IMAGES), plain_logits(network))
    assert layer.seen[:5] == [10, 5, 3, 2, 5]
    layer.most = 0
    with pytest.raises(torch.OutOfMemoryError):
        logits_of(network, IMAGES)


def plain_logits(network: Network) -> torch.Tensor:
    return torch.cat([network(image[None]) for image in IMAGES])


def raw_gradients(settings) -> list[torch.Tensor]:
    network = plain()
    nn.functional.cross_entropy(network(IMAGES), LABELS).backward()
    return gradients(network)


def test_the_norm_is_that_before_clipping_and_clipping_is_torchs(plan_settings):
    raw = raw_gradients(plan_settings())
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in raw))
    network = plain()
    done = update(network, plan_settings(clip_norm=norm / 2))
    assert done.gradient_norm == pytest.approx(norm, rel=1e-5) and done.is_clipped
    for clipped, gradient in zip(gradients(network), raw, strict=True):
        torch.testing.assert_close(clipped, gradient / 2, rtol=1e-4, atol=1e-7)
    assert not update(plain(), plan_settings(clip_norm=norm * 1.01)).is_clipped


def test_values_are_clipped_too(plan_settings):
    raw = raw_gradients(plan_settings())
    largest = max(float(gradient.abs().max()) for gradient in raw)
    network = plain()
    done = update(network, plan_settings(clip_value=largest / 3))
    assert done.is_clipped
    for clipped, gradient in zip(gradients(network), raw, strict=True):
        torch.testing.assert_close(clipped, gradient.clamp(-largest / 3, largest / 3))
    assert not update(plain(), plan_settings(clip_value=largest * 1.01)).is_clipped


def test_the_loss_of_an_update_is_what_is_minimised_and_its_figures_are_plain(plan_settings):
    logits = plain()(IMAGES).detach()
    done = update(plain(), plan_settings(loss="focal", label_smoothing=0.2))
    assert float(done.cross_entropy) == pytest.approx(10 * float(nn.functional.cross_entropy(logits, LABELS)), rel=1e-5)
    assert done.loss != pytest.approx(float(done.cross_entropy) / 10, rel=1e-2)
    assert int(done.hits) == int((logits.argmax(1) == LABELS).sum())


@pytest.mark.parametrize("where", ["images", "gradient"])
def test_what_is_no_number_changes_no_weight_and_no_statistic(plan_settings, where):
    network, _ = narrow(99, "forward", norm=True)
    before = copy.deepcopy(network.state_dict())
    if where == "gradient":
        network.head.weight.register_hook(lambda gradient: gradient * float("inf"))
    images = IMAGES * (float("nan") if where == "images" else 1)
    with pytest.raises(TrainingError, match="loss" if where == "images" else "gradient") as caught:
        update(network, plan_settings(), images=images, step=7)
    assert caught.value.code == "training.diverged" and "step 7" in caught.value.message
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_dropout_drops_is_a_function_of_seed_and_step(plan_settings):
    def after(seed: int, step: int) -> torch.Tensor:
        network = plain()
        network.body.add_module("drop", nn.Dropout(0.5))
        torch.rand(5)
        update(network, plan_settings(seed=seed), step=step)
        return network.head.weight.detach()

    assert torch.equal(after(0, 3), after(0, 3))
    assert not torch.equal(after(0, 3), after(0, 4)) and not torch.equal(after(0, 3), after(1, 3))


def test_early_steps_are_a_share_of_all(plan_settings):
    settings = plan_settings(size=16, early_sizes=[8], early_share=0.3)
    assert [side_at(settings, Course(step, 10, 5)) for step in range(10)] == [8] * 3 + [16] * 7
    assert side_at(plan_settings(size=16), Course(0, 10, 5)) == 16
    two = plan_settings(size=16, early_sizes=[8, 12], early_share=0.7)
    assert [side_at(two, Course(step, 20, 5)) for step in range(20)] == [8] * 7 + [12] * 7 + [16] * 6
    assert [side_at(two, Course(step, 2, 1)) for step in range(2)] == [8, 16]  # the last step is at full size
    assert side_at(two, Course(0, 1, 1)) == 16


def test_images_shrink_as_pillow_shrinks_them():
    random = np.random.default_rng(0)
    image = random.integers(0, 256, (24, 24, 3), dtype=np.uint8)
    wanted = np.asarray(Image.fromarray(image).resize((9, 9), Image.Resampling.BILINEAR), np.float32) / 255
    images = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    assert np.abs(shrink_images(images, 9)[0].permute(1, 2, 0).numpy() - wanted).max() < 1.5 / 255
    assert shrink_images(images, 24) is images


def test_images_are_shrunk_before_they_are_changed_and_mixed(plan_settings):
    settings = plan_settings(size=16, early_sizes=[8], early_share=0.5, mixup=0.3)
    batch = Batch(torch.rand(4, 3, 16, 16), torch.tensor([0, 1, 0, 1]), np.arange(4))
    images, targets = prepare_batch(batch, settings, 2, 1, Course(0, 10, 5))
    assert images.shape == (4, 3, 8, 8) and targets.shape == (4, 2)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"), "machine.memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried"), "machine.memory"),
        (ValueError("Expected more than 1 value per channel when training"), "training.batch-norm"),
    ],
)
def test_errors_that_a_user_can_cause_have_a_name(plan_settings, error, code):
    with pytest.raises(TrainingError) as caught, named_errors(plan_settings()):
        raise error
    assert caught.value.code == code


def test_other_errors_stay_what_they_are(plan_settings):
    with pytest.raises(RuntimeError, match="something else"), named_errors(plan_settings()):
        raise RuntimeError("something else")
