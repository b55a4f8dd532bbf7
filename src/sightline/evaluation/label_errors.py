"""Labels that are probably wrong, as a model that did not see the image and its neighbours say. Arrays only."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["LabelErrors", "Neighbours", "cross_validate", "find_label_errors", "find_neighbours"]

_NEIGHBOURS = 10
_FOLDS = 5
_STRENGTH = 0.05  # of the logistic regression; features are scaled to unit mean square
_BLOCK = 2_048

Features = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class LabelErrors:
    """Labels that are probably wrong, most certain first.

    Attributes:
        rows: ``[M] intp``, positions of the images.
        suggested: ``[M] int64``, the class that each more probably has.
        scores: ``[M] float32``, 0 to 1: what speaks for the suggested class less what speaks for the given one.
    """

    rows: npt.NDArray[np.intp]
    suggested: Labels
    scores: Shares


def find_label_errors(probabilities: Shares, votes: Shares, labels: Labels) -> LabelErrors:
    """Return the labels that two different methods consider wrong.

    The first is a model that did not see the image: it must give the label less than a tenth of what it gives its
    best class. The second is the image's nearest neighbours: at most one of ten may have the label. Confident
    learning (C. Northcutt et al., Journal of Artificial Intelligence Research 70, 2021) asks the first alone, and
    compares with each class's mean probability: on errors planted in photos of clothes it finds fewer, and is right
    half as often (``benchmarks/label_errors.py``).

    Args:
        probabilities: ``[N, K]``, 0 to 1, of ``cross_validate``.
        votes: ``[N, K]``, 0 to 1, of ``find_neighbours``.
        labels: ``[N]``, as given.

    Example:
        >>> sure = np.array([[0.98, 0.02], [0.97, 0.03], [0.03, 0.97], [0.02, 0.98], [0.99, 0.01]], np.float32)
        >>> find_label_errors(sure, sure.round(), np.array([0, 0, 1, 1, 1])).rows
        array([4])
    """
    both = (probabilities + votes) / 2
    every, suggested = np.arange(len(labels)), both.argmax(1)
    given = probabilities[every, labels] < probabilities[every, suggested] / 10
    rows = np.flatnonzero(given & (votes[every, labels] <= 1 / _NEIGHBOURS + 1e-6) & (suggested != labels))
    scores = both[rows, suggested[rows]] - both[rows, labels[rows]]
    order = np.argsort(-scores, kind="stable")
    return LabelErrors(rows[order], suggested[rows][order], scores[order])


def cross_validate(features: Features, labels: Labels, units: npt.NDArray[np.intp], *, seed: int = 0) -> Shares:
    """Return ``[N, K]`` probabilities by logistic regressions that did not see the image.

    Args:
        features: ``[N, D]``, all finite.
        labels: ``[N]``.
        units: ``[N]``: images of one unit (copies, a group) are left out together.
        seed: of the folds.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedGroupKFold

    scaled = features / (float(np.sqrt((features**2).mean())) or 1.0)
    probabilities = np.zeros((len(labels), int(labels.max()) + 1), np.float32)
    folds = min(_FOLDS, len(np.unique(units)), int(np.bincount(labels).max()))
    if folds < 2:
        return probabilities
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a class with fewer images than folds: it is in few of them
        warnings.simplefilter("ignore", ConvergenceWarning)
        for train, test in splitter.split(scaled, labels, units):
            if len(np.unique(labels[train])) < 2:
                continue  # zeros are no evidence against any label
            model = LogisticRegression(C=_STRENGTH, max_iter=100, tol=1e-3).fit(scaled[train], labels[train])
            probabilities[np.ix_(test, model.classes_)] = model.predict_proba(scaled[test])
    return probabilities


@dataclass(frozen=True, slots=True, eq=False)
class Neighbours:
    """The ten nearest images of each, by the cosine of their features.

    Attributes:
        votes: ``[N, K]``, shares of their labels.
        likeness: ``[N]``, mean cosine to them.
        nearest: ``[N]``, position of the nearest one.
        cosine: ``[N]``, cosine to that one.
    """

    votes: Shares
    likeness: Shares
    nearest: npt.NDArray[np.intp]
    cosine: Shares


def find_neighbours(features: Features, labels: Labels, units: npt.NDArray[np.intp]) -> Neighbours:
    """Return the nearest images of each; those of its own unit are none: a copy would vote for its own label.

    Args:
        features, labels, units: as for ``cross_validate``.
    """
    unit_vectors = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    count = min(_NEIGHBOURS, len(labels) - 1)
    votes = np.zeros((len(labels), int(labels.max()) + 1), np.float32)
    likeness, cosine = np.zeros(len(labels), np.float32), np.zeros(len(labels), np.float32)
    nearest = np.zeros(len(labels), np.intp)
    for start in range(0, len(labels), _BLOCK):
        rows = np.arange(start, min(start + _BLOCK, len(labels)))
        cosines = unit_vectors[rows] @ unit_vectors.T
        cosines[units[rows][:, None] == units[None]] = -1
        best = np.argpartition(-cosines, count - 1, axis=1)[:, :count]
        likeness[rows] = np.maximum(np.take_along_axis(cosines, best, 1), 0).mean(1)
        nearest[rows], cosine[rows] = cosines.argmax(1), cosines.max(1)
        is_other = np.take_along_axis(cosines, best, 1) > -1
        shares = is_other / np.maximum(is_other.sum(1, keepdims=True), 1)
        np.add.at(votes, (rows[:, None], labels[best]), shares.astype(np.float32))
    return Neighbours(votes, likeness, nearest, cosine)
