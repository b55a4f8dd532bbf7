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

__all__ = ["SMALL", "measure", "measure_start", "predict_logits"]

SMALL = 64  # px: up to here no engine is faster than the network itself
_START = 1_000  # training images that tell what a network does before it learns

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


def _measure(network: Network, batches: Batches, at_once: int, count: int) -> tuple[float, float, Predicted]:
    return _compared(_logits(network, batches, at_once, count), torch.from_numpy(batches.labels))


def predict_logits(network: Network, batches: Batches, at_once: int = INFERENCE_BATCH) -> npt.NDArray[np.float32]:
    """Return ``[N, K]`` logits of all images, in their order; arguments as for ``measure``."""
    logits: npt.NDArray[np.float32] = _logits(network, batches, at_once, len(batches)).numpy()
    return logits


@torch.inference_mode()
def _logits(network: Network, batches: Batches, at_once: int, count: int) -> Tensor:
    size = batches.preprocess.size
    if batches.device.type != "cpu" or size <= SMALL:
        return _logits_of(network, batches.in_order(at_once))[0]
    engine = choose_engine(network, count, size)  # in fp32 all engines agree within rounding
    features = np.concatenate([engine.infer(squares) for squares in batches.squares_in_order(engine.batch)])
    logits: Tensor = network.head(torch.from_numpy(features))
    return logits


def measure_start(
    network: Network, train: Batches, val: Batches, seed: int, at_once: int = INFERENCE_BATCH
) -> tuple[StartMetrics, int]:
    """Return (loss and accuracy on some training images and on validation, the number of those images)."""
    parts = -(-min(len(val), len(train), _START) // at_once)
    some = itertools.islice(train.shuffled(at_once, seed, 0), parts)
    images = [(batch.images, batch.labels) for batch in some]
    metrics = (*_compared(*_logits_of(network, iter(images)))[:2], *measure(network, val, at_once)[:2])
    return metrics, sum(len(labels) for _, labels in images) + len(val)


@torch.inference_mode()
def _logits_of(network: Network, batches: Iterator[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return (logits ``[N, K] float32``, labels ``[N]``), on the CPU."""
    network.eval()
    found = [(logits_of(network, images).float(), labels) for images, labels in batches]
    logits, labels = (torch.cat(column).cpu() for column in zip(*found, strict=True))
    return logits, labels


@torch.inference_mode()
def _compared(logits: Tensor, labels: Tensor) -> tuple[float, float, Predicted]:
    """Return (mean cross-entropy in nats, accuracy, (predicted class, its probability))."""
    confidence, predicted = (column.numpy() for column in logits.softmax(1).max(1))
    accuracy = float((predicted == labels.numpy()).mean())
    return float(F.cross_entropy(logits, labels)), accuracy, (predicted, confidence)
