"""``RunWriter``: makes a run folder and fills it; a run belongs to one process."""

from __future__ import annotations

import contextlib
import io
import os
import re
import shutil
import time
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from sightline.errors import InputError, RunError
from sightline.evaluation.corruption_drops import Robustness
from sightline.evaluation.learning_curve import LearningCurve
from sightline.evaluation.shift import LabelledPredictions
from sightline.events import StepEnded
from sightline.runs.facts_file import FACTS_FILE, SCHEMA
from sightline.runs.folder import LOCK_FILE, Run, list_runs
from sightline.runs.kept_images import Explanations, Views
from sightline.runs.lock import RunLock, lock_run
from sightline.runs.safe_files import (
    append_bytes,
    find_strays,
    sweep_strays,
    sync_folder,
    write_bytes,
    write_columns,
    write_json,
    write_text,
)
from sightline.runs.targets import refuse_folder_target
from sightline.runs.versions_record import VersionsRecord
from sightline.text import csv_text

__all__ = [
    "RunWriter",
    "clear_stillborn",
    "keep_evaluation",
    "numbered_folder",
    "refuse_name",
    "stem_of",
    "sweep_finished",
]


class RunWriter:
    """A run folder that is being written.

    Attributes:
        run: the same folder, open for reading; it knows the names.
    """

    def __init__(
        self, run: Run, facts: dict[str, Any], lock: RunLock | None = None, started: float | None = None
    ) -> None:
        self.run = run
        self._lock = lock
        self._facts = facts
        self._history: dict[str, list[Any]] = {}
        self._before = float(facts.get("seconds", 0))
        self._start = time.monotonic() if started is None else started

    @classmethod
    def create(
        cls,
        parent: str | Path,
        name: str | None,
        data_name: str,
        facts: dict[str, Any],
        started: float | None = None,
    ) -> RunWriter:
        """Make a new run folder with status ``running``.

        Args:
            parent: the folder that holds runs.
            name: the run's name; None makes one of the date, the data's name and a number.
            data_name: what to call the data in that name.
            facts: first content of ``run.json``.
            started: by ``time.monotonic()``, when the work on it began; None: now.

        Raises:
            RunError: if the folder exists already, or can't be made.
            InputError: if the name can't be a folder's name.
        """
        refuse_name(parent, name)
        try:
            Path(parent).mkdir(parents=True, exist_ok=True)
            folder = _make_folder(Path(parent), name, data_name)
        except OSError as error:
            raise RunError(
                "run.write", f"{parent} can't be written: {error.strerror}", "sightline train DATA --out FOLDER"
            ) from error
        for run in list_runs(parent):
            if run.checkpoints_folder.is_dir():
                sweep_finished(run)
        lock = lock_run(folder)
        facts = {"schema_version": SCHEMA, "status": "running", "started": _start_after(Path(parent)), **facts}
        try:
            write_json(folder / FACTS_FILE, facts)
        except BaseException:  # a full disk, and whoever tries again in this process must find the folder free
            lock.release()
            raise
        return cls(Run(folder), facts, lock, started)

    @classmethod
    def open(cls, run: Run, started: float | None = None) -> RunWriter:
        """Go on with a run that was stopped; what its process left unfinished is swept. ``started`` as for ``create``.

        Raises:
            RunError: if another process writes into it.
        """
        lock = lock_run(run.folder)
        sweep_strays(run.folder)
        return cls(run, run.recorded_facts, lock, started)

    @property
    def lock_problem(self) -> str:
        """Why no lock keeps other processes out; empty where one does."""
        return self._lock.problem if self._lock else ""

    def discard(self) -> None:
        """Remove the run: nothing was trained."""
        self.close()
        shutil.rmtree(self.run.folder, ignore_errors=True)

    def close(self) -> None:
        """Let others write into the folder."""
        if self._lock:
            self._lock.release()

    def update(self, **facts: Any) -> None:
        """Add facts to ``run.json`` and write it, with the seconds that all work on the run took."""
        seconds = self._before + time.monotonic() - self._start
        self._facts = {**self._facts, **facts, "seconds": round(seconds, 1)}
        write_json(self.run.facts_file, self._facts)

    def write_plan(self, toml: str) -> None:
        """Write ``plan.toml``."""
        write_text(self.run.plan_file, toml)

    def write_data(
        self, samples: dict[str, list[Any]], split: dict[str, list[Any]], findings: list[dict[str, Any]]
    ) -> None:
        """Write ``data/``: the table of samples, the split's columns, the findings."""
        write_columns(self.run.samples_file, samples)
        write_columns(self.run.split_file, {"path": samples["path"], "label": samples["label"], **split})
        write_json(self.run.findings_file, findings)

    def write_earlier(self, seen: dict[str, set[str]]) -> None:
        """Write ``data/earlier.csv``: part -> sha256 of what the network saw that this run starts from."""
        rows = sorted((part, digest) for part, digests in seen.items() for digest in digests)
        columns = {"sha256": [digest for _, digest in rows], "split": [part for part, _ in rows]}
        write_columns(self.run.earlier_file, columns)

    def keep_fixes(self, file: str | Path) -> None:
        """Copy a list of fixes to ``data/fixes.csv``: what was decided belongs to the run."""
        write_bytes(self.run.split_file.with_name("fixes.csv"), Path(file).read_bytes())

    def write_views(self, views: Views) -> None:
        """Write ``data/augmented.npz``."""
        _write_arrays(self.run.views_file, views)

    def write_explanations(self, explanations: Explanations) -> None:
        """Write ``evaluation/explanations.npz``."""
        _write_arrays(self.run.explanations_file, explanations)

    def write_validation(self, predictions: LabelledPredictions) -> None:
        """Write ``evaluation/validation.npz``."""
        _write_arrays(self.run.validation_file, predictions)

    def write_robustness(self, measured: Robustness) -> None:
        """Write ``evaluation/robustness.json``."""
        write_json(self.run.robustness_file, measured.to_dict())

    def write_search(self, search: Mapping[str, Any]) -> None:
        """Write ``search.json``, with the fields of :class:`~sightline.runs.search_record.SearchRecord`."""
        write_json(self.run.search_file, {"schema_version": 1, **search})

    def write_versions(self, record: VersionsRecord) -> None:
        """Write ``versions/versions.json``."""
        write_json(self.run.versions_file, record.to_dict())

    def write_learning_curve(self, curve: LearningCurve) -> None:
        """Write ``learning_curve.json``."""
        write_json(self.run.learning_curve_file, curve.to_dict())

    def write_evaluation(
        self, metrics: dict[str, Any], rows: dict[str, list[Any]], probabilities: Any, features: Any
    ) -> None:
        """Write ``evaluation/``: metrics, one row an image, ``[N, K]`` probabilities, ``[N, D]`` features or None."""
        keep_evaluation(self.run.metrics_file.parent, metrics, rows, probabilities, features)

    def add_epoch(self, row: dict[str, Any]) -> None:
        """Append one row to ``history.csv``; the file is whole at any moment."""
        for name, value in row.items():
            self._history.setdefault(name, []).append(value)
        write_columns(self.run.history_file, self._history)

    def forget_after(self, epoch: int, step: int) -> None:
        """Take the rows of an epoch, of a step and of all after them out of the tables: they are made again."""
        history, steps = self.run.history, self.run.steps
        self._history = _rows_below(history, "epoch", epoch)
        for path, columns in (
            (self.run.history_file, self._history),
            (self.run.steps_file, _rows_below(steps, "step", step)),
        ):
            if any(columns.values()):
                write_columns(path, columns)
            else:
                path.unlink(missing_ok=True)

    def add_steps(self, steps: Sequence[StepEnded]) -> None:
        """Append a row for each step to ``steps.csv``; a last line that a crash cut off is not read."""
        names = list(StepEnded.__dataclass_fields__)
        rows = [[int(v) if isinstance(v := getattr(step, name), bool) else v for name in names] for step in steps]
        if not self.run.steps_file.is_file():
            write_text(self.run.steps_file, csv_text([names, *rows]))
        elif rows:
            append_bytes(self.run.steps_file, csv_text(rows).encode())

    def write_rates(self, rates: Sequence[float], losses: Sequence[float]) -> None:
        """Write ``learning_rate.csv``: what the learning rate finder tried, and the loss that it saw."""
        write_columns(self.run.rates_file, {"learning_rate": list(rates), "loss": list(losses)})

    def forget_start(self) -> None:
        """Take checkpoints and tables of a training away that starts over: all at once, should it be killed here."""
        checkpoints = self.run.checkpoints_folder
        if checkpoints.is_dir():
            scratch = checkpoints.with_name(f"{checkpoints.name}.tmp")  # swept, if this process is killed before it is
            shutil.rmtree(scratch, ignore_errors=True)
            checkpoints.replace(scratch)
            sync_folder(self.run.folder)
            shutil.rmtree(scratch, ignore_errors=True)
        self.forget_after(0, 0)

    def drop_checkpoints(self) -> None:
        """Remove the checkpoints of a finished run; its weights are in the classifier."""
        shutil.rmtree(self.run.best_checkpoint.parent, ignore_errors=True)


