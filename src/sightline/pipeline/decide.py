"""The second step of a training: every setting, decided from what was found of data, machine and network."""

from __future__ import annotations

import math
import time
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

from sightline.errors import DeviceError
from sightline.events import Event, Planned, StageEnded, StageStarted, Warned
from sightline.networks.carried import carried_file
from sightline.networks.weights import check_weights, read_inherited
from sightline.pipeline.candidates import compare_networks, describe_obtainable
from sightline.pipeline.engine import ENGINES, Engine, choose_engine, engine_of, refuse_for_head
from sightline.pipeline.head_work import find_work, judge_time
from sightline.pipeline.job import Job, refuse_repeats
from sightline.pipeline.look import Looked, look
from sightline.pipeline.probe import probe_changes, warn_of_harm
from sightline.planning.budget import Costs, closing_seconds, estimate_seconds, fit_to_time, least_training, too_short
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts
from sightline.planning.head_in_time import HeadWork
from sightline.planning.inputs import SMALL_SIDE
from sightline.planning.own_networks import OWN_NETWORKS
from sightline.planning.plan import Plan, choose_model, make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Chosen, Settings
from sightline.runs.writer import refuse_name

__all__ = ["Decided", "decide", "decide_again", "plan_job", "with_inherited"]


@dataclass(frozen=True, slots=True)
class Decided:
    """Every setting of a training, and what they were decided from.

    Attributes:
        plan: the settings, each with its origin and reason.
        hardware: the machine.
        network: facts of the planned network.
        data: what the plan was decided from; of the test images it has the count alone.
        recipe: the job's, as far as this machine follows it.
        costs: measured for the plan on this machine; None where no time limit needs them.
    """

    plan: Plan
    hardware: Hardware
    network: NetworkFacts
    data: DataFacts
    recipe: Recipe
    costs: Costs | None = None


def plan_job(job: Job) -> Generator[Event, None, Plan]:
    """Look at the data and decide every setting; nothing is written and nothing trained."""
    refuse_repeats(job)
    refuse_for_head(job, engine_of(job))
    refuse_name(job.out, job.name)
    looked, _ = yield from look(job)
    return (yield from decide(job, looked)).plan


def decide(job: Job, looked: Looked, *, is_trained: bool = True) -> Generator[Event, None, Decided]:
    """Decide every setting from data, machine and network. Test images have no part in it but by their number.

    Args:
        job: what is asked for.
        looked: at its data.
        is_trained: whether a training follows; else a time limit does not change what computes it.
    """
    chosen, samples, earlier = job.chosen, looked.samples, looked.earlier
    name, reason = choose_engine(chosen, earlier)
    _refuse_damaged_package(chosen, looked.data)
    timed: dict[str, tuple[Any, str]] = {}
    work = None
    if name == "torch" and is_trained:
        why, work = judge_time(job, looked)
        if why:
            name, timed = "onnxruntime", {"engine": ("onnxruntime", why)}
    engine = ENGINES[name]
    data = yield from _probe(job, looked, name)

    yield StageStarted("Planning", engine.loading)
    start = time.monotonic()
    hardware, recipe = yield from _choose_hardware(job, engine)
    hardware = replace(hardware, engine_reason=reason)
    if earlier:
        check_weights(earlier.file)
        earlier = with_inherited(earlier)
    found = yield from compare_networks(samples, looked.split, data, hardware, chosen)
    timed |= {} if found is None else {"model": found}
    model = choose_model(recipe, job.options, data, hardware, earlier, timed)
    if chosen.get("weights") and not earlier and str(model.value) not in OWN_NETWORKS:
        engine.refuse_weights(str(model.value), str(chosen["weights"]))
    network = yield from describe_obtainable(engine.describe(str(model.value), earlier), model, chosen)
    counts = data.counts
    plan = make_plan(recipe, job.options, data, hardware, network, earlier, timed)
    classes = len(samples.classes)
    plan, warning = engine.fit_memory(plan, classes, counts["train"])
    work = None if name == "torch" else work
    costs = work.costs if work else engine.measure(plan, classes, counts["train"], counts["val"], earlier)
    limit = math.inf
    if plan.settings.time:
        work = work or (None if name == "torch" else find_work(plan, costs, looked))
        fitting, limit = _fit_to_limit(job, plan.settings, costs, data, work)
        timed |= fitting
        before = plan.settings
        plan = make_plan(recipe, job.options, data, hardware, network, earlier, timed)
        plan, warning = engine.fit_memory(plan, classes, counts["train"])
        costs = costs.of(before, plan.settings)
    if warning:
        yield warning
    yield StageEnded("Planning", f"{plan.settings.model} on {hardware.device}", time.monotonic() - start)
    yield _estimate(job, plan, costs, limit, data, work)
    yield from warn_of_harm(plan.settings, data, chosen)
    return Decided(plan, hardware, network, data, recipe, costs)


