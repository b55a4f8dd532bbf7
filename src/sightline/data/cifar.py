"""CIFAR-10 and CIFAR-100 as their authors publish them: the binary version is read, the pickled one refused.

Source: A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from sightline.data.found import Found, Row, class_name
from sightline.errors import DataError
from sightline.pixels.containers import MARK
from sightline.pixels.rows import record_bytes

__all__ = ["is_cifar", "read_cifar", "refuse_cifar_names"]

# File names -> part; the list of class names; which byte of a record is the label.
_TEN = ({**{f"data_batch_{k}.bin": "train" for k in range(1, 6)}, "test_batch.bin": "test"}, "batches.meta.txt", 0)
_HUNDRED = ({"train.bin": "train", "test.bin": "test"}, "fine_label_names.txt", 1)


def is_cifar(folder: Path) -> bool:
    """Tell whether a folder holds either version of CIFAR."""
    names = {*_TEN[0], *_HUNDRED[0], "batches.meta", "data_batch_1"}
    if not folder.is_dir():
        return False
    return any((folder / name).is_file() for name in names) or _is_pickled_hundred(folder)


def _is_pickled_hundred(folder: Path) -> bool:
    return all((folder / name).is_file() for name in ("meta", "train", "test"))


def read_cifar(folder: Path) -> Found:
    """Find the images of CIFAR's binary version; each is a row of one of its files.

    Raises:
        DataError: if it is the pickled version, or the files are damaged.
    """
    files, names_file, label_at = _TEN if any((folder / name).is_file() for name in _TEN[0]) else _HUNDRED
    if not any((folder / name).is_file() for name in files):
        raise _pickled(str(folder))
    try:
        names = [class_name(line) for line in (folder / names_file).read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        text = f"the list of class names {folder / names_file} can't be read ({error})"
        raise DataError("data.array", text, "unpack the archive again") from error
    rows: list[Row] = []
    for name, part in files.items():
        if (folder / name).is_file():
            labels = _labels(folder / name, label_at)
            if len(labels) and labels.max() >= len(names):
                text = f"{folder / name} has the label {labels.max()}, but {names_file} has only {len(names)} names"
                raise DataError("data.array", text, "unpack the archive again")
            rows += [Row(f"{name}{MARK}{row}", names[label], part) for row, label in enumerate(labels)]
    return Found(folder, str(folder), rows)


def _labels(file: Path, label_at: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    size = file.stat().st_size
    record = record_bytes(size)
    if record != label_at + 1 + 3072:
        raise DataError("data.array", f"{file} is truncated, or not a CIFAR file: {size:,} bytes", "unpack it again")
    return np.array(np.memmap(file, np.uint8, "r", shape=(size // record, record))[:, label_at])


def refuse_cifar_names(names: Iterable[str], source: str) -> None:
    """Raise ``DataError`` for CIFAR's own archives: their images are rows of files in the archive.

    Example:
        >>> refuse_cifar_names(["cats/1.jpg"], "photos.zip")
    """
    last = {name.rpartition("/")[2] for name in names}
    if {"batches.meta", "data_batch_1"} <= last or {"meta", "train", "test"} <= last:
        raise _pickled(source)
    if {"data_batch_1.bin", "test_batch.bin"} & last or {"train.bin", "test.bin"} <= last:
        text = f"{source} is CIFAR's binary version, still packed; its images can't be read in place"
        raise DataError("data.packed-cifar", text, f"unpack it (tar -xf {source}) and give the folder")


def _pickled(source: str) -> DataError:
    return DataError(
        "data.pickle",
        f"{source} is CIFAR's python version: pickle files, which can run any code when opened",
        "give the binary version (cifar-10-binary.tar.gz, unpacked), or the named set: cifar10, cifar100",
    )
