"""A search as its files show it, while it runs or after a stop: the study is not opened, and nothing is changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import InputError, RunError
from sightline.runs.search_record import SearchRecord, TrialRow
from sightline.text import count_of, did_you_mean, listed
from sightline.tuning.folders import SEARCHES
from sightline.tuning.outcome import Outcome, pack_hits
from sightline.tuning.sampling import importance_of
from sightline.tuning.space import Dial, Space, check_space
from sightline.tuning.table import (
    FACTS_FILE,
    TRIALS_FILE,
    UNITS_FILE,
    read_scores,
    read_search,
    read_trials,
)
from sightline.tuning.verdict import judge

__all__ = ["SoFar", "find_search", "read_so_far"]


@dataclass(frozen=True, slots=True)
class SoFar:
    """What a search has found by now.

    Attributes:
        folder: of the search.
        record: of its trials.
        facts: ``search.json``.
        state: how far it is, in a sentence.
    """

    folder: Path
    record: SearchRecord
    facts: Mapping[str, Any]
    state: str


def find_search(name: str | Path, *, out: str | Path) -> Path:
    """Return the folder of a search by its folder or its name.

    Raises:
        InputError: if there is none.

    Example:
        ``find_search("tune-photos", out="runs")``
    """
    parent = Path(out) / SEARCHES
    for folder in (Path(name), parent / name):
        if (folder / FACTS_FILE).is_file() and (folder / TRIALS_FILE).is_file():
            return folder
    there = sorted(path.parent.name for path in parent.glob(f"*/{FACTS_FILE}"))
    rest = f"name one of {listed(there, 5)}" if there else "begin one: sightline tune DATA --trials 30"
    cure = did_you_mean(Path(name).name, there, rest)
    raise InputError("tune.no-search", f"there is no search {str(name)!r} in {str(parent)!r}", cure)


def read_so_far(folder: Path) -> SoFar:
    """Return what a search has found by now, by its table of trials.

    Raises:
        InputError: if no trial is complete yet, the plain recipe among them.
        RunError: if a file is damaged.
    """
    facts = read_search(folder)
    try:
        return _read(folder, facts)
    except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
        cure = "go on with the search, which writes them again: sightline tune DATA with the same options"
        raise RunError("run.damaged", f"the files of {folder} don't fit together: {error}", cure) from error


def _read(folder: Path, facts: dict[str, Any]) -> SoFar:
    space = check_space(facts["space"])
    count, folds = int(facts["validation_images"]), int(facts.get("folds", 0))
    trials = [_as_drawn(one, space) for one in read_trials(folder)]
    units = np.load(folder / UNITS_FILE, allow_pickle=False) if (folder / UNITS_FILE).is_file() else None
    trials = _with_hits(trials, read_scores(folder))
    images = f"images in {folds} folds" if folds else "validation images"
    verdict = judge(trials, count, units, images)
    if verdict is None:
        message = f"{folder} has no complete trial to draw yet: the first one, the plain recipe, has not ended"
        raise InputError("tune.no-trial", message, "wait until it has, or go on with the search if it was stopped")
    known = {name: facts[name] for name in ("name", "sampler", "pruner", "seconds")}
    rows = tuple(TrialRow(**{field.name: getattr(one, field.name) for field in fields(TrialRow)}) for one in trials)
    made = verdict.to_dict()
    record = SearchRecord(
        **known,
        **{name: made[name] for name in ("sentence", "best", "plain", "ships", "lead")},
        validation_images=count,
        space=facts["space"],
        importance=importance_of(trials, space),
        trials=rows,
        folds=folds,
    )
    return SoFar(folder, record, facts, _state(folder, facts, len(rows)))


def _state(folder: Path, facts: Mapping[str, Any], count: int) -> str:
    """Return how far the search is, in a sentence."""
    written = datetime.fromtimestamp((folder / TRIALS_FILE).stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")
    trials = count_of(count, "trial")
    if facts.get("status") == "finished":
        return f"The search is finished, with {trials} by {written}. What ships is the run {facts['run']}."
    if facts.get("status") == "running":
        return f"The search is not finished: this page shows {trials} by {written}, and the verdict may change."
    why = f" ({facts['error']})" if facts.get("status") == "failed" else ""
    return f"The search was stopped{why} after {trials}, at {written}. The command that began it goes on with it."


def _as_drawn(trial: Outcome, space: Space) -> Outcome:
    """Return a trial of the table with the values that its dials have, and not what their text looks like."""
    dials = {dial.name: dial for dial in space}
    kept = {name: _value(value, dials[name]) for name, value in trial.settings.items() if name in dials}
    return replace(trial, settings=kept)


def _value(value: Any, dial: Dial) -> Any:
    return next((choice for choice in dial.choices if str(choice) == str(value)), value)


def _with_hits(trials: Sequence[Outcome], scores: npt.NDArray[np.bool_]) -> list[Outcome]:
    """Return the trials with the images that each complete one has right; one that ended since is left out.

    The table is written before the scores, by a process that does not wait for this one.
    """
    done = sorted((one for one in trials if one.state == "complete"), key=lambda one: (not one.is_plain, one.number))
    hits = {one.number: pack_hits(row) for one, row in zip(done, scores, strict=False)}
    known = [one for one in trials if one.state != "complete" or one.number in hits]
    return [replace(one, hits=hits.get(one.number, "")) for one in known]