def decide_again(options: Recipe, looked: Looked, decided: Decided) -> Generator[Event, None, Decided]:
    """Decide other options for the same data on the same machine; nothing is probed or measured again.

    Args:
        options: all choices typed for this training.
        looked: at the data.
        decided: for the first training on them.
    """
    earlier = with_inherited(looked.earlier) if looked.earlier else None
    hardware, data, recipe = decided.hardware, decided.data, decided.recipe
    engine, network = ENGINES[decided.plan.settings.engine], decided.network
    model = str(choose_model(recipe, options, data, hardware, earlier).value)
    if model not in (network.name, decided.plan.settings.model):
        network = engine.describe(model, earlier)
    plan = make_plan(recipe, options, data, hardware, network, earlier)
    plan, warning = engine.fit_memory(plan, len(looked.samples.classes), data.counts["train"])
    if warning:
        yield warning
    return Decided(plan, hardware, network, data, recipe)


def _fit_to_limit(
    job: Job, settings: Settings, costs: Costs, data: DataFacts, work: HeadWork | None
) -> tuple[dict[str, tuple[Any, str]], float]:
    """Return (setting -> (value, reason) that a time limit decides, the seconds that are left for the training)."""
    left = job.seconds_left(settings.time)
    if work is not None:
        found = work.fit(left, job.chosen)
        return found, left - work.around(found["size"][0])
    left -= _closing_guess(costs, data)
    if left <= 0:
        sides = () if "size" in job.chosen else costs.sides
        smallest = settings.model_copy(update={"size": min(sides, default=settings.size)})
        least = least_training(settings, costs.of(settings, smallest), data.counts["train"], data.counts["val"])
        raise too_short(settings.time, left, least)
    return fit_to_time(settings, costs, data.counts, left, job.chosen), left


def _estimate(job: Job, plan: Plan, costs: Costs, limit: float, data: DataFacts, work: HeadWork | None) -> Planned:
    """Return the plan with what it will take; ``limit``: seconds that are left for the training."""
    settings, times = plan.settings, job.repeats[1] if job.repeats else 1
    if work is None:
        seconds = estimate_seconds(settings, costs, data.counts["train"], data.counts["val"])
        closing = _closing_guess(costs, data)
    else:
        seconds, closing = work.head(settings.size), work.around(settings.size)
    least, most = (min(seconds * factor, limit) * times for factor in costs.sure)
    around = time.monotonic() - job.started + times * closing
    return Planned(plan.rows(), min(seconds, limit) * times, least, most, around, costs.waited)


def _probe(job: Job, looked: Looked, engine: str) -> Generator[Event, None, DataFacts]:
    """Return the facts of the data, with what classes survive where images are changed in this training."""
    if job.folds:  # what trains in one fold is tested in another
        return replace(looked.data, not_probed="in folds every image is a test image")
    # Of the network of an earlier run, predictions may be mirrored too: then it matters what a mirror does to classes.
    is_head = job.chosen.get("epochs") == 0 and job.chosen.get("views", 1) <= 1 and looked.earlier is None
    if engine != "torch" or is_head:
        return replace(looked.data, not_probed="a head on frozen features is trained without augmentation")
    return (yield from probe_changes(looked.samples, looked.split, looked.data, job.chosen))


def _refuse_damaged_package(chosen: Chosen, data: DataFacts) -> None:
    """Raise ``WeightsError``, before torch is loaded, where the default network is needed and its file is not whole."""
    is_default = not {"model", "weights"} & chosen.keys() and chosen.get("pretrained", True)
    if is_default and data.median_short_side > SMALL_SIDE:
        carried_file()


def _choose_hardware(job: Job, engine: Engine) -> Generator[Event, None, tuple[Hardware, Recipe]]:
    """Return the machine, and the recipe for it: an option's device is an order, a recipe's a wish."""
    recipe, wish = job.recipe, job.recipe.chosen.get("device")
    try:
        hardware = engine.probe(job.options.chosen.get("device", wish))
    except DeviceError:
        if "device" in job.options.chosen:
            raise
        hardware = engine.probe(None)
        recipe = recipe.without("device", "threads", "precision", "compile")  # decided for that other machine
        message = f"the recipe's device {wish} is not on this machine: {hardware.device} is used, {hardware.reason}"
        cure = "precision, threads and compile are planned for it; give --device to insist on a device"
        yield Warned("device.recipe", message, cure)
    if hardware.warning:
        yield Warned("device.broken-cuda", hardware.warning, "see sightline doctor; the CPU is used")
    return hardware, recipe


def with_inherited(earlier: EarlierRun) -> EarlierRun:
    """Return an earlier run with what its weights show of their settings, which a classifier's folder doesn't state."""
    if "mean" in earlier.settings:
        return earlier
    return replace(earlier, settings={**earlier.settings, **read_inherited(earlier.file)})


def _closing_guess(costs: Costs, data: DataFacts) -> float:
    """Return about how many seconds decoding, export, evaluation and report take; the training measures that again."""
    counts = data.counts
    fixed = closing_seconds(sum(counts.values()), data.median_short_side)
    return fixed + 1.5 * (counts.get("test", 0) or counts["val"]) * costs.forward
