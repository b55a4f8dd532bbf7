"""What tests of predictions into a file do: ask, open, predict to the end."""

from __future__ import annotations

from pathlib import Path

from sightline.predicting.output import Output, open_output
from sightline.predicting.request import Request
from sightline.predicting.rows import Render
from sightline.predicting.write import write_predictions
from sightline.runtime.classifier import Classifier

COUNT = 20  # images of the fixture ``folder``


def request_of(*sources: object, **changes: object) -> Request:
    return Request(**{"sources": tuple(map(str, sources)), "form": "csv", "max_novelty": 1.2, **changes})


def opened(out: Path, classifier: Classifier, request: Request, *, resume: bool = False) -> Output:
    render = Render(classifier.classes, request.top, request.mass)
    return open_output(out, request.record(classifier.digest), render, resume=resume)


def predicted(out: Path, classifier: Classifier, request: Request, *, resume: bool = False) -> Output:
    """Predict to the end; returns what was opened for it."""
    output = opened(out, classifier, request, resume=resume)
    list(write_predictions(classifier, request, output))
    return output
