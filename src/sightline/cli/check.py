"""``sightline check``: what is wrong with the data. Needs no torch, but for features of a pretrained network."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sightline.cli.data_options import FollowLinks, Layout, Skip

if TYPE_CHECKING:
    from sightline.checks.finding import Findings
    from sightline.data.samples import Samples

__all__ = ["check", "parse_range", "print_findings", "refuse_overwriting"]

_SHOWN = 3


def check(
    data: Annotated[
        str,
        typer.Argument(
            help="A folder with one folder of images per class; also split folders, a table, an archive or a named set."
        ),
    ],
    html: Annotated[Path | None, typer.Option(help="Write a page that shows the images of each finding.")] = None,
    fix_list: Annotated[Path | None, typer.Option(help="Write proposed fixes as a CSV file for train --fixes.")] = None,
    embeddings: Annotated[
        str | None, typer.Option(help="A run or a pretrained network whose features find label errors and outliers.")
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Safetensors file with the weights of the network in --embeddings.")
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder that holds the runs, for --embeddings.")] = Path("runs"),
    group: Annotated[
        str | None, typer.Option(help="Images that belong together: a column, or a regular expression on paths.")
    ] = None,
    fixes: Annotated[Path | None, typer.Option(help="Apply a CSV of fixes first.")] = None,
    versions: Annotated[
        str | None,
        typer.Option(help="Search for versions of one original (turned, zoomed ...): auto, all images, or off."),
    ] = None,
    layout: Layout = None,
    skip: Skip = None,
    follow_links: FollowLinks = False,
    resplit: Annotated[
        bool, typer.Option("--resplit", help="Put a split that comes with the images aside, as train --resplit does.")
    ] = False,
    value_range: Annotated[
        str | None,
        typer.Option("--range", help="LOW,HIGH: which numbers are black and white in 16-bit, 32-bit and float images."),
    ] = None,
    fail_on: Annotated[
        list[str] | None, typer.Option(help="Exit with 3 on findings of this severity (or worse) or code; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")] = False,
) -> None:
    """Open every image and report what is wrong with the data.

    No file is changed.

    Examples:
        sightline check photos/
        sightline check photos/ --html check.html --fix-list fixes.csv
    """
    from sightline.api.data import check_up
    from sightline.data.fixes import fixes_text, read_fixes
    from sightline.reading.source import DataChoices

    _check_fail_on(fail_on or [])
    refuse_overwriting(data, html, _is_our_page)
    refuse_overwriting(data, fix_list, lambda path: False)
    numbers = parse_range(value_range)
    choices = DataChoices.of(
        value_range=numbers,
        group=group,
        fixes=None if fixes is None else str(fixes),
        versions=versions,
        layout=layout,
        skip=tuple(skip or ()),
        resplit=resplit,
        follow_links=follow_links,
    )
    up = check_up(
        data,
        embeddings=embeddings or "",
        weights=weights or "",
        runs=runs,
        value_range=numbers,
        group=choices.group,
        fixes=choices.fixes,
        versions=choices.versions,
        layout=choices.layout,
        skip=choices.skip,
        resplit=resplit,
        follow_links=choices.follow_links,
    )
    if html:
        from sightline.reporting.check_page import render_check

        typed = _typed_next(data, choices.options(), fix_list, has_fixes=bool(up.findings.fixes))
        _write(html, render_check(up.samples, up.findings, up.not_run, numbers, typed))
    if fix_list:
        # What was applied belongs to the new list too, or it would be lost with it.
        _write(fix_list, fixes_text([*(read_fixes(fixes) if fixes else []), *up.findings.fixes]))
    if as_json:
        print(json.dumps(_document(up)))
    else:
        print_findings(up.samples, up.findings)
        embedder = {"embeddings": embeddings, "weights": weights}
        again = "".join(f" --{name} {shlex.quote(text)}" for name, text in embedder.items() if text)
        _print_next(data, up, choices.options(), again, html, fix_list)
    if up.samples.errors or _is_failed(up.findings, fail_on or []):
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
    from sightline.data.fixes import EXCLUDED

    samples = up.samples
    return {
        "schema_version": 1,
        "images": len(samples),
        "readable": len(samples) - len(samples.errors),
        "unreadable": len(samples.errors),
        "skipped": len(samples.skipped) - samples.skipped_counts().get(EXCLUDED, 0),
        "excluded": samples.skipped_counts().get(EXCLUDED, 0),
        "classes": samples.counts(),
        "findings": [finding.to_dict() for finding in up.findings],
        "not_run": [{"what": what, "how": how} for what, how in up.not_run],
    }


def refuse_overwriting(data: str, path: Path | None, is_ours: Callable[[Path], bool]) -> None:
    """Raise before anything is read: an output never replaces a file of the user's, nor joins the images."""
    from sightline.errors import InputError
    from sightline.runs.targets import refuse_file_target

    if path is None:
        return
    if path.is_dir() or not path.parent.is_dir():
        raise InputError("check.output", f"{path} can't be written: it is a folder, or its folder is missing", _NAME)
    if path.exists() and not is_ours(path):
        raise InputError("check.output", f"{path} exists already", "give another name, or remove it first")
    folder = Path(data)
    if folder.is_dir() and folder.resolve() in path.resolve().parents:
        raise InputError("check.output", f"{path} would be among the images", _NAME)
    refuse_file_target(path, _NAME)


