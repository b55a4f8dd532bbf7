"""What the preflight predicts that a training takes, beside what a process really took: one row a network.

Run: ``python benchmarks/memory.py``. Each row is two processes of their own: one predicts, one trains three steps and
looks at validation once, and says how far its peak of resident memory rose above what it held before.
"""

from __future__ import annotations

import json
import subprocess
import sys

CASES = [
    ("small-fast", 32, 128, 1),
    ("small-resnet", 32, 128, 1),
    ("resnet18", 224, 16, 1),
    ("resnet18", 224, 32, 4),
    ("mobilenetv2_100", 224, 16, 1),
    ("mobilenetv2_100", 224, 32, 4),
]
CHILD = """
import json, resource, sys, threading
import numpy as np, psutil, torch
from sightline.networks.describe import describe_network
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.process_settings import kept_memory
from sightline.training import memory
from sightline.training.averaging import Average
from sightline.training.batches import Batch
from sightline.training.schedules import Course
from sightline.training.setup import set_up_network
from sightline.training.update import Updater, prepare_batch

what, model, size, batch, parts, precision = json.loads(sys.argv[1])
data = DataFacts(("a", "b"), {"train": 1000, "val": 200, "test": 0}, size, 1.0)
chosen = Recipe(model=model, size=size, batch_size=batch, accumulate=parts, precision=precision, pretrained=False,
                optimizer="adamw", ema=0.99)
settings = make_plan(Recipe(), chosen, data, Hardware("cpu", "x", 1, "x"), describe_network(model)).settings
settings = settings.model_copy(update={"early_sizes": (), "early_share": 0.0})
torch.zeros(8, 8) @ torch.zeros(8, 8)
before = psutil.Process().memory_info().rss
network = set_up_network(settings, 2, None)
if what == "predict":
    print(memory.measure_memory(network, settings, 2).step(batch, parts) / memory._SAFETY)
    sys.exit()
kept = kept_memory()  # as in a training, until the process ends
kept.__enter__()
network.train()
updater, average = Updater(network, settings, (1, 1)), Average(network, settings.ema)
for step in range(3):
    pixels = torch.from_numpy(np.random.default_rng(step).integers(0, 256, (batch, size, size, 3), dtype=np.uint8))
    images = pixels.permute(0, 3, 1, 2).float().div_(255)
    given = Batch(images, torch.arange(batch) % 2, np.arange(batch))
    images, targets = prepare_batch(given, settings, 2, 1, Course(step, 3, 3))
    updater.make(images, targets, rate=0.001, momentum=0.9, step=step)
    average.update()
del images, given, pixels, targets
count = memory.inference_batch(batch, parts)
with torch.inference_mode():
    average.network.eval()(torch.zeros(count, 3, size, size))
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before)
"""


def ask(what: str, model: str, size: int, batch: int, parts: int, precision: str) -> float:
    """Return the bytes that a process of its own predicts, or takes."""
    case = json.dumps([what, model, size, batch, parts, precision])
    done = subprocess.run([sys.executable, "-c", CHILD, case], capture_output=True, text=True, check=True)
    return float(done.stdout)


if __name__ == "__main__":
    names = f"{'network':<18} {'px':>4} {'batch':>5} {'parts':>5} {'type':>5}"
    print(f"{names} {'predicted':>10} {'real':>10}  real/predicted")
    for precision in ("fp32", "bf16"):
        for case in CASES:
            predicted, real = (ask(what, *case, precision) / 2**20 for what in ("predict", "real"))
            model, size, batch, parts = case
            row = f"{model:<18} {size:>4} {batch:>5} {parts:>5} {precision:>5}"
            print(f"{row} {predicted:>6.0f} MiB {real:>6.0f} MiB  {real / predicted:.2f}", flush=True)
