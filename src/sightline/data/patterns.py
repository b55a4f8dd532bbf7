"""Regular expressions of a person, searched for in many texts within a time limit.

Python's ``re`` goes back and tries again, which can take longer than a life (``(a+)+b``), and nothing interrupts it. So
an expression with several repeats is searched for by a process of its own, which is ended when its time is over.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Sequence

from sightline.errors import InputError

__all__ = ["MAX_SECONDS", "search_all"]

MAX_SECONDS = 10  # and one more for each 10,000 texts; a million paths take about two
_A_SECOND = 10_000
# Parts of an expression that may be tried in several ways; of a group even one can be too much: (a|aa)+b.
_CHOICES = re.compile(r"[*+{]|(?<!\()\?")
_REPEATED_GROUP = re.compile(r"\)[*+?{]")
_CHILD = """
import json, re, sys
pattern, texts = json.load(sys.stdin)
pattern = re.compile(pattern)
group = 1 if pattern.groups else 0
json.dump([found and (found.group(group) or "") for found in map(pattern.search, texts)], sys.stdout)
"""


def search_all(pattern: re.Pattern[str], texts: Sequence[str], option: str) -> list[str | None]:
    """Return for each text the first parenthesis of the first match, or all of the match; None without one.

    Args:
        pattern: as a person wrote it.
        texts: such as paths.
        option: what it was typed for, in errors.

    Raises:
        InputError: if the search takes too long.

    Example:
        >>> search_all(re.compile(r"(p\\d)_"), ["p1_2.png", "x.png"], "--group")
        ['p1', None]
    """
    if len(_CHOICES.findall(pattern.pattern)) < 2 and not _REPEATED_GROUP.search(pattern.pattern):
        number = 1 if pattern.groups else 0
        return [found and (found.group(number) or "") for found in map(pattern.search, texts)]
    limit = MAX_SECONDS + len(texts) / _A_SECOND
    task = json.dumps([pattern.pattern, list(texts)])
    try:
        # Not the shell, and nothing of the user but JSON on its stdin.
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD], input=task, capture_output=True, text=True, timeout=limit, check=True
        )
    except subprocess.TimeoutExpired as error:
        message = f"{option} {pattern.pattern!r} takes more than {limit:.0f} seconds on {len(texts):,} paths"
        cure = "leave out repeats of repeats, such as (a+)+: say [0-9]+ or [^/]+ where you mean a part of a name"
        raise InputError("split.group-time", message, cure) from error
    found: list[str | None] = json.loads(done.stdout)
    return found
