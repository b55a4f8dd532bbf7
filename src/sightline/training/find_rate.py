"""The learning rate finder: a short training whose rate rises until the loss does, and what follows from it."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator, Iterator, Sequence

import numpy as np

from sightline.errors import TrainingError
from sightline.events import Progressed, RateFound
from sightline.networks.network import Network
from sightline.planning.settings import Settings
from sightline.training.batches import Batch, Batches
from sightline.training.schedules import Course
from sightline.training.update import Updater, prepare_batch

__all__ = ["MOST_STEPS", "find_rate", "suggest_rate"]

MOST_STEPS = 80  # 16 for each factor of ten
_BELOW, _ABOVE = 1e-3, 1e2  # where the rate begins and ends, as factors on the planned one
_SMOOTHING = 0.9  # of the loss, whose noise would hide its slope (fastai: 0.98 over more steps)
_FAILED = 4  # times the lowest loss: it has diverged, and the search ends (as fastai does)


def find_rate(network: Network, train: Batches, settings: Settings) -> Generator[Progressed, None, RateFound]:
    """Return the learning rate that a range test suggests; the network is left bit for bit as it was.

    The planned training, but for a rate that rises by the same factor each step, from a thousandth of the planned
    one to a hundred times it, in 80 steps at most. It ends where the loss is four times its lowest.

    Args:
        network: on ``train.device``, in training mode where its layers learn.
        train: the training images; nothing else is looked at.
        settings: of the plan.

    References:
        L. Smith, "Cyclical learning rates for training neural networks", arXiv 1506.01186, section 3.3.

    Example:
        ``found = yield from find_rate(network, train, plan.settings)``
    """
    before = copy.deepcopy(network.state_dict())
    counts = np.bincount(train.labels, minlength=network.head.out_features).tolist()
    rates = settings.learning_rate * np.geomspace(_BELOW, _ABOVE, MOST_STEPS)
    updater = Updater(network, settings, counts)
    losses: list[float] = []
    mean = 0.0
    for step, (epoch, batch) in zip(range(MOST_STEPS), _endless(train, settings), strict=False):
        course = Course(step, MOST_STEPS, MOST_STEPS)
        images, targets = prepare_batch(batch, settings, network.head.out_features, epoch, course)
        try:
            rate = float(rates[step])
            update = updater.make(images, targets, rate=rate, momentum=settings.momentum, step=step)
        except TrainingError:  # no number any more: the end of the range
            break
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * update.loss
        losses.append(mean / (1 - _SMOOTHING ** (step + 1)))
        yield Progressed(step + 1, MOST_STEPS, "steps")
        if losses[-1] > _FAILED * min(losses):
            break
    network.load_state_dict(before)
    for weight in network.parameters():
        weight.grad = None
    rate, reason = suggest_rate(rates[: len(losses)].tolist(), losses, settings.learning_rate)
    return RateFound(tuple(rates[: len(losses)].tolist()), tuple(losses), rate, reason)


def suggest_rate(rates: Sequence[float], losses: Sequence[float], planned: float) -> tuple[float, str]:
    """Return (rate, reason): the middle of the longest stretch in which the loss falls.

    Args:
        rates: that were tried, rising.
        losses: smoothed, one a rate.
        planned: what is kept where the loss falls nowhere.

    References:
        The rule "valley" of fastai's ``lr_find``: the longest falling subsequence, halfway through its middle third.

    Example:
        >>> suggest_rate([0.001, 0.01, 0.1, 1.0], [2.0, 1.5, 1.0, 9.0], 0.5)[0]
        0.01
    """
    start, end = _longest_fall(losses)
    if end - start < 2:
        return planned, "the loss fell nowhere in the range test: the planned rate is kept"
    chosen = rates[start + (end - start) // 2]
    digits = 1 - math.floor(math.log10(chosen))
    words = f"the loss fell from {losses[start]:.3g} at a rate of {rates[start]:.1e} to {losses[end]:.3g}"
    return round(chosen, digits), f"{words} at {rates[end]:.1e}, in a range test of {len(rates)} steps; in between"


def _longest_fall(losses: Sequence[float]) -> tuple[int, int]:
    """Return (first, last) position of the longest subsequence of falling losses; of several, the first to end."""
    length, before = [1] * len(losses), list(range(len(losses)))
    for here in range(len(losses)):
        for there in range(here):
            if losses[here] < losses[there] and length[here] < length[there] + 1:
                length[here], before[here] = length[there] + 1, there
    if not losses:
        return 0, 0
    end = int(np.argmax(length))
    start = end
    while before[start] != start:
        start = before[start]
    return start, end


def _endless(train: Batches, settings: Settings) -> Iterator[tuple[int, Batch]]:
    """Yield (epoch, batch) for as many epochs as are asked for."""
    epoch = 0
    while True:
        epoch += 1
        for batch in train.shuffled(settings.batch_size, settings.seed, epoch):
            yield epoch, batch
