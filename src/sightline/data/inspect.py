"""Open every image once: what it contains, how large it is, whether it can be read."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np

from sightline.data.samples import Samples
from sightline.errors import DataError, UnreadableImage
from sightline.pixels.decode import decode_image, read_bytes, read_header

__all__ = ["MAX_BAD_SHARE", "inspect_samples", "refuse_too_many_bad"]

MAX_BAD_SHARE = 0.01
_CHUNK = 64


def inspect_samples(samples: Samples, *, full: bool = False, threads: int = 2) -> Generator[int, None, Samples]:
    """Read every file once. A generator: yields how many are done, returns the richer :class:`Samples`.

    Args:
        samples: the table from ``read_samples``.
        full: decode the pixels too, which also finds truncated and damaged files. Training does that anyway
            when it fills the cache; ``sightline check`` asks for it here.
        threads: reading threads.
    """

    def look(path: Path) -> tuple[str, int, int, str]:
        data = b""
        try:
            data = read_bytes(path)
            width, height, _ = read_header(data, name=str(path))
            if full:
                decode_image(data, name=str(path))
        except UnreadableImage as error:
            return _digest(data), 0, 0, error.reason
        return _digest(data), width, height, ""

    digests: list[str] = []
    sizes: list[tuple[int, int]] = []
    errors: dict[int, str] = {}
    files = samples.files
    with ThreadPoolExecutor(threads, thread_name_prefix="inspect") as pool:
        chunks = [files[start : start + _CHUNK] for start in range(0, len(files), _CHUNK)]
        for facts in pool.map(lambda chunk: [look(path) for path in chunk], chunks):
            for digest, width, height, reason in facts:
                if reason:
                    errors[len(digests)] = reason
                digests.append(digest)
                sizes.append((width, height))
            yield len(digests)
    widths, heights = np.array(sizes, np.int32).T
    return replace(
        samples,
        digests=np.array(digests, object),
        widths=widths,
        heights=heights,
        errors={**samples.errors, **errors},
    )


def refuse_too_many_bad(samples: Samples) -> None:
    """Raise ``DataError`` when more than 1 % of the images can't be read: then something is wrong as a whole.

    A single bad file is always let pass, however few there are.
    """
    bad = len(samples.errors)
    if bad > max(1, MAX_BAD_SHARE * len(samples)):
        first = sorted(samples.errors)[:3]
        shown = "; ".join(f"{samples.paths[i]}: {samples.errors[i]}" for i in first)
        raise DataError(
            "data.too-many-bad",
            f"{bad:,} of {len(samples):,} images can't be read, more than {MAX_BAD_SHARE:.0%}: {shown}"
            + (" ..." if bad > 3 else ""),
            f"repair or remove them; sightline check {samples.source} lists them all",
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""
