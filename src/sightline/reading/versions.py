"""The search for versions of one original among the images of a set, with events and within bounds that it tells."""

from __future__ import annotations

import hashlib
import math
import shlex
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import numpy.typing as npt
from PIL import Image

from sightline.caches import cache_folder
from sightline.data.facts_cache import FactsCache
from sightline.data.feature_cache import cached_features
from sightline.data.overlay import LEAST_SIDE
from sightline.data.samples import Samples
from sightline.data.versions import (
    confirm_versions,
    matchable,
    propose_versions,
    sample_rows,
    screen_versions,
)
from sightline.errors import InputError, UnreadableImage
from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.machine import usable_threads
from sightline.pixels.containers import Place
from sightline.pixels.decode import decode_image
from sightline.pixels.limits import squares_at_once
from sightline.pixels.modes import Range
from sightline.pixels.stream import run_ahead
from sightline.reading.progress import compared
from sightline.reading.time_limit import until
from sightline.runtime.onnx_session import INPUT, open_session
from sightline.text import count_of, duration

__all__ = ["find_versions"]

Rows = npt.NDArray[np.intp]
Features = npt.NDArray[np.float32]

_SIDE = 96  # of the network's input: neighbours at 224 px are hardly better, and cost five times as much
_LOOKED_AT, _ALL = 2_000, 20_000  # images that are looked at first, and that are searched in full
_LOOKED_AT_A_SECOND, _ALL_A_SECOND = 5, 1.25  # of a time limit: about a twentieth of it, on one slow core
_COMMON, _COMMON_SHARE = 10, 0.01  # versions among the likeliest pairs from which on all images are searched
_METHOD = 4  # raise it when the result changes


@dataclass(frozen=True, slots=True)
class _Found:
    """The pairs that were found, as positions, and among how many images.

    ``is_whole``: all were searched; ``is_cut``: they ought to be; ``is_unclear``: what agrees need not be
    versions; ``is_late``: there was no time for more.
    """

    pairs: Rows
    looked_at: int
    is_whole: bool
    is_cut: bool
    is_unclear: bool
    is_late: bool = False


def find_versions(
    samples: Samples,
    wanted: str = "auto",
    *,
    value_range: Range | None = None,
    limit: float = 0,
    ends: float = math.inf,
    options: str = "",
) -> Generator[Event, None, Samples]:
    """Return samples with ``versions`` filled.

    Features of the network that comes with Sightline propose neighbours. The likeliest pairs of up to 2,000 images are
    compared first; where several are versions, all images are searched, up to 20,000.

    Args:
        samples: inspected and compared.
        wanted: ``auto``; ``all``: all pairs of all images; ``off``: nothing.
        value_range: (low, high) of 16-bit, 32-bit and float images.
        limit: seconds that a training may take, which bounds what ``auto`` does; 0: no limit.
        ends: by ``time.monotonic()``, when ``auto`` gives up what it has not found; then nothing is kept.
        options: of reading the images, as they are typed.

    Raises:
        InputError: if ``all``, which is an order, takes longer.
    """
    rows = matchable(samples)
    if wanted == "off" or len(rows) < 2:
        if wanted != "off" and len(samples) > 1:
            yield Noted(f"Versions of one original are not searched: {_why_none(samples)}.")
        return samples
    yield StageStarted("Searching", "for versions of one original: turned, shifted, zoomed, mirrored, recoloured")
    start = time.monotonic()
    first, most = _bounds(wanted, len(rows), limit)
    with FactsCache(cache_folder(), f"versions {_METHOD} {value_range}") as cache:
        names = [samples.classes[label] for label in samples.labels[rows]]
        table = [*samples.digests[rows], *names]
        bounds = dict.fromkeys((_bounds(wanted, len(rows), 0), (first, most)))  # without a limit more is searched
        found = next(filter(None, (_get(cache, table, wanted, *each) for each in bounds)), None)
        if found is None:
            found = yield from _search(samples, rows, wanted, first, most, value_range, ends)
            if found.is_late and wanted == "all":
                raise _too_short(samples, limit, options)
            if not found.is_late:
                flags = found.is_whole + 2 * found.is_cut + 4 * found.is_unclear
                known = np.concatenate([[[found.looked_at, flags]], found.pairs])
                cache.put_pairs([*table, f"{wanted} {first} {most}"], known)
    samples = replace(samples, versions=rows[found.pairs])
    yield StageEnded("Searching", _in_words(found, len(rows)), time.monotonic() - start)
    if found.is_cut:
        message = (
            f"{count_of(len(np.unique(found.pairs)), 'image')} are versions of one original among "
            f"{found.looked_at:,} of {len(rows):,} that were looked at; the others were not searched"
        )
        is_cut_by_time = found.is_late or (bool(limit) and len(rows) <= _ALL)
        yield Warned("data.versions-unsearched", message, _how_to_search(samples, options, is_cut_by_time))
    elif found.is_late:
        message = "versions of one original were not searched, to keep the time limit"
        yield Warned("data.versions-unsearched", message, _how_to_search(samples, options, True))
    return samples