_NAME = "give the name of a file in another folder"


def _is_our_page(path: Path) -> bool:
    """Tell whether a file is an earlier page of this command, which a new one may replace."""
    with path.open("rb") as file:
        return b"Sightline check</title>" in file.read(4_096)


def _write(path: Path, text: str) -> None:
    from sightline.runs.safe_files import write_text

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


def _typed_next(data: str, options: str, fix_list: Path | None, *, has_fixes: bool) -> list[str]:
    """Return the commands that come next, as the page shows them."""
    train = f"sightline train {shlex.quote(data)}{options}"
    if not has_fixes:
        return [train]
    name = shlex.quote(str(fix_list)) if fix_list else _beside(data, "fixes.csv")
    first = [] if fix_list else [f"sightline check {shlex.quote(data)}{options} --fix-list {name}"]
    return [*first, f"{train.partition(' --fixes ')[0]} --fixes {name}"]


def _beside(data: str, name: str) -> str:
    """Return a name for a new file as it is typed: outside of the images, where one works among them."""
    folder, here = Path(data).resolve(), Path.cwd()
    if not folder.is_dir() or (folder != here and folder not in here.parents):
        return name
    return shlex.quote(os.path.relpath(folder.parent / name))


def _print_next(data: str, up: Any, options: str, again: str, html: Path | None, fix_list: Path | None) -> None:
    """Say where things are and what to type next; ``options`` and ``again`` are those that were typed."""
    from sightline.text import count_of

    for what, how in up.not_run:
        print(f"\nnot run: {what}; to check this: {how}")
    command = f"sightline check {shlex.quote(data)}{options}{again}"
    print()
    if html:
        print(f"Page        {html}")
    elif any(finding.cases for finding in up.findings):
        print(f"Images      {command} --html {_beside(data, 'check.html')}")
    proposals, train = len(up.findings.fixes), f"sightline train {shlex.quote(data)}{options}"
    if fix_list:
        print(f"Fixes       {fix_list} ({count_of(proposals, 'proposal')}; delete the lines that you don't want)")
    elif proposals:
        typed = f"{command} --fix-list {_beside(data, 'fixes.csv')}"
        print(f"Fixes       {typed} ({count_of(proposals, 'proposal')}, no file is changed)")
    is_fixed = bool(fix_list) and not up.stops_with_fixes
    if up.stops_training and not is_fixed:
        rest = "" if up.stops_with_fixes else ", or leave the images out with that list of fixes"
        print(f"\nNext: fix the errors above{rest}; training stops at them until then")
    elif fix_list and proposals:
        print(f"\nNext: {train.partition(' --fixes ')[0]} --fixes {shlex.quote(str(fix_list))}")
    else:
        print(f"\nNext: {train}")
