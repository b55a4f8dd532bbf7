"""What more training images would give: heads fitted on an eighth to all of the features, measured on held-out ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from sightline.evaluation.intervals import Interval, Units, draw_weights, proportion

__all__ = [
    "SHARES",
    "ClassGain",
    "CurvePoint",
    "Gain",
    "LearningCurve",
    "extrapolate",
    "hold_out",
    "measure_learning_curve",
]

SHARES = (0.125, 0.25, 0.5, 1.0)  # of the images that are not held out
LEAST_IMAGES = 40  # below it a curve is luck
_LEAST_A_CLASS = 2.0  # images of a class, in the middle of the classes, in the smallest share that is fitted
_LEAST_POINTS = 3
_FOLDS, _CHUNKS = 5, 8
_MOST_IMAGES, _MOST_MEASURED, _MOST_FEATURES = 50_000, 5_000, 512
_SHRINKAGE = (0.01, 0.03, 0.1, 0.3, 0.6, 0.9)
_LEAST_SPREAD = 1e-6  # of features of unit mean square, within classes: where the images of each are all alike
_PRIOR = 10.0  # images of the usual share of mistakes that each class's own are mixed with
_ROUNDS = 300

Features = npt.NDArray[np.floating[Any]]
Labels = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]


class Gain(NamedTuple):
    """What twice the images add to an accuracy or a recall; the ends hold 95 % of what the laws say of drawn images."""

    value: float
    low: float
    high: float

    @property
    def is_clear(self) -> bool:
        """Whether it is more than the luck of which images there are."""
        return self.low > 0


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The accuracy of heads fitted on a share of the images.

    Attributes:
        fitted: images that a head was fitted on, on average over the folds.
        accuracy: on the held-out ones.
    """

    fitted: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class ClassGain:
    """What is expected of one class.

    Attributes:
        name: of the class.
        support: images of it that were measured.
        now, doubled: expected recall with the images of the training, and with twice as many.
        gain: ``doubled - now``.
    """

    name: str
    support: int
    now: float
    doubled: float
    gain: Gain


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Accuracy of a head on frozen features by the number of images that it was fitted on.

    Attributes:
        points: one for each share of the images.
        count: images of the training, for which ``now`` and ``doubled`` hold.
        now, doubled: expected accuracy with these, and with twice as many.
        gain: ``doubled - now``.
        classes: one for each class, in their order.
    """

    points: tuple[CurvePoint, ...]
    count: int
    now: float
    doubled: float
    gain: Gain
    classes: tuple[ClassGain, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values, as in ``learning_curve.json``."""
        return {
            "points": [{"fitted": point.fitted, "accuracy": point.accuracy.to_dict()} for point in self.points],
            "count": self.count,
            "now": self.now,
            "doubled": self.doubled,
            "gain": list(self.gain),
            "classes": [
                {"support": c.support, "now": c.now, "doubled": c.doubled, "gain": list(c.gain), "class": c.name}
                for c in self.classes
            ],
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> LearningCurve:
        """Return what ``to_dict`` was called on.

        Raises:
            LookupError, TypeError: if the values are of something else.
        """
        return cls(
            points=tuple(CurvePoint(point["fitted"], Interval(**point["accuracy"])) for point in values["points"]),
            count=values["count"],
            now=values["now"],
            doubled=values["doubled"],
            gain=Gain(*values["gain"]),
            classes=tuple(
                ClassGain(row["class"], row["support"], row["now"], row["doubled"], Gain(*row["gain"]))
                for row in values["classes"]
            ),
        )


def measure_learning_curve(
    features: Features, labels: Labels, units: Units, classes: Sequence[str], count: int, *, seed: int = 0
) -> LearningCurve | None:
    """Return what twice the images would be expected to give, or None where there are too few to tell.

    A fifth of the images is held out in turn, and of the others an eighth, a quarter, a half and all are used: so
    each image is measured once with every number of training images. The head is linear discriminant analysis,
    whose covariance is shrunk towards a sphere by what gives the lowest held-out log-loss. Its sums over images are
    made once, so that all heads together cost about as much as one. Three laws go through the points, and are asked
    for one doubling: what is told is their mean, and the interval holds what all of them say of images and folds that
    are drawn again.

    Args:
        features: ``[N, D]``, of a network that has not learnt from these images.
        labels: ``[N]``, positions in ``classes``.
        units: ``[N]``: images of one unit (a group, copies) are held out together.
        classes: their names.
        count: images that the training has, for which the gain is told.
        seed: of the draws.

    References:
        J. H. Friedman, Journal of the American Statistical Association 84 (1989), for the shrunken covariance;
        J. Hestness et al., arXiv 1712.00409, for power laws of mistakes by the number of images.

    Example:
        >>> random = np.random.default_rng(0)
        >>> labels = np.repeat([0, 1], 200)
        >>> features = random.normal(size=(400, 20)) + 0.3 * labels[:, None]
        >>> curve = measure_learning_curve(features, labels, np.arange(400), ["cat", "dog"], 400)
        >>> curve.doubled >= curve.now
        True
    """
    if len(labels) > _MOST_IMAGES:
        some = np.random.default_rng(seed).permutation(len(labels))[:_MOST_IMAGES]
        features, labels, units = features[some], labels[some], units[some]
    per_class = np.bincount(labels, minlength=len(classes))
    middle = float(np.median(per_class[per_class > 0])) * (1 - 1 / _FOLDS)
    shares = [share for share in SHARES if middle * share >= _LEAST_A_CLASS]
    if len(labels) < LEAST_IMAGES or len(shares) < _LEAST_POINTS or (per_class > 0).sum() < 2:
        return None
    folds, chunks = hold_out(labels, units, seed)
    # Of few groups an eighth can be none, and of no image no head is fitted.
    kept = [chunks[folds != fold] for fold in range(_FOLDS)]
    shares = [share for share in shares if all((own < share * _CHUNKS).any() for own in kept)]
    if len(shares) < _LEAST_POINTS:
        return None
    asked = np.sort(np.random.default_rng(seed).permutation(len(labels))[:_MOST_MEASURED])
    from threadpoolctl import threadpool_limits

    # Measured on two threads of a busy core: one thread takes 0.2 s for what two took 2 to 5 s for.
    with threadpool_limits(1, user_api="blas"):
        right, fitted = _measure_shares(_reduced(features), labels, (folds, chunks), asked, shares, len(classes))
    labels, units, folds = labels[asked], units[asked], folds[asked]
    points = tuple(CurvePoint(n, proportion(hits, units)) for n, hits in zip(fitted, right, strict=True))
    held_out = _Asked(np.array(fitted), ~right, labels, units, folds, len(classes))
    return _expect(points, held_out, classes, count, seed)


def hold_out(labels: Labels, units: Units, seed: int) -> tuple[Labels, Labels]:
    """Return ``[N]`` each: the fold that an image is held out in, and which eighth of the others it belongs to.

    Both are drawn by units, evenly over the classes (of a unit's first image).
    """
    random = np.random.default_rng(seed)
    _, first, place = np.unique(units, return_index=True, return_inverse=True)
    order = random.permutation(len(first))
    order = order[np.argsort(labels[first][order], kind="stable")]
    fold, chunk = np.empty(len(first), np.int64), np.empty(len(first), np.int64)
    for part in np.split(order, np.flatnonzero(np.diff(labels[first][order])) + 1):
        rank = np.arange(len(part))
        fold[part] = (rank + random.integers(_FOLDS)) % _FOLDS
        rounds = -(-len(part) // _FOLDS)
        chunk[part] = (_CHUNKS * (rank // _FOLDS + random.random(len(part))) / rounds).astype(np.int64)
    return fold[place], chunk[place]


def extrapolate(counts: Values, errors: Values, at: Values) -> Values:
    """Return ``[L, ..., M]``: the errors at ``at [M]`` by each law through ``errors [..., P]`` at ``counts [P]``.

    The laws are a power law without a floor, and laws with one, ``floor + a / sqrt(n)`` and ``floor + a / n``: few
    points can't tell them apart, and they differ in what one more doubling gives. Larger counts weigh more, as they
    tell more of what follows. A law that rises is flat instead.

    Example:
        >>> extrapolate(np.array([10.0, 20.0, 40.0]), np.array([0.4, 0.2, 0.1]), np.array([80.0]))[0].round(3)
        array([0.05])
    """
    power = np.exp(_fitted(np.log(counts), np.log(errors), counts, np.log(at)))
    return np.stack([power, *(_fitted(-(counts**-grade), errors, counts, -(at**-grade)) for grade in (0.5, 1.0))])


def _fitted(x: Values, y: Values, weights: Values, at: Values) -> Values:
    """Return falling lines through ``y [..., P]`` over ``x [P]``, at ``at [M]``."""
    weights = weights / weights.sum()
    centre, level = x @ weights, y @ weights
    slope = ((x - centre) * weights * (y - level[..., None])).sum(-1) / (weights * (x - centre) ** 2).sum()
    line: Values = level[..., None] + np.minimum(0.0, slope)[..., None] * (at - centre)
    return line


def _reduced(features: Features) -> npt.NDArray[np.float32]:
    """Return the features centred and turned onto their at most 512 widest directions, scaled to unit mean square."""
    seen = features.astype(np.float32)
    seen -= seen.mean(0)
    n, size = seen.shape
    if min(n, size) > _MOST_FEATURES:
        from scipy.linalg import eigh

        seen = seen @ eigh(seen.T @ seen, driver="evd")[1][:, size - _MOST_FEATURES :]
    elif n < size:
        turned, lengths, _ = np.linalg.svd(seen, full_matrices=False)
        seen = turned * lengths
    scale = float(np.sqrt((seen**2).mean())) or 1.0
    return seen / np.float32(scale)


def _measure_shares(
    features: npt.NDArray[np.float32],
    labels: Labels,
    parts: tuple[Labels, Labels],
    asked: npt.NDArray[np.intp],
    shares: list[float],
    classes: int,
) -> tuple[npt.NDArray[np.bool_], list[float]]:
    """Return ``[P, A]`` whether images that were asked are right by share, and on how many images heads were fitted.

    Args:
        features, labels, classes: of all images.
        parts: what ``hold_out`` gave.
        asked: positions of the images that are measured when their fold is held out.
        shares: of the others that are fitted.
    """
    folds, chunks = parts
    levels = np.searchsorted(np.array(shares) * _CHUNKS, chunks, side="right")  # from which share on an image is used
    sums = [
        [_Sums.of(features, labels, (folds == f) & (levels == p), classes) for p in range(len(shares))]
        for f in range(_FOLDS)
    ]
    right = np.zeros((len(shares), len(_SHRINKAGE), len(labels)), bool)
    losses = np.zeros((len(shares), len(_SHRINKAGE)))
    fitted = np.zeros(len(shares))
    for fold in range(_FOLDS):
        held, known = asked[folds[asked] == fold], _Sums.nothing(features.shape[1], classes)
        for share in range(len(shares)):
            for other in range(_FOLDS):
                if other != fold:
                    known = known.plus(sums[other][share])
            fitted[share] += known.counts.sum() / _FOLDS
            for place, logits in enumerate(_heads(known, features[held])):
                right[share, place, held] = logits.argmax(1) == labels[held]
                losses[share, place] += _losses(logits, labels[held])
    best = losses.argmin(1)
    return right[np.arange(len(shares)), best][:, asked], fitted.tolist()


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """All that a head needs of some images; that of more images is their sum.

    Attributes:
        squares: ``[D, D]``, sum of the outer products of features.
        means: ``[K, D]``, sum of the features of each class; ``counts [K]``.
    """

    squares: Values
    means: Values
    counts: Values

    @classmethod
    def nothing(cls, size: int, classes: int) -> _Sums:
        return cls(np.zeros((size, size)), np.zeros((classes, size)), np.zeros(classes))

    @classmethod
    def of(cls, features: Features, labels: Labels, chosen: npt.NDArray[np.bool_], classes: int) -> _Sums:
        some, own = features[chosen].astype(np.float64), labels[chosen]
        means = np.zeros((classes, features.shape[1]))
        np.add.at(means, own, some)
        return cls(some.T @ some, means, np.bincount(own, minlength=classes).astype(np.float64))

    def plus(self, other: _Sums) -> _Sums:
        return _Sums(self.squares + other.squares, self.means + other.means, self.counts + other.counts)


def _heads(known: _Sums, asked: Features) -> Iterator[Values]:
    """Yield logits ``[M, K]`` for each shrinkage; a class without images has none above all others."""
    from scipy.linalg import cho_factor, cho_solve

    n, has = known.counts.sum(), known.counts > 0
    means = known.means / np.maximum(known.counts, 1)[:, None]
    within = (known.squares - (means * known.counts[:, None]).T @ means) / max(1.0, n - has.sum())
    size = len(within)
    spread = max(float(np.trace(within)) / size, _LEAST_SPREAD)
    log_prior = np.where(has, np.log(np.maximum(known.counts, 1) / n), -1e9)
    for shrinkage in _SHRINKAGE:
        shrunk = (1 - shrinkage) * within
        shrunk[np.arange(size), np.arange(size)] += shrinkage * spread
        weight = cho_solve(cho_factor(shrunk, lower=True), means.T)
        yield asked @ weight + (log_prior - 0.5 * np.einsum("kd,dk->k", means, weight))


def _losses(logits: Values, labels: Labels) -> float:
    from scipy.special import log_softmax

    return float(-log_softmax(logits, axis=1)[np.arange(len(labels)), labels].clip(-50, 0).sum())


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """Images that were held out, and what heads said of them.

    Attributes:
        fitted: ``[P]``, images that the heads were fitted on.
        wrong: ``[P, A] bool``.
        labels, units, folds: ``[A]`` each.
        classes: how many there are.
    """

    fitted: Values
    wrong: npt.NDArray[np.bool_]
    labels: Labels
    units: Units
    folds: Labels
    classes: int

    def laws(self, weights: Values, at: Values) -> Values:
        """Return expected errors ``[L, 1 + K, M]`` by each law: of all, and of each class mixed with that of all."""
        usual = (self.wrong @ weights + 0.5) / (weights.sum() + 1)
        support = np.bincount(self.labels, weights, self.classes)
        own = np.stack([np.bincount(self.labels, weights * misses, self.classes) for misses in self.wrong], axis=1)
        mixed = (own + _PRIOR * usual) / (support[:, None] + _PRIOR)
        return extrapolate(self.fitted, np.concatenate([usual[None], mixed]), at)

    def drawn(self, seed: int) -> Iterator[Values]:
        """Yield weights of images that are drawn again, and of folds, whose heads had luck of their own."""
        is_single = np.unique(self.units).size == len(self.units)
        images = draw_weights(self.labels, None if is_single else self.units, rounds=_ROUNDS, seed=seed)
        whole = draw_weights(np.zeros(len(self.folds), np.int64), self.folds, rounds=_ROUNDS, seed=seed + 1)
        for image, fold in zip(images, whole, strict=True):
            yield image * fold


def _expect(
    points: tuple[CurvePoint, ...], asked: _Asked, classes: Sequence[str], count: int, seed: int
) -> LearningCurve:
    at = np.array([count, 2.0 * count])
    value = asked.laws(np.ones(len(asked.labels)), at).mean(0).clip(min=0)  # a straight line may fall below
    rounds = [asked.laws(weights, at) for weights in asked.drawn(seed)]
    drops = np.concatenate([errors[:, :, 0] - errors[:, :, 1] for errors in rounds])
    low, high = np.quantile(drops, (0.025, 0.975), axis=0)
    falls = value[:, 0] - value[:, 1]
    ends = np.stack([falls, np.minimum(low, falls), np.maximum(high, falls)], axis=1)
    whole, *gains = (Gain(*row) for row in ends.tolist())
    now, doubled = (1 - value).T.tolist()
    support = np.bincount(asked.labels, minlength=asked.classes)
    rows = tuple(
        ClassGain(name, int(support[k]), now[k + 1], doubled[k + 1], gains[k]) for k, name in enumerate(classes)
    )
    return LearningCurve(points, count, now[0], doubled[0], whole, rows)
