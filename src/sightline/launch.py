"""Whether other processes train beside this one: a look at the environment, nothing else."""

from __future__ import annotations

import os

from sightline.errors import InputError

__all__ = ["is_follower", "is_launched", "refuse_launched"]


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
