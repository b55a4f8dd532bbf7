"""Estimates how long a training will take on this machine from a few real steps on random images."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from sightline.errors import InputError
from sightline.machine import Timing, time_runs
from sightline.networks.network import Network
from sightline.planning.budget import SIDES, Costs, fit_seconds, surety
from sightline.planning.settings import Settings
from sightline.training.batches import Batch
from sightline.training.engines import choose_engine
from sightline.training.layer_groups import freeze_for_good, set_training
from sightline.training.measure import SMALL
from sightline.training.memory import inference_batch
from sightline.training.schedules import Course
from sightline.training.setup import set_up_network
from sightline.training.update import Updater, named_errors, prepare_batch, shrink_images

__all__ = ["measure_costs"]

_FEW, _FEWEST = 8, 4  # images that are timed first, to choose how many are measured; under a short time limit
_LONGEST = 0.8  # seconds that one measured step should take at most
_SHARE = 1 / 50 / 9  # of a time limit, for the same: all runs together then take about a fiftieth of it


def measure_costs(settings: Settings, classes: int, train: int, val: int) -> Costs:
    """Measure the seconds of an update and of inference on this machine.

    Whole steps are measured, at the planned batch size where that is fast enough, else on fewer images: augmentation,
    forward and backward pass, update. Fetching the images and compiling are not included.

    Args:
        settings: of the plan.
        classes: K.
        train, val: numbers of images.

    Raises:
        InputError: if the network does not accept images of one of the ``early_sizes``.
        TrainingError: if there is not enough memory for a step.
    """
    network = set_up_network(settings, classes, None)
    freeze_for_good(network, settings)
    epoch_steps = max(1, -(-train // settings.batch_size))
    images = max(1, round(train / epoch_steps / settings.accumulate))  # images per part of a step
    _check_early_sizes(network, settings)
    with named_errors(settings):
        plain = settings.model_copy(update={"compile": False, "accumulate": 1})
        set_training(network, settings)
        updater = Updater(network, plain, (1,) * classes)
        last = Course(epoch_steps * max(1, settings.epochs), epoch_steps * max(1, settings.epochs), epoch_steps)
        longest = min(_LONGEST, settings.time * _SHARE) if settings.time else _LONGEST
        whole = _time(_make_step(updater, plain, classes, last), images, longest)
        step, sure = settings.accumulate * whole.seconds, [whole] if settings.epochs else []
        some = min(inference_batch(settings.batch_size, settings.accumulate), max(1, val))
        count = train + val if settings.head_first else val
        looking = _time(_make_forward(network, settings, count), some, longest)
        forward = feature = looking.seconds / some
        if settings.head_first and not _is_features(settings):
            looking = _time(_make_inference(network, settings, count, settings.precision), some, longest)
            feature = looking.seconds / some
        sure += [looking] if settings.head_first else []
        sides = _possible_sides(network, settings) if settings.time and settings.head_first else ()
    fit = fit_seconds(train + val, network.feature_groups, classes)
    return Costs(step, forward, feature, fit, sides, surety(sure), max((timing.waited for timing in sure), default=0.0))


def _time(run: Callable[[int], None], images: int, longest: float = _LONGEST) -> Timing:
    """Return the seconds of a run on ``images`` images, after a small one to warm up."""
    few = min(images, _FEW if longest >= _LONGEST else _FEWEST)
    run(few)
    timing = time_runs(lambda: run(few), 0)  # once
    count = min(images, max(few, int(few * longest / max(1e-9, timing.seconds))))
    if count > few or timing.seconds < longest:
        timing = time_runs(lambda: run(count), longest)
    return timing.scaled(images / count)


def _make_step(updater: Updater, settings: Settings, classes: int, course: Course) -> Callable[[int], None]:
    device = torch.device(settings.device)

    def run(count: int) -> None:
        labels = torch.arange(count, device=device) % classes
        batch = Batch(_random_images(count, settings.size, device), labels, np.arange(count))
        images, targets = prepare_batch(batch, settings, classes, 1, course)
        updater.make(images, targets, rate=settings.learning_rate * 1e-3, momentum=settings.momentum, step=0)

    return run


def _make_inference(network: Network, settings: Settings, count: int, precision: str) -> Callable[[int], None]:
    engine = choose_engine(network, count, settings.size, precision)

    def run(count: int) -> None:
        for start in range(0, count, engine.batch):
            images = min(engine.batch, count - start)
            engine.infer(torch.randint(0, 256, (images, settings.size, settings.size, 3), dtype=torch.uint8))

    return run


def _is_inference(settings: Settings) -> bool:
    """Whether validation computes features with an engine for inference, and not with the network itself."""
    return settings.device == "cpu" and settings.size > SMALL


def _is_features(settings: Settings) -> bool:
    """Whether validation looks at images as the features of a head are computed: then it is timed once."""
    return _is_inference(settings) and settings.precision == "fp32"


def _make_forward(network: Network, settings: Settings, count: int) -> Callable[[int], None]:
    if _is_inference(settings):
        return _make_inference(network, settings, count, "fp32")

    @torch.inference_mode()
    def run(count: int) -> None:
        network.eval()
        float(network(_random_images(count, settings.size, torch.device(settings.device))).sum())

    return run


def _random_images(count: int, side: int, device: torch.device) -> torch.Tensor:
    """Return images in the memory layout of batches: NHWC memory viewed as NCHW, from uint8."""
    pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8).to(device)
    return pixels.permute(0, 3, 1, 2).float().div_(255)


@torch.inference_mode()
def _possible_sides(network: Network, settings: Settings) -> tuple[int, ...]:
    """Return the planned side of the input, and smaller ones that the network accepts."""
    possible = [settings.size]
    for side in (side for side in SIDES if side < settings.size):
        try:
            network.eval()(_random_images(1, side, torch.device(settings.device)))
        except (RuntimeError, AssertionError, ValueError):  # of a transformer: patches, or a fixed size
            continue
        possible.append(side)
    return tuple(possible)


@torch.inference_mode()
def _check_early_sizes(network: Network, settings: Settings) -> None:
    device = torch.device(settings.device)
    for side in settings.early_sizes:
        try:
            network.eval()(shrink_images(_random_images(1, settings.size, device), side))
        except (RuntimeError, AssertionError) as error:
            text = (str(error).splitlines() or ["no reason given"])[0]
            message = f"{settings.model} does not accept images of early_sizes = {side} px: {text}"
            raise InputError("model.size", message, "give larger --set early_sizes, or leave them out") from error
