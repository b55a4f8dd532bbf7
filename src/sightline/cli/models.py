"""``sightline models``: the networks that ``--model`` takes."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import Annotated

import typer

__all__ = ["models"]


def models(
    pattern: Annotated[
        str,
        typer.Argument(
            help="Part of a name of timm's networks, or wildcards in quotes; without it our own and the one that comes "
            "with Sightline are listed."
        ),
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """List networks: our own, or matching ones of timm.

    Without a pattern ours, and the pretrained one that comes with Sightline. Of timm's only those with weights on the
    hub. No connection is made.

    Examples:
        sightline models
        sightline models resnet18
    """
    from sightline.api import training
    from sightline.installation import install_command, missing_modules, require_extra
    from sightline.planning.carried_network import CARRIED

    require_extra("light", "listing networks")
    if pattern:
        require_extra("train", "the list of timm's networks")
    print("Reading the list of networks ...", file=sys.stderr)
    found = training.list_models(pattern)
    if as_json:
        print(json.dumps({"schema_version": 1, "models": [asdict(network) for network in found]}))
        return
    width = max(len(network.name) for network in found)
    print(f"{'model':<{width}}     size    input  weights  licence")
    for network in found:
        count = "?" if network.parameters is None else f"{network.parameters / 1e6:.1f} M"
        where = "here" if network.is_carried else "cached" if network.is_cached else "hub" if network.licence else "-"
        said = network.licence or f"no published weights: {network.description}"
        said += "; weights come with Sightline: no download" if network.is_carried else ""
        print(f"{network.name:<{width}}  {count:>7}  {network.size:>4} px  {where:<7}  {said}")
    if missing_modules("train"):
        print(f"\nWithout torch only {CARRIED.name} can be used, as it is; all others: {install_command('train')}")
        print("Next: sightline train FOLDER")
        return
    more = "" if pattern else "; sightline models 'convnext*' lists timm's of that name, '*' all"
    print(f"\nNext: sightline train FOLDER --model NAME{more}")
