"""Options that several commands share: how the images of a folder are found."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["FollowLinks", "Layout", "Skip"]

Layout = Annotated[
    str | None,
    typer.Option(help="How folders are read, where names allow two ways: classes, splits, inner-splits or tables."),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(help="Leave out files and folders of this name or pattern, such as '*_mask.png'; repeatable."),
]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Follow links that lead out of the folder.")]
