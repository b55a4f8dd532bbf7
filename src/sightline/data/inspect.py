"""Open every image once: its digest, its size, whether it can be read, and facts about its pixels."""

from __future__ import annotations

import hashlib
import os
import shlex
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import PIL

from sightline.caches import cache_folder
from sightline.data.facts_cache import FactsCache, FileFacts, stamp_of
from sightline.data.missing_paths import explain_missing
from sightline.data.samples import Samples
from sightline.errors import DataError, UnreadableImage
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.deadline import refuse_stopped
from sightline.pixels.file_bytes import read_bytes
from sightline.pixels.image_facts import FACTS, Reduced, measure_reduced, reduce_image
from sightline.pixels.stream import decoding_threads, threads_for

__all__ = [
    "MAX_BAD_SHARE",
    "find_unread",
    "has_too_many_bad",
    "inspect_samples",
    "refuse_bad",
    "refuse_too_many_bad",
]

MAX_BAD_SHARE = 0.01
_CHUNK = 64
_FIRST = 8  # files that are read first, to know how many threads are best for the next


def inspect_samples(
    samples: Samples,
    *,
    value_range: tuple[float, float] | None = None,
    threads: int = 0,
    folder: Path | None = None,
) -> Generator[int, None, Samples]:
    """Read and decode every file once. A generator: yields how many are done, returns the richer :class:`Samples`.

    Results are cached in the user's cache folder: a second call reads only the files that changed.

    Args:
        samples: the table from ``read_samples``.
        value_range: (low, high) of 16-bit, 32-bit and float images.
        threads: reading and decoding threads; 0: as many as this process may use.
        folder: of the cache; the user's cache folder by default.
    """
    threads = threads or usable_threads()
    digests: list[str] = []
    errors: dict[int, str] = {}
    facts = np.zeros(len(samples), FACTS)
    with _open_cache(value_range, folder) as cache:
        for known in _measure_all(samples.files, cache, threads, value_range):
            for one in known:
                if isinstance(one, FileFacts):
                    facts[len(digests)] = one.row
                else:
                    errors[len(digests)] = one[1]
                digests.append(one.digest if isinstance(one, FileFacts) else one[0])
            yield len(digests)
    return replace(samples, digests=np.array(digests, object), facts=facts, errors={**samples.errors, **errors})


def find_unread(
    samples: Samples, first: int = 0, *, value_range: tuple[float, float] | None = None, folder: Path | None = None
) -> npt.NDArray[np.intp]:
    """Return the positions of the files from ``first`` on that are not in the cache; arguments as for inspecting."""
    with _open_cache(value_range, folder) as cache:
        known = cache.get(samples.files[first:])
    return np.array([place for place, one in enumerate(known, first) if one is None], np.intp)


def _open_cache(value_range: tuple[float, float] | None, folder: Path | None) -> FactsCache:
    return FactsCache(folder or cache_folder(), f"{value_range or ''} {_rules()}")


Measured = FileFacts | tuple[str, str]  # the latter: sha256 and reason of a file that can't be read


