"""Groups: images that belong together (a patient, a film, a burst) and must stay on one side of a split."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from sightline.data.patterns import search_all
from sightline.data.samples import Samples
from sightline.errors import InputError

__all__ = ["Suggestion", "assign_groups", "suggest_groups"]


def assign_groups(samples: Samples, rule: str) -> Samples:
    """Return the table with groups assigned by a rule; unchanged without one.

    Args:
        samples: the table.
        rule: the name of a column of the table, or a regular expression that is searched for in each path. The match
            of its first parenthesis (or all of the match) is the group; a path without a match has none.

    Raises:
        InputError: if it is neither a column nor a regular expression, or nothing matches.

    Example:
        ``assign_groups(samples, r"(patient[0-9]+)_")``
    """
    if not rule:
        return samples
    if rule == "group" and any(samples.groups):
        return samples
    if rule in samples.extra:
        return replace(samples, groups=samples.extra[rule])
    try:
        pattern = re.compile(rule)
    except re.error as error:
        raise InputError(
            "split.group", f"--group {rule!r} is neither a column nor a valid regular expression: {error}", _HOW
        ) from error
    found = search_all(pattern, [str(path) for path in samples.paths], "--group")
    groups = np.array([name or "" for name in found], object)
    if not any(groups):
        columns = ", ".join(samples.extra) or "none"
        message = (
            f"--group {rule!r} is not a column (columns: {columns}) and matches no path, such as {samples.paths[0]!r}"
        )
        raise InputError("split.group", message, _HOW)
    return replace(samples, groups=groups)


_HOW = "name a column, or give a regular expression with one parenthesis, for example --group '(patient[0-9]+)_'"


@dataclass(frozen=True, slots=True)
class Suggestion:
    """A pattern in file names that may show which images belong together.

    Attributes:
        pattern: regular expression for ``--group``.
        groups: how many groups it makes, of the images that it matches.
        images: how many images it matches.
        example: a group's name.
        members: the paths of that group.
    """

    pattern: str
    groups: int
    images: int
    example: str
    members: tuple[str, ...]


def suggest_groups(paths: Sequence[str]) -> Suggestion | None:
    """Return the pattern that most of the paths follow and that makes groups of several images, or None.

    Names such as ``patient12_03.png``, ``scan-7-slice-031.dcm.png`` or ``clip3/frame0042.jpg``: the last number
    counts within a group, what comes before it names the group, and groups are numbered too.

    Example:
        >>> found = suggest_groups([f"cat/patient{p}_{k}.png" for p in range(20) for k in range(5)])
        >>> found.groups, found.images, found.example
        (20, 100, 'patient0')
    """
    best: Suggestion | None = None
    for pattern in _patterns(paths):
        suggestion = _tried(pattern, paths)
        if suggestion and (best is None or suggestion.images > best.images):
            best = suggestion
    return best


_PIECE = re.compile(r"\d+|[^\W\d_]+|[\W_]+")
_LEAST_SHARE = 0.5  # of the paths that a pattern must match
_LEAST_GROUPS = 3


def _patterns(paths: Sequence[str]) -> Iterator[str]:
    """Yield expressions for the most common forms of names, and for folders inside the class folders.

    Expressions with the words of the names come before those with any word, and win where both match as much.
    """
    for is_literal in (True, False):
        forms: dict[str, int] = defaultdict(int)
        for path in paths:
            if form := _form(PurePosixPath(path).stem, is_literal):
                forms[form] += 1
        yield from sorted(forms, key=forms.__getitem__, reverse=True)[:3]
    if sum(path.count("/") >= 2 for path in paths) >= _LEAST_SHARE * len(paths):
        yield r"(?:^|/)([^/\d]*\d[^/]*)/[^/]*$"


def _form(stem: str, is_literal: bool) -> str:
    """Return a name's form as an expression: its last number is a counter, what comes before it is the group."""
    pieces = _PIECE.findall(stem)
    numbers = [place for place, piece in enumerate(pieces) if piece.isdigit()]
    if len(numbers) < 2 or len(pieces) > 12:
        return ""
    written = [r"\d+" if piece.isdigit() else _word(piece, is_literal) for piece in pieces]
    last = numbers[-1]
    # The separator between group and counter ("_", "-img-", ...) belongs to neither.
    end = max(numbers[:-1]) + 1
    return rf"(?:^|/)({''.join(written[:end])}){''.join(written[end:last])}\d+{''.join(written[last + 1 :])}\.\w+$"


def _word(piece: str, is_literal: bool) -> str:
    if piece[0].isalpha() and not is_literal:
        return r"[^\W\d_]+"
    return re.sub(r"([][\\.^$*+?{}()|])", r"\\\1", piece)


def _tried(pattern: str, paths: Sequence[str]) -> Suggestion | None:
    groups: dict[str, list[str]] = defaultdict(list)
    for path in paths:
        if found := re.search(pattern, path):
            groups[found.group(1)].append(path)
    images = sum(map(len, groups.values()))
    several = [name for name, members in groups.items() if len(members) > 1]
    in_several = sum(len(groups[name]) for name in several)
    # Groups of one image do not count; two or three huge ones are rather classes or splits.
    is_plausible = images >= _LEAST_SHARE * len(paths) and len(several) >= _LEAST_GROUPS and in_several >= 0.8 * images
    if not is_plausible or max(map(len, groups.values())) > images / 2:
        return None
    example = max(several, key=lambda name: len(groups[name]))
    return Suggestion(pattern, len(groups), images, example, tuple(groups[example]))
