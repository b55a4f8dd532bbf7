"""Several trainings of one recipe, measured together: their tables as one, their metrics pooled or averaged."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sightline.evaluation.intervals import Units
from sightline.evaluation.repeats import average_metrics, pool_folds
from sightline.planning.repeats import REPEATS
from sightline.runs.folder import Run
from sightline.runs.measured import Measured, read_measured

__all__ = ["join_metrics", "join_tables"]


def join_tables(runs: Sequence[Run], kind: str) -> dict[str, list[Any]]:
    """Return the predictions of several trainings as one table, with the name of the training in front.

    Units are numbered anew where each training has images of its own: unit 3 of one is not unit 3 of another.
    """
    tables = [run.predictions for run in runs]
    rows: dict[str, list[Any]] = {
        "run": [run.folder.name for run, table in zip(runs, tables, strict=True) for _ in table]
    }
    rows |= {column: [row[column] for table in tables for row in table] for column in tables[0][0]}
    if REPEATS[kind].splits_data and any(rows.get("unit", ())):
        units = _units_of([read_measured(run) for run in runs])
        rows["unit"] = [""] * len(rows["unit"]) if units is None else [str(unit) for unit in units]
    return rows


def join_metrics(runs: Sequence[Run], kind: str) -> dict[str, Any]:
    """Return the metrics of several trainings together: pooled where each image is tested once, else averaged."""
    metrics = [run.metrics for run in runs]
    if not REPEATS[kind].splits_data:
        return average_metrics(metrics)
    measured = [read_measured(run) for run in runs]
    units = _units_of(measured)
    return pool_folds([one.predictions for one in measured], [one.labels for one in measured], metrics, units)


def _units_of(measured: Sequence[Measured]) -> Units | None:
    """Return the units of all images, those of one training after those of the one before: none is in two of them."""
    if all(one.units is None for one in measured):
        return None
    first, numbers = 0, []
    for one in measured:
        own = np.arange(len(one)) if one.units is None else one.units
        numbers.append(first + own)
        first += len(one)
    return np.concatenate(numbers).astype(np.int64)
