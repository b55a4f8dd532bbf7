"""A hub cache of the test's own: timm's true loader, without a connection."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest


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
