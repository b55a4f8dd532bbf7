"""The file of a prediction while it grows: beside its final name, with a record of how far it is, until it is whole.

``said.csv`` is written in the folder ``said.csv.partial``, which has the rows and ``job.json``: what was asked, and up
to which row all is on the disk. A process that is killed leaves it behind, and ``--resume`` goes on from there. When
the last row is written, the record becomes ``said.csv.job.json`` and the rows become ``said.csv``.
"""

from __future__ import annotations

import contextlib
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sightline.data.own_output import OWN_MARK, mark_as_own
from sightline.errors import InputError, RunError
from sightline.predicting.named_images import Named
from sightline.predicting.output_formats import OUTPUT_FORMATS
from sightline.predicting.request import differences
from sightline.predicting.rows import Render
from sightline.runs.lock import RunLock, lock_run
from sightline.runs.safe_files import read_json, write_json
from sightline.runs.targets import refuse_file_target
from sightline.runtime.predictions import Predictions

__all__ = ["Output", "job_file_of", "open_output"]

_SCHEMA = 1
_OTHER = "choose another --out, or move the old files away"
_OURS = {"job.json", OWN_MARK, "run.lock", "run.lock.json"}


def job_file_of(out: Path) -> Path:
    """Return where it is recorded how an output was made.

    Example:
        >>> job_file_of(Path("said.csv")).name
        'said.csv.job.json'
    """
    return out.with_name(f"{out.name}.job.json")


def open_output(out: Path, request: dict[str, Any], render: Render, *, resume: bool) -> Output:
    """Open an output for writing: a new one, one that was begun, or one that is finished already.

    Args:
        out: the final file.
        request: what is asked, as :meth:`~sightline.predicting.request.Request.record` returns it.
        render: what of a prediction is written.
        resume: go on with what is there, if the same was asked.

    Raises:
        InputError: if there is something already and ``resume`` is not given, or something else was asked.
        RunError: if nothing can be written there, or another process writes it.
    """
    refuse_file_target(out, "choose another --out")
    folder, job_file = out.with_name(f"{out.name}.partial"), job_file_of(out)
    done = _read(job_file)
    if out.exists():
        if not resume:
            cure = "choose another --out; --resume accepts it where the same command made it"
            raise InputError("predict.exists", f"{out} is there already", cure)
        if done is None:
            raise InputError("predict.exists", f"{out} is there already, with no record of how it was made", _OTHER)
        _refuse_others(out, done["request"], request)
        return Output(out, done, render, None)
    if job_file.exists() and done is None:
        raise InputError("predict.exists", f"{job_file} is there already, and is no record of a prediction", _OTHER)
    begun = _begun(folder, resume)
    if begun is not None:
        _refuse_others(out, begun["request"], request)
    out.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(exist_ok=True)
    lock = lock_run(folder)
    try:
        state = _read(folder / "job.json") or _new(request)  # once more, now that nobody else writes it
        opened = Output(out, state, render, lock)
        opened.begin()
    except BaseException:
        lock.release()
        raise
    return opened


def _new(request: dict[str, Any]) -> dict[str, Any]:
    return {
        "schema_version": _SCHEMA,
        "status": "partial",
        "request": request,
        "sightline": version("sightline"),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "rows": 0,
        "mark": 0,
        "count_bad": 0,
        "answers": {},
    }


def _read(file: Path) -> dict[str, Any] | None:
    """Return a record; None where there is none, or it is damaged."""
    try:
        state = read_json(file)
    except (OSError, ValueError):
        return None
    is_ours = isinstance(state, dict) and state.get("schema_version") == _SCHEMA and "request" in state
    return state if is_ours else None


def _begun(folder: Path, resume: bool) -> dict[str, Any] | None:
    """Return the record of a prediction that stopped."""
    if not folder.exists():
        return None
    state = _read(folder / "job.json")
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name}
    if state is None and names - _OURS:
        raise InputError("predict.exists", f"{folder} is there already, and is no prediction that stopped", _OTHER)
    if state is not None and not resume:
        message = f"an earlier prediction into this file stopped after {state['rows']:,} rows, which are in {folder}"
        raise InputError("predict.exists", message, "go on with --resume; or remove that folder to begin anew")
    return state


def _refuse_others(out: Path, before: dict[str, Any], now: dict[str, Any]) -> None:
    differ = differences(before, now)
    if differ:
        cure = "type the same as then; or choose another --out"
        raise InputError("predict.differs", f"{out} was begun as another prediction: {differ}", cure)


