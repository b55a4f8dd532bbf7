"""A head fitted on frozen features: logistic regression, by scikit-learn; features and labels are arrays, no torch."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import WeightsError
from sightline.events import FeaturesSeen, Noted
from sightline.machine import usable_threads
from sightline.training.imbalance import class_weights

__all__ = ["STRENGTHS", "FittedHead", "HeadFit", "fit_head", "fit_part", "mixed_order"]

# Inverse regularisation strengths, strongest first: each fit starts from the one before it.
STRENGTHS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
_BEFORE = 2  # strengths before the one that suits the last group of features, from which on all groups are tried
_FOLDS = 5
_ENOUGH_TO_CHOOSE = 200  # validation images from which on they choose alone
# A fit costs about images x features x classes. Up to the first limit, folds cost a second; up to the second, one
# thread is fastest: at 3,068 x 1,280 x 10, a fit took 0.5 s on one, and 11.5 s on the two threads of a busy core.
_FOLDS_UP_TO = 10_000_000
_ONE_THREAD_UP_TO = 500_000_000
# Two processors could halve the time of a larger fit, and where they are busy they take several times as long: 12
# iterations at 8,000 x 1,280 x 50 took 0.5 to 1.0 s on one thread, and 1.7 to 8.3 s on two.
_FEW_PROCESSORS = 2

Features = npt.NDArray[np.floating]
Labels = npt.NDArray[np.int64]
Metrics = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True, eq=False)
class FittedHead:
    """A linear layer from features to logits.

    Attributes:
        weight: ``[K, D] float32``.
        bias: ``[K] float32``.
        strength: scikit-learn's ``C`` that was chosen.
        loss: mean loss in nats that chose it.
        scale: ``[D] float32`` that multiplies the features before the layer; None: they are one group, and stay as they
            are.
        rejected: the loss of all groups where the last one alone was chosen, and the other way round.
    """

    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32]
    strength: float
    loss: float
    scale: npt.NDArray[np.float32] | None = None
    rejected: float = math.nan

    def scaled(self, features: Features) -> Features:
        """Return the ``[N, D]`` features that the layer takes."""
        return features if self.scale is None else features * self.scale

    def logits(self, features: Features) -> npt.NDArray[np.float32]:
        """Return ``[N, K]`` of ``[N, D]`` features before they are scaled."""
        found: npt.NDArray[np.float32] = self.scaled(features).astype(np.float32) @ self.weight.T + self.bias
        return found


@dataclass(frozen=True, slots=True)
class HeadFit:
    """How a head is fitted: ``classes``, ``even``, ``groups`` and ``strength`` as for ``fit_head``."""

    classes: int
    even: bool = False
    groups: Sequence[int] = ()
    strength: float = 0.0


def fit_part(
    train: Features,
    train_labels: Labels,
    order: npt.NDArray[np.intp],
    val: Features,
    val_labels: Labels,
    how: HeadFit,
) -> Generator[Noted | FeaturesSeen, None, tuple[FittedHead, Metrics]]:
    """Fit a head on the training images whose features could be computed in time.

    The features are yielded as ``FeaturesSeen``, as the head takes them.

    Args:
        train: ``[M, D]`` features of the first M images of ``order``.
        train_labels: ``[N]`` of all training images.
        order: ``[N]`` positions, in which their features were computed.
        val, val_labels: ``[V, D]`` and ``[V]``.
        how: it is fitted.

    Returns:
        The head, and (loss, accuracy) on training and on validation; losses in nats.

    Raises:
        WeightsError: if the features are not finite numbers.
    """
    if len(train) < len(order):
        few, all_of_them = len(train), len(order)
        yield Noted(f"The head is fitted on {few:,} of {all_of_them:,} training images, to keep the time limit.")
        order = order[:few]
    if not np.isfinite(train).all() or not np.isfinite(val).all():
        message = "the network's features are not finite numbers"
        raise WeightsError("weights.not-finite", message, "give other weights, or check mean and std")
    labels = train_labels[order]
    fitted: dict[str, Any] = {"even": how.even, "groups": how.groups, "strength": how.strength}
    head = fit_head(train, labels, val, val_labels, how.classes, **fitted)
    if head.scale is not None:
        yield Noted(_describe_choice(head, how.groups))
    yield FeaturesSeen(order, head.scaled(train), head.scaled(val))
    return head, (*_measured(head, train, labels), *_measured(head, val, val_labels))


def mixed_order(labels: Labels, seed: int = 0) -> npt.NDArray[np.intp]:
    """Return ``[N]`` positions in random order, one image of each class first: where time ends, some of each were seen.

    Example:
        >>> sorted(np.array([0, 0, 0, 1])[mixed_order(np.array([0, 0, 0, 1]))[:2]].tolist())
        [0, 1]
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    first = np.sort(np.unique(labels[order], return_index=True)[1])
    return np.concatenate([order[first], np.delete(order, first)])


