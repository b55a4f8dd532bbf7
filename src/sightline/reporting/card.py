"""The model card: ``classifier/README.md``, in the form that the Hugging Face hub reads."""

from __future__ import annotations

import re
from typing import Any

from sightline.evaluation.intervals import Interval
from sightline.evaluation.metrics import METRICS, intervals_in
from sightline.runs.recorded import Recorded
from sightline.runs.safe_files import write_text
from sightline.text import printable

__all__ = ["render_model_card", "write_model_card"]


def write_model_card(run: Recorded) -> None:
    """Write the card beside the model."""
    write_text(run.run.classifier_folder / "README.md", render_model_card(run))


def render_model_card(run: Recorded) -> str:
    """Return the card of a run as Markdown with a YAML head."""
    facts, metrics = run.facts, run.metrics
    part = "test images, never used to make a choice" if metrics["part"] == "test" else "validation images"
    found = intervals_in(metrics)
    accuracy = METRICS["accuracy"]
    names = ", ".join(map(_code, facts["classes"][:50]))
    few = sum(row["too_few"] for row in metrics["classes"])
    return f"""---
pipeline_tag: image-classification
tags:
- image-classification
- onnx
- sightline
---

# {_code(run.folder.name)}

An image classifier with {len(facts["classes"])} classes: {names}{", ..." if len(facts["classes"]) > 50 else ""}.

- Network: {_code(facts["model"])}; starting weights: {_code(facts["weights"])} (licence: {facts["licence"]})
{_head(run)}{_version(run)}- Accuracy on {part}: {accuracy.shown(found[accuracy])}
{_calibration(metrics)}- Split: {facts["split_rule"]}
- Data fingerprint: `{facts["data_fingerprint"]}`
- Made with Sightline {facts["versions"]["sightline"]}

## Metrics

On {part}; in brackets the 95 % interval and the number of images{_worth(found[accuracy])}.

| metric | value |
| --- | --- |
{chr(10).join(f"| {metric.words} | {metric.shown(interval)} |" for metric, interval in found.items())}

## Use

`model.onnx` takes `uint8` RGB pixels `[N, size, size, 3]` and returns `probabilities`, `features` and `novelty`.
Classes and preprocessing are in its metadata, and in `classifier.json`.

    sightline predict model.onnx photo.jpg

## Limits

The metrics hold for images like those it was measured on: with other cameras, places or seasons the classifier may
be worse than the interval says. Its probabilities choose among its classes, also for an image that shows none of
them: {_novelty(metrics)}
{_shortcuts(run.shortcuts)}{f"{few} classes were measured on fewer than 30 images." if few else ""}
"""


def _novelty(metrics: dict[str, Any]) -> str:
    """Return what novelty says of an image, or that there is no limit of it."""
    limit = metrics.get("unknown", {}).get("max_novelty", 1.0)
    if limit is None:
        return "without a limit of novelty, for which the validation set was too small, no image is called new."
    what = "means that an image is unlike the training images"
    return f"a novelty above {limit:.3g} {what}; that is often right, but not always."


def _shortcuts(found: tuple[str, ...]) -> str:
    """Return what gives classes away without the content, a line each; nothing where nothing does."""
    if not found:
        return ""
    lines = "\n".join(f"- {_code(words)}" for words in found)
    words = "In its data something else gives classes away; on images without it the metrics may not hold"
    return f"\n{words}:\n\n{lines}\n\n"


def _worth(accuracy: Interval) -> str:
    """Return what effective n means, where images are not independent."""
    if accuracy.n_effective is None:
        return ""
    return "; the effective n is how many independent images they are worth, because some are of one group or copies"


def _head(run: Recorded) -> str:
    words = "- Trained: the head alone, a logistic regression on the features of this network, which is unchanged\n"
    return words if run.is_head_alone else ""


def _version(run: Recorded) -> str:
    """Return what was done to the classifier after its training, and what that costs; nothing where nothing was."""
    version = run.facts.get("version")
    if not version:
        return ""
    where = "measured on one processor: one without fast products of 8-bit numbers may be slower, and round otherwise"
    words = (
        f"- Smaller version: {_code(version['name'])} of the run {_code(version['of'])}: {_code(version['words'])}\n"
    )
    return f"{words}- What that costs, on validation images: {_code(version['cost'])}; {where}\n"


def _code(name: str) -> str:
    """Return a stranger's text as a code span, in which nothing is markup: no entities either, so none are put in.

    The fence is longer than any run of backticks inside; one blank on each side is taken off again where it is shown.

    References:
        CommonMark 0.31, section 6.1.
    """
    text = printable(name)
    fence = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
    blank = " " if text[:1] in ("`", " ") or text[-1:] in ("`", " ") else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _calibration(metrics: dict[str, Any]) -> str:
    found = metrics.get("calibration")
    if not found:
        return ""
    after = found["after"]
    said = (
        f"- Temperature {found['temperature']:.2f}; log-loss {after['log_loss']:.3f}, Brier score {after['brier']:.3f}"
    )
    return f"{said}\n" if after["ece"] is None else f"{said}, calibration error {after['ece']:.3f}\n"
