"""How far a prediction is, on stderr: one line that is written over on a terminal, a line now and then elsewhere.

It is written without rich, which takes longer to import than many predictions last.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time

from sightline.events import ImagesPredicted
from sightline.text import between, share

__all__ = ["RateLine", "rate_words"]

_FIRST = 2.0  # seconds after which there is a line at all
_LIVE_SECONDS, _LOG_SECONDS = 0.25, 20.0


def rate_words(event: ImagesPredicted) -> str:
    """Return how far a prediction is, how fast, and how long the rest takes.

    Example:
        >>> rate_words(ImagesPredicted(300, 4000, 92.5, 1))
        '300 of 4,000 images (8 %), 92 images/s, about 40 s left, 1 could not be read'
    """
    words = f"{event.done:,} images"
    if event.total is not None and event.total >= event.done:
        words = f"{event.done:,} of {event.total:,} images ({share(event.done / max(1, event.total), 0)})"
    words += f", {event.rate:,.{1 if event.rate < 10 else 0}f} images/s"
    if event.total is not None and event.rate > 0 and event.total > event.done:
        left = (event.total - event.done) / event.rate
        words += f", {between(left, left)} left"
    return words + (f", {event.bad:,} could not be read" if event.bad else "")


class RateLine:
    """Shows events of a prediction; closed after it.

    Args:
        quiet: show nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._is_live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
        self._is_quiet = quiet
        self._due = time.monotonic() + _FIRST
        self._is_shown = False

    def show(self, event: ImagesPredicted) -> None:
        """Show one event, if it is time; a terminal that is gone ends nothing."""
        if self._is_quiet or time.monotonic() < self._due:
            return
        self._due = time.monotonic() + (_LIVE_SECONDS if self._is_live else _LOG_SECONDS)
        start, end = ("\r\x1b[K", "") if self._is_live else ("", "\n")
        self._write(f"{start}predicting: {rate_words(event)}{end}")
        self._is_shown = self._is_live

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self.close()
        self._write(f"{text}\n")

    def close(self) -> None:
        """Take the live line away."""
        if self._is_shown:
            self._write("\r\x1b[K")
            self._is_shown = False

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()
