"""Explain images: Grad-CAM where the run's network is at hand, occlusion by the file that ships as a cross-check."""

from __future__ import annotations

import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.data.samples import Samples
from sightline.errors import InputError, ModelError, SightlineError, UnreadableImage
from sightline.evaluation.agreement import map_agreement
from sightline.evaluation.result import Evaluation
from sightline.events import Event, Noted, Progressed, StageEnded, StageStarted, Warned
from sightline.installation import missing_modules, require_extra
from sightline.pixels.containers import Place
from sightline.pixels.decode import RGB
from sightline.reading.file_contents import contents_of
from sightline.reporting.explained import Explained
from sightline.runs.kept_images import Explanations
from sightline.runs.lookup import run_of_classifier
from sightline.runs.unchanged import refuse_changed
from sightline.runs.writer import RunWriter
from sightline.runtime.classifier import Classifier
from sightline.runtime.occlusion import MOST_CELLS, count_positions, occlusion_map
from sightline.text import did_you_mean, listed

if TYPE_CHECKING:
    from sightline.networks.network import Network

__all__ = ["METHODS", "Wish", "choose_examples", "explain_images", "explain_some"]

METHODS = ("auto", "gradcam", "occlusion")
MOST_IMAGES = 256
_EXAMPLES = 4  # mistakes, and as many right ones
_CELLS = (7, 6, 5, 4)  # of the occlusion of these, a side: as many as the images measured pay for
_KEPT_SIDE = 128  # px of the images that a run keeps


@dataclass(frozen=True, slots=True)
class Wish:
    """What is to be explained, and how.

    Attributes:
        method: ``gradcam``, ``occlusion``, or ``auto``: both, or occlusion alone where the network is not at hand.
        class_name: explain this class; empty: each image's most probable one.
        cells: of the occlusion, a side.

    Raises:
        InputError: for another method, or a number of cells out of range.
    """

    method: str = "auto"
    class_name: str = ""
    cells: int = 7

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise InputError("explain.method", f"there is no method {self.method!r}", f"use {', '.join(METHODS)}")
        if not 3 <= self.cells <= MOST_CELLS:
            raise InputError(
                "explain.cells", f"{self.cells} cells a side are not possible", f"give a count from 3 to {MOST_CELLS}"
            )


def explain_images(
    classifier: Classifier, images: Sequence[Any], wish: Wish
) -> Generator[Event, None, tuple[Explained, ...]]:
    """Return one explanation an image, in order; an error row for each that can't be read.

    Raises:
        InputError: for more than 256 images, or a class that the classifier does not know.
        ModelError: if Grad-CAM was asked for and the classifier is outside its run, or its network has no map.
        MissingExtra: if Grad-CAM was asked for and torch is not installed.
    """
    if len(images) > MOST_IMAGES:
        raise InputError(
            "explain.count",
            f"{len(images):,} images are too many to explain one by one",
            f"name {MOST_IMAGES} or fewer: the mistakes of a run, for example",
        )
    label = _find_class(classifier, wish.class_name)
    network = None
    if wish.method != "occlusion":
        network = yield from _find_network(classifier, must=wish.method == "gradcam")
    cells = 0 if wish.method == "gradcam" else wish.cells
    yield StageStarted("Explaining", f"{len(images):,} images by {_said(network is not None, cells)}")
    start, explained = time.monotonic(), []
    for position, (image, square) in enumerate(zip(images, classifier.squares(images), strict=True)):
        if isinstance(square, UnreadableImage):
            explained.append(Explained(_name(image), error=square.reason))
        else:
            explained.append(explain_square(classifier, network, square, _name(image), label, cells))
        yield Progressed(position + 1, len(images), "images")
    bad = sum(one.error is not None for one in explained)
    yield StageEnded("Explaining", f"{len(images) - bad:,} explained, {bad:,} unreadable", time.monotonic() - start)
    return tuple(explained)


def explain_square(
    classifier: Classifier, network: Network | None, square: RGB, name: str, label: int | None, cells: int
) -> Explained:
    """Return the explanation of one square: Grad-CAM with a network, occlusion with cells (0: none).

    A network that has no map is left to occlusion.

    Raises:
        ModelError: if it has none, and there is no occlusion.
    """
    answer = classifier.answer(square[None]).probabilities[0]
    best = int(answer.argmax())
    label = best if label is None else label
    gradcam, layer, fall, agreement = None, "", None, None
    if network is not None:
        from sightline.networks.gradcam import grad_cam

        try:
            cam = grad_cam(network, square[None], np.array([label]))
            gradcam, layer = cam.maps[0], cam.layer
        except ModelError:
            if not cells:
                raise
    if cells:
        fall = occlusion_map(classifier, square, label, cells=cells)
    if gradcam is not None and fall is not None:
        agreement = map_agreement(gradcam, fall, cells)
    names = classifier.classes
    return Explained(name, names[label], float(answer[label]), names[best], square, gradcam, fall, layer, agreement)


