"""``metrics.json``, read back: the one place that knows how earlier versions named what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sightline.evaluation.confusion import confusion_from, confusion_to
from sightline.evaluation.metrics import ALIASES, METRICS
from sightline.runs.json_forms import INTERVAL, NUMBER, Each, Maybe, refuse_form
from sightline.runs.safe_files import read_json

__all__ = ["read_metrics", "recorded_intervals"]

_RENAMED = {**ALIASES, "count_looks": "count_evaluations", "fixed": "corrected", "broken": "newly_wrong"}
SCHEMA = 4
_OF_RUN = (*METRICS, "accuracy_with_leaks", "accuracy_with_views")
_FORM = {
    **dict.fromkeys(_OF_RUN, Maybe(INTERVAL)),
    "accuracy": INTERVAL,
    "part": Maybe(str),
    **dict.fromkeys(("count", "count_bad", "count_leaked", "count_views", "count_groups"), Maybe(int)),
    "count_evaluations": Maybe(int),
    "design_effect": Maybe(NUMBER),
    "baselines": Maybe(Each(INTERVAL)),
    "frozen_head": Maybe({"accuracy": INTERVAL, "corrected": int, "newly_wrong": int, "p": NUMBER}),
    "classes": Maybe([{"class": str, "support": int, "predicted": int, "too_few": bool}]),
    "spread": Maybe(Each(dict)),
    "confusion": Maybe({"classes": int, "cells": [[int]]}),
    "validation_gap": Maybe(
        {
            **{"validation": INTERVAL, "test": INTERVAL, "low": NUMBER, "high": NUMBER, "p": NUMBER},
            **{"is_significant": bool, "causes": [{"kind": str, "words": str, "cure": str}]},
        }
    ),
    "torn_groups": Maybe(
        {**dict.fromkeys(("groups", "count_groups", "images", "count"), int), "accuracy": Maybe(INTERVAL)}
    ),
}
_INSIDE = ("spread", "frozen_head")  # objects whose keys were renamed too


def recorded_intervals(metrics: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the metrics of a run that have a value and an interval, for those who log them.

    Example:
        >>> recorded_intervals({"count": 3, "accuracy": {"value": 0.9, "low": 0.8, "high": 1.0}})
        {'accuracy': {'value': 0.9, 'low': 0.8, 'high': 1.0}}
    """
    return {name: metrics[name] for name in _OF_RUN if metrics.get(name)}


def read_metrics(path: Path) -> dict[str, Any]:
    """Return the content of a ``metrics.json`` of any version, under the names of this one.

    Raises:
        ValueError: if it holds no metrics.
        OSError: if it can't be read.

    Example:
        ``read_metrics(run.metrics_file)["balanced_accuracy"]["value"]``
    """
    content = read_json(path)
    if not isinstance(content, dict) or "accuracy" not in content:
        raise ValueError("it holds no metrics")
    metrics: dict[str, Any] = content
    schema = metrics.get("schema_version", SCHEMA)
    if not isinstance(schema, int):
        raise ValueError("schema_version is not a number")
    if schema == 1:  # some values had no interval yet: a reader would take one for certain
        values = {name: metrics[name] for name in _OF_RUN if isinstance(metrics.get(name), dict)}
        metrics = {name: value for name, value in metrics.items() if _is_interval(values.get(name, INTERVAL))}
    if schema < 3:
        metrics = _renamed(metrics)
        metrics |= {name: _renamed(metrics[name]) for name in _INSIDE if isinstance(metrics.get(name), dict)}
    if isinstance(metrics.get("confusion"), list):  # before 4: a square, of which 4,000 classes made 145 MB
        classes = metrics.get("classes")
        square = confusion_from(metrics["confusion"], len(classes) if isinstance(classes, list) else 0)
        metrics = {**metrics, "confusion": confusion_to(square)}
    if schema < SCHEMA:
        metrics = {**metrics, "schema_version": SCHEMA}
    refuse_form(metrics, _FORM)
    for place, interval in _intervals(metrics):
        if not _is_interval(interval):
            raise ValueError(f"{place} has other fields than {', '.join(INTERVAL)}")
    return metrics


def _is_interval(fields: dict[str, Any]) -> bool:
    """Whether these are the fields of an interval; only where images are not independent there is ``n_effective``."""
    return {*fields, "n_effective"} == INTERVAL.keys()


def _intervals(metrics: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield what is an interval by its name, with its place."""
    yield from ((name, metrics[name]) for name in _OF_RUN if metrics.get(name) is not None)
    yield from ((f"baselines.{name}", fields) for name, fields in (metrics.get("baselines") or {}).items())
    if metrics.get("frozen_head"):
        yield "frozen_head.accuracy", metrics["frozen_head"]["accuracy"]


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in fields.items()}
