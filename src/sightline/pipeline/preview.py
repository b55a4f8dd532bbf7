"""A plan's random changes on some training images, before anything is trained."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from sightline.errors import InputError
from sightline.events import Event, Noted, Planned
from sightline.pipeline.decide import decide
from sightline.pipeline.job import Job
from sightline.pipeline.look import look
from sightline.reading.decode import decode_images
from sightline.steps import Steps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["preview_job"]

MOST = 64
_VIEWS = 5


def preview_job(job: Job, count: int) -> Generator[Event, None, Figure]:
    """Return a figure of ``count`` training images, each beside five versions as the network would get them.

    Raises:
        InputError: unless ``count`` is from 1 to 64.
    """
    if not 1 <= count <= MOST:
        raise InputError("preview.count", f"a preview can't show {count} images", f"give a count from 1 to {MOST}")
    looked, _ = yield from look(job)
    deciding = Steps(decide(job, looked, is_trained=False))
    for event in deciding:  # nothing is trained, so no time is told
        yield replace(event, seconds=None) if isinstance(event, Planned) else event
    plan = deciding.result.plan
    from sightline.reporting.letters import key_of_numbers
    from sightline.reporting.preview import draw_views
    from sightline.training.preview import choose_rows, make_views
    from sightline.training.setup import make_batches

    samples, rows = looked.samples, looked.split.rows("train")
    rows = rows[samples.is_ok[rows]]
    few = samples.take(rows[choose_rows(samples.labels[rows], count)])
    few, store = yield from decode_images(few, plan)
    readable = few.is_ok.nonzero()[0]
    batches = make_batches(plan, store, readable.tolist(), few.labels[readable].tolist())
    views = make_views(batches, plan.settings, len(samples.classes), _VIEWS)
    title = f"{plan.settings.model}: training images of {plan.settings.size} px and their random changes"
    if key := key_of_numbers(samples.classes):
        yield Noted(f"{key}.")
    return draw_views(samples.classes, views, title=title)
