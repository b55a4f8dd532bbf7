"""Images inside a zip or a tar: listed once, then read by their offset. Nothing is ever extracted.

A member's name is only looked up in the listing; no file is created from it. Members that are not plain files, or are
ambiguous, are listed with the reason and not read.
"""

from __future__ import annotations

import bz2
import os
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, NamedTuple

from sightline.errors import DataError, UnreadableImage
from sightline.pixels.limits import MAX_FILE_BYTES
from sightline.pixels.unpacked import unpacked_tar
from sightline.text import one_line

__all__ = ["MAX_MEMBERS", "MAX_RATIO", "Archive", "Entry", "open_tar", "open_zip"]

MAX_MEMBERS = 2_000_000
MAX_DIRECTORY_BYTES = 256 * 2**20  # of a zip's list of members
MAX_HEADER_BYTES = 2**20  # of one member of a tar
MAX_RATIO = 1_100  # deflate reaches 1,032 at most, on an image of one colour

_STORED, _DEFLATED, _BZIP2 = 0, 8, 12
_DRIVE = re.compile(r"[A-Za-z]:")
_LOCAL_HEADER = struct.Struct("<4s5H3I2H")


class Entry(NamedTuple):
    """The position of a member in its archive, and how it is packed."""

    offset: int  # of a zip's local header, of a tar's content
    stored: int  # bytes in the archive
    size: int  # bytes unpacked
    method: int = _STORED
    checksum: int | None = None  # of a zip
    raw_name: bytes = b""  # of a zip; its local header must have the same
    problem: str = ""  # why it can't be read, or empty


@dataclass(frozen=True, slots=True)
class Archive:
    """The listing of an archive.

    Attributes:
        path: what the user gave.
        file: the file to read: the same, or the plain tar unpacked from it.
        stamp: size and time of ``file`` when it was listed.
        entries: name, with forward slashes and without ``.`` -> its position.
        folders: names of the folders that the archive lists itself.
        skipped: (name, reason) of members that are never read.
    """

    path: Path
    file: Path
    stamp: tuple[int, int]
    entries: dict[str, Entry]
    folders: tuple[str, ...]
    skipped: tuple[tuple[str, str], ...]

    def read(self, name: str) -> bytes:
        """Return the content of a member, checked against its size and checksum.

        Raises:
            UnreadableImage: if there is no such member, or it is encrypted, damaged, empty or beyond a limit.
        """
        entry = self._entry(name)
        data = _unpack(self._packed(entry, entry.stored), entry, name, entry.size + 1)
        if len(data) != entry.size:
            raise UnreadableImage(name, "damaged: its unpacked size differs from the size in the archive")
        if entry.checksum is not None and zlib.crc32(data) != entry.checksum:
            raise UnreadableImage(name, "damaged: its checksum differs from the one in the archive")
        if not data:
            raise UnreadableImage(name, "the file is empty")
        return data

    def start(self, name: str, count: int = 16) -> bytes:
        """Return the first bytes of a member, or none where it can't be read."""
        try:
            entry = self._entry(name)
            return _unpack(self._packed(entry, min(entry.stored, 512)), entry, name, count)[:count]
        except (OSError, UnreadableImage):
            return b""

    def _entry(self, name: str) -> Entry:
        entry = self.entries.get(name)
        if entry is None:
            raise UnreadableImage(name, "the archive has no such member")
        if entry.problem:
            raise UnreadableImage(name, entry.problem)
        return entry

    def _packed(self, entry: Entry, count: int) -> bytes:
        with self.file.open("rb") as file:
            if _stamp(file) != self.stamp:
                raise UnreadableImage(str(self.path), "the archive changed while it was used")
            file.seek(entry.offset)
            if entry.checksum is not None:
                _skip_local_header(file, entry)
            data = file.read(count)
        if len(data) != count:
            raise UnreadableImage(str(self.path), "the archive is truncated")
        return data


