"""The training loop: a generator of events that reads from top to bottom.

It does not depend on how events are shown. Order, augmentation and learning rate depend on seed, epoch, step and the
validation metrics so far; everything that changes is in a ``TrainingState``, which is saved regularly and can be
restored bit for bit. The network of the epoch with the best validation metric is saved in a checkpoint, and is the
result.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from sightline.errors import StopRequested, TrainingError
from sightline.events import (
    ALL_EPOCHS_DONE,
    TIME_LIMIT_REACHED,
    Blended,
    CheckpointSaved,
    EpochEnded,
    Event,
    InputsSeen,
    Noted,
    PartsRaised,
    Progressed,
    Resumed,
    StateSaving,
    StepEnded,
    StepFailed,
    TrainingStopped,
    ValidationMeasured,
    Warned,
)
from sightline.networks.network import Network
from sightline.planning.settings import Settings
from sightline.text import part_of
from sightline.training.batches import Batch, Batches, as_images
from sightline.training.blending import choose_share
from sightline.training.checkpoint import keep_best_of, load_checkpoint, save_checkpoint
from sightline.training.find_rate import find_rate
from sightline.training.head import start_with_head
from sightline.training.imbalance import balanced_order
from sightline.training.layer_groups import freeze_below, freeze_for_good, set_training, unfrozen_at
from sightline.training.measure import measure, measure_start
from sightline.training.memory import inference_batch
from sightline.training.pace import Pace
from sightline.training.process_group import ALONE, Group
from sightline.training.schedules import Course, learning_rate_at, momentum_at
from sightline.training.state import TrainingState, score_of
from sightline.training.update import diverged, is_mixed, named_errors, prepare_batch

__all__ = ["train_network"]

_INPUTS = 16  # images that are shown as the network's input
_SETBACKS = 3  # times that a training goes back because of numbers that are not finite


@dataclass(frozen=True, slots=True)
class _Training:
    """The parts of a training that do not change while it runs."""

    network: Network
    train: Batches
    val: Batches
    settings: Settings
    folder: Path
    pace: Pace
    group: Group

    @property
    def best(self) -> Path:
        return self.folder / "best"

    @property
    def at_once(self) -> int:
        return inference_batch(self.settings.batch_size, self.settings.accumulate)

    @property
    def epoch_steps(self) -> int:
        return self.train.steps(self.settings.batch_size)


def train_network(
    network: Network,
    train: Batches,
    val: Batches,
    settings: Settings,
    folder: Path,
    *,
    pace: Pace | None = None,
    resume: bool = False,
    group: Group = ALONE,
) -> Generator[Event, None, bool]:
    """Train a network in place, and leave it with the weights of its best epoch.

    Args:
        network: on ``train.device``.
        train, val: the images; ``val`` chooses the epoch, and the rate where the schedule is ``plateau``.
        settings: of the plan.
        folder: for ``best``, the best epoch's weights (the averaged ones where there are such), ``last``, the whole
            state, and ``head``, the weights before the first epoch if a head was fitted.
        pace: how long it may take; None: all planned epochs.
        resume: continue from ``last``, or start anew if there is none.
        group: the processes that train this network together, each called with the same arguments; the first one
            starts, decides and writes, and has the best epoch's weights at the end.

    Returns:
        Whether it ended early, for the training to start over with a network of the width ``pace.width``.

    Yields:
        Resumed if it continues from a saved state; StepEnded and Progressed within an epoch; EpochEnded and, if it is
        the best so far, CheckpointSaved after it; RateFound before the first, if the finder is used;
        Noted where steps take much longer or shorter than was expected; StateSaving before the state is saved;
        StepFailed if a loss or gradient is not finite; TrainingStopped at the end. ``StopRequested``, thrown into it at
        any of these, saves the state and ends the training.

    Raises:
        TrainingError: if loss, gradient or weights are not finite, and going back did not help.
        RunError: if the state can't be saved, or the saved one is damaged.
    """
    start = time.monotonic()
    pace = pace or Pace(settings, train.steps(settings.batch_size))
    training = _Training(network, train, val, settings, folder, pace, group)
    with _announced(group), named_errors(settings):
        training, state = yield from _begin(training, resume)
        trainable = [name for name, weight in network.named_parameters() if weight.requires_grad]
        while not state.progress.reason:
            since = time.monotonic() - state.progress.seconds
            try:
                speed = yield from _train_epoch(training, state, trainable, since)
                if group.decide(pace.width):
                    return True
                is_best = yield from _validate(training, state, since, speed)
                if group.decide(bool(is_best or state.is_due or state.progress.reason)):
                    yield from _save(training, state, 0.0)
            except StopRequested:
                with contextlib.suppress(TrainingError):  # weights that are not finite: the state before them is kept
                    state.save(time.monotonic() - since)
                raise
            except TrainingError as error:
                yield from _step_back(training, state, error)
    progress = state.progress
    if progress.best is None:
        raise diverged("no epoch had a finite validation loss")
    if progress.step and (settings.clip_norm or settings.clip_value):
        yield Noted(f"The gradient was clipped in {part_of(progress.clipped, progress.step, 'step')}.")
    best_epoch, share = progress.best_epoch, 1.0
    if settings.blend and progress.step and group.rank == 0 and (folder / "head").is_dir():
        best_epoch, share = yield from _blend(training, state)
    if group.rank == 0:
        network.load_state_dict(load_checkpoint(training.best)[0]["model"])
    yield TrainingStopped(progress.reason, best_epoch, time.monotonic() - start, share)
    return False


@contextlib.contextmanager
def _announced(group: Group) -> Iterator[None]:
    """Tell the other processes when an error or a signal ends this one."""
    try:
        yield
    except BaseException as error:
        group.leave(error)
        raise


def _begin(training: _Training, resume: bool) -> Generator[Event, None, tuple[_Training, TrainingState]]:
    """Return the training and its initial state; the first process makes it and shares it with all."""
    network, group = training.network, training.group
    freeze_for_good(network, training.settings)
    if group.rank == 0:
        training, state = yield from _begin_first(training, resume)
    else:
        state = _make_state(training)
    group.begin()
    group.prepare(network)
    state.share()
    rate = float(group.share(repr(training.settings.learning_rate).encode()))  # the found one, if the finder was used
    return replace(training, settings=training.settings.model_copy(update={"learning_rate": rate})), state


def _begin_first(training: _Training, resume: bool) -> Generator[Event, None, tuple[_Training, TrainingState]]:
    """Return the training and its state: the saved one, or the one after fitting the head and finding the rate."""
    network, settings = training.network, training.settings
    if resume:
        state = _make_state(training)
        damage = state.load()
        if damage is not None:
            keep_best_of(training.best, state.progress.best_epoch if state.progress.best else None)
            if damage:
                yield Warned("run.damaged-checkpoint", damage, "nothing to do: the state saved before it is used")
            yield Resumed(state.progress.epoch, state.progress.step)
            return training, state
        yield Resumed(0, 0)
    start = yield from _start(training)
    is_best = settings.head_first and math.isfinite(start.val_loss)  # random weights are not a candidate
    if is_best:
        for name in ("best", "head"):  # the best is replaced later; the fitted head alone is reported at the end
            _save_network(training, name, network, 0, start.val_loss, start.val_accuracy)
    yield replace(start, is_best=is_best)
    if is_best:
        yield CheckpointSaved(str(training.best), 0, start.val_loss)
    if settings.find_rate:
        set_training(network, settings)
        found = yield from find_rate(network, training.train, settings)
        yield found
        training = replace(training, settings=settings.model_copy(update={"learning_rate": found.rate}))
    state = _make_state(training)
    if is_best:
        best = score_of(start.val_loss, start.val_accuracy, settings)
        state.progress = replace(state.progress, best=best)
    if not settings.epochs:
        state.progress = replace(state.progress, reason=ALL_EPOCHS_DONE)
    elif is_best and training.pace.is_over(state.course(training.epoch_steps)):
        state.progress = replace(state.progress, reason=TIME_LIMIT_REACHED)
    yield from _save(training, state, 0.0)
    return training, state


def _make_state(training: _Training) -> TrainingState:
    counts = np.bincount(training.train.labels, minlength=training.network.head.out_features).tolist()
    return TrainingState(training.network, training.settings, counts, training.folder / "last", training.group)


def _start(training: _Training) -> Generator[Event, None, EpochEnded]:
    """Fit the head if that is planned, and return the metrics before the first epoch, as epoch 0."""
    start = time.monotonic()
    settings, network, train, val = training.settings, training.network, training.train, training.val
    if settings.head_first:
        until = training.pace.head_until()
        even = settings.imbalance != "none"
        strength = settings.head_strength
        fitting = start_with_head(network, train, val, settings.precision, until, even=even, strength=strength)
        reached = yield from fitting
        count = len(train) + len(val)
    else:
        reached, count = measure_start(network, train, val, settings.seed, training.at_once)
    seconds = time.monotonic() - start
    return EpochEnded(0, settings.epochs, *reached, 0.0, seconds, count / max(1e-9, seconds), False)


def _train_epoch(
    training: _Training, state: TrainingState, trainable: list[str], since: float
) -> Generator[Event, None, float]:
    """Make the remaining updates of an epoch; returns images per second."""
    network, settings, pace, group = training.network, training.settings, training.pace, training.group
    start, seen, epoch, done = time.monotonic(), state.progress.seen, state.progress.epoch, state.progress.step
    first, parts = (epoch - 1) * training.epoch_steps, state.updater.parts
    began = start
    for step, batch in enumerate(_batches(training, epoch, done - first), done):
        course = state.course(training.epoch_steps)
        is_end = step > first and (pace.is_over(course) or pace.fits_badly(course))
        steps = group.decide(0 if is_end else pace.steps(course))
        if not steps:
            break
        course = course.stretched(steps)
        state.advance_to(course)
        if step == done or settings.unfreeze_every:
            _set_trainable(network, settings, course, trainable)
        images, targets = prepare_batch(batch, settings, network.head.out_features, epoch, course, group)
        if step == 0:
            yield InputsSeen(step, as_images(images[:_INPUTS]))
        rate = learning_rate_at(settings, course) * state.progress.rate_scale
        try:
            momentum, count = momentum_at(settings, course), len(batch.positions)
            update = state.updater.make(images, targets, rate=rate, momentum=momentum, step=step, count=count)
        except TrainingError as error:
            yield StepFailed(step, epoch, batch.positions, error.message)
            raise
        if update.parts > parts:
            parts = update.parts
            yield PartsRaised(step, parts)
            message = f"not enough memory at step {step}: each batch now goes through the network in {parts} parts"
            cure = f"to avoid this, give --set accumulate={parts} from the start, or a smaller --size"
            yield Warned("training.parts", message, cure)
        state.advance(update, rate)
        pace.add_step(course, time.monotonic() - began)
        yield StepEnded(step, epoch, update.loss, rate, update.gradient_norm, update.is_clipped)
        yield Progressed(state.progress.seen, len(training.train), "images", pace.seconds_left(course))
        if group.decide(state.is_due):
            yield from _save(training, state, time.monotonic() - since)
        began = time.monotonic()  # fetching the next images belongs to the next step
    return (state.progress.seen - seen) / max(1e-9, time.monotonic() - start)


def _validate(training: _Training, state: TrainingState, since: float, speed: float) -> Generator[Event, None, bool]:
    """Evaluate the epoch, save its network if it is the best, and start the next epoch or end; returns ``is_best``."""
    settings, now, start = training.settings, state.progress, time.monotonic()
    loss, accuracy, predicted = measure(state.average.network, training.val, training.at_once, training.group)
    training.pace.add_validation(time.monotonic() - start)
    yield ValidationMeasured(now.epoch, training.val.labels, *predicted)
    score = score_of(loss, accuracy, settings)
    is_best = math.isfinite(score[0]) and (now.best is None or score < now.best)
    if is_best and training.group.rank == 0:
        _save_network(training, "best", state.average.network, now.epoch, loss, accuracy)
    reached = *state.train_metrics(), loss, accuracy, now.rate
    pace, course = training.pace, state.course(training.epoch_steps)
    is_over = bool(training.group.decide(pace.is_over(course)))
    epochs = now.epoch if is_over else math.ceil(pace.steps(course) / training.epoch_steps)
    left = (0.0, 0.0) if is_over else pace.seconds_left(course)
    is_about = bool(settings.time) and epochs < settings.epochs
    seconds = time.monotonic() - since
    yield EpochEnded(now.epoch, epochs, *reached, seconds, speed, is_best, is_about, left)
    if words := "" if is_over else pace.report(course):
        yield Noted(words)
    if is_best:
        yield CheckpointSaved(str(training.best), now.epoch, loss)
    best, best_epoch = (score, now.epoch) if is_best else (now.best, now.best_epoch)
    reason = TIME_LIMIT_REACHED if is_over else ""
    if settings.patience and now.epoch - best_epoch >= settings.patience:
        reason = f"the validation {settings.select_by} did not improve for {settings.patience} epochs"
    if now.epoch >= settings.epochs:
        reason = ALL_EPOCHS_DONE
    state.close_epoch(loss if settings.select_by == "loss" else accuracy, best, best_epoch, reason)
    return is_best


def _blend(training: _Training, state: TrainingState) -> Generator[Event, None, tuple[int, float]]:
    """Keep the best network between the fitted head and the last epoch as the best one; returns its epoch and share.

    An epoch before the last that is better than all between stays the best, where it is surely better than the head.
    """
    start, last = time.monotonic(), state.progress.epoch - 1
    head, network = load_checkpoint(training.folder / "head")[0]["model"], state.average.network
    select_by = training.settings.select_by
    earlier = load_checkpoint(training.best)[0]["model"] if 0 < state.progress.best_epoch < last else None
    found, weights = yield from choose_share(network, head, training.val, training.at_once, select_by, earlier)
    if weights is None:
        return state.progress.best_epoch, 1.0
    epoch = last if found.share else 0
    network.load_state_dict(weights)
    _save_network(training, "best", network, epoch, found.val_loss, found.val_accuracy)
    yield Blended(found.share, epoch, found.val_loss, found.val_accuracy, time.monotonic() - start)
    yield CheckpointSaved(str(training.best), epoch, found.val_loss)
    return epoch, found.share


def _save_network(training: _Training, name: str, network: Network, epoch: int, loss: float, accuracy: float) -> None:
    facts = {"epoch": epoch, "val_loss": loss, "val_accuracy": accuracy}
    save_checkpoint(training.folder / name, {"model": network.state_dict()}, facts, keep=name == "best")


def _save(training: _Training, state: TrainingState, seconds: float) -> Generator[StateSaving, None, None]:
    """Save the state, after the receiver of the events could write what belongs to it."""
    state.refuse_not_finite()
    yield StateSaving(state.progress.step)
    start = time.monotonic()
    state.save(seconds)
    training.pace.add_saving(time.monotonic() - start)


def _step_back(training: _Training, state: TrainingState, error: TrainingError) -> Generator[Event, None, None]:
    """Go back to the last finite state, at half the learning rate.

    Raises:
        TrainingError: the given one, if it is of another kind, or after too many setbacks.
    """
    scale, setbacks = state.progress.rate_scale / 2, state.progress.setbacks + 1
    if error.code != "training.diverged" or setbacks > _SETBACKS:
        raise error
    if training.group.rank == 0 and state.load() is None:
        raise error
    if training.group.rank == 0:
        keep_best_of(training.best, state.progress.best_epoch if state.progress.best else None)
    state.share()
    state.progress = replace(state.progress, rate_scale=scale, setbacks=setbacks)
    message = f"{error.message}; training continues from step {state.progress.step} at {scale:g} times the planned rate"
    yield Warned("training.setback", f"{message} (setback {setbacks} of at most {_SETBACKS})", error.cure)
    yield Resumed(state.progress.epoch, state.progress.step)


def _batches(training: _Training, epoch: int, first: int) -> Generator[Batch, None, None]:
    """Yield the batches of an epoch from ``first`` on, in random order, or with all classes equally often."""
    settings, train = training.settings, training.train
    is_balanced = settings.imbalance == "balanced_sampling"
    order = balanced_order(train.labels, settings.seed, epoch) if is_balanced else None
    whole = ALONE if is_mixed(settings) else training.group  # mixing needs the other processes' images too
    yield from train.shuffled(settings.batch_size, settings.seed, epoch, order, first, whole.part)


def _set_trainable(network: Network, settings: Settings, course: Course, trainable: list[str]) -> None:
    """Unfreeze the layers that train at this step, of those that may be trained."""
    if settings.unfreeze_every:
        each = settings.unfreeze_every * course.epoch_steps
        unfrozen = unfrozen_at(course.step, each)
        if course.step and unfrozen == unfrozen_at(course.step - 1, each) and network.training:
            return
        freeze_below(network, unfrozen, trainable)
    set_training(network, settings)
