"""The only door to onnxruntime: every file of Sightline opens its sessions here."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import InputError
from sightline.machine import usable_threads

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["CPU", "INPUT", "OUTPUTS", "fold_graph", "infer_shapes", "open_session", "quantisation"]

INPUT = "pixels"  # [N, size, size, 3] uint8
OUTPUTS = ("probabilities", "features", "novelty")  # [N, K], [N, D] and [N], float32
CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3
_ONNX_ONLY = ("session.load_model_format", "ONNX")  # else a file may say that it is of a format of onnxruntime's own
# Threads that wait for the next operator sleep. On two busy cores the carried network computed 42 images of 224 px a
# second so, and 35 while they turned in circles (57 and 31 in batches of one), in 13 and 19 ms of processor time each.
_ASLEEP = ("session.intra_op.allow_spinning", "0")
_FOLDED = 2**20  # bytes of a constant that shapes may be computed from


def open_session(model: bytes, *, threads: int = 0, providers: Sequence[str] = (CPU,)) -> onnxruntime.InferenceSession:
    """Open a graph for inference.

    Args:
        model: content of an ONNX file.
        threads: of one run; 0: one a physical core, or fewer where this process may use fewer.
        providers: onnxruntime's names of what may compute, the preferred one first; those after it take what it can't.

    Raises:
        InputError: if a provider is not in the installed onnxruntime, or the first one doesn't start on this machine.
        Exception: whatever onnxruntime raises for a damaged file; it has types of its own.

    Example:
        ``open_session(Path("model.onnx").read_bytes()).run(["probabilities"], {"pixels": squares})``
    """
    library = _library()
    here = library.get_available_providers()
    cure = f"choose among {', '.join(here)}, or install the onnxruntime that has it"
    absent = [name for name in providers if name not in here]
    if absent or not providers:
        raise InputError("predict.provider", f"the installed onnxruntime has no {', '.join(absent) or '[]'}", cure)
    options = library.SessionOptions()
    # onnxruntime counts the machine's cores itself, and knows nothing of quotas and affinities.
    usable = usable_threads()
    options.intra_op_num_threads = threads or (usable if usable < (os.cpu_count() or 1) else 0)
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry(*_ONNX_ONLY)
    options.add_session_config_entry(*_ASLEEP)
    session: onnxruntime.InferenceSession = library.InferenceSession(model, options, providers=list(providers))
    if session.get_providers()[0] != providers[0]:  # its libraries don't load: onnxruntime goes on with the next one
        raise InputError("predict.provider", f"{providers[0]} does not start on this machine", cure)
    return session


def infer_shapes(graph: bytes, *, fold: bool) -> dict[str, tuple[str, list[int | str | None]]]:
    """Return name -> (type, sides) of the outputs of a graph, without a run; a side that is not known is no integer.

    Args:
        graph: content of an ONNX file; all its weights may be inputs.
        fold: compute what follows from small constants, which takes a little longer and leaves fewer sides unknown.

    Raises:
        Exception: as for :func:`open_session`.
    """
    library = _library()
    options = library.SessionOptions()
    levels = library.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_BASIC if fold else levels.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry(*_ONNX_ONLY)
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(_FOLDED))
    session = library.InferenceSession(graph, options, providers=[CPU])
    return {output.name: (output.type, output.shape) for output in session.get_outputs()}


def fold_graph(model: bytes, batch: str, count: int) -> bytes:
    """Return a graph in which all that does not depend on the pixels is computed: paddings, shapes, batch norms.

    Args:
        model: content of an ONNX file.
        batch: name of the axis of images.
        count: images that it is folded for. Shapes of so many may stand in the result: whoever uses it for others
            must see that it computes the same.

    Raises:
        Exception: as for :func:`open_session`.
    """
    library = _library()
    options = library.SessionOptions()
    options.graph_optimization_level = library.GraphOptimizationLevel.ORT_ENABLE_BASIC  # ONNX's own operators alone
    options.log_severity_level = _ERRORS_ONLY
    options.add_session_config_entry(*_ONNX_ONLY)
    options.add_free_dimension_override_by_name(batch, count)
    with tempfile.TemporaryDirectory(prefix="sightline-") as folder:
        path = Path(folder) / "folded.onnx"
        options.optimized_model_filepath = str(path)
        library.InferenceSession(model, options, providers=[CPU])
        return path.read_bytes()


def quantisation() -> Any:
    """Return onnxruntime's package that rewrites graphs for int8; it needs onnx."""
    _library()
    import onnxruntime.quantization

    return onnxruntime.quantization


def _library() -> Any:
    """Return the module, which is slow to import."""
    import onnxruntime

    return onnxruntime
