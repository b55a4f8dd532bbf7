"""``sightline selftest``: a set with every fault we know of, and whether each is found."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["selftest"]


def selftest(
    keep: Annotated[
        Path | None, typer.Option(help="Keep the data set and the run in this folder; it must be new or empty.")
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Leave out the training and the prediction.")] = False,
) -> None:
    """Check Sightline itself on a data set with every known fault.

    Also trains on it, and reports whether each fault is found.

    Examples:
        sightline selftest --quick
    """
    from sightline.errors import InputError
    from sightline.installation import require_extra

    require_extra("light", "the self-test")
    if keep is not None and keep.exists() and (not keep.is_dir() or any(keep.iterdir())):
        raise InputError("selftest.exists", f"{keep} exists and is not empty", "name a folder that is not there yet")
    before = os.environ.get("SIGHTLINE_CACHE")
    with tempfile.TemporaryDirectory(prefix="sightline-selftest-", ignore_cleanup_errors=True) as scratch:
        os.environ["SIGHTLINE_CACHE"] = str(Path(scratch) / "cache")  # what is measured here helps no one later
        try:
            failed = _print_verdicts((keep or Path(scratch)).absolute(), quick)
        finally:
            os.environ["SIGHTLINE_CACHE"] = before or ""  # an empty one is none
    if keep is not None:
        print(f"The set is kept in {keep / 'data'}")
    if failed:
        print(f"{failed} of these are faults in Sightline; please report the lines that say FAIL", file=sys.stderr)
        raise typer.Exit(1)


def _print_verdicts(folder: Path, quick: bool) -> int:
    """Print a line for each verdict; returns how many are wrong."""
    from sightline.events import StageStarted
    from sightline.pipeline.selftest import Verdict, run_selftest
    from sightline.text import printable

    total = failed = 0
    for event in run_selftest(folder, quick=quick):
        if isinstance(event, Verdict):
            total += 1
            failed += not event.ok
            print(f"{'ok  ' if event.ok else 'FAIL'}  {event.name:<58}  {printable(event.expected)}")
            if not event.ok:
                print(f"      found: {printable(event.reported)}")
        elif isinstance(event, StageStarted):
            print(f"{event.name} {printable(event.detail)} ...", file=sys.stderr)
    print(f"{total - failed} of {total} as expected")
    return failed
