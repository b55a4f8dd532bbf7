"""The only door to onnxruntime: every file of Sightline opens its sessions here."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sightline.errors import InputError
from sightline.machine import usable_threads

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["CPU", "INPUT", "OUTPUTS", "open_session"]

INPUT = "pixels"  # [N, size, size, 3] uint8
OUTPUTS = ("probabilities", "features", "novelty")  # [N, K], [N, D] and [N], float32
CPU = "CPUExecutionProvider"
_ERRORS_ONLY = 3


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
    import onnxruntime

    here = onnxruntime.get_available_providers()
    cure = f"choose among {', '.join(here)}, or install the onnxruntime that has it"
    absent = [name for name in providers if name not in here]
    if absent or not providers:
        raise InputError("predict.provider", f"the installed onnxruntime has no {', '.join(absent) or '[]'}", cure)
    options = onnxruntime.SessionOptions()
    # onnxruntime counts the machine's cores itself, and knows nothing of quotas and affinities.
    usable = usable_threads()
    options.intra_op_num_threads = threads or (usable if usable < (os.cpu_count() or 1) else 0)
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(model, options, providers=list(providers))
    if session.get_providers()[0] != providers[0]:  # its libraries don't load: onnxruntime goes on with the next one
        raise InputError("predict.provider", f"{providers[0]} does not start on this machine", cure)
    return session
