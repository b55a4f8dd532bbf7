"""Whether what ships is worse than its own head: fine-tuned and blended network, and the head on frozen features.

    python benchmarks/fine_tuning.py clothing10/:20 hymenoptera/:50 intel64/:50 --set-for intel64 "--set size=128"

Each argument is a folder with ``train`` and ``test`` (also ``val``, ``seg_train`` and ``seg_test``; a folder
``validation`` joins ``train``), thinned to so many training images a class where a number follows a colon. Every
training is a process of its own, with its seed for the thinning too. The head is measured on the same test images by
the run itself. Prints a row a training as it ends, and a summary.
"""

from __future__ import annotations

import argparse
import json
import random
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

TRAIN, TEST = ("train", "seg_train", "validation"), ("test", "seg_test", "val")


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sets", nargs="+", help="DATA or DATA:IMAGES")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--most-test", type=int, default=120, help="test images a class")
    parser.add_argument("--options", default="", help="of sightline train, as one word")
    parser.add_argument("--set-for", nargs=2, action="append", default=[], metavar=("PART", "OPTIONS"))
    arguments = parser.parse_args()
    print("| set | seed | train | test | head % | ships % | corrected | newly wrong | p | share |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    gains = []
    for name in arguments.sets:
        data, _, images = name.rpartition(":") if ":" in name else (name, "", "")
        more = [word for part, options in arguments.set_for if part in data for word in shlex.split(options)]
        for seed in range(arguments.seeds):
            with tempfile.TemporaryDirectory() as folder:
                thin(Path(data), Path(folder) / "data", int(images or 10**9), arguments.most_test, seed)
                options = [*shlex.split(arguments.options), *more, "--seed", str(seed)]
                row, gain = train(Path(folder), options)
            print(f"| {Path(data).name}:{images or 'all'} | {seed} | {row} |", flush=True)
            gains += [] if gain is None else [gain]
    if gains:
        worse = [gain for gain, p in gains if gain < 0]
        clear = sum(gain < 0 and p < 0.05 for gain, p in gains)
        better = sum(gain > 0 and p < 0.05 for gain, p in gains)
        mean = statistics.mean(gain for gain, _ in gains)
        print(f"\n{len(gains)} fine-tuned: what ships minus its head {mean:+.2f} points; worse in {len(worse)}")
        print(f"(largest {min(worse, default=0):.2f}), with p < 0.05 in {clear}; better with p < 0.05 in {better}")


def thin(data: Path, folder: Path, images: int, most_test: int, seed: int) -> None:
    """Copy so many training and test images of each class, drawn by the seed."""
    for part, names, most in (("train", TRAIN, images), ("test", TEST, most_test)):
        if part == "test" and (data / "test").is_dir():
            names = ("test",)
        sources = [data / name for name in names if (data / name).is_dir()]
        classes = sorted({path.name for source in sources for path in source.iterdir() if path.is_dir()})
        for label in classes:
            found = sorted(path for source in sources for path in (source / label).glob("*") if path.is_file())
            (folder / part / label).mkdir(parents=True)
            for path in random.Random(f"{seed} {label}").sample(found, min(most, len(found))):
                shutil.copyfile(path, folder / part / label / f"{path.parent.parent.name}-{path.name}")


def train(folder: Path, options: list[str]) -> tuple[str, tuple[float, float] | None]:
    """Return the middle of a row, and (points gained, p) where the run measured its head."""
    command = [sys.executable, "-m", "sightline", "train", str(folder / "data"), "--out", str(folder), "--name", "run"]
    done = subprocess.run([*command, "--quiet", *options], capture_output=True, text=True, check=False)
    if done.returncode:
        return f"exit code {done.returncode}: {done.stderr.strip()[:200]!r}", None
    run = folder / "run"
    metrics = json.loads((run / "evaluation" / "metrics.json").read_text())
    facts = json.loads((run / "run.json").read_text())
    head, count = metrics.get("frozen_head"), metrics["accuracy"]["n"]
    train_count = sum(",train," in line for line in (run / "data" / "split.csv").read_text().splitlines())
    ships = 100 * metrics["accuracy"]["value"]
    share = (facts.get("blend") or {}).get("share", "")
    if not head:
        return f"{train_count} | {count} | is what ships | {ships:.1f} | | | | {share}", None
    alone = 100 * head["accuracy"]["value"]
    row = f"{train_count} | {count} | {alone:.1f} | {ships:.1f} | {head['corrected']} | {head['newly_wrong']}"
    return f"{row} | {head['p']:.2f} | {share}", (ships - alone, head["p"])


if __name__ == "__main__":
    main()
