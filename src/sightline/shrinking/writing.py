"""The run folder of the version that was chosen: calibrated anew, measured once on the test, compared with its run."""

from __future__ import annotations

import shutil
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.errors import UnreadableImage
from sightline.events import Event, StageStarted
from sightline.exporting.version_file import write_version
from sightline.networks.frozen import FrozenNetwork
from sightline.pipeline.calibrate import calibrate
from sightline.pipeline.finish import measure_shipped
from sightline.pipeline.frozen_trained import FrozenTrained
from sightline.pipeline.shipping import export_files, make_bundle
from sightline.pipeline.workbench import set_up_workbench
from sightline.pixels.stream import squares_of
from sightline.reviewing.compare import compare_runs
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.safe_files import named_writes, replace_folder, write_json
from sightline.runs.versions_record import ORIGINAL, OnTest
from sightline.runs.writer import RunWriter

__all__ = ["Chosen", "write_chosen"]

# What the training of the run wrote, and holds for its version too.
_KEPT = ("plan_file", "history_file", "steps_file", "rates_file", "learning_curve_file", "search_file")
_OWN_FACTS = ("files", "export", "headline", "seconds", "stages", "setbacks", "blend", "keep_checkpoints")


@dataclass(frozen=True, slots=True)
class Chosen:
    """The version that is written.

    Attributes:
        name: its own.
        words: what was done to it.
        network: its body, under the head of the run.
    """

    name: str
    words: str
    network: FrozenNetwork


def write_chosen(
    run: Run, samples: Samples, split: Split, chosen: Chosen, cost: str
) -> Generator[Event, None, tuple[OnTest, Run]]:
    """Write the run folder of a version in place of an older one; returns how it did on the test, and the folder.

    Temperature, thresholds and novelty are measured anew on validation, with this version's own features.

    Args:
        run: that it is a version of; this process holds its lock.
        samples, split: of the run.
        chosen: the version.
        cost: what it costs on validation, in words.
    """
    folder = run.versions_folder / chosen.name
    scratch = folder.with_name(f"{chosen.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        small = _begin(run, scratch, chosen, cost)
        plan, writer = run.plan.without_limit(), RunWriter(small, small.recorded_facts)
        workbench = yield from set_up_workbench(samples, split, plan)
        trained = FrozenTrained(chosen.network, plan)
        calibrated = yield from calibrate(trained, plan, workbench)
        bundle = make_bundle(run, plan, samples, trained.feature_size, calibrated)
        files = squares_of(plan.preprocess, export_files(samples, workbench.split))
        squares = np.stack([square for square in files if not isinstance(square, UnreadableImage)])
        proof = write_version(chosen.network, calibrated.novelty, bundle, small.classifier_folder, squares)
        writer.update(export=proof.to_dict())
        yield StageStarted("Measuring", f"{chosen.name}, once, on the images that the run measured")
        headline = yield from measure_shipped(writer, plan, workbench, split, calibrated)
        writer.update(headline=headline, status="finished", files=hash_files(small))
        test = yield from _compare(run, small)
        replace_folder(scratch, folder)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    return test, Run(folder, moved_to=run.moved_to)


def _begin(run: Run, scratch: Path, chosen: Chosen, cost: str) -> Run:
    """Return a run folder with what the version has in common with its run."""
    with named_writes(scratch):
        scratch.mkdir(parents=True)
        shutil.copytree(run.samples_file.parent, scratch / run.samples_file.parent.name)
        for name in _KEPT:
            file: Path = getattr(run, name)
            if file.is_file():
                shutil.copy2(file, scratch / file.name)
    facts = {name: value for name, value in run.recorded_facts.items() if name not in _OWN_FACTS}
    of = run.folder.resolve().name
    facts |= {"status": "running", "version": {"name": chosen.name, "of": of, "words": chosen.words, "cost": cost}}
    write_json(scratch / run.facts_file.name, facts)
    return Run(scratch, moved_to=run.moved_to)


def _compare(run: Run, small: Run) -> Generator[Event, None, OnTest]:
    """Return how a version did on the images that its run measured."""
    compared = yield from compare_runs([run, small])
    pair = compared.pairs[0]
    first, second = compared.probabilities
    change = pair.metrics["accuracy"]
    metrics: tuple[dict[str, Any], dict[str, Any]] = run.metrics, small.metrics
    shares = [one["unknown"]["new"]["value"] for one in metrics]
    has_limit = all(one["unknown"].get("max_novelty", 1.0) is not None for one in metrics)
    loss = pair.metrics["log_loss"]
    temperatures = [one["calibration"]["temperature"] for one in metrics]
    return OnTest(
        part=str(small.metrics["part"]),
        n=pair.n,
        accuracy=(change.first, change.second),
        difference=change.difference,
        low=change.low,
        high=change.high,
        changed=int((first.argmax(1) != second.argmax(1)).sum()),
        corrected=pair.corrected,
        newly_wrong=pair.newly_wrong,
        verdict=pair.verdict(ORIGINAL, small.facts["version"]["name"]),
        log_loss=(loss.first, loss.second),
        temperature=(temperatures[0], temperatures[1]),
        new=(shares[0], shares[1]) if has_limit else None,
    )
