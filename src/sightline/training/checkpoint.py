"""Checkpoints: folders of safetensors and JSON that are whole or not there.

A folder is written under a temporary name; its manifest of sha256 sums comes last; one rename makes it valid.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from sightline.errors import RunError
from sightline.runs.files import recover_folder, replace_folder, write_bytes, write_json

__all__ = ["load_checkpoint", "save_checkpoint"]

_WEIGHTS, _FACTS, _MANIFEST = "model.safetensors", "facts.json", "manifest.json"


def save_checkpoint(folder: Path, network: nn.Module, facts: dict[str, Any]) -> None:
    """Write a network's weights and some facts as ``folder``, replacing an older one at the end.

    Raises:
        RunError: if the disk is full or can't be written; the older checkpoint is still there.
    """
    from safetensors.torch import save

    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        data = {
            _WEIGHTS: save({name: value.cpu().contiguous() for name, value in network.state_dict().items()}),
            _FACTS: json.dumps(facts, allow_nan=False).encode(),
        }
        for name, content in data.items():
            write_bytes(scratch / name, content)
        write_json(scratch / _MANIFEST, {name: hashlib.sha256(content).hexdigest() for name, content in data.items()})
        replace_folder(scratch, folder)
    except OSError as error:
        raise RunError("run.write", f"{folder} can't be written: {error.strerror}", "free some space") from error
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def load_checkpoint(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return (weights, facts) of a checkpoint, after comparing every byte with its manifest.

    Where a crash fell between the two renames of ``save_checkpoint``, the one before is read.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    from safetensors.torch import load

    found = recover_folder(folder)
    try:
        manifest: dict[str, str] = json.loads((found / _MANIFEST).read_text())
        data = {name: (found / name).read_bytes() for name in (_WEIGHTS, _FACTS)}
    except (OSError, ValueError) as error:
        raise RunError(
            "run.no-checkpoint",
            f"{folder} holds no checkpoint",
            "train again; it was stopped before its first epoch ended",
        ) from error
    for name, content in data.items():
        if hashlib.sha256(content).hexdigest() != manifest.get(name):
            raise RunError("run.damaged-checkpoint", f"{found / name} is damaged: its sha256 differs", "train again")
    return load(data[_WEIGHTS]), json.loads(data[_FACTS])
