"""``sightline verify``: whether a run is as it was recorded. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = ["verify"]

_SHOWN = 10
_DIFFERS = 5  # the exit code, as for a gate that was not met


def verify(
    run: Annotated[str, typer.Argument(help="A run's folder or name, or latest.")] = "latest",
    data: Annotated[str, typer.Option(help="Folder where the run's images are now, if they moved.")] = "",
    no_data: Annotated[bool, typer.Option("--no-data", help="Don't read every image again.")] = False,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Check that a run is still as it was recorded.

    Hashes data and weights, computes every metric again, and reports what differs (exit code 5). Changes nothing.

    Examples:
        sightline verify latest
        sightline verify latest --no-data
    """
    from sightline.api import reviewing
    from sightline.cli.latest import resolve_latest

    verification = reviewing.verify(resolve_latest(run, runs), data=not no_data, moved_to=data, runs=runs)
    if as_json:
        print(json.dumps(verification.to_dict()))
    else:
        _print_checks(verification)
    if not verification.is_as_recorded:
        raise typer.Exit(_DIFFERS)


def _print_checks(verification: Any) -> None:
    from sightline.text import count_of, printable

    checks = [check for check in verification.checks if check.said or check.differences]
    width = max(len(printable(check.name)) for check in checks)
    for check in checks:
        word = "DIFFERS" if check.differences else "as recorded"
        print(f"{printable(check.name):<{width}}  {word:<11}  {printable(check.said)}".rstrip())
        for difference in check.differences[:_SHOWN]:
            print(f"    {printable(str(difference))}")
        if len(check.differences) > _SHOWN:
            print(f"    ... {len(check.differences) - _SHOWN:,} more; --json lists all")
    for reason in (reason for check in verification.checks for reason in check.not_checked):
        print(f"not checked: {printable(reason)}")
    count = len(verification.differences)
    where = printable(str(verification.run.folder))
    print(f"\n{where}: {count_of(count, 'difference')}." if count else f"\n{where} is as it was recorded.")
