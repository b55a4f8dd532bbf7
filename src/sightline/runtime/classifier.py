"""``model.onnx`` opened for prediction, with everything that belongs to it."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from sightline.errors import InputError, ModelError, SightlineError, UnreadableImage
from sightline.pixels.containers import Place
from sightline.pixels.decode import RGB
from sightline.pixels.limits import squares_at_once
from sightline.pixels.preprocess import Preprocess
from sightline.pixels.stream import squares_of
from sightline.runtime.answers import find_wrong_answer
from sightline.runtime.bundle import Bundle
from sightline.runtime.graph_size import check_model
from sightline.runtime.model_parts import refuse_model
from sightline.runtime.onnx_session import CPU, INPUT, OUTPUTS, open_session
from sightline.runtime.predictions import Predictions
from sightline.text import one_line, printable, readable_bytes

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["MODEL_FILE", "Classifier"]

MODEL_FILE = "model.onnx"
_NAMELESS = "<pixels>"
_MOST_BYTES = 2**31  # of a message of Protocol Buffers


class Classifier:
    """A trained classifier: pixels in, probabilities out. Needs no torch.

    Example:
        ``sightline.load("latest").predict(["photo.jpg"])[0].label``
    """

    def __init__(
        self, session: onnxruntime.InferenceSession, bundle: Bundle, path: Path | None, digest: str = ""
    ) -> None:
        self._session = session
        self.bundle = bundle
        self.path = path
        self._opened_from: tuple[Path | bytes, int, tuple[str, ...]] | None = None
        self.digest = digest  # sha256 of the file without its date: what is exported again is the same classifier

    @classmethod
    def open(cls, source: str | Path | bytes, *, threads: int = 0, providers: Sequence[str] = (CPU,)) -> Classifier:
        """Open a ``model.onnx``, a folder that holds one, or the bytes of one.

        Args:
            source: the file, its folder, or its content.
            threads: threads of one prediction; 0: one a physical core, or fewer where this process may use fewer.
            providers: onnxruntime's names of what may compute, the preferred one first.

        Raises:
            InputError: if a provider is not there.
            ModelError: if there is no such file, it is damaged, Sightline did not write it, or it asks for more than
                a network of images needs, such as loops, or answers with what no classifier can say, such as NaN.
        """
        path, data = _read_model(source)
        name = str(path) if path else "<bytes>"
        bundle = check_model(data, name)
        try:
            session = open_session(data, threads=threads, providers=providers)
        except SightlineError:
            raise
        except Exception as error:  # onnxruntime raises types of its own for every kind of damage
            message = f"{name} can't be opened: {one_line(error)}"
            raise ModelError("model.damaged", message, "export the classifier again") from error
        _check_contract(session, bundle, name)
        timeless = data.replace(bundle.created.encode(), b"", 1) if bundle.created else data
        opened = cls(session, bundle, path, hashlib.sha256(timeless).hexdigest())
        opened._opened_from = (path.resolve() if path else data, threads, tuple(providers))
        opened.run(_probe(bundle.preprocess.size))
        return opened

    def __reduce__(self) -> tuple[Any, ...]:
        """Let ``pickle`` and ``copy`` carry where it was opened from: the path, or the bytes; it is opened there again.

        Raises:
            TypeError: if it was not made by :meth:`open`.
        """
        if self._opened_from is None:
            raise TypeError("a Classifier that Classifier.open did not make can't be copied")
        return _open_again, (*self._opened_from, self.digest)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.bundle.classes

    @property
    def preprocess(self) -> Preprocess:
        """How a decoded image becomes the network's input."""
        return self.bundle.preprocess

    def predict(
        self,
        images: Iterable[Any] | str | Place | bytes,
        *,
        min_confidence: float | Literal["auto"] = 0.0,
        max_novelty: float | Literal["auto"] = "auto",
        pool: Executor | None = None,
    ) -> Predictions:
        """Predict images; one row for each, in order, and an error row for each that can't be read.

        Args:
            images: paths, bytes of image files, Pillow images or ``[H, W, 3] uint8`` arrays; or one of them.
            min_confidence: less sure answers become ``unknown``; ``auto``: that of the bundle, chosen on validation.
            max_novelty: images that are less like the training become ``unknown``; ``auto``: that of the bundle, which
                has none where validation was too small; ``math.inf``: none.
            pool: as for :meth:`squares`.

        Raises:
            InputError: for a confidence or novelty out of range, or ``auto`` where the bundle has no confidence.

        Example:
            ``classifier.predict(["a.jpg", "b.jpg"]).to_csv()``
        """
        is_image = hasattr(images, "convert") or (isinstance(images, np.ndarray) and images.ndim < 4)
        many = [images] if isinstance(images, str | Place | bytes) or is_image else images
        limits: dict[str, Any] = {"min_confidence": min_confidence, "max_novelty": max_novelty}
        parts = list(self.predict_stream(many, pool=pool, **limits))
        return Predictions.join(parts) if parts else self.answer([])

    def predict_stream(
        self,
        images: Iterable[Any],
        *,
        min_confidence: float | Literal["auto"] = 0.0,
        max_novelty: float | Literal["auto"] = "auto",
        pool: Executor | None = None,
    ) -> Iterator[Predictions]:
        """Yield predictions batch by batch while the next images are decoded; memory stays flat. See ``predict``."""
        least, most = self._least_confidence(min_confidence), self._most_novelty(max_novelty)
        names: deque[str] = deque()

        def named() -> Iterator[Any]:
            for image in images:
                names.append(_name(image))
                yield image

        with closing(self.squares(named(), pool=pool)) as squares:
            while batch := list(islice(squares, squares_at_once(self.preprocess.size))):
                yield self.answer(batch, [names.popleft() for _ in batch]).judged(least, most)

    def squares(
        self, images: Iterable[Any], *, pool: Executor | None = None
    ) -> Generator[RGB | UnreadableImage, None, None]:
        """Yield what the network sees of each image, in order: the first step of a prediction.

        Args:
            images: as for :meth:`predict`; they are taken as they are needed, and decoded two batches ahead.
            pool: of threads or processes that decode; it stays open. None: threads of their own, as many as this
                process may use.

        Yields:
            ``[size, size, 3] uint8``, or the ``UnreadableImage`` that says why there is none.

        Example:
            ``classifier.answer(list(classifier.squares(["a.jpg", "b.jpg"]))).probabilities``
        """
        return squares_of(self.preprocess, images, pool=pool, ahead=2 * squares_at_once(self.preprocess.size))

    def answer(
        self, squares: Sequence[RGB | UnreadableImage] | npt.NDArray[np.uint8], names: Sequence[str] = ()
    ) -> Predictions:
        """Predict squares: the second step of a prediction.

        Args:
            squares: as :meth:`squares` yields them, or ``[N, size, size, 3] uint8``; they are predicted in batches of a
                size that suits a CPU.
            names: of the images, for the rows; by default ``<pixels>`` each.

        Returns:
            A row for each; an error row for each ``UnreadableImage``. None is judged, see ``Predictions.judged``.

        Raises:
            ModelError: as for :meth:`run`.

        Example:
            ``classifier.answer(np.zeros((2, 224, 224, 3), np.uint8)).probabilities``
        """
        count = len(squares)
        probabilities = np.full((count, len(self.classes)), np.nan, np.float32)
        features = np.full((count, self.bundle.feature_size), np.nan, np.float32)
        novelty = np.full(count, np.nan, np.float32)
        errors = tuple(square.reason if isinstance(square, UnreadableImage) else None for square in squares)
        good = [row for row in range(count) if errors[row] is None]
        size = squares_at_once(self.preprocess.size)
        for rows in (good[first : first + size] for first in range(0, len(good), size)):
            batch: Any = [squares[row] for row in rows]
            try:
                outputs = self.run(np.stack(batch))
            except ModelError as error:
                raise self._blamed(error, batch, [names[row] for row in rows] if names else []) from error
            probabilities[rows], features[rows], novelty[rows] = outputs
        return Predictions(self.classes, tuple(names) or (_NAMELESS,) * count, probabilities, features, errors, novelty)

    def run(self, pixels: RGB) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``), float32, of preprocessed squares.

        Args:
            pixels: ``[N, size, size, 3] uint8``, as ``preprocess.apply`` returns them; all are computed at once.

        Raises:
            ModelError: if the model can't compute them, or answers with what no classifier can say, such as NaN.
        """
        name, cure = self.path or "<bytes>", "export the classifier again: sightline export RUN; or train again"
        try:
            outputs = self._session.run(list(OUTPUTS), {INPUT: pixels})
        except Exception as error:  # onnxruntime raises types of its own
            raise ModelError("model.failed", f"{name} can't compute its answers: {one_line(error)}", cure) from error
        wrong = find_wrong_answer(outputs, len(pixels), len(self.classes), self.bundle.feature_size)
        if wrong:
            raise ModelError("model.answers", f"{name} answers with {wrong}", cure)
        probabilities, features, novelty = outputs
        return probabilities, features, novelty

    def _blamed(self, error: ModelError, batch: Sequence[RGB], names: Sequence[str]) -> ModelError:
        """Return the error with the name of the first image that causes it."""
        for square, name in zip(batch, names, strict=False):
            try:
                self.run(square[None])
            except ModelError as alone:
                return ModelError(alone.code, f"{alone.message}, for {printable(name)}", alone.cure)
        return error

    def _least_confidence(self, asked: float | Literal["auto"]) -> float:
        if asked == "auto" and self.bundle.min_confidence is None:
            message = f"no confidence keeps wrong answers below {self.bundle.target_error:.0%} for this classifier"
            raise InputError("predict.no-confidence", message, "give a number from 0 to 1")
        least = self.bundle.min_confidence if asked == "auto" else asked
        if not isinstance(least, int | float) or not 0 <= least <= 1:
            message = f"the least confidence is {asked!r}"
            raise InputError("predict.confidence", message, "give a number from 0 to 1, or auto")
        return least

    def _most_novelty(self, asked: float | Literal["auto"]) -> float:
        if asked == "auto":
            return self.bundle.novelty_limit
        if not isinstance(asked, int | float) or not asked >= 0:
            raise InputError("predict.novelty", f"the largest novelty is {asked!r}", "give a number from 0 on, or auto")
        return asked

    def __repr__(self) -> str:
        shown = ", ".join(self.classes[:5]) + (", ..." if len(self.classes) > 5 else "")
        return f"Classifier({self.bundle.model}, {len(self.classes)} classes: {shown})"


def _name(image: Any) -> str:
    if isinstance(image, str | Place):
        return str(image)
    return str(getattr(image, "filename", "") or _NAMELESS)


def _read_model(source: str | Path | bytes) -> tuple[Path | None, bytes]:
    if isinstance(source, bytes):
        return None, source
    path = Path(source)
    if path.is_dir():
        path = path / MODEL_FILE
    try:
        size = path.stat().st_size
        if size > _MOST_BYTES or not path.is_file():
            why = f"it takes {readable_bytes(size)}" if path.is_file() else "it is not a file"
            raise refuse_model(str(path), why)
        return path, path.read_bytes()
    except OSError as error:
        raise ModelError(
            "model.missing", f"no classifier at {path}: {error.strerror}", "train one: sightline train DATA"
        ) from error


def _open_again(source: Path | bytes, threads: int, providers: tuple[str, ...], digest: str) -> Classifier:
    """Open what another process had opened.

    Raises:
        ModelError: if another classifier is there by now.
    """
    classifier = Classifier.open(source, threads=threads, providers=providers)
    if classifier.digest != digest:
        message = f"{source!s} is not the classifier any more that was opened there before"
        raise ModelError("model.changed", message, "open it again where it is used")
    return classifier


def _probe(size: int) -> npt.NDArray[np.uint8]:
    """Return one square of every level, for a look at what the model answers."""
    return (np.arange(3 * size**2) % 251).astype(np.uint8).reshape(1, size, size, 3)


def _check_contract(session: onnxruntime.InferenceSession, bundle: Bundle, name: str) -> None:
    """Compare the graph's inputs and outputs with what the bundle promises."""
    inputs = [(i.name, i.type) for i in session.get_inputs()]
    widths = {o.name: o.shape[-1] if len(o.shape) > 1 else 1 for o in session.get_outputs()}
    wanted = {"probabilities": len(bundle.classes), "features": bundle.feature_size, "novelty": 1}
    size = bundle.preprocess.size
    shape = session.get_inputs()[0].shape[1:] if inputs else []
    fits = len(shape) == 3 and all(
        side == given or isinstance(side, str | None) for side, given in zip(shape, (size, size, 3), strict=True)
    )
    is_pixels = inputs == [(INPUT, "tensor(uint8)")]
    if not is_pixels or not fits or any(widths.get(key) != value for key, value in wanted.items()):
        found = one_line(printable(f"inputs {inputs} of shape {shape} and outputs {widths}"), 400)
        raise ModelError(
            "model.contract",
            f"{name} has {found}; its bundle promises pixels (uint8) of {size} px and {wanted}",
            "export the classifier again",
        )
