"""Checkpoints of tensors: a network, or the whole state of a training."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from sightline.errors import RunError
from sightline.runs.checkpoint_files import ABSENT, read_checkpoint, write_checkpoint
from sightline.runs.safe_files import previous_folder, recover_folder

__all__ = [
    "Tensors",
    "keep_best_of",
    "load_checkpoint",
    "load_newest",
    "pack_checkpoint",
    "save_checkpoint",
    "unpack_checkpoint",
]

_FACTS = "facts.json"

Tensors = Mapping[str, Mapping[str, Tensor]]  # file name without its extension -> name -> tensor


def save_checkpoint(folder: Path, tensors: Tensors, facts: dict[str, Any], *, keep: bool = False) -> None:
    """Write tensors and some facts as ``folder``, replacing an older one at the end.

    Args:
        folder: of the checkpoint.
        tensors: a safetensors file each, such as ``{"model": network.state_dict()}``.
        facts: plain values; no NaN.
        keep: whether to keep the older one as ``NAME.previous``.

    Raises:
        RunError: if the disk is full or can't be written; the older checkpoint is still there.
    """
    from safetensors.torch import save

    files = {
        f"{group}.safetensors": save({name: value.detach().cpu().contiguous() for name, value in named.items()})
        for group, named in tensors.items()
    }
    write_checkpoint(folder, files, facts, keep=keep)


def pack_checkpoint(tensors: Tensors, facts: dict[str, Any]) -> bytes:
    """Return the contents of a checkpoint as one safetensors file, to send to other processes."""
    from safetensors.torch import save

    flat = {f"{group}/{name}": value for group, named in tensors.items() for name, value in named.items()}
    content = {name: value.detach().cpu().contiguous() for name, value in flat.items()}
    return save(content, {_FACTS: json.dumps(facts)})


def unpack_checkpoint(content: bytes) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return (tensors, facts) of ``pack_checkpoint``."""
    from safetensors.torch import load

    length = int.from_bytes(content[:8], "little")  # of the header, which holds the facts as text
    facts = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][_FACTS])
    tensors: dict[str, dict[str, Tensor]] = {}
    for key, value in load(content).items():
        group, _, name = key.partition("/")
        tensors.setdefault(group, {})[name] = value
    return tensors, facts


def load_checkpoint(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Return (tensors, facts) of a checkpoint, after comparing every byte with its manifest.

    After a crash between the two renames of ``save_checkpoint``, the previous one is read.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    return _load(folder)


def load_newest(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any], str] | None:
    """Return (tensors, facts, what is wrong with a newer one) of the newest complete checkpoint, or None.

    The newest is ``folder``, or the one kept before it.

    Raises:
        RunError: if there are some, and all are damaged.
    """
    wrong: RunError | None = None
    for found in (recover_folder(folder), previous_folder(folder)):
        try:
            return *_load(found), "" if wrong is None else wrong.message
        except RunError as error:
            if error.code != ABSENT or found.is_dir():
                wrong = wrong or error
    if wrong is not None:
        raise wrong
    return None


def keep_best_of(folder: Path, epoch: int | None) -> None:
    """Restore the checkpoint of the best epoch that a resumed state knows, and discard later ones.

    Args:
        folder: of the best epoch; the previous best is kept beside it.
        epoch: the best that the state knows; None if there was none yet.
    """
    for found in (recover_folder(folder), previous_folder(folder)):
        try:
            is_right = epoch is not None and _load(found)[1]["epoch"] == epoch
        except RunError:
            continue
        if is_right:
            if found != folder:
                shutil.rmtree(folder, ignore_errors=True)
                recover_folder(folder)
            return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(previous_folder(folder), ignore_errors=True)


def _load(folder: Path) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    from safetensors.torch import load

    files, facts = read_checkpoint(folder)
    return {name.removesuffix(".safetensors"): load(found) for name, found in files.items()}, facts
