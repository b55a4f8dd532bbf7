"""Whether a run is as it was recorded: its files, its data, its tables, and every metric computed again. No torch."""

from __future__ import annotations

import csv
import json
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from sightline.errors import SightlineError
from sightline.events import Event, StageEnded, StageStarted
from sightline.reviewing.verify_data import check_answers, check_images, check_labels
from sightline.reviewing.verify_metrics import CHECKS, Checkable, check_files, compare_metrics
from sightline.runs.folder import Run
from sightline.runs.repeated import join_metrics, join_tables
from sightline.runs.verification import Checked, Difference, compare_leaves
from sightline.text import count_of

__all__ = ["Verification", "verify_run"]

# What a file that was changed by hand, or cut off, can raise where it is read.
FAULTS = (
    OSError,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    ArithmeticError,
    RecursionError,
    csv.Error,
    SightlineError,
)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Verification:
    """What verifying a run found.

    Attributes:
        run: that was verified.
        checks: one outcome a check, in order.

    Example:
        ``sightline.api.reviewing.verify("latest").is_as_recorded``
    """

    run: Run
    checks: tuple[Checked, ...]

    @property
    def differences(self) -> tuple[Difference, ...]:
        """Everything that is not as recorded."""
        return tuple(difference for check in self.checks for difference in check.differences)

    @property
    def is_as_recorded(self) -> bool:
        """Whether nothing differs; what could not be compared stands in ``checks``."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as JSON-able values."""
        return {
            "schema_version": 1,
            "run": str(self.run.folder),
            "status": self.run.status,
            "as_recorded": self.is_as_recorded,
            "checks": [check.to_dict() for check in self.checks],
        }


def verify_run(run: Run, *, with_data: bool = True) -> Generator[Event, None, Verification]:
    """Compare a run with what it recorded; nothing is changed.

    Args:
        run: to be verified; one that holds several trainings, with all of them.
        with_data: read every image again, and the labels where they come from; for a large set that is most of the
            time.

    Raises:
        RunError: if its ``run.json`` can't be read.
    """
    facts = run.facts
    start = time.monotonic()
    yield StageStarted("Verifying", str(run.folder))
    if run.is_repeated:
        checks = [_guarded("files", "run.json", check_files, run)]
        for number, part in enumerate(run.parts):
            own = yield from _verify_one(part, with_data=with_data and not number)  # all have the same data
            checks += [replace(check, name=f"{part.folder.name} {check.name}") for check in own]
        checks.append(_guarded("together", "evaluation/metrics.json", _check_together, run))
    else:
        checks = yield from _verify_one(run, with_data=with_data)
    if not with_data:
        checks.append(Checked("images", "", (), ("images and their labels: left out, as asked for",)))
    if facts["status"] != "finished":
        checks.append(Checked("status", "", (), (f"the run is {facts['status']}: it has no end to be compared with",)))
    verification = Verification(run, tuple(checks))
    yield StageEnded("Verifying", count_of(len(verification.differences), "difference"), time.monotonic() - start)
    return verification


def _verify_one(run: Run, *, with_data: bool) -> Generator[Event, None, list[Checked]]:
    checks = [_guarded("files", "run.json", check_files, run)]
    if with_data:
        try:
            images, gone = yield from check_images(run)
        except FAULTS as error:
            images, gone = Checked("images", "", (_unusable("data/samples.csv", error),)), frozenset()
        checks += [images, _guarded("labels", "data/samples.csv", lambda run: check_labels(run, gone), run)]
    if not run.metrics_file.is_file():
        return [*checks, Checked("metrics", "", (), ("metrics: the run was not evaluated",))]
    if with_data:
        checks.append(_guarded("answers", "classifier/model.onnx", check_answers, run))
    recorded = Checkable(run)
    return checks + [_guarded(name, file, check, recorded) for name, file, check in CHECKS]


def _guarded(name: str, file: str, check: Callable[[T], Checked], of: T) -> Checked:
    """Return a check's outcome; a file that can't even be read is a difference too."""
    try:
        return check(of)
    except FAULTS as error:
        if isinstance(error, SightlineError) and error.code in ("model.schema", "run.other-version"):  # whole
            return Checked(name, "", (), (f"{name}: {error.message}",))
        return Checked(name, "", (_unusable(file, error),))


def _unusable(file: str, error: Exception) -> Difference:
    what = f"no {error}" if isinstance(error, KeyError) else getattr(error, "message", str(error))
    return Difference(file, "content", "a file that can be used", what)


def _check_together(run: Run) -> Checked:
    """Compare what stands in a run of several trainings with what follows from these."""
    parts, kind = run.parts, run.facts["kind"]
    leaves = compare_leaves(run.metrics, json.loads(json.dumps(join_metrics(parts, kind))))
    leaves.only_recorded = [place for place in leaves.only_recorded if place not in ("kind", "times", "done")]
    differences, left = compare_metrics(leaves, run.facts)
    table = "evaluation/predictions.csv"
    rows, wanted = run.predictions, join_tables(parts, kind)
    for name, values in wanted.items():
        found = [row[name] for row in rows]
        if found != values:
            places = [number for number, (one, two) in enumerate(zip(found, values, strict=False), 2) if one != two]
            where = f"line {places[0]:,}" if places else f"{len(found):,} rows"
            differences.append(Difference(table, f"column {name}", where, "other than in the trainings"))
    said = f"{leaves.same:,} values of metrics.json and {len(rows):,} rows of {len(parts)} trainings"
    return Checked("together", said, tuple(differences), tuple(left))