def fit_head(
    train: Features,
    train_labels: Labels,
    val: Features,
    val_labels: Labels,
    classes: int,
    *,
    even: bool = False,
    groups: Sequence[int] = (),
    strength: float = 0.0,
) -> FittedHead:
    """Fit a head on the features of training images; validation helps to choose the regularisation.

    Features are centred and scaled to unit mean square, so that one set of strengths suits every network and a fit
    needs a third of the iterations; both are folded into the head afterwards.

    The strength with the lowest loss on held-out images is used. From 200 validation images on, those decide alone:
    the split keeps groups and copies on one side, so their loss is not biased, and one fit per strength is enough.
    Fewer images are too noisy; then five folds of the training images are held out in turn and count too, unless that
    would take more than about a second. Folds do not respect groups, and copies on both sides of a fold would favour
    too little regularisation. So folds are blocks of neighbours in the order of the files, class by class: frames of a
    series and copies mostly have similar names.

    Features may come in groups, of several stages of a network. Each is then scaled to the mean square of the last
    one, and the head is fitted on that one alone and on all; the lower loss on the same held-out images chooses.

    Args:
        train, val: ``[N, D]`` and ``[M, D]`` features.
        train_labels, val_labels: their classes; a class without training images is never predicted.
        classes: K.
        even: give each class the same weight in the fit, however many images it has.
        groups: how many features each group has, in their order; none or one: they are not scaled.
        strength: scikit-learn's ``C``; 0: the one of ``STRENGTHS`` that suits held-out images best.

    Example:
        ``fit_head(features[:80], labels[:80], features[80:], labels[80:], 10).logits(others).argmax(1)``
    """
    cost = train.size * classes
    strengths = (strength,) if strength else STRENGTHS
    has_folds = cost <= _FOLDS_UP_TO and (not strength or len(groups) > 1)  # one head needs no choice
    fitting = _Fitting(train_labels, val_labels, classes, even, has_folds, strengths)
    with _threads_for(cost):
        if len(groups) < 2:
            return fitting.run(train, val)
        size, scale = groups[-1], _scale_of(train, groups)
        alone = fitting.run(train[:, -size:], val[:, -size:])
        both = fitting.run(train * scale, val * scale, strengths.index(alone.strength) - _BEFORE)
    if both.loss < alone.loss:
        return replace(both, scale=scale, rejected=alone.loss)
    scale[:-size] = 0
    weight = np.pad(alone.weight, ((0, 0), (train.shape[1] - size, 0)))
    return replace(alone, weight=weight, scale=scale, rejected=both.loss)


