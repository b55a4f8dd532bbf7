"""What the end of a run takes: calibration, export, evaluation, explanations and report."""

from __future__ import annotations

from dataclasses import dataclass

from sightline.planning.settings import Settings

__all__ = [
    "COMPARED_FROM",
    "COMPARING_SHARE",
    "DRAWING",
    "LEAST_REFERENCES",
    "MOST_REFERENCES",
    "SHARE_OF_TIME",
    "EndOfRun",
    "reserve_factor",
]

MOST_REFERENCES = 2_000  # training images whose features are looked at, for the means of classes and what is near
SHARE_OF_TIME = 0.05  # of a time limit, for that
LEAST_REFERENCES = 200  # of them, whatever the limit: with a few, images like the training images are called new
COMPARED_FROM = 240.0  # seconds: under a shorter limit the time is worth more for the training
COMPARING_SHARE = 0.03  # of a time limit, for looking at measured images with the head alone
_BASELINE = 20_000  # most training images of the baseline
DRAWING = 0.6  # seconds of importing the library that draws, where it can't be measured any more
_DRAWN = 5  # times that: a report of ten classes
_LEAST, _MOST = 3.0, 15.0  # seconds of a report, where the library was imported already, or lay on a slow disk
_ROW = 0.0004  # seconds of a report for each measured image
_COVERED, _GRADIENTS = 520, 60  # predictions that explanations take at most, and what their gradients cost beside
# The machine may be busier then: on a quiet one a fifth is added, and more where this process waits for a processor.
_MARGIN, _BUSIER = 1.2, 0.6
_EXIT = 1.2  # seconds: what the process needs to end


@dataclass(frozen=True, slots=True)
class EndOfRun:
    """The end of a run: what is counted, and the seconds of its parts.

    Attributes:
        settings: of the plan.
        counts: images that are looked at: ``calibrating`` the network, ``val``, ``train``, and ``measured``.
        looking: seconds of one image: read, decoded and predicted.
        exporting: seconds of the export with its proof.
        shrinking: seconds to shrink one image for the baseline.
        drawing: seconds of importing the library that draws.
        margin: by how much more than that is reserved, as a factor.
        has_features: whether the features that the head was fitted on are kept, so that calibration takes those.

    Example:
        ``EndOfRun(settings, counts, 0.01, 2.5, 2e-4, 0.6, 1.2).seconds``
    """

    settings: Settings
    counts: dict[str, int]
    looking: float
    exporting: float
    shrinking: float
    drawing: float
    margin: float
    has_features: bool = False

    @property
    def calibrating(self) -> float:
        """Seconds of calibration."""
        if self.has_features:
            return 0.0
        counts = self.counts
        least = self.looking * (counts["calibrating"] + min(LEAST_REFERENCES, counts["train"]))
        most = self.looking * (counts["val"] + min(MOST_REFERENCES, counts["train"]))
        return min(max(least, SHARE_OF_TIME * self.settings.time), most)

    @property
    def evaluating(self) -> float:
        """Seconds of evaluation, with the baseline, averaged views, and the head beside what was fine-tuned from it."""
        settings, count = self.settings, self.counts["measured"]
        looks = 1 + (settings.views if settings.views > 1 else 0)
        seconds = count * self.looking * looks + self.shrinking * (count + min(_BASELINE, self.counts["train"]))
        if settings.engine == "torch" and settings.head_first and settings.time >= COMPARED_FROM:
            seconds += min(count * self.looking, COMPARING_SHARE * settings.time)
        return seconds

    @property
    def explaining(self) -> float:
        """Seconds of explanations; a head that was trained alone has no gradients."""
        gradients = 0 if self.settings.engine == "onnxruntime" else _GRADIENTS
        return self.looking * (min(self.counts["measured"], _COVERED) + gradients)

    @property
    def reporting(self) -> float:
        """Seconds of the report."""
        return min(_MOST, max(_LEAST, _DRAWN * self.drawing)) + _ROW * self.counts["measured"]

    @property
    def seconds(self) -> float:
        """Seconds of all that, and of the end of the process."""
        parts = self.calibrating + self.exporting + self.evaluating + self.explaining + self.reporting + _EXIT
        return self.margin * parts

    def __str__(self) -> str:
        count = self.counts["measured"]
        calibrating = f"calibration {self.calibrating:.1f} s, " if self.calibrating else ""
        return (
            f"{calibrating}export {self.exporting:.1f} s, {count:,} images {self.evaluating:.1f} s, explanations "
            f"{self.explaining:.1f} s, report {self.reporting:.1f} s, and {self.margin - 1:.0%} more"
        )


def reserve_factor(waited: float, computed: float) -> float:
    """Return by how much more time than was measured is reserved.

    Args:
        waited: seconds that this process waited for a processor while it was measured.
        computed: seconds that it computed.

    Example:
        >>> reserve_factor(0, 5), reserve_factor(5, 5)
        (1.2, 1.5)
    """
    return _MARGIN + _BUSIER * max(0.0, waited) / max(1e-9, max(0.0, waited) + computed)
