"""What images may have in common: looks, class, folder, and columns of a person's own."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.errors import DataError
from sightline.evaluation.slices import terciles

__all__ = ["read_columns", "slice_columns"]


def slice_columns(samples: Samples, rows: npt.NDArray[np.intp]) -> dict[str, npt.NDArray[np.object_]]:
    """Return name -> a word an image, for what images may have in common: looks, class, folder, a table's columns."""
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
        **{name: column[rows] for name, column in samples.extra.items()},
    }
    of_class = {(folder, label) for folder, label in zip(folders, samples.labels[rows].tolist(), strict=True)}
    if len(of_class) == len({label for _, label in of_class}):
        del columns["folder"]  # a folder a class says the same again
    return columns


def read_columns(samples: Samples, file: str | Path) -> Samples:
    """Return the samples with the columns of a CSV (``path,NAME,...``) beside those that they have.

    Args:
        samples: of which the CSV names some by ``path``, as ``predictions.csv`` does.
        file: UTF-8; an image that it does not name has empty cells.

    Raises:
        DataError: if it can't be read, has no column ``path`` and another one, or names none of the images.
    """
    cure = "give a CSV with a column path, relative to the data's folder, and a column for each thing to compare"
    try:
        with Path(file).open(encoding="utf-8-sig", newline="") as lines:
            table = csv.DictReader(lines)
            names = [name for name in table.fieldnames or () if name and name != "path"]
            rows = {row.get("path") or "": row for row in table}
    except (OSError, ValueError, csv.Error) as error:
        raise DataError("evaluation.columns", f"{file} can't be read as a CSV: {error}", cure) from error
    if not names or not any(rows):
        raise DataError("evaluation.columns", f"{file} has no column path beside others, or no rows", cure)
    if not any(str(path) in rows for path in samples.paths):
        message = f"{file} names none of the images, which are called like {samples.paths[0]}"
        raise DataError("evaluation.columns", message, cure)
    own = {
        name: np.array([(rows.get(str(path)) or {}).get(name) or "" for path in samples.paths], object)
        for name in names
    }
    return replace(samples, extra={**samples.extra, **own})
