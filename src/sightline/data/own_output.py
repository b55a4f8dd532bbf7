"""Folders that Sightline writes: they are never data, wherever they lie."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

__all__ = ["OWN_MARK", "is_own_output", "mark_as_own"]

OWN_MARK = ".sightline"  # a file in folders that nothing else tells from a person's own
_TEXT = "Sightline wrote this folder, and none of its commands reads it as data. Delete this file to use it as data.\n"
# Names that stand together in a folder that Sightline wrote: one of the second set beside all of the first.
_SIGNS = (
    ({OWN_MARK}, set[str]()),
    ({"run.json"}, {"plan.toml", "log.txt", "data", "run.lock", "classifier"}),
    ({"evaluation.json", "metrics.json"}, set[str]()),
    ({"model.onnx", "classifier.json"}, set[str]()),
)


def is_own_output(names: Collection[str]) -> bool:
    """Tell by the names in a folder whether Sightline wrote it: a run, an evaluation, a classifier, drawings.

    Example:
        >>> is_own_output(["run.json", "plan.toml", "report.html"]), is_own_output(["cat", "dog", "run.json"])
        (True, False)
    """
    found = set(names)
    return any(needed <= found and (not one_of or one_of & found) for needed, one_of in _SIGNS)


def mark_as_own(folder: Path) -> None:
    """Mark a folder that Sightline fills with images, so that no later command takes them for data.

    Raises:
        OSError: if it can't be written.
    """
    (folder / OWN_MARK).write_text(_TEXT, encoding="utf-8")
