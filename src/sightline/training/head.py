"""The start of a training with torch: a head fitted on the features of the frozen network.

It is a good model after seconds, and a start for fine-tuning that does not distort the pretrained features (A. Kumar
et al., arXiv 2202.10054).
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import time
from collections.abc import Generator, Iterator
from importlib.metadata import version

import numpy as np
import numpy.typing as npt
import torch

from sightline.data.feature_cache import Computed, cached_features
from sightline.events import FeaturesSeen, Noted, Progressed
from sightline.networks.network import Network
from sightline.pixels.cache import pixel_rules
from sightline.steps import Steps
from sightline.training.batches import Batches
from sightline.training.engines import Engine, choose_engine
from sightline.training.logistic import HeadFit, fit_part, mixed_order

__all__ = ["extract_features", "start_with_head"]

Features = npt.NDArray[np.floating]


def extract_features(
    network: Network,
    batches: Batches,
    total: int,
    done: int,
    precision: str = "fp32",
    until: float = math.inf,
    *,
    keep: bool = False,
) -> Generator[Progressed, None, Features]:
    """Return ``[N, D] float32`` features of a part, yielding progress counted from ``done`` to ``total``.

    Uses the fastest engine for ``total`` images, see :func:`~sightline.training.engines.choose_engine`; what is in the
    cache of features is not computed again. It stops at ``until``, by ``time.monotonic()``, with the features of the
    first images, at least one batch. They are kept in the cache with ``keep``, for a network that is used again.
    """
    with _unscaled(network) as scale:
        engine = choose_engine(network, total, batches.preprocess.size, precision)
        found, _ = yield from _infer(engine, network, batches, total, done, until, keep=keep)
    return found if scale is None else found * scale


@contextlib.contextmanager
def _unscaled(network: Network) -> Iterator[npt.NDArray[np.float32] | None]:
    """Let the features of stages be those of the body, so that the cache's serve any head; yields their scale, or None
    where a network has none."""
    if network.stages is None:
        yield None
        return
    scale = network.feature_scale.clone()
    network.feature_scale.fill_(1)
    try:
        yield scale.cpu().numpy()
    finally:
        network.feature_scale.copy_(scale)


def _infer(
    engine: Engine,
    network: Network,
    batches: Batches,
    total: int,
    done: int,
    until: float = math.inf,
    *,
    keep: bool = True,
) -> Generator[Progressed, None, tuple[Features, int]]:
    """Return features of all images, or of the first ones if ``until`` comes before the end, and how many were known.

    Those of onnxruntime are kept, as each depends on its image alone, whatever else is in its batch.
    """
    digests = batches.store.digests
    if engine.name != "onnxruntime" or not digests:
        return (yield from _infer_all(engine, batches, total, done, until)), 0

    def compute(missing: npt.NDArray[np.intp]) -> Computed:
        squares = batches.take(missing).squares_in_order(engine.batch)
        for start, some in zip(range(0, len(missing), engine.batch), squares, strict=True):
            yield missing[start : start + engine.batch], engine.infer(some)

    rules, own = {"network": _fingerprint(network), **pixel_rules(batches.preprocess)}, batches.rows.tolist()
    looking = Steps(
        cached_features(
            rules,
            network.feature_size,
            [digests[row] for row in own],
            compute,
            total=total,
            done=done,
            until=until,
            keep=keep,
        )
    )
    first = None
    for event in looking:
        first = first or event
        yield event
    rows = [row for row in itertools.takewhile(lambda row: row is not None, looking.result) if row is not None]
    return np.stack(rows), min(len(rows), first.done - done if first else 0)


def _infer_all(
    engine: Engine, batches: Batches, total: int, done: int, until: float
) -> Generator[Progressed, None, Features]:
    found = []
    for squares in batches.squares_in_order(engine.batch):
        found.append(engine.infer(squares))
        done += len(squares)
        yield Progressed(done, total, "images")
        if time.monotonic() > until:
            break
    return np.concatenate(found)


def _fingerprint(network: Network) -> str:
    """Return what the features of a network depend on besides the image: its layers and numbers, and who computes."""
    looks = " mirrored" if network.mirrored else ""
    library = f"torch {torch.__version__} onnxruntime {version('onnxruntime')}{looks}"
    found = hashlib.sha256(f"{network.body!r} {library}".encode())
    for name, tensor in sorted(network.state_dict().items()):
        if not name.startswith("head."):
            found.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
            found.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()


def start_with_head(
    network: Network,
    train: Batches,
    val: Batches,
    precision: str = "fp32",
    until: float = math.inf,
    *,
    even: bool = False,
    strength: float = 0.0,
) -> Generator[Progressed | Noted | FeaturesSeen, None, tuple[float, float, float, float]]:
    """Fit the head on frozen features; returns (loss, accuracy) on training and on validation, losses in nats.

    The features are yielded as ``FeaturesSeen`` once the head is fitted.

    Args:
        network: its head is fitted in place, and with it how much the features of its stages count.
        train: the images that it is fitted on.
        val: images that help to choose the regularisation.
        precision: of the plan; with ``bf16`` the features are computed in it.
        until: by ``time.monotonic()``, when to stop computing features of training images; the head is then fitted on
            a random part of them.
        even, strength: as for ``fit_head``.

    Raises:
        WeightsError: if the features are not finite numbers.
    """
    total = len(train) + len(val)
    if network.stages:
        network.feature_scale.fill_(1)
    engine = choose_engine(network, total, train.preprocess.size, precision)
    val_features, known = yield from _infer(engine, network, val, total, 0)
    order, labels = np.arange(len(train)), train.labels
    if not math.isinf(until):
        order = mixed_order(train.labels)
        train = train.take(order)
    train_features, more = yield from _infer(engine, network, train, total, len(val), until)
    if known + more:
        yield Noted(f"Features: {known + more:,} of {total:,} images are in the cache, and were not computed again.")
    how = HeadFit(network.head.out_features, even, network.feature_groups, strength)
    head, metrics = yield from fit_part(train_features, labels, order, val_features, val.labels, how)
    with torch.no_grad():
        if head.scale is not None:
            network.feature_scale.copy_(torch.from_numpy(head.scale))
        network.head.weight.copy_(torch.from_numpy(head.weight))
        network.head.bias.copy_(torch.from_numpy(head.bias))
    return metrics
