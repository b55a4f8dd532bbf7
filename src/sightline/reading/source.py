"""A source to inspected samples: fetched, read, decoded once each, grouped, and compared with each other."""

from __future__ import annotations

import math
import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

from sightline.data.choices import FindingChoices
from sightline.data.duplicates import describe_uncompared, find_duplicates
from sightline.data.fixes import EXCLUDED, apply_fixes, describe_fixes, read_fixes
from sightline.data.folders import FOREIGN, left_out_by
from sightline.data.groups import assign_groups
from sightline.data.inspect import find_unread, inspect_samples
from sightline.data.links import FOLLOW, describe_links
from sightline.data.samples import Samples
from sightline.data.sources import Source, describe_source, fetch_source, read_samples
from sightline.errors import InputError
from sightline.events import Event, Noted, Progressed, StageEnded, StageStarted, Warned
from sightline.planning.settings import check_names
from sightline.reading.progress import compared, counted
from sightline.reading.time_limit import (
    COMPARING_SHARE,
    SEARCH_SHARE,
    TimeLimit,
    latest_end,
    read_in_time,
    refuse_without_time,
    spare_seconds,
)
from sightline.reading.versions import find_versions
from sightline.steps import Steps
from sightline.text import count_of

__all__ = ["DataChoices", "describe_groups", "inspect_source"]

_VERSIONS = ("auto", "all", "off")


@dataclass(frozen=True, slots=True)
class DataChoices:
    """What a person may choose about reading the data; the settings of the same names say more.

    Attributes:
        value_range: (low, high) of 16-bit, 32-bit and float images.
        group: a column, or a regular expression on paths.
        fixes: path of a list of fixes.
        versions: how versions of one original are searched: ``auto``, ``all`` or ``off``.
        layout: how folders are read.
        skip: patterns of what is left out.
        resplit: whether a split that comes with the images is put aside, so that one is drawn.
        follow_links: whether links that lead out of a folder are followed.
    """

    value_range: tuple[float, float] | None = None
    group: str = ""
    fixes: str = ""
    versions: str = "auto"
    layout: str = ""
    skip: tuple[str, ...] = ()
    resplit: bool = False
    follow_links: bool = False

    def __post_init__(self) -> None:
        low, high = self.value_range or (0.0, 1.0)
        if not (low < high and math.isfinite(high - low)):
            message = f"the range {low:g},{high:g} does not rise, or has no end"
            raise InputError("plan.range", message, "give two numbers, LOW,HIGH, for example 0,4095")
        if self.versions not in _VERSIONS:
            message = f"--versions {self.versions!r} is not possible"
            raise InputError("plan.versions", message, f"use {', '.join(_VERSIONS)}")

    @classmethod
    def of(cls, **chosen: Any) -> DataChoices:
        """Return choices by the names of their settings; None is no choice.

        Raises:
            InputError: for another name, with the nearest right one.
        """
        check_names(chosen)
        names = [field.name for field in fields(cls)]
        other = next((name for name in chosen if name not in names), None)
        if other:
            message = f"{other!r} is a setting of the training, not of reading the data"
            raise InputError("check.setting", message, f"use {', '.join(names)}")
        return cls(**{name: value for name, value in chosen.items() if value is not None})

    @classmethod
    def found_by(cls, finding: FindingChoices, value_range: tuple[float, float] | None = None) -> DataChoices:
        """Return choices about finding images with a range of values, and no others."""
        own = {field.name: getattr(finding, field.name) for field in fields(finding)}
        return cls(value_range, **own)

    @property
    def finding(self) -> FindingChoices:
        """The choices about finding the images."""
        return FindingChoices(self.layout, tuple(self.skip), self.resplit, self.follow_links)

    def options(self) -> str:
        """Return the choices as they are typed for a command, each after a blank."""
        low_high = "" if self.value_range is None else f" --range {self.value_range[0]:g},{self.value_range[1]:g}"
        versions = "" if self.versions == "auto" else f" --versions {self.versions}"
        group = f" --group {shlex.quote(self.group)}" if self.group else ""
        folders = f"{f' --layout {self.layout}' if self.layout else ''}"
        folders += " --resplit" if self.resplit else ""
        folders += "".join(f" --skip {shlex.quote(pattern)}" for pattern in self.skip)
        folders += " --follow-links" if self.follow_links else ""
        fixes = f" --fixes {shlex.quote(self.fixes)}" if self.fixes else ""
        return f"{low_high}{group}{folders}{versions}{fixes}"  # the last one can be exchanged for another list


_NO_CHOICES = DataChoices()


