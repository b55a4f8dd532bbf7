"""Near-duplicates planted in real images: how many of each kind are found, and what else is called a duplicate.

    python benchmarks/duplicates.py IMAGES [--images 10000] [--planted 300] [--sheet sheet.png]

IMAGES is any source of images of classes. Pairs that were not planted are the set's own near-duplicates or false
alarms: a person must look, so they can be written to a contact sheet, least alike first.
"""

from __future__ import annotations

import argparse
import io
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from sightline.data.duplicates import find_duplicates
from sightline.data.inspect import inspect_samples
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.pixels.decode import decode_image
from sightline.steps import result_of


def crop(image: Image.Image, left: float, top: float, right: float, bottom: float) -> Image.Image:
    """Return the image without these shares of its sides."""
    width, height = image.size
    return image.crop(
        (round(width * left), round(height * top), round(width * (1 - right)), round(height * (1 - bottom)))
    )


def save_again(image: Image.Image, quality: int) -> Image.Image:
    """Return the image after a JPEG of this quality."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return Image.open(file).convert("RGB")


KINDS = {
    "resized to 75 %": lambda image: image.resize(
        (image.width * 3 // 4, image.height * 3 // 4), Image.Resampling.LANCZOS
    ),
    "resized to 200 %": lambda image: image.resize((image.width * 2, image.height * 2), Image.Resampling.BICUBIC),
    "JPEG quality 50": lambda image: save_again(image, 50),
    "flipped": ImageOps.mirror,
    "cropped 5 % each side": lambda image: crop(image, 0.05, 0.05, 0.05, 0.05),
    "cropped 5 % one side": lambda image: crop(image, 0.05, 0, 0, 0),
    "grey": lambda image: image.convert("L").convert("RGB"),
    "20 % brighter": lambda image: Image.eval(image, lambda level: min(255, round(level * 1.2))),
    "two of them": lambda image: save_again(ImageOps.mirror(crop(image, 0.03, 0.03, 0.03, 0.03)), 50),
}


def plant(samples: Samples, folder: Path, count: int, each: int) -> dict[str, tuple[str, str]]:
    """Write images and changed copies of some; returns copy -> (kind, original)."""
    random = np.random.default_rng(0)
    chosen = random.permutation(len(samples))[:count]
    planted = {}
    kinds = [kind for kind in KINDS for _ in range(each)]
    for number, row in enumerate(chosen):
        label = samples.classes[samples.labels[row]]
        (folder / label).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(decode_image(samples.file(int(row))))
        name = f"{label}/{number:06d}.png"
        image.save(folder / name)
        if number < len(kinds):
            copy = f"{label}/{number:06d}-planted.png"
            KINDS[kinds[number]](image).save(folder / copy)
            planted[copy] = kinds[number], name
    return planted


def draw_sheet(samples: Samples, pairs: list[tuple[int, int]], path: Path) -> None:
    """Write pairs side by side, eight a row."""
    sheet = Image.new("RGB", (8 * 200, -(-len(pairs) // 8) * 110), "white")
    draw = ImageDraw.Draw(sheet)
    for place, pair in enumerate(pairs):
        left, top = place % 8 * 200, place // 8 * 110
        for side, row in enumerate(pair):
            image = Image.fromarray(decode_image(samples.file(row))).resize((92, 92))
            sheet.paste(image, (left + 94 * side, top))
        draw.text((left, top + 94), " / ".join(samples.classes[samples.labels[row]] for row in pair), fill="black")
    sheet.save(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images")
    parser.add_argument("--images", dest="count", type=int, default=10_000)
    parser.add_argument("--planted", type=int, default=300)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        planted = plant(read_samples(options.images), Path(scratch) / "set", options.count, options.planted)
        start = time.perf_counter()
        samples = result_of(inspect_samples(read_samples(Path(scratch) / "set"), folder=Path(scratch) / "cache"))
        inspected = time.perf_counter()
        samples = result_of(find_duplicates(samples, folder=Path(scratch) / "cache"))
        ended = time.perf_counter()
        found, others = Counter(), []
        for one, other in samples.near.tolist():
            names = samples.paths[one], samples.paths[other]
            hits = [
                planted[copy][0] for copy, name in (names, names[::-1]) if copy in planted and planted[copy][1] == name
            ]
            found.update(hits)
            if not hits:
                others.append((one, other))
        totals = Counter(kind for kind, _ in planted.values())
        print(f"{len(samples):,} images; inspected in {inspected - start:.1f} s, compared in {ended - inspected:.1f} s")
        print("| kind | planted | found | recall |\n| --- | ---: | ---: | ---: |")
        for kind, total in totals.items():
            print(f"| {kind} | {total} | {found[kind]} | {found[kind] / total:.1%} |")
        hits = sum(found.values())
        print(f"\n{len(samples.near):,} pairs in all: {hits:,} planted, {len(others):,} others to look at")
        if options.sheet and others:
            draw_sheet(samples, others[:160], options.sheet)


if __name__ == "__main__":
    main()
