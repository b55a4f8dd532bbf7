"""Nothing is lost: a training is killed, its disk fails, and what it leaves must go on to the same weights.

    python benchmarks/resume.py kills --times 20
    python benchmarks/resume.py writes

``kills``: real processes and kill -9 at random moments, several lives a training; the sha256 of the final weights is
compared with that of the uninterrupted one. ``writes``: every write of a small training in turn fails (a full disk), or
is lost together with the process; then it goes on.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.runs import safe_files

SETTINGS = {"epochs": 6, "batch_size": 8, "width": 8, "threads": 1, "patience": 0, "ema": 0.9, "accumulate": 2}


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("kills", "writes"))
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ["SIGHTLINE_CACHE"], os.environ["SIGHTLINE_STATE"] = str(folder / "cache"), str(folder / "state")
        make_images(folder / "data")
        if arguments.what == "kills":
            measure_kills(folder, arguments.times, arguments.seed)
        else:
            measure_writes(folder)


def make_images(root: Path) -> None:
    """Write 160 noisy images of two colours."""
    draw = np.random.default_rng(0)
    for number, name in enumerate(("dark", "light")):
        (root / name).mkdir(parents=True)
        for k in range(80):
            pixels = draw.integers(0, 128, (20, 20, 3), dtype=np.uint8) + np.uint8(90 * number)
            Image.fromarray(pixels).save(root / name / f"{k:02d}.png")


def measure_kills(folder: Path, times: int, seed: int) -> None:
    """Kill trainings at random moments until each has got through; print what came out."""
    chance = random.Random(seed)
    command = [
        sys.executable,
        "-m",
        "sightline",
        "train",
        str(folder / "data"),
        "--out",
        str(folder / "runs"),
        "--quiet",
    ]
    for name, value in {**SETTINGS, "epochs": 150}.items():
        command += ["--set", f"{name}={value}"]
    start = time.monotonic()
    subprocess.run([*command, "--name", "whole"], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    whole = time.monotonic() - start
    wanted, same, kills, places = digest(folder / "runs" / "whole"), 0, 0, []
    for number in range(times):
        name = f"killed{number:02d}"
        run = folder / "runs" / name
        for _ in range(3):
            with subprocess.Popen(
                [*command, "--name", name, "--resume"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            ) as process:
                try:
                    process.wait(chance.uniform(0.2, 1.0) * whole)
                    break
                except subprocess.TimeoutExpired:
                    process.send_signal(signal.SIGKILL)
                    kills += 1
                    places.append(where(run))
        else:
            subprocess.run([*command, "--name", name, "--resume"], check=True, stdout=subprocess.DEVNULL)
        same += digest(run) == wanted
    print("| trainings | kills | equal weights | killed before the run / the first epoch / in training / after it |")
    print("| --- | --- | --- | --- |")
    kinds = " / ".join(str(places.count(kind)) for kind in ("before", "start", "training", "after"))
    print(f"| {times} | {kills} | {same} | {kinds} |")


def where(run: Path) -> str:
    """Return in which part of its work a run was killed."""
    if not (run / "run.json").is_file():
        return "before"
    if "stopped" in json.loads((run / "run.json").read_text()):
        return "after"
    return "training" if (run / "history.csv").is_file() else "start"


def digest(run: Path) -> str:
    """Return the sha256 of the weights that ship."""
    file = run / "classifier" / "model.safetensors"
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else "none"


class LostError(Exception):
    """Stands for a process that died together with a write."""


def measure_writes(folder: Path) -> None:
    """Let each write of a training fail, then each be lost with the process; go on; print what came out."""
    import sightline
    from sightline.errors import SightlineError

    real = {name: getattr(os, name) for name in ("fsync", "replace", "rename")}
    chosen: dict[str, Any] = {**SETTINGS, "epochs": 2, "quiet": True, "out": folder / "runs"}
    wanted = digest(sightline.train(folder / "data", name="whole", **chosen).folder)
    print("| what happens to one write | writes tried | an error with a cure | equal weights after going on |")
    print("| --- | --- | --- | --- |")
    for kind, error in (
        ("the disk is full", OSError(28, "No space left on device")),
        ("lost with the process", LostError()),
    ):
        tried = named = same = 0
        for failing in range(1, 1000):
            calls = iter(range(1, 100_000))
            fired = []

            def fsync(descriptor: int, calls=calls, failing=failing, error=error, fired=fired) -> None:
                if next(calls) == failing:
                    fired.append(True)
                    raise error
                real["fsync"](descriptor)

            safe_files.os.fsync = fsync
            name = f"{kind[:4].strip()}{failing}"
            try:
                sightline.train(folder / "data", name=name, **chosen)
            except SightlineError:
                named += 1
            except LostError:
                pass
            finally:
                safe_files.os.fsync = real["fsync"]
            if not fired:
                break
            tried += 1
            run = sightline.train(folder / "data", name=name, resume=True, **chosen)
            same += digest(run.folder) == wanted
        print(f"| {kind} | {tried} | {named if kind.startswith('the') else '-'} | {same} |", flush=True)


if __name__ == "__main__":
    main()
