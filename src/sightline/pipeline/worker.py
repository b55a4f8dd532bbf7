"""A process that trains along with the first one: it reads a run's folder, and writes nothing.

``python -m sightline.pipeline.worker`` is started by ``--devices``; under torchrun ``sightline train`` comes here.
"""

from __future__ import annotations

import contextlib
import signal
import sys
from datetime import timedelta
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from sightline.errors import SightlineError, StopRequested, TrainingError
from sightline.launch import end_with_parent
from sightline.pipeline.processes import DONE, FOLDER, ready_key
from sightline.pipeline.workbench import Training, set_up_training, set_up_workbench
from sightline.planning.decisions import Decision
from sightline.planning.plan import Plan
from sightline.process_settings import kept_memory
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.steps import result_of

if TYPE_CHECKING:
    from sightline.training.process_group import Group, Place

__all__ = ["follow_run"]

_LONG = timedelta(days=2)  # the first process plans and decodes before, and exports and measures after


def follow_run(*, wait: bool = True) -> Run | None:
    """Train along with the first process; returns its run, or None where it had nothing to train.

    Args:
        wait: whether to wait until the first process is done.

    Raises:
        TrainingError: if another process failed or is lost.
        StopRequested: if all were asked to stop.
    """
    from sightline.training.process_group import join_store, place_in_environment

    place = place_in_environment()
    assert place
    store = join_store(place)
    store.wait([FOLDER], _LONG)
    folder = store.get(FOLDER).decode()
    if not folder:
        return None
    run = Run(Path(folder))
    _train_along(run, place, store)
    if wait:
        store.wait([DONE], _LONG)
    return run


def _train_along(run: Run, place: Place, store: Any) -> None:
    from sightline.training.process_group import open_group

    plan = _on_own_device(run.plan, place.local_rank)
    # The first process shows the events of decoding, and gives its weights.
    workbench = result_of(set_up_workbench(*read_dataset(run), plan))
    training = set_up_training(plan, workbench)
    store.set(ready_key(place.rank), "1")
    group = open_group(place, store, plan.settings.device)

    def ask(number: int, frame: FrameType | None) -> None:
        group.wanted = number

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        while _learns(training, plan, run, group):  # the first process makes another plan, and starts over
            plan = _on_own_device(Plan.from_toml(group.share(b"").decode()), place.local_rank)
            training = set_up_training(plan, workbench)
    finally:
        group.close()
        for number, handler in before.items():
            signal.signal(number, handler)


def _learns(training: Training, plan: Plan, run: Run, group: Group) -> bool:
    """Train along; returns whether the training starts over."""
    from sightline.training.loop import train_network

    parts = training.network, training.train, training.val
    with kept_memory():
        return result_of(train_network(*parts, plan.settings, run.checkpoints_folder, group=group))


def _on_own_device(plan: Plan, number: int) -> Plan:
    from sightline.training.process_group import own_device

    device = own_device(plan.settings.device, number)
    return plan.replace(Decision("device", device, "hardware", "one for each process"))


def main() -> None:
    """Run as a process of ``--devices``; errors are passed to the first process, which reports them."""
    end_with_parent()
    with contextlib.suppress(StopRequested):
        try:
            follow_run(wait=False)
        except TrainingError:
            sys.exit(1)
        except SightlineError as error:  # before there was a group to tell it to
            sys.exit(str(error))


if __name__ == "__main__":
    main()
