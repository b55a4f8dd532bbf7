"""Pictures decoded once, by threads, into one memory-mapped ``uint8`` file.

The store is keyed by the content of all images and by how they were shrunk, lies in the user's cache folder,
and is shared between runs. It is written under a temporary name and renamed when whole, so a killed run
leaves no half store and two runs may fill the same one. Without a place to write, pictures stay in memory.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import PIL

from sightline.errors import UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import RGB
from sightline.pixels.files import read_bytes
from sightline.pixels.preprocess import Preprocess

__all__ = ["PixelStore", "open_store"]

_VERSION = 2  # raise it when decode.py or preprocess.py change what a pixel is
_LIMIT_BYTES = 20 * 2**30
_STRAY_SECONDS = 24 * 3600
_TASK = 32  # pictures a thread takes at once: a task for each would cost more than a small picture's decoding


class PixelStore:
    """Shrunk pictures by their position, read-only.

    Attributes:
        errors: position -> reason, for pictures that could not be read; they have no pixels.
        fallback: why the pictures lie in memory and not in the cache folder, or an empty string.
        was_cached: True when nothing had to be decoded.

    Example:
        >>> index = np.array([[0, 1, 2]])
        >>> PixelStore(np.arange(6, dtype=np.uint8), index, {})[0].shape
        (1, 2, 3)
    """

    def __init__(
        self,
        flat: npt.NDArray[np.uint8],
        index: npt.NDArray[np.int64],
        errors: dict[int, str],
        *,
        fallback: str = "",
        was_cached: bool = False,
    ) -> None:
        self._flat = flat
        self._index = index  # [n, 3]: offset, height, width
        self.errors = errors
        self.fallback = fallback
        self.was_cached = was_cached

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, position: int) -> RGB:
        """Return the stored picture, ``[h, w, 3] uint8``, without copying.

        Raises:
            UnreadableImage: if this picture could not be read when the store was filled.
        """
        if position in self.errors:
            raise UnreadableImage(f"picture {position}", self.errors[position])
        offset, height, width = self._index[position]
        return self._flat[offset : offset + height * width * 3].reshape(height, width, 3)


def open_store(
    paths: Sequence[Place], digests: Sequence[str], preprocess: Preprocess, folder: Path, *, threads: int = 2
) -> Generator[int, None, PixelStore]:
    """Open the store of these images, filling it first where it is not there yet.

    A generator: it yields how many pictures are decoded, and returns the :class:`PixelStore`.

    Args:
        paths: the files, in order.
        digests: sha256 of each file's content, in the same order; they are the key.
        preprocess: how each picture is shrunk.
        folder: where stores live; made when missing.
        threads: decoding threads (Pillow releases the interpreter's lock while it decodes).
    """
    target = folder / _key(digests, preprocess)
    found = _load(target)
    if found is not None and not _any_readable_again(found, paths, preprocess):
        return found
    if found is not None:
        shutil.rmtree(target, ignore_errors=True)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=f"{target.name}.tmp-", dir=folder))
    except OSError as error:
        return (yield from _fill_memory(paths, digests, preprocess, threads, f"{folder}: {error.strerror}"))
    _sweep_strays(folder, keep=scratch)
    try:
        with (scratch / "pixels.bin").open("wb") as file:
            index, errors = yield from _write(file, paths, digests, preprocess, threads)
        _seal(scratch, target, index, errors)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        return (yield from _fill_memory(paths, digests, preprocess, threads, f"{folder}: {error.strerror}"))
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    _sweep(folder, keep=target)
    store = _load(target)
    if store is None:
        return (yield from _fill_memory(paths, digests, preprocess, threads, f"{target} can't be read back"))
    store.was_cached = False
    return store


def _key(digests: Sequence[str], preprocess: Preprocess) -> str:
    fields = preprocess.to_dict()
    if preprocess.fit == "crop":
        del fields["size"]  # the store ends before the crop, so every size cut from it shares it
    rules = {"version": _VERSION, "pillow": PIL.__version__, **fields}
    # One digest a line: an unreadable file has none, and its place decides which pixels belong to which label.
    text = "\n".join([json.dumps(rules, sort_keys=True), *digests])
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _load(target: Path) -> PixelStore | None:
    """Open a store that is whole; anything else is None, and is filled again."""
    try:
        facts = json.loads((target / "store.json").read_text())
        index = np.load(target / "index.npy")
        if (target / "pixels.bin").stat().st_size != facts["bytes"] or index.shape != (facts["count"], 3):
            return None
        ends = index[:, 0] + index[:, 1] * index[:, 2] * 3
        if len(index) and (index.min() < 0 or ends.max() > facts["bytes"]):
            return None
        flat: npt.NDArray[np.uint8] = (
            np.memmap(target / "pixels.bin", np.uint8, "r") if facts["bytes"] else np.empty(0, np.uint8)
        )
        errors = {int(position): str(reason) for position, reason in facts["errors"].items()}
    except (OSError, EOFError, ValueError, KeyError, TypeError, AttributeError):
        return None
    with contextlib.suppress(OSError):  # another user's cache can be read and not touched
        os.utime(target / "store.json")  # the sweep removes what was not used for longest
    return PixelStore(flat, index, errors, was_cached=True)


def _any_readable_again(store: PixelStore, paths: Sequence[Place], preprocess: Preprocess) -> bool:
    """Tell whether a file that failed when the store was filled can be read now: it was away for a moment."""
    return any(not isinstance(_decode_one(paths[position], "", preprocess), str) for position in store.errors)


def _write(
    file: BinaryIO, paths: Sequence[Place], digests: Sequence[str], preprocess: Preprocess, threads: int
) -> Generator[int, None, tuple[npt.NDArray[np.int64], dict[int, str]]]:
    index = np.zeros((len(paths), 3), np.int64)
    errors: dict[int, str] = {}
    offset = position = 0
    for pictures in _decode_in_order(paths, digests, preprocess, threads):
        for picture in pictures:
            if isinstance(picture, str):
                errors[position] = picture
            else:
                file.write(np.ascontiguousarray(picture).data)
                index[position] = offset, *picture.shape[:2]
                offset += picture.size
            position += 1
        yield position
    return index, errors


def _decode_in_order(
    paths: Sequence[Place], digests: Sequence[str], preprocess: Preprocess, threads: int
) -> Iterator[list[RGB | str]]:
    """Decode in threads, a bounded number of tasks ahead, and yield results in the order of ``paths``."""

    def task(chunk: slice) -> list[RGB | str]:
        pairs = zip(paths[chunk], digests[chunk], strict=True)
        return [_decode_one(path, digest, preprocess) for path, digest in pairs]

    size = max(1, min(_TASK, len(paths) // (threads * 4) or 1))
    chunks = (slice(start, start + size) for start in range(0, len(paths), size))
    with ThreadPoolExecutor(threads, thread_name_prefix="decode") as pool:
        waiting = [pool.submit(task, chunk) for chunk in islice(chunks, threads * 2)]
        while waiting:
            result = waiting.pop(0).result()
            waiting += [pool.submit(task, chunk) for chunk in islice(chunks, 1)]
            yield result


def _decode_one(path: Place, digest: str, preprocess: Preprocess) -> RGB | str:
    """Return the shrunk picture, or why there is none; with a digest, only the content that it belongs to."""
    try:
        data = read_bytes(path)
        if digest and hashlib.sha256(data).hexdigest() != digest:
            return "the file changed while it was used"
        return preprocess.shrink(preprocess.decode(data, name=str(path)))
    except UnreadableImage as error:
        return error.reason


def _fill_memory(
    paths: Sequence[Place], digests: Sequence[str], preprocess: Preprocess, threads: int, reason: str
) -> Generator[int, None, PixelStore]:
    buffer = io.BytesIO()
    index, errors = yield from _write(buffer, paths, digests, preprocess, threads)
    return PixelStore(np.frombuffer(buffer.getbuffer(), np.uint8), index, errors, fallback=reason)


def _seal(scratch: Path, target: Path, index: npt.NDArray[np.int64], errors: dict[int, str]) -> None:
    np.save(scratch / "index.npy", index)
    size = (scratch / "pixels.bin").stat().st_size
    facts = {"bytes": size, "count": len(index), "errors": errors}
    (scratch / "store.json").write_text(json.dumps(facts))
    for name in ("pixels.bin", "index.npy", "store.json"):  # on the disk before the name that makes them valid
        with (scratch / name).open("rb+") as file:
            os.fsync(file.fileno())
    if target.exists() and _load(target) is None:
        shutil.rmtree(target, ignore_errors=True)
    try:
        scratch.rename(target)
    except OSError:
        if _load(target) is None:
            raise
        shutil.rmtree(scratch, ignore_errors=True)  # another run was faster; both have the same content


def _sweep_strays(folder: Path, keep: Path) -> None:
    """Remove half stores that killed processes left, once nobody can be writing them any more."""
    for stray in folder.glob("*.tmp-*"):
        with contextlib.suppress(OSError):
            newest = max(file.stat().st_mtime for file in (stray, *stray.iterdir()))
            if stray != keep and time.time() - newest > _STRAY_SECONDS:
                shutil.rmtree(stray, ignore_errors=True)


def _sweep(folder: Path, keep: Path) -> None:
    """Remove the stores that were not used for longest until the rest fits the limit."""
    stores = []
    for facts in folder.glob("*/store.json"):
        try:
            stores.append((facts.stat().st_mtime, facts.parent, (facts.parent / "pixels.bin").stat().st_size))
        except OSError:
            continue
    total = sum(size for _, _, size in stores)
    for _, store, size in sorted(stores, key=lambda row: row[0]):
        if total <= _LIMIT_BYTES:
            break
        if store != keep:
            shutil.rmtree(store, ignore_errors=True)
            total -= size
