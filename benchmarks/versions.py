"""Versions of images, changed as people change them before they split: how many are found, and what else is called one.

    python benchmarks/versions.py IMAGES [--images 4000] [--originals 120] [--versions 4] [--sheet sheet.png]

IMAGES is any source of images of classes. Each original gives versions of one kind of change, drawn anew for each, and
is not there itself, as in a set that was augmented and then split; the other images stay as they are. Pairs that were
not planted are the set's own or false: a person must look, so they can be written to a contact sheet. ``--originals 0``
plants none.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance

from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.data.split import find_units
from sightline.events import StageEnded
from sightline.pixels.decode import decode_image
from sightline.reading.source import inspect_source

# Kind -> (degrees, shift as a share, zoom, shear in degrees, mirrored, light, colour): the most of each.
KINDS = {
    "turned up to 20 degrees": (20, 0, 0, 0, False, 0, 0),
    "turned by any angle": (180, 0, 0, 0, False, 0, 0),
    "shifted": (0, 0.2, 0, 0, False, 0, 0),
    "zoomed": (0, 0, 0.25, 0, False, 0, 0),
    "sheared": (0, 0, 0, 15, False, 0, 0),
    "mirrored, shifted": (0, 0.1, 0, 0, True, 0, 0),
    "brightness, colour": (0, 0.1, 0, 0, False, 0.4, 0.3),
    "all, up to 20 degrees": (20, 0.1, 0.15, 10, True, 0.3, 0.1),
    "all, any angle": (180, 0.1, 0.15, 10, True, 0.3, 0.1),
}
_FILLS = ("edge", "reflect", "constant")


def make_version(image: Image.Image, kind: str, random: np.random.Generator) -> Image.Image:
    """Return the image under a random change of this kind; what comes into view is filled in one of three ways."""
    degrees, shift, zoom, shear, is_mirrored, light, colour = KINDS[kind]
    angle, slant = np.radians(random.uniform(-degrees, degrees)), np.radians(random.uniform(-shear, shear))
    scale = np.exp(random.uniform(-zoom, zoom))
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / scale
    matrix = matrix @ np.array([[1, np.tan(slant)], [0, 1]])
    if is_mirrored and random.random() < 0.5:
        matrix = matrix @ np.diag([-1, 1])
    width, height = image.size
    pixels = np.asarray(image)
    pad = max(width, height)
    mode = _FILLS[random.integers(3)]
    padded = Image.fromarray(np.pad(pixels, ((pad, pad), (pad, pad), (0, 0)), mode))
    centre = np.array([width / 2, height / 2])
    move = centre + pad - matrix @ (centre + random.uniform(-shift, shift, 2) * image.size)
    rows = np.column_stack([matrix, move]).ravel().tolist()
    changed = padded.transform(image.size, Image.Transform.AFFINE, rows, Image.Resampling.BICUBIC)
    changed = ImageEnhance.Brightness(changed).enhance(1 + random.uniform(-light, light))
    gains = 1 + random.uniform(-colour, colour, 3)
    return Image.fromarray((np.asarray(changed, np.float32) * gains).clip(0, 255).astype(np.uint8))


def plant(samples: Samples, folder: Path, count: int, originals: int, versions: int) -> dict[str, tuple[str, int]]:
    """Write images, and versions instead of some; returns path of a version -> (kind, number of its original)."""
    random = np.random.default_rng(0)
    kinds, planted = list(KINDS), {}
    for number, row in enumerate(random.permutation(len(samples))[:count]):
        label = samples.classes[samples.labels[row]]
        (folder / label).mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(decode_image(samples.file(int(row))))
        if number >= originals:
            image.save(folder / label / f"{random.integers(1 << 40):012x}.jpg", quality=90)
            continue
        kind = kinds[number % len(kinds)]
        for _ in range(versions):
            name = f"{label}/{random.integers(1 << 40):012x}.jpg"
            make_version(image, kind, random).save(folder / name, quality=90)
            planted[name] = kind, number
    return planted


def draw_sheet(samples: Samples, pairs: list[tuple[int, int]], path: Path) -> None:
    """Write pairs side by side, six a row."""
    sheet = Image.new("RGB", (6 * 270, -(-len(pairs) // 6) * 146), "white")
    draw = ImageDraw.Draw(sheet)
    for place, pair in enumerate(pairs):
        left, top = place % 6 * 270, place // 6 * 146
        for side, row in enumerate(pair):
            image = Image.fromarray(decode_image(samples.file(row)))
            image.thumbnail((128, 128))
            sheet.paste(image, (left + 131 * side, top))
        draw.text((left, top + 130), " / ".join(samples.classes[samples.labels[row]] for row in pair), fill="black")
    sheet.save(path)


def main() -> None:
    """Print a table of what is found of each kind, of pairs and of units, and what else is called a version."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("images")
    parser.add_argument("--images", dest="count", type=int, default=4_000)
    parser.add_argument("--originals", type=int, default=120)
    parser.add_argument("--versions", type=int, default=4)
    parser.add_argument("--sheet", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "set"
        planted = plant(read_samples(options.images), folder, options.count, options.originals, options.versions)
        start, search, busy = time.perf_counter(), "", time.process_time()
        steps = inspect_source(folder)
        try:
            while True:
                event = next(steps)
                if isinstance(event, StageEnded):
                    if event.name == "Searching":
                        search = f"{event.detail}, in {event.seconds:.1f} s, {time.process_time() - busy:.1f} s of CPU"
                    busy = time.process_time()
        except StopIteration as stop:
            samples = stop.value
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
        print(f"{len(samples):,} images, read and compared in {time.perf_counter() - start:.1f} s, peak {peak:.0f} MB")
        print(f"versions: {search}\n")
        others = report(samples, planted)
        if options.sheet and others:
            draw_sheet(samples, others[:96], options.sheet)


def report(samples: Samples, planted: dict[str, tuple[str, int]]) -> list[tuple[int, int]]:
    """Print the table; returns the pairs that were not planted."""
    original = np.array([planted[path][1] if path in planted else -1 for path in samples.paths])
    units, joined = find_units(samples, np.arange(len(samples))), Counter()
    together: dict[int, list[int]] = defaultdict(list)
    for unit in units:
        for number, size in Counter(original[unit].tolist()).items():
            together[number].append(size)
        joined["mixed"] += len(set(original[unit].tolist()) - {-1}) > 1 or (-1 in original[unit] and len(unit) > 1)
    kinds = {number: kind for kind, number in planted.values()}
    print("| kind | originals | images in a unit with others | pairs in one unit | whole units |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for kind in [*KINDS, "all kinds"]:
        numbers = [number for number, its in kinds.items() if kind in (its, "all kinds")]
        sizes = [together[number] for number in numbers]
        if sizes:
            images = sum(map(sum, sizes))
            linked = sum(size for those in sizes for size in those if size > 1)
            pairs = sum(size * (size - 1) for those in sizes for size in those)
            every = sum(sum(those) * (sum(those) - 1) for those in sizes)
            whole = sum(len(those) == 1 for those in sizes)
            print(f"| {kind} | {len(sizes)} | {linked / images:.1%} | {pairs / every:.1%} | {whole / len(sizes):.0%} |")
    others = [
        (one, other) for one, other in samples.alike.tolist() if original[one] < 0 or original[one] != original[other]
    ]
    near = sum(tuple(pair) in set(map(tuple, samples.near.tolist())) for pair in others)
    print(
        f"\n{len(samples.alike):,} pairs in all, {len(others):,} of them not planted ({near:,} by the comparison of "
        f"near-duplicates); {joined['mixed']:,} units with images that do not belong together, or are the set's own"
    )
    return others


if __name__ == "__main__":
    main()