def _how_to_search(samples: Samples, options: str, is_cut_by_time: bool) -> str:
    if is_cut_by_time:
        checking = f"sightline check {shlex.quote(samples.source)}{options}"
        return f"{checking} first: what it finds is kept, and costs no training time"
    return "add --versions all: it takes longer, and is kept"


def _too_short(samples: Samples, limit: float, options: str) -> InputError:
    message = f"--time {duration(limit)} is too short: --versions all leaves no time for training and its end"
    checking = f"sightline check {shlex.quote(samples.source)}{options}"
    return InputError("plan.time", message, f"{checking} first: what it finds is kept; or --versions auto")


def _get(cache: FactsCache, table: list[str], wanted: str, first: int, most: int) -> _Found | None:
    """Return what was found before within these bounds; None where nothing is kept."""
    known = cache.get_pairs([*table, f"{wanted} {first} {most}"])
    if known is None:
        return None
    return _Found(known[1:], int(known[0, 0]), *(bool(known[0, 1] & flag) for flag in (1, 2, 4)))


def _why_none(samples: Samples) -> str:
    """Return why no two images can be compared."""
    readable = samples.digests[samples.is_ok]
    if len(readable) < 2:
        return "fewer than two images can be read"
    if len(np.unique(readable.astype(str))) < 2:
        return "all images are copies of one"
    return f"images under {LEAST_SIDE} px can't be told apart"


def _bounds(wanted: str, count: int, limit: float) -> tuple[int, int]:
    """Return how many images are looked at first, and how many at most are searched in full."""
    if wanted == "all":
        return count, count
    if not limit:
        return min(count, _LOOKED_AT), _ALL
    return min(count, _LOOKED_AT, max(100, round(_LOOKED_AT_A_SECOND * limit))), min(_ALL, round(_ALL_A_SECOND * limit))


def _search(
    samples: Samples, rows: Rows, wanted: str, first: int, most: int, value_range: Range | None, ends: float
) -> Generator[Event, None, _Found]:
    """Return the pairs as positions in ``rows``: the likeliest of some, and where several are versions, of all."""
    found = yield from until(
        ends, _search_among(samples, rows, sample_rows(samples, rows, first), wanted == "all", value_range)
    )
    if found is None:
        return _Found(np.empty((0, 2), np.intp), 0, False, False, False, is_late=True)
    is_common = len(found.pairs) >= max(1, min(_COMMON, round(_COMMON_SHARE * found.looked_at)))
    if found.is_unclear or found.is_whole or not is_common:
        return found
    if len(rows) > most:
        return replace(found, is_cut=True)
    whole = yield from until(ends, _search_among(samples, rows, rows, True, value_range))
    return whole or replace(found, is_cut=True, is_late=True)