def keep_evaluation(
    folder: Path, metrics: dict[str, Any], rows: dict[str, list[Any]], probabilities: Any, features: Any = None
) -> None:
    """Write ``predictions.csv``, ``probabilities.npy``, ``features.npy`` unless None, and ``metrics.json`` last."""
    write_columns(folder / "predictions.csv", rows)
    for name, array in (("probabilities.npy", probabilities), ("features.npy", features)):
        if array is not None:
            out = io.BytesIO()
            np.save(out, array, allow_pickle=False)
            write_bytes(folder / name, out.getvalue())
    write_json(folder / "metrics.json", metrics)


def sweep_finished(run: Run) -> None:
    """Remove what a process left that was killed after its run was finished: checkpoints that nobody asked to keep, and
    half-written files. A run that is not finished, or that another process writes into, is left as it is.
    """
    with contextlib.suppress(RunError):
        facts = run.facts
        # Runs of before this was recorded may be meant to have their checkpoints.
        is_unwanted = facts.get("keep_checkpoints") is False and run.checkpoints_folder.is_dir()
        if facts["status"] != "finished" or not (is_unwanted or find_strays(run.folder)):
            return
        with lock_run(run.folder):
            sweep_strays(run.folder)
            if is_unwanted:
                shutil.rmtree(run.checkpoints_folder, ignore_errors=True)


