"""The true path of pretrained weights, without a connection: a hub cache, timm's loader, and some steps from there.

    python benchmarks/pretrained.py [NAME=WEIGHTS.safetensors ...] [--steps 3] [--batch 8]

For each network a hub cache is made that holds a file of its published name: of the given weights, or of random
ones. Then weights are found, loaded and trained on as in a training; "same" says whether the features are those
of ``timm.create_model(NAME, pretrained=True)`` behind the same cache. Prints one table.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

NETWORKS = ("convnext_tiny.fb_in1k", "resnet18.tv_in1k", "resnet50.tv2_in1k", "vgg16.tv_in1k")


def fill_cache(hub: Path, name: str, weights: str) -> None:
    """Put a file into the cache as the weights of a network, in the hub's own layout."""
    import timm
    import torch
    from safetensors.torch import save_file

    folder = hub / f"models--timm--{name}"
    snapshot = folder / "snapshots" / "local"
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("local")
    if weights:
        shutil.copy(weights, snapshot / "model.safetensors")
    else:
        torch.manual_seed(0)
        save_file(timm.create_model(name).state_dict(), snapshot / "model.safetensors")


def measure(name: str, steps: int, batch: int) -> tuple[str, str, int, float]:
    """Return (same as timm's, licence, parameters with a head of ten classes, seconds a step)."""
    import timm
    import torch

    from sightline.networks.build import build_network
    from sightline.networks.describe import describe_network
    from sightline.networks.weights import StartWeights, find_weights
    from sightline.planning.facts import DataFacts
    from sightline.planning.plan import make_plan
    from sightline.planning.recipe import Recipe
    from sightline.training.hardware import probe_hardware

    facts = describe_network(name)
    data = DataFacts(tuple("abcdefghij"), {"train": 5000, "val": 500, "test": 500}, 224, 1.0)
    settings = make_plan(Recipe(), Recipe(model=name), data, probe_hardware(None), facts).settings
    torch.set_num_threads(settings.threads)
    found = find_weights(facts, "")
    assert found.path is not None, "not found in the cache"
    network = build_network(settings, 10, StartWeights(found.path)).to(settings.device)
    network = network.to(memory_format=torch.channels_last)
    images = torch.rand(batch, 3, settings.size, settings.size, device=settings.device)
    images = images.to(memory_format=torch.channels_last)
    theirs = timm.create_model(name, pretrained=True, num_classes=0).eval().to(settings.device)
    with torch.inference_mode():
        wanted, got = theirs(images[:2]), network.eval().body(images[:2])
    same = "yes" if torch.allclose(wanted, got, rtol=1e-3, atol=1e-4 * float(wanted.abs().max())) else "NO"
    del theirs
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-5)
    labels = torch.arange(batch, device=settings.device) % 10
    network.train()
    seconds = []
    for _ in range(steps):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(images), labels)
        loss.backward()
        optimizer.step()
        assert torch.isfinite(loss.detach())  # waits for the device too
        seconds.append(time.perf_counter() - start)
    return same, found.licence, sum(weights.numel() for weights in network.parameters()), min(seconds)


def main() -> None:
    """Measure each network behind a cache of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="*", help="NAME=FILE")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--batch", type=int, default=8)
    chosen = parser.parse_args()
    given = dict(text.split("=", 1) for text in chosen.weights)
    print(f"{'network':<28} {'weights':<8} {'same':<5} {'licence':<12} {'parameters':>11} {'s a step':>9}")
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"HF_HUB_CACHE": folder, "HF_HUB_OFFLINE": "1"}  # read when the hub is imported, further down
        for name in [*given, *(name for name in NETWORKS if name not in given)]:
            fill_cache(Path(folder), name, given.get(name, ""))
            same, licence, parameters, seconds = measure(name, chosen.steps, chosen.batch)
            kind = "given" if name in given else "random"
            row = f"{name:<28} {kind:<8} {same:<5} {licence:<12} {parameters / 1e6:>9.1f} M {seconds:>9.2f}"
            print(row, flush=True)
            shutil.rmtree(Path(folder) / f"models--timm--{name}")
    print(f"batches of {chosen.batch}, the fastest of {chosen.steps} steps", file=sys.stderr)


if __name__ == "__main__":
    main()