@dataclass(frozen=True, slots=True, eq=False)
class _Fitting:
    """What fits on different features of the same images share; ``has_folds``: folds may be held out too."""

    train_labels: Labels
    val_labels: Labels
    classes: int
    even: bool
    has_folds: bool
    strengths: Sequence[float]

    def run(self, train: Features, val: Features, start: int = 0) -> FittedHead:
        """Return the head of the strength with the lowest loss on held-out images.

        Without folds, strengths are tried until the loss rises: it has one valley, and weaker ones take longest.

        Args:
            train, val: ``[N, D]`` and ``[M, D]``.
            start: place of the first strength that is tried; stronger ones are where it turns out to be the best.
        """
        mean = train.mean(0)
        scale = float(np.sqrt(((train - mean) ** 2).mean())) or 1.0
        scaled, scaled_val = (train - mean) / scale, (val - mean) / scale
        labels, count = self.train_labels, len(self.val_labels)
        has_folds = self.has_folds and count < _ENOUGH_TO_CHOOSE
        start = 0 if has_folds else max(0, start)
        fits, losses = [], []
        for fit in self._fit(scaled, labels, self.strengths[start:]):
            fits.append(fit)
            losses.append(_loss_sum(fit, scaled_val, self.val_labels))
            if not has_folds and losses[-1] > losses[max(0, len(losses) - 2)]:
                break
        sums = np.array(losses)
        for kept, held in _folds(labels) if has_folds else ():
            some = self._fit(scaled[kept], labels[kept], self.strengths)
            sums += [_loss_sum(fit, scaled[held], labels[held]) for fit in some]
            count += len(held)
        best = int(sums.argmin())
        if best == 0 and start:
            return self.run(train, val, start - _BEFORE)
        weight, bias = fits[best]
        weight = (weight / scale).astype(np.float32)
        bias = (bias - weight @ mean).astype(np.float32)
        return FittedHead(weight, bias, self.strengths[start + best], float(sums[best] / max(1, count)))

    def _fit(
        self, features: Features, labels: Labels, strengths: Sequence[float]
    ) -> Iterator[tuple[Features, Features]]:
        """Yield (weight ``[K, D]``, bias ``[K]``) for each strength, each fit starting from the one before."""
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.linear_model import LogisticRegression

        present, weights = np.unique(labels), None
        if self.even:
            weights = np.array(class_weights(np.bincount(labels, minlength=self.classes).tolist()))[labels]
        model: Any = LogisticRegression(max_iter=200, tol=1e-3, warm_start=True)
        for strength in strengths:
            model.C = strength
            with warnings.catch_warnings():
                # Stopping early costs a little accuracy of the fit, which the loss on held-out images accounts for.
                warnings.simplefilter("ignore", ConvergenceWarning)
                model.fit(features, labels, weights)
            yield _all_classes(model.coef_, model.intercept_, present, self.classes)


def _scale_of(features: Features, groups: Sequence[int]) -> npt.NDArray[np.float32]:
    """Return ``[D]`` that gives each group the root mean square deviation of the last one, whose scale is 1."""
    parts = np.split(features.var(0, dtype=np.float64), np.cumsum(groups)[:-1])
    spreads = [math.sqrt(part.mean()) for part in parts]
    scales = [spreads[-1] / spread if spread else 0.0 for spread in spreads[:-1]]
    return np.repeat(np.array([*scales, 1.0], np.float32), groups)


def _describe_choice(head: FittedHead, groups: Sequence[int]) -> str:
    """Return in words which groups of features a head was fitted on, and why."""
    assert head.scale is not None
    stages = f"features of {len(groups)} stages"
    if head.scale[0]:
        return f"Head: {stages}, held-out loss {head.loss:.3f}; of the last alone {head.rejected:.3f}."
    return f"Head: features of the last stage alone, held-out loss {head.loss:.3f}; {stages} {head.rejected:.3f}."


def _measured(head: FittedHead, features: Features, labels: Labels) -> tuple[float, float]:
    """Return (mean loss in nats, accuracy)."""
    from scipy.special import log_softmax

    logits = head.logits(features)
    losses = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(labels)), labels]
    return float(losses.mean()), float((logits.argmax(1) == labels).mean())


@contextlib.contextmanager
def _threads_for(cost: int) -> Iterator[None]:
    import sklearn.linear_model  # noqa: F401  (before the limit, which does not apply to libraries loaded later)
    from threadpoolctl import threadpool_limits

    is_one = cost <= _ONE_THREAD_UP_TO or usable_threads() <= _FEW_PROCESSORS
    with threadpool_limits(1 if is_one else None, user_api="blas"):
        yield


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
