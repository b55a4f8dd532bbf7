"""What a person chooses: some settings, the rest is planned."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from sightline.errors import InputError

__all__ = ["Recipe"]


class Recipe:
    """Chosen settings by name; whatever is not named here is decided by the plan.

    Args:
        chosen: any setting of ``sightline.planning.settings.Settings``; a value of None is no choice.

    Raises:
        InputError: if a name is no setting, with the nearest right one; or if a value is out of its range.

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

    @classmethod
    def from_toml(cls, path: str | Path) -> Recipe:
        """Read a recipe: a TOML file with ``name = value`` lines.

        Raises:
            InputError: if the file is missing or is not TOML, or a name is no setting.
        """
        try:
            tables = tomllib.loads(Path(path).read_text(encoding="utf-8"))
            # A run's plan.toml is a recipe too: each setting is a table there, with its value.
            return cls(**{n: v["value"] if isinstance(v, dict) and "value" in v else v for n, v in tables.items()})
        except OSError as error:
            raise InputError("recipe.missing", f"no recipe at {path}: {error.strerror}", "check the path") from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InputError("recipe.toml", f"{path} is not TOML: {error}", "write lines like: epochs = 5") from error
