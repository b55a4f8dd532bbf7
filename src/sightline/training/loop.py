"""The training loop: a generator of events that reads from top to bottom.

It does not know who listens. Order and augmentation are functions of seed, epoch and step. The network of the
epoch with the best validation loss lies in the checkpoint, and is what the caller goes on with.
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sightline.errors import TrainingError, WeightsError
from sightline.events import (
    CheckpointSaved,
    EpochEnded,
    Event,
    InputsSeen,
    Progressed,
    StepEnded,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.networks.network import Network
from sightline.planning.settings import Settings
from sightline.training.augment import augment_batch
from sightline.training.batches import Batches
from sightline.training.checkpoint import load_checkpoint, save_checkpoint
from sightline.training.head import extract_features, fit_head
from sightline.training.optim import learning_rate_at, make_optimizer, norm_layers

__all__ = ["measure_step", "train_network"]

_INPUTS = 16  # images that are shown as the network gets them
_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")


def train_network(
    network: Network, train: Batches, val: Batches, settings: Settings, checkpoint: Path
) -> Generator[Event, None, None]:
    """Train a network in place, and leave it with the weights of its best epoch.

    Args:
        network: on ``train.device``.
        train, val: the images; ``val`` chooses the epoch and serves nothing else.
        settings: of the plan.
        checkpoint: folder for the best epoch's weights.

    Yields:
        Progressed within an epoch; EpochEnded and, if it is the best so far, CheckpointSaved after it;
        TrainingStopped at the end, with the reason.

    Raises:
        TrainingError: if the loss is not a finite number.
    """
    start = time.monotonic()
    best_loss, best_epoch, reason = math.inf, 0, "all epochs done"
    epochs = _named_errors(_epochs(network, train, val, settings))
    for epoch in epochs:
        if not isinstance(epoch, EpochEnded):
            yield epoch
            continue
        is_best = epoch.val_loss < best_loss
        if is_best:
            best_loss, best_epoch = epoch.val_loss, epoch.epoch
            facts = {"epoch": epoch.epoch, "val_loss": epoch.val_loss, "val_accuracy": epoch.val_accuracy}
            save_checkpoint(checkpoint, network, facts)
        yield replace(epoch, is_best=is_best)
        if is_best:
            yield CheckpointSaved(str(checkpoint), best_epoch, best_loss)
        if settings.patience and epoch.epoch - best_epoch >= settings.patience:
            reason = f"no better validation loss for {settings.patience} epochs"
            break
    epochs.close()
    if math.isinf(best_loss):
        raise _diverged("no epoch had a finite validation loss")
    weights, _ = load_checkpoint(checkpoint)
    network.load_state_dict(weights)
    yield TrainingStopped(reason, best_epoch, time.monotonic() - start)


def _named_errors(epochs: Generator[Event, None, None]) -> Generator[Event, None, None]:
    """Give torch's errors that a user can cause a name and a cure."""
    try:
        yield from epochs
    except (RuntimeError, ValueError) as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in _NO_MEMORY):
            cure = "try half the --batch-size, or a smaller --size"
            raise TrainingError("machine.memory", f"not enough memory: {text.splitlines()[0][:160]}", cure) from error
        if "more than 1 value per channel" in text:
            cure = "give --batch-size 2 or more (and at least as many training images), or a larger --size"
            raise TrainingError("training.batch-norm", "batch norms can't learn from a single value", cure) from error
        raise


def _epochs(network: Network, train: Batches, val: Batches, settings: Settings) -> Generator[Event, None, None]:
    """Yield progress and one EpochEnded an epoch: first the fitted head, if planned, then epochs of steps."""
    if settings.head_first:
        yield (yield from _fit_head(network, train, val, settings))
    if settings.freeze_body:
        network.body.requires_grad_(False)
    optimizer = make_optimizer(network, settings)
    steps = train.steps(settings.batch_size)
    for epoch in range(1, settings.epochs + 1):
        start = time.monotonic()
        _set_training(network, settings)
        loss_sum = hits = torch.zeros((), device=train.device)
        seen = 0
        for position, (images, labels, chosen) in enumerate(
            train.shuffled(settings.batch_size, settings.seed, epoch), 1
        ):
            step = (epoch - 1) * steps + position - 1
            images = augment_batch(images, settings, step, epoch, chosen)
            for group in optimizer.param_groups:
                group["lr"] = learning_rate_at(settings, step, steps * settings.epochs)
            if step == 0:
                yield InputsSeen(step, as_pictures(images[:_INPUTS]))
            loss, logits, norm = _step(network, optimizer, images, labels, settings)
            _refuse_not_finite(loss, step)
            loss_sum = loss_sum + loss * len(labels)
            hits = hits + (logits.argmax(1) == labels).sum()
            seen = seen + len(labels)
            yield StepEnded(step, epoch, float(loss), group["lr"], norm, 0 < settings.clip_norm < norm)
            yield Progressed(seen, len(train), "images")
        rate = learning_rate_at(settings, epoch * steps - 1, steps * settings.epochs)
        speed = seen / max(1e-9, time.monotonic() - start)
        val_loss, val_accuracy, said = measure(network, val)
        yield ValidationMeasured(epoch, val.labels, *said)
        figures = float(loss_sum / seen), float(hits / seen), val_loss, val_accuracy
        yield EpochEnded(epoch, settings.epochs, *figures, rate, time.monotonic() - start, speed, False)


