"""The public functions that check data before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.api.driving import Display, drive
from sightline.checks.finding import Findings
from sightline.data.sources import Source
from sightline.installation import require_extra
from sightline.runs.folder import RUNS_FOLDER

if TYPE_CHECKING:
    from sightline.reading.check import CheckUp

__all__ = ["check", "check_up"]


def check(
    data: Source,
    *,
    embeddings: str = "",
    weights: str = "",
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
    **choices: Any,
) -> Findings:
    """Return what is wrong with a set of images, worst first. Nothing is changed.

    Args:
        data, display, quiet: as for :func:`train`.
        embeddings: a run, a classifier or a pretrained network whose features find label errors and outliers.
        weights: safetensors file for that network.
        runs: folder that holds runs.
        **choices: ``group`` (a column or expression), ``fixes`` (a list of fixes), ``value_range`` (low, high),
            ``versions`` (``auto``, ``all`` or ``off``), ``resplit`` (put a given split aside).

    Raises:
        SightlineError: if there are no images, or a choice is not possible.

    Example:
        ``[finding.message for finding in sightline.check("photos/")]``
    """
    up = check_up(data, embeddings=embeddings, weights=weights, runs=runs, display=display, quiet=quiet, **choices)
    return up.findings


def check_up(
    data: Source,
    *,
    embeddings: str = "",
    weights: str = "",
    runs: str | Path = RUNS_FOLDER,
    display: Display | None = None,
    quiet: bool = False,
    **choices: Any,
) -> CheckUp:
    """Return the :class:`~sightline.reading.check.CheckUp`: what :func:`check` finds, and what it looked at."""
    require_extra("light", "checking data")
    from sightline.reading.check import check_source
    from sightline.reading.embed import Embedder
    from sightline.reading.source import DataChoices

    visit = check_source(data, DataChoices.of(**choices), Embedder(embeddings, weights, runs))
    return drive(visit, display, quiet)
