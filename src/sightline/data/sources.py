"""From a source of images to :class:`Samples`: the table of kinds of sources, and how remote ones are fetched.

Labels are names everywhere; a class has the same number in every split, whatever classes a split's folder has.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from sightline.caches import cache_folder, expand_home
from sightline.data.archives import read_archive
from sightline.data.arrays import read_arrays
from sightline.data.choices import FindingChoices
from sightline.data.cifar import is_cifar, read_cifar
from sightline.data.digits import write_digits
from sightline.data.folders import IMAGE_SUFFIXES, find_images, is_hidden, left_out_by
from sightline.data.found import HOW, SPLIT_NAMES, Found, to_samples
from sightline.data.hub import download_set, is_set, nearest_set, read_set
from sightline.data.layouts import read_folder
from sightline.data.parquet import is_parquet_folder, read_parquet, read_parquet_folder
from sightline.data.samples import Samples
from sightline.data.tables import read_csv, read_frame, read_jsonl, read_pairs
from sightline.errors import InputError
from sightline.pixels.containers import ARCHIVE_SUFFIXES
from sightline.pixels.unpacked import unpack_tar

if TYPE_CHECKING:
    import pandas

__all__ = [
    "IMAGE_SUFFIXES",
    "SOURCES",
    "SPLIT_NAMES",
    "Source",
    "describe_source",
    "fetch_source",
    "find_images",
    "is_hidden",
    "read_samples",
]

_NO_CHOICES = FindingChoices()
# A path or a name; a table; a list of (path, label); (images, labels).
Source: TypeAlias = "str | Path | pandas.DataFrame | Sequence[tuple[str | Path, Any]] | tuple[Any, Any]"


def describe_source(source: Source) -> str:
    """Return the name of a source in messages.

    Example:
        >>> describe_source("photos/"), describe_source([("a.jpg", "cat"), ("b.jpg", "dog")])
        ('photos/', 'a list of 2 images')
    """
    if isinstance(source, str | Path):
        return str(source)
    if _is_frame(source):
        return f"a table of {len(source):,} rows"
    if _is_arrays(source):
        return f"an array of {len(source[0]):,} images"
    if isinstance(source, list):
        return f"a list of {len(source):,} images"
    return f"a {type(source).__name__}"


def read_samples(
    source: Source, *, strict: bool = True, least_classes: int = 2, choices: FindingChoices = _NO_CHOICES
) -> Samples:
    """Find the images and labels of a source; no image is opened yet.

    Args:
        source: a folder, zip or tar of class folders or of split folders (``train``, ``val``, ``test``); a CSV, TSV,
            JSONL or Parquet file with the columns ``path,label[,split,group]``; CIFAR's binary version; ``digits`` or
            another named set, or ``hf:OWNER/NAME``, once it was downloaded. From Python also a ``DataFrame``, a list
            of (path, label), or (images, labels) with images as ``uint8`` of ``[N, H, W]`` or ``[N, H, W, 3]``.
        strict: raise for classes that are in ``val`` or ``test`` but not in ``train``; otherwise they are listed in
            ``extra_classes`` and their images skipped.
        least_classes: 2 for training; 1 where the classes come from a classifier.
        choices: how folders are read, and what is left out.

    Raises:
        InputError: if the path is missing, or not a kind of source that is known.
        DataError: if there are no images, fewer classes than that, or labels that can't be matched.

    Example:
        ``read_samples("photos/").counts()``
    """
    found = _leave_out(_find(source, choices), choices)
    return to_samples(found, strict=strict, least_classes=least_classes, resplit=choices.resplit)


def fetch_source(source: Source) -> Generator[tuple[int, int], None, Source]:
    """Bring a source onto this machine: download a named set, unpack a compressed tar; others are here already.

    A generator: it yields (bytes done, bytes in all) and returns the source, for ``read_samples``.

    Raises:
        DataError: if it can't be downloaded or unpacked, or a file differs from its published checksum.
        MissingExtra: without the libraries that a named set needs.
    """
    if isinstance(source, str | Path):
        path = expand_home(source)
        if not path.exists():
            if is_set(str(source)):
                yield from download_set(str(source))
        elif path.is_file() and path.name.lower().endswith(ARCHIVE_SUFFIXES):
            yield from unpack_tar(path)
    return source


def _leave_out(found: Found, choices: FindingChoices) -> Found:
    """Leave out what a pattern names in a table, as it is left out of folders."""
    if not choices.skip:
        return found
    patterns = [choices.pattern_above(row.path) for row in found.rows]
    rows = [row for row, pattern in zip(found.rows, patterns, strict=True) if not pattern]
    left = [(row.path, left_out_by(name)) for row, name in zip(found.rows, patterns, strict=True) if name]
    return replace(found, rows=rows, skipped=found.skipped + left)


def _find(source: Source, choices: FindingChoices) -> Found:
    path = expand_home(source) if isinstance(source, str | Path) else None
    is_missing = path is not None and not path.exists() and not is_set(str(source))
    has_folders = path is not None and (path.is_dir() or path.name.lower().endswith(ARCHIVE_SUFFIXES))
    if choices.layout and not has_folders and not is_missing:
        message = f"--layout says how folders are read, and {describe_source(source)} has none"
        raise InputError("data.layout-name", message, "leave out --layout")
    if path is None:
        return _find_in_memory(source)
    if path.exists():
        if path.is_dir() and choices.layout:
            return read_folder(path, choices)
        for _, matches, read in SOURCES:
            if matches(path):
                return read(path, choices)
        raise InputError("data.not-a-source", f"{str(path)!r} is a file, but not a table or an archive", HOW)
    name = str(source)
    if name == "digits":
        write_digits(cache_folder() / "digits")
        return read_folder(cache_folder() / "digits", _NO_CHOICES)
    if is_set(name):
        return read_set(name)
    near = nearest_set(name)
    cure = f"if you meant the named set: {near}" if near else HOW
    raise InputError("data.missing", f"there is no file or folder {str(path)!r}", f"check the path; {cure}")


def _find_in_memory(source: Any) -> Found:
    if _is_frame(source):
        return read_frame(source, describe_source(source))
    if _is_arrays(source):
        return read_arrays(source[0], source[1], describe_source(source))
    if isinstance(source, list):
        return read_pairs(source, describe_source(source))
    raise InputError(
        "data.not-a-source",
        f"a {type(source).__name__} can't be used as a source of images",
        "give a path, a DataFrame with the columns path and label, a list of (path, label), or (images, labels)",
    )


def _is_frame(source: Any) -> bool:
    return hasattr(source, "columns") and hasattr(source, "iloc")


def _is_arrays(source: Any) -> bool:
    return isinstance(source, tuple) and len(source) == 2 and hasattr(source[0], "__array__")


def _plainly(read: Callable[[Path], Found]) -> Callable[[Path, FindingChoices], Found]:
    return lambda path, choices: read(path)


def _ends_with(*suffixes: str) -> Callable[[Path], bool]:
    return lambda path: path.name.lower().endswith(suffixes)


# A new kind of source is one function and one row; the first row that matches reads it.
SOURCES: tuple[tuple[str, Callable[[Path], bool], Callable[[Path, FindingChoices], Found]], ...] = (
    ("CIFAR's binary version", is_cifar, _plainly(read_cifar)),
    ("Parquet files in a folder", is_parquet_folder, _plainly(read_parquet_folder)),
    ("class folders and split folders", Path.is_dir, read_folder),
    ("zip and tar", _ends_with(*ARCHIVE_SUFFIXES), read_archive),
    ("CSV and TSV", _ends_with(".csv", ".tsv", ".txt"), _plainly(read_csv)),
    ("JSONL", _ends_with(".jsonl", ".ndjson"), _plainly(read_jsonl)),
    ("Parquet", _ends_with(".parquet"), _plainly(read_parquet)),
)
