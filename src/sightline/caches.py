"""Where things are kept between runs, and how large they may grow.

A process may have no home folder: containers run with a number for a user, and no name. What would be kept there then
has a path that can't be written, and whoever writes it goes on without, as with a full disk.
"""

from __future__ import annotations

import os
import re
from importlib.util import find_spec
from pathlib import Path

from sightline.errors import InputError

__all__ = ["CACHE_LIMIT", "NOWHERE", "cache_folder", "cache_limit", "expand_home", "keep_torch_files", "state_folder"]


CACHE_LIMIT = 20 * 2**30
NOWHERE = Path(os.devnull) / "no-home-folder"  # can't be made on any system


def cache_folder() -> Path:
    """Return the folder for things that can be made again: ``SIGHTLINE_CACHE``, the user's own, or ``NOWHERE``."""
    return _folder("cache")


def state_folder() -> Path:
    """Return the folder for what is remembered: ``SIGHTLINE_STATE``, the user's own, or ``NOWHERE``."""
    return _folder("state")


def _folder(kind: str) -> Path:
    override = os.environ.get(f"SIGHTLINE_{kind.upper()}")
    if override:
        return expand_home(override)
    import platformdirs

    find = platformdirs.user_cache_dir if kind == "cache" else platformdirs.user_state_dir
    try:
        folder = Path(find("sightline", appauthor=False))
    except (RuntimeError, KeyError, OSError):  # no HOME, and no user of that number
        return NOWHERE
    return folder if folder.is_absolute() else NOWHERE


def expand_home(path: str | Path) -> Path:
    """Return a path whose ``~`` is replaced by the home folder.

    Raises:
        InputError: if it has one, and no home folder is known.

    Example:
        >>> str(expand_home("photos"))
        'photos'
    """
    try:
        expanded = Path(path).expanduser()
    except (RuntimeError, KeyError):  # no home, or no such user: a file may be called that
        expanded = Path(path)
    is_own = Path(path).parts[:1] == ("~",)
    if is_own and (os.environ.get("HOME") == "" or expanded.parts[:1] == ("~",)):  # an empty one makes ~/a into /a
        cure = "write the whole path, or set HOME to a folder"
        raise InputError("path.no-home", f"{str(path)!r} begins with the home folder, and none is known here", cure)
    return expanded


def keep_torch_files() -> None:
    """Let torch keep compiled code in the cache folder, not in the temporary one; before optimisers or timm are there.

    These make torch's folder, compiled code or not, and fail where they can't. A folder of the user's choice stays.
    """
    if not os.environ.get("TORCHINDUCTOR_CACHE_DIR") and find_spec("torch") is not None:
        folder = cache_folder() / "torch"
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            return
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(folder)


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
