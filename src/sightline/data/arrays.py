"""Images in memory: a numpy array of them, and their labels.

They are stored once in the user's cache folder, as ``arrays/SHA256.npy``, and read from there like any other source,
so that the images of a run can be read again.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder
from sightline.data.found import Found, Row, class_name
from sightline.data.tables import refuse_several_labels
from sightline.errors import DataError
from sightline.pixels.containers import MARK

__all__ = ["read_arrays"]

_DEPTHS = (10, 12, 14)  # bits of cameras and scanners whose values are stored in 16


def read_arrays(images: Any, labels: Any, source: str) -> Found:
    """Store images and return where they are.

    Args:
        images: ``uint8``, ``[N, H, W]`` or ``[N, H, W, 3]`` (RGB).
        labels: ``[N]``: names or numbers.
        source: what to call them.

    Raises:
        DataError: if they have another form, or can't be stored.
    """
    pixels = np.asarray(images)
    if pixels.dtype != np.uint8 or pixels.ndim not in (3, 4) or pixels.shape[3:] not in ((), (1,), (3,)):
        what = f"images are {pixels.dtype} of shape {list(pixels.shape)}{_range_of(pixels)}"
        raise DataError("data.array", f"{what}; they must be uint8 of [N, H, W] or [N, H, W, 3]", _cure(pixels))
    names = _names(labels)
    if len(names) != len(pixels):
        text = f"there are {len(pixels):,} images but {len(names):,} labels"
        raise DataError("data.array", text, "give one label for each image")
    if pixels.size == 0:
        return Found(cache_folder(), source, [])
    file = _store(np.ascontiguousarray(pixels))
    rows = [Row(f"{file.name}{MARK}{row}", class_name(name), spelling=name) for row, name in enumerate(names)]
    return Found(file.parent, source, rows)


def _range_of(pixels: npt.NDArray[Any]) -> str:
    if pixels.dtype == np.uint8 or pixels.dtype.kind not in "fiub" or not np.isfinite(pixels).any():
        return ""
    return f" with values from {np.nanmin(pixels):g} to {np.nanmax(pixels):g}"


def _cure(pixels: npt.NDArray[Any]) -> str:
    """Return what to type for these arrays: their axes and their values each have a cure of their own."""
    channels = pixels.shape[1:2] if pixels.ndim == 4 else ()
    turn = ".transpose(0, 2, 3, 1)" if channels in ((1,), (3,), (4,)) and pixels.shape[3] not in (1, 3, 4) else ""
    last = pixels.shape[1] if turn else pixels.shape[-1]
    cut = "[..., :3]" if pixels.ndim == 4 and last == 4 else "[..., :1]" if pixels.ndim == 4 and last == 2 else ""
    if pixels.ndim not in (3, 4) or (not turn and not cut and pixels.ndim == 4 and last not in (1, 3)):
        return "give one array of [N, H, W] or [N, H, W, 3]: the images first, then rows, columns, and channels last"
    values = _values_cure(pixels, f"images{turn}{cut}")
    return f"images = {values}" if values else "scale the values to 0..255 by hand: NaN or no numbers are among them"


def _values_cure(pixels: npt.NDArray[Any], images: str) -> str:
    """Return the expression that makes values ``uint8``; empty where they can't be told."""
    kind = pixels.dtype.kind
    if pixels.dtype == np.uint8 or not pixels.size:
        return f"{images}.astype('uint8')" if not pixels.size else images
    if kind == "b":
        return f"{images}.astype('uint8') * 255"
    low, high = (float(function(pixels)) for function in (np.min, np.max)) if kind in "fiu" else (np.nan, np.nan)
    if not np.isfinite(high - low):
        return ""
    if low < 0:  # normalised: what was subtracted and divided by is not known
        return f"(({images} - {low:.8g}) * (255 / {high - low:.8g})).round().astype('uint8')"
    if kind == "f" and high <= 1:
        return f"({images} * 255).round().astype('uint8')"
    if high <= 255:
        return f"{images}.round().astype('uint8')" if kind == "f" else f"{images}.astype('uint8')"
    if high <= 65_535 and (kind == "f" or pixels.dtype == np.uint16):
        bits = next((bits for bits in _DEPTHS if high < 2**bits), 0)
        if bits:
            most = 2**bits - 1
            return f"({images} * (255 / {most})).round().astype('uint8')  # for {bits} bits: values of 0 to {most}"
        return f"({images} / 257).round().astype('uint8')"
    return f"({images} * (255 / {high:.8g})).round().astype('uint8')"


def _names(labels: Any) -> list[str]:
    if isinstance(labels, list | tuple):
        for number, label in enumerate(labels):
            refuse_several_labels(label, f"image {number}")
    values = np.asarray(labels)
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1:
        refuse_several_labels(values[:1].tolist(), "the array of labels")
    names = [_text(value) for value in values.tolist()]
    missing = [number for number, name in enumerate(names) if not class_name(name)]
    if missing:
        message = f"{len(missing):,} of {len(names):,} labels are missing, first that of image {missing[0]}"
        raise DataError("data.array", message, "give each image a label, or leave it out")
    return names


def _text(value: Any) -> str:
    """Return a label as text; None and NaN count as missing."""
    if value is None or value != value:
        return ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _store(pixels: npt.NDArray[np.uint8]) -> Path:
    shape = repr(pixels.shape).encode()
    key = hashlib.sha256(shape + hashlib.sha256(pixels.data).digest()).hexdigest()
    folder = cache_folder() / "arrays"
    target = folder / f"{key[:32]}.npy"
    if target.is_file():
        return target
    scratch = ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        descriptor, scratch = tempfile.mkstemp(prefix=f"{target.name}.tmp-", dir=folder)
        with os.fdopen(descriptor, "wb") as out:
            np.save(out, pixels, allow_pickle=False)
        Path(scratch).replace(target)  # a killed call leaves no half file under its final name
    except OSError as error:
        text = f"the images can't be stored in {folder}: {error.strerror or error}"
        raise DataError("data.unpack", text, "free some space, or set SIGHTLINE_CACHE to a folder with more") from error
    finally:
        if scratch:
            Path(scratch).unlink(missing_ok=True)
    return target
