"""Predictions into a file: what is shown meanwhile, and at the end."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from sightline.predicting.output import Output
    from sightline.predicting.request import Request
    from sightline.runtime.classifier import Classifier

__all__ = ["predict_to_file"]

_MOST = 10  # answers that are shown


def predict_to_file(
    classifier: Classifier, request: Request, out: Path, *, resume: bool, as_json: bool, stdin: BinaryIO
) -> int:
    """Predict into a file, show how far it is, and return the exit code.

    Raises:
        InputError, RunError: as for ``open_output`` and ``write_predictions``.
    """
    from sightline.display.rate_line import RateLine
    from sightline.events import Noted
    from sightline.predicting.output import open_output
    from sightline.predicting.rows import Render
    from sightline.predicting.sorting import Sorter
    from sightline.predicting.write import write_predictions
    from sightline.text import count_of, printable

    render = Render(classifier.classes, request.top, request.mass)
    target = request.shard.file_of(out)
    output = open_output(target, request.record(classifier.digest), render, resume=resume)
    sorter = None
    if request.sort:
        sorter = Sorter(Path(request.sort), classifier.classes, link=request.link, journal=output.journal)
    line = RateLine()
    if output.problem:
        line.say(f"{output.problem}; let no second process write {target}")
    if output.resumed and not output.is_finished:
        line.say(f"{printable(str(target))}: going on after {count_of(output.resumed, 'image')}")
    try:
        for event in write_predictions(classifier, request, output, stdin, sorter):
            if isinstance(event, Noted):
                line.say(printable(event.message))
            else:
                line.show(event)
    except BaseException:
        line.close()
        if output.rows:
            print(f"{output.rows:,} images are predicted; the same command with --resume goes on", file=sys.stderr)
        raise
    line.close()
    if as_json:
        print(json.dumps(_document(output)))
    else:
        _print_end(output)
        if request.sort and not output.is_finished:
            print(f"  in a folder for each answer: {printable(request.sort)}")
    if output.count_bad:
        print(f"{output.count_bad:,} of {output.rows:,} files could not be read", file=sys.stderr)
    return 3 if output.count_bad else 0


def show_sorting(classifier: Classifier, request: Request, stdin: BinaryIO) -> int:
    """Print where each image would be placed, and how many in each folder; write nothing; return the exit code."""
    from collections import deque

    from sightline.predicting.named_images import Named
    from sightline.predicting.sorting import Sorter
    from sightline.predicting.write import kept_images, own_images
    from sightline.text import count_of, printable

    sorter = Sorter(Path(request.sort), classifier.classes, link=request.link, is_dry=True)
    images: deque[Named] = deque()
    names = kept_images(own_images(request, stdin, []), images)
    limits: dict[str, Any] = {"min_confidence": request.min_confidence, "max_novelty": request.max_novelty}
    for part in classifier.predict_stream(names, **limits):
        for image, target in sorter.place(part, [images.popleft() for _ in range(len(part))]):
            print(f"{printable(image)} -> {printable(str(target))}")
    bad = sorter.counts.pop("", 0)
    verb = "linked" if request.link else "copied"
    for name, count in sorted(sorter.counts.items()):
        print(f"{count_of(count, 'image')} would be {verb} into {printable(str(Path(request.sort) / name))}")
    if bad:
        print(f"{count_of(bad, 'file')} can't be read, and would be left out", file=sys.stderr)
    print("nothing was written; leave out --dry-run to do it", file=sys.stderr)
    return 3 if bad else 0


def _document(output: Output) -> dict[str, object]:
    return {
        "schema_version": 1,
        "out": str(output.out),
        "count": output.rows,
        "count_bad": output.count_bad,
        "resumed": output.resumed,
        "answers": dict(output.answers),
    }


def _print_end(output: Output) -> None:
    from sightline.text import count_of, listed, printable

    said = [f"{printable(name)} {count:,}" for name, count in output.answers.most_common()]
    done = " (it was finished before)" if output.is_finished else ""
    print(f"{printable(str(output.out))}: {count_of(output.rows, 'image')}{done}")
    if said:
        print(f"  {listed(said, _MOST)}")
