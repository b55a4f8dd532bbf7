"""Why the paths of a table lead nowhere: the cause that explains most of them, and what to change.

Each cause is a change of the path; it is the cause if the changed path is a file. Nothing is read by a changed path:
the person decides.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from urllib.parse import unquote

from sightline.data.folders import IMAGE_SUFFIXES
from sightline.data.samples import Samples
from sightline.pixels.containers import MARK

__all__ = ["NO_FILE", "explain_missing"]

NO_FILE = "no such file"
_LOOKED_AT = 50  # paths, evenly drawn
_FEWEST = 0.5  # share of them that one cause must explain


def explain_missing(samples: Samples) -> tuple[str, str]:
    """Return (why images are missing, what to change), in words; empty where files are missing for no such reason.

    Args:
        samples: inspected.
    """
    missing = [str(samples.paths[row]) for row, reason in samples.errors.items() if reason == NO_FILE]
    missing = [path for path in missing if MARK not in path]
    if not missing:
        return "", ""
    _names_in.cache_clear()  # files may have been put right since the last time
    looked = missing[:: max(1, len(missing) // _LOOKED_AT)][:_LOOKED_AT]
    found: Counter[tuple[str, str]] = Counter()
    for path in looked:
        found.update([next(_causes(samples.root, path), ("", ""))])
    by_cause: Counter[str] = Counter()
    for (why, _), count in found.items():
        by_cause[why] += count
    why, count = by_cause.most_common(1)[0]
    if why and count >= _FEWEST * len(looked):
        cure = next(cure for (cause, cure), _ in found.most_common() if cause == why)
        return why, cure
    if len(missing) == len(samples):
        return "", f"paths in a table are relative to its folder, {samples.root}: move the table beside the images"
    return "", ""


def _causes(root: Path, path: str) -> Iterator[tuple[str, str]]:
    """Yield (why, what to change) for each change that makes a path a file."""
    for find in (_ending, _capitals, _web, _spaces, _shorter, _elsewhere):
        if answer := find(root, path):
            yield answer


def _is_file(root: Path, path: str) -> bool:
    try:
        return bool(path) and (root / path).is_file()
    except (OSError, ValueError):
        return False


@cache
def _names_in(folder: Path) -> frozenset[str]:
    try:
        return frozenset(path.name for path in folder.iterdir())
    except OSError:
        return frozenset()


def _ending(root: Path, path: str) -> tuple[str, str] | None:
    file = root / path
    names = _names_in(file.parent)
    stem = file.stem if file.suffix.lower() in IMAGE_SUFFIXES else file.name
    other = next((n for n in sorted(names) if os.path.splitext(n)[0] == stem and n != file.name), "")  # noqa: PTH122
    ending = os.path.splitext(other)[1]  # noqa: PTH122
    if ending.lower() not in IMAGE_SUFFIXES:
        return None
    whole = f"{path.replace(os.sep, '/').rpartition('/')[0]}/{other}".lstrip("/")
    if stem == file.name:
        return "the paths lack the ending of the files", f"add it: {path!r} is {whole!r}"
    if file.suffix.lower() == ending.lower():
        return None
    return "the files have another ending", f"write {ending} in place of {file.suffix}: {path!r} is {whole!r}"


def _capitals(root: Path, path: str) -> tuple[str, str] | None:
    folder, right = root, []
    for part in Path(path).parts:
        names = _names_in(folder)
        same = part if part in names else next((n for n in sorted(names) if n.casefold() == part.casefold()), None)
        if same is None:
            return None
        right.append(same)
        folder = folder / same
    word = "/".join(right)
    return "the files are written with other capitals", f"write them as the files: {path!r} is {word!r}"


def _web(root: Path, path: str) -> tuple[str, str] | None:
    plain = unquote(path)
    if plain == path or not _is_file(root, plain):
        return None
    return "the paths are encoded as in web addresses, with % and two digits", f"decode them: {path!r} is {plain!r}"


def _spaces(root: Path, path: str) -> tuple[str, str] | None:
    changes: tuple[Callable[[str], str], ...] = (
        lambda text: text.strip(" '\""),
        lambda text: text.replace("_", " "),
        lambda text: text.replace(" ", "_"),
    )
    for change in changes:
        if change(path) != path and _is_file(root, change(path)):
            return "the files are written with other blanks or marks", f"write them as the files: {change(path)!r}"
    return None


def _shorter(root: Path, path: str) -> tuple[str, str] | None:
    """Find a path of another machine, or of another folder, by its end."""
    parts = path.replace("\\", "/").split("/")
    for count in range(1, len(parts)):
        end = "/".join(parts[count:])
        if _is_file(root, end) or _is_file(root, unquote(end)):
            before = "/".join(parts[:count]) + "/"
            return (
                f"the paths begin with a folder that is not here, such as {before!r}",
                f"remove it: paths are relative to the table's folder, where {end!r} is",
            )
    return None


def _elsewhere(root: Path, path: str) -> tuple[str, str] | None:
    """Find the folder, below the table's or above it, that the paths are relative to."""
    below = sorted(root / name for name in _names_in(root) if (root / name).is_dir())
    for folder in (*below, root.parent, root.parent.parent):
        if _is_file(folder, path):
            return "the paths are relative to another folder than the table's", f"move the table to {folder}"
    return None
