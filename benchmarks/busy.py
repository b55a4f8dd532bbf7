"""What sleeping threads and kept memory give: images a second of trainings, alone and beside other work.

    python benchmarks/busy.py [--rounds 1] [--seconds 5]

Each figure is a process of its own, with the settings of ``sightline.process_settings`` and without them, in turns.
It counts from its third step on. Where two trainings run at once, both are of the same kind, and the figure is that of
one of them. The machine must be quiet otherwise: what else it does is in the figures too.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from contextlib import ExitStack

from sightline.process_settings import SWITCH

# name, network, px, images of a step, further settings
CASES = (
    ("lite0, 224 px", "tf_efficientnet_lite0", 224, 32, {}),
    ("small-fast, width 64", "small-fast", 32, 500, {"width": 64}),
)
BESIDE = ("nothing", "a busy process", "a second training")
VARIANTS = ("off", "on")
_LEAST = 3  # steps that are timed
CHILD = """
import json, sys, time
from sightline.networks.describe import describe_network
import numpy as np, torch
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.process_settings import kept_memory
from sightline.machine import usable_threads
from sightline.training.batches import Batch
from sightline.training.schedules import Course
from sightline.training.setup import set_up_network
from sightline.training.update import Updater, prepare_batch

(name, model, size, batch, more), seconds, least = json.loads(sys.argv[1])
data = DataFacts(("a", "b"), {"train": 10_000, "val": 200, "test": 0}, size, 1.0)
chosen = Recipe(model=model, size=size, batch_size=batch, pretrained=False, early_sizes=[], **more)
hardware = Hardware("cpu", "x", usable_threads(), "x")
settings = make_plan(Recipe(), chosen, data, hardware, describe_network(model)).settings
network = set_up_network(settings, 2, None)
network.train()
updater, course = Updater(network, settings, (1, 1)), Course(0, 1_000, 100)
pixels = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), dtype=np.uint8))

def step():
    given = Batch(pixels.permute(0, 3, 1, 2).float().div_(255), torch.arange(batch) % 2, np.arange(batch))
    images, targets = prepare_batch(given, settings, 2, 1, course)
    updater.make(images, targets, rate=1e-6, momentum=0.9, step=0)

with kept_memory():
    step(), step()
    print("ready", flush=True)
    sys.stdin.readline()
    start, steps = time.monotonic(), 0
    while steps < least or time.monotonic() - start < seconds:
        step()
        steps += 1
    print(steps * batch / (time.monotonic() - start), flush=True)
    while True:  # beside the others, until they have their figure, or nobody reads any more
        step()
        print(flush=True)
"""
BUSY = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each figure")
    options = parser.parse_args()
    print("| training | beside | images/s without | with | ratio |")
    print("| --- | --- | --- | --- | --- |")
    for case in CASES:
        for beside in BESIDE:
            found: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
            for _ in range(options.rounds):
                for variant in VARIANTS:
                    found[variant].append(measure(case, beside, variant, options.seconds))
            off, on = (statistics.median(found[variant]) for variant in VARIANTS)
            print(f"| {case[0]} | {beside} | {off:.1f} | {on:.1f} | {on / off:.2f} |", flush=True)


def measure(case: tuple[object, ...], beside: str, variant: str, seconds: float) -> float:
    """Return images a second of a training in a process of its own; of the slower one where there are two."""
    with ExitStack() as ending:
        count = 2 if beside == "a second training" else 1
        trainings = [
            start([sys.executable, "-c", CHILD, json.dumps([case, seconds, _LEAST])], variant, ending)
            for _ in range(count)
        ]
        for training in trainings:
            assert training.stdout and training.stdout.readline() == "ready\n"
        if beside == "a busy process":
            start(
                [*(["nice", "-n", "19"] if os.name == "posix" else []), sys.executable, "-c", BUSY],
                variant,
                ending,
            )
        for training in trainings:
            assert training.stdin
            training.stdin.write("\n")
            training.stdin.flush()
        return min(float(training.stdout.readline()) for training in trainings if training.stdout)


def start(command: list[str], variant: str, ending: ExitStack) -> subprocess.Popen[str]:
    """Start a process that ends with the measurement."""
    environment = {**os.environ, SWITCH: variant}
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT"):
        environment.pop(name, None)
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    ending.callback(process.wait)
    ending.callback(process.kill)
    return process


if __name__ == "__main__":
    main()
