"""Loss, accuracy and predictions of a network on labelled images."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.networks.network import Network
from sightline.training.batches import Batches
from sightline.training.engines import choose_engine
from sightline.training.memory import INFERENCE_BATCH
from sightline.training.process_group import ALONE, Group
from sightline.training.update import logits_of

__all__ = ["SMALL", "measure", "measure_start"]

SMALL = 64  # px: up to here no engine is faster than the network itself

Predicted = tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]  # predicted class, its probability
StartMetrics = tuple[float, float, float, float]


def measure(
    network: Network, batches: Batches, at_once: int = INFERENCE_BATCH, group: Group = ALONE
) -> tuple[float, float, Predicted]:
    """Return (mean cross-entropy in nats, accuracy, (predicted class, its probability)) of all images, each once.

    Args:
        network: set to evaluation mode.
        batches: the images.
        at_once: batch size, where the engine does not decide it.
        group: the processes that share the images; each evaluates its part, and all get all results.
    """
    if group.size == 1:
        return _measure(network, batches, at_once, len(batches))
    mine, count = group.part(len(batches)), len(batches)
    own = batches.take(np.arange(mine.start, mine.stop))
    sums, found = torch.zeros(1, dtype=torch.float64), torch.zeros(2, count, dtype=torch.float64)
    if len(own):
        loss, _, (predicted, confidence) = _measure(network, own, at_once, count)
        sums[0] = loss * len(own)
        found[0, mine], found[1, mine] = torch.from_numpy(predicted), torch.from_numpy(confidence)
    group.any(False)
    group.sum_([sums, found])
    classes = found[0].numpy().astype(np.int64)
    accuracy = float((classes == batches.labels).mean())
    return float(sums) / max(1, count), accuracy, (classes, found[1].numpy().astype(np.float32))


@torch.inference_mode()
def _measure(network: Network, batches: Batches, at_once: int, count: int) -> tuple[float, float, Predicted]:
    size = batches.preprocess.size
    if batches.device.type != "cpu" or size <= SMALL:
        return _measure_batches(network, batches.in_order(at_once), batches.device)
    engine = choose_engine(network, count, size)  # in fp32 all engines agree within rounding
    features = np.concatenate([engine.infer(squares) for squares in batches.squares_in_order(engine.batch)])
    logits = network.head(torch.from_numpy(features))
    loss = F.cross_entropy(logits, torch.from_numpy(batches.labels))
    confidence, predicted = (column.numpy() for column in logits.softmax(1).max(1))
    return float(loss), float((predicted == batches.labels).mean()), (predicted, confidence)


def measure_start(
    network: Network, train: Batches, val: Batches, seed: int, at_once: int = INFERENCE_BATCH
) -> tuple[StartMetrics, int]:
    """Return (loss and accuracy on some training images and on validation, the number of those images)."""
    parts = -(-min(len(val), len(train)) // at_once)
    some = itertools.islice(train.shuffled(at_once, seed, 0), parts)
    images = [(batch.images, batch.labels) for batch in some]
    metrics = (*_measure_batches(network, iter(images), train.device)[:2], *measure(network, val, at_once)[:2])
    return metrics, sum(len(labels) for _, labels in images) + len(val)


@torch.inference_mode()
def _measure_batches(
    network: Network, batches: Iterator[tuple[Tensor, Tensor]], device: torch.device
) -> tuple[float, float, Predicted]:
    network.eval()
    sums, found = torch.zeros(2, device=device), []
    for images, labels in batches:
        logits = logits_of(network, images)
        loss = F.cross_entropy(logits, labels, reduction="sum")
        sums += torch.stack([loss, (logits.argmax(1) == labels).sum()])
        found.append(logits.float().softmax(1).max(1))
    confidence, predicted = (torch.cat(column).cpu().numpy() for column in zip(*found, strict=True))
    loss_mean, accuracy = (sums / max(1, len(predicted))).tolist()
    return loss_mean, accuracy, (predicted, confidence)
