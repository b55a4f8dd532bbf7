"""One update of the weights from the images of a step."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from sightline.errors import TrainingError
from sightline.networks.network import Network
from sightline.planning.settings import Settings
from sightline.training.augment import augment_batch
from sightline.training.batches import Batch
from sightline.training.losses import make_loss, plain_sums
from sightline.training.mix import mix_batch
from sightline.training.optim import make_optimizer, set_rate
from sightline.training.process_group import ALONE, Group
from sightline.training.schedules import Course

__all__ = [
    "Update",
    "Updater",
    "diverged",
    "is_mixed",
    "is_out_of_memory",
    "logits_of",
    "named_errors",
    "prepare_batch",
    "shrink_images",
    "side_at",
]

_NO_MEMORY = ("not enough memory", "can't allocate memory", "out of memory")
_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_SMALLEST_SCALE = 1e-3  # of fp16: a gradient that overflows even then is not finite


class Update(NamedTuple):
    """The result of an update.

    Attributes:
        images: of the step, in all processes.
        loss: mean over the step's images, as it was minimised.
        gradient_norm: of the whole gradient, before clipping; inf where fp16 overflowed and no weight was changed.
        is_clipped: whether clipping changed the gradient.
        cross_entropy: plain, summed over the images; on the device.
        hits: correct predictions; on the device.
        parts: in which the images went through the network; more than planned where memory was not enough.
    """

    images: int
    loss: float
    gradient_norm: float
    is_clipped: bool
    cross_entropy: Tensor
    hits: Tensor
    parts: int


class Updater:
    """Makes updates of a network by the planned optimiser, loss, precision and clipping.

    Args:
        network: on the training device; frozen weights are not changed.
        settings: of the plan.
        class_counts: training images of each class.
        group: the processes that make each step together.

    Attributes:
        parts: in which a step's images go through the network; more than planned where memory was not enough.

    Example:
        ``Updater(network, plan.settings, (50, 50)).make(images, labels, rate=0.01, momentum=0.9, step=0)``
    """

    def __init__(self, network: Network, settings: Settings, class_counts: Sequence[int], group: Group = ALONE) -> None:
        self._network = network
        self._group = group
        self._settings = settings
        self._device = network.head.weight.device
        self._loss = make_loss(settings, class_counts)
        self._optimizer = make_optimizer(network, settings)
        self._scaler = torch.amp.GradScaler(self._device.type, enabled=settings.precision == "fp16")
        self._forward: Any = torch.compile(network) if settings.compile else network
        self.parts = settings.accumulate
        self._buffers = list(network.buffers())
        self._buffers_before = [buffer.clone() for buffer in self._buffers]

    def make(
        self, images: Tensor, targets: Tensor, *, rate: float, momentum: float, step: int, count: int | None = None
    ) -> Update:
        """Change the weights once, by the gradient of the mean loss of all images, those of all processes.

        The images go through the network in ``accumulate`` parts, whose gradients add up; batch norms see one part.
        Where memory is not enough, gradients and statistics are discarded and the step is repeated in twice as many
        parts, of at least one image, with the same random numbers and the same effective batch. Later steps keep that
        number.

        Args:
            images: ``[N, 3, H, W] float32`` from 0 to 1.
            targets: ``[N] int64`` labels or ``[N, K]`` shares.
            rate, momentum: of this step.
            step: from 0; together with the seed it decides what dropout drops.
            count: images of the step in all processes; None: these are all.

        Raises:
            TrainingError: if loss or gradient is not finite; no weight is changed.
            torch.OutOfMemoryError: if there is not enough memory for one image; no weight is changed.
        """
        set_rate(self._optimizer, rate, momentum)
        torch._foreach_copy_(self._buffers_before, self._buffers)
        count, group = len(images) if count is None else count, self._group
        while group.any((sums := self.add_gradients(images, targets, step, count)) is None):
            self._forget()
            self.parts = min(2 * group.size * self._own_parts(count), count)
            if self._device.type == "cuda":
                torch.cuda.empty_cache()  # the cached blocks have the sizes of the larger parts
        assert sums
        loss, cross_entropy, hits = sums
        self._add_up(sums)
        mean_loss, norm, largest = self._clip(loss)
        self._refuse_not_finite(mean_loss, norm, step)
        self._scaler.step(self._optimizer)
        self._scaler.update()
        settings = self._settings
        is_clipped = 0 < settings.clip_norm < norm < math.inf or 0 < settings.clip_value < largest < math.inf
        return Update(count, mean_loss, norm, is_clipped, cross_entropy, hits, min(self.parts, count))

    def lasting(self) -> Iterator[Tensor]:
        """Yield the tensors that persist between updates, except gradients: weights, buffers, the optimiser's state."""
        yield from self._network.parameters()
        yield from self._buffers
        for state in self._optimizer.state.values():
            yield from (value for value in state.values() if isinstance(value, Tensor))

    def add_gradients(
        self, images: Tensor, targets: Tensor, step: int, count: int
    ) -> tuple[Tensor, Tensor, Tensor] | None:
        """Add up the gradients of all parts; returns (loss, cross-entropy, hits), or None if memory is not enough.

        ``count`` is the number of the step's images in all processes, whose mean loss it is.
        """
        torch.manual_seed((self._settings.seed * 1_000_003 + step + self._group.rank * 0x9E3779B1) % 2**63)
        self._optimizer.zero_grad(set_to_none=True)
        loss, cross_entropy, hits = (torch.zeros((), device=images.device) for _ in range(3))
        parts = min(self._own_parts(count), len(images))
        if not parts:  # fewer images than processes
            return loss, cross_entropy, hits
        try:
            for some, expected in zip(images.tensor_split(parts), targets.tensor_split(parts), strict=True):
                with self._autocast():
                    logits = self._forward(some)
                part = self._loss(logits, expected).sum() / count
                self._scaler.scale(part).backward()
                plain = plain_sums(logits.detach(), expected)
                loss, cross_entropy, hits = loss + part.detach(), cross_entropy + plain[0], hits + plain[1]
        except RuntimeError as error:
            self._forget()
            if not is_out_of_memory(error) or parts == len(images):
                raise
            return None  # the memory of the step is freed once this has returned
        return loss, cross_entropy, hits

    def _own_parts(self, count: int) -> int:
        """Return the parts of this process's images, so that a part is as large as with one process."""
        return -(-min(self.parts, count) // self._group.size)

    def _forget(self) -> None:
        """Discard gradients, and restore the statistics changed by the parts so far."""
        self._optimizer.zero_grad(set_to_none=True)
        torch._foreach_copy_(self._buffers, self._buffers_before)

    def _add_up(self, sums: Sequence[Tensor]) -> None:
        """Replace gradients and sums by those of all processes, and statistics by those of the first."""
        if self._group.size == 1:
            return
        weights = [weight for weight in self._network.parameters() if weight.requires_grad]
        is_used = [weight.grad is not None for weight in weights]
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
        statistics = [buffer for buffer in self._buffers if buffer.is_floating_point()]
        if self._group.rank:
            torch._foreach_zero_(statistics)
        self._group.sum_([*sums, *statistics, *(weight.grad for weight in weights if weight.grad is not None)])
        for weight, used in zip(weights, is_used, strict=True):
            if not used and any(is_used):  # unused by all images, in all processes: it must not change
                weight.grad = None

    def state(self) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Return (plain values, tensors) of optimiser and scaler; rates and decay come from the plan."""
        states = (self._optimizer.state.get(weight, {}) for weight in self._weights())
        named = {f"{place}.{name}": value for place, state in enumerate(states) for name, value in state.items()}
        tensors = {name: value for name, value in named.items() if value is not None}
        return {"scaler": self._scaler.state_dict(), "parts": self.parts}, tensors

    def load(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
        """Restore the values of ``state``, each tensor in the layout of its weight, so that sums stay the same."""
        self._scaler.load_state_dict(values["scaler"])
        self.parts = values["parts"]
        self._optimizer.state.clear()
        weights = self._weights()
        for key, value in tensors.items():
            place, _, name = key.partition(".")
            weight = weights[int(place)]
            if value.shape == weight.shape:
                value = torch.empty_like(weight, dtype=value.dtype).copy_(value)
            self._optimizer.state[weight][name] = value

    def _weights(self) -> list[Tensor]:
        return [weight for group in self._optimizer.param_groups for weight in group["params"]]

    def _autocast(self) -> AbstractContextManager[Any]:
        kind = self._settings.precision
        return torch.autocast(self._device.type, _TYPES[kind], enabled=kind != "fp32")

    def _clip(self, loss: Tensor) -> list[float]:
        """Clip the gradient; returns (loss, its norm before, its largest value before) as numbers."""
        self._scaler.unscale_(self._optimizer)
        weights = [weight for weight in self._network.parameters() if weight.grad is not None]
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        largest = norm
        if self._settings.clip_value:
            largest = torch.nn.utils.get_total_norm(gradients, math.inf)
            torch.nn.utils.clip_grad_value_(weights, self._settings.clip_value)
        if self._settings.clip_norm:
            torch.nn.utils.clip_grad_norm_(weights, self._settings.clip_norm)
        found: list[float] = torch.stack([loss, norm, largest]).tolist()
        return found

    def _refuse_not_finite(self, loss: float, norm: float, step: int) -> None:
        is_scaled = self._scaler.is_enabled() and self._scaler.get_scale() > _SMALLEST_SCALE
        if not math.isfinite(loss) or not (math.isfinite(norm) or is_scaled):
            wrong = "loss" if not math.isfinite(loss) else "gradient"
            value = loss if wrong == "loss" else norm
            torch._foreach_copy_(self._buffers, self._buffers_before)  # and restore the batch norms' statistics
            raise diverged(f"the {wrong} is {value} at step {step}; no weight was changed")


def diverged(message: str) -> TrainingError:
    """Return the error of a training whose numbers are not finite any more."""
    cure = "lower the learning rate, for example --lr with a tenth of the plan's value, or use --find-lr"
    return TrainingError("training.diverged", message, cure)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether a torch error means that memory was not enough; only CUDA has an error class for it."""
    return isinstance(error, torch.OutOfMemoryError) or any(words in str(error) for words in _NO_MEMORY)


def logits_of(network: Network, images: Tensor) -> Tensor:
    """Return ``[N, K]`` logits; where memory is not enough, the images are halved, down to one."""
    try:
        return network(images)  # type: ignore[no-any-return]
    except RuntimeError as error:
        if not is_out_of_memory(error) or len(images) == 1:
            raise
    return torch.cat([logits_of(network, half) for half in images.tensor_split(2)])


@contextmanager
def named_errors(settings: Settings) -> Iterator[None]:
    """Turn the torch errors that a user can cause into errors with a code and a cure.

    Raises:
        TrainingError: instead of them.
    """
    try:
        yield
    except (RuntimeError, ValueError) as error:
        text = str(error)
        if is_out_of_memory(error):
            cure = "try half the --batch-size, a higher --set accumulate, or a smaller --size"
            raise TrainingError("machine.memory", f"not enough memory: {text.splitlines()[0][:160]}", cure) from error
        if "more than 1 value per channel" in text:
            cure = "give --batch-size 2 or more (and at least as many training images), or a larger --size"
            message = "batch norms can't be trained on a single value per channel"
            raise TrainingError("training.batch-norm", message, cure) from error
        if settings.compile and type(error).__module__.startswith(("torch._dynamo", "torch._inductor")):
            message = f"torch.compile failed: {(text.strip().splitlines() or ['no reason given'])[0][:160]}"
            raise TrainingError("training.compile", message, "leave out --set compile=true") from error
        raise


def side_at(settings: Settings, course: Course) -> int:
    """Return the side of the input at a step, in pixels: each of ``early_sizes`` in turn, then ``size``.

    References:
        J. Howard, "Now anyone can train ImageNet in 18 minutes", 2018; M. Tan, Q. Le, arXiv 2104.00298.
    """
    sizes = settings.early_sizes
    if course.step >= course.steps - 1:  # the last step is always at full size, as in evaluation
        return settings.size
    for position, side in enumerate(sizes, 1):
        # The middle of the step decides: it never goes back, however the length changes.
        if course.place + 0.5 <= settings.early_share * position / len(sizes) * course.length:
            return side
    return settings.size


def shrink_images(images: Tensor, side: int) -> Tensor:
    """Return ``[N, 3, side, side]`` images, antialiased; those of that side as they are."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bilinear", antialias=True)


def is_mixed(settings: Settings) -> bool:
    """Whether the images of a step are mixed with each other."""
    return bool(settings.mixup or settings.cutmix)


def prepare_batch(
    batch: Batch, settings: Settings, classes: int, epoch: int, course: Course, group: Group = ALONE
) -> tuple[Tensor, Tensor]:
    """Return (images, targets) of a step: at the step's size, augmented, and mixed if that is planned.

    Args:
        batch: images of the store.
        settings: of the plan.
        classes: K.
        epoch: from 1.
        course: the position of the step.
        group: whose part of the step is returned. The batch has only that part, or all images where they are mixed.
    """
    mine = group.part(len(batch.positions))
    if mine.start == mine.stop:
        return batch.images[:0], batch.labels[:0]
    held = slice(None) if is_mixed(settings) else mine
    images = shrink_images(batch.images, side_at(settings, course))
    images = augment_batch(images, settings, course.step, epoch, batch.positions, held)
    if not is_mixed(settings):
        return images, batch.labels
    images, targets = mix_batch(images, batch.labels, classes, settings, course.step)
    return images[mine], targets[mine]
