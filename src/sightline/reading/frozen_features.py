"""Features of images by a frozen network: from the cache, or computed by onnxruntime and kept there."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.caches import cache_folder, cache_limit
from sightline.data.feature_cache import FeatureCache
from sightline.data.samples import Samples
from sightline.events import Progressed
from sightline.pixels.cache import PixelStore, pixel_rules
from sightline.pixels.limits import squares_at_once
from sightline.pixels.preprocess import Preprocess
from sightline.runtime.onnx_session import INPUT, open_session

if TYPE_CHECKING:
    from sightline.networks.frozen import FrozenNetwork

__all__ = ["extract_frozen"]

_SHARE = 0.1  # of the limit of all caches: some 400,000 images with 1,280 features in 2 of 20 GiB
_KEPT_EVERY = 256  # images: what is lost at most where the process is killed

Features = npt.NDArray[np.float32]


def extract_frozen(
    network: FrozenNetwork,
    samples: Samples,
    store: PixelStore,
    preprocess: Preprocess,
    rows: npt.NDArray[np.intp],
    *,
    threads: int = 0,
    total: int = 0,
    done: int = 0,
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
        total, done: progress is counted from ``done`` to ``total``.
        until: by ``time.monotonic()``, when to stop, with the features of the first images; at least one batch.
    """
    rules = {"body": hashlib.sha256(network.body).hexdigest(), **pixel_rules(preprocess)}
    limit = round(_SHARE * cache_limit())
    digests = samples.digests[rows].tolist()
    with FeatureCache(cache_folder() / "features", json.dumps(rules, sort_keys=True), limit) as cache:
        found = cache.get(digests)
        missing = np.array([place for place, row in enumerate(found) if row is None], np.intp)
        done += len(rows) - len(missing)
        yield Progressed(done, total, "images")
        computed: list[int] = []
        try:
            for places, features in _compute(network, store, preprocess, rows, missing, threads):
                for place, row in zip(places, features, strict=True):
                    found[place] = row
                    computed.append(int(place))
                if len(computed) >= _KEPT_EVERY:
                    _keep(cache, digests, found, computed)
                done += len(places)
                yield Progressed(done, total, "images")
                if time.monotonic() > until:
                    break
        finally:
            _keep(cache, digests, found, computed)
    first = next((place for place, row in enumerate(found) if row is None), len(found))
    known = [row for row in found[:first] if row is not None]
    return np.stack(known) if known else np.zeros((0, network.feature_size), np.float32)


def _compute(
    network: FrozenNetwork,
    store: PixelStore,
    preprocess: Preprocess,
    rows: npt.NDArray[np.intp],
    missing: npt.NDArray[np.intp],
    threads: int,
) -> Iterator[tuple[npt.NDArray[np.intp], Features]]:
    """Yield (places in ``rows``, their features), some at a time."""
    if not len(missing):
        return
    session = open_session(network.body, threads=threads)
    size = squares_at_once(preprocess.size)
    parts = [missing[start : start + size] for start in range(0, len(missing), size)]
    for places, images in zip(parts, store.fetch([rows[places] for places in parts]), strict=True):
        squares = np.stack([preprocess.finish(image) for image in images])
        yield places, session.run(["features"], {INPUT: squares})[0]


def _keep(cache: FeatureCache, digests: list[str], found: list[Features | None], computed: list[int]) -> None:
    """Put the computed features into the cache, and forget which they were."""
    rows = [row for place in computed if (row := found[place]) is not None]
    if rows:
        cache.put([digests[place] for place in computed], np.stack(rows))
    computed.clear()
