"""The training loop: a generator of events that reads from top to bottom.

It does not know who listens. Order, augmentation and learning rate are functions of seed, epoch, step and the figures
so far; all that changes lies in a ``TrainingState``, which is saved now and then and taken up again bit for bit. The
network of the epoch with the best validation figure lies in a checkpoint, and is what the caller goes on with.
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
from sightline.training.batches import Batch, Batches, as_images
from sightline.training.checkpoint import keep_best_of, load_checkpoint, save_checkpoint
from sightline.training.find_rate import find_rate
from sightline.training.head import start_with_head
from sightline.training.imbalance import balanced_order
from sightline.training.layer_groups import freeze_below, norm_layers, thawed_at
from sightline.training.measure import measure, measure_start
from sightline.training.memory import looked_at_at_once
from sightline.training.pace import Pace
from sightline.training.process_group import ALONE, Group
from sightline.training.schedules import Course, learning_rate_at, momentum_at
from sightline.training.state import TrainingState, score_of
from sightline.training.update import diverged, is_mixed, named_errors, prepare_batch

__all__ = ["train_network"]

_INPUTS = 16  # images that are shown as the network gets them
_SETBACKS = 3  # times that a training goes back because of numbers that are none


@dataclass(frozen=True, slots=True)
class _Training:
    """What stays as it is from the first step to the last."""

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
        return looked_at_at_once(self.settings.batch_size, self.settings.accumulate)

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
) -> Generator[Event, None, None]:
    """Train a network in place, and leave it with the weights of its best epoch.

    Args:
        network: on ``train.device``.
        train, val: the images; ``val`` chooses the epoch, and the rate where the schedule is ``plateau``.
        settings: of the plan.
        folder: for ``best``, the best epoch's weights (the averaged ones where there are such), ``last``, the whole
            state, and ``head``, the weights before the first epoch where a head was fitted.
        pace: how long it may take; None: all planned epochs.
        resume: go on from ``last``; from the start where there is none.
        group: the processes that train this network together, each called with the same arguments; the first one
            begins, decides and writes, and leaves the best epoch's weights.

    Yields:
        Resumed where it goes on from a saved state; StepEnded and Progressed within an epoch; EpochEnded and, if it is
        the best so far, CheckpointSaved after it; RateFound before the first, where the finder is asked for;
        StateSaving before the state is saved; StepFailed where a loss or gradient is no number; TrainingStopped at the
        end. ``StopRequested``, thrown into it at any of these, saves the state and leaves it.

    Raises:
        TrainingError: if loss, gradient or weights are no finite numbers, and going back did not help.
        RunError: if the state can't be saved, or what was saved is damaged.
    """
    start = time.monotonic()
    pace = pace or Pace(settings, train.steps(settings.batch_size))
    training = _Training(network, train, val, settings, folder, pace, group)
    with _told(group), named_errors(settings):
        training, state = yield from _begin(training, resume)
        learning = [name for name, weight in network.named_parameters() if weight.requires_grad]
        while not state.progress.reason:
            since = time.monotonic() - state.progress.seconds
            try:
                speed = yield from _learn(training, state, learning, since)
                is_best = yield from _validate(training, state, since, speed)
                if group.decide(bool(is_best or state.is_due or state.progress.reason)):
                    yield from _save(training, state, 0.0)
            except StopRequested:
                with contextlib.suppress(TrainingError):  # weights that are no numbers: the state before them stays
                    state.save(time.monotonic() - since)
                raise
            except TrainingError as error:
                yield from _step_back(training, state, error)
    progress = state.progress
    if progress.best is None:
        raise diverged("no epoch had a finite validation loss")
    if settings.clip_norm or settings.clip_value:
        share = progress.clipped / max(1, progress.step)
        yield Noted(f"The gradient was clipped in {share:.0%} of {progress.step:,} steps.")
    if group.rank == 0:
        network.load_state_dict(load_checkpoint(training.best)[0]["model"])
    yield TrainingStopped(progress.reason, progress.best_epoch, time.monotonic() - start)


@contextlib.contextmanager
def _told(group: Group) -> Iterator[None]:
    """Tell the other processes what ends this one."""
    try:
        yield
    except BaseException as error:
        group.leave(error)
        raise


def _begin(training: _Training, resume: bool) -> Generator[Event, None, tuple[_Training, TrainingState]]:
    """Return the training and the state that it starts from; the first process makes it, and all have it."""
    network, group = training.network, training.group
    if training.settings.freeze_body:
        network.body.requires_grad_(False)
    if group.rank == 0:
        training, state = yield from _begin_first(training, resume)
    else:
        state = _make_state(training)
    group.begin()
    group.take_up(network)
    state.share()
    rate = float(group.share(repr(training.settings.learning_rate).encode()))  # as it was found, if it was looked for
    return replace(training, settings=training.settings.model_copy(update={"learning_rate": rate})), state


def _begin_first(training: _Training, resume: bool) -> Generator[Event, None, tuple[_Training, TrainingState]]:
    """Return the training and its state: the saved one, or that after head and rate finder."""
    network, settings = training.network, training.settings
    if resume:
        state = _make_state(training)
        damage = state.load()
        if damage is not None:
            keep_best_of(training.best, state.progress.best_epoch if state.progress.best else None)
            if damage:
                yield Warned("run.damaged-checkpoint", damage, "nothing: the state saved before it is used")
            yield Resumed(state.progress.epoch, state.progress.step)
            return training, state
        yield Resumed(0, 0)
    figures = yield from _start(training)
    is_best = settings.head_first and math.isfinite(figures.val_loss)  # a random start is no candidate
    if is_best:
        for name in ("best", "head"):  # the best is replaced in time; what the head alone can do is told at the end
            _save_network(training, name, network, 0, figures.val_loss, figures.val_accuracy)
    yield replace(figures, is_best=is_best)
    if is_best:
        yield CheckpointSaved(str(training.best), 0, figures.val_loss)
    if settings.find_rate:
        _set_training(network, settings)
        found = yield from find_rate(network, training.train, settings)
        yield found
        training = replace(training, settings=settings.model_copy(update={"learning_rate": found.rate}))
    state = _make_state(training)
    if is_best:
        best = score_of(figures.val_loss, figures.val_accuracy, settings)
        state.progress = replace(state.progress, best=best)
    if not settings.epochs:
        state.progress = replace(state.progress, reason="all epochs done")
    elif is_best and training.pace.is_over(0):
        state.progress = replace(state.progress, reason="the time is used")
    yield from _save(training, state, 0.0)
    return training, state


def _make_state(training: _Training) -> TrainingState:
    counts = np.bincount(training.train.labels, minlength=training.network.head.out_features).tolist()
    return TrainingState(training.network, training.settings, counts, training.folder / "last", training.group)


def _start(training: _Training) -> Generator[Event, None, EpochEnded]:
    """Fit the head where that is planned, and return what the network reaches before the first epoch, as epoch 0."""
    start = time.monotonic()
    settings, network, train, val = training.settings, training.network, training.train, training.val
    if settings.head_first:
        until = training.pace.head_until()
        figures = yield from start_with_head(network, train, val, settings.precision, until)
        count = len(train) + len(val)
    else:
        figures, count = measure_start(network, train, val, settings.seed, training.at_once)
    seconds = time.monotonic() - start
    return EpochEnded(0, settings.epochs, *figures, 0.0, seconds, count / max(1e-9, seconds), False)


def _learn(
    training: _Training, state: TrainingState, learning: list[str], since: float
) -> Generator[Event, None, float]:
    """Make the updates of an epoch, or those that are left of it; returns images per second."""
    network, settings, pace, group = training.network, training.settings, training.pace, training.group
    start, seen, epoch, done = time.monotonic(), state.progress.seen, state.progress.epoch, state.progress.step
    first, parts = (epoch - 1) * training.epoch_steps, state.updater.parts
    began = start
    for step, batch in enumerate(_batches(training, epoch, done - first), done):
        steps = group.decide(0 if step > first and pace.is_over(step) else pace.steps(step))
        if not steps:
            break
        course = Course(step, steps, training.epoch_steps, state.progress.figures)
        if step == done or settings.unfreeze_every:
            _set_learning(network, settings, course, learning)
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
            message = f"not enough memory at step {step}: a batch goes through in {parts} parts from here on"
            yield Warned("training.parts", message, f"--set accumulate={parts} from the start, or a smaller --size")
        state.advance(update, rate)
        pace.saw_step(step, time.monotonic() - began)
        yield StepEnded(step, epoch, update.loss, rate, update.gradient_norm, update.is_clipped)
        yield Progressed(state.progress.seen, len(training.train), "images")
        if group.decide(state.is_due):
            yield from _save(training, state, time.monotonic() - since)
        began = time.monotonic()  # fetching the next images is a part of the next step
    return (state.progress.seen - seen) / max(1e-9, time.monotonic() - start)


def _validate(training: _Training, state: TrainingState, since: float, speed: float) -> Generator[Event, None, bool]:
    """Measure the epoch, keep its network if it is the best, and go on to the next or end; returns whether it is."""
    settings, now, start = training.settings, state.progress, time.monotonic()
    loss, accuracy, said = measure(state.average.network, training.val, training.at_once, training.group)
    training.pace.saw_validation(time.monotonic() - start)
    yield ValidationMeasured(now.epoch, training.val.labels, *said)
    score = score_of(loss, accuracy, settings)
    is_best = math.isfinite(score[0]) and (now.best is None or score < now.best)
    if is_best and training.group.rank == 0:
        _save_network(training, "best", state.average.network, now.epoch, loss, accuracy)
    reached = *state.train_figures(), loss, accuracy, now.rate
    yield EpochEnded(now.epoch, settings.epochs, *reached, time.monotonic() - since, speed, is_best)
    if is_best:
        yield CheckpointSaved(str(training.best), now.epoch, loss)
    best, best_epoch = (score, now.epoch) if is_best else (now.best, now.best_epoch)
    reason = ""
    if training.group.decide(training.pace.is_over(now.step)):
        reason = "the time is used"
    if settings.patience and now.epoch - best_epoch >= settings.patience:
        reason = f"no better validation {settings.select_by} for {settings.patience} epochs"
    if now.epoch >= settings.epochs:
        reason = "all epochs done"
    state.close_epoch(loss if settings.select_by == "loss" else accuracy, best, best_epoch, reason)
    return is_best


def _save_network(training: _Training, name: str, network: Network, epoch: int, loss: float, accuracy: float) -> None:
    facts = {"epoch": epoch, "val_loss": loss, "val_accuracy": accuracy}
    save_checkpoint(training.folder / name, {"model": network.state_dict()}, facts, keep=name == "best")


def _save(training: _Training, state: TrainingState, seconds: float) -> Generator[StateSaving, None, None]:
    """Save the state, after whoever listens could write down what came before it."""
    state.refuse_not_finite()
    yield StateSaving(state.progress.step)
    start = time.monotonic()
    state.save(seconds)
    training.pace.saw_saving(time.monotonic() - start)


def _step_back(training: _Training, state: TrainingState, error: TrainingError) -> Generator[Event, None, None]:
    """Go back to the last good state, at half the rate.

    Raises:
        TrainingError: the one that was given, if it is of another kind, or this was done often enough.
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
    message = f"{error.message}; back to step {state.progress.step}, at {scale:g} of the planned learning rate"
    yield Warned("training.setback", f"{message} ({setbacks} of at most {_SETBACKS} times)", error.cure)
    yield Resumed(state.progress.epoch, state.progress.step)


