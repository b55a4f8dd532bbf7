"""Time to accuracy: whole processes, from their start to the saved classifier, and what it reaches.

    python benchmarks/time_to_accuracy.py cifar10/ "fast-small-images" "fast-small-images --set width=96 --epochs 8"

Each further argument is a recipe and options of ``sightline train``. Each training is a fresh process, one after
the other. The first run of a set opens every file and fills the cache; ``--warm`` does that before, once, so that
the clock starts where a second training of the same images starts. Averaging over views is never part of the
accuracy.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data")
    parser.add_argument("trainings", nargs="+", help="a recipe and options of sightline train, as one word")
    parser.add_argument("--warm", action="store_true", help="open all files and fill the cache before the clock starts")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        if arguments.warm:
            recipe = arguments.trainings[0]
            run_training(arguments.data, f"{recipe} --epochs 1 --set width=8 --set depth=1", Path(folder), "warm")
        print("| training | to the saved model | whole process | training alone | test accuracy | with leaked images |")
        print("| --- | --- | --- | --- | --- | --- |")
        for number, training in enumerate(arguments.trainings):
            print(run_training(arguments.data, training, Path(folder), f"run{number}"), flush=True)


def run_training(data: str, training: str, folder: Path, name: str) -> str:
    """Return a row of the table."""
    command = [sys.executable, "-m", "sightline", "train", data, "--recipe", *shlex.split(training)]
    start, saved = time.monotonic(), None
    process = subprocess.Popen(
        [*command, "--out", str(folder), "--name", name, "--quiet", "--json"], stdout=subprocess.DEVNULL
    )
    model = folder / name / "classifier" / "model.onnx"
    while process.poll() is None:
        if saved is None and model.exists():
            saved = time.monotonic() - start
        time.sleep(0.2)
    whole = time.monotonic() - start
    if process.returncode:
        return f"| {training} | exit code {process.returncode} |"
    metrics = json.loads((folder / name / "evaluation" / "metrics.json").read_text())
    history = (folder / name / "history.csv").read_text().splitlines()
    seconds = history[0].split(",").index("seconds")
    alone = sum(float(row.split(",")[seconds]) for row in history[1:])
    figures = [metrics["accuracy"], metrics.get("accuracy_with_leaks", metrics["accuracy"])]
    shown = [f"{100 * f['value']:.2f} % (n={f['n']:,})" for f in figures]
    return f"| {training} | {saved or whole:.0f} s | {whole:.0f} s | {alone:.0f} s | {shown[0]} | {shown[1]} |"


if __name__ == "__main__":
    main()
