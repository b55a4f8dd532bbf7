"""A head fitted on frozen features: logistic regression, by scikit-learn.

It is a good model after seconds, and a start for fine-tuning that does not distort the pretrained features (A. Kumar
et al., arXiv 2202.10054).
"""

from __future__ import annotations

import contextlib
import math
import time
import warnings
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.errors import WeightsError
from sightline.events import FeaturesSeen, Noted, Progressed
from sightline.networks.network import Network
from sightline.training.batches import Batches
from sightline.training.engines import Engine, choose_engine

__all__ = ["STRENGTHS", "extract_features", "fit_head", "start_with_head"]

# Inverse regularisation strengths, strongest first: each fit starts from the one before it.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_FOLDS = 5
_ENOUGH_TO_CHOOSE = 200  # validation images from which on they choose alone
# A fit costs about images x features x classes. Up to the first limit, folds cost a second; up to the second, one
# thread is fastest: at 3,068 x 1,280 x 10, a fit took 0.5 s on one, and 11.5 s on the two threads of a busy core.
_FOLDS_UP_TO = 10_000_000
_ONE_THREAD_UP_TO = 500_000_000

Features = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]


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
    network: Network, train: Batches, val: Batches, precision: str = "fp32", until: float = math.inf
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

    Raises:
        WeightsError: if the features are not finite numbers.
    """
    total = len(train) + len(val)
    engine = choose_engine(network, total, train.preprocess.size, precision)
    val_features = yield from _infer(engine, val, total, 0)
    order = np.arange(len(train))
    if not math.isinf(until):
        order = np.random.default_rng(0).permutation(len(train))
        train = train.take(order)
    train_features = yield from _infer(engine, train, total, len(val), until)
    if len(train_features) < len(train):
        few, all_of_them = len(train_features), len(train)
        yield Noted(f"The head is fitted on {few:,} of {all_of_them:,} training images, to keep the time limit.")
        order = order[: len(train_features)]
        train = train.take(np.arange(len(order)))
    if not np.isfinite(train_features).all() or not np.isfinite(val_features).all():
        message = "the network's features are not finite numbers"
        raise WeightsError("weights.not-finite", message, "give other weights, or check mean and std")
    fit_head(network, train_features, train.labels, val_features, val.labels)
    yield FeaturesSeen(order, train_features, val_features)
    reached = (
        _head_metrics(network, torch.from_numpy(features), torch.from_numpy(batches.labels))
        for features, batches in ((train_features, train), (val_features, val))
    )
    (train_loss, train_accuracy), (val_loss, val_accuracy) = reached
    return train_loss, train_accuracy, val_loss, val_accuracy


@torch.inference_mode()
def _head_metrics(network: Network, features: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = network.head(features.to(network.head.weight.device)).cpu()
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).float().mean())


def fit_head(
    network: Network, train: Features, train_labels: Labels, val: Features, val_labels: Labels
) -> tuple[float, float]:
    """Fit the network's head in place, on the training images; returns (inverse regularisation, its held-out loss).

    Features are centred and scaled to unit mean square, so that one set of strengths suits every network and a fit
    needs a third of the iterations; both are folded into the head afterwards.

    The strength with the lowest loss on held-out images is used. From 200 validation images on, those decide alone:
    the split keeps groups and copies on one side, so their loss is not biased, and one fit per strength is enough.
    Fewer images are too noisy; then five folds of the training images are held out in turn and count too, unless that
    would take more than about a second. Folds do not respect groups, and copies on both sides of a fold would favour
    too little regularisation. So folds are blocks of neighbours in the order of the files, class by class: frames of a
    series and copies mostly have similar names.

    Args:
        network: the network with the head.
        train, val: ``[N, D]`` and ``[M, D]`` features.
        train_labels, val_labels: their classes; a class without training images is never predicted.

    Returns:
        The strength (scikit-learn's ``C``) and the mean loss that chose it, in nats.
    """
    mean = train.mean(0)
    scale = float(np.sqrt(((train - mean) ** 2).mean())) or 1.0
    scaled, scaled_val = (train - mean) / scale, (val - mean) / scale
    classes = network.head.out_features
    cost = scaled.size * classes
    with _threads_for(cost):
        fits = list(_fit_strengths(scaled, train_labels, classes))
        sums = np.array([_loss_sum(fit, scaled_val, val_labels) for fit in fits])
        count = len(val_labels)
        if count < _ENOUGH_TO_CHOOSE and cost <= _FOLDS_UP_TO:
            for kept, held in _folds(train_labels):
                some = _fit_strengths(scaled[kept], train_labels[kept], classes)
                sums += [_loss_sum(fit, scaled[held], train_labels[held]) for fit in some]
                count += len(held)
    best = int(sums.argmin())
    weight, bias = fits[best]
    weight = weight / scale
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(weight))
        network.head.bias.copy_(torch.from_numpy(bias - weight @ mean))
    return STRENGTHS[best], float(sums[best] / max(1, count))


@contextlib.contextmanager
def _threads_for(cost: int) -> Iterator[None]:
    import sklearn.linear_model  # noqa: F401  (before the limit, which does not apply to libraries loaded later)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1 if cost <= _ONE_THREAD_UP_TO else None, user_api="blas"):
        yield


def _fit_strengths(features: Features, labels: Labels, classes: int) -> Iterator[tuple[Features, Features]]:
    """Yield (weight ``[K, D]``, bias ``[K]``) for each strength, each fit starting from the one before."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    present = np.unique(labels)
    model: Any = LogisticRegression(max_iter=200, tol=1e-3, warm_start=True)
    for strength in STRENGTHS:
        model.C = strength
        with warnings.catch_warnings():
            # Stopping early costs a little accuracy of the fit, which the loss on held-out images accounts for.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(features, labels)
        yield _all_classes(model.coef_, model.intercept_, present, classes)


def _folds(labels: Labels) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]]:
    """Yield (kept, held out) positions: a block of neighbours of each class; a class of one image is kept."""
    number = np.zeros(len(labels), np.int64)
    for label in np.unique(labels):
        places = np.flatnonzero(labels == label)
        number[places] = np.arange(len(places)) * _FOLDS // len(places) if len(places) > 1 else -1
    for fold in range(_FOLDS):
        held = np.flatnonzero(number == fold)
        if len(held):
            yield np.flatnonzero(number != fold), held


def _loss_sum(fit: tuple[Features, Features], features: Features, labels: Labels) -> float:
    from scipy.special import log_softmax

    logits = features @ fit[0].T + fit[1]
    return float(-log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels].sum())


def _all_classes(
    coefficients: Features, intercepts: Features, present: npt.NDArray[np.int64], classes: int
) -> tuple[Features, Features]:
    """Return a row for every class: scikit-learn has one row for two classes; absent classes get a very low bias."""
    if len(present) == 2:
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    weight = np.zeros((classes, coefficients.shape[1]), np.float32)
    bias = np.full(classes, -20.0, np.float32)
    weight[present], bias[present] = coefficients, intercepts
    return weight, bias
