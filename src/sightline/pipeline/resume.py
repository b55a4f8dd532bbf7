"""Going on with a run that was stopped: which one, whether data and settings are still the same, and how exactly."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sightline.data.samples import Samples
from sightline.data.sources import describe_source
from sightline.data.split import Split
from sightline.errors import DeviceError, InputError, RunError
from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.pipeline.decide import Decided, with_inherited
from sightline.pipeline.engine import ENGINES
from sightline.pipeline.job import Job
from sightline.pipeline.look import Looked, look
from sightline.pipeline.processes import Processes
from sightline.planning.decisions import Decision
from sightline.planning.facts import Hardware, describe_data
from sightline.planning.plan import Plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Chosen
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run, list_runs
from sightline.runs.safe_files import previous_folder
from sightline.runs.writer import clear_stillborn
from sightline.text import count_of, listed

__all__ = ["TakenUp", "find_unfinished", "has_state", "take_up"]

_CHOSEN = ("option", "recipe")  # origins of what a person decided
_SHOWN = 3


def find_unfinished(job: Job) -> Run | None:
    """Return the run that ``--resume`` means: that of the given name, else the newest of these data.

    None where a name was given and no such run is there yet: it starts, so that one command serves for the first
    start and for every restart.

    Raises:
        RunError: if no name was given and there is no run of these data, or the name is that of folds or seeds.
    """
    if job.name is not None:
        folder = Path(job.out) / job.name
        if not (folder / "run.json").is_file():
            clear_stillborn(folder)
            return None
        if Run(folder).is_repeated:
            message = f"{folder} holds several trainings, which --resume can't continue"
            raise RunError("run.repeated", message, "make them again under another --name")
        return Run(folder)
    data = describe_source(job.source)
    known = {data, str(Path(data).resolve())}
    runs = [run for run in list_runs(job.out) if known & {run.facts.get("data"), run.facts.get("data_root")}]
    runs = [run for run in runs if not run.is_repeated]
    unfinished = [run for run in runs if run.status != "finished"]
    if not runs:
        message = f"{Path(job.out)} holds no run of {data}"
        raise RunError("run.nothing-to-resume", message, "leave out --resume, or name the folder of runs with --out")
    return (unfinished or runs)[-1]


@dataclass(frozen=True, slots=True)
class TakenUp:
    """What a training begins with: new, or taken up from a run that was stopped.

    Attributes:
        looked: at the data.
        split: the whole one.
        decided: the plan, and what it rests on.
        differs: why going on can't be bit for bit; empty where it is.
    """

    looked: Looked
    split: Split
    decided: Decided
    differs: str = ""


def take_up(job: Job, run: Run, processes: Processes) -> Generator[Event, None, TakenUp]:
    """Return what a run was begun with, after comparing data, settings and machine with those of now.

    Raises:
        InputError: if a setting was chosen that differs from the run's.
        RunError: if the data are no longer the same.
    """
    plan, facts = run.plan, run.facts
    wanted = job.chosen
    _refuse_changed_settings(plan, wanted, run)
    if "time" in wanted:  # more of it may be given
        plan = plan.replace(Decision("time", wanted["time"], "option", "chosen by you"))
    chosen = {d.name: d.value for d in plan.decisions if d.origin in _CHOSEN}
    again = replace(job, recipe=Recipe(), options=Recipe(**chosen))
    looked, (made, *_) = yield from look(again, needs_weights=not has_state(run))  # a saved state holds all weights
    if looked.samples.fingerprint() != facts["data_fingerprint"]:
        raise _data_changed(looked.samples, run)
    split = _split_of(run, looked.samples, made)
    looked = replace(looked, split=split.without_test(), data=describe_data(looked.samples, split))
    decided, differs = yield from _decide_again(plan, looked, run, processes)
    if differs:
        message = f"versions or machine differ from those at the start of {run.folder}: {differs}"
        cure = "to repeat a run bit for bit, resume it with the same versions on the same kind of machine"
        yield Warned("run.not-exact", message, cure)
    elif "not_exact_since" in facts:
        yield Noted(f"This run has not been repeatable bit for bit since step {facts['not_exact_since']:,}.")
    else:
        yield Noted("Versions, device and threads are the same as at the start of the run: it continues bit for bit.")
    return TakenUp(looked, split, decided, differs)


def _decide_again(
    plan: Plan, looked: Looked, run: Run, processes: Processes
) -> Generator[Event, None, tuple[Decided, str]]:
    """Return the run's plan on the machine of now, and what differs from that of then, in words."""
    engine = ENGINES[plan.settings.engine]
    earlier = None if looked.earlier is None else with_inherited(looked.earlier)
    yield StageStarted("Planning", engine.loading)
    try:
        hardware = engine.probe(plan.settings.device)
    except DeviceError:
        hardware = engine.probe(None)
        plan = _moved(plan, hardware)
    counts, classes = looked.data.counts, len(looked.samples.classes)
    fitting, warning = engine.fit_memory(plan, classes, counts["train"])
    if warning:
        yield warning
    size = processes.count(plan.settings.device)
    differs = _differences(run.facts, engine.versions(), hardware, run.plan.settings.device, size)
    if fitting.settings.accumulate != plan.settings.accumulate:
        parts = f"accumulate {plan.settings.accumulate} then, {fitting.settings.accumulate} now: there is less memory"
        differs, plan = "; ".join(filter(None, (differs, parts))), fitting
    limited = plan.settings.time > 0
    costs = engine.measure(plan, classes, counts["train"], counts["val"], earlier) if limited else None
    yield StageEnded("Planning", f"as {run.folder} was planned", 0.0)
    network = engine.describe(plan.settings.model, earlier)
    return Decided(plan, hardware, network, looked.data, Recipe(), costs), differs


