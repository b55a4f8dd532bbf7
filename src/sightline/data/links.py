"""Links that lead out of the folder that is read: what is said of them, and how they are followed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sightline.errors import DataError
from sightline.text import count_of

__all__ = ["FOLLOW", "LEADS_OUT", "describe_links", "refuse_links"]

LEADS_OUT = "a link that leads out of the folder"
FOLLOW = "add --follow-links (follow_links=True) to read what they lead to, if you trust it"


def describe_links(root: Path, source: str, skipped: Sequence[tuple[str, str]]) -> str:
    """Return in a sentence how many links were not followed, and where one of them leads; empty: none.

    Args:
        root: what the paths of ``skipped`` are relative to.
        source: what the user typed.
        skipped: (path, reason) of what is not used.
    """
    links = [path for path, reason in skipped if reason == LEADS_OUT]
    if not links:
        return ""
    try:
        target = str((root / links[0]).readlink())
    except (OSError, ValueError):
        target = "?"
    verb = "leads" if len(links) == 1 else "lead"
    return f"{count_of(len(links), 'link')} in {source!r} {verb} out of it, such as {links[0]} -> {target}"


def refuse_links(root: Path, source: str, skipped: Sequence[tuple[str, str]]) -> None:
    """Raise where nothing was found because what is there are links that lead out.

    Raises:
        DataError: if there are any.
    """
    said = describe_links(root, source, skipped)
    if said:
        cure = f"{FOLLOW}: images that DVC, git-annex, DataLad or the cache of the hub keeps are such links"
        raise DataError("data.links", f"{said}; such links are not followed, and too little is left without them", cure)
