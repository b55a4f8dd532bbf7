"""The page of a search by itself, which may still run: what its trials show so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sightline.installation import require_extra
from sightline.reporting.page import keep_together, render_page
from sightline.reporting.search import search
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import write_text
from sightline.runs.search_record import SearchRecord

__all__ = ["AtWork", "write_search_page"]

_PAGE = "report.html"


class AtWork(Recorded):
    """A search that no run has come of yet, for the functions that draw the search of a run.

    Args:
        record: of its trials so far.
    """

    def __init__(self, record: SearchRecord) -> None:
        self._made: dict[str, Any] = {}
        self.search = record
        self.facts: dict[str, Any] = {}


def write_search_page(folder: Path, record: SearchRecord, state: str) -> Path:
    """Write ``report.html`` of a search into its folder; returns its path.

    Args:
        folder: of the search.
        record: of its trials so far.
        state: how far it is, in a sentence.

    Raises:
        MissingExtra: without the ``[light]`` extra.
        RunError: if the disk is full.
    """
    require_extra("light", "the page")
    values = search(AtWork(record))
    page = render_page("search_page.html.jinja", name=record.name, state=state, v=values)
    write_text(folder / _PAGE, keep_together(page))
    return folder / _PAGE
