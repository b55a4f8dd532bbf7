"""The ``classifier`` folder: everything that ships, under its final name only when it is whole and proved."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.errors import DataError, ExportMismatch, InputError, ModelError, RunError
from sightline.exporting.doors import prove_door
from sightline.exporting.formats import Format, find_format
from sightline.exporting.made_images import make_images
from sightline.exporting.parity import Exportable, prove_parity, see_images
from sightline.exporting.proof import ParityProof, Unproved
from sightline.exporting.shipped import Shipped
from sightline.pixels.containers import Place
from sightline.runs.safe_files import named_writes, replace_folder, write_bytes, write_text
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import MODEL_FILE

__all__ = ["convert_classifier", "export_classifier"]

_OF_OLDER = {Path("config.json"), Path("model.safetensors")}  # that a folder has only by some exporters


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What formats are proved on: real images as files and as squares."""

    files: Sequence[Place]
    squares: npt.NDArray[np.uint8]


def export_classifier(
    graph: Exportable, bundle: Bundle, folder: Path, files: Sequence[Place], formats: Sequence[str] = ("onnx",)
) -> dict[str, ParityProof | ExportMismatch]:
    """Write ``model.safetensors``, ``classifier.json``, ``classes.txt`` and a proved file of each format.

    Args:
        graph: the network as trained, with its calibration.
        bundle: what belongs to it.
        folder: the ``classifier`` folder; replaced as a whole, so that all in it is of one network.
        files: real images for the proof.
        formats: names of ``FORMATS``, ``onnx`` first.

    Returns:
        The proof of each format; of a further one, why it is not in the folder.

    Raises:
        DataError: if none of the images can be read; nothing is changed then.
        ExportMismatch: if ``model.onnx`` can't be made or predicts differently. Then no model file is in the folder,
            and the rest is; an older folder with a proved ``model.onnx`` is left as it is.
    """
    from safetensors.numpy import save

    evidence = _Evidence(files, see_images(bundle.preprocess, files))

    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    with named_writes(scratch):
        scratch.mkdir(parents=True)
    write_bytes(scratch / "model.safetensors", save(graph.tensors(), metadata={"format": "pt"}))
    write_text(scratch / "classifier.json", bundle.to_json() + "\n")
    write_text(scratch / "classes.txt", "".join(f"{name}\n" for name in bundle.classes))
    results: dict[str, ParityProof | ExportMismatch] = {}
    first, *further = map(find_format, formats)
    for format in (first, *further):
        try:
            source = graph if format.source == "network" else Shipped.open(scratch / MODEL_FILE)
            results[format.name] = _write_proved(format, source, graph, bundle, scratch / format.file, evidence)
        except ExportMismatch as error:
            _remove(scratch / format.file)
            results[format.name] = error
            if format is first:
                break
    failure = results[first.name]
    is_failed = isinstance(failure, ExportMismatch)
    if is_failed and (folder / MODEL_FILE).is_file():
        shutil.rmtree(scratch, ignore_errors=True)
    else:
        replace_folder(scratch, folder)
    if isinstance(failure, ExportMismatch):
        raise failure
    return results


def convert_classifier(shipped: Shipped, format: Format, target: Path, files: Sequence[Place]) -> ParityProof:
    """Write a format of a classifier that ships, from its ``model.onnx`` alone; proved against that.

    Args:
        shipped: the classifier.
        format: whose ``source`` is ``model``.
        target: the file, or the folder, of that format; replaced when the new one is proved.
        files: real images for the proof; without any that can be read it is proved on those made in code.

    Raises:
        ExportMismatch: if it can't be written, or predicts differently. Then ``target`` is as it was.
        InputError: if ``target`` is something else than an older export.
        RunError: if the disk can't be written.
    """
    bundle = shipped.classifier.bundle
    try:
        squares = see_images(bundle.preprocess, files)
    except DataError:
        squares, files = see_images(bundle.preprocess, list(make_images(bundle.preprocess.size).values())), []
    with named_writes(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.", suffix=".tmp", dir=target.parent))
    try:
        made = scratch / format.file
        proof = _write_proved(format, shipped, shipped, bundle, made, _Evidence(files, squares))
        _refuse_others(target, made)
        if made.is_dir():
            replace_folder(made, target)
        else:
            with named_writes(target):
                made.replace(target)
        return proof
    finally:
        _remove(scratch)


def _refuse_others(target: Path, made: Path) -> None:
    """Raise ``InputError`` where something else than an older export would be replaced.

    That is a folder with other files than an export has, and a file that has not the format's own name.
    """
    cure = "name a new file or folder with --out"
    if target.is_dir() and made.is_dir():
        known = {path.relative_to(made) for path in made.rglob("*")} | _OF_OLDER
        others = sorted(path for path in target.rglob("*") if path.relative_to(target) not in known)
        if others:
            raise InputError("export.output", f"{target} holds other files, such as {others[0].name}", cure)
    elif target.exists() and (target.is_dir() or made.is_dir() or target.name != made.name):
        raise InputError("export.output", f"{target} is there already, and no older export of this format", cure)


def _write_proved(
    format: Format, source: Exportable, network: Exportable, bundle: Bundle, path: Path, evidence: _Evidence
) -> ParityProof:
    """Write a file by the first of the format's exporters whose file decides as the network does."""

    def write_by(name: str) -> ParityProof:
        format.write(source, bundle, path, name)
        return replace(_prove(format, network, bundle, path, evidence), exporter=name)

    *others, last = format.exporters(source)
    for name in others:
        try:
            return write_by(name)
        except RunError:  # a full disk
            raise
        except Exception:  # the libraries raise types of their own for a graph that is wrong
            continue  # it can't do this network, or is no longer there; the next one is slower
    try:
        return write_by(last)
    except ModelError as error:  # the file can't be opened, or answers with NaN, as the network does
        cure = "report this with the network's name; the file was withdrawn, model.safetensors is kept"
        raise ExportMismatch("export.mismatch", f"the exported file can't be used: {error.message}", cure) from error


def _prove(format: Format, network: Exportable, bundle: Bundle, path: Path, evidence: _Evidence) -> ParityProof:
    try:
        runner = format.open(path)
    except Unproved as reason:
        return ParityProof(0, (), 0.0, 0, unproved=str(reason))
    if format.takes == "squares":
        return prove_parity(network, runner, evidence.squares)
    made = make_images(bundle.preprocess.size)
    door = prove_door(network, runner, bundle.preprocess, evidence.squares, evidence.files, made)
    return ParityProof(door.images, (1,), door.max_difference, door.ties, door=door)


def _remove(path: Path) -> None:
    """Remove a file, or a folder, where there is one."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
