"""The settings that a person chooses; the plan decides the rest."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.errors import InputError
from sightline.text import did_you_mean

__all__ = ["PACKAGED", "UNUSED", "Recipe", "RecipeFacts", "list_recipes"]

UNUSED = "unused"  # origin of a setting that a training did not use: no choice, where its plan is a recipe
PACKAGED = Path(__file__).with_name("recipes")  # each file is a recipe, its stem the name


@dataclass(frozen=True, slots=True)
class RecipeFacts:
    """The table ``about`` of a packaged recipe.

    Attributes:
        name: what ``--recipe`` takes.
        summary: what it is, in a line.
        command: the command that was measured.
        time: how long it took, and on what machine; or "not measured".
        accuracy: the accuracy it reached, on which data; or "not measured" and why.
    """

    name: str
    summary: str
    command: str
    time: str
    accuracy: str


def list_recipes() -> tuple[RecipeFacts, ...]:
    """Return the packaged recipes, by name.

    Example:
        >>> all(recipe.summary for recipe in list_recipes())
        True
    """
    files = sorted(PACKAGED.glob("*.toml"))
    return tuple(RecipeFacts(file.stem, **tomllib.loads(file.read_text("utf-8"))["about"]) for file in files)


class Recipe:
    """Chosen settings by name; whatever is not named here is decided by the plan.

    Args:
        chosen: any setting of ``sightline.planning.settings.Settings``; a value of None means not chosen.

    Raises:
        InputError: if a name is unknown, with the nearest right one; or if a value is out of its range.

    Example:
        >>> Recipe(model="resnet18", epochs=5)
        Recipe(epochs=5, model='resnet18')
    """

    def __init__(self, /, **chosen: Any) -> None:
        from sightline.planning.settings import check_values

        self.chosen = check_values({name: chosen[name] for name in sorted(chosen) if chosen[name] is not None})

    def __repr__(self) -> str:
        return f"Recipe({', '.join(f'{name}={value!r}' for name, value in self.chosen.items())})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Recipe) and self.chosen == other.chosen

    def __hash__(self) -> int:
        return hash(repr(self))

    def under(self, options: Recipe) -> Recipe:
        """Return the recipe as far as options leave it: their ``weights`` override its ``pretrained = false``.

        Example:
            >>> Recipe(epochs=5, pretrained=False).under(Recipe(weights="latest"))
            Recipe(epochs=5)
        """
        if options.chosen.get("weights") and self.chosen.get("pretrained") is False:
            return self.without("pretrained")
        return self

    def without(self, *names: str) -> Recipe:
        """Return the recipe with these settings left open.

        Example:
            >>> Recipe(epochs=5, device="cuda:0").without("device")
            Recipe(epochs=5)
        """
        return Recipe(**{name: value for name, value in self.chosen.items() if name not in names})

    @classmethod
    def from_toml(cls, path: str | Path) -> Recipe:
        """Read a recipe: a TOML file with ``name = value`` lines.

        Raises:
            InputError: if the file is missing or is not TOML, or a name is unknown.
        """
        try:
            tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            tables.pop("about", None)  # words about the recipe, for people
            # A run's plan.toml is a recipe too: each setting is a table there, with its value.
            plan = {n: v for n, v in tables.items() if isinstance(v, dict) and "value" in v}
            used = {n: v["value"] for n, v in plan.items() if v.get("origin") != UNUSED}
            return cls(**{n: v for n, v in tables.items() if n not in plan}, **used)
        except OSError as error:
            raise InputError(
                "recipe.missing", f"can't read the recipe {path}: {error.strerror}", "check the path"
            ) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError(
                "recipe.toml", f"{path} is not valid TOML: {error}", "write lines like: epochs = 5"
            ) from error

    @classmethod
    def find(cls, name: str | Path) -> Recipe:
        """Return a packaged recipe by its name, or read a TOML file.

        Raises:
            InputError: if there is neither, with the nearest names; or as ``from_toml``.

        Example:
            ``Recipe.find("fast-small-images").chosen["optimizer"]``
        """
        packaged = PACKAGED / f"{name}.toml"
        if str(name) == packaged.stem and packaged.is_file():
            return cls.from_toml(packaged)
        if not Path(name).exists() and not str(name).endswith(".toml"):
            names = [file.stem for file in sorted(PACKAGED.glob("*.toml"))]
            cure = did_you_mean(str(name), names, "sightline recipes lists them all")
            raise InputError("recipe.unknown", f"{str(name)!r} is neither a packaged recipe nor a file", cure)
        return cls.from_toml(name)
