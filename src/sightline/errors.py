"""All errors that a user can cause, as one family.

SightlineError
├── InputError         a path, an option or a setting that was typed
├── DataError          the images and labels as a whole
├── UnreadableImage    one image
├── WeightsError       pretrained weights: missing, unreadable, or not matching the network
├── DeviceError        a requested device that does not exist
├── RunError           a run folder: exists already, is missing, is not finished
├── ModelError         a classifier file: missing, damaged, not made by Sightline
├── MissingExtra       a part of Sightline that is not installed
├── TrainingError      a training that can't continue
├── ExportMismatch     the exported file predicts differently from the network   (exit code 4)
└── GateNotMet         a required metric was not reached                         (exit code 5)

Each carries a stable ``code``, what is wrong (``message``) and what to type (``cure``). This file knows
nothing about terminals: ``cli`` prints errors, and is the only place that does.
"""

from __future__ import annotations

__all__ = [
    "DataError",
    "DeviceError",
    "ExportMismatch",
    "GateNotMet",
    "InputError",
    "MissingExtra",
    "ModelError",
    "RunError",
    "SightlineError",
    "StopRequested",
    "TrainingError",
    "UnreadableImage",
    "WeightsError",
]


class SightlineError(Exception):
    """Base class of all errors that Sightline raises on purpose.

    Attributes:
        code: stable name, ``room.reason`` in lower case, for scripts and for searching the docs.
        message: what is wrong, with the path or value.
        cure: what to type or change; never empty.
        exit_code: exit code of the command line.

    Example:
        >>> error = SightlineError("data.no-images", "no images in 'photos'", "name a folder with images")
        >>> error.to_dict()["code"]
        'data.no-images'
    """

    exit_code = 2

    def __init__(self, code: str, message: str, cure: str) -> None:
        super().__init__(code, message, cure)  # all three as args, so that the error can be pickled
        self.code = code
        self.message = message
        self.cure = cure

    def __str__(self) -> str:
        return f"{self.message} (cure: {self.cure})"

    def to_dict(self) -> dict[str, str]:
        """Return code, message and cure, as ``--json`` prints them."""
        return {"code": self.code, "message": self.message, "cure": self.cure}


class InputError(SightlineError):
    """A path, an option or a setting that the user typed is wrong."""


class DataError(SightlineError):
    """The images and labels as a whole can't be used."""


class UnreadableImage(SightlineError):  # noqa: N818  (it describes a file)
    """One image can't be read; raised by the decoder and by nothing else.

    Attributes:
        path: the file, or ``<bytes>`` where pixels came without a name.
        reason: what is wrong with it, in a few words.
    """

    def __init__(self, path: str, reason: str) -> None:
        super().__init__("image.unreadable", f"{path}: {reason}", "replace the file, or leave it out")
        self.args = (path, reason)
        self.path = path
        self.reason = reason


class WeightsError(SightlineError):
    """Pretrained weights are missing, can't be read safely, or don't fit the network."""


class DeviceError(SightlineError):
    """A requested device does not exist."""


class RunError(SightlineError):
    """A run folder exists already, is missing, or has no result yet."""


class ModelError(SightlineError):
    """A classifier is missing, damaged, or was not made by Sightline."""


class MissingExtra(SightlineError):  # noqa: N818  (the name reads well without it)
    """A part of Sightline is not installed; the cure is the command that installs it."""


class TrainingError(SightlineError):
    """A training can't continue, for example because its loss is not finite any more."""


class ExportMismatch(SightlineError):  # noqa: N818
    """The exported file predicts differently from the trained network; the file was removed."""

    exit_code = 4


class GateNotMet(SightlineError):  # noqa: N818
    """A required metric was not reached at the pessimistic end of its interval."""

    exit_code = 5


class StopRequested(BaseException):
    """A signal asks a training to stop so that it can be resumed; thrown into it between two steps.

    Attributes:
        signal: its number.

    Example:
        >>> StopRequested(15).signal
        15
    """

    def __init__(self, signal: int) -> None:
        super().__init__(signal)
        self.signal = signal

    def __str__(self) -> str:
        return "stopped by Ctrl-C" if self.signal == 2 else f"stopped by signal {self.signal}"
