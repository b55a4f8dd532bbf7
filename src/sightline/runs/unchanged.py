"""Whether files of a finished run are still those that it recorded: what they say is reported as the run's result."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any, Protocol

from sightline.errors import RunError
from sightline.text import listed

__all__ = ["hash_file", "refuse_changed"]


# What an export makes again, beside the classifier; it needs the rest as it was.
_EXPORTED = frozenset(
    [f"evaluation/{name}.npy" for name in ("probabilities", "features")]
    + [f"evaluation/{name}.npz" for name in ("validation", "explanations")]
    + [f"evaluation/{name}" for name in ("metrics.json", "predictions.csv")]
)


class Recording(Protocol):
    """What is needed of a run."""

    folder: Path

    @property
    def facts(self) -> dict[str, Any]:
        """``run.json``."""


def hash_file(path: Path) -> str:
    """Return the sha256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def refuse_changed(run: Recording, *files: Path) -> None:
    """Refuse files that differ from the sha256 that ``run.json`` recorded at the run's end; what has none passes.

    Args:
        run: that they are of.
        files: that are about to be used; one that is not there is for its reader to tell.

    Raises:
        RunError: if one differs. It takes milliseconds: a gigabyte is read in about one second.

    Example:
        ``refuse_changed(run, run.model_file)``
    """
    recorded = run.facts.get("files")
    if not isinstance(recorded, dict):
        return
    changed = []
    for file in files:
        name = file.relative_to(run.folder).as_posix()
        if file.is_file() and _is_changed(run, name, recorded.get(name)):
            changed.append(str(file))
    if changed:
        message = f"{listed(changed, 3)} is not what the run recorded, by its sha256"
        folder = shlex.quote(str(run.folder))
        cure = f"restore it from a copy; sightline verify {folder} lists all differences"
        others = [name for name in recorded if not _is_exported(name)]
        if not any(_is_changed(run, name, recorded[name]) for name in others):
            cure = f"sightline export {folder} makes it again of the run's weights; or {cure}"
        raise RunError("run.changed", message, f"{cure}; a model.onnx of your own is used outside of the run's folder")


def _is_exported(name: str) -> bool:
    """Tell whether ``sightline export RUN`` makes a file again; of the classifier all but the weights."""
    return name in _EXPORTED or (name.startswith("classifier/") and name != "classifier/model.safetensors")


def _is_changed(run: Recording, name: str, wanted: str | None) -> bool:
    file = run.folder / name
    return wanted is not None and not (file.is_file() and hash_file(file) == wanted)