def _measure_all(
    files: Sequence[Place], cache: FactsCache, threads: int, value_range: tuple[float, float] | None
) -> Iterator[list[Measured]]:
    """Yield what each file shows, some files at a time, in order; each chunk tells how many threads read the next.

    One thread reads small images fastest, and others may follow: a folder of thumbnails comes before one of photos.
    """
    ends = [min(_FIRST, len(files)), *range(_FIRST + _CHUNK, len(files) + _CHUNK, _CHUNK)]
    chunks = (files[start:end] for start, end in pairwise([0, *ends]))
    with decoding_threads(1, "inspect") as alone, decoding_threads(threads, "inspect") as together:
        waiting = [_Chunk.start(chunk, cache, alone, value_range) for chunk in islice(chunks, 1)]
        while waiting:
            measured = waiting.pop(0).finish(cache)
            yield measured
            rows = [one.row for one in measured if isinstance(one, FileFacts)]
            count = threads_for(np.array([row["width"] * row["height"] for row in rows], np.int64), threads)
            pool, more = (alone if count == 1 else together), max(0, 2 * count - len(waiting))
            waiting += [_Chunk.start(chunk, cache, pool, value_range) for chunk in islice(chunks, more)]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Some files: the cached facts, and a future with those of the others."""

    places: Sequence[Place]
    known: list[FileFacts | None]
    stamps: dict[Place, bytes | None]  # of the files to read, taken before reading them
    fresh: Future[list[Measured]]

    @classmethod
    def start(
        cls,
        places: Sequence[Place],
        cache: FactsCache,
        pool: ThreadPoolExecutor,
        value_range: tuple[float, float] | None,
    ) -> _Chunk:
        known = cache.get(places)
        new = [place for place, one in zip(places, known, strict=True) if one is None]
        stamps = {place: stamp_of(place) for place in new}
        return cls(places, known, stamps, pool.submit(_measure, new, value_range))

    def finish(self, cache: FactsCache) -> list[Measured]:
        fresh = dict(zip(self.stamps, self.fresh.result(), strict=True))
        cache.put((place, self.stamps[place], one) for place, one in fresh.items() if isinstance(one, FileFacts))
        return [one or fresh[place] for place, one in zip(self.places, self.known, strict=True)]


def _measure(places: Sequence[Place], value_range: tuple[float, float] | None) -> list[Measured]:
    """Return what each file shows, or why it can't be read."""
    read = [_read(place, value_range) for place in places]
    rows = iter(measure_reduced([found for _, found in read if isinstance(found, Reduced)]))
    return [(digest, found) if isinstance(found, str) else FileFacts(digest, next(rows)) for digest, found in read]


def _read(place: Place, value_range: tuple[float, float] | None) -> tuple[str, Reduced | str]:
    """Return (sha256, what is measured or the reason why the file can't be read)."""
    data = b""
    try:
        refuse_stopped(str(place))
        data = read_bytes(place)
        return _digest(data), reduce_image(data, name=str(place), value_range=value_range)
    except UnreadableImage as error:
        return _digest(data), error.reason


def _rules() -> str:
    """Return the other conditions that decide how a file is read; facts cached under other ones are not used."""
    return f"{PIL.__version__} {os.environ.get('SIGHTLINE_MAX_PIXELS', '')}"


def has_too_many_bad(samples: Samples) -> bool:
    """Tell whether more than 1 % of the images can't be read; a single one is always allowed."""
    return len(samples.errors) > max(1, MAX_BAD_SHARE * len(samples))


def refuse_bad(samples: Samples, on_bad: str) -> None:
    """Raise ``DataError`` when images can't be read: any of them with ``fail``, too many with ``skip``."""
    if on_bad == "fail" and samples.errors:
        _refuse(samples, "--on-bad fail allows none")
    refuse_too_many_bad(samples)


def refuse_too_many_bad(samples: Samples) -> None:
    """Raise ``DataError`` when more than 1 % of the images can't be read: then the data as a whole are at fault.

    A single unreadable file is always allowed, however few images there are.
    """
    if has_too_many_bad(samples):
        _refuse(samples, f"the limit is {MAX_BAD_SHARE:.0%}")


def _refuse(samples: Samples, rule: str) -> None:
    bad = len(samples.errors)
    first = sorted(samples.errors)[:3]
    shown = "; ".join(f"{samples.paths[i]}: {samples.errors[i]}" for i in first)
    why, how = explain_missing(samples)
    message = f"{bad:,} of {len(samples):,} images can't be read ({rule}): {shown}" + (" ..." if bad > 3 else "")
    listing = f"sightline check {shlex.quote(samples.source)} lists them all"
    raise DataError(
        "data.too-many-bad",
        f"{why}: {message}" if why else message,
        f"{how}; {listing}" if how else f"repair or remove them; {listing}",
    )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest() if data else ""