def has_state(run: Run) -> bool:
    """Whether a run saved the state of its training."""
    last = run.checkpoints_folder / "last"
    return last.is_dir() or previous_folder(last).is_dir()


def _refuse_changed_settings(plan: Plan, chosen: Chosen, run: Run) -> None:
    typed = run.facts.get("chosen", {})  # names of networks and devices were made exact, and memory may have had a say
    values = plan.settings.model_dump()
    wanted = plan.settings.model_copy(update=chosen).model_dump()
    changed = [
        name
        for name, value in chosen.items()
        if name != "time"
        and wanted[name] != values[name]
        and json.loads(json.dumps(value, default=str)) != typed.get(name)
    ]
    if changed:
        shown = [f"{name} = {chosen[name]!r}, in the run {values[name]!r}" for name in changed]
        cure = f"leave {'it' if len(changed) == 1 else 'them'} out to continue, or leave out --resume for a new run"
        raise InputError("plan.changed", f"{run.folder} can't continue with other settings: {'; '.join(shown)}", cure)


def _data_changed(samples: Samples, run: Run) -> RunError:
    """Return the error that says which images are new, missing or changed."""
    cure = "restore the data, or leave out --resume for a new run"
    if not run.samples_file.is_file():
        return RunError("run.data-changed", f"the data differ from those at the start of {run.folder}", cure)
    before, now = (_contents(some) for some in (read_dataset(run)[0], samples))
    kinds = {
        "new": [path for path in now if path not in before],
        "missing": [path for path in before if path not in now],
        "changed": [path for path in now if path in before and now[path] != before[path]],
    }
    changes = [f"{len(paths):,} {kind} ({listed(paths, _SHOWN)})" for kind, paths in kinds.items() if paths]
    message = (
        f"the data differ from those at the start of {run.folder}: {'; '.join(changes) or 'other groups or parts'}"
    )
    return RunError("run.data-changed", message, cure)


def _contents(samples: Samples) -> dict[str, tuple[str, str]]:
    labels = [samples.classes[label] for label in samples.labels]
    return dict(zip(samples.paths.tolist(), zip(samples.digests.tolist(), labels, strict=True), strict=True))


def _split_of(run: Run, samples: Samples, made: Split) -> Split:
    """Return the split as the run wrote it, with its leaks; the one that was made again where it had not come to that.

    Raises:
        RunError: if files were renamed: their order decides which images are in a step.
    """
    if not run.split_file.is_file():
        return made
    recorded, split = read_dataset(run)
    if recorded.paths.tolist() != samples.paths.tolist():
        raise _data_changed(samples, run)
    return replace(made, parts=split.parts, leaked=split.leaked)


def _moved(plan: Plan, hardware: Hardware) -> Plan:
    """Return the plan for another device than that of the run, which is not here."""
    reason = f"{plan.settings.device} is not on this machine: {hardware.reason}"
    if plan.settings.precision == "fp16" and hardware.device == "cpu":
        plan = plan.replace(Decision("precision", "fp32", "hardware", "a CPU does not compute in fp16"))
    return plan.replace(Decision("device", hardware.device, "hardware", reason))


def _differences(
    facts: dict[str, Any], versions: dict[str, str], hardware: Hardware, planned: str, processes: int
) -> str:
    """Return what decides about the bits of a result and is not as it was."""
    before, now = facts.get("versions", {}), {"sightline": version("sightline"), **versions}
    changes = [
        f"{name} {before.get(name)} then, {version} now" for name, version in now.items() if before.get(name) != version
    ]
    known = facts.get("hardware", {})
    if planned != hardware.device:
        changes.append(f"device {planned} then, {hardware.device} now")
    elif known.get("name") != hardware.name:
        changes.append(f"{known.get('name')} then, {hardware.name} now")
    if facts.get("processes", 1) != processes:
        changes.append(f"{count_of(facts.get('processes', 1), 'process')} then, {processes} now")
    if hardware.device != "cpu" and not changes:
        changes.append(f"{hardware.name} adds numbers in no fixed order")
    return "; ".join(changes)
