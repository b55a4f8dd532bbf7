"""What the tests of training share: settings, and images in memory."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sightline.networks.describe import describe_network
from sightline.pixels.cache import PixelStore
from sightline.pixels.preprocess import Preprocess
from sightline.planning.facts import DataFacts, Hardware
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.planning.settings import Settings
from sightline.training.batches import Batches


@pytest.fixture
def plan_settings() -> Callable[..., Settings]:
    """Return a function that makes the settings of a small plan, with some of them chosen."""

    def make(**chosen: object) -> Settings:
        data = DataFacts(("ant", "bee"), {"train": 64, "val": 16, "test": 16}, 16, 1.0)
        options = Recipe(**{"model": "small-resnet", "size": 16, "epochs": 3, "batch_size": 16, **chosen})
        hardware = Hardware("cpu", "x", 1, "x")
        return make_plan(Recipe(), options, data, hardware, describe_network("small-resnet")).settings

    return make


@pytest.fixture
def make_batches() -> Callable[..., Batches]:
    """Return a function that makes batches of noise whose class is its brightness."""

    def make(count: int, *, seed: int = 0, side: tuple[int, int] = (16, 16), preprocess: Preprocess | None = None):
        random = np.random.default_rng(seed)
        labels = np.arange(count) % 2
        images = [random.integers(0, 128, (*side, 3), dtype=np.uint8) + np.uint8(100 * label) for label in labels]
        size = side[0] * side[1] * 3
        index = np.array([[k * size, *side] for k in range(count)])
        store = PixelStore(np.concatenate([p.ravel() for p in images]), index, {})
        rules = preprocess or Preprocess(size=16, resize=16)
        return Batches(store, np.arange(count), labels.astype(np.int64), rules, torch.device("cpu"))

    return make


@pytest.fixture
def noise() -> Callable[..., torch.Tensor]:
    """Return a function that makes ``[N, 3, H, W]`` noise from 0 to 1, the same for the same shape."""

    def make(count: int = 4, side: int = 16, width: int | None = None) -> torch.Tensor:
        generator = torch.Generator().manual_seed(0)
        return torch.rand(count, 3, side, side if width is None else width, generator=generator)

    return make


@pytest.fixture
def plain_settings(plan_settings) -> Callable[..., Settings]:
    """Return a function that makes settings in which nothing is changed by chance but what is chosen."""
    names = ("flip", "translate", "zoom", "brightness", "contrast", "saturation")
    return lambda **chosen: plan_settings(**{**dict.fromkeys(names, 0.0), **chosen})
