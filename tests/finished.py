"""One small finished run for all tests that look at one: three colours, trained for real."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from sightline.runs.folder import Run
from sightline.runs.hashes import hash_files
from workers import make_once

COLOURS = {"blue": (40, 60, 200), "green": (40, 190, 60), "red": (200, 50, 40)}


def write_colours(root: Path, count: int, *, seed: int = 0, side: int = 16) -> Path:
    """Write class folders of noisy images of one colour each, as PNG; all different."""
    random = np.random.default_rng(seed)
    for name, colour in COLOURS.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            noise = random.integers(-40, 40, (side, side, 3))
            image = Image.fromarray((np.array(colour) + noise).clip(0, 255).astype(np.uint8))
            image.save(root / name / f"{number:03d}.png")
    return root


@pytest.fixture(scope="session")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Class folders of 40 images each; not to be changed."""
    return make_once(tmp_path_factory, "data", lambda folder: write_colours(folder / "colours", 40)) / "colours"


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, colours: Path) -> Iterator[Run]:
    """A run trained on ``colours`` for six epochs, at a rate that was looked for; not to be changed, which is seen."""
    import sightline

    def train(folder: Path) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SIGHTLINE_CACHE", str(tmp_path_factory.mktemp("cache")))
            patch.setenv("SIGHTLINE_STATE", str(tmp_path_factory.mktemp("state")))
            sightline.train(colours, out=folder, name="colours", epochs=6, seed=3, find_rate=True, quiet=True)

    run = Run(make_once(tmp_path_factory, "finished", train) / "colours")
    before = _files(run.folder)
    yield run
    changed = sorted(set(before.items()) ^ set(_files(run.folder).items()))
    assert not changed, f"a test changed the run that others use, instead of copied_run: {changed[:5]}"


def _files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def copied_run(finished_run: Run, tmp_path: Path) -> Run:
    """A copy of the finished run, to be changed at will."""
    return Run(shutil.copytree(finished_run.folder, tmp_path / "copied"))


def record_again(run: Run) -> None:
    """Let a run record its files as a test left them, as if it had ended so."""
    run.facts_file.write_text(json.dumps({**run.facts, "files": hash_files(run)}), encoding="utf-8")


@pytest.fixture(scope="session")
def tiny_model(finished_run: Run) -> Path:
    """The ``model.onnx`` of the finished run."""
    return finished_run.model_file
