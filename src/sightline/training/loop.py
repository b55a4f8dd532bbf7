"""The training loop: a generator of events that reads from top to bottom.

It does not know who listens. Order, augmentation and learning rate are functions of seed, epoch, step and the figures
so far. The network of the epoch with the best validation figure lies in the checkpoint, and is what the caller goes
on with.
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.events import (
    CheckpointSaved,
    EpochEnded,
    Event,
    InputsSeen,
    Noted,
    Progressed,
    StepEnded,
    TrainingStopped,
    ValidationMeasured,
)
from sightline.networks.network import Network
from sightline.planning.settings import Settings
from sightline.training.averaging import Average
from sightline.training.batches import Batch, Batches, as_pictures
from sightline.training.checkpoint import load_checkpoint, save_checkpoint
from sightline.training.find_rate import find_rate
from sightline.training.head import start_with_head
from sightline.training.imbalance import balanced_order
from sightline.training.layers import freeze_below, norm_layers, thawed_at
from sightline.training.memory import LOOKED_AT, looked_at_at_once
from sightline.training.schedules import Course, learning_rate_at, momentum_at
from sightline.training.update import Updater, diverged, logits_of, named_errors, prepare_batch

__all__ = ["measure", "train_network"]

_INPUTS = 16  # images that are shown as the network gets them

Said = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]  # predicted class, its probability


def train_network(
    network: Network, train: Batches, val: Batches, settings: Settings, checkpoint: Path
) -> Generator[Event, None, None]:
    """Train a network in place, and leave it with the weights of its best epoch.

    Args:
        network: on ``train.device``.
        train, val: the images; ``val`` chooses the epoch, and the rate where the schedule is ``plateau``.
        settings: of the plan.
        checkpoint: folder for the best epoch's weights: the averaged ones where there are such.

    Yields:
        StepEnded and Progressed within an epoch; EpochEnded and, if it is the best so far, CheckpointSaved after it;
        RateFound before the first, where the finder is asked for; TrainingStopped at the end, with the reason.

    Raises:
        TrainingError: if the loss is not a finite number.
    """
    start = time.monotonic()
    average = Average(network, settings.ema)
    best, best_epoch, reason = (math.inf, math.inf), 0, "all epochs done"
    clipped: list[bool] = []
    events = _train(network, average, train, val, settings)
    for event in events:
        if isinstance(event, StepEnded):
            clipped.append(event.is_clipped)
        if not isinstance(event, EpochEnded):
            yield event
            continue
        score = _score(event, settings)
        is_best = score < best and (event.epoch > 0 or settings.head_first)  # a random start is no candidate
        if is_best:
            best, best_epoch = score, event.epoch
            facts = {"epoch": event.epoch, "val_loss": event.val_loss, "val_accuracy": event.val_accuracy}
            save_checkpoint(checkpoint, average.network, facts)
        yield replace(event, is_best=is_best)
        if is_best:
            yield CheckpointSaved(str(checkpoint), best_epoch, event.val_loss)
        if settings.patience and event.epoch - best_epoch >= settings.patience:
            reason = f"no better validation {settings.select_by} for {settings.patience} epochs"
            break
    events.close()
    if math.isinf(best[0]):
        raise diverged("no epoch had a finite validation loss")
    if settings.clip_norm or settings.clip_value:
        yield Noted(f"The gradient was clipped in {sum(clipped) / max(1, len(clipped)):.0%} of {len(clipped):,} steps.")
    network.load_state_dict(load_checkpoint(checkpoint)[0])
    yield TrainingStopped(reason, best_epoch, time.monotonic() - start)


def _score(epoch: EpochEnded, settings: Settings) -> tuple[float, float]:
    """Return what is lowest for the best epoch; equal accuracies, of which small sets have many, are told apart."""
    if not math.isfinite(epoch.val_loss):
        return math.inf, math.inf
    return (epoch.val_loss if settings.select_by == "loss" else -epoch.val_accuracy), epoch.val_loss


def _train(
    network: Network, average: Average, train: Batches, val: Batches, settings: Settings
) -> Generator[Event, None, None]:
    """Yield what happens from the start to the last epoch."""
    with named_errors(settings):
        yield from _epochs(network, average, train, val, settings)


def _epochs(
    network: Network, average: Average, train: Batches, val: Batches, settings: Settings
) -> Generator[Event, None, None]:
    yield (yield from _start(network, train, val, settings))
    if settings.freeze_body:
        network.body.requires_grad_(False)
    if settings.find_rate:
        _set_training(network, settings)
        found = yield from find_rate(network, train, settings)
        yield found
        settings = settings.model_copy(update={"learning_rate": found.rate})
    updater = Updater(network, settings, np.bincount(train.labels, minlength=network.head.out_features).tolist())
    learning = [name for name, weight in network.named_parameters() if weight.requires_grad]
    epoch_steps = train.steps(settings.batch_size)
    at_once = looked_at_at_once(settings.batch_size, settings.accumulate)
    figures: list[float] = []
    for epoch in range(1, settings.epochs + 1):
        start, seen, rate = time.monotonic(), 0, 0.0
        sums = torch.zeros(2, device=train.device)
        for step, batch in enumerate(_batches(train, settings, epoch), (epoch - 1) * epoch_steps):
            course = Course(step, epoch_steps * settings.epochs, epoch_steps, figures)
            if not seen or settings.unfreeze_every:
                _set_learning(network, settings, course, learning)
            images, targets = prepare_batch(batch, settings, network.head.out_features, epoch, course)
            if step == 0:
                yield InputsSeen(step, as_pictures(images[:_INPUTS]))
            rate, momentum = learning_rate_at(settings, course), momentum_at(settings, course)
            update = updater.make(images, targets, rate=rate, momentum=momentum, step=step)
            average.update()
            sums += torch.stack([update.cross_entropy, update.hits])
            seen += len(images)
            yield StepEnded(step, epoch, update.loss, rate, update.gradient_norm, update.is_clipped)
            yield Progressed(seen, len(train), "images")
        speed = seen / max(1e-9, time.monotonic() - start)
        train_loss, train_accuracy = (sums / seen).tolist()
        loss, accuracy, said = measure(average.network, val, at_once)
        yield ValidationMeasured(epoch, val.labels, *said)
        figures.append(loss if settings.select_by == "loss" else accuracy)
        seconds = time.monotonic() - start
        reached = train_loss, train_accuracy, loss, accuracy
        yield EpochEnded(epoch, settings.epochs, *reached, rate, seconds, speed, False)


def _start(
    network: Network, train: Batches, val: Batches, settings: Settings
) -> Generator[Progressed, None, EpochEnded]:
    """Fit the head where that is planned, and return what the network reaches before the first epoch, as epoch 0."""
    start = time.monotonic()
    if settings.head_first:
        figures = yield from start_with_head(network, train, val)
        count = len(train) + len(val)
    else:
        at_once = looked_at_at_once(settings.batch_size, settings.accumulate)
        parts = -(-min(len(val), len(train)) // at_once)
        some = itertools.islice(train.shuffled(at_once, settings.seed, 0), parts)
        images = [(batch.images, batch.labels) for batch in some]
        figures = (*_figures(network, iter(images), train.device)[:2], *measure(network, val, at_once)[:2])
        count = sum(len(labels) for _, labels in images) + len(val)
    seconds = time.monotonic() - start
    return EpochEnded(0, settings.epochs, *figures, 0.0, seconds, count / max(1e-9, seconds), False)


def _batches(train: Batches, settings: Settings, epoch: int) -> Generator[Batch, None, None]:
    """Yield the batches of an epoch in their order: by chance, or with all classes equally often."""
    is_balanced = settings.imbalance == "balanced_sampling"
    order = balanced_order(train.labels, settings.seed, epoch) if is_balanced else None
    yield from train.shuffled(settings.batch_size, settings.seed, epoch, order)


def _set_learning(network: Network, settings: Settings, course: Course, learning: list[str]) -> None:
    """Let the layers learn that are to at this step, of those that learn at all."""
    if settings.unfreeze_every:
        each = settings.unfreeze_every * course.epoch_steps
        thawed = thawed_at(course.step, each)
        if course.step and thawed == thawed_at(course.step - 1, each) and network.training:
            return
        freeze_below(network, thawed, learning)
    _set_training(network, settings)


def _set_training(network: Network, settings: Settings) -> None:
    """Set the network to training mode, but for what is frozen."""
    network.train()
    if settings.freeze_body:
        network.body.eval()
    for layer in norm_layers(network):
        is_waiting = settings.unfreeze_every and not any(weight.requires_grad for weight in layer.parameters())
        if settings.freeze_norm or is_waiting:
            layer.eval()


@torch.inference_mode()
def measure(network: Network, batches: Batches, at_once: int = LOOKED_AT) -> tuple[float, float, Said]:
    """Return (mean cross-entropy in nats, accuracy, (predicted class, its probability)) of all images, each once."""
    return _figures(network, batches.in_order(at_once), batches.device)


@torch.inference_mode()
def _figures(
    network: Network, batches: Iterator[tuple[Tensor, Tensor]], device: torch.device
) -> tuple[float, float, Said]:
    network.eval()
    sums, said = torch.zeros(2, device=device), []
    for images, labels in batches:
        logits = logits_of(network, images)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        sums += torch.stack([loss, (logits.argmax(1) == labels).sum()])
        said.append(logits.float().softmax(1).max(1))
    confidence, predicted = (torch.cat(column).cpu().numpy() for column in zip(*said, strict=True))
    loss_mean, accuracy = (sums / max(1, len(predicted))).tolist()
    return loss_mean, accuracy, (predicted, confidence)
