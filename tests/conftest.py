"""Fixtures for every room: images made on the spot, a cache folder of the test's own, tables of samples."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

from sightline import machine
from sightline.data.samples import Samples
from unrendered import leave_figures_unrendered

# No deadline: a shared machine is slow at times. Derandomised: a test is green or red, not sometimes.
settings.register_profile(
    "sightline",
    deadline=None,
    derandomize=True,
    max_examples=50,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
settings.load_profile("sightline")

RUNS, MORE_RUNS = machine._RUNS, machine._MORE_RUNS
COLOURS = {"blue": (20, 40, 220), "green": (30, 200, 40), "red": (220, 30, 20)}


@pytest.fixture(autouse=True, scope="session")
def no_wait_for_the_disk() -> Iterator[None]:
    """Let ``os.fsync`` return at once: a power failure can't be tested, and a small training asks a hundred times.

    Commands in processes of their own wait for it as ever.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: os.fstat(descriptor) and None)
        yield


@pytest.fixture(autouse=True, scope="session")
def timed_once() -> Iterator[None]:
    """What a training costs is timed once, not three to seven times: that is a tenth of a small training.

    Commands in processes of their own do it as ever, and so do tests of the timing, with ``timed_as_ever``.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(machine, "_RUNS", 1)
        patch.setattr(machine, "_MORE_RUNS", 1)
        yield


@pytest.fixture
def timed_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training costs is timed as users' commands do it."""
    monkeypatch.setattr(machine, "_RUNS", RUNS)
    monkeypatch.setattr(machine, "_MORE_RUNS", MORE_RUNS)


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder of the test's own; the user's is never touched."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("SIGHTLINE_CACHE", str(folder))
    monkeypatch.setenv("SIGHTLINE_STATE", str(folder / "state"))
    return folder


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """Return a function that writes a small noisy image of a colour; the same seed gives the same file."""

    def write(path: Path, colour: Sequence[int] = (120, 120, 120), *, seed: int = 0, size: Sequence[int] = (12, 10)):
        noise = np.random.default_rng(seed).integers(-20, 20, (size[1], size[0], 3))
        pixels = (np.array(colour) + noise).clip(0, 255).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        return path

    return write


@pytest.fixture
def photos(tmp_path: Path, write_image: Callable[..., Path]) -> Path:
    """Class folders ``blue``, ``green`` and ``red`` of three images each, PNG and JPEG, all different."""
    root = tmp_path / "photos"
    for number, (name, colour) in enumerate(COLOURS.items()):
        for k in range(3):
            write_image(root / name / f"{k}.{'jpg' if k == 2 else 'png'}", colour, seed=10 * number + k)
    return root


@pytest.fixture
def table() -> Callable[..., Samples]:
    """Return a function that makes :class:`Samples` of labels alone; no file is there."""

    def make(
        labels: Sequence[int],
        *,
        digests: Sequence[str] | None = None,
        given: Sequence[str] = (),
        groups: Sequence[str] = (),
        paths: Sequence[str] | None = None,
        classes: Sequence[str] = (),
        errors: dict[int, str] | None = None,
        skipped: Sequence[tuple[str, str]] = (),
    ) -> Samples:
        names = [f"{i:05d}.png" for i in range(len(labels))] if paths is None else list(paths)
        contents = [hashlib.sha256(name.encode()).hexdigest() for name in names] if digests is None else list(digests)
        return Samples(
            root=Path("somewhere"),
            source="somewhere",
            classes=tuple(classes) or tuple(f"class{k:03d}" for k in range(max(labels) + 1)),
            paths=np.array(names, object),
            labels=np.array(labels, np.int64),
            given=np.array(given, object),
            groups=np.array(groups, object),
            digests=np.array(contents, object),
            errors=errors or {},
            skipped=tuple(skipped),
        )

    return make


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are drawn and not rendered."""
    leave_figures_unrendered(monkeypatch)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no network."""
    from huggingface_hub import constants

    folder = tmp_path / "hub"
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.file_download.HF_HUB_CACHE", str(folder), raising=False)
    return folder


@pytest.fixture
def connect_hub(hub: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that lets the hub's library ask the hub at an address; its cache is empty."""
    from sightline.networks import published

    published._ANSWERS.clear()

    def connect(endpoint: str) -> None:
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
        template = f"{endpoint}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)

    return connect


@pytest.fixture
def cache_weights(hub: Path) -> Callable[[str, Path], Path]:
    """Return a function that puts a file into the cache as the weights of a network; returns its path there."""

    def put(name: str, file: Path) -> Path:
        repository = hub / f"models--timm--{name}"
        snapshot = repository / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (repository / "refs").mkdir()
        (repository / "refs" / "main").write_text("abc")
        (snapshot / "model.safetensors").write_bytes(file.read_bytes())
        return snapshot / "model.safetensors"

    return put