def _search_among(
    samples: Samples, rows: Rows, some: Rows, is_thorough: bool, value_range: Range | None
) -> Generator[Event, None, _Found]:
    """Return what is found among some of the rows: of all pairs, or of the likeliest."""
    place = np.zeros(len(samples), np.intp)
    place[rows] = np.arange(len(rows))
    read, pairs, ranks = yield from _propose(samples, some, value_range)
    chosen = np.ones(len(pairs), bool) if is_thorough else screen_versions(pairs, len(read))
    confirming = confirm_versions(samples, read, pairs[chosen], ranks[chosen], value_range=value_range)
    found = yield from compared(confirming)
    is_whole = is_thorough or (bool(chosen.all()) and len(read) == len(rows))
    if found is None:
        return _Found(np.empty((0, 2), np.intp), len(read), is_whole, False, True)
    return _Found(place[read[found]], len(read), is_whole, False, False)


def _propose(
    samples: Samples, rows: Rows, value_range: Range | None
) -> Generator[Event, None, tuple[Rows, Rows, Rows]]:
    """Return the rows that could be read again, pairs of positions in them, and the ranks of these."""
    from sightline.networks.frozen import carried_body

    body, size = carried_body(_SIDE)
    rules = {"versions": _METHOD, "body": hashlib.sha256(body).hexdigest(), "range": value_range}
    digests = samples.digests[rows].tolist()
    compute = partial(_compute, body, samples, rows, value_range)
    features = yield from cached_features(rules, size, digests, compute, total=len(rows))
    ok = np.array([row is not None and bool(np.isfinite(row).all()) for row in features], bool)
    known = [row for row, fine in zip(features, ok, strict=True) if row is not None and fine]
    if not known:
        return rows[:0], np.empty((0, 2), np.intp), rows[:0]
    return rows[ok], *propose_versions(samples, rows[ok], np.stack(known))


def _compute(
    body: bytes, samples: Samples, rows: Rows, value_range: Range | None, missing: Rows
) -> Iterator[tuple[Rows, Features]]:
    """Yield (places in ``rows``, features of these)."""
    session, size = open_session(body), squares_at_once(_SIDE)
    parts = [missing[start : start + size] for start in range(0, len(missing), size)]
    square = partial(_square, value_range=value_range)

    def decode(places: Rows) -> list[npt.NDArray[np.uint8] | None]:
        return [square(samples.file(int(rows[place]))) for place in places]

    for places, squares in zip(parts, run_ahead(decode, parts, usable_threads(), 4), strict=True):
        read = [image for image in squares if image is not None]
        kept = places[[image is not None for image in squares]]
        if read:
            yield kept, session.run(["features"], {INPUT: np.stack(read)})[0]


def _square(place: Place, value_range: Range | None) -> npt.NDArray[np.uint8] | None:
    """Return the whole image as a square; None where it can't be read any more."""
    try:
        pixels = decode_image(place, value_range=value_range, least_side=_SIDE)
    except UnreadableImage:
        return None
    return np.asarray(Image.fromarray(pixels).resize((_SIDE, _SIDE), Image.Resampling.BICUBIC, reducing_gap=2))


def _in_words(found: _Found, count: int) -> str:
    """Return what was found, and among how many images."""
    of = f"{found.looked_at:,} images" if found.looked_at == count else f"a sample of {found.looked_at:,} images"
    if found.is_unclear:
        return f"can't be told among {of}: most of them lie over each other (one form, one place, or one original)"
    if not found.looked_at and found.is_late:
        return "given up: there was no time for it"
    if not len(found.pairs):
        return f"none among {of}" if found.is_whole else f"none in the likeliest pairs of {of} (--versions all: of all)"
    images = len(np.unique(found.pairs))
    if found.is_whole:
        return f"{images:,} of {of} are versions of another"
    return f"{count_of(images, 'image')} in the likeliest pairs of {of} are versions of another"
