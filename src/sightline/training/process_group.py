"""Processes that train one network together: their messages, and what happens when one is lost.

Each has the whole network and takes its part of the images of every step; gradients are added up, so that all make
the same update. The first one, of rank 0, decides by its clock, and is the only one that writes. Its decision goes to
the others as a message of three numbers, before gradients are added up: so every process knows at every step whether
another one wants to stop, has stopped or has failed.

Tensors on the CPU go through gloo, those on GPUs through NCCL.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor

from sightline.errors import SightlineError, StopRequested, TrainingError
from sightline.networks.network import Network

if TYPE_CHECKING:
    from torch.distributed import Store  # type: ignore[attr-defined]

__all__ = [
    "ALONE",
    "Group",
    "Place",
    "host_store",
    "join_store",
    "open_group",
    "own_device",
    "place_in_environment",
    "place_of",
]

# Of one exchange. A killed process is noticed at once, by its closed connections; this is for a process that hangs or
# a machine that is disconnected.
_TIMEOUT = timedelta(minutes=10)
_LONG = timedelta(days=2)  # the first process may plan, decode and fit a head while the others wait
_STOPPED, _FAILED = 1, 2
_NOTHING = -1
_LOST = "training.rank-lost"
_CURE = "give the same command with --resume to continue from the saved state"


class Place(NamedTuple):
    """The rank of this process and the number of processes, on all machines and on this one; ranks count from 0."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1


def place_in_environment() -> Place | None:
    """Return the place that torchrun gave to this process; None without torchrun, or for a single process."""
    if "RANK" not in os.environ or int(os.environ.get("WORLD_SIZE", "1")) < 2:
        return None
    rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    return Place(rank, size, local_rank, int(os.environ.get("LOCAL_WORLD_SIZE", size)))


def place_of(rank: int, size: int) -> Place:
    """Return the place that torchrun gave to this process, or one among ``size`` processes of this machine."""
    return place_in_environment() or Place(rank, size, rank, size)


def own_device(device: str, local_rank: int) -> str:
    """Return the device of a process, where the first process of its machine has ``device``.

    Example:
        >>> own_device("cpu", 1), own_device("cuda:0", 1)
        ('cpu', 'cuda:1')
    """
    kind, _, index = device.partition(":")
    return f"{kind}:{int(index or 0) + local_rank}" if kind == "cuda" else device


