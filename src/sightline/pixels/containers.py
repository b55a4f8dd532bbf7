"""Images inside one larger file: an archive, a table, an array.

Each file is opened once and its listing kept as long as the file does not change. Except for Parquet, no file stays
open between two images, so none is leaked or locked.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sightline.errors import SightlineError, UnreadableImage
from sightline.pixels.archives import open_tar, open_zip
from sightline.pixels.parquet import open_parquet
from sightline.pixels.rows import open_array, open_cifar

__all__ = [
    "ARCHIVE_SUFFIXES",
    "CONTAINER_SUFFIXES",
    "MARK",
    "Container",
    "Member",
    "Place",
    "open_container",
    "place_of",
    "read_member",
]

MARK = "::"
_MOST_OPEN = 8


class Container(Protocol):
    """An opened file that contains images."""

    def read(self, name: str) -> bytes:
        """Return the bytes of an image file.

        Raises:
            UnreadableImage: if there is no such image, or it can't be read.
        """


# A new kind of container is one function and one row.
KINDS: tuple[tuple[tuple[str, ...], Callable[[Path], Container]], ...] = (
    ((".zip",), open_zip),
    ((".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tbz", ".tar.xz", ".txz"), open_tar),
    ((".parquet",), open_parquet),
    ((".bin",), open_cifar),
    ((".npy",), open_array),
)
ARCHIVE_SUFFIXES = KINDS[0][0] + KINDS[1][0]
CONTAINER_SUFFIXES = tuple(suffix for suffixes, _ in KINDS for suffix in suffixes)


@dataclass(frozen=True, slots=True, order=True)
class Member:
    """An image inside a container: which file, and its name (or row) in it.

    Example:
        >>> str(Member(Path("photos.zip"), "cats/1.jpg"))
        'photos.zip::cats/1.jpg'
    """

    container: Path
    name: str

    def __str__(self) -> str:
        return f"{self.container}{MARK}{self.name}"


Place = Path | Member


def place_of(root: Path, text: str) -> Place:
    """Return the location of an image from its path in a table of samples: relative to ``root``, or absolute.

    Example:
        >>> place_of(Path("in"), "photos.zip::cats/1.jpg").name
        'cats/1.jpg'
    """
    at = text.find(MARK)
    while at >= 0:
        if text[:at].lower().endswith(CONTAINER_SUFFIXES):
            return Member(root / text[:at], text[at + len(MARK) :])
        at = text.find(MARK, at + 1)
    return root / text


def read_member(member: Member) -> bytes:
    """Return the bytes of an image file inside a container; safe to call from several threads.

    Rows of raw pixels (CIFAR's binary files, numpy arrays) are returned as lossless PPM or PGM files, so that they
    are decoded like every other file.

    Raises:
        UnreadableImage: if the container or the member can't be read.
    """
    try:
        return open_container(member.container).read(member.name)
    except UnreadableImage as error:
        raise UnreadableImage(str(member), error.reason) from error
    except SightlineError as error:
        raise UnreadableImage(str(member), error.message) from error
    except OSError as error:
        raise UnreadableImage(str(member), f"{member.container}: {error.strerror or error}") from error


_lock = threading.Lock()
_opened: OrderedDict[Path, tuple[tuple[int, int, int], Container]] = OrderedDict()


def open_container(path: Path) -> Container:
    """Return a container's listing, read again whenever the file changed.

    Raises:
        DataError: if it is damaged, or beyond a limit.
        OSError: if there is no such file, or it can't be opened.
    """
    status = path.stat()
    stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
    with _lock:  # while a thread opens a container, others that need it wait for the same listing
        known = _opened.get(path)
        if known is None or known[0] != stamp:
            known = (stamp, _opener(path)(path))
            _opened[path] = known
        _opened.move_to_end(path)
        while len(_opened) > _MOST_OPEN:
            _opened.popitem(last=False)
    return known[1]


def _opener(path: Path) -> Callable[[Path], Container]:
    name = path.name.lower()
    for suffixes, opener in KINDS:
        if name.endswith(suffixes):
            return opener
    raise UnreadableImage(str(path), f"not a container of images ({', '.join(CONTAINER_SUFFIXES)})")
