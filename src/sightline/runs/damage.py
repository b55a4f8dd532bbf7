"""Errors that name what can't be read of a run: damaged, or written by a version that this one does not know."""

from __future__ import annotations

import contextlib
import csv
import json
import shlex
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from sightline.errors import RunError
from sightline.runs.array_files import ArrayFileError
from sightline.runs.facts_file import FACTS_FILE, SCHEMA, read_facts, version_of

__all__ = ["named_damage"]

# What no version wrote.
_NEVER_AGE = (
    *(IsADirectoryError, NotADirectoryError, PermissionError, EOFError, RecursionError, ArrayFileError),
    *(json.JSONDecodeError, UnicodeDecodeError, csv.Error, zipfile.BadZipFile, zlib.error),
)
# What a file that was cut off, emptied or changed by hand raises where it is read or used.
_DAMAGE = (*_NEVER_AGE, FileNotFoundError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError)


@contextlib.contextmanager
def named_damage(what: str | Path, folder: Path) -> Iterator[None]:
    """Raise ``RunError`` that names ``what`` of a run's folder, in place of what a damaged file raises inside.

    Where another version made the run, that is said, with what can be done. It may be a fault of ours in disguise: the
    cure says how to tell, and ``--debug`` shows where it arose.
    """
    try:
        yield
    except _DAMAGE as error:
        said = f"no {error}" if isinstance(error, KeyError) else str(error) or type(error).__name__
        aged = None if isinstance(error, _NEVER_AGE) else _of_other_version(what, folder, said)
        raise aged or _damaged(what, folder, said) from error


def _damaged(what: str | Path, folder: Path, said: str) -> RunError:
    cure = (
        f"sightline verify {shlex.quote(str(folder))} says what differs: put it back, or train again; "
        "if nothing differs, report it with the output of --debug"
    )
    return RunError("run.damaged", f"{what} is damaged: {said}", cure)


def _of_other_version(what: str | Path, folder: Path, said: str) -> RunError | None:
    """Return the error for a run of another schema, or None where it is of this one, or does not tell."""
    try:
        facts = read_facts(folder / FACTS_FILE)
    except RunError:
        return None
    schema = facts.get("schema_version") or 1
    if schema == SCHEMA:
        return None
    message = f"{folder} was made by {version_of(facts)}; this one writes schema {SCHEMA} and can't read {what}: {said}"
    if schema > SCHEMA:
        return RunError("run.other-version", message, "use that version of Sightline, or a newer one")
    again = f"train again: sightline train {shlex.quote(str(facts.get('data') or 'DATA'))}"
    whole = f"its report.html stays as it is, and sightline runs {shlex.quote(str(folder.parent))} lists it"
    return RunError("run.other-version", message, f"{again}; {whole}")
