"""Ways to look at images with a frozen network on this CPU, beside each other: speed, start-up and rounding.

    python benchmarks/features.py [--model mobilenetv2_100] [--weights FILE.safetensors] [--sizes 224 160 128]
        [--batches 8 16 32 64] [--threads N] [--rounds 3]

Every way looks at the same images in turn, round by round; the best round counts, so that what else the machine does
falls on all alike. Images are noise: what a network does with them takes as long as with photos, but rounding differs.
Prints one table; ``pays from`` is the number of images from which a way's start-up is won back beside plain torch.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import timm
import torch

from sightline.networks.network import Network
from sightline.training.engines import ENGINES


def build(model: str, weights: Path | None) -> Network:
    """Return a timm network with its pretrained weights, or with random ones."""
    overlay = {"pretrained": True, "pretrained_cfg_overlay": {"file": str(weights)}} if weights else {}
    body = timm.create_model(model, **overlay)
    body.reset_classifier(0)
    with torch.inference_mode():
        size = body.eval()(torch.zeros(1, 3, 224, 224)).shape[1]
    network = Network(body, size, 10, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)).eval()
    return network.to(memory_format=torch.channels_last)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="mobilenetv2_100")
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--sizes", type=int, nargs="+", default=[224, 160, 128])
    parser.add_argument("--batches", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    network = build(asked.model, asked.weights)
    speeds = " | ".join(f"{batch} at once" for batch in asked.batches)
    print(f"{asked.model}, {asked.threads} threads, images a second\n")
    print(f"| px | way | start-up | {speeds} | pays from | difference |")
    print("| --- " * (5 + len(asked.batches)) + "|")
    for size in asked.sizes:
        table(network, size, asked.batches, asked.rounds)


def table(network: Network, size: int, batches: list[int], rounds: int) -> None:
    """Print the rows of one size."""
    noise = np.random.default_rng(0).integers(0, 256, (max(batches), size, size, 3), dtype=np.uint8)
    images = torch.from_numpy(noise)
    ways, starts = {}, {}
    for name, make in ENGINES.items():
        start = time.perf_counter()
        ways[name] = make(network, size)
        ways[name](images[: batches[0]])  # what is done once, at the first images
        starts[name] = time.perf_counter() - start
    best = {name: dict.fromkeys(batches, float("inf")) for name in ways}
    for batch in batches:
        for _ in range(rounds):
            for name, look in ways.items():
                start = time.perf_counter()
                look(images[:batch])
                best[name][batch] = min(best[name][batch], (time.perf_counter() - start) / batch)
    wanted = ways["torch"](images)
    plain = min(best["torch"].values())
    for name, look in ways.items():
        seconds = min(best[name].values())
        pays = max(0.0, starts[name] - starts["torch"]) / (plain - seconds) if seconds < plain else float("nan")
        error = np.linalg.norm(look(images) - wanted) / np.linalg.norm(wanted)
        row = " | ".join(f"{1 / best[name][batch]:.0f}" for batch in batches)
        print(f"| {size} | {name} | {starts[name]:.2f} s | {row} | {pays:.0f} | {error:.1g} |", flush=True)


if __name__ == "__main__":
    main()
