"""``fixes.csv``: a person's decisions about single images, applied to the table and never to the files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from sightline.data.delimited import find_known, read_delimited
from sightline.data.found import class_name
from sightline.data.samples import Samples
from sightline.errors import DataError, InputError
from sightline.text import csv_text, did_you_mean, guarded, unguarded

__all__ = ["ACTIONS", "EXCLUDED", "Fix", "apply_fixes", "describe_fixes", "fixes_text", "read_fixes"]

ACTIONS = ("exclude", "relabel", "group")
EXCLUDED = "excluded by the list of fixes"
_COLUMNS = ("path", "action", "value", "reason")


@dataclass(frozen=True, slots=True)
class Fix:
    """A decision about one image; its file is not touched.

    Attributes:
        path: the image, as the table of samples names it.
        action: ``exclude``, ``relabel`` or ``group``.
        value: the new class or group; empty for ``exclude``.
        reason: why, for whoever reviews it.
    """

    path: str
    action: Literal["exclude", "relabel", "group"]
    value: str = ""
    reason: str = ""


def fixes_text(fixes: Iterable[Fix]) -> str:
    """Return fixes as CSV with a header; deleting a line undoes its fix.

    Example:
        >>> print(fixes_text([Fix("cat/1.jpg", "exclude", reason="unreadable")]), end="")
        path,action,value,reason
        cat/1.jpg,exclude,,unreadable
    """
    return csv_text([_COLUMNS, *([guarded(cell) for cell in astuple(fix)] for fix in fixes)])


def read_fixes(file: str | Path) -> list[Fix]:
    """Read a list of fixes, written by ``fixes_text`` or by hand.

    Raises:
        InputError: if there is no such file, or a line is not a valid fix.
    """
    path = Path(file)
    try:
        table = read_delimited(path.read_bytes(), str(path), is_exact=True, any_bytes=True)
    except OSError as error:
        raise InputError("fixes.unreadable", f"{path} can't be read: {error.strerror}", _HOW) from error
    except DataError as error:
        raise InputError("fixes.unreadable", f"{error.message}", error.cure) from error
    names = [name.lower() for name in table.columns]
    missing = [name for name in _COLUMNS[:3] if name not in names]
    if missing:
        has = ", ".join(table.columns) or "nothing"
        raise InputError("fixes.form", f"{path} has no column {' and no column '.join(missing)}; it has {has}", _HOW)
    fixes = []
    for row in table.rows:
        cells = dict(zip(names, row.cells, strict=False))
        name, action, value, reason = (unguarded(cells.get(column, "")) for column in _COLUMNS)
        action = action.strip()
        value = "" if action == "exclude" and not value.strip() else value
        if action not in ACTIONS or not name or (action == "exclude") == bool(value):
            message = f"{path}: {row.where}: not a valid fix: path {name!r}, action {action!r}, value {value!r}"
            raise InputError("fixes.form", message, _HOW)
        fixes.append(Fix(name, action, value, reason))  # type: ignore[arg-type]
    return fixes


_HOW = f"write path,action,value with {', '.join(ACTIONS)} as action, as sightline check DATA --fix-list FILE does"


def apply_fixes(samples: Samples, fixes: Iterable[Fix]) -> Samples:
    """Return the table with the fixes applied; excluded images are listed in ``skipped``.

    Raises:
        DataError: if an image is not in the table, a class does not exist, or two fixes contradict each other.
    """
    row_of = {str(path): row for row, path in enumerate(samples.paths)}
    done: dict[tuple[str, bool], Fix] = {}
    labels, groups, excluded = samples.labels.copy(), samples.groups.copy(), {}
    for fix in fixes:
        path = find_known(fix.path, row_of)
        if path is None:
            message = f"{fix.path!r} is not in {samples.source}"
            raise DataError("fixes.unknown-image", message, _same_name(fix.path, row_of))
        other = done.setdefault((path, fix.action == "group"), fix)
        if (other.action, other.value) != (fix.action, fix.value):
            message = (
                f"{fix.path!r}: {other.action} {other.value!r} and {fix.action} {fix.value!r} contradict each other"
            )
            raise DataError("fixes.contradiction", message, "keep one of the two lines")
        row = row_of[path]
        if fix.action == "exclude":
            excluded[row] = fix.reason
        elif fix.action == "group":
            groups[row] = fix.value
        elif class_name(fix.value) in samples.classes:
            labels[row] = samples.classes.index(class_name(fix.value))
        else:
            message = f"{fix.path!r}: there is no class {fix.value!r}"
            raise DataError("fixes.unknown-class", message, _near(fix.value, samples.classes))
    if len(excluded) == len(samples):
        raise DataError("fixes.nothing-left", "the list of fixes excludes every image", "delete some of its lines")
    kept = np.array([row for row in range(len(samples)) if row not in excluded], np.intp)
    skipped = tuple((str(samples.paths[row]), EXCLUDED) for row in excluded)
    fixed = replace(samples, labels=labels, groups=groups, skipped=samples.skipped + skipped)
    return fixed.take(kept)


def describe_fixes(fixes: Iterable[Fix]) -> str:
    """Return how many of each action there are, in words.

    Example:
        >>> describe_fixes([Fix("a", "exclude"), Fix("b", "exclude")])
        '2 exclude'
    """
    return ", ".join(f"{count:,} {action}" for action, count in Counter(fix.action for fix in fixes).items())


def _same_name(path: str, paths: Iterable[str]) -> str:
    """Suggest the image with the same file name in another folder."""
    name = path.rpartition("/")[2]
    same = [other for other in paths if other.rpartition("/")[2] == name]
    return f"did you mean {same[0]!r}?" if len(same) == 1 else "remove the line, or correct the path"


def _near(word: str, words: Iterable[str]) -> str:
    return did_you_mean(word, list(words)[:20_000], cutoff=0.5) or "remove the line, or correct the name"
