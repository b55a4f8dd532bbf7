"""Images that lie inside one larger file: an archive, a table, an array."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sightline.errors import UnreadableImage

__all__ = ["CONTAINER_SUFFIXES", "Member", "Place", "place_of", "read_member"]

CONTAINER_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".parquet", ".bin", ".npy")
_MARK = "::"


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
        return f"{self.container}{_MARK}{self.name}"


Place = Path | Member


def place_of(root: Path, text: str) -> Place:
    """Return where an image lies, from its path as a table of samples has it: relative to ``root``, or absolute."""
    container, mark, name = text.partition(_MARK)
    if mark and container.lower().endswith(CONTAINER_SUFFIXES):
        return Member(root / container, name)
    return root / text


def read_member(member: Member) -> bytes:
    """Return the bytes of an image file inside a container.

    Raises:
        UnreadableImage: if the container or the member can't be read.
    """
    raise UnreadableImage(str(member), "images inside containers are not read yet")
