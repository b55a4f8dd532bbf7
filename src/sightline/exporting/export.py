"""The ``classifier`` folder: everything that ships, under its final name only when it is whole and proved."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.errors import ExportMismatch, RunError
from sightline.exporting.onnx_format import EXPORTERS, Exporter, write_onnx
from sightline.exporting.parity import ParityProof, prove_parity, see_images
from sightline.networks.onnx_graph import Graph
from sightline.pixels.containers import Place
from sightline.runs.safe_files import named_writes, replace_folder, write_bytes, write_text
from sightline.runtime.bundle import Bundle
from sightline.runtime.classifier import MODEL_FILE, Classifier

__all__ = ["export_classifier"]


def export_classifier(graph: Graph, bundle: Bundle, folder: Path, files: Sequence[Place]) -> ParityProof:
    """Write ``model.safetensors``, ``classifier.json``, ``classes.txt`` and a proved ``model.onnx``.

    Args:
        graph: the network as trained, with its calibration; it is taken to the CPU.
        bundle: what belongs to it.
        folder: the ``classifier`` folder; replaced as a whole.
        files: real images for the proof.

    Raises:
        DataError: if none of the images can be read; nothing is changed then.
        ExportMismatch: if the ONNX file can't be made or decides otherwise. It is not in the folder then, and
            the rest is; an older folder with a proved file is left as it is.
    """
    from safetensors.torch import save

    squares = see_images(bundle.preprocess, files)

    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    with named_writes(scratch):
        scratch.mkdir(parents=True)
    graph = graph.eval().cpu()
    weights = {name: value.contiguous() for name, value in graph.network.state_dict().items()}
    write_bytes(scratch / "model.safetensors", save(weights, metadata={"format": "pt"}))
    write_text(scratch / "classifier.json", bundle.to_json() + "\n")
    write_text(scratch / "classes.txt", "".join(f"{name}\n" for name in bundle.classes))
    failure: ExportMismatch | None = None
    proof = None
    try:
        proof = _write_proved(graph, bundle, scratch / MODEL_FILE, squares)
    except ExportMismatch as error:
        (scratch / MODEL_FILE).unlink(missing_ok=True)
        failure = error
    if failure is not None and (folder / MODEL_FILE).is_file():
        shutil.rmtree(scratch, ignore_errors=True)
        raise failure
    replace_folder(scratch, folder)
    if failure is not None:
        raise failure
    assert proof is not None
    return proof


def _write_proved(graph: Graph, bundle: Bundle, path: Path, squares: npt.NDArray[np.uint8]) -> ParityProof:
    """Write ``model.onnx`` by the first exporter whose file decides as the network does."""
    *others, last = EXPORTERS
    for exporter in others:
        try:
            return _write_by(exporter, graph, bundle, path, squares)
        except RunError:  # a full disk
            raise
        except Exception:  # torch and onnxruntime raise types of their own for a graph that is wrong
            continue  # it can't do this network, or is no longer in torch; the next one is slower
    return _write_by(last, graph, bundle, path, squares)


def _write_by(
    exporter: Exporter, graph: Graph, bundle: Bundle, path: Path, squares: npt.NDArray[np.uint8]
) -> ParityProof:
    write_onnx(graph, bundle, path, exporter)
    return replace(prove_parity(graph, Classifier.open(path), squares), exporter=exporter)
