"""The check of a data set: read, compare, split, embed if asked, and report what is wrong."""

from __future__ import annotations

import time
from collections.abc import Generator
from dataclasses import dataclass

from sightline.checks.checkup import check_subject, list_not_run
from sightline.checks.finding import SEVERITIES, Finding, Findings
from sightline.checks.subject import Subject
from sightline.data.inspect import has_too_many_bad
from sightline.data.samples import Samples
from sightline.data.sources import Source
from sightline.data.split import Split, make_split, make_split_of_nothing
from sightline.errors import DataError, InputError
from sightline.events import Event, StageEnded, StageStarted
from sightline.reading.embed import Embedder, embed_samples, refuse_absent_embedder
from sightline.reading.source import DataChoices, inspect_source
from sightline.text import count_of

__all__ = ["CheckUp", "check_source"]


@dataclass(frozen=True, slots=True)
class CheckUp:
    """The result of a check.

    Attributes:
        samples: inspected.
        split: the split that training would use; of nothing where there can be none.
        findings: worst first.
        not_run: (what was not looked for, what to type for it).
    """

    samples: Samples
    split: Split
    findings: Findings
    not_run: tuple[tuple[str, str], ...]

    @property
    def stops_training(self) -> bool:
        """Whether a training would refuse these data."""
        return self._is_unfit or has_too_many_bad(self.samples)

    @property
    def stops_with_fixes(self) -> bool:
        """Whether a training would refuse these data after the proposed fixes too."""
        left_out = {fix.path for fix in self.findings.fixes if fix.action == "exclude"}
        return self._is_unfit or not {str(self.samples.paths[row]) for row in self.samples.errors} <= left_out

    @property
    def _is_unfit(self) -> bool:
        return bool({finding.code for finding in self.findings} & {"no-split", "extra-class"})


_NO_EMBEDDER = Embedder()


def check_source(
    source: Source, choices: DataChoices, embedder: Embedder = _NO_EMBEDDER
) -> Generator[Event, None, CheckUp]:
    """Read and decode every image of a source and return what is wrong with it.

    Args:
        source: whatever ``read_samples`` takes.
        choices: about reading the data.
        embedder: whose features are used.

    Raises:
        InputError: if weights are given, and no network for them.
    """
    if embedder.weights and not embedder.model:
        message = "--weights are those of the network of --embeddings, and there is none"
        raise InputError("check.weights", message, "give --embeddings NETWORK too")
    if embedder.model:
        refuse_absent_embedder(embedder)
    samples = yield from inspect_source(source, choices, strict=False)
    more: tuple[Finding, ...] = ()
    try:
        split = make_split(samples)
    except DataError as error:  # too few to train on; all the more reason to say what else is wrong
        split = make_split_of_nothing(samples)
        more = (Finding("no-split", "error", error.message, (), error.cure),)
    embedding = None
    if embedder.model:
        embedding = yield from embed_samples(samples, split, embedder, choices.value_range)
    yield StageStarted("Checking", "")
    start = time.monotonic()
    subject = Subject(samples, split, embedding, choices.value_range, choices.options())
    found = check_subject(subject)
    # That nothing can be split is often a consequence of another error: causes come first.
    findings = Findings(sorted((*found, *more), key=lambda finding: SEVERITIES.index(finding.severity)))
    yield StageEnded("Checking", count_of(len(findings), "finding"), time.monotonic() - start)
    return CheckUp(samples, split, findings, tuple(list_not_run(subject)))