def open_zip(path: Path) -> Archive:
    """List a zip.

    Raises:
        DataError: if it is damaged, or beyond a limit.
    """
    listing = _Listing(path, has_backslashes=True)
    with path.open("rb") as file:
        stamp = _stamp(file)
        _refuse_long_directory(path, file)
        try:
            with zipfile.ZipFile(file) as opened:
                members, end = opened.infolist(), opened.start_dir
        except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error, EOFError, OverflowError) as error:
            raise _damaged(path, error) from error
    overlapping = _overlapping(members, end)
    for number, info in enumerate(members):
        raw = info.orig_filename
        mode = info.external_attr >> 16 if info.create_system == 3 else 0
        if info.is_dir() or (stat.S_ISDIR(mode) and not info.file_size):
            listing.add_folder(raw)
        elif stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            listing.skip(raw, "a link" if stat.S_ISLNK(mode) else "a device or a pipe")
        elif number in overlapping:
            listing.skip(raw, "overlaps another member of the archive")
        else:
            encoded = raw.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "surrogateescape")
            entry = Entry(info.header_offset, info.compress_size, info.file_size, info.compress_type, info.CRC, encoded)
            listing.add(raw, entry._replace(problem=_problem(entry, info.flag_bits)))
    return listing.archive(path, stamp)


def open_tar(path: Path) -> Archive:
    """List a tar; a compressed one is first unpacked once, as a whole, into the cache folder.

    Raises:
        DataError: if it is damaged, or beyond a limit.
    """
    file_path = unpacked_tar(path)
    listing = _Listing(path)
    with file_path.open("rb") as file:
        stamp = _stamp(file)
        try:
            for info in _members(file):
                if info.isdir():
                    listing.add_folder(info.name)
                elif info.issym() or info.islnk():
                    listing.skip(info.name, "a link")
                elif not info.isreg():
                    listing.skip(info.name, "a device or a pipe")
                elif info.issparse():
                    listing.skip(info.name, "a sparse file")
                else:
                    entry = Entry(info.offset_data, info.size, info.size)
                    listing.add(info.name, entry._replace(problem=_problem(entry, 0)))
        # tarfile does not validate the numbers of a header, so a hostile one can raise any of these.
        except (tarfile.TarError, ValueError, OverflowError, EOFError, IndexError, KeyError, RecursionError) as error:
            raise _damaged(path, error) from error
    return listing.archive(file_path, stamp)


class _Listing:
    """The members of an archive, collected one after another."""

    def __init__(self, path: Path, *, has_backslashes: bool = False) -> None:
        self.path = path
        # Zips made on Windows may have backslashes as separators.
        self.has_backslashes = has_backslashes
        self.entries: dict[str, Entry] = {}
        self.folders: dict[str, None] = {}
        self.skipped: list[tuple[str, str]] = []

    def add(self, raw: str, entry: Entry) -> None:
        name = self._clean(raw)
        if name in self.entries:
            # Unpacking would keep the last one, so that one is read.
            self.skip(raw, "replaced by a later member of the same name")
        if name:
            self.entries[name] = entry

    def add_folder(self, raw: str) -> None:
        if raw.strip("./\\") and (name := self._clean(raw)):
            self._count()
            self.folders[name] = None

    def skip(self, raw: str, reason: str) -> None:
        self._count()
        self.skipped.append((raw, reason))

    def archive(self, file: Path, stamp: tuple[int, int]) -> Archive:
        return Archive(self.path, file, stamp, self.entries, tuple(self.folders), tuple(self.skipped))

    def _count(self) -> None:
        if len(self.entries) + len(self.folders) + len(self.skipped) >= MAX_MEMBERS:
            raise _too_large(self.path, f"more than {MAX_MEMBERS:,} members")

    def _clean(self, raw: str) -> str:
        """Return a member's normalised name; an unsafe one is skipped, and an empty string is returned."""
        text = raw.replace("\\", "/") if self.has_backslashes else raw
        parts = [part for part in text.split("/") if part not in ("", ".")]
        reason = ""
        if "\0" in raw:
            reason = "a NUL in its name"
        elif text.startswith("/") or _DRIVE.match(text):
            reason = "an absolute name"
        elif ".." in parts:
            reason = "a name that leads out of the archive"
        elif not parts:
            reason = "no name"
        self._count()
        if reason:
            self.skip(raw, reason)
        return "" if reason else "/".join(parts)


