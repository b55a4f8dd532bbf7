"""Whether a training fits into memory: what a step needs, what is free, and what follows.

On a GPU torch raises an error that a step can be made again after; on a CPU the system kills the process. So there
it is worked out before the start.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from sightline.errors import TrainingError
from sightline.events import Warned
from sightline.networks.network import Network
from sightline.planning.decisions import Decision
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.training.batches import Batch
from sightline.training.free_memory import free_bytes
from sightline.training.layer_groups import norm_layers
from sightline.training.schedules import Course
from sightline.training.setup import set_up_network
from sightline.training.update import Updater, named_errors, prepare_batch

__all__ = ["LOOKED_AT", "StepMemory", "fit_memory", "looked_at_at_once", "measure_memory"]

LOOKED_AT = 128  # images that are measured at once on validation
# What torch's libraries take beside tensors: packed weights, scratch, code that is made for each shape of a layer.
_LIBRARIES = 192 * 2**20
# The real peak of a process was 0.66 to 1.1 of the prediction without it (benchmarks/memory.py).
_SAFETY = 1.15


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes that training takes, beyond what the process holds before it.

    Attributes:
        lasting: weights, gradients, optimiser's state, averaged weights.
        each: an image in the network with what its gradient needs.
        pixels: an image of the batch, with the copies that random changes make.
        look: an image in the network without gradients.
    """

    lasting: int
    each: int
    pixels: int
    look: int

    def step(self, images: int, parts: int) -> int:
        """Return the bytes of a training whose steps take so many images in so many parts, with its safety factor."""
        part = -(-images // parts)
        at_once = looked_at_at_once(images, parts)
        # A sum: what a step has freed is not all given back to the system before validation asks for more.
        needed = images * self.pixels + part * self.each + at_once * self.look
        return int(_SAFETY * (self.lasting + needed + _LIBRARIES))


def looked_at_at_once(batch_size: int, parts: int) -> int:
    """Return how many images validation looks at at once: of a network that learns in parts, no more than a part.

    Example:
        >>> looked_at_at_once(32, 1), looked_at_at_once(32, 4)
        (128, 8)
    """
    return LOOKED_AT if parts == 1 else min(LOOKED_AT, -(-batch_size // parts))


def fit_memory(plan: Plan, classes: int, train: int) -> tuple[Plan, Warned | None]:
    """Return the plan in a form that fits into memory, and what to say about it.

    Where a whole step does not fit, ``accumulate`` rises: smaller parts of the same batch. Only on a CPU: on a GPU the
    step itself is made again in smaller parts. A plan that fits is returned as it is.

    Args:
        plan: as it is wanted.
        classes: K.
        train: training images.

    Raises:
        TrainingError: if not even single images fit.

    Example:
        ``plan, warning = fit_memory(plan, 10, 50_000)``
    """
    settings = plan.settings
    if settings.device != "cpu" or settings.epochs == 0:
        return plan, None
    images = max(1, -(-train // max(1, -(-train // settings.batch_size))))
    free, of_what = free_bytes(torch.device(settings.device))
    if free < _LIBRARIES:
        raise _too_little(settings, _LIBRARIES, free, of_what)
    with named_errors(settings):
        network = set_up_network(settings, classes, None)
        weights = sum(weight.nbytes for weight in network.parameters())
        least = 3 * weights + _LIBRARIES  # gradients, and the optimiser's two: measuring it would end the process
        if least > free:
            raise _too_little(settings, least, free, of_what)
        memory = measure_memory(network, settings, classes)
    planned = min(settings.accumulate, images)
    whole = memory.step(images, planned)
    if whole <= free:
        return plan, None
    fitting = (parts for parts in range(planned + 1, images + 1) if memory.step(images, parts) <= free)
    parts = next(fitting, None)
    if parts is None:
        raise _too_little(settings, memory.step(images, images), free, of_what)
    reason = f"a step of {images} images in {planned} takes {_size(whole)}, and {_size(free)} are free ({of_what})"
    part = -(-images // parts)
    norms = f"; batch norms see {part} at a time" if norm_layers(network) and not settings.freeze_norm else ""
    decision = Decision("accumulate", parts, "hardware", f"{reason}{norms}")
    message = f"{reason}: the images go through the network in {parts} parts, with the same gradient{norms}"
    return plan.replace(decision), Warned("plan.memory", message, "free some memory, or give a smaller --batch-size")


def measure_memory(network: Network, settings: Settings, classes: int) -> StepMemory:
    """Return what a step takes by running small ones, of 2 and of 4 images, and following every tensor's life.

    What an image takes is the difference; what both take, the gradients, is lasting. The network's weights are changed.

    Args:
        network: as it will be trained.
        settings: of the plan.
        classes: K.
    """
    if settings.freeze_body:
        network.body.requires_grad_(False)
    # In two parts: the second one finds gradients there, as all but the first do.
    settings = settings.model_copy(update={"compile": False, "accumulate": 2, "early_sizes": (), "early_share": 0.0})
    network.train()
    updater = Updater(network, settings, (1,) * classes)
    course = Course(0, 1, 1)

    def prepare(count: int) -> tuple[Tensor, Tensor]:
        pixels = torch.randint(0, 256, (count, settings.size, settings.size, 3), dtype=torch.uint8)
        images = pixels.permute(0, 3, 1, 2).float().div_(255)
        batch = Batch(images, torch.arange(count) % classes, np.arange(count))
        return prepare_batch(batch, settings, classes, 1, course)

    def look(count: int) -> None:
        with torch.inference_mode():
            network.eval()(torch.zeros(count, 3, settings.size, settings.size))

    updater.make(*prepare(4), rate=0.0, momentum=settings.momentum, step=0)
    lasting = sum(_bytes_of(tensor) for tensor in updater.lasting())
    if settings.ema:
        lasting += sum(_bytes_of(value) for value in network.state_dict().values())
    pixels, _ = _per_image(lambda count: prepare(count), 1)
    ready = {count: prepare(count) for count in (4, 8)}
    each, both = _per_image(lambda count: updater.add_gradients(*ready[count], step=0, count=count), 2)
    seen, _ = _per_image(look, 1)
    return StepMemory(lasting + both, each, pixels, seen)


def _per_image(run: Callable[[int], Any], parts: int) -> tuple[int, int]:
    """Return (bytes that an image takes at the peak, bytes that any number takes) of a run in so many parts."""
    peaks = []
    for count in (2, 4):
        with _Peak() as peak:
            run(count * parts)
        peaks.append(peak.bytes)
    each = max(0, (peaks[1] - peaks[0]) // 2)
    return each, max(0, peaks[0] - 2 * each)


class _Peak(TorchDispatchMode):
    """Follows the storages that torch's operations make while it is entered; ``bytes`` is the most at one time."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self._now = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):  # what was there before is not counted
            if isinstance(value, Tensor):
                self._follow(value, 0)
        made = func(*args, **(kwargs or {}))
        for value in tree_leaves(made):
            if isinstance(value, Tensor):
                self._follow(value, value.untyped_storage().nbytes())
        return made

    def _follow(self, tensor: Tensor, count: int) -> None:
        storage = tensor.untyped_storage()
        key = storage._cdata
        if key in self._alive:
            return
        self._now += count
        self.bytes = max(self.bytes, self._now)

        def end(_: object) -> None:
            self._alive.pop(key, None)
            self._now -= count

        self._alive[key] = weakref.ref(storage, end)


def _bytes_of(tensor: Tensor) -> int:
    return tensor.untyped_storage().nbytes()


def _too_little(settings: Settings, needed: int, free: int, of_what: str) -> TrainingError:
    message = f"training {settings.model} at {settings.size} px takes {_size(needed)} at least, and {_size(free)} are"
    cure = "free some memory, or give a smaller --size, a smaller --batch-size or a smaller --model"
    return TrainingError("machine.memory", f"{message} free ({of_what})", cure)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(0, count) / 2**20:.0f} MiB"
