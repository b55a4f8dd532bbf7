"""Label errors planted in real data: precision and recall, beside cleanlab on the same probabilities.

    python benchmarks/label_errors.py IMAGES --model NETWORK [--weights FILE] [--share 0.05] [--seeds 3]

cleanlab is no dependency of Sightline: pip install cleanlab first. Flags on labels that were not planted are the
data's own errors or hard cases; they count as wrong here, so precision is a lower bound for both.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from sightline.checks.labels import _unit_of
from sightline.checks.subject import Subject
from sightline.data.split import make_split
from sightline.evaluation.label_errors import cross_validate, find_label_errors, find_neighbours
from sightline.reading.embed import embed_samples
from sightline.reading.source import inspect_source
from sightline.steps import result_of


def main() -> None:
    from cleanlab.filter import find_label_issues

    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("--model", required=True)
    parser.add_argument("--weights", default="")
    parser.add_argument("--share", type=float, default=0.05)
    parser.add_argument("--seeds", type=int, default=3)
    options = parser.parse_args()
    samples = result_of(inspect_source(options.images))
    split = make_split(samples)
    start = time.perf_counter()
    features = result_of(embed_samples(samples, split, options.model, options.weights)).features
    print(f"{len(samples):,} images embedded in {time.perf_counter() - start:.0f} s")
    rows = np.flatnonzero(np.isfinite(features).all(1))
    features, truth = features[rows], samples.labels[rows]
    units = _unit_of(Subject(samples, split), rows)
    classes = len(samples.classes)
    print("| seed | who | flagged | precision | recall | right class suggested | s |\n|" + " --- |" * 7)
    for seed in range(options.seeds):
        random = np.random.default_rng(seed)
        labels = truth.copy()
        wrong = random.choice(len(labels), round(options.share * len(labels)), replace=False)
        labels[wrong] = (labels[wrong] + random.integers(1, classes, len(wrong))) % classes
        is_wrong = np.isin(np.arange(len(labels)), wrong)
        start = time.perf_counter()
        probabilities = cross_validate(features, labels, units)
        found = find_label_errors(probabilities, find_neighbours(features, labels, units).votes, labels)
        took = time.perf_counter() - start
        hits = is_wrong[found.rows]
        named = (found.suggested == truth[found.rows])[hits].mean()
        report(seed, "Sightline", hits, is_wrong, f"{named:.0%}", f"{took:.1f}")
        issues = find_label_issues(labels, probabilities, return_indices_ranked_by="self_confidence")
        report(seed, "cleanlab find_label_issues", is_wrong[issues], is_wrong, "", "")
        issues = find_label_issues(
            labels, probabilities, filter_by="confident_learning", return_indices_ranked_by="self_confidence"
        )
        report(seed, "cleanlab confident learning", is_wrong[issues], is_wrong, "", "")


def report(seed: int, who: str, hits: np.ndarray, is_wrong: np.ndarray, named: str, took: str) -> None:
    """Print one row of the table."""
    precision, recall = hits.mean(), hits.sum() / is_wrong.sum()
    print(f"| {seed} | {who} | {len(hits)} | {precision:.1%} | {recall:.1%} | {named} | {took} |")


if __name__ == "__main__":
    main()
