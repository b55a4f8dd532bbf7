"""``sightline check``: what is wrong with the data. Needs no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from sightline.checks.finding import Findings
    from sightline.data.samples import Samples

__all__ = ["check", "print_findings"]

_SHOWN = 5


def check(
    data: Annotated[Path, typer.Argument(help="Class folders, split folders, or a CSV.")],
    fail_on: Annotated[
        str | None, typer.Option(help="Exit with 3 on findings this bad: error, warning or note.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Open every image and say what is wrong with the data. No file is changed."""
    from sightline import api
    from sightline.checks.finding import SEVERITIES
    from sightline.errors import InputError

    if fail_on is not None and fail_on not in SEVERITIES:
        raise InputError("check.fail-on", f"--fail-on {fail_on!r} is no severity", f"use {', '.join(SEVERITIES)}")
    samples, findings = api.check_with_samples(data)
    if as_json:
        counts = {"images": len(samples), "unreadable": len(samples.errors), "classes": samples.counts()}
        print(json.dumps({"schema_version": 1, **counts, "findings": [finding.to_dict() for finding in findings]}))
    else:
        print_findings(samples, findings)
    if fail_on and any(SEVERITIES.index(f.severity) <= SEVERITIES.index(fail_on) for f in findings):
        raise typer.Exit(3)


def print_findings(samples: Samples, findings: Findings) -> None:
    """Print counts and findings, worst first."""
    from sightline.text import printable

    counts = samples.counts()
    shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(counts.items())[:10])
    print(f"{len(samples):,} images in {len(counts)} classes: {shown}{', ...' if len(counts) > 10 else ''}")
    if not findings:
        print("Nothing wrong was found.")
    for finding in findings:
        print(f"{finding.severity}[{finding.code}]: {printable(finding.message)}")
        for case in finding.cases[:_SHOWN]:
            print(f"    {printable(str(case))}")
        if len(finding.cases) > _SHOWN:
            print(f"    ... {len(finding.cases) - _SHOWN:,} more (--json lists all)")
        print(f"  cure: {printable(finding.cure)}")
