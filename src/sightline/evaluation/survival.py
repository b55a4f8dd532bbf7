"""Whether classes survive a mirror or a turn, by a quick direct test on small images. Arrays only, no torch.

A cheap classifier is fitted twice: on training images, and on these and their changed copies. Where a copy shows
another class (a left arrow in a mirror), the copies contradict the labels, and validation pays for it. What is
asked is not whether the change helps, which a linear classifier can't say for a network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.evaluation.intervals import wilson
from sightline.planning.facts import Survival

__all__ = ["LEAST_IMAGES", "SIDE", "probe_survival"]

SIDE = 32  # px of the images
LEAST_IMAGES = 30  # of validation
_TURN = 15  # degrees
_BINS = 8  # of a gradient's direction, all round: up and down differ
_PENALTY = 0.1  # of the ridge regression, as a share of the features' mean variance
_LEVEL = 0.01  # of each test, one-sided
_RISE, _LEAST_RISE = 0.25, 0.02  # of the squared error that matters: relative, and at least

Squares = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


def probe_survival(
    images: Squares, labels: Labels, val: Squares, val_labels: Labels, changes: Sequence[str] = ("mirror",)
) -> dict[str, Survival]:
    """Return for each change whether classes survive it.

    A ridge regression on histograms of gradients and mean colours is fitted with and without changed copies, and both
    answer the same validation images. A change is ``harmful`` if fewer are right (McNemar's exact test) or if the
    squared error of the scores rises by a quarter or more (paired t-test), each at 1 %, one-sided. It is ``harmless``
    if such a rise can be excluded at 1 %, else ``unclear``; so it is also where the regression does not beat the
    most frequent class.

    Args:
        images: ``[N, 32, 32, 3] uint8`` for training.
        labels: ``[N]``, from 0.
        val: ``[M, 32, 32, 3] uint8`` for validation.
        val_labels: ``[M]``.
        changes: keys of the table of changes: ``mirror``, ``upside-down``, ``turn`` (by up to 15 degrees) and
            ``quarter-turn``.

    References:
        N. Dalal and B. Triggs, Histograms of oriented gradients for human detection, CVPR 2005;
        Q. McNemar, Psychometrika 12 (1947).

    Example:
        >>> left = np.zeros((80, 32, 32, 3), np.uint8)
        >>> left[:, :, :16] = np.random.default_rng(0).integers(100, 255, (80, 1, 1, 3))
        >>> both = np.concatenate([left, left[:, :, ::-1]])
        >>> labels = np.repeat([0, 1], 80)
        >>> probe_survival(both, labels, both[::2], labels[::2])["mirror"].verdict
        'harmful'
    """
    count = int(max(labels.max(), val_labels.max())) + 1
    features, seen = _describe(images), _describe(val)
    plain = _scores(features, labels, seen, count)
    hits = int((plain.argmax(1) == val_labels).sum())
    majority = float((val_labels == np.bincount(labels).argmax()).mean())
    can_tell = wilson(hits, len(val)).low > majority
    found = {}
    for name in changes:
        copies = _describe(CHANGES[name](images))
        with_copies = _scores(np.concatenate([features, copies]), np.concatenate([labels, labels]), seen, count)
        found[name] = _compare(name, plain, with_copies, val_labels, can_tell)
    return found


def _compare(name: str, plain: Floats, copies: Floats, labels: Labels, can_tell: bool) -> Survival:
    """Return the verdict of two sets of ``[M, K]`` scores of the same images."""
    from scipy import stats

    target = np.eye(plain.shape[1], dtype=np.float32)[labels]
    error = ((plain - target) ** 2).sum(1)
    rise = ((copies - target) ** 2).sum(1) - error
    before, after = plain.argmax(1) == labels, copies.argmax(1) == labels
    lost, won = int((before & ~after).sum()), int((after & ~before).sum())
    mean, spread = float(rise.mean()), float(rise.std(ddof=1)) / math.sqrt(len(rise)) + 1e-12
    matters = max(_RISE * float(error.mean()), _LEAST_RISE)
    reach = float(stats.t.ppf(1 - _LEVEL, len(rise) - 1)) * spread
    fewer = lost > won and float(stats.binom.cdf(won, lost + won, 0.5)) < _LEVEL
    verdict = "unclear"
    if can_tell and (fewer or (mean >= matters and mean > reach)):
        verdict = "harmful"
    elif can_tell and mean + reach < matters:
        verdict = "harmless"
    share = mean / max(float(error.mean()), 1e-9)
    return Survival(name, verdict, len(labels), float(before.mean()), float(after.mean()), share, can_tell)


def _scores(features: Floats, labels: Labels, seen: Floats, count: int) -> Floats:
    """Return ``[M, K]``: what a ridge regression on one-hot labels says of ``seen``."""
    mean = features.mean(0)
    centred, target = features - mean, np.eye(count, dtype=np.float32)[labels]
    gram = centred.T @ centred
    gram[np.diag_indices(len(gram))] += _PENALTY * max(float(np.trace(gram)) / len(gram), 1e-6)
    weights = np.linalg.solve(gram, centred.T @ (target - target.mean(0)))
    scores: Floats = (seen - mean) @ weights + target.mean(0)
    return scores


def _describe(images: Squares) -> Floats:
    """Return ``[N, D]``: histograms of gradients in 8 x 8 and 4 x 4 cells, and the mean colours of 4 x 4."""
    colours = images.astype(np.float32) / np.float32(255)
    grey = colours @ np.array([0.299, 0.587, 0.114], np.float32)
    across, down = np.zeros_like(grey), np.zeros_like(grey)
    across[:, :, 1:-1] = grey[:, :, 2:] - grey[:, :, :-2]
    down[:, 1:-1] = grey[:, 2:] - grey[:, :-2]
    strength = np.hypot(across, down)
    direction = np.arctan2(down, across) * (_BINS / (2 * np.pi))
    low = np.floor(direction)
    share = direction - low
    histogram = np.zeros((*grey.shape, _BINS), np.float32)
    first = low.astype(np.intp)[..., None] % _BINS
    np.put_along_axis(histogram, first, (strength * (1 - share))[..., None], 3)
    np.put_along_axis(histogram, (first + 1) % _BINS, (strength * share)[..., None], 3)
    parts = [_cells(colours, 4).reshape(len(images), -1)]
    for cells in (8, 4):
        flat = _cells(histogram, cells).reshape(len(images), -1)
        parts.append(np.sqrt(flat / (np.linalg.norm(flat, axis=1, keepdims=True) + 1e-3)))
    return np.concatenate(parts, 1)


def _cells(planes: Floats, cells: int) -> Floats:
    """Return the means of ``cells`` x ``cells`` parts of ``[N, 32, 32, C]``."""
    count, side, _, channels = planes.shape
    means: Floats = planes.reshape(count, cells, side // cells, cells, side // cells, channels).mean((2, 4))
    return means


def _mirror(images: Squares) -> Squares:
    return images[:, :, ::-1]


def _turn_over(images: Squares) -> Squares:
    return images[:, ::-1]


def _turn_quarter(images: Squares) -> Squares:
    return np.rot90(images, 1, (1, 2))


def _turn(images: Squares) -> Squares:
    """Turn each image by up to 15 degrees either way; the corners are filled by mirroring."""
    angles = np.random.default_rng(0).uniform(-_TURN, _TURN, len(images))
    edge = SIDE // 4
    turned = np.empty_like(images)
    for number, (image, angle) in enumerate(zip(images, angles, strict=True)):
        padded = Image.fromarray(np.pad(image, ((edge, edge), (edge, edge), (0, 0)), mode="symmetric"))
        whole = np.asarray(padded.rotate(float(angle), Image.Resampling.BILINEAR))
        turned[number] = whole[edge:-edge, edge:-edge]
    return turned


# A new change is one function and one row.
CHANGES: dict[str, Callable[[Squares], Squares]] = {
    "mirror": _mirror,
    "upside-down": _turn_over,
    "turn": _turn,
    "quarter-turn": _turn_quarter,
}
