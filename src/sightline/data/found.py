"""The result of every reader of sources, and the checks that all share: one label per image, and known classes."""

from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from sightline.data.links import refuse_links
from sightline.data.samples import Samples
from sightline.errors import DataError

__all__ = [
    "HOW",
    "REPEATED",
    "REPEATED_OTHERWISE",
    "SPLIT_NAMES",
    "Found",
    "Row",
    "class_name",
    "relative_to",
    "to_samples",
]

HOW = "give a folder or archive with one folder of images per class, or a table with the columns path and label"

REPEATED = "listed once more in the table: an image counts once"
REPEATED_OTHERWISE = "listed once more with other cells: the first line counts"
# Folder and column names of splits, in lower case.
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
    "seg_train": "train",  # as the Intel scenes are published
    "seg_test": "test",
}


class Row(NamedTuple):
    """One image of a source."""

    path: str  # as Samples has it: relative to the root with forward slashes, or absolute
    name: str  # of its class
    part: str = ""
    group: str = ""
    extra: tuple[str, ...] = ()
    spelling: str = ""  # of the name, as it was written


@dataclass(frozen=True, slots=True)
class Found:
    """The contents of a source, before they are checked.

    Attributes:
        root: what the paths of ``rows`` and ``skipped`` are relative to.
        source: what the user typed, for messages.
        rows: the images.
        skipped: (path, reason) of everything else.
        columns: names of the further columns of a table: the cells are each row's ``extra``.
        notes: what a person should know of how the source was read, a sentence each.
    """

    root: Path
    source: str
    rows: list[Row]
    skipped: list[tuple[str, str]] = field(default_factory=list)
    columns: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def class_name(text: str) -> str:
    """One spelling a name: macOS stores accents decomposed, Linux composed, and both look the same."""
    return unicodedata.normalize("NFC", text).strip()


def relative_to(root: Path, path: Path) -> str:
    """Return a file's path as written in a table of samples."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.absolute().as_posix()


def to_samples(found: Found, *, strict: bool = True, least_classes: int = 2, resplit: bool = False) -> Samples:
    """Apply the checks that all sources share, and number the classes by name.

    Args:
        found: what a reader found.
        strict: raise for a class that is in ``val`` or ``test`` but not in ``train``; otherwise its images are skipped
            and the class is listed in ``extra_classes``.
        least_classes: 2 for training; 1 where the classes come from a classifier.
        resplit: whether a split that comes with the images is put aside.

    Raises:
        DataError: if there are no images, fewer classes than that, or labels that can't be matched.
    """
    rows, repeated = _without_repeats([row._replace(part="") for row in found.rows] if resplit else found.rows)
    if not rows:
        refuse_links(found.root, found.source, found.skipped)
        reasons = Counter(reason for _, reason in found.skipped)
        others = ", ".join(f"{count:,} {reason}" for reason, count in sorted(reasons.items())) or "nothing at all"
        raise DataError("data.no-images", f"no images found in {found.source!r}; found: {others}", HOW)
    trained = {row.name for row in rows if row.part in ("", "train")}
    extra = Counter((row.part, row.name) for row in rows if row.name not in trained)
    if extra and (strict or not trained):
        raise _unknown_class(extra, trained)
    skipped = found.skipped + repeated
    skipped += [(row.path, f"class {row.name!r} is not in train") for row in rows if row.name not in trained]
    rows = [row for row in rows if row.name in trained]
    classes = tuple(sorted(trained))
    if len(classes) < least_classes:
        refuse_links(found.root, found.source, found.skipped)
    _check_classes(classes, found.source, least_classes, rows)
    number = {name: position for position, name in enumerate(classes)}
    return Samples(
        root=found.root,
        source=found.source,
        classes=classes,
        paths=np.array([row.path for row in rows], object),
        labels=np.array([number[row.name] for row in rows], np.int64),
        given=np.array([row.part for row in rows], object),
        groups=np.array([row.group for row in rows], object),
        extra={name: np.array([row.extra[k] for row in rows], object) for k, name in enumerate(found.columns)},
        skipped=tuple(skipped),
        spellings=_spellings(rows),
        notes=found.notes,
        extra_classes=tuple((part, name, count) for (part, name), count in sorted(extra.items())),
    )


def _unknown_class(extra: Counter[tuple[str, str]], trained: set[str]) -> DataError:
    names = sorted({name for _, name in extra})
    parts = sorted({part for part, _ in extra})
    return DataError(
        "data.unknown-class",
        f"class {', '.join(map(repr, names[:5]))} is in {' and '.join(parts)}, but train has no image of it; "
        f"train has {', '.join(map(repr, sorted(trained)[:8])) or 'no image at all'}",
        "add images of it to train, remove it, or give the class folders the same names in every split",
    )


def _check_classes(classes: tuple[str, ...], source: str, least: int, rows: list[Row]) -> None:
    odd = [name for name in classes if any(unicodedata.category(letter) == "Cc" for letter in name)]
    if odd:
        raise DataError(
            "data.class-name",
            f"class {odd[0]!r} has a control character, such as a line break, in its name",
            "rename the folder or the label",
        )
    if len(classes) < least:
        cure = "give at least two classes; to detect one thing, add a second class with images of other things"
        parts = [row.path.split("/") for row in rows]
        is_folder = {part[0] for part in parts} == {rows[0].spelling}
        if is_folder and len({part[1] for part in parts if len(part) > 2}) > 1:
            cure = f"if the folders in it are the classes, name it: {source.rstrip('/')}/{parts[0][0]}; else {cure}"
        raise DataError("data.one-class", f"only one class in {source!r}: {classes[0]!r}", cure)


def _without_repeats(rows: list[Row]) -> tuple[list[Row], list[tuple[str, str]]]:
    """Return the rows without repeated lines, and (path, reason) of those; refuse contradicting ones."""
    seen: dict[str, Row] = {}
    repeated: list[tuple[str, str]] = []
    for row in rows:
        other = seen.setdefault(row.path, row)
        if other is row:
            continue
        if (other.name, other.part) != (row.name, row.part):
            raise DataError(
                "data.contradiction",
                f"{row.path} is listed twice: as {other.name!r} ({other.part or 'no split'}) "
                f"and as {row.name!r} ({row.part or 'no split'})",
                "keep one line for each image; images with several labels are not supported",
            )
        same = (other.group, other.extra) == (row.group, row.extra)
        repeated.append((row.path, REPEATED if same else REPEATED_OTHERWISE))
    return list(seen.values()), repeated


def _spellings(rows: list[Row]) -> tuple[tuple[str, str, int], ...]:
    """Return (class, spelling, images) for classes whose name is written in several ways that count as one."""
    counts = Counter((row.name, row.spelling or row.name) for row in rows)
    ways = Counter(name for name, _ in counts)
    return tuple((name, word, count) for (name, word), count in sorted(counts.items()) if ways[name] > 1)
