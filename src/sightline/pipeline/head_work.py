"""What fitting a head alone would take here and now: decoding timed, caches looked up; found before torch is loaded."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder, expand_home
from sightline.data.feature_cache import keeps_features
from sightline.data.samples import Samples
from sightline.installation import may_have_gpu, missing_modules
from sightline.launch import is_launched
from sightline.networks.carried import carried_file
from sightline.networks.frozen import build_frozen
from sightline.pipeline.frozen_engine import FrozenEngine
from sightline.pipeline.job import Job
from sightline.pipeline.look import Looked
from sightline.pipeline.rehearse import time_drawing
from sightline.pixels.cache import has_store
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.stream import squares_of
from sightline.planning.budget import Costs
from sightline.planning.carried_network import CARRIED
from sightline.planning.facts import Hardware
from sightline.planning.head_alone import is_of_head_alone
from sightline.planning.head_in_time import HeadWork, why_head_alone
from sightline.planning.inputs import SMALL_SIDE
from sightline.planning.plan import Plan, make_plan
from sightline.reading.frozen_features import count_extracted

__all__ = ["find_work", "judge_time"]

_DECODED, _LONGEST = 64, 0.5  # images that are decoded at most, and the seconds after which no more are


def judge_time(job: Job, looked: Looked) -> tuple[str, HeadWork | None]:
    """Return (why a time limit leaves torch no time for more than a head, what that takes).

    Both are empty where torch has more time, where nobody can tell before torch is loaded, or where more than a head
    was asked for.
    """
    if not _is_about_a_head(job, looked):
        return "", None
    engine, data = FrozenEngine(), replace(looked.data, not_probed="")
    hardware = engine.probe(None)
    plan = make_plan(job.recipe, job.options, data, hardware, CARRIED)
    costs = engine.measure(plan, len(looked.samples.classes), data.counts["train"], data.counts["val"], None)
    work = find_work(plan, costs, looked)
    cpu = Hardware("cpu", hardware.name, hardware.threads, "no GPU on this machine")
    fine_tuned = make_plan(job.recipe, job.options, data, cpu, CARRIED).settings
    return why_head_alone(work, fine_tuned, job.seconds_left(plan.settings.time)), work


def _is_about_a_head(job: Job, looked: Looked) -> bool:
    """Whether a head alone on the carried network's features may be what fits, and is all that was asked for."""
    chosen = job.chosen
    is_asked = not chosen.get("time") or "engine" in chosen or job.devices not in ("", "1") or is_launched()
    if is_asked or looked.earlier is not None or not is_of_head_alone(chosen):
        return False
    if looked.data.median_short_side <= SMALL_SIDE or missing_modules("light"):
        return False
    return chosen.get("device") == "cpu" or not may_have_gpu()


def find_work(plan: Plan, costs: Costs, looked: Looked) -> HeadWork:
    """Return what a training of the head alone has to do, and what that takes.

    Args:
        plan: of it, at the size at which ``costs`` were measured.
        costs: measured on this machine.
        looked: at the data.
    """
    samples, counts, settings = looked.samples, looked.data.counts, plan.settings
    if settings.fit == "crop" and _has_chosen_resize(plan):  # no larger side can be cut from it
        costs = replace(costs, sides=tuple(side for side in costs.sides if side <= settings.resize))
    folder, digests, known, stored = cache_folder() / "pixels", samples.digests.tolist(), {}, []
    for side in costs.sides or (settings.size,):
        preprocess = _at_side(plan, side)
        if has_store(digests, preprocess, folder):  # a training at this size decoded them, and computed features
            stored.append(side)
            known[side] = _count_known(plan, side, preprocess, looked)
    measured = counts.get("test", 0) or counts["val"]
    return HeadWork(
        settings,
        costs,
        {"train": counts["train"], "val": counts["val"], "measured": measured, "all": len(samples)},
        _time_decoding(samples, looked.split.rows("train"), plan.preprocess),
        time_drawing(),
        keeps_features(),
        known,
        tuple(stored),
    )


def _at_side(plan: Plan, side: int) -> Preprocess:
    """Return the plan's preprocessing at another side of the input; a crop keeps its share of the image."""
    before = plan.preprocess
    resize = before.resize if _has_chosen_resize(plan) else round(before.resize * side / before.size)
    return replace(before, size=side, resize=max(side, resize))


def _has_chosen_resize(plan: Plan) -> bool:
    """Whether a person chose the short side before the crop: then it stays, whatever the side of the input."""
    return any(made.name == "resize" and made.origin in ("option", "recipe") for made in plan.decisions)


def _count_known(plan: Plan, side: int, preprocess: Preprocess, looked: Looked) -> int:
    """Return of how many images of training and validation the features at this side are in the cache."""
    settings, earlier, split = plan.settings.model_copy(update={"size": side}), looked.earlier, looked.split
    weights = expand_home(settings.weights) if settings.weights else carried_file()
    weights = weights if earlier is None else earlier.file
    network = build_frozen(settings, len(looked.samples.classes), weights, is_run=earlier is not None)
    return sum(count_extracted(network, looked.samples, preprocess, split.rows(part)) for part in ("train", "val"))


def _time_decoding(samples: Samples, rows: npt.NDArray[np.intp], preprocess: Preprocess) -> float:
    """Return the seconds of decoding an image, of a few that are spread over all."""
    rows = rows[samples.is_ok[rows]]
    step = max(1, len(rows) // _DECODED)
    start, count = time.monotonic(), 0
    with closing(squares_of(preprocess, [samples.file(int(row)) for row in rows[::step][:_DECODED]])) as squares:
        for _ in squares:
            count += 1
            if time.monotonic() - start > _LONGEST:
                break
    return (time.monotonic() - start) / max(1, count)
