"""Every command, and the functions of the API, in one process, over one small run: what the machine must not notice.

Usage: python tour.py RUN IMAGES; in an empty folder. A line for each step goes to stdout, with its exit code.
"""

from __future__ import annotations

import contextlib
import io
import shutil
import sys
from pathlib import Path

# {run} is a finished run in runs/, {images} are class folders, {image} is one of the images.
COMMANDS = """
doctor
recipes
models resnet18*
check {images} --html check.html
check {images} --embeddings {run}
train {images} --plan
train {images} --name fine --model small-fast --epochs 1 --set seed=3 --track tensorboard
train {images} --name head --model tf_efficientnet_lite0.in1k --set engine=onnxruntime --set size=64
tune {images} --name tuned --trials 2 --set engine=onnxruntime --set size=64
preview {images} --out preview.png --count 2
predict latest {image}
predict {run} {images}
evaluate {run} {images} --out measured
explain {run} {image} --out explained
robustness {run} --json
compare {run} fine
runs --sort accuracy
verify {run}
report {run}
export {run} --format pt2
shrink {run} --only int8 --max-loss 100
selftest --quick
""".strip().splitlines()


def run_command(words: list[str]) -> int:
    """Run one command line as its own process would."""
    from sightline.cli.app import main

    sys.argv = ["sightline", *words]
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)


def use_api(run: Path, images: Path) -> None:
    """Call what a notebook calls."""
    import sightline

    image = next(images.rglob("*.png"))
    sightline.check(images, quiet=True)
    classifier = sightline.load(run)
    assert classifier.predict([image, image])[0].error is None
    sightline.evaluate(run, images, quiet=True)
    assert len(sightline.list_runs("runs")) >= 1
    sightline.plot_confusion(sightline.Run(run)).savefig(io.BytesIO())


def main() -> None:
    """Go through all of them; what a command that failed has said goes to stderr."""
    source, images = Path(sys.argv[1]), Path(sys.argv[2])
    run = Path(shutil.copytree(source, Path("runs") / "first"))
    places = {"run": str(run), "images": str(images), "image": str(next(images.rglob("*.png")))}
    said = io.StringIO()
    for line in COMMANDS:
        words = [word.format(**places) for word in line.split()]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = run_command(words)
        sys.stdout.write(f"{code} {' '.join(words)}\n")
        if code:
            sys.stderr.write(said.getvalue())
        said.seek(said.truncate(0))
    with contextlib.redirect_stderr(said):
        use_api(run, images)
    sys.stdout.write("0 the API\n")


if __name__ == "__main__":
    main()
