"""Features of all images: by an exported classifier, or by a pretrained network."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sightline.caches import expand_home
from sightline.checks.subject import Embedding
from sightline.data.feature_cache import cached_features
from sightline.data.samples import Samples
from sightline.data.split import Split
from sightline.errors import DataError, ModelError, RunError
from sightline.events import Event, Noted, StageEnded, StageStarted, Warned
from sightline.installation import require_extra
from sightline.machine import cpu_name, usable_threads
from sightline.pixels.cache import pixel_rules
from sightline.pixels.modes import Range
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.facts import Hardware, describe_data
from sightline.planning.plan import make_plan
from sightline.planning.recipe import Recipe
from sightline.reading.decode import decode_images
from sightline.reading.file_contents import contents_of
from sightline.reading.frozen_features import extract_frozen
from sightline.runs.folder import RUNS_FOLDER
from sightline.runs.lookup import find_classifier
from sightline.runtime.classifier import Classifier

__all__ = ["Embedder", "embed_samples", "refuse_absent_embedder"]

_RUN = "embed with a pretrained network, or leave out --range"


@dataclass(frozen=True, slots=True)
class Embedder:
    """Whose features find label errors and outliers.

    Attributes:
        model: a run, a classifier or a pretrained network; empty for none.
        weights: safetensors file for that network.
        runs: folder that holds runs.
    """

    model: str = ""
    weights: str = ""
    runs: str | Path = RUNS_FOLDER


def refuse_absent_embedder(embedder: Embedder) -> None:
    """Raise, before data are read, where what should embed is neither a classifier nor a network that can be had.

    Raises:
        SightlineError: as ``embed_samples``.
    """
    from sightline.reading.weights import refuse_absent

    if embedder.weights or _find_classifier(embedder.model, embedder.runs) is None:
        if not is_carried(embedder.model):
            require_extra("train", f"embedding with {embedder.model}")
        refuse_absent({"model": embedder.model, **({"weights": embedder.weights} if embedder.weights else {})})


def embed_samples(
    samples: Samples, split: Split, embedder: Embedder, value_range: Range | None = None
) -> Generator[Event, None, Embedding]:
    """Return features of all images.

    Args:
        samples: inspected.
        split: tells the plan how many images there are.
        embedder: a run, a classifier, or a network with pretrained weights.
        value_range: (low, high) of 16-bit, 32-bit and float images; a classifier brings its own.

    Raises:
        SightlineError: if it is neither, or its weights are not there.
    """
    model = embedder.model
    if not samples.is_ok.any():
        raise DataError("check.no-images", "no image can be read, so there is nothing to embed", "replace the files")
    yield StageStarted("Embedding", f"{len(samples):,} images by {model}")
    start = time.monotonic()
    file = None if embedder.weights else _find_classifier(model, embedder.runs)
    if file is not None:
        classifier = Classifier.open(file)
        if value_range not in (None, classifier.preprocess.value_range):
            own = classifier.preprocess.value_range
            yield Warned(
                "check.range", f"{model} was trained with the range {own}; that is used for its features", _RUN
            )
        features = yield from _by_classifier(samples, classifier)
    else:
        by = _by_carried if is_carried(model) else _by_network
        features = yield from by(samples, split, embedder, value_range)
    yield StageEnded("Embedding", f"{features.shape[1]:,} features an image", time.monotonic() - start)
    return Embedding(features, model)


def _find_classifier(model: str, runs: str | Path) -> Path | None:
    """Return the classifier of that name, or None where it must be a network's."""
    try:
        return find_classifier(model, folder=runs)
    except (RunError, ModelError) as error:
        is_path = "/" in model or Path(model).exists()  # no network is called so
        if is_path or error.code not in ("run.missing", "model.missing"):
            raise
        return None


def _by_classifier(samples: Samples, classifier: Classifier) -> Generator[Event, None, npt.NDArray[np.float32]]:
    def compute(missing: npt.NDArray[np.intp]) -> Iterator[tuple[npt.NDArray[np.intp], npt.NDArray[np.float32]]]:
        done = 0
        for predictions in classifier.predict_stream(contents_of(samples, missing)):
            yield missing[done : done + len(predictions)], predictions.features
            done += len(predictions)

    rules = {"classifier": classifier.digest, **pixel_rules(classifier.preprocess)}
    size = classifier.bundle.feature_size
    found = yield from cached_features(rules, size, samples.digests.tolist(), compute, total=len(samples))
    absent = np.full(size, np.nan, np.float32)
    return np.stack([absent if row is None else row for row in found])


def _by_carried(
    samples: Samples, split: Split, embedder: Embedder, value_range: Range | None
) -> Generator[Event, None, npt.NDArray[np.float32]]:
    """Return features of the last layer of the network that comes with Sightline; needs no torch.

    Those of its stages are computed beside them, as for a training, which finds all of them in the cache then.
    """
    from sightline.networks.carried import carried_file
    from sightline.networks.frozen import build_frozen

    require_extra("light", "embedding with a network")
    hardware = Hardware("cpu", cpu_name(), usable_threads(), "onnxruntime computes on the CPU", engine="onnxruntime")
    options = Recipe(model=embedder.model, weights=embedder.weights or None, value_range=value_range)
    plan = make_plan(Recipe(), options, describe_data(samples, split), hardware, CARRIED)
    file = expand_home(embedder.weights) if embedder.weights else carried_file()
    network = build_frozen(plan.settings, len(samples.classes), file, is_run=False)
    if not embedder.weights:
        yield Noted(f"Weights: {CARRIED.name}, carried by Sightline; licence: {CARRIED.licence}.")
    samples, store = yield from decode_images(samples, plan)
    rows = np.flatnonzero(samples.is_ok)
    found = yield from extract_frozen(network, samples, store, plan.preprocess, rows, progress=(0, len(rows)))
    last = network.feature_groups[-1]
    features = np.full((len(samples), last), np.nan, np.float32)
    features[rows] = found[:, -last:]
    return features


def _by_network(
    samples: Samples, split: Split, embedder: Embedder, value_range: Range | None
) -> Generator[Event, None, npt.NDArray[np.float32]]:
    from sightline.networks.describe import describe_network
    from sightline.reading.weights import fetch_weights
    from sightline.training.hardware import probe_hardware
    from sightline.training.head import extract_features
    from sightline.training.setup import make_batches, set_up_network

    hardware = probe_hardware(None)
    network = describe_network(embedder.model)
    options = Recipe(model=embedder.model, weights=embedder.weights or None, pretrained=True, value_range=value_range)
    plan = make_plan(Recipe(), options, describe_data(samples, split), hardware, network)
    weights, _ = yield from fetch_weights(plan.settings, network, samples.classes)
    _, store = yield from decode_images(samples, plan)
    rows = np.array([row for row in range(len(samples)) if row not in {**store.errors, **samples.errors}], np.intp)
    built = set_up_network(plan.settings, len(samples.classes), weights)
    batches = make_batches(plan, store, rows.tolist(), samples.labels[rows].tolist())
    found = yield from extract_features(built, batches, len(rows), 0, keep=True)
    found = found[:, -built.feature_groups[-1] :]
    features = np.full((len(samples), found.shape[1]), np.nan, np.float32)
    features[rows] = found
    return features
