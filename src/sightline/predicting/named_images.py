"""The images that a person named for a prediction, one after another: no list of all of them is ever made.

What is held: the names in the folders on the way, and of an archive, a table or a pattern the list of it.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, TypeAlias

from sightline.data.archives import images_in_archive
from sightline.data.choices import FindingChoices
from sightline.data.folders import images_below
from sightline.data.links import FOLLOW, describe_links
from sightline.data.path_lists import find_path, read_paths
from sightline.data.tables import jsonl_table
from sightline.errors import DataError
from sightline.events import Noted
from sightline.pixels.containers import ARCHIVE_SUFFIXES, CONTAINER_SUFFIXES, MARK, Member, open_container, place_of

__all__ = ["STDIN", "Named", "list_images"]

STDIN = "-"
Named: TypeAlias = str | Member  # str(named) is the image's name in the output


def list_images(
    sources: Sequence[str], choices: FindingChoices, stdin: BinaryIO | None = None
) -> Iterator[Named | Noted]:
    """Yield the images of all sources in their order, and among them what a person should know.

    A name that leads nowhere is yielded too, so that it becomes an error row.

    Args:
        sources: files, folders, patterns, archives, tables and lists of paths; ``-`` is a list on stdin.
        choices: what is left out of folders, archives and tables, and whether links are followed.
        stdin: where ``-`` is read; without it, it is left out.

    Raises:
        DataError: if an archive or a table can't be read, or there are no images but links that lead out of a folder.
        MissingExtra: for Parquet without pyarrow.

    Example:
        ``list(list_images(["photos/", "more.zip"], FindingChoices()))``
    """
    is_any = False
    links: list[str] = []
    for source in sources:
        for found in _images_of(source, choices, stdin):
            if isinstance(found, Noted):
                links.append(found.message)
            else:
                is_any = True
            yield found
    if links and not is_any:
        raise DataError("data.links", links[0], FOLLOW)


def _images_of(source: str, choices: FindingChoices, stdin: BinaryIO | None) -> Iterator[Named | Noted]:
    if source == STDIN:
        if stdin is not None:
            yield from map(_place, read_paths(stdin))
    elif os.path.isdir(source):  # noqa: PTH112  (unlike Path.is_dir it never raises)
        yield from _in_folder(source, choices)
    elif os.path.isfile(source):  # noqa: PTH113
        ending = next((ending for ending in KINDS if source.lower().endswith(ending)), "")
        kept = KINDS[ending](source, choices) if ending else iter([source])
        yield from kept
    elif glob.has_magic(source) and MARK not in source:
        yield from _matching(source, choices)
    else:
        yield _place(source)


def _place(text: str) -> Named:
    """Return the member of a container for ``photos.zip::cat/1.jpg``; everything else is a path as it was written."""
    if MARK not in text or os.path.exists(text):  # noqa: PTH110
        return text
    place = place_of(Path(), text)
    return place if isinstance(place, Member) else text


def _in_folder(folder: str, choices: FindingChoices) -> Iterator[Named | Noted]:
    skipped = yield from images_below(folder, choices)
    said = describe_links(Path(), folder, skipped)
    if said:
        yield Noted(f"{said}; they are not followed; {FOLLOW}")


def _matching(pattern: str, choices: FindingChoices) -> Iterator[Named | Noted]:
    """Yield what a pattern matches, ``**`` included; a shell does that too, but not on Windows or in quotes."""
    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207  (Path.glob refuses absolute ones)
    if not found:
        yield Noted(f"no file matches {pattern!r}")
        yield pattern
    for path in found:
        if os.path.isdir(path):  # noqa: PTH112
            if "**" not in pattern:  # which matches what is in the folder as well
                yield from _in_folder(path, choices)
        elif path.lower().endswith(ARCHIVE_SUFFIXES):
            yield from images_in_archive(Path(path), choices)
        else:
            yield path


def _in_archive(source: str, choices: FindingChoices) -> Iterator[Named]:
    yield from images_in_archive(Path(source), choices)


def _in_list(source: str, choices: FindingChoices) -> Iterator[Named]:
    """Yield the paths of a table or a list, relative to the folder that it is in."""
    with Path(source).open("rb") as file:
        for path in read_paths(file, source, os.path.dirname(source), is_table=not source.endswith(".txt")):  # noqa: PTH120
            if not choices.pattern_above(path.replace("\\", "/")):
                yield _place(path)


def _in_jsonl(source: str, choices: FindingChoices) -> Iterator[Named]:
    table = jsonl_table(Path(source).read_bytes(), source, Path())
    if "path" not in table.columns:
        message = f"{source} has no field path; it has {', '.join(table.columns) or 'nothing'}"
        raise DataError("data.table-columns", message, "name the field with the images path")
    yield from _beside(source, (str(record.get("path") or "") for _, record in table.records), choices)


def _in_parquet(source: str, choices: FindingChoices) -> Iterator[Named]:
    """Yield the images in the rows of a Parquet file, or those that its column of paths names."""
    from sightline.data.tables import usual_names
    from sightline.pixels.parquet import image_column, parquet_file

    file = parquet_file(Path(source))
    if image_column(file.schema_arrow) is not None:
        yield from _in_rows(source, choices)
        return
    names = file.schema_arrow.names
    column = dict(zip(usual_names(names, source), names, strict=True)).get("path")
    if column is None:
        message = f"{source} has neither a column of images nor a column path; it has {', '.join(names)}"
        raise DataError("data.table-columns", message, "name the column with the images path")
    batches = (batch.column(0).to_pylist() for batch in file.iter_batches(columns=[column]))
    yield from _beside(source, (str(cell or "") for batch in batches for cell in batch), choices)


def _beside(source: str, paths: Iterator[str], choices: FindingChoices) -> Iterator[Named]:
    folder = os.path.dirname(source)  # noqa: PTH120
    for path in paths:
        if path and not choices.pattern_above(path.replace("\\", "/")):
            yield _place(find_path(path, folder))


def _in_rows(source: str, choices: FindingChoices) -> Iterator[Named]:
    """Yield the rows of a file of images: Parquet, numpy, CIFAR's binary version."""
    container = open_container(Path(source))
    yield from (Member(Path(source), str(row)) for row in range(len(container)))  # type: ignore[arg-type]


# How a file is read that holds or lists images, by the ending of its name; every other file is an image.
KINDS: dict[str, Callable[[str, FindingChoices], Iterator[Named]]] = {
    **dict.fromkeys(ARCHIVE_SUFFIXES, _in_archive),
    **dict.fromkeys((".csv", ".tsv", ".txt"), _in_list),
    **dict.fromkeys((".jsonl", ".ndjson"), _in_jsonl),
    ".parquet": _in_parquet,
    **dict.fromkeys((".npy", ".bin"), _in_rows),
}
assert set(CONTAINER_SUFFIXES) <= set(KINDS)
