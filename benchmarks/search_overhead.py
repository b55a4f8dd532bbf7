"""What a search costs beside training: the share of its time in which nothing learns. Prints one table.

    python benchmarks/search_overhead.py [--heads 200] [--networks 3] [--seconds 10]

Two searches in this process: heads without torch, whose features are known, with trials of some hundredths or tenths of
a second; and a small network from scratch, with as many epochs as take ``--seconds``. Counted from the first trial to
the last, so that reading, planning and the end are left out. "training" is the time in the step that learns, which
includes writing its files.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sightline.events import StageEnded, TrialEnded
from sightline.pipeline.engine import ENGINES
from sightline.pipeline.job import Job
from sightline.planning.recipe import Recipe
from sightline.tuning.job import SearchJob
from sightline.tuning.search import Searching, search_job
from sightline.tuning.study import Study
from sightline.tuning.trial import Bench

SPENT: dict[str, float] = defaultdict(float)
INSIDE: list[str] = []
HEADS = {"head_strength": {"low": 1e-4, "high": 10.0, "log": True}, "imbalance": ["none", "class_weights"]}
PARTS = ("training", "plans", "images", "asking", "telling", "tables")


def timed(kind: Any, name: str, part: str) -> None:
    """Count the time of a method, or of a generator that it returns; of a part inside a part, once."""
    real: Callable[..., Any] = getattr(kind, name)

    def counted(*arguments: Any, **more: Any) -> Any:
        with Clock(part):
            found = real(*arguments, **more)
        return stepped(found, part) if isinstance(found, Generator) else found

    setattr(kind, name, counted)


class Clock:
    """Adds the time of a ``with`` block to a part, unless a part around it counts it already."""

    def __init__(self, part: str) -> None:
        self.part = part

    def __enter__(self) -> None:
        self.start = time.perf_counter()
        INSIDE.append(self.part)

    def __exit__(self, *_: object) -> None:
        INSIDE.pop()
        if not INSIDE:
            SPENT[self.part] += time.perf_counter() - self.start


def stepped(generator: Generator[Any, None, Any], part: str) -> Generator[Any, None, Any]:
    """Count the time inside a generator."""
    while True:
        with Clock(part):
            try:
                event = next(generator)
            except StopIteration as stop:
                return stop.value
        yield event


def draw_images(folder: Path, count: int, side: int) -> Path:
    """Write two classes of patterns."""
    draw = np.random.default_rng(0)
    for step, name in ((4, "bars"), (7, "stripes")):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = draw.normal(128, 60, (side, side, 3))
            pixels[::step] += 40
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(folder / name / f"{number:05d}.png")
    return folder


def search(data: Path, out: Path, trials: int, space: Any, **settings: Any) -> tuple[float, list[float]]:
    """Search; returns the seconds from the first trial's end to the last one's, and what the trials took."""
    job = Job(data, options=Recipe(versions="off", **settings), out=out, name="search")
    seconds: list[float] = []
    first = last = 0.0
    events = search_job(SearchJob(job, trials + 1, space))
    for event in events:
        if isinstance(event, TrialEnded):
            last = time.perf_counter()
            if not first:  # the plain recipe, which computes the features
                first = last
                SPENT.clear()
            else:
                seconds.append(event.seconds)
        if isinstance(event, StageEnded) and event.name == "Searching":
            break
    events.close()
    return last - first, seconds


def show(name: str, wall: float, seconds: list[float]) -> None:
    """Print a row."""
    rest = wall - sum(SPENT[part] for part in PARTS)
    shares = "".join(f"{100 * SPENT[part] / wall:9.1f} %" for part in PARTS) + f"{100 * rest / wall:9.1f} %"
    beside = 100 * (1 - SPENT["training"] / wall)
    print(f"{name:16s}{len(seconds):7d}{np.median(seconds):10.3f} s{beside:13.1f} %{shares}", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--heads", type=int, default=200, help="trials with heads")
    parser.add_argument("--networks", type=int, default=3, help="trials with a network; 0: none")
    parser.add_argument("--seconds", type=float, default=10.0, help="of a trial with a network")
    given = parser.parse_args()
    timed(ENGINES["onnxruntime"], "fit", "training")
    timed(ENGINES["torch"], "fit", "training")
    timed(Bench, "decide", "plans")
    timed(Bench, "set_up", "images")
    for method, part in (("ask", "asking"), ("tell", "telling"), ("report", "telling"), ("outcomes", "asking")):
        timed(Study, method, part)
    timed(Searching, "write", "tables")
    print(
        f"{'':16s}{'trials':>7s}{'a trial':>12s}{'not training':>15s}" + "".join(f"{p:>11s}" for p in (*PARTS, "rest"))
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        os.environ |= {"SIGHTLINE_CACHE": str(folder / "cache"), "SIGHTLINE_STATE": str(folder / "state")}
        data = draw_images(folder / "data", 120, 48)
        some = given.heads // 4
        show("heads, first", *search(data, folder / "few", some, HEADS, engine="onnxruntime", size=64))
        show("heads", *search(data, folder / "heads", given.heads, HEADS, engine="onnxruntime", size=64))
        if given.networks:
            small = {"model": "small-cnn", "size": 32}
            _, (one, *_) = search(data, folder / "one", 1, {"learning_rate": [0.01, 0.001]}, epochs=4, **small)
            epochs = max(4, round(4 * given.seconds / max(one, 0.1)))
            space = {"learning_rate": {"low": 1e-4, "high": 1e-2, "log": True}}
            show("networks", *search(data, folder / "networks", given.networks, space, epochs=epochs, **small))


if __name__ == "__main__":
    main()
