"""Figures that are drawn and not rendered, for tests that look at something else."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image


def leave_figures_unrendered(patch: pytest.MonkeyPatch) -> None:
    """Let matplotlib write empty files: rendering takes half of the time of a small training, and as much of a report.

    What figures look like is tested in ``reporting``, and ``finished_run`` has all of them.
    """
    from matplotlib.figure import Figure

    def write(figure: Figure, target: Any, *, format: str = "png", **options: object) -> None:
        if format == "svg":
            target.write('<svg xmlns="http://www.w3.org/2000/svg"><g id="figure_1"></g></svg>')
        else:
            Image.new("L", (1, 1)).save(target, format)

    patch.setattr(Figure, "savefig", write)
