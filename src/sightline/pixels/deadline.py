"""A time limit for decoding one file, kept by interrupting the thread that decodes.

Counted is the processor's time of that thread, so a busy machine or a process that was stopped for a while refuses
nothing. An interruption is felt between two steps of Python; what Pillow's decoders written in C can be made to do
is limited by pixels, scans and strips before they start.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from sightline.errors import InputError, UnreadableImage

__all__ = ["MAX_SECONDS", "Team", "refuse_stopped", "time_limit"]

# The largest accepted images take 2 to 4 on a fast processor. SIGHTLINE_MAX_SECONDS overrules it.
MAX_SECONDS = 60
_LOOK_SECONDS = 0.25
_STOPPED = "stopped before it was decoded"


class _Interrupted(BaseException):
    """Raised in a thread that decodes; no decoder's own handler catches it."""


@dataclass(slots=True)
class _Work:
    limit: float
    started: float | None = None  # the thread's time when it was first looked at
    reason: str = ""  # why it was interrupted


class _Watch:
    """Who decodes, and a thread that looks at them from time to time while there is anyone."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.works: dict[int, _Work] = {}
        self.is_awake = False

    def enter(self, thread: int) -> _Work | None:
        """Begin to watch a thread; None where it is watched already."""
        if thread in self.works:  # only it itself enters and leaves
            return None
        work = _Work(_limit())
        with self.lock:
            self.works[thread] = work
            if not self.is_awake:
                self.is_awake = True
                threading.Thread(target=self._look, name="deadline", daemon=True).start()
        return work

    def leave(self, thread: int) -> None:
        """Watch a thread no more; an interruption that it has not felt yet is taken back."""
        with self.lock:
            work = self.works.pop(thread, None)
            if work is not None and work.reason:
                _raise_in(thread, None)

    def interrupt(self, thread: int, reason: str) -> None:
        """Interrupt a thread if it decodes."""
        with self.lock:
            work = self.works.get(thread)
            if work is not None and not work.reason:
                work.reason = reason
                _raise_in(thread, _Interrupted)

    def _look(self) -> None:
        while True:
            time.sleep(_LOOK_SECONDS)
            with self.lock:
                if not self.works:
                    self.is_awake = False
                    return
                for thread, work in self.works.items():
                    used = _used_time(thread)
                    if work.started is None:
                        work.started = used
                    elif used - work.started > work.limit:
                        how = "SIGHTLINE_MAX_SECONDS sets the limit"
                        self.interrupt(thread, f"decoding it takes more than {work.limit:g} seconds ({how})")


_watch = _Watch()
_own = threading.local()


class Team:
    """Threads that decode for one purpose, and are stopped together when it is given up.

    Example:
        >>> team = Team()
        >>> team.join()
        >>> team.stop()
    """

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self.is_stopped = False

    def join(self) -> None:
        """Make the thread that calls this a member, until it ends or joins another team."""
        self.threads.add(threading.get_ident())
        _own.team = self

    def stop(self) -> None:
        """Interrupt what the members decode, and let them decode no more: their files become unreadable."""
        self.is_stopped = True
        for thread in self.threads:
            _watch.interrupt(thread, _STOPPED)


def _forget() -> None:
    global _watch
    _watch = _Watch()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)  # a child has none of its parent's threads


@contextmanager
def time_limit(label: str) -> Iterator[None]:
    """Limit the time of what is decoded inside, in this thread.

    Raises:
        UnreadableImage: if it takes longer, or the thread's team was stopped.
        InputError: if SIGHTLINE_MAX_SECONDS is not a number.

    Example:
        >>> with time_limit("photo.jpg"):
        ...     pass
    """
    watch, thread = _watch, threading.get_ident()
    refuse_stopped(label)
    work = watch.enter(thread)
    if work is None:
        yield
        return
    try:
        try:
            yield
        finally:
            watch.leave(thread)
    except _Interrupted:  # felt inside, or while leaving
        watch.leave(thread)
    if work.reason:
        raise UnreadableImage(label, work.reason)


def refuse_stopped(label: str) -> None:
    """Raise ``UnreadableImage`` in a thread whose team was stopped, before a file is read."""
    team: Team | None = getattr(_own, "team", None)
    if team is not None and team.is_stopped:
        raise UnreadableImage(label, _STOPPED)


def _limit() -> float:
    text = os.environ.get("SIGHTLINE_MAX_SECONDS", "")
    if not text.strip():
        return MAX_SECONDS
    try:
        limit = float(text)
        if not limit > 0:
            raise ValueError
    except ValueError:
        raise InputError(
            "image.max-seconds",
            f"SIGHTLINE_MAX_SECONDS: {text!r} is not a valid number of seconds",
            f"set it to a number above 0, or unset it for {MAX_SECONDS}",
        ) from None
    return limit


def _used_time(thread: int) -> float:
    """Return the processor's time of a living thread; where the system doesn't say, the time of the clock."""
    if hasattr(time, "pthread_getcpuclockid"):
        try:
            return time.clock_gettime(time.pthread_getcpuclockid(thread))
        except OSError:
            pass
    return time.monotonic()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    import ctypes

    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), error and ctypes.py_object(error))
