"""What trainings on the same images share, and what one training has of its own."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sightline.data.samples import Samples
from sightline.data.split import Split, selection_rows
from sightline.data.units import number_units
from sightline.events import Event
from sightline.pipeline.processes import Processes
from sightline.pixels.cache import PixelStore
from sightline.planning.budget import Costs
from sightline.planning.plan import Plan
from sightline.reading.decode import decode_images
from sightline.runs.writer import RunWriter

if TYPE_CHECKING:
    from sightline.networks.network import Network
    from sightline.networks.weights import StartWeights
    from sightline.training.batches import Batches

__all__ = ["Session", "Training", "Workbench", "readable", "set_up_training", "set_up_workbench"]


@dataclass(frozen=True, slots=True)
class Workbench:
    """What trainings on the same images share. Its split names no test image; only ``finish`` is given one that does.

    Attributes:
        samples: inspected, with what could not be decoded.
        split: training and validation.
        store: the images, decoded once.
        weights: that trainings start from; None: random ones.
        costs: measured on this machine, for a training with a time limit; None: none were.
        count_measured: images that are measured in the end, to know what that takes.
    """

    samples: Samples
    split: Split
    store: PixelStore
    weights: StartWeights | None = None
    costs: Costs | None = None
    count_measured: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """What one training has of its own.

    Attributes:
        writer: of its run.
        ends: by ``time.monotonic()``, when all of the run must be over; infinite: no limit.
        resume: continue from the saved state.
        differs: why going on can't be bit for bit; empty where it is.
        processes: those that train beside this one; None: none.
        is_trial: whether it is one trial of a search, of which nothing is kept but its validation metrics.
    """

    writer: RunWriter
    ends: float = math.inf
    resume: bool = False
    differs: str = ""
    processes: Processes | None = None
    is_trial: bool = False


@dataclass(frozen=True, slots=True)
class Training:
    """A network on its device, and the batches that it learns from and that choose its epoch."""

    network: Network
    train: Batches
    val: Batches


def set_up_workbench(
    samples: Samples,
    split: Split,
    plan: Plan,
    weights: StartWeights | None = None,
    costs: Costs | None = None,
) -> Generator[Event, None, Workbench]:
    """Decode the images once; those that can't be read any more are left out of training and validation.

    Args:
        samples: inspected.
        split: of the first training; its test is left out.
        plan: tells how images are decoded.
        weights, costs: as for ``Workbench``.
    """
    samples, store = yield from decode_images(samples, plan)
    count = len(split.rows(split.headline))
    return Workbench(samples, readable(split.without_test(), samples), store, weights, costs, count)


def set_up_training(plan: Plan, workbench: Workbench) -> Training:
    """Build the planned network on the planned device, with its batches."""
    from sightline.training.setup import make_batches, set_up_network

    samples, split = workbench.samples, workbench.split
    network = set_up_network(plan.settings, len(samples.classes), workbench.weights)
    chosen_on = selection_rows(split, samples.labels)
    train, val = (
        make_batches(plan, workbench.store, rows.tolist(), samples.labels[rows].tolist())
        for rows in (split.rows("train"), chosen_on)
    )
    units = number_units(samples, chosen_on) if plan.settings.blend else None
    return Training(network, train, replace(val, units=units))


def readable(split: Split, samples: Samples) -> Split:
    """Return the split with unreadable images taken out of training and validation; in a test they are counted."""
    parts = split.parts.copy()
    parts[~samples.is_ok & (parts != "test")] = ""
    return Split(parts, split.seed, split.rule, split.notes, split.headline, split.leaked)
