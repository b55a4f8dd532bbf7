"""Features of images: from the cache, or computed and kept there; those of a frozen network by onnxruntime."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Generator
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.data.feature_cache import Computed, cached_features, count_cached
from sightline.data.samples import Samples
from sightline.events import Progressed
from sightline.pixels.cache import PixelStore, pixel_rules
from sightline.pixels.limits import squares_at_once
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.onnx_session import INPUT, open_session

if TYPE_CHECKING:
    from sightline.networks.frozen import FrozenNetwork

__all__ = ["count_extracted", "extract_frozen"]

Features = npt.NDArray[np.float32]


def extract_frozen(
    network: FrozenNetwork,
    samples: Samples,
    store: PixelStore,
    preprocess: Preprocess,
    rows: npt.NDArray[np.intp],
    *,
    threads: int = 0,
    progress: tuple[int, int] = (0, 0),
    until: float = math.inf,
) -> Generator[Progressed, None, Features]:
    """Return ``[N, D]`` features, bit for bit the same from the cache as computed now, in any order and batch.

    Args:
        network: its body is used.
        samples: inspected; the content of their files is the key of the cache.
        store: of their pixels.
        preprocess: how a stored image becomes a square.
        rows: positions of images that can be read.
        threads: of onnxruntime; 0: as many as this process may use.
        progress: images that are done already, and of how many.
        until: by ``time.monotonic()``, when to stop, with the features of the first images; at least one batch.
    """

    def compute(missing: npt.NDArray[np.intp]) -> Computed:
        return _compute(network, store, preprocess, rows, missing, threads)

    digests = samples.digests[rows].tolist()
    done, total = progress
    rules = _rules(network, preprocess)
    found = yield from cached_features(
        rules, network.feature_size, digests, compute, total=total, done=done, until=until
    )
    first = next((place for place, row in enumerate(found) if row is None), len(found))
    known = [row for row in found[:first] if row is not None]
    return np.stack(known) if known else np.zeros((0, network.feature_size), np.float32)


def count_extracted(
    network: FrozenNetwork, samples: Samples, preprocess: Preprocess, rows: npt.NDArray[np.intp]
) -> int:
    """Return of how many of these images the features are in the cache; arguments as for ``extract_frozen``."""
    return count_cached(_rules(network, preprocess), network.feature_size, samples.digests[rows].tolist())


def _rules(network: FrozenNetwork, preprocess: Preprocess) -> dict[str, Any]:
    return {"body": hashlib.sha256(network.body).hexdigest(), **pixel_rules(preprocess)}


def _compute(
    network: FrozenNetwork,
    store: PixelStore,
    preprocess: Preprocess,
    rows: npt.NDArray[np.intp],
    missing: npt.NDArray[np.intp],
    threads: int,
) -> Computed:
    """Yield (places in ``rows``, their features), some at a time."""
    session = open_session(network.body, threads=threads)
    size = squares_at_once(preprocess.size)
    parts = [missing[start : start + size] for start in range(0, len(missing), size)]
    for places, images in zip(parts, store.fetch([rows[places] for places in parts]), strict=True):
        squares = np.stack([preprocess.finish(image) for image in images])
        yield places, session.run(["features"], {INPUT: squares})[0]