def explain_some(
    writer: RunWriter, samples: Samples, rows: npt.NDArray[np.intp], evaluation: Evaluation
) -> Generator[Event, None, None]:
    """Keep explanations of eight measured images in the run: the four worst mistakes and four typical right ones.

    What it costs is bounded: eight gradients, and for the cross-check by occlusion never more predictions than the
    evaluation itself took, so some of the eight may go without. A training without torch is explained without it, even
    where torch is installed. It never ends a run: what fails is a warning.

    Args:
        writer: of a run that has its classifier.
        samples: inspected.
        rows: positions in ``samples`` of the evaluation's images.
        evaluation: of these.
    """
    yield StageStarted("Explaining", "a few measured images")
    start, run, chosen = time.monotonic(), writer.run, choose_examples(evaluation)
    enough = (cells for cells in _CELLS if count_positions(cells) * len(chosen) <= len(rows))
    cells = next(enough, _CELLS[-1])
    try:
        classifier = run.classifier()
        if run.plan.settings.engine == "onnxruntime":  # loading torch for a few maps takes longer than such a training
            network = None
            yield Noted("By occlusion alone: the training went without torch.")
        else:
            network = yield from _find_network(classifier, must=False)
        most = len(rows) // count_positions(cells)  # images that are covered
        explained: list[Explained] = []
        kept: list[int] = []
        squares = classifier.squares(contents_of(samples, rows[chosen]))
        for place, square in zip(chosen, squares, strict=True):
            if isinstance(square, UnreadableImage):
                continue
            covers = cells if len(explained) < most else 0
            if network is not None or covers:
                explained.append(explain_square(classifier, network, square, str(place), None, covers))
                kept.append(int(place))
        if explained:
            writer.write_explanations(_kept(explained, evaluation, kept))
    except (SightlineError, RuntimeError, MemoryError) as error:
        yield Warned("explain.failed", f"no explanations in the report: {error}", "try sightline explain RUN IMG")
        return
    yield StageEnded("Explaining", f"{len(explained)} images", time.monotonic() - start)


def choose_examples(evaluation: Evaluation) -> npt.NDArray[np.intp]:
    """Return rows of an evaluation: up to four surest mistakes, then up to four right ones of typical confidence.

    The right ones are of different classes, the largest first; of each class the one of median confidence.
    """
    predictions, labels = evaluation.predictions, evaluation.labels
    used = np.flatnonzero(predictions.is_ok & ~evaluation.leaked)
    best = predictions.probabilities[used].argmax(1) if len(used) else np.zeros(0, np.intp)
    confidence = predictions.probabilities[used, best]
    is_right = best == labels[used]
    wrong = np.flatnonzero(~is_right)
    wrong = wrong[np.argsort(-confidence[wrong], kind="stable")][:_EXAMPLES]
    right = []
    counts = np.bincount(labels[used][is_right], minlength=len(predictions.classes))
    for label in np.argsort(-counts, kind="stable")[:_EXAMPLES]:
        own = np.flatnonzero(is_right & (labels[used] == label))
        if len(own):
            right.append(own[np.argsort(confidence[own], kind="stable")[len(own) // 2]])
    return used[np.array([*wrong, *right], np.intp)]


def _kept(explained: list[Explained], evaluation: Evaluation, rows: list[int]) -> Explanations:
    predictions = evaluation.predictions

    def maps(name: str) -> npt.NDArray[np.uint8] | None:
        """Return those of the first images; the images after them have none."""
        made = [one.maps.get(name) for one in explained]
        small = [_small((255 * values).round().astype(np.uint8)) for values in made if values is not None]
        return np.stack(small) if small else None

    return Explanations(
        images=np.stack([_small(one.image) for one in explained]),
        paths=np.array([predictions.paths[row] for row in rows]),
        labels=evaluation.labels[rows],
        predicted=predictions.probabilities[rows].argmax(1),
        confidence=predictions.probabilities[rows].max(1),
        agreement=np.array([np.nan if one.agreement is None else one.agreement for one in explained]),
        layer=explained[0].layer,
        gradcam=maps("gradcam"),
        occlusion=maps("occlusion"),
    )


def _small(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    from PIL import Image

    if len(pixels) <= _KEPT_SIDE:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((_KEPT_SIDE, _KEPT_SIDE), Image.Resampling.BILINEAR))


def _find_class(classifier: Classifier, name: str) -> int | None:
    if not name:
        return None
    if name not in classifier.classes:
        cure = did_you_mean(name, classifier.classes, f"it knows {listed(list(classifier.classes), 8)}", most=3)
        raise InputError("explain.class", f"the classifier does not know class {name!r}", cure)
    return classifier.classes.index(name)


def _find_network(classifier: Classifier, *, must: bool) -> Generator[Event, None, Network | None]:
    """Return the network behind a classifier; where it is not at hand, None with a note, or an error if it must be."""
    run = run_of_classifier(classifier.path)
    why = ""
    if run is None or not run.weights_file.is_file():
        why = "the classifier is outside its run, or its model.safetensors is missing"
    elif missing_modules("train"):
        why = "the [train] extra is not installed"
    if not why:
        assert run is not None
        from sightline.training.setup import load_shipped

        refuse_changed(run, run.plan_file, run.weights_file)
        return load_shipped(run.plan.settings, len(classifier.classes), run.weights_file)
    if must:
        if run is not None:
            require_extra("train", "Grad-CAM")
        raise ModelError("explain.no-weights", f"Grad-CAM needs the network: {why}", "give --method occlusion")
    yield Noted(f"By occlusion alone: {why}.")
    return None


def _said(has_network: bool, cells: int) -> str:
    methods = ["Grad-CAM"] * has_network + [f"occlusion, {count_positions(cells)} predictions each"] * bool(cells)
    return " and ".join(methods)


def _name(image: Any) -> str:
    return str(image) if isinstance(image, str | Place) else str(getattr(image, "filename", "") or "<pixels>")
