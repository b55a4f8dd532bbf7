"""The largest accepted size of an image file."""

from __future__ import annotations

__all__ = ["MAX_FILE_BYTES"]

MAX_FILE_BYTES = 256 * 2**20
