"""``sightline preview``: what random changes will make of the training images, as one image."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sightline.cli.data_options import FollowLinks, Layout, Skip

__all__ = ["preview"]

_MARK = "Sightline preview"


def preview(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with one folder of images per class; also split folders, a table, an archive or a named set."
        ),
    ],
    recipe: Annotated[
        str | None, typer.Option(help="A packaged recipe (see sightline recipes) or a TOML file of settings.")
    ] = None,
    assign: Annotated[
        list[str] | None, typer.Option("--set", help="Any setting as name=value, for example flip=0; repeatable.")
    ] = None,
    layout: Layout = None,
    skip: Skip = None,
    follow_links: FollowLinks = False,
    count: Annotated[int, typer.Option(help="Number of training images to show, 1 to 64.")] = 16,
    out: Annotated[Path, typer.Option(help="PNG file to write.")] = Path("preview.png"),
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.")] = False,
) -> None:
    """Draw training images beside what augmentation makes of them.

    Nothing is trained.

    Examples:
        sightline preview photos/
        sightline preview photos/ --set rotate=20 --count 8 --out strong.png
    """
    from sightline.api import training
    from sightline.cli.check import refuse_overwriting
    from sightline.display.terminal import Terminal
    from sightline.errors import InputError
    from sightline.planning.settings import parse_assignment
    from sightline.reporting.canvas import any_letters

    if out.suffix.lower() != ".png":
        raise InputError("preview.format", f"{out} does not end in .png", "give --out preview.png")
    refuse_overwriting(data, out, _is_our_image)
    reading = {"layout": layout, "skip": skip or None, "follow_links": follow_links or None}
    settings = {**reading, **dict(parse_assignment(text) for text in assign or [])}
    terminal = Terminal(quiet=quiet, show_plan=False)
    figure = training.preview(data, recipe, count=count, display=terminal, **settings)
    with any_letters():
        figure.savefig(out, dpi=150, facecolor="white", metadata={"Software": _MARK})
    print(out)


def _is_our_image(path: Path) -> bool:
    """Tell whether a preview wrote this file."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return image.info.get("Software") == _MARK
    except OSError:
        return False
