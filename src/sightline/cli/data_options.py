"""Options that several commands share: how the images of a folder are found, and what a training is asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "GROUPS",
    "AsJson",
    "Assign",
    "BatchSize",
    "Device",
    "Epochs",
    "Fixes",
    "FollowLinks",
    "Group",
    "Layout",
    "Model",
    "Out",
    "Quiet",
    "Rate",
    "RecipeName",
    "Side",
    "Skip",
    "TestShare",
    "ValShare",
]

# The groups of a training's options in --help.
GROUPS = ("Data", "Network", "Learning", "Time and devices", "Output")
_DATA, _NETWORK, _LEARNING, _TIME, _OUTPUT = GROUPS

# -- how images are found -----------------------------------------------------------------------------------

Layout = Annotated[
    str | None,
    typer.Option(help="How folders are read, where names allow two ways: classes, splits, inner-splits or tables."),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(help="Leave out files and folders of this name or pattern, such as '*_mask.png'; repeatable."),
]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Follow links that lead out of the folder.")]

# -- what a training is asked for, alone or in a search -----------------------------------------------------

ValShare = Annotated[float | None, typer.Option(help="Share drawn for validation.", rich_help_panel=_DATA)]
TestShare = Annotated[float | None, typer.Option(help="Share drawn for testing; 0: none.", rich_help_panel=_DATA)]
Group = Annotated[
    str | None,
    typer.Option(
        help="Images that belong together: a column, or a regular expression on paths.", rich_help_panel=_DATA
    ),
]
Fixes = Annotated[Path | None, typer.Option(help="CSV of images to exclude, relabel or group.", rich_help_panel=_DATA)]
Model = Annotated[
    str | None,
    typer.Option(help="Any timm network, or one of ours (see sightline models).", rich_help_panel=_NETWORK),
]
Side = Annotated[
    int | None, typer.Option(help="Side of the network's square input, in pixels.", rich_help_panel=_NETWORK)
]
RecipeName = Annotated[
    str | None,
    typer.Option(
        help="A packaged recipe (see sightline recipes) or a TOML file of settings.", rich_help_panel=_LEARNING
    ),
]
Epochs = Annotated[int | None, typer.Option(help="Passes over the training images.", rich_help_panel=_LEARNING)]
BatchSize = Annotated[int | None, typer.Option(help="Images per step.", rich_help_panel=_LEARNING)]
Rate = Annotated[float | None, typer.Option(help="Highest learning rate.", rich_help_panel=_LEARNING)]
Assign = Annotated[
    list[str] | None,
    typer.Option("--set", help="Any setting as name=value, for example flip=0; repeatable.", rich_help_panel=_LEARNING),
]
Device = Annotated[str | None, typer.Option(help="cpu, cuda, cuda:N or mps.", rich_help_panel=_TIME)]
Out = Annotated[Path, typer.Option(help="Folder that holds the runs.", rich_help_panel=_OUTPUT)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show warnings only.", rich_help_panel=_OUTPUT)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.", rich_help_panel=_OUTPUT)]