class Output:
    """An output that is open for writing, or finished.

    Attributes:
        out: the final file.
        rows, count_bad: how many rows there are, and how many of them are errors.
        answers: how many rows have each answer.
        is_finished: whether it was whole when it was opened.
    """

    def __init__(self, out: Path, state: dict[str, Any], render: Render, lock: RunLock | None) -> None:
        self.out = out
        self.is_finished = lock is None
        self._folder = out.with_name(f"{out.name}.partial")
        self._state = state
        self._lock = lock
        self._rows = OUTPUT_FORMATS[state["request"]["form"]].rows(self._folder, render)
        self._synced = time.monotonic()
        self._is_between = True  # two rows: what is in the file is what is counted
        self.rows: int = state["rows"]
        self.count_bad: int = state["count_bad"]
        self.answers = Counter[str](state["answers"])
        self.resumed = self.rows

    @property
    def problem(self) -> str:
        """Why no second process is kept out, where the file system has no locks; else empty."""
        return self._lock.problem if self._lock is not None else ""

    def begin(self) -> None:
        """Take away what was written after the last record.

        Raises:
            RunError: if rows that were recorded are not there.
        """
        mark = self._state["mark"]
        if not self._rows.holds(mark):
            message = f"{self._folder} lacks rows that were written: its files were changed"
            raise RunError("predict.damaged", message, "remove that folder, and begin anew")
        with _named(self._folder):
            mark_as_own(self._folder)
            self._rows.begin(mark)
        write_json(self._folder / "job.json", self._state)

    def rest(self, names: Iterator[Named]) -> Iterator[Named]:
        """Yield the images that have no row yet; those that have one must come first, in the order of the rows.

        Raises:
            InputError: if they don't.
        """
        written = self._rows.names(self.out) if self.is_finished else self._rows.written()
        first = iter(()) if not self.resumed else written
        ends = object()
        number = 0
        for number, name in enumerate(first, 1):
            now = next(names, ends)
            if now is ends:
                raise self._other(f"it has {self.resumed:,} rows, and there are only {number - 1:,} images now")
            if self._rows.spell(str(now)) != name:
                raise self._other(f"image {number:,} was {name}, and is {now}")
        if self.is_finished:
            more = next(names, None)
            if more is not None:
                raise self._other(f"it has {number:,} rows, and now {more} comes after them")
        yield from names

    def _other(self, what: str) -> InputError:
        cure = "predict the same images as then; or choose another --out"
        return InputError("predict.differs", f"{self.out} was begun with other images: {what}", cure)

    @property
    def journal(self) -> Path:
        """Where it is noted what was done for rows that are not recorded yet."""
        return self._folder / "placed.jsonl"

    def write(self, part: Predictions) -> bool:
        """Append rows; every now and then they are recorded, which is returned.

        Raises:
            RunError: if the disk is full or can't be written.
        """
        self._is_between = False  # an interruption may come after any line
        with _named(self.out):
            self._rows.write(part)
        self.rows += len(part)
        self.count_bad += part.count_bad
        self.answers.update(row.answer for row in part if row.answer is not None)
        self._is_between = True
        if self._rows.is_full() or time.monotonic() - self._synced > self._rows.seconds:
            self.commit()
            return True
        return False

    def commit(self) -> None:
        """Have all rows on the disk, and record how many there are.

        Raises:
            RunError: if the disk is full or can't be written.
        """
        with _named(self.out):
            self._state["mark"] = self._rows.sync()
        self._state |= {"rows": self.rows, "count_bad": self.count_bad, "answers": dict(self.answers)}
        write_json(self._folder / "job.json", self._state)
        self._synced = time.monotonic()

    def save(self) -> None:
        """Record what is written before an early end; where a row was half written, the last record stands."""
        if self._is_between and not self.is_finished:
            with contextlib.suppress(RunError):  # the disk may be full
                self.commit()

    def finish(self) -> None:
        """Give the output its final name.

        Raises:
            RunError: if it can't be written.
            InputError: if somebody else made a file of that name in the meantime.
        """
        self.commit()
        self._is_between = False
        with _named(self.out):
            file = self._rows.finish(self.out)
            if self.out.exists():
                raise InputError("predict.exists", f"{self.out} was made while this prediction ran", _OTHER)
            ended = datetime.now(UTC).isoformat(timespec="seconds")
            # The record first: rows without one could not be told from another program's.
            write_json(job_file_of(self.out), {**self._state, "status": "finished", "ended": ended})
            file.rename(self.out)
        self.drop()

    def drop(self) -> None:
        """Remove the working folder."""
        self._is_between = False
        self.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def close(self) -> None:
        """Leave everything as it is, for a later ``--resume``."""
        with contextlib.suppress(OSError):  # what could not be written is written again then
            self._rows.close()
        if self._lock is not None:
            self._lock.release()


@contextlib.contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cure = "free some space, or make the folder writable; then go on with --resume"
        raise RunError("run.write", f"{path} can't be written: {error.strerror or error}", cure) from error
