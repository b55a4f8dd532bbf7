"""How much of the training's speed feeding costs: images a second from the store, beside the same steps in memory.

    python benchmarks/throughput.py [--rounds 3]

Each round takes turns: some steps whose batches come from a store on the disk, as in a training, and as many steps on
one batch that lies in memory; both are augmented, both learn. The median of the rounds' ratios is given. Images
are noise, which costs what any image costs once it is decoded.
"""

from __future__ import annotations

import argparse
import hashlib
import statistics
import tempfile
import time
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from sightline.networks.describe import describe_network
from sightline.pixels.cache import open_store
from sightline.planning.facts import DataFacts
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.steps import result_of
from sightline.training.hardware import probe_hardware
from sightline.training.schedules import Course
from sightline.training.setup import make_batches, set_up_network
from sightline.training.update import Updater, prepare_batch

# name, network, side of the input, side of the stored images, images, steps a round
CASES = (
    ("own network, 32 px", "small-fast", 32, 32, 4_000, 6),
    ("mobilenetv2_100, 224 px, cropped from 256", "mobilenetv2_100", 224, 256, 160, 3),
)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    print("| training | from the store | in memory | share |")
    print("| --- | --- | --- | --- |")
    for name, model, side, stored, images, steps in CASES:
        with tempfile.TemporaryDirectory() as folder:
            fed, held = measure(Path(folder), (model, side, stored, images), steps, rounds)
        share = statistics.median(a / b for a, b in zip(fed, held, strict=True))
        print(f"| {name} | {statistics.median(fed):,.1f}/s | {statistics.median(held):,.1f}/s | {share:.1%} |")


def measure(folder: Path, case: tuple[str, int, int, int], steps: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return images a second of each round: (from the store, in memory)."""
    model, side, stored, images = case
    paths, random = [], np.random.default_rng(0)
    for number in range(images):
        paths.append(folder / f"{number}.jpg")
        Image.fromarray(random.integers(0, 256, (stored, stored, 3), dtype=np.uint8)).save(paths[-1])
    data = DataFacts(("ant", "bee"), {"train": images, "val": 10, "test": 10}, stored, 1.0)
    options = Recipe(model=model, pretrained=False, size=side, resize=stored, fit="crop", early_sizes=[])
    plan = make_plan(Recipe(), options, data, probe_hardware(), describe_network(model))
    settings = plan.settings
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    store = result_of(open_store(paths, digests, plan.preprocess, folder / "store"))
    network = set_up_network(settings, 2, None)
    network.train()
    batches = make_batches(plan, store, range(images), [number % 2 for number in range(images)])
    updater, course = Updater(network, settings, (1, 1)), Course(0, 1_000, 100)

    def run(some) -> float:
        start, seen = time.monotonic(), 0
        for batch in some:
            inputs, targets = prepare_batch(batch, settings, 2, 1, course)
            updater.make(inputs, targets, rate=1e-6, momentum=0.9, step=0)
            seen += len(inputs)
        return seen / (time.monotonic() - start)

    one = next(batches.shuffled(settings.batch_size, 0, 1))
    run([one, one])
    fed, held = [], []
    for number in range(rounds):
        fed.append(run(islice(batches.shuffled(settings.batch_size, 0, number), steps)))
        held.append(run([one] * min(steps, batches.steps(settings.batch_size))))
        if torch.cuda.is_available():
            torch.cuda.synchronize()
    return fed, held


if __name__ == "__main__":
    main()