def numbered_folder(parent: Path, name: str) -> Path:
    """Make and return ``parent/NAME-01``, or the first number that is free."""
    stem = stem_of(name)
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 10_000):
        folder = parent / f"{stem}-{number:02d}"
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder
    raise RunError("run.exists", f"{parent} holds 9,999 of {stem}", "move some of them away")


def _write_arrays(path: Path, fields_of: Views | Explanations | LabelledPredictions) -> None:
    """Write the fields of a dataclass as an ``.npz`` file, those that are not None."""
    arrays = {field.name: getattr(fields_of, field.name) for field in fields(fields_of)}
    out = io.BytesIO()
    np.savez_compressed(out, **{name: array for name, array in arrays.items() if array is not None})
    write_bytes(path, out.getvalue())


def _rows_below(columns: dict[str, list[float]], name: str, end: int) -> dict[str, list[Any]]:
    """Return the rows whose ``name`` is below ``end``; whole numbers as such, as they were written."""
    kept = [place for place, value in enumerate(columns.get(name, [])) if value < end]
    whole = {"step", "epoch", "is_clipped"}
    return {
        column: [int(values[place]) if column in whole else values[place] for place in kept]
        for column, values in columns.items()
    }


def _start_after(parent: Path) -> str:
    """Return the time, but later than every start in a folder: a clock that was set back must not reorder runs."""
    now = datetime.now(UTC)
    for run in list_runs(parent)[-1:]:
        with contextlib.suppress(ValueError, TypeError):
            now = max(now, datetime.fromisoformat(run.facts["started"]) + timedelta(microseconds=1))
    return now.isoformat(timespec="microseconds")


def clear_stillborn(folder: Path) -> None:
    """Remove a folder that a process made and left, or was killed in, before it said anything about a run."""
    if not folder.is_dir():
        return
    known, scratch = (LOCK_FILE, f"{LOCK_FILE}.json"), ("run.json.tmp-", f"{LOCK_FILE}.json.tmp-")
    if all(path.name in known or path.name.startswith(scratch) for path in folder.iterdir()):
        lock_run(folder).release()  # raises where a living process is about to begin
        shutil.rmtree(folder)


def refuse_name(parent: str | Path, name: str | None) -> None:
    """Raise ``InputError`` for a name that can't be a run's, ``RunError`` for one that is taken, or a folder of no use.

    Asked before an hour is spent; ``mkdir`` itself decides when the folder is made. A name that is None is free.
    """
    refuse_folder_target(parent, "choose another folder: sightline train DATA --out FOLDER")
    if name is None:
        return
    if name in ("", ".", "..", "latest") or re.search(r'[/\\:*?"<>|\x00-\x1f]', name):
        raise InputError(
            "run.name", f"{name!r} can't be a run's name", "use letters, digits, - and _, but not 'latest'"
        )
    folder = Path(parent) / name
    if os.path.lexists(folder):  # never raises; what can't be made is said when it is made
        raise _exists(folder)


def stem_of(name: str) -> str:
    """Return a name as a part of a folder's: letters, marks and digits of any script, ``_`` and ``-``, in NFC.

    Every file system takes these; of its 255 bytes 40 letters need 160 at most.

    Example:
        >>> stem_of("K\u00e4fer & Co."), stem_of("???")
        ('K\xe4fer-Co', 'data')
    """
    letters = unicodedata.normalize("NFC", name)
    kept = (one if one in "_-" or unicodedata.category(one)[0] in "LMN" else " " for one in letters)
    return "-".join("".join(kept).split())[:40].strip("-") or "data"


def _exists(folder: Path) -> RunError:
    message = f"{folder} exists already; a run never writes into another's folder"
    return RunError("run.exists", message, "choose another name, or none: sightline train DATA --name NAME")


def _make_folder(parent: Path, name: str | None, data_name: str) -> Path:
    """Make a folder that was not there before: ``mkdir`` itself is the lock against a second run."""
    if name is not None:
        folder = parent / name
        try:
            folder.mkdir()
        except FileExistsError as error:
            raise _exists(folder) from error
        return folder
    stem = stem_of(data_name)
    for number in range(1, 10_000):
        folder = parent / f"{datetime.now():%Y-%m-%d}-{stem}-{number:02d}"
        try:
            folder.mkdir()
        except FileExistsError:
            continue
        sync_folder(parent)
        return folder
    raise RunError("run.exists", f"{parent} holds 9,999 runs of today", "sightline train DATA --out FOLDER")