class Group:
    """The processes of one training, from the view of one of them. Without arguments: a single process.

    Args:
        place: of this process.
        store: that all are connected to.

    Attributes:
        rank: of this process; rank 0 decides and writes.
        size: number of processes.
        wanted: number of the signal that asked this process to stop; all stop before the next step.

    Example:
        >>> Group().part(10), Group().decide(7)
        (slice(0, 10, None), 7)
    """

    def __init__(self, place: Place = Place(), store: Any = None) -> None:
        self.rank, self.size = place.rank, place.size
        self.wanted = 0
        self._place = place
        self._store = store
        self._is_over = False
        self._threads = 0

    def part(self, count: int) -> slice:
        """Return the part of ``count`` items of this process: equal parts up to one item, the first ones larger.

        Example:
            >>> [Group(Place(rank, 3)).part(7) for rank in range(3)]
            [slice(0, 3, None), slice(3, 5, None), slice(5, 7, None)]
        """
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def begin(self) -> None:
        """Wait until the first process has its network ready for training."""
        if self.size > 1 and self.rank == 0:
            self._store.set("begun", "1")
        elif self.size > 1:
            self._store.wait(["begun"], _LONG)

    def prepare(self, network: Network) -> None:
        """Share the machine's threads; on GPUs, let batch norms use the whole step.

        timm's function for that handles timm's own norms, whose activation torch's would remove.
        """
        if self.size == 1:
            return
        self._threads = self._threads or torch.get_num_threads()  # a training that starts over prepares again
        torch.set_num_threads(max(1, self._threads // self._place.local_size))
        if network.head.weight.device.type == "cuda":
            from timm.layers import convert_sync_batchnorm

            convert_sync_batchnorm(network)

    # -- messages -------------------------------------------------------------------------------------------

    def decide(self, value: int) -> int:
        """Return the value of the first process, 0 or more; all can stop here.

        Raises:
            StopRequested: in all processes, if a signal asked one of them.
            TrainingError: if another process failed or is lost.
        """
        if self.size == 1:
            return value
        found, signal = self._exchange(value if self.rank == 0 else _NOTHING)
        if signal:
            self._is_over = True
            raise StopRequested(signal)
        return found

    def any(self, flag: bool) -> bool:
        """Whether the flag is set in any process."""
        return flag if self.size == 1 else bool(self._exchange(int(flag))[0])

    def sum_(self, tensors: Sequence[Tensor]) -> None:
        """Replace tensors, of one type and on one device, by their sums over all processes; call ``any`` before it."""
        if self.size == 1:
            return
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors])
        self._reduce(flat, dist.ReduceOp.SUM)
        sums = flat.split([tensor.numel() for tensor in tensors])
        for tensor, value in zip(tensors, sums, strict=True):
            tensor.copy_(value.view(tensor.shape))

    def share(self, content: bytes) -> bytes:
        """Return the bytes of the first process, at least one."""
        if self.size == 1:
            return content
        length = self.decide(len(content))
        data = torch.frombuffer(bytearray(content), dtype=torch.uint8) if self.rank == 0 else torch.zeros(length).byte()
        with self._named():
            dist.broadcast(data, 0)
        return data.numpy().tobytes()

    def leave(self, error: BaseException) -> None:
        """Tell the others why this process ends, unless they know already."""
        if self.size == 1 or self._is_over:
            return
        self._is_over = True
        if isinstance(error, StopRequested):
            self.wanted, why = error.signal, _STOPPED
        elif isinstance(error, Exception):
            self._store.compare_set("failure", "", json.dumps(self._described(error)))
            why = _FAILED
        else:
            return  # a second Ctrl-C does not wait for anyone
        with contextlib.suppress(SightlineError):
            self.begin()
            self._exchange(_NOTHING, why)

    def close(self) -> None:
        """Close connections and restore the number of threads."""
        if self.size > 1 and dist.is_initialized():
            self._is_over = True
            dist.destroy_process_group()
            if self._threads:
                torch.set_num_threads(self._threads)

    # -- how they are sent ----------------------------------------------------------------------------------

    def _exchange(self, value: int, why: int = 0) -> tuple[int, int]:
        """Exchange a message with all processes; returns (the largest value, the signal that asks for a stop)."""
        message = torch.tensor([why, self.wanted, value])
        self._reduce(message, dist.ReduceOp.MAX)
        others_why, signal, value = (int(number) for number in message)
        if others_why and not why:
            self._is_over = True
            if others_why == _STOPPED:
                raise StopRequested(signal)
            raise self._failure()
        return value, signal

    def _reduce(self, tensor: Tensor, how: Any) -> None:
        with self._named():
            dist.all_reduce(tensor, how)

    @contextlib.contextmanager
    def _named(self) -> Any:
        try:
            yield
        except RuntimeError as error:  # a closed connection, or a timeout
            self._is_over = True
            message = f"another of the {self.size} processes ended or does not answer: {_first_line(error)}"
            raise TrainingError(_LOST, message, _CURE) from error

    def _described(self, error: Exception) -> dict[str, str]:
        who = f"process {self.rank} of {self.size}"
        if isinstance(error, SightlineError):
            return {**error.to_dict(), "message": f"{error.message} ({who})"}
        return {"code": _LOST, "message": f"{who} failed: {type(error).__name__}: {error}", "cure": _CURE}

    def _failure(self) -> TrainingError:
        if self.rank:
            return TrainingError(_LOST, "another process failed; the first process reports why", _CURE)
        failure = json.loads(self._store.get("failure"))
        return TrainingError(failure["code"], failure["message"], failure["cure"])


ALONE = Group()


def host_store() -> tuple[Store, int]:
    """Return (a store for processes of this machine, its port)."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False, timeout=_TIMEOUT)  # type: ignore[attr-defined]
    return store, store.port


def join_store(place: Place) -> Store:
    """Return the store at ``MASTER_ADDR`` and ``MASTER_PORT`` for this launch of all processes.

    Raises:
        TrainingError: if it does not answer.
    """
    from torch.distributed.rendezvous import rendezvous

    try:
        store: Store = next(iter(rendezvous("env://", place.rank, place.size, timeout=_TIMEOUT)))[0]
    except (RuntimeError, ValueError) as error:
        message = f"the processes can't connect to each other: {_first_line(error)}"
        raise TrainingError(_LOST, message, "start them with torchrun, or with --devices") from error
    return store


def _first_line(error: Exception) -> str:
    """Return the first line of a torch error, without the position in its source."""
    first = (str(error).strip().splitlines() or ["no reason given"])[0]
    return re.sub(r"^\[\S+:\d+\] ", "", first)[:160]


def open_group(place: Place, store: Store, device: str) -> Group:
    """Return the group, once all processes have joined; ``device`` is that of this one.

    Raises:
        TrainingError: if one of them does not join in time.
    """
    backend = "gloo"
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    group = Group(place, store)
    with group._named():
        dist.init_process_group(backend, store=store, rank=place.rank, world_size=place.size, timeout=_TIMEOUT)
    return group
