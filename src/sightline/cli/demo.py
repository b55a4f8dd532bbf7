"""``sightline demo``: the whole way on real data that ship with scikit-learn."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

__all__ = ["demo"]


def demo(
    folder: Annotated[Path, typer.Option(help="Folder for images and runs.")] = Path("sightline-demo"),
    epochs: Annotated[int | None, typer.Option(help="Passes over the training images.")] = None,
) -> None:
    """Run the whole pipeline on 1,797 handwritten digits.

    Checks, trains, exports, evaluates, reports and predicts.

    Examples:
        sightline demo
    """
    from sightline.api import training
    from sightline.api.data import check_up
    from sightline.cli.check import print_findings
    from sightline.cli.predicted_rows import print_one
    from sightline.cli.train import print_result
    from sightline.data.digits import write_digits
    from sightline.installation import require_extra

    require_extra("light", "the demo")
    print("Writing 1,797 real handwritten digits as PNG files ...", file=sys.stderr)
    images = folder / "digits"
    write_digits(images)
    print(f"\n$ sightline check {images}", file=sys.stderr)
    up = check_up(images)
    print_findings(up.samples, up.findings)
    runs = folder / "runs"
    print(f"\n$ sightline train {images} --out {runs}", file=sys.stderr)
    run = training.train(images, out=runs, epochs=epochs)
    held_out = run.files("test")
    chosen = [held_out[len(held_out) * part // 6] for part in (1, 3, 5)]
    classifier = run.classifier()
    for file in chosen:
        print(f"\n$ sightline predict {run.folder} {file}", file=sys.stderr)
        print_one(classifier.predict(file)[0], most=3)
    print_result(run, as_json=False, image=str(chosen[0]))
    print("Your own images: sightline train FOLDER   (one folder per class)")
