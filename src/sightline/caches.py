"""Where things are kept between runs, and how large they may grow."""

from __future__ import annotations

import os
import re
from pathlib import Path

from sightline.errors import InputError

__all__ = ["CACHE_LIMIT", "cache_folder", "cache_limit"]


CACHE_LIMIT = 20 * 2**30


def cache_folder() -> Path:
    """Return the folder for things that can be made again: ``SIGHTLINE_CACHE``, or the user's own."""
    override = os.environ.get("SIGHTLINE_CACHE")
    if override:
        return Path(override).expanduser()
    import platformdirs

    return Path(platformdirs.user_cache_dir("sightline", appauthor=False))


def cache_limit() -> int:
    """Return most bytes of decoded images in the cache folder: ``SIGHTLINE_CACHE_LIMIT``, or 20 GiB.

    Raises:
        InputError: if the variable is not a size such as ``500M`` or ``20G``.
    """
    text = os.environ.get("SIGHTLINE_CACHE_LIMIT", "").strip()
    if not text:
        return CACHE_LIMIT
    match = re.fullmatch(r"(\d{1,12}(?:\.\d{1,6})?)\s*([KMGT]?)(?:i?B)?", text, re.IGNORECASE | re.ASCII)
    if match is None:
        raise InputError(
            "cache.limit",
            f"SIGHTLINE_CACHE_LIMIT: {text!r} is not a valid size",
            "give it as 500M, 20G or 1.5T; 0 keeps no decoded images between runs",
        )
    return int(float(match[1]) * 1024 ** " KMGT".index(match[2].upper() or " "))
