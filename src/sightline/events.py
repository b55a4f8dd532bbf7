"""What happens in a run: plain values that leave the generators of ``training`` and ``pipeline``.

Nothing here prints, draws or stores. ``display`` turns events into a terminal's bar, lines of a log or a
notebook's table; ``pipeline`` writes some of them into the run folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = [
    "CheckpointSaved",
    "EpochEnded",
    "Event",
    "FeaturesSeen",
    "InputsSeen",
    "MistakesSeen",
    "Noted",
    "PartsRaised",
    "Planned",
    "Progressed",
    "RateFound",
    "Resumed",
    "RunEnded",
    "RunStarted",
    "StageEnded",
    "StageStarted",
    "StateSaving",
    "StepEnded",
    "StepFailed",
    "TrainingStopped",
    "ValidationMeasured",
    "Warned",
]


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run folder was made."""

    folder: str


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of the way through the house began; ``name`` is a verb in its -ing form."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` units of the current stage are finished; ``unit`` is a plural noun."""

    done: int
    total: int
    unit: str


@dataclass(frozen=True, slots=True)
class StageEnded:
    """The current stage is finished; ``detail`` says what came out, with counts."""

    name: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know and need not act on."""

    message: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something is wrong, the run goes on; code, message and cure as in an error."""

    code: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made: (setting, value, origin, reason) a row, and the expected seconds of training."""

    rows: tuple[tuple[str, str, str, str], ...]
    seconds: float | None


@dataclass(frozen=True, slots=True, eq=False)
class FeaturesSeen:
    """A head was fitted on frozen features: those of a network that has not learnt from these images yet.

    Attributes:
        positions: ``[N] int64``, of the training images that were looked at, in the training's order of images.
        train: ``[N, D] float32``, their features.
        val: ``[M, D] float32``, features of all validation images that choose the epoch.
    """

    positions: npt.NDArray[np.int64]
    train: npt.NDArray[np.float32]
    val: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RateFound:
    """The learning rate finder is done; the training goes on with its rate, from the weights that it had before.

    Attributes:
        rates: that were tried, rising.
        losses: of those rates, smoothed, in nats.
        rate: the one that is used.
        reason: how it follows from the others.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    rate: float
    reason: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """One update of the weights is made; ``step`` counts from 0 over the whole training.

    Attributes:
        loss: of this step's images, as it was minimised, in nats.
        gradient_norm: of the whole gradient, before clipping; inf where fp16 overflowed and the step was left out.
        is_clipped: whether clipping changed the gradient.
    """

    step: int
    epoch: int
    loss: float
    learning_rate: float
    gradient_norm: float
    is_clipped: bool


@dataclass(frozen=True, slots=True, eq=False)
class StepFailed:
    """A step's loss or gradient was no finite number; no weight was changed by it.

    Attributes:
        positions: ``[B]``, which images of the training part it saw.
        message: what was wrong.
    """

    step: int
    epoch: int
    positions: npt.NDArray[np.intp]
    message: str


@dataclass(frozen=True, slots=True)
class PartsRaised:
    """Memory was not enough at a step: its images and those of all later steps go through the network in ``parts``."""

    step: int
    parts: int


@dataclass(frozen=True, slots=True)
class StateSaving:
    """The whole state of the training is about to be saved, after ``step`` updates: what is kept beside it is due."""

    step: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The training goes on from a saved state: ``step`` updates are made, and all epochs before ``epoch``.

    What came after that state did not happen. Epoch 0: it starts anew.
    """

    epoch: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class InputsSeen:
    """Some images as the network got them at a step: cut, augmented.

    Attributes:
        images: ``[N, H, W, 3] uint8``, a few of the step's images.
    """

    step: int
    images: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ValidationMeasured:
    """What the network says of the validation images after an epoch; comes before the epoch's ``EpochEnded``.

    Attributes:
        labels, predicted: ``[N] int64``, positions in the classes.
        confidence: ``[N] float32``, the probability of ``predicted``.
    """

    epoch: int
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class MistakesSeen:
    """The validation images that the network is surest of and wrong about after an epoch, the surest first.

    Attributes:
        images: ``[M, H, W, 3] uint8``, as the network sees them.
        labels, predicted, confidence: ``[M]``, as in :class:`ValidationMeasured`.
    """

    epoch: int
    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    predicted: npt.NDArray[np.int64]
    confidence: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class EpochEnded:
    """One pass over the training images is finished. Losses are mean cross-entropy in nats, without smoothing and
    weights, whatever is minimised. Of images that are mixed, it is that of the mixed target, and the answer is right
    if it is the class with the larger share.

    Epoch 0 is the state before the first epoch: the head fitted on frozen features where there is one, else the
    random start. Its training figures are measured without augmentation, for a random start on a part of the images.
    """

    epoch: int
    epochs: int
    train_loss: float
    train_accuracy: float
    val_loss: float
    val_accuracy: float
    learning_rate: float
    seconds: float
    images_per_second: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The network of the best epoch so far lies on the disk, whole."""

    folder: str
    epoch: int
    val_loss: float


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """The training ended, with the reason."""

    reason: str
    best_epoch: int
    seconds: float


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run reached its end; ``headline`` is the figure in words, ``folder`` holds everything."""

    folder: str
    headline: str


Event = (
    RunStarted
    | StageStarted
    | Progressed
    | StageEnded
    | Noted
    | PartsRaised
    | Warned
    | Planned
    | FeaturesSeen
    | RateFound
    | Resumed
    | StateSaving
    | StepEnded
    | StepFailed
    | InputsSeen
    | ValidationMeasured
    | MistakesSeen
    | EpochEnded
    | CheckpointSaved
    | TrainingStopped
    | RunEnded
)
