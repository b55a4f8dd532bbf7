"""Reading and decoding beside a plain Pillow loop, and the memory of a set that grows ten times.

    python benchmarks/cache.py [PHOTOS.zip]

The first table is images per second, medians of 3 rounds taken in turns, each also as a ratio to a plain loop on
one and on two threads (open, convert to RGB, resize: nothing is checked, hashed or stored). The second is time and
peak anonymous memory of fresh processes that inspect and fill the cache for 10,000 and 100,000 images of 32 px.
Images are made from the photos of the archive, or from noise that looks like one to a JPEG coder.
"""

from __future__ import annotations

import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Generator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.data.duplicates import find_duplicates
from sightline.data.inspect import inspect_samples
from sightline.data.samples import Samples
from sightline.data.sources import read_samples
from sightline.pixels import cache as pixel_cache
from sightline.pixels.cache import PixelStore, open_store
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.storage import StoreWriter, read_store

SETS = {  # name -> (images, width, height, how they are stored)
    "150 px": (2000, 150, 150, Preprocess(size=112, resize=128, draft=2)),
    "1600 px": (120, 1600, 1200, Preprocess(size=224, resize=256, draft=2)),
}
GROWTH = (10_000, 100_000)
TINY = Preprocess(size=32, resize=32, draft=2)


def sources(archive: Path | None) -> list[Image.Image]:
    """Return photos to cut images from: of the archive, or noise with the spectrum of a photo."""
    if archive is not None:
        with zipfile.ZipFile(archive) as file:
            names = [name for name in file.namelist() if name.lower().endswith((".jpg", ".jpeg"))][:40]
            return [Image.open(io.BytesIO(file.read(name))).convert("RGB") for name in names]
    made = []
    for seed in range(10):
        noise = np.random.default_rng(seed)
        image = np.full((480, 640, 3), 128.0)
        for side in (4, 12, 40, 120, 480):  # the finer, the weaker
            layer = Image.fromarray(noise.integers(0, 256, (side, side, 3), dtype=np.uint8)).resize((640, 480))
            image += (np.asarray(layer, float) - 128) * 2.2 / side**0.4
        made.append(Image.fromarray(image.clip(0, 255).astype(np.uint8)))
    return made


def write_set(folder: Path, count: int, width: int, height: int, photos: list[Image.Image]) -> None:
    """Write different JPEGs of one size into two class folders."""
    chance = random.Random(0)
    for number in range(count):
        photo = photos[number % len(photos)]
        share = chance.uniform(0.6, 1)
        w, h = int(photo.width * share), int(photo.height * share)
        left, top = chance.randrange(photo.width - w + 1), chance.randrange(photo.height - h + 1)
        image = photo.resize((width, height), Image.Resampling.BICUBIC, box=(left, top, left + w, top + h))
        target = folder / "ab"[number % 2]
        target.mkdir(parents=True, exist_ok=True)
        image.save(target / f"{number:06d}.jpg", quality=88)


def write_tiny(folder: Path, count: int) -> None:
    """Write different JPEGs of 32 px into ten class folders, a thousand a second and more."""
    noise = np.random.default_rng(0)
    for number in range(count):
        target = folder / str(number % 10)
        target.mkdir(parents=True, exist_ok=True)
        small = Image.fromarray(noise.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        small.resize((32, 32), Image.Resampling.BICUBIC).save(target / f"{number:06d}.jpg", quality=88)


def finish(steps: Generator[Any, None, Any]) -> Any:
    """Run a generator to its end and return its value."""
    while True:
        try:
            next(steps)
        except StopIteration as stop:
            return stop.value


def plain(files: list[Path], size: tuple[int, int], threads: int) -> None:
    """Do the least that anybody would do: open, convert, resize."""

    def load(file: Path) -> None:
        with Image.open(file) as image:
            image.convert("RGB").resize(size, Image.Resampling.BILINEAR)

    if threads == 1:
        for file in files:
            load(file)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(load, files))


