"""What a verb's ``--help`` shows: what it does, its options in groups, examples. Plain text: rich would cost time."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand

__all__ = ["HELP_SETTINGS", "Verb", "examples_of", "words_of"]

HELP_SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 100}
_HEADING = "\n\nExamples:\n"


def words_of(verb: Callable[..., Any]) -> str:
    """Return what a verb's docstring says it does, without the examples."""
    return (inspect.getdoc(verb) or "").partition(_HEADING)[0]


def examples_of(verb: Callable[..., Any]) -> list[str]:
    """Return the commands under "Examples:" in a verb's docstring.

    Example:
        >>> def greet():
        ...     '''Greet.
        ...
        ...     Examples:
        ...         sightline greet Ann
        ...     '''
        >>> examples_of(greet)
        ['sightline greet Ann']
    """
    lines = (inspect.getdoc(verb) or "").partition(_HEADING)[2].splitlines()
    return [line.strip() for line in lines if line.strip()]


class Verb(TyperCommand):
    """A command whose help lists options by their ``rich_help_panel``, and the lines of its epilog as they are."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write a section for the arguments and for each group of options."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                usual = "Arguments" if parameter.param_type_name == "argument" else "Options"
                groups.setdefault(getattr(parameter, "rich_help_panel", None) or usual, []).append(record)
        for name, records in groups.items():
            with formatter.section(name):
                formatter.write_dl(records)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """Write the examples."""
        with formatter.section("Examples"):
            for line in (self.epilog or "").splitlines():
                formatter.write(f"  {line}\n")
