"""Groups of images that a finished classifier is measured on: by a rule that is typed, or by that of its training."""

from __future__ import annotations

from collections.abc import Generator

from sightline.data.groups import assign_groups
from sightline.data.samples import Samples
from sightline.errors import InputError, RunError
from sightline.events import Event, Noted, Warned
from sightline.reading.source import describe_groups
from sightline.runs.dataset import read_dataset
from sightline.runs.folder import Run

__all__ = ["group_measured"]

_CURE = "name their groups with --group: a column, or an expression with one parenthesis; --group '' says none"


def group_measured(samples: Samples, rule: str | None, run: Run | None) -> Generator[Event, None, Samples]:
    """Return the samples in groups, and say by which rule; images of one group are not independent.

    Args:
        samples: to be measured; groups that their own table names stay, unless a rule is given.
        rule: as for :func:`~sightline.data.groups.assign_groups`; empty: none; None: the one of the run.
        run: that trained the classifier; None where it is not known.

    Raises:
        InputError: if a rule is given that names no column and matches no path.
    """
    if rule:
        samples = assign_groups(samples, rule)
        yield from describe_groups(samples, rule)
    elif rule is None and run is not None and not any(samples.groups):
        samples = yield from _group_as_trained(samples, run)
    return samples


def _group_as_trained(samples: Samples, run: Run) -> Generator[Event, None, Samples]:
    """Return the samples with groups by the rule of a training; warn where only the training had some."""
    try:
        (trained, _), rule = read_dataset(run), run.plan.settings.group
    except RunError as error:
        yield Warned("evaluation.no-groups", f"whether the training had groups is not known: {error.message}", _CURE)
        return samples
    if not any(trained.groups):
        return samples
    is_column = rule in ("", "group") or rule in trained.extra  # one would match paths by chance
    if rule in samples.extra or not is_column:
        try:
            grouped = assign_groups(samples, rule)
        except InputError:
            grouped = samples
        if any(grouped.groups):
            yield Noted("Images are in groups by the rule of the training; --group names another, --group '' none.")
            yield from describe_groups(grouped, rule)
            return grouped
    by = f" by {rule}" if rule else ""
    message = f"the images of the training are in groups{by}, these are in none: each counts as independent"
    yield Warned("evaluation.no-groups", message, _CURE)
    return samples
