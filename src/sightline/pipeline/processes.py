"""The processes that train beside this one: started here, one a device, or by torchrun on one machine or several.

This process, of rank 0, plans, decodes, writes, exports and measures. The others get the run's folder when it
is there, read plan, data and decoded images from it, train along, and end; they write nothing.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import InputError, TrainingError
from sightline.launch import is_launched
from sightline.planning.settings import Settings

if TYPE_CHECKING:
    from sightline.training.process_group import Group

__all__ = ["DONE", "FOLDER", "Processes", "ready_key"]

FOLDER, DONE = "sightline/folder", "sightline/done"  # keys of the store that all processes see
_NAMED = 5.0  # seconds in which a process whose connection is gone is found to have ended
_READY = 1_800.0  # seconds in which all must have read the data
_END = 5.0  # seconds for a process to end
_CURE = "give the same command with --resume to continue from the saved state"


def ready_key(rank: int) -> str:
    """Return the key that a process sets in the store when it has read its data."""
    return f"sightline/ready/{rank}"


class Processes:
    """The processes beside this one, until it is closed.

    Args:
        devices: how many processes, ``all`` for one a GPU, or empty for one, or for those that torchrun started.

    Raises:
        InputError: if that is not a number, or both are asked for.
    """

    def __init__(self, devices: str = "") -> None:
        if devices not in ("", "all") and not (devices.isdecimal() and int(devices) > 0):
            raise InputError("plan.devices", f"--devices is {devices!r}", "give a number from 1 on, or all")
        self._devices = devices
        self._workers: list[subprocess.Popen[bytes]] = []
        self._store: Any = None
        self._folder: Path | None = None
        self._group: Group | None = None
        self._size = 1
        self._port = 0
        if is_launched():
            if devices:
                message = "--devices is given, and the processes were started already"
                raise InputError("plan.devices", message, "leave it out under torchrun")
            from sightline.training.process_group import join_store, place_in_environment

            place = place_in_environment()
            assert place
            self._store = join_store(place)

    def count(self, device: str) -> int:
        """Return how many processes train.

        Raises:
            InputError: if there are not so many GPUs.
        """
        if is_launched():
            return int(os.environ["WORLD_SIZE"])
        if not self._devices or self._devices == "1":
            return 1
        from sightline.training.hardware import count_devices

        there = count_devices(device)
        if self._devices == "all":
            return there
        if device != "cpu" and int(self._devices) > there:
            message = f"--devices is {self._devices}, and there are {there} from {device} on"
            raise InputError("plan.devices", message, f"give --devices {there}, or all")
        return int(self._devices)

    def start(self, folder: Path, size: int) -> None:
        """Let the others begin to read a run's folder, which holds plan and data now."""
        self._folder, self._size = folder, size
        if size == 1:
            return
        if is_launched():
            self._store.set(FOLDER, str(folder.resolve()))
            return
        from sightline.training.process_group import host_store

        self._store, self._port = host_store()
        self._store.set(FOLDER, str(folder.resolve()))
        self._workers = [self._start_worker(rank) for rank in range(1, size)]

    def connect(self, settings: Settings) -> Group:
        """Return the group of all processes, once each of them is ready.

        Raises:
            TrainingError: if one of them ended, or is not ready in half an hour.
        """
        from sightline.training.process_group import Group, open_group, place_of

        if self._size == 1:
            return Group()
        missing, end = [ready_key(rank) for rank in range(1, self._size)], time.monotonic() + _READY
        while not self._store.check(missing):
            self.check()
            if time.monotonic() > end:
                raise TrainingError("training.rank-lost", "not all processes got ready to train", _CURE)
            time.sleep(0.05)
        self._group = open_group(place_of(0, self._size), self._store, settings.device)
        return self._group

    def check(self) -> None:
        """Raise ``TrainingError`` if a process ended that should not have."""
        for rank, worker in enumerate(self._workers, 1):
            code = worker.poll()
            if code:
                how = f"exited with code {code}" if code > 0 else f"was ended by {signal.Signals(-code).name}"
                memory = " (unless you stopped it, the machine probably ran out of memory)" if code == -9 else ""
                message = f"process {rank} of {self._size} {how}{memory}, and the others were stopped"
                raise TrainingError("training.rank-lost", message, _CURE)

    def explain(self, error: TrainingError) -> None:
        """Raise the first cause of an error about a lost process, if it is known here."""
        end = time.monotonic() + _NAMED
        while error.code == "training.rank-lost" and self._workers and time.monotonic() < end:
            self.check()
            time.sleep(0.05)

    def end(self) -> None:
        """End what trained together; the rest is for this process alone."""
        if self._group is not None:
            self._group.close()
        for worker in self._workers:
            assert worker.stdin
            worker.stdin.close()
        for worker in self._workers:
            try:
                worker.wait(_END)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
        self._group, self._workers = None, []

    def close(self) -> None:
        """End what was started, and let those of torchrun end."""
        self.end()
        if is_launched() and self._store is not None:
            if self._folder is None:
                self._store.set(FOLDER, "")
            self._store.set(DONE, "1")

    def _start_worker(self, rank: int) -> subprocess.Popen[bytes]:
        """Start a process of this machine; it ends when its standard input does, and so when this process does."""
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": self._size, "LOCAL_WORLD_SIZE": self._size}
        found = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": self._port, "TORCHELASTIC_USE_AGENT_STORE": True}
        environment = {name: str(value) for name, value in {**place, **found}.items()}
        command = [sys.executable, "-m", "sightline.pipeline.worker"]
        # A session of its own: Ctrl-C in the terminal goes to this process alone, which tells the others.
        return subprocess.Popen(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
