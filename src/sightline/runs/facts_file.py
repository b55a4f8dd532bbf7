"""``run.json``, read back: what a run records of itself, each field of the type that it was written with."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from sightline.errors import RunError
from sightline.runs.json_forms import NUMBER, Each, Maybe, refuse_form
from sightline.runs.safe_files import read_json

__all__ = ["FACTS_FILE", "SCHEMA", "Facts", "read_facts", "refuse_unfit", "version_of"]

FACTS_FILE = "run.json"
# Of a run's folder, counted up when one version can't read all that another one wrote. 1: all that were not counted.
SCHEMA = 2

_STATUS = ("planned", "running", "interrupted", "failed", "finished")
_FORM = {
    "schema_version": Maybe(int),
    "status": str,
    "kind": Maybe(str),
    "started": Maybe(str),
    "seconds": Maybe(NUMBER),
    "headline": Maybe(str),
    "headline_part": Maybe(str),
    "command": Maybe(str),
    "chosen": Maybe(dict),
    "data": Maybe(str),
    "data_root": Maybe(str),
    "data_fingerprint": Maybe(str),
    "classes": Maybe([str]),
    "split_rule": Maybe(str),
    "split_notes": Maybe([str]),
    "model": Maybe(str),
    "weights": Maybe(str),
    "licence": Maybe(str),
    "hardware": Maybe({"device": str, "name": str, "threads": int}),
    "process_settings": Maybe(
        {"openmp": str, "openblas": str, "malloc": str, "cure": Maybe(str), "own": Maybe(Each(str))}
    ),
    "versions": Maybe(Each(str)),
    "processes": Maybe(int),
    "times": Maybe(int),
    "done": Maybe(int),
    "stopped": Maybe(str),
    "best_epoch": Maybe(int),
    "blend": Maybe({"share": NUMBER, "epoch": int, "val_loss": NUMBER, "val_accuracy": NUMBER}),
    "export": Maybe({"formats": Maybe(Each(dict))}),
    "files": Maybe(Each(str)),
    "stages": Maybe([{"name": str, "detail": str, "seconds": NUMBER}]),
    "setbacks": Maybe([dict]),
    "error": Maybe(str),
    "keep_checkpoints": Maybe(bool),
    "value_range": Maybe([NUMBER]),
    "version": Maybe({"name": str, "of": str, "words": str, "cost": str}),
}


class Facts(dict[str, Any]):
    """What a run records of itself; a field that is not there is an error that names the file."""

    def __init__(self, values: dict[str, Any], file: Path) -> None:
        super().__init__(values)
        self._file = file

    def __missing__(self, name: str) -> Any:
        cure = f"{_verify(self._file)} says what else differs: put it back, or train again"
        raise RunError("run.damaged", f"{self._file} is damaged: it has no {name!r}", cure)


def read_facts(file: Path) -> Facts:
    """Return what ``run.json``, or ``evaluation.json``, says.

    Raises:
        RunError: if it can't be read, or is of another form than it was written in.
    """
    try:
        values = read_json(file)
        refuse_unfit(values)
    except (OSError, ValueError) as error:
        raise _damaged(file, str(error)) from error
    return Facts(values, file)


def refuse_unfit(values: Any) -> None:
    """Raise ``ValueError`` for values of another form than ``run.json`` is written in."""
    refuse_form(values, _FORM)
    if values["status"] not in _STATUS:
        raise ValueError(f"the status is {values['status']!r}, which is none")


def version_of(facts: dict[str, Any]) -> str:
    """Return in words which version of Sightline made a run, as far as it says.

    Example:
        >>> version_of({"versions": {"sightline": "0.1.0"}, "schema_version": 1})
        'Sightline 0.1.0 (runs of schema 1)'
    """
    number = (facts.get("versions") or {}).get("sightline", "of an unknown version")
    return f"Sightline {number} (runs of schema {facts.get('schema_version', 1)})"


def _damaged(file: Path, what: str) -> RunError:
    """Return the error for a file that tells nothing of its run; without it, the classifier alone can be used."""
    model = file.parent / "classifier" / "model.onnx"
    whole = f"; the classifier alone: sightline predict {shlex.quote(str(model))} IMAGE" if model.is_file() else ""
    return RunError("run.damaged", f"{file} is damaged: {what}", f"put the file back, or train again{whole}")


def _verify(file: Path) -> str:
    return f"sightline verify {shlex.quote(str(file.parent))}"
