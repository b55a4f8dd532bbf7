"""The start of a training with torch: a head fitted on the features of the frozen network.

It is a good model after seconds, and a start for fine-tuning that does not distort the pretrained features (A. Kumar
et al., arXiv 2202.10054).
"""

from __future__ import annotations

import math
import time
from collections.abc import Generator

import numpy as np
import numpy.typing as npt
import torch

from sightline.events import FeaturesSeen, Noted, Progressed
from sightline.networks.network import Network
from sightline.training.batches import Batches
from sightline.training.engines import Engine, choose_engine
from sightline.training.logistic import fit_part, mixed_order

__all__ = ["extract_features", "start_with_head"]

Features = npt.NDArray[np.floating]


def extract_features(
    network: Network, batches: Batches, total: int, done: int, precision: str = "fp32", until: float = math.inf
) -> Generator[Progressed, None, Features]:
    """Return ``[N, D] float32`` features of a part, yielding progress counted from ``done`` to ``total``.

    Uses the fastest engine for ``total`` images, see :func:`~sightline.training.engines.choose_engine`. It stops at
    ``until``, by ``time.monotonic()``, with the features of the first images, at least one batch.
    """
    engine = choose_engine(network, total, batches.preprocess.size, precision)
    return (yield from _infer(engine, batches, total, done, until))


def _infer(
    engine: Engine, batches: Batches, total: int, done: int, until: float = math.inf
) -> Generator[Progressed, None, Features]:
    """Return the features of all images, or of the first ones if ``until`` comes before the end; at least one batch."""
    found = []
    for squares in batches.squares_in_order(engine.batch):
        found.append(engine.infer(squares))
        done += len(squares)
        yield Progressed(done, total, "images")
        if time.monotonic() > until:
            break
    return np.concatenate(found)


def start_with_head(
    network: Network,
    train: Batches,
    val: Batches,
    precision: str = "fp32",
    until: float = math.inf,
    *,
    even: bool = False,
) -> Generator[Progressed | Noted | FeaturesSeen, None, tuple[float, float, float, float]]:
    """Fit the head on frozen features; returns (loss, accuracy) on training and on validation, losses in nats.

    The features are yielded as ``FeaturesSeen`` once the head is fitted.

    Args:
        network: its head is fitted in place.
        train: the images that it is fitted on.
        val: images that help to choose the regularisation.
        precision: of the plan; with ``bf16`` the features are computed in it.
        until: by ``time.monotonic()``, when to stop computing features of training images; the head is then fitted on
            a random part of them.
        even: as for ``fit_head``.

    Raises:
        WeightsError: if the features are not finite numbers.
    """
    total = len(train) + len(val)
    engine = choose_engine(network, total, train.preprocess.size, precision)
    val_features = yield from _infer(engine, val, total, 0)
    order, labels = np.arange(len(train)), train.labels
    if not math.isinf(until):
        order = mixed_order(train.labels)
        train = train.take(order)
    train_features = yield from _infer(engine, train, total, len(val), until)
    classes = network.head.out_features
    head, metrics = yield from fit_part(train_features, labels, order, val_features, val.labels, classes, even=even)
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
    return metrics
