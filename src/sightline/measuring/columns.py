"""What images may have in common: appearance, class, folder, and columns of the user's own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.delimited import Delimited, find_known, read_delimited
from sightline.data.samples import Samples
from sightline.data.tables import usual_names
from sightline.errors import DataError
from sightline.evaluation.intervals import Units
from sightline.evaluation.slices import LEAST_IMAGES, find_slices, terciles
from sightline.events import Event, Noted
from sightline.text import count_of

__all__ = ["describe_columns", "read_columns", "slice_columns"]

_OURS = frozenset({"class", "short side", "brightness", "sharpness", "shape", "folder"})
_MOST_NUMBERS = 50  # different ones in a column that are taken for names, such as those of sites


def slice_columns(samples: Samples, rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[np.object_]]:
    """Return name -> a word an image, for what images may have in common: appearance, class, folder, a table's columns.

    A table's column that has the name of one of ours is called ``NAME (table)``; one of many different numbers is split
    into thirds.
    """
    facts, classes = samples.facts[rows], np.array(samples.classes, object)
    width, height = (np.maximum(facts[side], 1).astype(np.float64) for side in ("width", "height"))
    shape = np.where(width > 1.2 * height, "wide", np.where(height > 1.2 * width, "high", "about square"))
    folders = [str(samples.paths[row]).rpartition("/")[0] for row in rows]
    columns = {
        "class": classes[samples.labels[rows]],
        "short side": terciles(np.minimum(width, height)),
        "brightness": terciles(facts["brightness"]),
        "sharpness": terciles(facts["sharpness"]),
        "shape": shape.astype(object),
        "folder": np.array(folders, object),
    }
    of_class = {(folder, label) for folder, label in zip(folders, samples.labels[rows].tolist(), strict=True)}
    if len(of_class) == len({label for _, label in of_class}):
        del columns["folder"]  # one folder a class adds nothing
    return {**columns, **_own_columns(samples, rows)}


def _own_columns(samples: Samples, rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[np.object_]]:
    """Return the columns of a person's own, under names that none of ours has."""
    taken = {*_OURS, *samples.extra}
    return {
        _free(name, taken, "table") if name in _OURS else name: _in_thirds(column[rows])
        for name, column in samples.extra.items()
    }


def _free(name: str, taken: Collection[str], mark: str) -> str:
    while name in taken:
        name = f"{name} ({mark})"
    return name


def _in_thirds(words: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Return the words, or where they are many different numbers in which third each lies; empty cells stay empty."""
    try:
        values = np.array([float(word or "nan") for word in words], np.float64)
    except ValueError:
        return words
    is_known = np.isfinite(values)
    _, counts = np.unique(values[is_known], return_counts=True)
    if len(counts) <= _MOST_NUMBERS and counts.max(initial=0) >= LEAST_IMAGES:
        return words
    thirds = np.full(len(words), "", object)
    thirds[is_known] = terciles(values[is_known])
    return thirds


def describe_columns(
    samples: Samples, rows: npt.NDArray[np.intp], hits: npt.NDArray[np.bool_], units: Units | None = None
) -> Iterator[Event]:
    """Say which columns of a person's own had values to search, and which had none and why; nothing without columns.

    Args:
        samples, rows: as for ``slice_columns``.
        hits, units: of these rows, as for ``find_slices``.
    """
    searched, left = [], []
    for name, words in _own_columns(samples, rows).items():
        if find_slices(hits, {name: words}, units=units).searched:
            searched.append(name)
        else:
            alone = units is None or not find_slices(hits, {name: words}).searched
            left.append(f"{name} ({_why_not(words) if alone else 'its values have too few groups'})")
    searched_words = [f"searched for what is worse: {', '.join(searched)}"] if searched else []
    searched_words += [f"not searched: {', '.join(left)}"] if left else []
    if searched_words:
        yield Noted(f"Columns of the table {'; '.join(searched_words)}.")


def _why_not(words: npt.NDArray[np.object_]) -> str:
    """Return why no value of a column is a group that can be searched."""
    counts = Counter(word for word in words.tolist() if word)
    if len(counts) < 2:
        return "the same value everywhere" if counts else "no value for the measured images"
    is_large = any(LEAST_IMAGES <= count <= len(words) - LEAST_IMAGES for count in counts.values())
    values = count_of(len(counts), "value")
    return f"{values}, too many" if is_large else f"{values}, none with {LEAST_IMAGES} images and as many others"


def read_columns(samples: Samples, file: str | Path) -> tuple[Samples, npt.NDArray[np.bool_]]:
    """Return (the samples with the columns of a CSV beside those that they have, ``[N]`` whether it names the image).

    The CSV is ``path,NAME,...``; a column whose name a table's column has already is called ``NAME (CSV)``.

    Args:
        samples: of which the CSV names some by ``path``, as ``predictions.csv`` does.
        file: UTF-8; an image that it does not name has empty cells.

    Raises:
        DataError: if it can't be read, has no column ``path`` and another one, or names none of the images.
    """
    cure = "give a CSV with a column path, relative to the data's folder, and a column for each thing to compare"
    try:
        table = read_delimited(Path(file).read_bytes(), str(file))
        names = usual_names(table.columns, str(file))
    except OSError as error:
        raise DataError("evaluation.columns", f"{file} can't be read: {error.strerror}", cure) from error
    except DataError as error:
        raise DataError("evaluation.columns", error.message, error.cure) from error
    if "path" not in names or len(names) < 2 or not table.rows:
        raise DataError("evaluation.columns", f"{file} has no column path beside others, or no rows", cure)
    rows, repeated = _rows_by_path(table, names, samples)
    if repeated:
        message = f"{file}: {repeated}: the image has a row with other values already"
        raise DataError("evaluation.columns", message, "keep one row for each image")
    named = np.array([str(path) in rows for path in samples.paths], bool)
    if not named.any():
        message = f"{file} names none of the images, which are called like {samples.paths[0]}"
        raise DataError("evaluation.columns", message, cure)
    own = {
        _free(name, samples.extra, "CSV"): np.array(
            [rows.get(str(path), {}).get(name, "") for path in samples.paths], object
        )
        for name in names
        if name and name != "path"
    }
    return replace(samples, extra={**samples.extra, **own}), named


def _rows_by_path(table: Delimited, names: Sequence[str], samples: Samples) -> tuple[dict[str, dict[str, str]], str]:
    """Return (the cells of each row by the image that it names, where a second row contradicts a first)."""
    known = dict.fromkeys(map(str, samples.paths))
    rows: dict[str, dict[str, str]] = {}
    for row in table.rows:
        cells = dict(zip(names, row.cells, strict=False))
        path = find_known(cells.pop("path", ""), known)
        if path is not None and rows.setdefault(path, cells) != cells:
            return rows, row.where
    return rows, ""
