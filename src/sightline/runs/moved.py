"""Runs whose images lie elsewhere now: found again by content, or said to be gone before anything is written anew."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path

import numpy as np

from sightline.errors import RunError, UnreadableImage
from sightline.pixels.containers import Member, Place, place_of
from sightline.pixels.file_bytes import read_bytes
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run

__all__ = ["digest_of", "gone_images", "open_moved", "refuse_gone"]

_LOOKED_AT = 16  # images whose content is compared, drawn evenly


def open_moved(run: Run, moved_to: str | Path) -> Run:
    """Return a run that looks for its images in another folder; what it recorded stays as it is.

    Args:
        run: as it was recorded.
        moved_to: folder that holds now what the run's data folder held, below it as before; empty: they did not move.

    Raises:
        RunError: if none of some images of the run is there with the content that was recorded.
    """
    if not str(moved_to):
        return run
    root = Path(moved_to)
    root = (root.parent if root.is_file() else root).resolve()
    parts = _with_data(run)
    if not parts:
        return Run(run.folder, moved_to=root)
    samples, _ = read_dataset(parts[0])
    known = np.flatnonzero(samples.is_ok & (samples.digests != ""))
    rows = known[np.linspace(0, len(known) - 1, min(len(known), _LOOKED_AT)).astype(int)]
    if not any(digest_of(place_of(root, str(samples.paths[row])))[0] == samples.digests[row] for row in rows):
        example = f", such as {samples.paths[rows[0]]}" if len(rows) else ""
        message = f"{moved_to} does not hold the images of {run.folder}: none is there as it was{example}"
        cure = f"name the folder that holds now what lay in {samples.root}"
        raise RunError("run.other-images", message, cure)
    return Run(run.folder, moved_to=root)


def digest_of(place: Place) -> tuple[str, str]:
    """Return the sha256 of an image's bytes, and why there is none, one of the two empty.

    Args:
        place: a file, or an image in a container.

    Example:
        >>> digest_of(Path("no-such-file.png"))
        ('', 'no such file')
    """
    try:
        return hashlib.sha256(read_bytes(place)).hexdigest(), ""
    except UnreadableImage as error:
        return "", error.reason


def gone_images(run: Run, parts: tuple[str, ...] = ()) -> tuple[int, int]:
    """Return how many measured images of a run have no file any more, and how many it measured.

    Args:
        run: whose images are looked for.
        parts: of the split, that count as measured beside the one that the headline is of.
    """
    places: set[Place] = set()
    for one in _with_data(run):
        samples, split = read_dataset(one)
        rows = np.concatenate([split.rows(part) for part in {split.headline, *parts}])
        places |= {place_of(samples.root, str(samples.paths[row])) for row in rows[samples.is_ok[rows]]}
    return sum(not _is_there(place) for place in places), len(places)


def refuse_gone(run: Run, command: str, *, least: int = 1, parts: tuple[str, ...] = ()) -> None:
    """Refuse a run where at least so many measured images have no file any more.

    Args:
        run: whose images are wanted.
        command: what takes ``--data``, as it is typed.
        least: images; 0: all of them.
        parts: as for :func:`gone_images`.

    Raises:
        RunError: naming how many are gone, and the folder.
    """
    gone, count = gone_images(run, parts)
    if gone >= (least or count) and gone:
        message = f"{gone:,} of {count:,} measured images of {run.folder} are no longer in {run.facts['data_root']}"
        typed = f"{command} {shlex.quote(str(run.folder))}"
        cure = f"if they moved: sightline {typed} --data FOLDER"
        if least:
            cure += f"; to go on without them: sightline {typed} --without-images"
        raise RunError("run.images-gone", message, cure)


def _with_data(run: Run) -> list[Run]:
    """Return the run, or those inside that measure a recipe together: they have tables of images."""
    runs = run.parts if run.is_repeated else [run]
    return [one for one in runs if one.samples_file.is_file() and one.split_file.is_file()]


def _is_there(place: Place) -> bool:
    return (place.container if isinstance(place, Member) else place).exists()
