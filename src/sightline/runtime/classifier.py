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
from sightline.runtime.bundle import METADATA_KEY, Bundle
from sightline.runtime.onnx_session import CPU, INPUT, OUTPUTS, open_session
from sightline.runtime.predictions import Predictions

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["MODEL_FILE", "Classifier"]

MODEL_FILE = "model.onnx"
_NAMELESS = "<pixels>"


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
            ModelError: if there is no such file, it is damaged, or Sightline did not write it.
        """
        path, data = _read_model(source)
        name = str(path) if path else "<bytes>"
        try:
            session = open_session(data, threads=threads, providers=providers)
        except SightlineError:
            raise
        except Exception as error:  # onnxruntime raises types of its own for every kind of damage
            text = str(error).splitlines()[0]
            raise ModelError(
                "model.damaged", f"{name} can't be opened: {text}", "export the classifier again"
            ) from error
        metadata = session.get_modelmeta().custom_metadata_map
        if METADATA_KEY not in metadata:
            raise ModelError(
                "model.foreign",
                f"{name} was not written by Sightline: it does not say its classes and preprocessing",
                "use a model.onnx from a Sightline run",
            )
        bundle = Bundle.from_json(metadata[METADATA_KEY], source=name)
        _check_contract(session, bundle, name)
        timeless = data.replace(bundle.created.encode(), b"", 1) if bundle.created else data
        return cls(session, bundle, path, hashlib.sha256(timeless).hexdigest())

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
        max_novelty: float = 1.0,
        pool: Executor | None = None,
    ) -> Predictions:
        """Predict images; one row for each, in order, and an error row for each that can't be read.

        Args:
            images: paths, bytes of image files, Pillow images or ``[H, W, 3] uint8`` arrays; or one of them.
            min_confidence: less sure answers become ``unknown``; ``auto``: that of the bundle, chosen on validation.
            max_novelty: images that are less like the training become ``unknown``; ``math.inf``: none.
            pool: as for :meth:`squares`.

        Raises:
            InputError: for a confidence out of range, or ``auto`` where the bundle has none.

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
        max_novelty: float = 1.0,
        pool: Executor | None = None,
    ) -> Iterator[Predictions]:
        """Yield predictions batch by batch while the next images are decoded; memory stays flat. See ``predict``."""
        least = self._least_confidence(min_confidence)
        names: deque[str] = deque()

        def named() -> Iterator[Any]:
            for image in images:
                names.append(_name(image))
                yield image

        with closing(self.squares(named(), pool=pool)) as squares:
            while batch := list(islice(squares, squares_at_once(self.preprocess.size))):
                yield self.answer(batch, [names.popleft() for _ in batch]).judged(least, max_novelty)

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
            probabilities[rows], features[rows], novelty[rows] = self.run(np.stack(batch))
        return Predictions(self.classes, tuple(names) or (_NAMELESS,) * count, probabilities, features, errors, novelty)

    def run(self, pixels: RGB) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Return (probabilities ``[N, K]``, features ``[N, D]``, novelty ``[N]``), float32, of preprocessed squares.

        Args:
            pixels: ``[N, size, size, 3] uint8``, as ``preprocess.apply`` returns them; all are computed at once.
        """
        probabilities, features, novelty = self._session.run(list(OUTPUTS), {INPUT: pixels})
        return probabilities, features, novelty

    def _least_confidence(self, asked: float | Literal["auto"]) -> float:
        if asked == "auto" and self.bundle.min_confidence is None:
            message = f"no confidence keeps wrong answers below {self.bundle.target_error:.0%} for this classifier"
            raise InputError("predict.no-confidence", message, "give a number from 0 to 1")
        least = self.bundle.min_confidence if asked == "auto" else asked
        if not isinstance(least, int | float) or not 0 <= least <= 1:
            message = f"the least confidence is {asked!r}"
            raise InputError("predict.confidence", message, "give a number from 0 to 1, or auto")
        return least

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
        return path, path.read_bytes()
    except OSError as error:
        raise ModelError(
            "model.missing", f"no classifier at {path}: {error.strerror}", "train one: sightline train DATA"
        ) from error


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
        raise ModelError(
            "model.contract",
            f"{name} has inputs {inputs} of shape {shape} and outputs {widths}; "
            f"its bundle promises pixels (uint8) of {size} px and {wanted}",
            "export the classifier again",
        )
