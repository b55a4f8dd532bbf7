"""The files of a search that others read: its facts, the table of trials, their scores by image, the best recipe."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.errors import RunError
from sightline.evaluation.intervals import Units
from sightline.runs.safe_files import read_json, write_bytes, write_columns, write_json, write_text
from sightline.tuning.outcome import Outcome, completed, unpack_hits
from sightline.tuning.space import Space

__all__ = [
    "BEST_FILE",
    "FACTS_FILE",
    "SCORES_FILE",
    "TRIALS_FILE",
    "UNITS_FILE",
    "read_scores",
    "read_search",
    "read_trials",
    "scores_of",
    "write_best",
    "write_search",
    "write_trials",
    "write_units",
]

FACTS_FILE, TRIALS_FILE, SCORES_FILE, BEST_FILE = "search.json", "trials.csv", "scores.npy", "best.toml"
UNITS_FILE = "units.npy"
_COLUMNS = ("number", "state", "reason", "is_plain", "score", "loss", "epoch", "seconds", "worker", "retry_of")


def write_search(folder: Path, facts: Mapping[str, Any]) -> None:
    """Write ``search.json``."""
    write_json(folder / FACTS_FILE, {"schema_version": 1, **facts})


def read_search(folder: Path) -> dict[str, Any]:
    """Return ``search.json``; empty where there is none."""
    path = folder / FACTS_FILE
    if not path.is_file():
        return {}
    try:
        found: dict[str, Any] = read_json(path)
    except (OSError, ValueError) as error:
        raise RunError("run.damaged", f"{path} is damaged: {error}", "remove it: the study keeps all trials") from error
    return found


def write_trials(folder: Path, outcomes: Sequence[Outcome], space: Space, count: int) -> None:
    """Write ``trials.csv``, a row a trial, and ``scores.npy``: a row a complete trial, which images it has right.

    Args:
        folder: of the search.
        outcomes: all trials, in order.
        space: whose dials are columns, after those of ``Outcome``: named ``set.NAME``, empty for the plain recipe where
            its value is outside of the space. ``course`` has the accuracies of the epochs, with blanks between.
        count: validation images.
    """
    columns: dict[str, list[Any]] = {name: [_cell(getattr(one, name)) for one in outcomes] for name in _COLUMNS}
    columns["course"] = [" ".join(f"{value:.6f}" for value in one.course) for one in outcomes]
    for dial in space:
        columns[f"set.{dial.name}"] = [_cell(one.settings.get(dial.name)) for one in outcomes]
    write_columns(folder / TRIALS_FILE, columns)
    _write_array(folder / SCORES_FILE, scores_of(outcomes, count))


def write_units(folder: Path, units: Units | None) -> None:
    """Write ``units.npy``: ``[count]``, numbers of the units of the images that measure trials; nothing for None."""
    if units is not None:
        _write_array(folder / UNITS_FILE, units)


def _write_array(path: Path, array: npt.NDArray[Any]) -> None:
    out = io.BytesIO()
    np.save(out, array, allow_pickle=False)
    write_bytes(path, out.getvalue())


def read_scores(folder: Path) -> npt.NDArray[np.bool_]:
    """Return ``scores.npy``, as ``scores_of`` made it.

    Raises:
        OSError, ValueError: if it is missing or damaged.
    """
    found: npt.NDArray[np.bool_] = np.load(folder / SCORES_FILE, allow_pickle=False)
    return found


def scores_of(outcomes: Sequence[Outcome], count: int) -> npt.NDArray[np.bool_]:
    """Return ``[T, count] bool``: a row a complete trial, the plain recipe first, then in order of their numbers."""
    rows = [unpack_hits(one.hits, count) for one in completed(outcomes)]
    return np.stack(rows) if rows else np.zeros((0, count), bool)


def read_trials(folder: Path) -> list[Outcome]:
    """Return the trials of ``trials.csv``, without their hits; settings are numbers where they look like numbers.

    Example:
        ``[trial.score for trial in read_trials(Path("runs/searches/tune-photos"))]``
    """
    with (folder / TRIALS_FILE).open(encoding="utf-8", newline="") as file:
        return [_outcome(row) for row in csv.DictReader(file)]


def _outcome(row: Mapping[str, str]) -> Outcome:
    settings = {
        name.removeprefix("set."): _value(cell) for name, cell in row.items() if name.startswith("set.") and cell
    }
    plain = Outcome(int(row["number"]), row["state"], row["reason"], settings, row["is_plain"] == "1")
    return replace(
        plain,
        score=float(row["score"]) if row["score"] else None,
        loss=float(row["loss"]) if row["loss"] else None,
        epoch=int(row["epoch"]),
        seconds=float(row["seconds"]),
        course=tuple(float(value) for value in row["course"].split()),
        worker=row["worker"],
        retry_of=int(row["retry_of"]) if row["retry_of"] else None,
    )


def _value(cell: str) -> Any:
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return {"True": True, "False": False}.get(cell, cell)


def _cell(value: Any) -> Any:
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else value


def write_best(folder: Path, chosen: Mapping[str, Any], words: str) -> None:
    """Write ``best.toml``: a recipe that ``train --recipe`` takes.

    Args:
        folder: of the search.
        chosen: setting -> value, the plain recipe's choices and the best trial's.
        words: what it is.
    """
    import tomli_w

    write_text(folder / BEST_FILE, tomli_w.dumps({**chosen, "about": {"summary": words}}))
