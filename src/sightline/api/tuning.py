"""The public function that searches for better settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.api.driving import Display, drive
from sightline.data.sources import Source
from sightline.installation import require_extra
from sightline.runs.folder import RUNS_FOLDER, Run

if TYPE_CHECKING:
    from sightline.planning.recipe import Recipe

__all__ = ["tune"]


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
        pruner: ``halving``, ``hyperband`` or ``none``; None: halving where a training has several epochs.
        storage: URL of a database that several machines share; empty: a file in the search's folder.
        new: begin another search beside the one of that name.
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
    search = SearchJob(job, trials, space, sampler, pruner, storage, new)
    return drive(search_job(search), display, quiet)
