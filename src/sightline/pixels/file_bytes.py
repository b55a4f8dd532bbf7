"""The bytes of one image, from a file or from a container."""

from __future__ import annotations

import os
import stat

from sightline.errors import UnreadableImage
from sightline.pixels.containers import Member, Place, read_member
from sightline.pixels.limits import MAX_FILE_BYTES

__all__ = ["MAX_FILE_BYTES", "read_bytes"]


_KINDS = ((stat.S_ISDIR, "a folder"), (stat.S_ISFIFO, "a pipe"), (stat.S_ISSOCK, "a socket"))


def read_bytes(place: str | Place) -> bytes:
    """Return the bytes of a regular file, or of an image in a container; never blocks on a pipe or a device.

    Raises:
        UnreadableImage: if there is no such regular file, it can't be read, is empty or is too large.
    """
    if isinstance(place, Member):
        return read_member(place)
    label = str(place)
    try:
        mode = os.stat(place).st_mode  # noqa: PTH116  (checked first: opening a device may have effects)
        if not stat.S_ISREG(mode):
            what = next((words for is_one, words in _KINDS if is_one(mode)), "a device")
            raise UnreadableImage(label, f"{what}, not a regular file")
        # It may have been replaced since. O_NONBLOCK: opening a named pipe would otherwise wait for a writer.
        descriptor = os.open(place, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        try:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise UnreadableImage(label, "not a regular file")
            if status.st_size > MAX_FILE_BYTES:
                raise UnreadableImage(label, f"{status.st_size:,} bytes, more than {MAX_FILE_BYTES:,}")
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                data = file.read(status.st_size + 1)
            if len(data) > status.st_size:
                raise UnreadableImage(label, "the file changed while it was read")
        finally:
            os.close(descriptor)
    except FileNotFoundError as error:
        is_link = os.path.lexists(place)
        raise UnreadableImage(label, "a link to a missing file" if is_link else "no such file") from error
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UnreadableImage(label, getattr(error, "strerror", None) or str(error)) from error
    except MemoryError as error:
        raise UnreadableImage(label, "not enough memory to read it") from error
    if not data:
        raise UnreadableImage(label, "the file is empty")
    return data
