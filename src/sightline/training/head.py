"""A head fitted on frozen features: logistic regression, by scikit-learn.

It is a good model after seconds, and the start from which fine-tuning does not spoil the pretrained features
(A. Kumar et al., arXiv 2202.10054).
"""

from __future__ import annotations

import warnings
from collections.abc import Generator

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.errors import WeightsError
from sightline.events import Progressed
from sightline.networks.network import Network
from sightline.training.batches import Batches

__all__ = ["extract_features", "fit_head", "start_with_head"]

# Strengths that are tried, weak regularisation last; the best on validation is taken.
_STRENGTHS = (0.001, 0.01, 0.1, 1.0)

Features = npt.NDArray[np.floating]


def extract_features(
    network: Network, batches: Batches, total: int, done: int
) -> Generator[Progressed, None, Features]:
    """Return ``[N, D] float32`` features of a part, yielding progress counted from ``done`` to ``total``."""
    network.eval()
    found = []
    with torch.inference_mode():
        for images, _ in batches.in_order(32):
            found.append(network.features(images).float().cpu().numpy())
            done += len(images)
            yield Progressed(done, total, "images")
    return np.concatenate(found)


def start_with_head(
    network: Network, train: Batches, val: Batches
) -> Generator[Progressed, None, tuple[float, float, float, float]]:
    """Fit the head on frozen features; returns (loss, accuracy) on training and on validation, losses in nats.

    Raises:
        WeightsError: if the features are no finite numbers.
    """
    total = len(train) + len(val)
    train_features = yield from extract_features(network, train, total, 0)
    val_features = yield from extract_features(network, val, total, len(train))
    if not np.isfinite(train_features).all() or not np.isfinite(val_features).all():
        raise WeightsError(
            "weights.not-finite", "the network's features are no numbers", "give other weights, or check mean and std"
        )
    fit_head(network, train_features, train.labels, val_features, val.labels)
    figures = (
        _head_figures(network, torch.from_numpy(features), torch.from_numpy(batches.labels))
        for features, batches in ((train_features, train), (val_features, val))
    )
    (train_loss, train_accuracy), (val_loss, val_accuracy) = figures
    return train_loss, train_accuracy, val_loss, val_accuracy


@torch.inference_mode()
def _head_figures(network: Network, features: Tensor, labels: Tensor) -> tuple[float, float]:
    logits = network.head(features.to(network.head.weight.device)).cpu()
    return float(F.cross_entropy(logits, labels)), float((logits.argmax(1) == labels).float().mean())


def fit_head(
    network: Network,
    train: Features,
    train_labels: npt.NDArray[np.int64],
    val: Features,
    val_labels: npt.NDArray[np.int64],
) -> tuple[float, float]:
    """Fit the network's head in place; returns (regularisation chosen, its validation loss in nats).

    Features are scaled to unit mean square, which makes one set of strengths right for every network; the scale
    is folded into the head's weights afterwards.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    from sightline.evaluation.metrics import log_loss

    scale = float(np.sqrt((train**2).mean())) or 1.0
    present = np.unique(train_labels)
    best: tuple[float, float, Features, Features] | None = None
    for strength in _STRENGTHS:
        model = LogisticRegression(C=strength, max_iter=200, tol=1e-3)
        with warnings.catch_warnings():
            # Stopping early costs a little accuracy of the fit, which the validation loss sees.
            warnings.simplefilter("ignore", ConvergenceWarning)
            model.fit(train / scale, train_labels)
        weight, bias = _all_classes(model.coef_, model.intercept_, present, network.head.out_features)
        loss = log_loss(val_labels, _softmax(val / scale @ weight.T + bias))
        if best is None or loss < best[1]:
            best = (strength, loss, weight / scale, bias)
    assert best is not None
    with torch.no_grad():
        network.head.weight.copy_(torch.from_numpy(best[2]))
        network.head.bias.copy_(torch.from_numpy(best[3]))
    return best[0], best[1]


def _all_classes(
    coefficients: Features, intercepts: Features, present: npt.NDArray[np.int64], classes: int
) -> tuple[Features, Features]:
    """Return a row for every class; two classes come as one row, and absent ones get a very low bias."""
    if len(present) == 2:
        coefficients = np.concatenate([-coefficients / 2, coefficients / 2])
        intercepts = np.concatenate([-intercepts / 2, intercepts / 2])
    weight = np.zeros((classes, coefficients.shape[1]), np.float32)
    bias = np.full(classes, -20.0, np.float32)
    weight[present], bias[present] = coefficients, intercepts
    return weight, bias


def _softmax(logits: Features) -> npt.NDArray[np.float32]:
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    shares: npt.NDArray[np.float32] = (shifted / shifted.sum(1, keepdims=True)).astype(np.float32)
    return shares
