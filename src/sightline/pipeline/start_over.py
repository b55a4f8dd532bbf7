"""A training that has just begun starts over at another width, where the machine is not as fast as it was measured."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from sightline.errors import TrainingError
from sightline.events import Event, Noted, Resumed
from sightline.pipeline.keeper import Keeper
from sightline.pipeline.workbench import Workbench
from sightline.planning.budget import Costs, Widths
from sightline.planning.plan import Plan
from sightline.runs.folder import Run
from sightline.text import count_of, duration

if TYPE_CHECKING:
    from sightline.training.pace import Pace
    from sightline.training.process_group import Group

__all__ = ["later_deadline", "start_over", "widths_of"]

_TIMES = 2  # a training starts over at most
_LOOKED, _MARGIN = 1_500, 1.4  # predictions of the end beside those of measured images, and what is reserved more


def widths_of(plan: Plan, costs: Costs, run: Run, train: int, val: int) -> Widths | None:
    """Return what decides whether to start over; None where a person chose the width, or it was done often enough.

    Args:
        plan: that is followed.
        costs: at its width, on this machine.
        run: that is written.
        train, val: numbers of images.
    """
    origin = next(decision.origin for decision in plan.decisions if decision.name == "width")
    if origin != "time" or len(run.facts.get("started_over", [])) >= _TIMES:
        return None
    return Widths(plan.settings, costs, train, val)


def start_over(keeper: Keeper, pace: Pace, group: Group, seconds: float) -> Generator[Event, None, bool]:
    """Forget a training that has just begun, and give the keeper a plan of the width of ``pace``, with its costs.

    Killed anywhere in here, the run goes on with the training before, from its start, or with this one.

    Args:
        keeper: of the run.
        pace: that ended the training.
        group: the processes, which get the new plan.
        seconds: since the training began.

    Returns:
        Whether the plan is new; where memory is too small for it, training goes on from its saved state.
    """
    from sightline.training.memory import fit_memory

    before, costs, writer = keeper.plan, keeper.workbench.costs, keeper.writer
    train, classes = len(keeper.workbench.split.rows("train")), len(keeper.workbench.samples.classes)
    widths = widths_of(before, costs, writer.run, train, 0) if costs else None
    assert costs and widths, "the width came from them"
    left = pace.deadline - time.monotonic()
    why = widths.reason(pace.width, pace.factor, left)
    times, how = (pace.factor, "slow") if pace.factor > 1 else (1 / pace.factor, "fast")
    machine = f"the machine is {times:.1f} times as {how} as when it was measured"
    lost = f"after {duration(seconds)} at width {before.settings.width}"
    try:
        plan, warning = fit_memory(before.with_width(pace.width, f"{why}; {machine}, {lost}"), classes, train)
    except TrainingError as error:
        group.share(before.to_toml().encode())
        yield Noted(f"Training goes on at width {before.settings.width}: at width {pace.width}, {error.message}")
        return False
    steps = len(keeper.steps) + len(writer.run.steps.get("step", []))
    entry = {"width": before.settings.width, "to": pace.width, "seconds": round(seconds, 1), "because": machine}
    writer.forget_start()
    writer.write_plan(plan.to_toml())
    writer.update(started_over=[*writer.run.facts.get("started_over", []), entry])
    group.share(plan.to_toml().encode())
    keeper.workbench = replace(keeper.workbench, costs=costs.scaled(pace.factor).of(before.settings, plan.settings))
    keeper.plan = plan
    made = count_of(steps, "step")
    message = f"{machine[0].upper()}{machine[1:]}: training starts over at width {pace.width} instead of "
    message += f"{before.settings.width}, {why}; {duration(seconds)} with {made} are lost."
    yield Noted(message)
    if warning:
        yield warning
    yield from keeper.relay(_begun_again())
    return True


def later_deadline(pace: Pace, before: Workbench, keeper: Keeper) -> float:
    """Return when training must end so that export and evaluation of the network of another width fit in."""
    now, costs = keeper.workbench.costs, before.costs
    assert now and costs, "what starts over was measured"
    images = keeper.workbench.count_measured * max(1, keeper.plan.settings.views) + _LOOKED
    return pace.deadline - _MARGIN * images * max(0.0, now.forward - costs.forward)


def _begun_again() -> Generator[Event, None, None]:
    yield Resumed(0, 0)  # what was logged of the training before is not valid any more
