"""The learning rate finder: a short training whose rate rises until the loss does, and the rate it suggests."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from sightline.errors import TrainingError
from sightline.events import Progressed, RateFound
from sightline.networks.network import Network
from sightline.planning.budget import FINDER_STEPS
from sightline.planning.settings import Settings
from sightline.training.batches import Batch, Batches
from sightline.training.imbalance import balanced_order
from sightline.training.schedules import Course
from sightline.training.update import Updater, prepare_batch

__all__ = ["find_rate", "suggest_rate"]

_BELOW, _ABOVE = 1e-3, 1e2  # where the rate begins and ends, as factors on the planned one
_SMOOTHING = 0.9  # of the loss, since noise would hide its slope (fastai: 0.98 over more steps)
_REACH = 4  # steps on either side over which a slope is measured
_FALLEN = 0.9  # the lowest loss must be below this share of the first
_FAILED = 4  # times the lowest loss: diverged, and the search ends (as in fastai)


def find_rate(network: Network, train: Batches, settings: Settings) -> Generator[Progressed, None, RateFound]:
    """Return the learning rate that a range test suggests; the network is restored bit for bit.

    It is the planned training at its full size, but the rate rises by the same factor in each step, from a thousandth
    of the planned one to a hundred times it, in at most 80 steps. It ends where the loss is four times its lowest.

    Args:
        network: on ``train.device``, in training mode.
        train: the training images; no others are used.
        settings: of the plan.

    References:
        L. Smith, "Cyclical learning rates for training neural networks", arXiv 1506.01186, section 3.3.

    Example:
        ``found = yield from find_rate(network, train, plan.settings)``
    """
    settings = settings.model_copy(update={"early_sizes": (), "early_share": 0.0})  # one size, to compare losses
    before = copy.deepcopy(network.state_dict())
    counts = np.bincount(train.labels, minlength=network.head.out_features).tolist()
    rates = settings.learning_rate * np.geomspace(_BELOW, _ABOVE, FINDER_STEPS)
    updater = Updater(network, settings, counts)
    losses: list[float] = []
    mean = 0.0
    for step, (epoch, batch) in zip(range(FINDER_STEPS), _endless(train, settings), strict=False):
        course = Course(step, FINDER_STEPS, FINDER_STEPS)
        images, targets = prepare_batch(batch, settings, network.head.out_features, epoch, course)
        try:
            rate = float(rates[step])
            update = updater.make(images, targets, rate=rate, momentum=settings.momentum, step=step)
        except TrainingError:  # not a finite number: the end of the range
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * update.loss
        losses.append(mean / (1 - _SMOOTHING ** (step + 1)))
        yield Progressed(step + 1, FINDER_STEPS, "steps")
        if losses[-1] > _FAILED * min(losses):
            break
    network.load_state_dict(before)
    for weight in network.parameters():
        weight.grad = None
    rate, reason = suggest_rate(rates[: len(losses)].tolist(), losses, settings.learning_rate)
    return RateFound(tuple(rates[: len(losses)].tolist()), tuple(losses), rate, reason)


def suggest_rate(rates: Sequence[float], losses: Sequence[float], planned: float) -> tuple[float, str]:
    """Return (rate, reason): the geometric mean of that of the steepest fall and a tenth of that of the lowest loss.

    Args:
        rates: the rates tried, each the same factor above the one before.
        losses: smoothed, one for each rate.
        planned: the rate to keep where the loss does not fall by a tenth.

    References:
        Both rules are those of fastai's ``lr_find`` (``steep`` and ``minimum``). Their mean was chosen because it
        matched the best of a few rates for two optimisers on noisy digits: weak evidence, chosen after both were known.

    Example:
        >>> rates = np.geomspace(1e-4, 1, 41)
        >>> losses = 2 - 1 / (1 + np.exp(-4 * np.log10(rates / 1e-2))) + rates
        >>> suggest_rate(rates, losses, 0.5)[0]
        0.011
    """
    lowest = int(np.argmin(losses)) if len(losses) else 0
    if lowest < 2 * _REACH or losses[lowest] > _FALLEN * losses[0]:
        return planned, "the planned rate is kept: the loss did not fall by a tenth in the range test"
    falls = [losses[k - _REACH] - losses[k + _REACH] for k in range(_REACH, lowest - _REACH + 1)]
    steepest = rates[_REACH + int(np.argmax(falls))]
    chosen = math.sqrt(steepest * rates[lowest] / 10)
    words = f"in a range test of {len(rates)} steps the loss fell fastest at {steepest:.1e} and was lowest at"
    return float(f"{chosen:.1e}"), f"{words} {rates[lowest]:.1e}; chosen between the first and a tenth of the second"


def _endless(train: Batches, settings: Settings) -> Iterator[tuple[int, Batch]]:
    """Yield (epoch, batch) without end."""
    epoch = 0
    while True:
        epoch += 1
        order = (
            balanced_order(train.labels, settings.seed, epoch) if settings.imbalance == "balanced_sampling" else None
        )
        for batch in train.shuffled(settings.batch_size, settings.seed, epoch, order):
            yield epoch, batch
