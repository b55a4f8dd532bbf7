"""Writing so that a file is either whole or not there: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sightline.errors import ModelError, RunError
from sightline.text import csv_text, guarded, unguarded

__all__ = [
    "append_bytes",
    "find_strays",
    "named_writes",
    "parse_json",
    "previous_folder",
    "read_columns",
    "read_json",
    "read_rows",
    "recover_folder",
    "refuse_pickle",
    "replace_folder",
    "sweep_strays",
    "sync_folder",
    "write_bytes",
    "write_columns",
    "write_json",
    "write_text",
]


@contextlib.contextmanager
def named_writes(path: Path) -> Iterator[None]:
    """Raise ``RunError`` with the path in place of the system's error: a full disk, a folder that can't be written."""
    try:
        yield
    except OSError as error:
        cure = "free some space, or make the folder writable"
        raise RunError("run.write", f"{path} can't be written: {error.strerror}", cure) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all, and have it on the disk when this returns.

    Raises:
        RunError: if the disk is full or can't be written; no partial file is left.
    """
    scratch = path.with_name(f"{path.name}.tmp-{os.getpid()}")
    with named_writes(path):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with scratch.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            scratch.replace(path)
            sync_folder(path.parent)
        except OSError:
            with contextlib.suppress(OSError):
                scratch.unlink()
            raise


def append_bytes(path: Path, data: bytes) -> None:
    """Append to a file, and have it on the disk when this returns; a crash may leave a part of the last line.

    Raises:
        RunError: if the disk is full or can't be written.
    """
    with named_writes(path), path.open("ab") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text with ``write_bytes``; names that are no UTF-8 keep their bytes."""
    write_bytes(path, text.encode("utf-8", "surrogateescape"))


def write_json(path: Path, value: Any) -> None:
    """Write one JSON document, indented; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def write_columns(path: Path, columns: dict[str, list[Any]]) -> None:
    """Write a CSV file with a header from lists of equal length; no cell is a formula of a spreadsheet."""
    rows = [list(columns), *zip(*columns.values(), strict=True)]
    write_text(path, csv_text([[guarded(cell) for cell in row] for row in rows]))


def read_columns(path: Path) -> dict[str, list[float]]:
    """Return the columns of a file of numbers; none where there is no file. A line that was cut off is left out."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as file:
        lines = [line for line in file if line.endswith("\n")]
    names, *rows = csv.reader(lines) if lines else [[]]
    return {name: [float(row[place]) for row in rows] for place, name in enumerate(names)} if rows else {}


def read_json(path: Path) -> Any:
    """Return the value of a JSON document.

    Raises:
        ValueError: if it is none, or objects and lists in it are nested too deeply.
        OSError: if it can't be read.
    """
    return parse_json(path.read_bytes())


def parse_json(text: str | bytes) -> Any:
    """Return the value of JSON; raises ``ValueError`` where it is none, or is nested too deeply.

    Example:
        >>> parse_json('{"a": 1}')
        {'a': 1}
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def refuse_pickle(path: Path) -> None:
    """Raise ``ModelError`` for a file whose ending is that of a pickle: reading one can run any code."""
    if path.suffix.lower() in (".pt", ".pth", ".pkl", ".bin", ".ckpt"):
        raise ModelError(
            "model.pickle",
            f"{path} is a pickle, which can run any code when it is read; Sightline never opens one",
            "give a model.onnx made by Sightline",
        )


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a file that ``write_columns`` wrote, a dict each; names that are no UTF-8 keep their bytes.

    Raises:
        ValueError: for a line that has fewer cells than the first one, or more.
    """
    with path.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        rows = list(csv.DictReader(file))
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ValueError(f"row {number:,} has other columns than the first line; it may be cut off")
    return [{unguarded(name): unguarded(cell) for name, cell in row.items()} for row in rows]


def previous_folder(folder: Path) -> Path:
    """Return where the older one lies that ``replace_folder`` keeps, or moves aside for a moment."""
    return folder.with_name(f"{folder.name}.previous")


def replace_folder(scratch: Path, folder: Path, *, keep: bool = False) -> None:
    """Put a whole folder in the place of an older one; ``keep`` leaves that one as ``NAME.previous``.

    At every moment the old or the new one is there: under its name, or as ``NAME.previous`` if a crash falls
    between the two renames.

    Raises:
        RunError: if the disk can't be written.
    """
    previous = previous_folder(folder)
    with named_writes(folder):
        if folder.exists():
            shutil.rmtree(previous, ignore_errors=True)
            folder.rename(previous)
        scratch.rename(folder)
        sync_folder(folder.parent)
    if not keep:
        shutil.rmtree(previous, ignore_errors=True)


def recover_folder(folder: Path) -> Path:
    """Return a folder, after putting back the older one where a crash fell between ``replace_folder``'s renames."""
    previous = previous_folder(folder)
    if not folder.exists() and previous.is_dir():
        previous.rename(folder)
    return folder


def sweep_strays(folder: Path) -> list[Path]:
    """Remove what processes that were killed left half-written in a run folder; returns what was removed.

    The caller holds the run's lock, so no other process writes what is swept. No link is followed.
    """
    strays = find_strays(folder)
    for stray in strays:
        if stray.is_dir():
            shutil.rmtree(stray, ignore_errors=True)  # refuses a link
        else:
            with contextlib.suppress(OSError):
                stray.unlink()
    return [stray for stray in strays if not os.path.lexists(stray)]


def find_strays(folder: Path) -> list[Path]:
    """Return what processes that were killed left half-written in a run folder.

    That is ``NAME.tmp-PID`` of ``write_bytes``, unless another process of that number is alive, and scratch folders
    ``NAME.tmp``. No link is followed.
    """
    from psutil import pid_exists  # of the light extra; prediction never sweeps

    strays: list[Path] = []
    for place, folders, files in os.walk(folder):
        strays += [Path(place, name) for name in folders if name.endswith(".tmp")]
        folders[:] = [name for name in folders if not name.endswith(".tmp")]
        for name in files:
            found = re.search(r"\.tmp-(\d+)$", name)
            if found and (int(found[1]) == os.getpid() or not pid_exists(int(found[1]))):
                strays.append(Path(place, name))
    return strays


def sync_folder(folder: Path) -> None:
    """Make renames inside a folder survive a power loss, where the system offers that (not on Windows)."""
    if hasattr(os, "O_DIRECTORY"):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
