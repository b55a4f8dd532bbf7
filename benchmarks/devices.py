"""Two processes that train together on a CPU, beside one: how far they differ, how fast they are, how they end.

Run: ``python benchmarks/devices.py [differences] [speed] [kills]``; all three by default. Images of coloured noise
are made on the spot, and every row is the real command.

- differences: the same plan in one, two and three processes, in fp32: the largest difference of the figures after any
  epoch, and of any weight at the end.
- speed: images a second within an epoch, the median of all but the first; share of linear is two processes of one
  thread beside twice one process of one thread.
- kills: one training of two processes, killed at 20 moments: half of the times the first process, half the other. Each
  time the command goes on with ``--resume``, and at last it ends.
"""

from __future__ import annotations

import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from PIL import Image
from safetensors.numpy import load_file

from sightline.runs.folder import Run

KILLS = 20


def make_images(root: Path, count: int, side: int) -> Path:
    """Write three classes of noisy images."""
    noise = np.random.default_rng(0)
    for name, colour in {"blue": (119, 119, 122), "green": (119, 122, 119), "red": (122, 119, 119)}.items():
        (root / name).mkdir(parents=True)
        for number in range(count):
            pixels = np.array(colour) + noise.integers(-90, 90, (side, side, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(root / name / f"{number}.png")
    return root


def start(folder: Path, name: str, devices: int, **chosen: Any) -> subprocess.Popen[str]:
    """Start a training of the folder's images; what it says goes to ``NAME.log``."""
    settings = {"seed": 1, "threads": devices, "precision": "fp32", "patience": 0, **chosen}
    words = [f"--set={key}={value}" for key, value in settings.items()]
    command = [sys.executable, "-m", "sightline", "train", str(folder / "images"), "--resume", "--name", name]
    log = (folder / f"{name}.log").open("w")
    return subprocess.Popen(
        [*command, "--devices", str(devices), *words], cwd=folder, stderr=log, stdout=log, text=True
    )


def run(folder: Path, name: str, devices: int, **chosen: Any) -> Run:
    """Train to the end and return the run."""
    code = start(folder, name, devices, **chosen).wait()
    if code:
        sys.exit((folder / f"{name}.log").read_text())
    return Run(folder / "runs" / name)


def differences(folder: Path) -> None:
    """Print how far several processes are from one."""
    print("network         processes   val loss   val accuracy      weights   test accuracy")
    for model in ("small-convnext", "small-resnet"):
        plan = {
            "model": model,
            "width": 16,
            "epochs": 4,
            "batch_size": 64,
            "ema": 0,
            "dropout": 0,
            "stochastic_depth": 0,
        }
        runs = {count: run(folder, f"{model}-{count}", count, **plan, stage_dropout=0) for count in (1, 2, 3)}
        alone = load_file(runs[1].classifier_folder / "model.safetensors")
        for count, found in runs.items():
            weights = load_file(found.classifier_folder / "model.safetensors")
            apart = max(float(np.abs(weights[key] - alone[key]).max()) for key in alone)
            loss, accuracy = (
                max(abs(a - b) for a, b in zip(found.history[key], runs[1].history[key], strict=True))
                for key in ("val_loss", "val_accuracy")
            )
            told = found.metrics["accuracy"]["value"]
            print(
                f"{model:<14}  {count:>9}  {loss:>9.1e}  {accuracy:>13.1e}  {apart:>11.1e}  {told:>14.1%}", flush=True
            )


def speed(folder: Path) -> None:
    """Print images a second, and the share of linear speed."""
    print("network         batch   1 process of 1 thread   1 of 2   2 of 1   share of linear")
    for model, batch in (("small-convnext", 128), ("small-resnet", 128)):
        rates = []
        for count, threads in ((1, 1), (1, 2), (2, 2)):
            name = f"speed-{model}-{count}-{threads}"
            plan = {"model": model, "epochs": 4, "batch_size": batch, "threads": threads}
            rates.append(statistics.median(run(folder, name, count, **plan).history["images_per_second"][2:]))
        one, wide, two = rates
        print(f"{model:<14}  {batch:>5}  {one:>22.0f}  {wide:>7.0f}  {two:>7.0f}  {two / (2 * one):>16.0%}", flush=True)


def kills(folder: Path) -> None:
    """Print how long it takes until all have ended, and whether the run goes on."""
    chance = random.Random(0)
    seconds: dict[str, list[float]] = {"the first": [], "the other": []}
    codes: dict[str, set[int]] = {"the first": set(), "the other": set()}
    named = 0
    for number in range(KILLS):
        process = start(folder, "killed", 2, model="small-convnext", epochs=5_000, batch_size=64)
        log = folder / "killed.log"
        while "train together" not in log.read_text():
            time.sleep(0.05)
        (helper,) = (p for p in psutil.Process(process.pid).children() if "sightline.pipeline.worker" in p.cmdline())
        time.sleep(chance.uniform(0, 6))
        who = "the first" if number % 2 else "the other"
        begun = time.monotonic()
        os.kill(process.pid if who == "the first" else helper.pid, signal.SIGKILL)
        codes[who].add(process.wait())
        psutil.wait_procs([helper])
        seconds[who].append(time.monotonic() - begun)
        print(f"{number + 1:>2}  {who} is killed: all ended after {seconds[who][-1]:.2f} s", flush=True)
        named += "process 1 of 2 was ended by SIGKILL" in log.read_text()
    print("killed      times   median s   longest s   exit codes")
    for who, took in seconds.items():
        print(f"{who:<10}  {len(took):>5}  {statistics.median(took):>9.2f}  {max(took):>10.2f}   {sorted(codes[who])}")
    last = Run(folder / "runs" / "killed")
    steps = last.steps.get("step", [])  # none where each was killed before its first state was saved
    is_whole = steps == sorted(set(steps))
    print(f"the cause was named {named} times; the run holds {len(steps):,} steps, each once: {is_whole}")


if __name__ == "__main__":
    wanted = sys.argv[1:] or ["differences", "speed", "kills"]
    with tempfile.TemporaryDirectory() as scratch:
        place = Path(scratch)
        os.environ["SIGHTLINE_CACHE"] = str(place / "cache")
        os.environ["SIGHTLINE_STATE"] = str(place / "state")  # looks at made-up images are not counted
        make_images(place / "images", 300, 32)
        for part in (differences, speed, kills):
            if part.__name__ in wanted:
                part(place)
                print()
