"""``sightline check``: what is wrong with the data. Needs no torch, but for features of a pretrained network."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from sightline.checks.finding import Findings
    from sightline.data.samples import Samples

__all__ = ["check", "parse_range", "print_findings"]

_SHOWN = 3
_NOT_RUN = "not run: "


def check(
    data: Annotated[str, typer.Argument(help="Class folders, split folders, a table, an archive, or a named set.")],
    html: Annotated[Path | None, typer.Option(help="Write a page with the pictures of each finding.")] = None,
    fix_list: Annotated[Path | None, typer.Option(help="Write proposals as a CSV, for train --fixes.")] = None,
    embeddings: Annotated[
        str | None, typer.Option(help="A run or a pretrained network: finds label errors and outliers.")
    ] = None,
    weights: Annotated[str | None, typer.Option(help="Safetensors file for the network of --embeddings.")] = None,
    group: Annotated[str | None, typer.Option(help="Column or expression: what must stay on one side.")] = None,
    fixes: Annotated[Path | None, typer.Option(help="Apply a list of fixes first.")] = None,
    value_range: Annotated[
        str | None, typer.Option("--range", help="LOW,HIGH: black and white of 16-bit, 32-bit, float pictures.")
    ] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 3 on findings this bad, or of this code; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Open every image and say what is wrong with the data. No file is changed."""
    from sightline import api
    from sightline.data.fixes import fixes_text

    _check_fail_on(fail_on or [])
    numbers = parse_range(value_range)
    up = api.check_up(
        data,
        embeddings=embeddings or "",
        weights=weights or "",
        value_range=numbers,
        group=group or "",
        fixes=str(fixes or ""),
    )
    if html:
        from sightline.reporting.check_page import render_check

        _write(html, render_check(up.samples, up.findings, up.not_run, numbers))
    if fix_list:
        _write(fix_list, fixes_text(up.findings.fixes))
    if as_json:
        print(json.dumps(_document(up)))
    else:
        print_findings(up.samples, up.findings)
        _print_next(data, up, html, fix_list)
    if _is_failed(up.findings, fail_on or []):
        raise typer.Exit(3)


def parse_range(text: str | None) -> tuple[float, float] | None:
    """Return (low, high) of ``LOW,HIGH``, or None for None."""
    from sightline.errors import InputError

    if text is None:
        return None
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError:
        low = high = 0.0
    if not low < high:
        raise InputError("plan.range", f"--range {text!r} is not LOW,HIGH", "for example --range 0,4095")
    return low, high


def _check_fail_on(wanted: list[str]) -> None:
    from sightline.checks.finding import CODES, SEVERITIES
    from sightline.errors import InputError

    for word in wanted:
        if word not in (*SEVERITIES, *CODES):
            known = f"{', '.join(SEVERITIES)}, or a code: {', '.join(CODES)}"
            raise InputError("check.fail-on", f"--fail-on {word!r} is neither a severity nor a code", f"use {known}")


def _is_failed(findings: Findings, wanted: list[str]) -> bool:
    from sightline.checks.finding import SEVERITIES

    worst = max((SEVERITIES.index(word) for word in wanted if word in SEVERITIES), default=-1)
    return any(SEVERITIES.index(found.severity) <= worst or found.code in wanted for found in findings)


def _document(up: Any) -> dict[str, Any]:
    samples = up.samples
    return {
        "schema_version": 1,
        "images": len(samples),
        "readable": len(samples) - len(samples.errors),
        "unreadable": len(samples.errors),
        "skipped": len(samples.skipped),
        "classes": samples.counts(),
        "findings": [finding.to_dict() for finding in up.findings],
        "not_run": [{"what": what, "how": how} for what, how in up.not_run],
    }


def _write(path: Path, text: str) -> None:
    from sightline.runs.files import write_text

    write_text(path, text)


def print_findings(samples: Samples, findings: Findings) -> None:
    """Print counts and findings, worst first."""
    from sightline.text import printable

    counts = samples.counts()
    shown = ", ".join(f"{printable(name)} {count:,}" for name, count in list(counts.items())[:10])
    print(f"{len(samples):,} images in {len(counts)} classes: {shown}{', ...' if len(counts) > 10 else ''}")
    if not findings:
        print("Nothing wrong was found.")
    for finding in findings:
        print(f"\n{finding.severity}[{finding.code}]: {printable(finding.message)}")
        for case in finding.cases[:_SHOWN]:
            print(f"    {printable(str(case))}")
        if len(finding.cases) > _SHOWN:
            print(f"    ... {len(finding.cases) - _SHOWN:,} more")
        print(f"  cure: {printable(finding.cure)}")


def _print_next(data: str, up: Any, html: Path | None, fix_list: Path | None) -> None:
    for what, how in up.not_run:
        print(f"\n{_NOT_RUN}{what}; to look for them: {how}")
    command = f"sightline check {shlex.quote(data)}"
    print()
    if html:
        print(f"Page        {html}")
    elif any(finding.cases for finding in up.findings):
        print(f"Pictures    {command} --html check.html")
    proposals = len(up.findings.fixes)
    if fix_list and proposals:
        print(f"Fixes       {fix_list} ({proposals:,} proposals; delete the lines that you don't want)")
        print(f"\nNext: sightline train {shlex.quote(data)} --fixes {shlex.quote(str(fix_list))}")
        return
    if proposals:
        print(f"Fixes       {command} --fix-list fixes.csv ({proposals:,} proposals, no file is changed)")
    print(f"\nNext: sightline train {shlex.quote(data)}")
