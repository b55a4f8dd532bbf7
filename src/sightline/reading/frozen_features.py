"""Features of images: from the cache, or computed and kept there; those of a frozen network by onnxruntime."""

from __future__ import annotations

import hashlib
import json
import math
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

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

__all__ = ["cached_features", "extract_frozen"]

_SHARE = 0.1  # of the limit of all caches: some 400,000 images with 1,280 features in 2 of 20 GiB
_KEPT_EVERY = 256  # images: what is lost at most where the process is killed

Features = npt.NDArray[np.float32]
Computed = Iterator[tuple[npt.NDArray[np.intp], Features]]


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
    rules = {"body": hashlib.sha256(network.body).hexdigest(), **pixel_rules(preprocess)}

    def compute(missing: npt.NDArray[np.intp]) -> Computed:
        return _compute(network, store, preprocess, rows, missing, threads)

    digests = samples.digests[rows].tolist()
    done, total = progress
    found = yield from cached_features(
        rules, network.feature_size, digests, compute, total=total, done=done, until=until
    )
    first = next((place for place, row in enumerate(found) if row is None), len(found))
    known = [row for row in found[:first] if row is not None]
    return np.stack(known) if known else np.zeros((0, network.feature_size), np.float32)


def cached_features(
    rules: dict[str, Any],
    size: int,
    digests: Sequence[str],
    compute: Callable[[npt.NDArray[np.intp]], Computed],
    *,
    total: int = 0,
    done: int = 0,
    until: float = math.inf,
) -> Generator[Progressed, None, list[Features | None]]:
    """Return the features ``[D]`` of each image, from the cache, or computed and kept there; None where there are none.

    Args:
        rules: all that features depend on besides the image; JSON-able.
        size: D.
        digests: sha256 of the content of each image.
        compute: from positions of images to (positions, their features), some at a time.
        total, done: progress is counted from ``done`` to ``total``.
        until: by ``time.monotonic()``, when to stop; at least one part is computed.
    """
    limit = round(_SHARE * cache_limit())
    with FeatureCache(cache_folder() / "features", json.dumps(rules, sort_keys=True), size, limit) as cache:
        found = cache.get(digests)
        missing = np.array([place for place, row in enumerate(found) if row is None], np.intp)
        done += len(digests) - len(missing)
        yield Progressed(done, total, "images")
        waiting: list[int] = []
        try:
            for places, features in compute(missing) if len(missing) else ():
                for place, row in zip(places, features, strict=True):
                    found[place] = row
                    waiting.append(int(place))
                if len(waiting) >= _KEPT_EVERY:
                    _keep(cache, digests, found, waiting)
                done += len(places)
                yield Progressed(done, total, "images")
                if time.monotonic() > until:
                    break
        finally:
            _keep(cache, digests, found, waiting)
    return found


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


def _keep(cache: FeatureCache, digests: Sequence[str], found: list[Features | None], computed: list[int]) -> None:
    """Put the computed features into the cache, and forget which they were."""
    rows = [row for place in computed if (row := found[place]) is not None]
    if rows:
        cache.put([digests[place] for place in computed], np.stack(rows))
    computed.clear()