def _batches(training: _Training, epoch: int, first: int) -> Generator[Batch, None, None]:
    """Yield the batches of an epoch from ``first`` on, in their order: by chance, or with all classes equally often."""
    settings, train = training.settings, training.train
    is_balanced = settings.imbalance == "balanced_sampling"
    order = balanced_order(train.labels, settings.seed, epoch) if is_balanced else None
    whole = ALONE if is_mixed(settings) else training.group  # what is mixed needs the other processes' images too
    yield from train.shuffled(settings.batch_size, settings.seed, epoch, order, first, whole.part)


def _set_learning(network: Network, settings: Settings, course: Course, learning: list[str]) -> None:
    """Let the layers learn that are to at this step, of those that learn at all."""
    if settings.unfreeze_every:
        each = settings.unfreeze_every * course.epoch_steps
        thawed = thawed_at(course.step, each)
        if course.step and thawed == thawed_at(course.step - 1, each) and network.training:
            return
        freeze_below(network, thawed, learning)
    _set_training(network, settings)


def _set_training(network: Network, settings: Settings) -> None:
    """Set the network to training mode, but for what is frozen."""
    network.train()
    if settings.freeze_body:
        network.body.eval()
    for layer in norm_layers(network):
        is_waiting = settings.unfreeze_every and not any(weight.requires_grad for weight in layer.parameters())
        if settings.freeze_norm or is_waiting:
            layer.eval()
