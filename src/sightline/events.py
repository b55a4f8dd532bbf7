"""The events of a run: plain values that the generators of ``training`` and ``pipeline`` yield.

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
    "ALL_EPOCHS_DONE",
    "TIME_LIMIT_REACHED",
    "Blended",
    "CheckpointSaved",
    "EpochEnded",
    "Event",
    "FeaturesSeen",
    "ImagesPredicted",
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
    "TrialEnded",
    "ValidationMeasured",
    "Warned",
]


ALL_EPOCHS_DONE = "all epochs done"  # reason of ``TrainingStopped``
TIME_LIMIT_REACHED = "time limit reached"  # reason of ``TrainingStopped``; the report suggests more time then


@dataclass(frozen=True, slots=True)
class RunStarted:
    """A run folder was created."""

    folder: str


@dataclass(frozen=True, slots=True)
class StageStarted:
    """A stage of the pipeline began; ``name`` is a verb in its -ing form."""

    name: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progressed:
    """``done`` of ``total`` units of the current stage are finished; ``unit`` is a plural noun.

    Attributes:
        left: least and most seconds to the end of the training, where it is more than these units; 0: not known.
    """

    done: int
    total: int
    unit: str
    left: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ImagesPredicted:
    """``done`` images are in the output of a prediction, ``bad`` of them as errors. No event of a training.

    Attributes:
        total: of all images; None: not known, or not yet.
        rate: images a second, of late.
    """

    done: int
    total: int | None
    rate: float
    bad: int


@dataclass(frozen=True, slots=True)
class StageEnded:
    """The current stage is finished; ``detail`` describes the result, with counts."""

    name: str
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Noted:
    """Information for the user; no action is needed."""

    message: str


@dataclass(frozen=True, slots=True)
class Warned:
    """Something is wrong, but the run continues; code, message and cure as in an error."""

    code: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan is made: (setting, value, origin, reason) a row, and the expected seconds of training.

    Attributes:
        least, most: seconds that it may take, as far as measuring showed; 0: not known.
        around: seconds before and after training (reading, evaluation, report); 0: not known.
        waited: share of the time of measuring that was spent on waiting for a processor, 0 to 1.
    """

    rows: tuple[tuple[str, str, str, str], ...]
    seconds: float | None
    least: float = 0.0
    most: float = 0.0
    around: float = 0.0
    waited: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class FeaturesSeen:
    """A head was fitted on frozen features, which come from a network that was not trained on these images yet.

    Attributes:
        positions: ``[N] int64``, of the training images that were used, in the training's order of images.
        train: ``[N, D] float32``, their features.
        val: ``[M, D] float32``, their equivalent for all validation images that choose the epoch.
    """

    positions: npt.NDArray[np.int64]
    train: npt.NDArray[np.float32]
    val: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class RateFound:
    """The learning rate finder is done; the training continues with its rate, from the weights before the search.

    Attributes:
        rates: the rates tried, rising.
        losses: of those rates, smoothed, in nats.
        rate: the chosen one.
        reason: how it was chosen.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    rate: float
    reason: str


@dataclass(frozen=True, slots=True)
class StepEnded:
    """The weights were updated once; ``step`` counts from 0 over the whole training.

    Attributes:
        loss: of this step's images, as it was minimised, in nats.
        gradient_norm: of the whole gradient, before clipping; inf where fp16 overflowed and the step was skipped.
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
    """The loss or gradient of a step was not finite; no weight was changed.

    Attributes:
        positions: ``[B]``, the images of the training part in this step.
        message: what was wrong.
    """

    step: int
    epoch: int
    positions: npt.NDArray[np.intp]
    message: str


@dataclass(frozen=True, slots=True)
class PartsRaised:
    """Memory was not enough for a step: from here on, batches go through the network in ``parts`` parts."""

    step: int
    parts: int


@dataclass(frozen=True, slots=True)
class StateSaving:
    """The state of the training is about to be saved, after ``step`` updates; files beside it should be written now."""

    step: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The training continues from a saved state, after ``step`` updates and all epochs before ``epoch``.

    Everything after that state is discarded. Epoch 0: it starts anew.
    """

    epoch: int
    step: int


@dataclass(frozen=True, slots=True, eq=False)
class InputsSeen:
    """Some images as the network's input at a step: cropped and augmented.

    Attributes:
        images: ``[N, H, W, 3] uint8``, a few of the step's images.
    """

    step: int
    images: npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ValidationMeasured:
    """The predictions on the validation images after an epoch; yielded before the epoch's ``EpochEnded``.

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
    """The validation images with the most confident wrong predictions after an epoch, most confident first.

    Attributes:
        images: ``[M, H, W, 3] uint8``, as the network's input.
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
    weights, whatever is minimised. For mixed images it is that of the mixed target, and a prediction is correct if it
    is the class with the larger share.

    Epoch 0 is the state before the first epoch: the head fitted on frozen features if there is one, else random
    weights. Its training metrics are measured without augmentation; with random weights, on a part of the images.

    Attributes:
        epochs: of the whole training.
        is_about: whether that is an estimate, as a time limit ends the training.
        left: least and most seconds to its end, as in :class:`Progressed`.
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
    is_about: bool = False
    left: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The network of the best epoch so far was saved."""

    folder: str
    epoch: int
    val_loss: float


@dataclass(frozen=True, slots=True)
class Blended:
    """Weights between the fitted head and the fine-tuned network were compared on validation.

    Attributes:
        share: of the way to the fine-tuned network that is kept; 0: the fitted head, 1: the fine-tuned network.
        epoch: of the fine-tuned network.
        val_loss, val_accuracy: of what is kept; the loss in nats, without a temperature.
        seconds: that it took.
    """

    share: float
    epoch: int
    val_loss: float
    val_accuracy: float
    seconds: float


HEAD_FITTED = "the head is fitted"


@dataclass(frozen=True, slots=True)
class TrainingStopped:
    """The training ended, with the reason; ``HEAD_FITTED`` where there was no more to train.

    Attributes:
        share: of the way from the fitted head to the best epoch at which the network lies that is kept; 1: its own.
    """

    reason: str
    best_epoch: int
    seconds: float
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class TrialEnded:
    """One trial of a search ended.

    Attributes:
        number: of the trial; 0 is mostly the plain recipe.
        state: ``complete``, ``pruned``, ``failed`` or ``lost``.
        result: the validation accuracy, or why there is none, in words.
        settings: what it tried, in words.
        seconds: that it took.
        is_best: whether it is the best so far.
    """

    number: int
    state: str
    result: str
    settings: str
    seconds: float
    is_best: bool


@dataclass(frozen=True, slots=True)
class RunEnded:
    """The run is finished; ``headline`` is the main result in words, ``folder`` contains everything."""

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
    | Blended
    | TrainingStopped
    | TrialEnded
    | RunEnded
)
