"""Folders of a run that are put back as they were where what replaces their files is stopped halfway."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sightline.runs.safe_files import named_writes, replace_folder

__all__ = ["put_back_unless_done"]


@contextmanager
def put_back_unless_done(folders: Sequence[Path]) -> Iterator[None]:
    """Put folders back as they were where the block fails or is interrupted.

    Their files are kept under a second name meanwhile, ``NAME-before.tmp``, which takes no room where the disk has
    hard links. That is enough, since a run's files are replaced and never written over.

    Args:
        folders: one that is not there yet is left as the block leaves it.

    Raises:
        RunError: if the disk can't be written; nothing is changed then.

    Example:
        ``with put_back_unless_done([run.classifier_folder]): ...``
    """
    kept = {folder: folder.with_name(f"{folder.name}-before.tmp") for folder in folders if folder.is_dir()}
    try:
        for folder, copy in kept.items():
            shutil.rmtree(copy, ignore_errors=True)
            with named_writes(copy):
                shutil.copytree(folder, copy, copy_function=_link)
        try:
            yield
        except BaseException:
            for folder, copy in kept.items():
                replace_folder(copy, folder)
            raise
    finally:
        for copy in kept.values():
            shutil.rmtree(copy, ignore_errors=True)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # a disk without hard links
        shutil.copy2(source, target)