def _fit_head(
    network: Network, train: Batches, val: Batches, settings: Settings
) -> Generator[Progressed, None, EpochEnded]:
    """Fit the head on frozen features and return what it reaches, as epoch 0."""
    start, total = time.monotonic(), len(train) + len(val)
    train_features = yield from extract_features(network, train, total, 0)
    val_features = yield from extract_features(network, val, total, len(train))
    speed = total / (time.monotonic() - start)
    if not np.isfinite(train_features).all() or not np.isfinite(val_features).all():
        raise WeightsError(
            "weights.not-finite", "the network's features are no numbers", "give other weights, or check mean and std"
        )
    fit_head(network, train_features, train.labels, val_features, val.labels)
    figures = [
        _head_figures(network, torch.from_numpy(features), torch.from_numpy(batches.labels))
        for features, batches in ((train_features, train), (val_features, val))
    ]
    return EpochEnded(0, settings.epochs, *figures[0], *figures[1], 0.0, time.monotonic() - start, speed, False)


@torch.inference_mode()
def _head_figures(network: Network, features: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = network.head(features.to(network.head.weight.device)).cpu()
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).float().mean())


def _step(
    network: Network, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, settings: Settings
) -> tuple[Tensor, Tensor, float]:
    """Make one update; returns (loss, logits, norm of the gradient). A loss that is no number changes no weight.

    The loss returned is the plain cross-entropy, without smoothing, so that it compares with validation.
    """
    optimizer.zero_grad(set_to_none=True)
    logits = network(images)
    loss = F.cross_entropy(logits, labels, label_smoothing=settings.label_smoothing)
    norm = torch.zeros(())
    if torch.isfinite(loss):
        loss.backward()
        norm = nn.utils.clip_grad_norm_(network.parameters(), settings.clip_norm or math.inf)
        if torch.isfinite(norm):
            optimizer.step()
        else:
            return norm, logits.detach(), float(norm)
    return F.cross_entropy(logits.detach(), labels), logits.detach(), float(norm)


def _set_training(network: Network, settings: Settings) -> None:
    network.train()
    if settings.freeze_body:
        network.body.eval()
    if settings.freeze_norm:
        for layer in norm_layers(network):
            layer.eval()


def _refuse_not_finite(loss: Tensor, step: int) -> None:
    if not torch.isfinite(loss):
        raise _diverged(f"the loss or its gradient is {float(loss)} at step {step}; no weight was changed by it")


def _diverged(message: str) -> TrainingError:
    cure = "lower the learning rate, for example --lr with a tenth of the plan's value"
    return TrainingError("training.diverged", message, cure)


def as_pictures(images: Tensor) -> npt.NDArray[np.uint8]:
    """Return ``[B, 3, H, W]`` images from 0 to 1 as ``[B, H, W, 3] uint8``, for people."""
    pixels: npt.NDArray[np.uint8] = (images.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).cpu().numpy()
    return pixels


@torch.inference_mode()
def measure(
    network: Network, batches: Batches
) -> tuple[float, float, tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]]:
    """Return (mean cross-entropy in nats, accuracy, (predicted class, its probability)) of all images, each once."""
    network.eval()
    loss = hits = torch.zeros((), device=batches.device)
    said = []
    for images, labels in batches.in_order(128):
        logits = network(images)
        loss = loss + F.cross_entropy(logits, labels, reduction="sum")
        hits = hits + (logits.argmax(1) == labels).sum()
        said.append(logits.float().softmax(1).max(1))
    confidence, predicted = (torch.cat(column).cpu().numpy() for column in zip(*said, strict=True))
    return float(loss) / len(batches), float(hits) / len(batches), (predicted, confidence)


def measure_step(network: Network, settings: Settings, device: torch.device) -> float:
    """Return the seconds that a training step takes for one image, measured on a small random batch."""
    count = min(settings.batch_size, 8 if settings.size > 64 else 64)
    images = torch.rand(count, 3, settings.size, settings.size, device=device)
    labels = torch.zeros(len(images), dtype=torch.long, device=device)
    seconds = []
    for _ in range(5):
        start = time.monotonic()
        F.cross_entropy(network(images), labels).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(time.monotonic() - start)
    network.zero_grad(set_to_none=True)
    return min(seconds) / len(images)
