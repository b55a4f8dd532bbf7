"""Groups: images that belong together (a patient, a film, a burst) and must stay on one side of a split."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np

from sightline.data.samples import Samples
from sightline.errors import InputError

__all__ = ["assign_groups"]


def assign_groups(samples: Samples, rule: str) -> Samples:
    """Return the table with its groups named by a rule; without one, as it is.

    Args:
        samples: the table.
        rule: the name of a column of the table, or a regular expression that is searched in each path. What its
            first parenthesis holds (or all of the match) is the group; a path without a match has none.

    Raises:
        InputError: if it is no column and no regular expression, or nothing matches.

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
            "split.group", f"--group {rule!r} is no column and no regular expression: {error}", _HOW
        ) from error
    groups = np.full(len(samples), "", object)
    for row, path in enumerate(samples.paths):
        if found := pattern.search(str(path)):
            groups[row] = (found.group(1) if pattern.groups else found.group()) or ""
    if not any(groups):
        columns = ", ".join(samples.extra) or "none"
        message = (
            f"--group {rule!r} is no column (there are: {columns}) and matches no path, such as {samples.paths[0]!r}"
        )
        raise InputError("split.group", message, _HOW)
    return replace(samples, groups=groups)


_HOW = "name a column, or give an expression with one parenthesis, for example --group '(patient[0-9]+)_'"
