"""Decoding every image once, into the store that training and evaluation read."""

from __future__ import annotations

import time
from collections.abc import Generator

from sightline.caches import cache_folder, cache_limit
from sightline.data.samples import Samples
from sightline.events import Event, StageEnded, StageStarted, Warned
from sightline.pixels.cache import Known, PixelStore, open_store
from sightline.planning.plan import Plan
from sightline.reading.progress import counted

__all__ = ["decode_images"]


def decode_images(samples: Samples, plan: Plan) -> Generator[Event, None, tuple[Samples, PixelStore]]:
    """Return (samples with what can't be read, the store of their images)."""
    yield StageStarted("Decoding", f"{len(samples):,} images, once")
    start = time.monotonic()
    folder = cache_folder() / "pixels"
    known = Known(samples.errors, samples.widths, samples.heights)
    threads, limit = plan.settings.threads, cache_limit()
    filling = open_store(
        samples.files, list(samples.digests), plan.preprocess, folder, threads=threads, limit=limit, known=known
    )
    store = yield from counted(filling, len(samples))
    if store.fallback:
        yield _describe_fallback(store)
    took = max(1e-9, time.monotonic() - start)
    speed = "from the cache" if store.was_cached else f"{(len(samples) - store.streamed) / took:,.0f} images/s"
    yield StageEnded("Decoding", f"{store.streamed:,} images in every epoch" if store.streamed else speed, took)
    return samples.with_errors(store.errors), store


def _describe_fallback(store: PixelStore) -> Warned:
    """Say why images are not cached, what that means, and what to do."""
    means = f"{store.streamed:,} are decoded again in every epoch" if store.streamed else "they stay in memory"
    if store.is_too_large:
        cure = "allow more with SIGHTLINE_CACHE_LIMIT, for example 40G, or set SIGHTLINE_CACHE to a folder with space"
        return Warned("cache.too-large", f"decoded images are not kept: {store.fallback}; {means}", cure)
    cure = "set SIGHTLINE_CACHE to a folder that can be written and has space"
    return Warned("cache.unwritable", f"decoded images can't be kept: {store.fallback}; {means}", cure)
