"""The public functions that review finished runs: compare, verify, and write the report again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sightline.api.driving import Display, drive
from sightline.installation import require_extra
from sightline.runs.folder import RUNS_FOLDER, Run
from sightline.runs.lookup import find_run
from sightline.runs.moved import open_moved, refuse_gone
from sightline.runs.targets import refuse_folder_target

if TYPE_CHECKING:
    from sightline.reviewing.compare import Compared
    from sightline.reviewing.verify import Verification

__all__ = ["compare", "report", "verify"]


def compare(
    reference: str | Path | Run,
    *others: str | Path | Run,
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> Compared:
    """Compare runs with a reference on the same test images, and say what is more than chance. Needs no torch.

    Args:
        reference: a run's folder or name, or ``latest``.
        others: one run or more that are compared with it.
        runs, display, quiet: as for ``sightline.load`` and ``sightline.train``.

    Returns:
        A :class:`~sightline.reviewing.compare.Compared`: ``pairs`` with tests, intervals and classes, ``verdicts()`` in
        words, ``rows(0)`` with the images that the first of ``others`` corrects and gets newly wrong, ``to_dict()``.

    Raises:
        RunError: if a run was not evaluated, or the images, their labels or the classes differ.

    Example:
        ``print(sightline.compare("runs/a", "runs/b").verdicts()[0])``
    """
    require_extra("light", "comparing")
    from sightline.reviewing.compare import compare_runs

    opened = [run if isinstance(run, Run) else find_run(run, folder=runs) for run in (reference, *others)]
    return drive(compare_runs(opened), display, quiet)


def verify(
    run: str | Path | Run = "latest",
    *,
    data: bool = True,
    moved_to: str | Path = "",
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
) -> Verification:
    """Compare a run with what it recorded: data, weights, tables, every metric. Needs no torch, changes nothing.

    Args:
        run: a run's folder or name, or ``latest``.
        data: read every image and the labels again too.
        moved_to: folder where the run's images are now, if they moved.
        runs, display, quiet: as for ``sightline.load`` and ``sightline.train``.

    Returns:
        A :class:`~sightline.reviewing.verify.Verification`: ``is_as_recorded``, ``differences``, ``checks``.

    Example:
        ``sightline.api.reviewing.verify("latest").differences``
    """
    require_extra("light", "verifying")
    from sightline.reviewing.verify import verify_run

    opened = open_moved(run if isinstance(run, Run) else find_run(run, folder=runs), moved_to)
    return drive(verify_run(opened, with_data=data), display, quiet)


def report(
    run: str | Path | Run,
    *,
    moved_to: str | Path = "",
    without_images: bool = False,
    runs: str | Path = RUNS_FOLDER,
) -> Path:
    """Write a run's ``report.html`` again from its folder, without torch; returns its path.

    Args:
        run: a run's folder or name, or ``latest``.
        moved_to: folder where the run's images are now, if they moved.
        without_images: write a page that lacks images which are gone, over one that has them.
        runs: as for ``sightline.load``.

    Raises:
        RunError: if images that the page would show are gone, or the folder can't be written.

    Example:
        ``sightline.api.reviewing.report("latest")``
    """
    require_extra("light", "the report")
    from sightline.reporting.page import write_report
    from sightline.runs.writer import sweep_finished

    opened = open_moved(run if isinstance(run, Run) else find_run(run, folder=runs), moved_to)
    refuse_folder_target(opened.folder, "report on a copy of the run's folder")
    if not without_images and opened.report_file.is_file():
        refuse_gone(opened, "report")
    write_report(opened)
    sweep_finished(opened)
    return opened.report_file
