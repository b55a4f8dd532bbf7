"""The tables and metrics of one run, compared with each other and with what is computed from them again."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cached_property
from importlib.metadata import version
from typing import Any

import numpy as np

from sightline.data.units import number_units
from sightline.evaluation.calibration import describe_calibration
from sightline.evaluation.recount import recount
from sightline.evaluation.result import Evaluation, evaluate_rows
from sightline.runs.array_files import read_array
from sightline.runs.facts_file import SCHEMA
from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from sightline.runs.ledger import fingerprint_of
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import read_rows
from sightline.runs.verification import Checked, Difference, Leaves, compare_leaves
from sightline.runtime.bundle import Bundle
from sightline.runtime.predictions import Predictions
from sightline.text import count_of, listed

__all__ = ["CHECKS", "Checkable", "check_files", "compare_metrics"]

_SHOWN = 12
_DRAWN = ("low", "high", "method", "ece_chance")  # may rest on random draws
_OF_FEATURES = ("novelty", "nearest")  # columns that rest on the network and the training images
_PREDICTIONS, _METRICS = "evaluation/predictions.csv", "evaluation/metrics.json"


class Checkable(Recorded):
    """What a run recorded, and what follows from it."""

    @cached_property
    def rows(self) -> list[dict[str, str]]:
        """``evaluation/predictions.csv`` as text: its cells are compared letter by letter."""
        return self.run.predictions

    @cached_property
    def bundle(self) -> Bundle:
        """``classifier/classifier.json``."""
        return Bundle.read(self.run.classifier_folder / "classifier.json")

    @cached_property
    def evaluation(self) -> Evaluation:
        """What follows from ``probabilities.npy`` and the labels in ``samples.csv``."""
        samples, split = self.samples, self.split
        rows, probabilities = self.rows, read_array(self.run.probabilities_file)
        if probabilities.shape != (len(rows), len(samples.classes)):
            raise ValueError(
                f"probabilities.npy has the shape {probabilities.shape}, {_PREDICTIONS} {len(rows):,} rows"
            )
        row_of = {str(path): row for row, path in enumerate(samples.paths)}
        places = np.array([row_of[row["path"]] for row in rows], np.intp)
        errors = tuple(row["error"] or None for row in rows)
        paths = tuple(row["path"] for row in rows)
        said = Predictions(samples.classes, paths, probabilities, np.zeros((len(rows), 0), np.float32), errors)
        labels, units = samples.labels[places], number_units(samples, places)
        evaluation = evaluate_rows(said, labels, split.leaked[places], units).with_part(split.headline)
        used, names = evaluation.used, np.array(samples.classes, object)[labels]
        calibration = describe_calibration(
            labels[used], probabilities[used], self.bundle.temperature, evaluation.used_units
        )
        test_set = fingerprint_of(zip(samples.digests[places].tolist(), names.tolist(), strict=True))
        evaluation = evaluation.with_values(calibration=calibration, test_set=test_set)
        return evaluation.with_baselines(samples.labels[split.rows("train")], {}, {})


def check_files(run: Run) -> Checked:
    """Compare the sha256 of weights, tables and metrics with those in ``run.json``."""
    recorded = run.facts.get("files")
    if recorded is None:
        why = "files: run.json holds no sha256 of them (an earlier version made the run, or it was not finished)"
        return Checked("files", "", (), (why,))
    found = hash_files(run)
    differences = [
        Difference(name, "sha256", digest, found.get(name, "no such file"))
        for name, digest in recorded.items()
        if found.get(name) != digest
    ]
    new = tuple(f"{name}: not there when the run ended" for name in found if name not in recorded)
    return Checked("files", f"sha256 of {count_of(len(recorded), 'file')}", tuple(differences), new)


def _check_tables(recorded: Checkable) -> Checked:
    """Compare the tables with each other, with the fingerprint of the data, and with the classifier."""
    run, facts, bundle = recorded.run, recorded.facts, recorded.bundle
    samples, split = recorded.samples, recorded.split
    own = read_rows(run.samples_file)
    table = {row["path"]: row["label"] for row in read_rows(run.split_file)}
    pairs = [
        ("data/samples.csv", "fingerprint of the data", facts["data_fingerprint"], samples.fingerprint()),
        ("classifier/classifier.json", "fingerprint of the data", facts["data_fingerprint"], bundle.data_fingerprint),
        ("classifier/classifier.json", "classes", list(samples.classes), list(bundle.classes)),
        ("data/split.csv", "images", len(own), len(table)),
        *(("data/split.csv", f"label of {row['path']}", row["label"], table[row["path"]]) for row in own),
    ]
    differences = [Difference(file, what, str(one), str(two)) for file, what, one, two in pairs if one != two]
    wanted = {str(path) for path in samples.paths[split.rows(split.headline)]}
    found = [row["path"] for row in recorded.rows]
    for paths, is_there in ((wanted - set(found), "missing"), (set(found) - wanted, "of another part")):
        differences += [Difference(_PREDICTIONS, f"row of {path}", split.headline, is_there) for path in sorted(paths)]
    if len(found) != len(set(found)):
        differences.append(Difference(_PREDICTIONS, "rows", count_of(len(wanted), "image"), "an image twice"))
    said = f"{count_of(len(own), 'image')} in samples.csv and split.csv, {len(found):,} of them in predictions.csv"
    return Checked("tables", f"{said}; fingerprint and classes", tuple(differences))


def _check_predictions(recorded: Checkable) -> Checked:
    """Compare each cell of ``predictions.csv`` with what follows from the probabilities and the labels."""
    columns, rows = recorded.evaluation.columns(), recorded.rows
    differences = [
        Difference(_PREDICTIONS, f"{name} of {row['path']}", repr(row[name]), f"{value!r} by the arrays")
        for name, values in columns.items()
        if name in rows[0] and name not in _OF_FEATURES
        for row, value in zip(rows, values, strict=True)
        if row[name] != value
    ]
    left = tuple(
        f"{_PREDICTIONS}: column {name}: not recomputed"
        for name in rows[0]
        if name not in columns or name in _OF_FEATURES
    )
    return Checked("predictions", f"{len(rows):,} rows of predictions.csv, made again", tuple(differences), left)


def _check_metrics(recorded: Checkable) -> Checked:
    """Compare every metric in ``metrics.json`` with what the arrays give when they are evaluated again."""
    evaluation, facts = recorded.evaluation, recorded.facts
    leaves = compare_leaves(recorded.metrics, json.loads(json.dumps(evaluation.metrics)))
    differences, left = compare_metrics(leaves, facts)
    if facts.get("headline") != evaluation.headline():
        differences.append(Difference("run.json", "headline", repr(facts.get("headline")), repr(evaluation.headline())))
    return Checked(
        "metrics", f"{leaves.same:,} values of metrics.json, computed again", tuple(differences), tuple(left)
    )


def compare_metrics(leaves: Leaves, facts: dict[str, Any]) -> tuple[list[Difference], list[str]]:
    """Return (differences, what can't be compared) of ``metrics.json`` and metrics that were computed again.

    Ends of intervals that rest on random draws are compared where the versions are those of then: others may draw
    other numbers.
    """
    versions = {**(facts.get("versions") or {}), "schema of runs": facts.get("schema_version") or 1}
    now = {"sightline": version("sightline"), "numpy": np.__version__, "schema of runs": SCHEMA}
    changed = [f"{name} {versions.get(name)} then, {new} now" for name, new in now.items() if versions.get(name) != new]
    drawn = {place for place, *_ in leaves.other if changed and place.rpartition(".")[2].partition("[")[0] in _DRAWN}
    differences = [
        Difference(_METRICS, place, repr(one), repr(two)) for place, one, two in leaves.other if place not in drawn
    ]
    left = (
        [f"{_METRICS}: {listed(sorted(drawn), _SHOWN)}: drawn by other versions ({'; '.join(changed)})"]
        if drawn
        else []
    )
    for places, why in ((leaves.only_recorded, "not recomputed"), (leaves.only_found, "not recorded")):
        left += [f"{_METRICS}: {why}: {listed(places, _SHOWN)}"] if places else []
    return differences, left


def _check_recount(recorded: Checkable) -> Checked:
    """Compare the main metrics with a count of the words in ``predictions.csv``."""
    leaves = compare_leaves(recorded.metrics, recount(recorded.rows, recorded.facts["classes"]))
    differences = [
        Difference(_METRICS, place, repr(one), f"{two!r} by counting predictions.csv")
        for place, one, two in leaves.other
    ]
    return Checked("recount", f"{leaves.same:,} values of metrics.json, counted in predictions.csv", tuple(differences))


# A new check is one function and one row: name, the file to blame if it can't be read, function.
CHECKS: tuple[tuple[str, str, Callable[[Checkable], Checked]], ...] = (
    ("tables", "data/samples.csv", _check_tables),
    ("predictions", _PREDICTIONS, _check_predictions),
    ("metrics", _METRICS, _check_metrics),
    ("recount", _PREDICTIONS, _check_recount),
)
