"""What the workers of a search are given: data, plan and budget, in files that they read in place of the images.

No test image is in it: the split is that of the trials. The address of a database is not written, as it may have a
password.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.checks.finding import Findings
from sightline.data.split import Split
from sightline.pipeline.decide import Decided
from sightline.pipeline.look import Looked
from sightline.planning.decisions import Decision
from sightline.planning.facts import DataFacts, EarlierRun, Hardware, NetworkFacts
from sightline.planning.plan import Plan
from sightline.planning.recipe import Recipe
from sightline.runs.dataset import read_dataset
from sightline.runs.facts_file import FACTS_FILE, SCHEMA
from sightline.runs.folder import Run
from sightline.runs.safe_files import read_json, write_columns, write_json, write_text
from sightline.tuning.budget import Budget
from sightline.tuning.trial import Bench

__all__ = ["Share", "read_bench", "write_bench"]


@dataclass(frozen=True, slots=True)
class Share:
    """What a worker has of its own.

    Attributes:
        number: of the worker, from 1.
        threads: that a trial of it computes with.
        device: that it computes on.
    """

    number: int
    threads: int
    device: str


def write_bench(folder: Path, bench: Bench, search: Mapping[str, Any], budget: Budget) -> None:
    """Write what all workers need.

    Args:
        folder: is made.
        bench: of the search.
        search: what a worker must know of it, as JSON-able values.
        budget: of the search; its clock is that of the machine, which all processes share.
    """
    looked, decided = bench.looked, bench.decided
    samples, split = looked.samples, looked.split
    facts = {
        "schema_version": SCHEMA,
        "status": "planned",
        "classes": list(samples.classes),
        "data": samples.source,
        "data_root": str(samples.root.resolve()),
        "headline_part": split.headline,
        "split_rule": split.rule,
        "split_notes": list(split.notes),
        "options": bench.options.chosen,
        "recipe": decided.recipe.chosen,
        "hardware": _packed(decided.hardware),
        "network": _packed(decided.network),
        "facts": _packed(decided.data),
        "earlier": None if looked.earlier is None else _packed(looked.earlier),
        "budget": asdict(budget),
        "folds": _number_folds(bench).tolist(),
        "search": dict(search),
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / FACTS_FILE, facts)
    run, columns = Run(folder), samples.columns()
    write_columns(run.samples_file, columns)
    write_columns(run.split_file, {"path": columns["path"], "label": columns["label"], **split.columns()})
    write_text(run.plan_file, decided.plan.to_toml())


def read_bench(folder: Path, share: Share) -> tuple[Bench, dict[str, Any], Budget]:
    """Return what ``write_bench`` was given, for one worker: with the threads and the device that are its own."""
    found = read_json(folder / FACTS_FILE)
    run = Run(folder)
    samples, split = read_dataset(run, found)
    plan = Plan.from_toml(run.plan_file.read_text(encoding="utf-8"))
    own = {"threads": share.threads, "device": share.device}
    for name, value in own.items():
        plan = plan.replace(Decision(name, value, "hardware", "of a worker"))
    hardware = replace(_unpacked(Hardware, found["hardware"]), threads=share.threads, device=share.device)
    data = _unpacked(DataFacts, found["facts"])
    network = _unpacked(NetworkFacts, found["network"])
    earlier = None if found["earlier"] is None else _unpacked(EarlierRun, found["earlier"])
    looked = Looked(samples, split, data, Findings(), earlier)
    decided = Decided(plan, hardware, network, data, Recipe(**found["recipe"]))
    number = np.array(found["folds"], np.intp)
    folds = int(number.max(initial=-1)) + 1
    bench = Bench(Recipe(**{**found["options"], **own}), looked, decided, folds, turns=folder.parent)
    bench.put_folds([_fold_of(split, number, fold) for fold in range(folds)])
    return bench, found["search"], Budget(**found["budget"])


def _number_folds(bench: Bench) -> npt.NDArray[np.intp]:
    """Return ``[N]``: in which fold an image validates, or -1; what keeps images together is not handed over."""
    number = np.full(len(bench.looked.samples), -1, np.intp)
    if bench.folds:
        for fold, part in enumerate(bench.parts):
            number[part.looked.split.rows("val")] = fold
    return number


def _fold_of(split: Split, number: npt.NDArray[np.intp], fold: int) -> Split:
    parts = np.where(number == fold, "val", np.where(number >= 0, "train", "")).astype(object)
    return replace(split, parts=parts, leaked=np.zeros(len(parts), bool))


def _packed(value: Any) -> Any:
    """Return a dataclass as JSON-able values."""
    from pydantic import TypeAdapter

    return json.loads(TypeAdapter(type(value)).dump_json(value))


def _unpacked(kind: Any, value: Any) -> Any:
    """Return the dataclass of ``_packed``."""
    from pydantic import TypeAdapter

    return TypeAdapter(kind).validate_json(json.dumps(value))
