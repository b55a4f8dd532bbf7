"""``sightline recipes``: the packaged recipes, with what each reached and in what time."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["recipes"]


def recipes(
    name: Annotated[str | None, typer.Argument(help="A recipe to print in full, as a start for your own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """List the packaged recipes, or print one of them.

    Examples:
        sightline recipes
        sightline recipes cnn-dropout
    """
    from sightline.installation import install_command, missing_modules
    from sightline.planning.recipe import PACKAGED, Recipe, list_recipes

    if name is not None:
        chosen = Recipe.find(name)
        if as_json:
            print(json.dumps({"schema_version": 1, "name": name, "settings": chosen.chosen}))
        else:
            packaged = PACKAGED / f"{name}.toml"
            print((packaged if packaged.is_file() else Path(name)).read_text(encoding="utf-8"), end="")
        return
    if as_json:
        print(json.dumps({"schema_version": 1, "recipes": [asdict(recipe) for recipe in list_recipes()]}))
        return
    for recipe in list_recipes():
        print(f"{recipe.name}\n  {recipe.summary}\n  accuracy  {recipe.accuracy}\n  time      {recipe.time}\n")
    if missing_modules("train"):
        print(f"Next: install torch, which they need: {install_command('train')}")
        return
    print("Next: sightline train FOLDER --recipe NAME; sightline recipes NAME prints one, as a start for your own")
