"""The third step of a training: one network learns, and its run folder keeps what happens while it does."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from typing import TYPE_CHECKING

from sightline.errors import InputError, TrainingError
from sightline.events import Event, Noted, StageEnded, StageStarted
from sightline.pipeline.keeper import Keeper
from sightline.pipeline.rehearse import rehearse_finish
from sightline.pipeline.start_over import later_deadline, start_over, widths_of
from sightline.pipeline.torch_trained import TorchTrained
from sightline.pipeline.workbench import Session, Training, Workbench, set_up_training
from sightline.pixels.limits import squares_at_once
from sightline.planning.budget import Costs, least_training, too_short
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.runs.writer import RunWriter

if TYPE_CHECKING:
    from sightline.training.batches import Batches
    from sightline.training.pace import Pace
    from sightline.training.process_group import Group

__all__ = ["fit"]

_VIEW_SIDE = 96  # px of the images of random changes that a run keeps


def fit(plan: Plan, workbench: Workbench, session: Session) -> Generator[Event, None, Plan]:
    """Train the planned network; its best epoch and, until the end, its whole state are in the run's folder.

    Args:
        plan: of the training.
        workbench: the images and the weights to start from; no test image is in reach.
        session: of this training.

    Returns:
        The plan that was followed to the end: of another width, where the machine is not as fast as it was measured.

    Raises:
        InputError: if too little time is left.
        TrainingError: as ``train_network``, with the images of the step that failed.
    """
    from sightline.training.process_group import ALONE

    writer, processes = session.writer, session.processes
    training = _set_up(plan, workbench)
    if not session.is_trial:
        _keep_views(writer, training.train, plan.settings, len(workbench.samples.classes))
    pace = yield from _find_pace(plan, workbench, session, training)
    yield StageStarted("Training", plan.settings.model)
    start = time.monotonic()
    keeper = Keeper(plan, workbench, session, setbacks=list(writer.run.facts.get("setbacks", [])))
    try:
        group = processes.connect(plan.settings) if processes else ALONE
        yield from _describe_processes(writer, plan.settings, group, training)
        yield from _learn(training, keeper, pace, group, resume=session.resume)
        while pace is not None and pace.width:
            before = keeper.workbench
            is_new = yield from start_over(keeper, pace, group, time.monotonic() - start)
            training = _set_up(keeper.plan, keeper.workbench)
            deadline = later_deadline(pace, before, keeper)
            pace = _make_pace(keeper.plan, keeper.workbench, session, training, deadline, is_final=not is_new)
            yield from _learn(training, keeper, pace, group, resume=not is_new)
    except TrainingError as error:
        raise keeper.explained(error) from error
    finally:
        if processes:
            processes.end()
    yield StageEnded("Training", keeper.describe_gain(), time.monotonic() - start)
    return keeper.plan


def _set_up(plan: Plan, workbench: Workbench) -> Training:
    """Return the planned network, and its batches."""
    from sightline.training.setup import whiten_network

    training = set_up_training(plan, workbench)
    if workbench.weights is None:
        whiten_network(training.network, training.train, plan.settings.seed)
    return training


def _learn(
    training: Training, keeper: Keeper, pace: Pace | None, group: Group, *, resume: bool
) -> Generator[Event, None, None]:
    from sightline.training.loop import train_network

    events = train_network(
        training.network,
        training.train,
        training.val,
        keeper.plan.settings,
        keeper.writer.run.checkpoints_folder,
        pace=pace,
        resume=resume,
        group=group,
    )
    yield from keeper.relay(events)


def _find_pace(
    plan: Plan, workbench: Workbench, session: Session, training: Training
) -> Generator[Event, None, Pace | None]:
    """Return how many updates fit into the time, after the end of the run was rehearsed; None: nothing was measured."""
    costs = workbench.costs
    if costs is None:
        return None
    if math.isinf(session.ends):
        return _make_pace(plan, workbench, session, training, session.ends)
    closing = yield from rehearse_finish(session.writer.run, plan, workbench, TorchTrained(training.network, plan))
    deadline = session.ends - closing
    if not session.resume:
        _refuse_too_short(plan.settings, costs, len(training.train), len(training.val), deadline)
    return _make_pace(plan, workbench, session, training, deadline)


def _make_pace(
    plan: Plan,
    workbench: Workbench,
    session: Session,
    training: Training,
    deadline: float,
    *,
    is_final: bool = False,
) -> Pace:
    """Return the pace of a training that must end at a deadline; ``is_final``: it may not start over."""
    from sightline.training.blending import count_validations
    from sightline.training.pace import Pace

    costs, settings, train, val = workbench.costs, plan.settings, len(training.train), len(training.val)
    assert costs is not None, "a training with a limit was measured"
    widths = None if is_final or math.isinf(deadline) else widths_of(plan, costs, session.writer.run, train, val)
    steps = training.train.steps(settings.batch_size)
    last = 1 + (count_validations(val) if settings.blend else 0)
    return Pace(settings, steps, deadline, costs.step, costs.forward * val, widths, last)


def _describe_processes(
    writer: RunWriter, settings: Settings, group: Group, training: Training
) -> Generator[Event, None, None]:
    """Say that several processes train, what each has of a step, and what that does to batch norms.

    Raises:
        InputError: if batch norms could not see a whole step, because a process has no image of it.
    """
    if group.size == 1:
        return
    from sightline.training.layer_groups import norm_layers

    steps = training.train.steps(settings.batch_size)
    largest, smallest = -(-len(training.train) // steps), len(training.train) // steps
    own = -(-largest // group.size)
    yield Noted(f"{group.size} processes train together, each with up to {own} of the {largest} images of a step.")
    if settings.freeze_norm or not any(True for _ in norm_layers(training.network)):
        return
    if settings.device != "cpu" and smallest < group.size:
        message = f"steps of {smallest} images are too small for {group.size} processes with batch norms"
        raise InputError("plan.devices", message, "give a larger --batch-size, or fewer --devices")
    norms = "the whole step" if settings.device != "cpu" else f"the images of their own process, up to {own}"
    writer.update(batch_norms_see=norms)
    if settings.device == "cpu":
        yield Noted(f"Batch norms learn from {norms}: not what one process would do, whose norms see {largest}.")


def _refuse_too_short(settings: Settings, costs: Costs, train: int, val: int, deadline: float) -> None:
    """Raise ``InputError`` where not even the least training ends before the deadline.

    A head is fitted on some of the training images where there is no time for all, as one that begins is not given up.
    """
    seen = min(train, squares_at_once(settings.size)) if settings.head_first else train
    least = least_training(settings, costs, seen, val)
    left = deadline - time.monotonic()
    if left < least:
        raise too_short(settings.time, left, least)


def _keep_views(writer: RunWriter, train: Batches, settings: Settings, classes: int) -> None:
    """Write a few training images as the network gets them, small, for the report."""
    from sightline.training.preview import choose_rows, make_views

    views = make_views(train.take(choose_rows(train.labels, 4)), settings, classes, 6)
    writer.write_views(views.shrunk(_VIEW_SIDE))
