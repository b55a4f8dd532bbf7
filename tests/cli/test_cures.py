"""Cures in the source name options that are there, for the command that they name or can be raised in."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from typer.main import get_command

import sightline
from sightline.cli.app import VERBS, app

SOURCE = Path(sightline.__file__).parent
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z-]*[a-z](?![\w-]*:)")
COMMAND = re.compile(r"\bsightline ([a-z]+)\b([^;\n]*)")
EVERYWHERE = {"--help", "--debug", "--version", "--install-completion"}
OF_OTHER_PROGRAMS = {"--force-reinstall", "--torch-backend", "--logdir"}
# Rooms that many commands share: an option alone would be one of another command there.
SHARED = ("runs", "runtime", "caches.py", "errors.py", "installation.py", "pixels")


@cache
def options_of() -> dict[str, set[str]]:
    commands = get_command(app).commands  # type: ignore[attr-defined]
    return {
        name: {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
        for name, command in commands.items()
    }


def text_of(node: ast.AST) -> str:
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.JoinedStr):
        return "".join(text_of(part) if isinstance(part, ast.Constant) else "X" for part in node.values)
    return ""


@cache
def trees() -> dict[str, ast.Module]:
    return {path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text("utf-8")) for path in SOURCE.rglob("*.py")}


def messages(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield (line, text) of every string but docstrings, an f-string whole."""
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        is_whole = isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and id(node) not in inside)
        if is_whole and id(node) not in docs and (text := text_of(node)):
            yield node.lineno, text  # type: ignore[attr-defined]


@cache
def imported_by(name: str) -> frozenset[str]:
    """Return the files that a file of the source imports, itself included, within functions too."""
    seen, waiting = set(), [name]
    while waiting:
        file = waiting.pop()
        if file in seen or file not in trees():
            continue
        seen.add(file)
        for node in ast.walk(trees()[file]):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sightline."):
                place = (node.module or "").removeprefix("sightline.").replace(".", "/")
                waiting += [f"{place}.py", *(f"{place}/{alias.name}.py" for alias in node.names)]
    return frozenset(seen)


def test_commands_in_messages_have_the_options_that_they_are_shown_with() -> None:
    wrong = []
    for file, tree in trees().items():
        for line, text in messages(tree):
            for verb, rest in COMMAND.findall(text):
                if verb in options_of():
                    strange = set(OPTION.findall(rest)) - options_of()[verb] - EVERYWHERE
                    wrong += [f"{file}:{line}: sightline {verb} has no {option}" for option in strange]
    assert not wrong, "\n".join(wrong)


def test_options_in_messages_belong_to_a_command_that_can_show_them() -> None:
    """``report`` proposed another ``--out``, which it does not have."""
    imports = {verb.__name__: imported_by(f"cli/{verb.__name__}.py") for verb in VERBS}
    reached = {file: {verb for verb, files in imports.items() if file in files} for file in trees()}
    wrong = []
    for file, tree in trees().items():
        for line, text in messages(tree):
            if text.startswith("--"):  # the declaration of an option, or a part of a command
                continue
            named = (
                "sightline X" in text
                or text.startswith(("if they moved", "; to write"))
                or [verb for verb, _ in COMMAND.findall(text) if verb in options_of()]
            )
            alone = set(OPTION.findall(COMMAND.sub("", text))) - EVERYWHERE - OF_OTHER_PROGRAMS
            if named or not alone:
                continue
            if file.startswith(SHARED):
                wrong += [f"{file}:{line}: {option} is an option of some commands only: {text}" for option in alone]
                continue
            verbs = {file[4:-3]} if file[4:-3] in options_of() and file.startswith("cli/") else reached[file]
            known = set().union(*(options_of()[verb] for verb in verbs)) if verbs else set()
            wrong += [f"{file}:{line}: {sorted(verbs)} have no {option}: {text}" for option in alone - known]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("text", ["choose another --out", "add --groups X"])
def test_the_pattern_finds_options(text: str) -> None:
    assert OPTION.findall(text)
