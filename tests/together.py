"""Trains one network in several processes, each started afresh, and brings back what each of them had at its end."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sightline.errors import SightlineError, StopRequested
from sightline.events import EpochEnded, Event, StepEnded
from sightline.networks.build import build_network
from sightline.planning.settings import Settings
from sightline.training.batches import Batches
from sightline.training.loop import train_network
from sightline.training.process_group import Place, host_store, join_store, open_group

WAIT = 60  # seconds: far more than any of them takes
# What the server has loaded, by names that it finds (it doesn't look for this file): all that a training would import,
# the compiler that torch's optimisers ask for included, which takes a process three seconds.
LOADED = ("sightline.networks.build", "sightline.training.loop", "torch._dynamo", "safetensors.torch")


@dataclass(frozen=True)
class Work:
    """A training, and what happens to a process of it after a step: ``kill``, ``stop`` or ``fail`` -> (rank, step)."""

    settings: Settings
    train: Batches
    val: Batches
    folder: Path
    resume: bool = False
    kill: tuple[int, int] = (-1, -1)
    stop: tuple[int, int] = (-1, -1)
    fail: tuple[int, int] = (-1, -1)


@dataclass
class Outcome:
    """What a process had at its end; ``error`` is what ended it, its code for our own."""

    weights: list[np.ndarray] = field(default_factory=list)
    epochs: list[EpochEnded] = field(default_factory=list)
    steps: list[StepEnded] = field(default_factory=list)
    parts: int = 0
    error: str = ""


def train_together(size: int, work: Work) -> list[Outcome | None]:
    """Return the outcome of each process by rank; None for one that was killed.

    They are forked from a server that has torch loaded, and never from the test's own process.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*LOADED])
    store, port = host_store()
    pipes, processes = [], []
    for rank in range(size):
        mine, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(Place(rank, size, rank, size), port, work, theirs), daemon=True)
        process.start()
        theirs.close()
        pipes.append(mine)
        processes.append(process)
    outcomes: list[Outcome | None] = [None] * size
    waiting = list(pipes)
    while waiting:  # any of them first: one that failed closes its connections to the others when it ends
        ready = wait(waiting, WAIT)
        assert ready, "a process does not end"
        for pipe in ready:
            waiting.remove(pipe)
            with contextlib.suppress(EOFError):
                outcomes[pipes.index(pipe)] = pipe.recv()
    for process in processes:
        process.join(WAIT)
        assert process.exitcode is not None, "a process does not end"
    del store
    return outcomes


def train_alone(work: Work) -> Outcome:
    """Return the outcome of the same training in this process."""
    torch.set_num_threads(1)
    return _train(work, 0, train_network, {})


def _work(place: Place, port: int, work: Work, pipe: Any) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port), TORCHELASTIC_USE_AGENT_STORE="True")
    group = open_group(place, join_store(place), "cpu")
    outcome = _train(work, place.rank, train_network, {"group": group})
    group.close()
    pipe.send(outcome)
    pipe.close()


def _train(work: Work, rank: int, training: Any, more: dict[str, Any]) -> Outcome:
    network = build_network(work.settings, 2, None)
    outcome = Outcome()
    events = training(network, work.train, work.val, work.settings, work.folder, resume=work.resume, **more)
    try:
        for event in events:
            _keep(outcome, event)
            place = (rank, event.step) if isinstance(event, StepEnded) else (-2, -2)
            if place == work.kill:
                os.kill(os.getpid(), signal.SIGKILL)
            if place == work.fail:
                raise_inside(events)
            if place == work.stop and rank == 0:
                events.throw(StopRequested(signal.SIGTERM))
            elif place == work.stop:
                more["group"].wanted = signal.SIGTERM
    except SightlineError as error:
        outcome.error = f"{error.code}: {error.message}"
    except StopRequested as stop:
        outcome.error = f"stopped by {stop.signal}"
    except ZeroDivisionError:
        outcome.error = "a mistake"
    outcome.weights = [value.numpy().copy() for value in network.state_dict().values()]
    return outcome


def raise_inside(events: Any) -> None:
    """Let a training fail as it would by a mistake of its own."""
    events.throw(ZeroDivisionError("a mistake"))


def _keep(outcome: Outcome, event: Event) -> None:
    if isinstance(event, EpochEnded):
        outcome.epochs.append(event)
    elif isinstance(event, StepEnded):
        outcome.steps.append(event)
