"""The public function that makes smaller versions of a classifier."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.api.driving import Display, drive
from sightline.installation import require_extra
from sightline.runs.folder import RUNS_FOLDER, Run
from sightline.runs.lookup import find_run
from sightline.runs.moved import open_moved

if TYPE_CHECKING:
    from sightline.shrinking.shrink import Shrunk

__all__ = ["shrink"]


def shrink(
    run: str | Path | Run = "latest",
    *,
    versions: Sequence[str] = (),
    max_loss: float = 1.0,
    moved_to: str | Path = "",
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> Shrunk:
    """Make smaller and faster versions of a run's classifier, and write the best that loses little enough.

    Needs no torch, whatever trained the run. Versions are compared on validation images; the chosen one is measured
    once on the test images, and lies in ``versions/NAME`` in the run, a run folder like any other.

    Args:
        run: a run's folder or name, or ``latest``.
        versions: which are tried: ``folded``, ``float16``, ``int8``, ``mixed``; empty: all, ``mixed`` where ``int8``
            is not shown to be good enough.
        max_loss: points of accuracy, 0 to 100, that a version may lose, at the upper end of the 95 % interval of the
            paired difference on validation.
        moved_to: folder where the run's images are now, if they moved.
        runs, display, quiet: as for ``sightline.load`` and ``sightline.train``.

    Returns:
        A :class:`~sightline.shrinking.shrink.Shrunk`: ``record`` with a row a version, ``run`` with the one that was
        written, or None.

    Raises:
        SightlineError: if the run has no classifier or no evaluation, or its images are gone.

    Example:
        ``sightline.shrink("latest", max_loss=2).record.chosen``
    """
    require_extra("light", "making versions")
    from sightline.shrinking.shrink import Wish, shrink_run

    wish = Wish(tuple(versions), max_loss)
    opened = open_moved(run if isinstance(run, Run) else find_run(run, folder=runs), moved_to)
    return drive(shrink_run(opened, wish), display, quiet)
