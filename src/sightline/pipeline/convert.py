"""A further format of a classifier that ships, made from its ``model.onnx``: no training, no torch, no evaluation."""

from __future__ import annotations

import shlex
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import InputError
from sightline.events import Event, StageEnded, StageStarted
from sightline.installation import require_extra
from sightline.pipeline.shipping import export_files
from sightline.pixels.containers import Place
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run
from sightline.runs.lock import lock_run
from sightline.runs.lookup import run_of_classifier
from sightline.runs.targets import refuse_folder_target
from sightline.runs.unchanged import hash_file, refuse_changed
from sightline.runs.writer import RunWriter

if TYPE_CHECKING:
    from sightline.exporting.proof import ParityProof

__all__ = ["Exported", "convert_model", "is_converted"]


@dataclass(frozen=True, slots=True)
class Exported:
    """A file, or a folder, of an export format.

    Attributes:
        format: its name.
        path: where it is.
        proof: how it compares with the classifier that it was made from.
    """

    format: str
    path: Path
    proof: ParityProof

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as JSON-able values."""
        return {"format": self.format, "path": str(self.path), "proof": self.proof.to_dict()}


def is_converted(format: str) -> bool:
    """Tell whether a format is made from ``model.onnx`` alone.

    Raises:
        InputError: if there is no such format.
        MissingExtra: without the ``[light]`` extra.
    """
    require_extra("light", "exporting")
    from sightline.exporting.formats import find_format

    return find_format(format).source == "model"


def convert_model(
    model: Path, format: str, *, out: str | Path = "", files: Sequence[Place] = (), run: Run | None = None
) -> Generator[Event, None, Exported]:
    """Write a further format of a ``model.onnx``, proved against it on real images.

    Args:
        model: the file; of a run, its images are what the format is proved on, and ``run.json`` records the proof.
        format: of ``FORMATS``, made from ``model.onnx``.
        out: the file, or folder, to write; empty: beside ``model.onnx`` under the format's usual name.
        files: images for the proof, in place of a run's.
        run: that the model is of, where its images lie elsewhere now; None: the one that the file lies in, if any.

    Raises:
        InputError: if there is no such format, or it is not made from ``model.onnx``.
        MissingExtra: if what writes it is not installed.
        ExportMismatch: if it can't be made, or predicts differently; nothing is changed then.
    """
    if not is_converted(format):
        cure = f"give the run's folder: sightline export RUN --format {shlex.quote(format)}"
        raise InputError(
            "export.needs-run", f"{format} is made of the trained network, not of a model.onnx alone", cure
        )
    from sightline.exporting.export import convert_classifier
    from sightline.exporting.formats import find_format
    from sightline.exporting.shipped import Shipped

    row = find_format(format)
    require_extra(row.extra, f"exporting to {format}")
    run = run or run_of_classifier(model)
    is_inside = run is not None and not str(out)
    target = Path(out) if str(out) else model.with_name(row.file)
    with ExitStack() as stack:
        if run is not None and is_inside:
            refuse_folder_target(run.folder, "export a copy of the run's folder")
            stack.enter_context(lock_run(run.folder))
        if run is not None:
            refuse_changed(run, model)
        yield StageStarted("Exporting", f"{target}, compared with {model.name} on real images")
        start = time.monotonic()
        chosen = files or ([] if run is None else _images_of(run))
        proof = convert_classifier(Shipped.open(model), row, target, chosen)
        if run is not None and is_inside:
            _record(run, row.name, row.file, proof)
    yield StageEnded("Exporting", proof.words(), time.monotonic() - start)
    return Exported(format, target, proof)


def _images_of(run: Run) -> list[Place]:
    if not (run.samples_file.is_file() and run.split_file.is_file()):
        return []
    return export_files(*read_dataset(run))


def _record(run: Run, name: str, file: str, proof: ParityProof) -> None:
    facts = run.recorded_facts
    export = dict(facts.get("export", {}))
    export["formats"] = {**export.get("formats", {}), name: {"file": file, **proof.to_dict()}}
    recorded = facts.get("files")
    if not isinstance(recorded, dict):
        RunWriter(run, facts).update(export=export)
        return
    target = run.classifier_folder / file
    inside = [path for path in sorted(target.rglob("*")) if path.is_file()] if target.is_dir() else [target]
    where = target.relative_to(run.folder).as_posix()
    kept = {name: digest for name, digest in recorded.items() if name != where and not name.startswith(f"{where}/")}
    made = {path.relative_to(run.folder).as_posix(): hash_file(path) for path in inside}
    RunWriter(run, facts).update(export=export, files={**kept, **made})
