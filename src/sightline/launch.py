"""Processes that train beside others: whether this is one, and how one ends with the process that started it."""

from __future__ import annotations

import os
import threading

from sightline.errors import InputError

__all__ = ["end_with_parent", "is_follower", "is_launched", "refuse_launched"]


def is_launched() -> bool:
    """Whether torchrun, or another that sets ``RANK`` and ``WORLD_SIZE``, started this process as one of several."""
    return "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1


def is_follower() -> bool:
    """Whether it did so, and another process than this one decides."""
    return is_launched() and int(os.environ["RANK"]) > 0


def refuse_launched(what: str) -> None:
    """Raise ``InputError`` where several processes were started for what one does."""
    if is_launched():
        raise InputError("plan.devices", f"{what} is for a single process", "start it without torchrun")


def end_with_parent() -> None:
    """End this process at once when its standard input is closed, and so when the process is gone that started it.

    Whatever is being done then is given up; the system frees the locks of this process.
    """

    def wait() -> None:
        while os.read(0, 1):
            pass
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()