def _problem(entry: Entry, flags: int) -> str:
    """Return why a member can't be read, or an empty string."""
    if flags & 0x1:
        return "encrypted; unpack the archive with its password"
    if entry.method not in (_STORED, _DEFLATED, _BZIP2):
        return f"packed by an unsupported method (number {entry.method}); unpack the archive"
    if max(entry.size, entry.stored) > MAX_FILE_BYTES:
        return f"{max(entry.size, entry.stored):,} bytes, more than {MAX_FILE_BYTES:,}"
    if entry.size > MAX_RATIO * max(entry.stored, 1):
        return f"unpacks to more than {MAX_RATIO:,} times its size"
    return ""


def _overlapping(members: Iterable[zipfile.ZipInfo], end: int) -> set[int]:
    """Return which members of a zip share bytes with another one, as in a zip bomb."""
    order = sorted((info.header_offset, number, info.compress_size) for number, info in enumerate(members))
    found: set[int] = set()
    reached, owner = 0, -1
    for offset, number, size in order:
        if offset < reached:
            found |= {owner, number}
        if offset < 0 or offset + _LOCAL_HEADER.size + size > end:
            found.add(number)
        if offset + _LOCAL_HEADER.size + size > reached:
            reached, owner = offset + _LOCAL_HEADER.size + size, number
    return found


def _refuse_long_directory(path: Path, file: IO[bytes]) -> None:
    """Refuse a list of members that would fill the memory."""
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"PK\x05\x06")
    length = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if length == 0xFFFFFFFF and (wide := tail.rfind(b"PK\x06\x06", 0, at)) >= 0:
        length = int.from_bytes(tail[wide + 40 : wide + 48], "little")
    if min(length, size) > MAX_DIRECTORY_BYTES:
        raise _too_large(path, f"a list of members of more than {MAX_DIRECTORY_BYTES // 2**20} MiB")
    file.seek(0)


def _skip_local_header(file: IO[bytes], entry: Entry) -> None:
    """Move to a member's content; a local header with another name means damage or an attack."""
    header = file.read(_LOCAL_HEADER.size)
    if len(header) != _LOCAL_HEADER.size or header[:4] != b"PK\x03\x04":
        raise UnreadableImage("", "damaged: its header in the archive is missing")
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(header)
    if file.read(name_length) != entry.raw_name:
        raise UnreadableImage("", "damaged: the archive gives it two names")
    file.seek(extra_length, os.SEEK_CUR)


def _unpack(data: bytes, entry: Entry, name: str, most: int) -> bytes:
    """Return at most so many bytes of what was packed."""
    try:
        if entry.method == _DEFLATED:
            return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, most)
        if entry.method == _BZIP2:
            return bz2.BZ2Decompressor().decompress(data, most)
    except (zlib.error, OSError, EOFError, ValueError) as error:
        raise UnreadableImage(name, f"damaged: {error}") from error
    return data


class _Forward:
    """A tar file for ``tarfile`` that never moves back, and reads no more at once than a header needs.

    A header with a negative size would make it read in an endless loop, and one with a large size fill the memory.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._reached = 0

    def read(self, count: int) -> bytes:
        if not 0 <= count <= MAX_HEADER_BYTES:
            raise tarfile.ReadError("a header has an invalid size")
        data = self._file.read(count)
        self._reached = max(self._reached, self._file.tell())
        return data

    def seek(self, position: int) -> int:
        if position < self._reached - 1:  # it reads the last byte of a member again, to check that it exists
            raise tarfile.ReadError("a member has an invalid size")
        return self._file.seek(position)

    def tell(self) -> int:
        return self._file.tell()


def _members(file: IO[bytes]) -> Iterator[tarfile.TarInfo]:
    forward: Any = _Forward(file)
    with tarfile.TarFile(fileobj=forward) as opened:
        while (info := opened.next()) is not None:
            opened.members = []  # type: ignore[attr-defined]  # otherwise they would all be kept in memory
            yield info


def _stamp(file: IO[bytes]) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _damaged(path: Path, error: Exception) -> DataError:
    text = one_line(error, 160) or type(error).__name__
    return DataError("data.archive", f"{path} can't be read as an archive: {text}", "download or pack it again")


def _too_large(path: Path, what: str) -> DataError:
    return DataError("data.archive", f"{path} has {what}", "unpack it yourself if you trust it, and give the folder")
