"""Writes what is made from the code: ``docs/commands.md`` from --help, and the tree in ``docs/code.md``.

    python docs/make_reference.py

A test compares the two files with what this script would write.
"""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "sightline"
BEGIN, END = "<!-- tree: made by `make docs` -->", "<!-- end of tree -->"


def commands() -> str:
    """Return ``docs/commands.md``."""
    from typer.main import get_command

    from sightline.cli.app import app

    group: Any = get_command(app)
    top = group.context_class(group, info_name="sightline", terminal_width=98, **group.context_settings)
    parts = ["# Commands", "Made from `--help` by `make docs`.", "", section("sightline", group.get_help(top)), ""]
    for name, verb in group.commands.items():
        context = verb.context_class(verb, info_name=name, parent=top, **verb.context_settings)
        parts += [section(f"sightline {name}", verb.get_help(context)), ""]
    return "\n".join(parts)


def section(command: str, text: str) -> str:
    """Return one command's help as a section."""
    return f"## {command}\n\n```text\n{text.rstrip()}\n```"


def first_line(file: Path) -> str:
    """Return the first sentence of a file's docstring, without markup."""
    text = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    line = text.split("\n\n")[0].replace("\n", " ").split(". ")[0].split(": ", 1)
    sentence = (line[-1] if line[0].startswith("``") and len(line) > 1 else ": ".join(line)).rstrip(".:")
    return re.sub(r"``|:class:|`~?[\w.]*\.(\w+)`", lambda m: m[1] or "", sentence)


def tree() -> str:
    """Return the tree of the code, one line a file."""
    rows = [("src/sightline/", "")]
    top = [path for path in sorted(SOURCE.iterdir()) if path.suffix == ".py"]
    rooms = [path for path in sorted(SOURCE.iterdir()) if (path / "__init__.py").is_file()]
    rows += [(f"  {file.name}", first_line(file)) for file in top]
    for room in rooms:
        rows.append((f"  {room.name}/", first_line(room / "__init__.py")))
        rows += [(f"    {f.name}", first_line(f)) for f in sorted(room.glob("*.py")) if f.name != "__init__.py"]
    width = max(len(name) for name, _ in rows) + 2
    return "\n".join(f"{name:<{width}}{text}".rstrip() for name, text in rows)


def code() -> str:
    """Return ``docs/code.md`` with the tree as it is now."""
    text = (ROOT / "docs" / "code.md").read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    return f"{before}{BEGIN}\n\n```text\n{tree()}\n```\n\n{END}{after}"


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))  # this checkout's code, whichever one is installed
    (ROOT / "docs" / "code.md").write_text(code(), encoding="utf-8")
    (ROOT / "docs" / "commands.md").write_text(commands(), encoding="utf-8")
