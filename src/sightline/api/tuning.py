"""The public function that searches for better settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.api.driving import Display, drive
from sightline.data.sources import Source
from sightline.errors import InputError, RunError
from sightline.installation import require_extra
from sightline.runs.folder import RUNS_FOLDER, Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from sightline.planning.recipe import Recipe

__all__ = ["plot_search", "report_search", "tune"]

_FIGURES = ("history", "importance", "settings", "two_settings")


def tune(
    data: Source,
    recipe: Recipe | str | Path | None = None,
    *,
    trials: int | None = None,
    space: str | Path | Mapping[str, Any] | None = None,
    sampler: str = "tpe",
    pruner: str | None = None,
    storage: str = "",
    new: bool = False,
    folds: int | None = None,
    seeds: int | None = None,
    workers: int = 1,
    out: str | Path = RUNS_FOLDER,
    name: str | None = None,
    started: float | None = None,
    display: Display | None = None,
    quiet: bool = False,
    **settings: Any,
) -> Run:
    """Search for better settings than a recipe's; the best is measured once beside the plain recipe.

    The first trial is the plain recipe. Trials see training and validation images only. In the end the winner and the
    plain recipe are trained again, and what ships is decided on validation: the winner where its lead is more than the
    luck of the best of many explains, else the plain recipe. The same call goes on with a search that was stopped.

    Args:
        data, recipe: as for :func:`sightline.train`.
        trials: in all, the plain recipe among them, 2 or more; None: as many as ``time`` allows.
        space: a TOML file, or setting -> range or choices, for example ``{"width": [16, 32],
            "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}}``; None: a few that suit recipe and data.
        sampler: ``tpe``, ``random`` or ``grid``.
        pruner: ``halving``, ``hyperband`` or ``none``; None: halving where there are folds, or several epochs.
        storage: URL of a database that several machines share; empty: a file in the search's folder.
        new: begin another search beside the one of that name.
        folds: for small sets: each trial is trained so many times, and measured on all training and validation images,
            each by a network that was not trained on it; None: trained once, and measured on the validation images.
        seeds: with how many the winner and the plain recipe are trained in the end, to tell how much of their
            difference is chance of the seed; None: with one. What ships is trained with the first.
        workers: processes that make trials at the same time and share the CPUs, 1 or more.
        out: folder that holds runs; the search lies in ``searches`` inside.
        name: of the search and its run; by default made of the data's name.
        started: by ``time.monotonic()``, from when on ``time`` counts; None: from now.
        display: where events go; by default the notebook's cell or the terminal.
        quiet: show warnings only.
        **settings: of the plain recipe, as for :func:`sightline.train`; ``time`` is the limit of the whole search. What
            is given here is not searched.

    Returns:
        The run that ships: ``run.facts["search"]`` has the verdict, and what it was compared with.

    Raises:
        SightlineError: for whatever the caller can correct; message and cure say how.

    Example:
        ``sightline.tune("photos/", trials=30).facts["search"]["sentence"]``
    """
    require_extra("tune", "a search")
    from sightline.pipeline.job import Job
    from sightline.planning.recipe import Recipe
    from sightline.tuning.job import SearchJob
    from sightline.tuning.search import search_job

    if isinstance(recipe, str | Path):
        recipe = Recipe.find(recipe)
    begun: dict[str, Any] = {} if started is None else {"started": started}
    job = Job(data, recipe or Recipe(), Recipe(**settings), out=out, name=name, **begun)
    search = SearchJob(job, trials, space, sampler, pruner, storage, new, folds=folds, seeds=seeds, workers=workers)
    return drive(search_job(search), display, quiet)


def report_search(search: str | Path, *, out: str | Path = RUNS_FOLDER) -> Path:
    """Write the page of a search, also while it runs, and return its path; nothing else is written or trained.

    Args:
        search: its folder, or its name in ``out/searches``.
        out: folder that holds runs.

    Raises:
        InputError: if there is no such search, or no complete trial yet.
        RunError: if its files are damaged.

    Example:
        ``sightline.api.tuning.report_search("tune-photos")``
    """
    require_extra("tune", "the page of a search")
    from sightline.reporting.search_page import write_search_page
    from sightline.tuning.so_far import find_search, read_so_far

    found = read_so_far(find_search(search, out=out))
    return write_search_page(found.folder, found.record, found.state)


def plot_search(search: Run | str | Path, figure: str = "history", *, out: str | Path = RUNS_FOLDER) -> Figure:
    """Return a figure of a search: of the run that came of it, or of the search itself, also while it runs.

    Args:
        search: the run, or the folder of a search, or its name in ``out/searches``.
        figure: ``history``, ``importance``, ``settings`` (a line a trial) or ``two_settings`` (those that matter most).
        out: folder that holds runs.

    Raises:
        InputError: if there is no such figure or search, or no complete trial yet.
        RunError: if no search made the run, or its trials are too few for this figure.

    Example:
        ``sightline.plot_search(run, "importance").savefig("importance.png")``
    """
    require_extra("light", "a figure")
    from sightline.reporting import search_figures
    from sightline.reporting.canvas import in_cells
    from sightline.reporting.search_page import AtWork
    from sightline.text import did_you_mean

    if figure not in _FIGURES:
        cure = did_you_mean(figure, _FIGURES, f"give {', '.join(_FIGURES)}")
        raise InputError("tune.figure", f"there is no figure {figure!r} of a search", cure)
    if isinstance(search, Run):
        name, record = str(search.folder), search.search
    else:
        require_extra("tune", "figures of a search")
        from sightline.tuning.so_far import find_search, read_so_far

        found = read_so_far(find_search(search, out=out))
        name, record = str(found.folder), found.record
    draws = {
        "history": search_figures.draw_search,
        "importance": search_figures.draw_importance,
        "settings": search_figures.draw_settings,
        "two_settings": search_figures.draw_two_settings,
    }
    drawn = None if record is None else draws[figure](AtWork(record))
    if drawn is None:
        why = "came from no search" if record is None else f"has too few different trials for the figure {figure!r}"
        raise RunError("run.no-figure", f"{name} {why}", "see run.search, or let the search make more trials")
    return in_cells(drawn)
