"""``metrics.json``, read back: the one place that knows how earlier versions named what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.evaluation.metrics import ALIASES
from sightline.runs.safe_files import read_json

__all__ = ["read_metrics"]

_RENAMED = {**ALIASES, "count_looks": "count_evaluations", "fixed": "corrected", "broken": "newly_wrong"}
_INSIDE = ("spread", "frozen_head")  # objects whose keys were renamed too


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
    if metrics.get("schema_version", 3) < 3:
        metrics = _renamed(metrics) | {"schema_version": 3}
        metrics |= {name: _renamed(metrics[name]) for name in _INSIDE if isinstance(metrics.get(name), dict)}
    return metrics


def _renamed(fields: dict[str, Any]) -> dict[str, Any]:
    return {_RENAMED.get(name, name): value for name, value in fields.items()}
