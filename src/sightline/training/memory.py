"""Whether a training fits into memory: what a step needs, what is free, and how the plan is adapted.

On a GPU torch raises an error after which a step can be repeated; on a CPU the system kills the process. So there the
memory is calculated before the start.
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
from sightline.text import count_of
from sightline.training.batches import Batch
from sightline.training.free_memory import free_bytes
from sightline.training.layer_groups import freeze_for_good, norm_layers, set_training
from sightline.training.schedules import Course
from sightline.training.setup import set_up_network
from sightline.training.update import Updater, named_errors, prepare_batch

__all__ = ["INFERENCE_BATCH", "StepMemory", "fit_memory", "inference_batch", "measure_memory"]

INFERENCE_BATCH = 128  # images per batch in validation
# Memory of torch's libraries besides tensors: packed weights, scratch, compiled code for each shape of a layer.
_LIBRARIES = 192 * 2**20
# The measured peak of a process was 0.9 to 1.13 times the prediction without it (benchmarks/memory.py), and 0.7 to 1.0
# times where malloc does not keep what a step frees.
_SAFETY = 1.25


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes that training needs, beyond what the process uses before it.

    Attributes:
        lasting: weights, gradients, optimiser's state, averaged weights.
        each: one image in the network, with the activations for its gradient.
        pixels: one image of the batch, with the copies made by augmentation.
        inference: one image in the network without gradients.
    """

    lasting: int
    each: int
    pixels: int
    inference: int

    def step(self, images: int, parts: int) -> int:
        """Return the bytes of a training with steps of ``images`` images in ``parts`` parts, with a safety factor."""
        part = -(-images // parts)
        at_once = inference_batch(images, parts)
        # Their sum, since memory freed by a step is not all returned to the system before validation needs more.
        needed = images * self.pixels + part * self.each + at_once * self.inference
        return int(_SAFETY * (self.lasting + needed + _LIBRARIES))


def inference_batch(batch_size: int, parts: int) -> int:
    """Return the batch size of validation: at most the size of a part where training splits batches.

    Example:
        >>> inference_batch(32, 1), inference_batch(32, 4)
        (128, 8)
    """
    return INFERENCE_BATCH if parts == 1 else min(INFERENCE_BATCH, -(-batch_size // parts))


def fit_memory(plan: Plan, classes: int, train: int) -> tuple[Plan, Warned | None]:
    """Return a plan that fits into memory, and a warning if it was changed.

    Where a whole step does not fit, ``accumulate`` is raised: smaller parts of the same batch. Only on a CPU: on a GPU
    the step itself is repeated in smaller parts. A plan that fits is returned unchanged.

    Args:
        plan: the planned training.
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
        least = 3 * weights + _LIBRARIES  # gradients, two optimiser values; measuring would crash the process
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
    step = f"a step of {images} images in {count_of(planned, 'part')}"
    reason = f"{step} needs {_size(whole)}, but only {_size(free)} are free ({of_what})"
    part = -(-images // parts)
    norms = f"; batch norms use {part} images at a time" if norm_layers(network) and not settings.freeze_norm else ""
    decision = Decision("accumulate", parts, "hardware", f"{reason}{norms}")
    message = f"{reason}: its images go through the network in {parts} parts, with the same gradient{norms}"
    return plan.replace(decision), Warned("plan.memory", message, "free some memory, or give a smaller --batch-size")


def measure_memory(network: Network, settings: Settings, classes: int) -> StepMemory:
    """Measure the memory of a step by running small ones, of 2 and of 4 images, and tracking every tensor.

    The difference is the memory per image; what both need, such as the gradients, is lasting. This changes the weights.

    Args:
        network: as it will be trained.
        settings: of the plan.
        classes: K.
    """
    freeze_for_good(network, settings)
    # In two parts: the second one has gradients to add to, like all but the first.
    settings = settings.model_copy(update={"compile": False, "accumulate": 2, "early_sizes": (), "early_share": 0.0})
    set_training(network, settings)
    updater = Updater(network, settings, (1,) * classes)
    course = Course(0, 1, 1)

    def prepare(count: int) -> tuple[Tensor, Tensor]:
        pixels = torch.randint(0, 256, (count, settings.size, settings.size, 3), dtype=torch.uint8)
        images = pixels.permute(0, 3, 1, 2).float().div_(255)
        batch = Batch(images, torch.arange(count) % classes, np.arange(count))
        return prepare_batch(batch, settings, classes, 1, course)

    def infer(count: int) -> None:
        with torch.inference_mode():
            network.eval()(torch.zeros(count, 3, settings.size, settings.size))

    updater.make(*prepare(4), rate=0.0, momentum=settings.momentum, step=0)
    lasting = sum(_bytes_of(tensor) for tensor in updater.lasting())
    if settings.ema:
        lasting += sum(_bytes_of(value) for value in network.state_dict().values())
    pixels, _ = _per_image(lambda count: prepare(count), 1)
    ready = {count: prepare(count) for count in (4, 8)}
    each, both = _per_image(lambda count: updater.add_gradients(*ready[count], step=0, count=count), 2)
    inference, _ = _per_image(infer, 1)
    return StepMemory(lasting + both, each, pixels, inference)


def _per_image(run: Callable[[int], Any], parts: int) -> tuple[int, int]:
    """Return (bytes per image at the peak, bytes for any number of images) of a run in ``parts`` parts."""
    peaks = []
    for count in (2, 4):
        with _Peak() as peak:
            run(count * parts)
        peaks.append(peak.bytes)
    each = max(0, (peaks[1] - peaks[0]) // 2)
    return each, max(0, peaks[0] - 2 * each)


class _Peak(TorchDispatchMode):
    """Tracks the storages that torch's operations allocate inside its ``with`` block; ``bytes`` is their peak."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes = self._now = 0
        self._alive: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):  # storages from before are not counted
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
    what = f"training {settings.model} at {settings.size} px"
    message = f"{what} needs at least {_size(needed)}, but only {_size(free)} are free ({of_what})"
    cure = "free some memory, or give a smaller --size, a smaller --batch-size or a smaller --model"
    return TrainingError("machine.memory", message, cure)


def _size(count: int) -> str:
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{max(0, count) / 2**20:.0f} MiB"
