"""TensorBoard: an event file in the run's folder, written with TensorBoard's own writer, without torch."""

from __future__ import annotations

import io
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.events import (
    EpochEnded,
    Event,
    InputsSeen,
    MistakesSeen,
    RateFound,
    Resumed,
    RunEnded,
    StepEnded,
    ValidationMeasured,
)
from sightline.reporting.letters import drawable, key_of_numbers
from sightline.runs.folder import Run
from sightline.text import share

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["TensorboardTracker"]


class TensorboardTracker:
    """Writes scalars, images and the plan into the run's ``tensorboard/``.

    Scalars: ``Loss/train``, ``LearningRate`` and ``GradientNorm`` by step; ``Loss/val``, ``Accuracy/train`` and
    ``Accuracy/val`` by epoch. Images: ``Inputs/train`` of the first step; ``Confusion/val`` and ``Mistakes/val``
    by epoch. Texts: ``Plan``, ``Result``, ``Learning rate`` if the finder was used, and ``Classes`` if
    images show numbers for names that no installed font can draw. The file is flushed after
    each epoch, so that a killed run leaves its results so far.

    Args:
        run: the run that starts.
    """

    def __init__(self, run: Run) -> None:
        from tensorboard.plugins.hparams.summary_v2 import hparams_pb
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self.where = f"TensorBoard; to view it: tensorboard --logdir {run.tensorboard_folder}"
        self._classes = drawable(run.facts["classes"])
        self._writer = EventFileWriter(str(run.tensorboard_folder))
        plan = run.plan
        self._write(0, hparams_pb(plain_settings(plan.settings.model_dump()), trial_id=run.folder.name))
        self._write_text("Plan", _as_table(plan.rows()))
        if key := key_of_numbers(run.facts["classes"]):
            self._write_text("Classes", key)

    def show(self, event: Event) -> None:
        """Write an event."""
        match event:
            case Resumed(_, step):  # later steps in the file are not valid any more
                self._begin_again(step)
            case RateFound():
                self._write_text("Learning rate", f"{event.rate:g}, found before the training: {event.reason}")
            case StepEnded():
                self._write_scalar("Loss/train", event.loss, event.step)
                self._write_scalar("LearningRate", event.learning_rate, event.step)
                self._write_scalar("GradientNorm", event.gradient_norm, event.step)
            case InputsSeen(step, images):
                self._write_png("Inputs/train", _as_png(_tiled(images)), step)
            case ValidationMeasured():
                self._show_confusion(event)
            case MistakesSeen():
                self._show_mistakes(event)
            case EpochEnded():
                self._write_scalar("Loss/val", event.val_loss, event.epoch)
                self._write_scalar("Accuracy/train", event.train_accuracy, event.epoch)
                self._write_scalar("Accuracy/val", event.val_accuracy, event.epoch)
                self._writer.flush()
            case RunEnded():
                self._write_text("Result", event.headline)

    def close(self) -> None:
        """Write the rest and close the file."""
        self._writer.close()

    def _show_confusion(self, event: ValidationMeasured) -> None:
        from sightline.evaluation.metrics import confusion_matrix
        from sightline.reporting.figures import draw_matrix

        matrix = confusion_matrix(event.labels, event.predicted, len(self._classes))
        figure = draw_matrix(matrix, self._classes)
        if figure is not None:
            self._write_png("Confusion/val", _drawn(figure), event.epoch)

    def _show_mistakes(self, event: MistakesSeen) -> None:
        from sightline.reporting.figures import draw_images

        if len(event.images):
            rows = zip(event.labels, event.predicted, event.confidence, strict=True)
            names = self._classes
            titles = [f"predicted {names[k]} {share(sure, 0)}\ntrue {names[true]}" for true, k, sure in rows]
            self._write_png("Mistakes/val", _drawn(draw_images(list(event.images), titles)), event.epoch)

    def _write_scalar(self, tag: str, value: float, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._write(step, Summary(value=[Summary.Value(tag=tag, simple_value=value)]))

    def _write_png(self, tag: str, png: tuple[bytes, int, int], step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        data, width, height = png
        image = Summary.Image(width=width, height=height, colorspace=3, encoded_image_string=data)
        self._write(step, Summary(value=[Summary.Value(tag=tag, image=image)]))

    def _write_text(self, tag: str, markdown: str) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING
        from tensorboard.plugins.text.metadata import create_summary_metadata

        text = TensorProto(dtype=DT_STRING, string_val=[markdown.encode("utf-8", "backslashreplace")])
        metadata = create_summary_metadata(display_name=tag, description="")
        self._write(0, Summary(value=[Summary.Value(tag=tag, tensor=text, metadata=metadata)]))

    def _begin_again(self, step: int) -> None:
        """Make TensorBoard discard everything from a step on."""
        from tensorboard.compat.proto.event_pb2 import Event as Record
        from tensorboard.compat.proto.event_pb2 import SessionLog

        start = SessionLog(status=SessionLog.START)
        self._writer.add_event(Record(wall_time=time.time(), step=step, session_log=start))

    def _write(self, step: int, summary: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event as Record

        self._writer.add_event(Record(wall_time=time.time(), step=step, summary=summary))


def plain_settings(settings: dict[str, Any]) -> dict[str, bool | int | float | str]:
    """Return settings as types that every tracker accepts: numbers, booleans and text."""
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value) for name, value in settings.items()
    }


def _as_table(rows: tuple[tuple[str, str, str, str], ...]) -> str:
    lines = ["| setting | value | origin | reason |", "| --- | --- | --- | --- |"]
    return "\n".join(lines + ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows])


def _tiled(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Return ``[N, H, W, 3]`` images tiled into one, white where there are too few."""
    count, height, width, _ = images.shape
    columns = int(np.ceil(np.sqrt(count)))
    rows = -(-count // columns)
    sheet = np.full((rows * columns, height, width, 3), 255, np.uint8)
    sheet[:count] = images
    return sheet.reshape(rows, columns, height, width, 3).swapaxes(1, 2).reshape(rows * height, columns * width, 3)


def _as_png(pixels: npt.NDArray[np.uint8]) -> tuple[bytes, int, int]:
    """Return (PNG, width, height) of ``[H, W, 3]`` pixels; small images are enlarged to be visible."""
    from PIL import Image

    image = Image.fromarray(pixels)
    factor = max(1, 512 // max(image.size))
    image = image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue(), image.width, image.height


def _drawn(figure: Figure) -> tuple[bytes, int, int]:
    from PIL import Image

    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=90, facecolor="white")
    width, height = Image.open(out).size
    return out.getvalue(), width, height
