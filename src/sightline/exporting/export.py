"""The ``classifier`` folder: everything that ships, under its final name only when it is whole and proved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch, ModelError, RunError
from sightline.exporting.formats import Format, find_format
from sightline.exporting.parity import Exportable, ParityProof, prove_parity, see_images
from sightline.pixels.containers import Place
from sightline.runs.safe_files import named_writes, replace_folder, write_bytes, write_text
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import MODEL_FILE

__all__ = ["export_classifier"]


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

    squares = see_images(bundle.preprocess, files)

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
            results[format.name] = _write_proved(format, graph, bundle, scratch / format.file, squares)
        except ExportMismatch as error:
            (scratch / format.file).unlink(missing_ok=True)
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


def _write_proved(
    format: Format, graph: Exportable, bundle: Bundle, path: Path, squares: npt.NDArray[np.uint8]
) -> ParityProof:
    """Write a file by the first of the format's exporters whose file decides as the network does."""

    def write_by(name: str) -> ParityProof:
        format.write(graph, bundle, path, name)
        return replace(prove_parity(graph, format.open(path), squares), exporter=name)

    *others, last = format.exporters(graph)
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
