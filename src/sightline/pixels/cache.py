"""Images decoded once, by threads, into one memory-mapped ``uint8`` file; or decoded each time they are used.

The store is keyed by the content of all images and by how they were shrunk, is kept in the user's cache folder, and
is shared between runs. Images that do not fit there (too large, a full or read-only disk) are streamed: the first ones
stay in memory, up to a fixed budget, and the same threads decode the others each time. The pixels are the same either
way.
"""

from __future__ import annotations

import errno
import hashlib
import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from sightline.caches import CACHE_LIMIT
from sightline.errors import DataError, UnreadableImage
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.decode import RGB
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.storage import Index, NoRoom, StoreWriter, discard, make_room, read_store, sweep
from sightline.pixels.stream import Decoder, Failure, Positions, in_tasks, reason_of, run_ahead, threads_for

__all__ = ["Known", "PixelStore", "has_store", "open_store", "pixel_rules"]

_VERSION = 2  # raise it when decode.py or preprocess.py change the pixels
_MEMORY_BYTES = 256 * 2**20  # of images that are kept in memory while the others are streamed
_MOST_ASPECT = 4  # ``Preprocess.shrink`` crops longer images to it
_BATCH = 128  # images that ``readable`` looks up at once


class PixelStore:
    """Shrunk images by their position, read-only: mapped from the cache folder, in memory, or decoded when needed.

    Attributes:
        errors: position -> reason, for images that could not be read; they have no pixels.
        fallback: why the images are not in the cache folder, or an empty string.
        is_too_large: True when the reason is that they exceed the cache's limit.
        was_cached: True when nothing had to be decoded.
        digests: sha256 of the content of each file; empty where they are not known.

    Example:
        >>> index = np.array([[0, 1, 2]])
        >>> PixelStore(np.arange(6, dtype=np.uint8), index, {})[0].shape
        (1, 2, 3)
    """

    def __init__(
        self,
        flat: npt.NDArray[np.uint8],
        index: Index,
        errors: dict[int, str],
        *,
        decoder: Decoder | None = None,
        fallback: str = "",
        is_too_large: bool = False,
        was_cached: bool = False,
        digests: Sequence[str] = (),
    ) -> None:
        self._flat = flat
        self._index = index  # [n, 3]: offset, height, width; all zero where the decoder is used
        self._decoder = decoder
        self.errors = errors
        self.fallback = fallback
        self.is_too_large = is_too_large
        self.was_cached = was_cached
        self.digests = digests

    def __len__(self) -> int:
        return len(self._index)

    @property
    def streamed(self) -> int:
        """How many images are decoded each time they are used."""
        return 0 if self._decoder is None else len(self) - int((self._index[:, 1] > 0).sum()) - len(self.errors)

    def __getitem__(self, position: int) -> RGB:
        """Return the stored image, ``[h, w, 3] uint8``, without copying; a streamed one is decoded now.

        Raises:
            UnreadableImage: if this image could not be read when the store was filled, or can't be read any more.
            DataError: if the content of the file has changed.
        """
        position = int(position)
        if position in self.errors:
            raise UnreadableImage(f"image {position}", self.errors[position])
        offset, height, width = self._index[position]
        if height == 0 and self._decoder is not None:
            return self._decoder.decode(position)
        return self._flat[offset : offset + height * width * 3].reshape(height, width, 3)

    def squares(self, side: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.intp]] | None:
        """Return all images as one array and the row of each, if all are stored and are squares of this side.

        Returns:
            (``[M, side, side, 3] uint8`` without copying, ``[N]`` rows of it; -1 for one that can't be read), or None.
        """
        size = side * side * 3
        has_pixels = self._index[:, 1] > 0
        if self._decoder is not None or (self._index[has_pixels, 1:] != side).any():
            return None
        count = int(has_pixels.sum())
        place = np.where(has_pixels, self._index[:, 0] // size, -1)
        return self._flat[: count * size].reshape(count, side, side, 3), place

    def fetch(self, batches: Sequence[Positions]) -> Iterator[list[RGB]]:
        """Yield the images of each batch; threads decode the next one while the caller works with this one.

        Raises:
            UnreadableImage, DataError: as ``[position]`` does; no other image takes its place.
        """
        with closing(self._look_up(batches)) as batches_found:
            for found in batches_found:
                for one in found:
                    if isinstance(one, Failure):
                        raise one
                yield found  # type: ignore[misc]  # no failure among them

    def readable(self, positions: Positions) -> Iterator[tuple[int, RGB]]:
        """Yield (index in ``positions``, image) of those that can be read, in the same way."""
        batches = [positions[start : start + _BATCH] for start in range(0, len(positions), _BATCH)]
        with closing(self._look_up(batches)) as found:
            for place, one in enumerate(chain.from_iterable(found)):
                if not isinstance(one, Failure):
                    yield place, one

    def _look_up(self, batches: Sequence[Positions]) -> Generator[list[RGB | Failure], None, None]:
        if not self.streamed or self._decoder is None:
            yield from ([self._attempt(position) for position in batch] for batch in batches)
            return
        threads = self._decoder.threads
        cut = [in_tasks(batch, threads) for batch in batches]
        ahead = max(map(len, cut), default=1)
        tasks = chain.from_iterable(cut)
        with closing(run_ahead(lambda task: [self._attempt(p) for p in task], tasks, threads, ahead)) as results:
            for own in cut:
                yield list(chain.from_iterable(islice(results, len(own))))

    def _attempt(self, position: int) -> RGB | Failure:
        try:
            return self[position]
        except (UnreadableImage, DataError) as error:
            return error


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """Facts about the images from inspection, so that a store need not find them again.

    Attributes:
        errors: position -> reason, for those that can't be read.
        widths, heights: ``[N]``, as shown; 0 if unknown.
    """

    errors: Mapping[int, str]
    widths: npt.NDArray[np.integer]
    heights: npt.NDArray[np.integer]


def open_store(
    paths: Sequence[Place],
    digests: Sequence[str],
    preprocess: Preprocess,
    folder: Path,
    *,
    threads: int = 0,
    limit: int = CACHE_LIMIT,
    known: Known | None = None,
) -> Generator[int, None, PixelStore]:
    """Open the store of these images, filling it first where it does not exist yet or is damaged.

    A generator: it yields how many images are decoded (or checked, where a large store exists already), and
    returns the :class:`PixelStore`.

    Args:
        paths: the files, in order.
        digests: sha256 of each file's content, in the same order; they are the key.
        preprocess: how each image is shrunk.
        folder: folder of the stores; created when missing.
        threads: decoding threads (Pillow releases the interpreter's lock while it decodes); 0: as many as this process
            may use.
        limit: most bytes of all stores in the folder together.
        known: facts from inspection; without them, too many images are noticed only while writing.
    """
    threads = threads or usable_threads()
    if known is not None:
        threads = threads_for(np.asarray(known.widths, np.int64) * known.heights, threads)
    decoder = Decoder(paths, digests, preprocess, threads)
    target = folder / _key(digests, preprocess)
    was_there = target.exists()
    stored = yield from read_store(target, threads)
    if stored is not None and not _any_readable_again(stored.errors, decoder):
        return PixelStore(stored.flat, stored.index, stored.errors, was_cached=True, digests=digests)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if was_there:
            discard(target)
        most = make_room(folder, _estimate(known, preprocess), limit)
        with StoreWriter(target, most) as writer:
            yield from _fill(writer, decoder)
        sweep(folder, limit, keep=target)
        stored = yield from read_store(target, threads)
        if stored is None:
            raise OSError(errno.EIO, "the written store can't be read back")
        return PixelStore(stored.flat, stored.index, stored.errors, digests=digests)
    except NoRoom as error:
        fallback, is_too_large = str(error), True
    except OSError as error:
        fallback, is_too_large = f"{folder}: {error.strerror or error}", False
    flat, index, errors = yield from _hold(decoder, dict(known.errors) if known else {})
    return PixelStore(
        flat, index, errors, decoder=decoder, fallback=fallback, is_too_large=is_too_large, digests=digests
    )


def has_store(digests: Sequence[str], preprocess: Preprocess, folder: Path) -> bool:
    """Whether the folder holds a store of these images, by its name alone; arguments as for ``open_store``."""
    return (folder / _key(digests, preprocess)).is_dir()


def pixel_rules(preprocess: Preprocess) -> dict[str, Any]:
    """Return all that a square depends on besides the content of its file, as JSON-able values."""
    return {"version": _VERSION, "pillow": PIL.__version__, **preprocess.to_dict()}


def _key(digests: Sequence[str], preprocess: Preprocess) -> str:
    rules = pixel_rules(preprocess)
    if preprocess.fit == "crop":
        del rules["size"]  # images are stored before the crop, so that all crop sizes share a store
    digest = hashlib.sha256(json.dumps(rules, sort_keys=True).encode())
    for one in digests:
        # One digest per line: an unreadable file has an empty line, so that its position counts too.
        digest.update(f"\n{one}".encode())
    return digest.hexdigest()[:32]


def _any_readable_again(errors: dict[int, str], decoder: Decoder) -> bool:
    """Tell whether a file that failed when the store was filled can be read now."""
    return any(not isinstance(decoder.attempt(position), Failure) for position in errors)


def _estimate(known: Known | None, preprocess: Preprocess) -> int:
    """Estimate the bytes of the shrunk images; 0 where their sizes are not known."""
    if known is None or not len(known.widths):
        return 0
    widths, heights = (np.asarray(side, np.float64) for side in (known.widths, known.heights))
    is_known = (widths > 0) & (heights > 0)
    widths, heights = widths[is_known], heights[is_known]
    if preprocess.fit == "squash":
        return int(is_known.sum()) * preprocess.size**2 * 3
    short, long = np.minimum(widths, heights), np.maximum(widths, heights)
    if preprocess.fit == "pad":
        sides = preprocess.size * np.maximum(1, np.round(preprocess.size * short / long))
    else:
        sides = preprocess.resize * np.round(preprocess.resize * np.minimum(_MOST_ASPECT, long / short))
    return int(sides.sum()) * 3


def _fill(writer: StoreWriter, decoder: Decoder) -> Generator[int, None, None]:
    """Decode all images into a store on the disk."""
    index = np.zeros((len(decoder.paths), 3), np.int64)
    errors: dict[int, str] = {}
    position = 0
    with closing(decoder.decode_all()) as results:
        for images in results:
            for image in images:
                if isinstance(image, Failure):
                    errors[position] = reason_of(image)
                else:
                    index[position] = writer.write(image), *image.shape[:2]
                position += 1
            yield position
    writer.commit(index, errors)


def _hold(
    decoder: Decoder, errors: dict[int, str]
) -> Generator[int, None, tuple[npt.NDArray[np.uint8], Index, dict[int, str]]]:
    """Decode into memory until the budget is used up; later images are streamed."""
    flat = np.empty(_MEMORY_BYTES, np.uint8)  # pages that are never written cost nothing
    index = np.zeros((len(decoder.paths), 3), np.int64)
    offset = position = 0
    with closing(decoder.decode_all()) as results:
        for images in results:
            for image in images:
                if isinstance(image, Failure):
                    errors.setdefault(position, reason_of(image))
                elif position not in errors:
                    if offset + image.size > len(flat):
                        return flat, index, errors
                    flat[offset : offset + image.size] = image.ravel()
                    index[position] = offset, *image.shape[:2]
                    offset += image.size
                position += 1
            yield position
    return flat, index, errors