def speeds(folder: Path, name: str, photos: list[Image.Image]) -> dict[str, float]:
    """Return images per second of each way, medians of 3 rounds."""
    count, width, height, rules = SETS[name]
    write_set(folder / "data", count, width, height, photos)
    samples = read_samples(folder / "data")
    pixel_cache._MEMORY_BYTES = 0  # what is streamed is decoded each time, also in a set as small as these
    stored = (width * rules.resize // min(width, height), height * rules.resize // min(width, height))
    time.sleep(3)  # a file that was written just now is not remembered
    seconds: dict[str, list[float]] = {}

    def timed(what: str, work: Callable[[], Any]) -> Any:
        start = time.perf_counter()
        result = work()
        seconds.setdefault(what, []).append(time.perf_counter() - start)
        return result

    for turn in range(3):
        cache = folder / f"cache-{turn}"
        timed("plain loop, 1 thread", lambda: plain(list(samples.files), stored, 1))
        timed("plain loop, 2 threads", lambda: plain(list(samples.files), stored, 2))
        known: Samples = timed("inspect", lambda cache=cache: finish(inspect_samples(samples, folder=cache)))
        timed("inspect again", lambda cache=cache: finish(inspect_samples(samples, folder=cache)))
        timed("fill the cache", lambda known=known, cache=cache: fill(known, rules, cache))
        timed("open the cache", lambda known=known, cache=cache: fill(known, rules, cache))
        streamed = fill(replace(known), rules, cache / "none", limit=0)
        batches = [list(range(k, min(k + 64, count))) for k in range(0, count, 64)]
        timed(
            "stream an epoch",
            lambda streamed=streamed, batches=batches: list(map(len, streamed.fetch(batches))),
        )
    return {what: count / statistics.median(column) for what, column in seconds.items()}


def fill(samples: Samples, rules: Preprocess, cache: Path, **options: Any) -> PixelStore:
    """Open the store of these samples."""
    store: PixelStore = finish(open_store(samples.files, list(samples.digests), rules, cache, **options))
    return store


def check_speed(folder: Path) -> float:
    """Return the seconds that opening a store of 1 GiB takes: every byte is compared with its checksum."""
    image = np.random.default_rng(0).integers(0, 256, (256, 341, 3), dtype=np.uint8)
    with StoreWriter(folder / "store", 2**31) as writer:
        starts = [writer.write(image) for _ in range(2**30 // image.size)]
        writer.commit(np.array([(start, 256, 341) for start in starts], np.int64), {})
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        finish(read_store(folder / "store", 2))
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


class Watch(threading.Thread):
    """Remembers the most anonymous memory that this process had, in MiB (Linux)."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.peak = 0.0
        self.start()

    def run(self) -> None:
        """Look every 20 ms."""
        while True:
            self.peak = max(self.peak, anonymous())
            time.sleep(0.02)


def anonymous() -> float:
    """Return the anonymous memory of this process in MiB; 0 where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))


def grow(folder: Path, cache: Path) -> None:
    """Inspect, fill and compare in this process; print what it took as JSON."""
    watch, facts = Watch(), {"start": anonymous()}
    samples: Any = None
    steps: dict[str, Callable[[], Any]] = {
        "read": lambda: read_samples(folder),
        "inspect": lambda: finish(inspect_samples(samples, folder=cache)),
        "fill": lambda: (fill(samples, TINY, cache / "pixels"), samples)[1],
        "compare": lambda: finish(find_duplicates(samples)),
    }
    for name, step in steps.items():
        watch.peak, start = 0.0, time.perf_counter()
        samples = step()
        facts[f"{name} s"] = time.perf_counter() - start
        facts[f"{name} MiB"] = max(watch.peak, anonymous())
    print(json.dumps(facts))


def main(archive: Path | None) -> None:
    """Print both tables."""
    photos = sources(archive)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        print(f"{'images':<9} {'what':<26} {'images/s':>9} {'/ 1 thread':>11} {'/ 2 threads':>12}")
        for size in SETS:
            rates = speeds(root / size.replace(" ", ""), size, photos)
            one, two = rates["plain loop, 1 thread"], rates["plain loop, 2 threads"]
            for what, rate in rates.items():
                print(f"{size:<9} {what:<26} {rate:>9,.0f} {rate / one:>11.2f} {rate / two:>12.2f}", flush=True)
        print(f"\nopening a store of 1 GiB that the system has in memory: {check_speed(root):.2f} s")
        print(f"\n{'images':>9} {'step':<9} {'s':>7} {'images/s':>9} {'peak anonymous MiB':>19}")
        for count in GROWTH:
            write_tiny(root / str(count), count)
            arguments = [sys.executable, __file__, "--grow", str(root / str(count)), str(root / f"cache-{count}")]
            said = subprocess.run(arguments, check=True, capture_output=True, text=True, env={**os.environ})
            facts = json.loads(said.stdout)
            print(f"{count:>9,} {'(start)':<9} {'':>7} {'':>9} {facts['start']:>19,.0f}")
            for step in ("read", "inspect", "fill", "compare"):
                took = facts[f"{step} s"]
                row = f"{took:>7.1f} {count / took:>9,.0f} {facts[f'{step} MiB']:>19,.0f}"
                print(f"{count:>9,} {step:<9} {row}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--grow"]:
        grow(Path(sys.argv[2]), Path(sys.argv[3]))
    elif len(sys.argv) <= 2:
        main(Path(sys.argv[1]) if sys.argv[1:] else None)
    else:
        sys.exit(__doc__)