def inspect_source(
    source: Source,
    choices: DataChoices = _NO_CHOICES,
    *,
    strict: bool = True,
    compare: bool = True,
    least_classes: int = 2,
    limit: TimeLimit | None = None,
) -> Generator[Event, None, Samples]:
    """Find the images of a source, decode each once, and find those that show one image.

    Args:
        source: whatever ``read_samples`` takes.
        choices: about reading the data.
        strict: whether a class that train lacks is an error, or a finding.
        compare: whether near-duplicates and versions are looked for.
        least_classes: as for ``read_samples``.
        limit: of the training that comes after it; None: no limit.

    Raises:
        InputError: as soon as it is sure that the limit is too short to read the images and end the training.
    """
    fixes = read_fixes(choices.fixes) if choices.fixes else []
    finding = choices.finding  # refused before anything is fetched
    fetched = yield from _fetch(source)
    yield StageStarted("Reading", describe_source(source))
    start = time.monotonic()
    found = read_samples(fetched, strict=strict, least_classes=least_classes, choices=finding)
    reading = inspect_samples(found, value_range=choices.value_range)
    unread = partial(find_unread, found, value_range=choices.value_range)
    samples = yield from counted(read_in_time(reading, len(found), limit, unread), len(found))
    # Fixes of single images win over a rule for all names; an excluded image needs no group.
    samples = apply_fixes(samples, [fix for fix in fixes if fix.action != "group"])
    excluded = {fix.path for fix in fixes if fix.action == "exclude"}
    groups = [fix for fix in fixes if fix.action == "group" and fix.path not in excluded]
    samples = apply_fixes(assign_groups(samples, choices.group), groups)
    bad = f", {len(samples.errors):,} unreadable" if samples.errors else ""
    detail = f"{len(samples):,} images in {len(samples.classes)} classes{bad}{_describe_skipped(samples)}"
    yield StageEnded("Reading", detail, time.monotonic() - start)
    yield from _describe_finding(samples, finding)
    if fixes:
        yield Noted(f"Fixes of {choices.fixes}: {describe_fixes(fixes)}.")
    if choices.group:
        yield from describe_groups(samples, choices.group)
    if limit:
        refuse_without_time(samples, limit)
    if compare:
        samples = yield from _compare(samples, choices, limit)
    return samples


def _compare(samples: Samples, choices: DataChoices, limit: TimeLimit | None) -> Generator[Event, None, Samples]:
    """Find near-duplicates and versions; where a limit is given, in a share of it, and say what was left out."""
    yield StageStarted("Comparing", "looking for copies that differ as files")
    start = time.monotonic()
    comparing = ends = math.inf
    if limit:
        spare = spare_seconds(samples, limit)
        comparing, both = min(COMPARING_SHARE * limit.seconds, spare / 2), min(SEARCH_SHARE * limit.seconds, spare)
        ends = latest_end(samples, limit) if choices.versions == "all" else start + both
    finding = find_duplicates(samples, value_range=choices.value_range, seconds=comparing)
    samples = yield from compared(finding)
    pairs = count_of(len(samples.near), "pair")
    yield StageEnded("Comparing", f"{pairs} of near-duplicates", time.monotonic() - start)
    if samples.uncompared[0]:
        yield Warned("data.near-unsearched", *describe_uncompared(samples, choices.options()))
    return (
        yield from find_versions(
            samples,
            choices.versions,
            value_range=choices.value_range,
            limit=limit.seconds if limit else 0,
            ends=ends,
            options=choices.options(),
        )
    )


def _describe_skipped(samples: Samples) -> str:
    """Return what is not used, by its kind: excluded images, images in other formats, and everything else."""
    reasons = samples.skipped_counts()
    excluded = reasons.pop(EXCLUDED, 0)
    foreign = sum(count for reason, count in reasons.items() if reason.startswith(FOREIGN))
    other = sum(reasons.values()) - foreign
    kinds = [(excluded, "excluded"), (foreign, "in formats that are not read"), (other, "files and folders skipped")]
    return "".join(f", {count:,} {what}" for count, what in kinds if count)


def describe_groups(samples: Samples, rule: str) -> Iterator[Event]:
    """Say how many groups a rule makes, and warn of images that it leaves without one."""
    alone = int((samples.groups == "").sum())
    groups = count_of(len(set(samples.groups) - {""}), "group")
    yield Noted(f"--group {rule}: {groups} of {count_of(len(samples) - alone, 'image')}.")
    if alone:
        some = ", ".join(map(str, samples.paths[samples.groups == ""][:2]))
        message = (
            f"--group {rule} leaves {count_of(alone, 'image')} of {len(samples):,} without a group, such as {some}"
        )
        yield Warned("data.without-group", message, "correct the expression, unless these are right to be alone")


def _describe_finding(samples: Samples, choices: FindingChoices) -> Iterator[Event]:
    """Say how the source was read, and warn of a pattern that leaves out nothing."""
    yield from map(Noted, samples.notes)
    links = describe_links(samples.root, samples.source, samples.skipped)
    if links:
        yield Warned("data.links", f"{links}; they are not followed", FOLLOW)
    reasons = samples.skipped_counts()
    for pattern in choices.skip:
        if left_out_by(pattern) not in reasons:
            message = f"--skip {pattern} leaves out nothing: no file or folder has that name"
            yield Warned("data.skip-nothing", message, "correct the pattern, or leave it out")


def _fetch(source: Source) -> Generator[Event, None, Source]:
    """Bring what is not here yet: a named set is downloaded, a compressed archive unpacked; each once."""
    steps, start, shown = Steps(fetch_source(source)), time.monotonic(), 0.0
    is_long = False
    for done, total in steps:
        if not is_long:
            is_long = True
            yield StageStarted("Fetching", describe_source(source))
        if time.monotonic() - shown > 0.1:
            shown = time.monotonic()
            yield Progressed(round(done / 1e6), round(total / 1e6), "MB")
    if is_long:
        yield StageEnded("Fetching", "", time.monotonic() - start)
    return steps.result
