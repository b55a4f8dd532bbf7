"""Checkpoints on the disk: folders of files that are complete or absent.

A folder is written under a temporary name; its manifest of sha256 sums is written last, and one rename makes it valid.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sightline.errors import RunError
from sightline.runs.safe_files import parse_json, read_json, recover_folder, replace_folder, write_bytes, write_json

__all__ = ["ABSENT", "read_checkpoint", "write_checkpoint"]

_FACTS, _MANIFEST = "facts.json", "manifest.json"
ABSENT = "run.no-checkpoint"


def write_checkpoint(folder: Path, files: Mapping[str, bytes], facts: dict[str, Any], *, keep: bool = False) -> None:
    """Write files and some facts as ``folder``, replacing an older one at the end.

    Args:
        folder: of the checkpoint.
        files: name -> content.
        facts: plain values; no NaN.
        keep: whether to keep the older one as ``NAME.previous``.

    Raises:
        RunError: if the disk is full or can't be written; the older checkpoint is still there.

    Example:
        ``write_checkpoint(run.best_checkpoint, {"model.safetensors": content}, {"epoch": 0})``
    """
    scratch = folder.with_name(f"{folder.name}.tmp")
    shutil.rmtree(scratch, ignore_errors=True)
    try:
        contents = {**files, _FACTS: json.dumps(facts, allow_nan=False).encode()}
        for name, content in contents.items():
            write_bytes(scratch / name, content)
        sums = {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
        write_json(scratch / _MANIFEST, sums)
        replace_folder(scratch, folder, keep=keep)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_checkpoint(folder: Path) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return (files, facts) of a checkpoint, after comparing every byte with its manifest.

    After a crash between the two renames of ``write_checkpoint``, the previous one is read.

    Raises:
        RunError: if there is none, or it is damaged.
    """
    recover_folder(folder)
    try:
        manifest: dict[str, str] = read_json(folder / _MANIFEST)
        if any(Path(name).name != name for name in manifest):
            raise ValueError("its manifest names files outside of it")
        files = {name: (folder / name).read_bytes() for name in manifest}
        content = files.pop(_FACTS)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        cure = "train again; the training was stopped before its first epoch ended"
        raise RunError(ABSENT, f"{folder} has no checkpoint", cure) from error
    for name, found in (*files.items(), (_FACTS, content)):
        if hashlib.sha256(found).hexdigest() != manifest[name]:
            raise RunError("run.damaged-checkpoint", f"{folder / name} is damaged: its sha256 differs", "train again")
    return files, parse_json(content)
