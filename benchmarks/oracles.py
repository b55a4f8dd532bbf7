"""Figures of evaluation beside those of libraries that Sightline does not depend on, on random and real predictions.

    PYTHONPATH=src oracles/bin/python benchmarks/oracles.py [RUN ...] [--foreign FOLDER ...]
        [--weights mobilenetv2_100.safetensors --photos FOLDER]

The libraries have an environment of their own, from which the main one can be seen:

    python -m venv oracles && ls -d $PWD/.venv/lib/py*/site-packages > $(ls -d oracles/lib/py*/site-packages)/main.pth
    oracles/bin/pip install --no-deps netcal==1.4.0 pyro-ppl==1.9.2 pyro-api==0.1.2 opt_einsum==3.4.0 mapie==1.6.0 \
        pytorch-ood==0.4.0 grad-cam==1.5.7 ttach==0.0.3 opencv-python-headless==5.0.0.93

beside numpy 2.4.6, scipy 1.17.1, scikit-learn 1.9.1, torch 2.15.0 and timm 1.0.31. RUNs are finished; novelty is
measured where the images of a run are still there. One table: ``=`` both define the same, and what is more than
rounding apart (1e-4 for temperatures, which are searched) is a fault of one of them; ``by definition`` the two mean
different things, and the remark says which; ``beside`` another method for the same question.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from novelty import look, nearest, unit
from PIL import Image
from scipy.ndimage import map_coordinates

from sightline.data.sources import find_images
from sightline.evaluation.abstain import fit_novelty, separation
from sightline.evaluation.calibration import calibration_error, fit_temperature
from sightline.evaluation.conformal import COVERAGE, choose_mass, describe_sets
from sightline.runs.folder import Run
from sightline.runtime.classifier import Classifier
from sightline.runtime.predictions import Predictions

_BINS = 15
_KNOWN, _VAL, _TEST, _FOREIGN = 1_000, 200, 200, 150
_PHOTOS, _SIDE, _STRIDE = 6, 224, 32
_UNHELD, _HELD = 200, "under 200 images ours is held back by a belief in 1"
_SAME, _OTHER, _BESIDE = "=", "by definition", "beside"

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Said:
    """Predictions for images whose labels are known: ``[N]`` and ``[N, K]``."""

    name: str
    labels: Labels
    probabilities: Shares

    @property
    def confidence(self) -> Floats:
        """``[N]``, of the predicted class."""
        highest: Floats = self.probabilities.max(1).astype(np.float64)
        return highest

    @property
    def hits(self) -> npt.NDArray[np.bool_]:
        """``[N]``, whether the predicted class is the true one."""
        right: npt.NDArray[np.bool_] = self.probabilities.argmax(1) == self.labels
        return right

    @property
    def logits(self) -> Shares:
        """``[N, K]`` that these are the softmax of."""
        return np.log(np.maximum(self.probabilities, np.float32(1e-38)))

    def only(self, rows: npt.NDArray[np.intp]) -> Said:
        """Return some of the images."""
        return Said(self.name, self.labels[rows], self.probabilities[rows])


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table."""

    method: str
    data: str
    ours: float
    theirs: float
    difference: float
    kind: str
    remark: str = ""

    def __str__(self) -> str:
        figures = f"{self.ours:.6f} | {self.theirs:.6f} | {self.difference:.1e}"
        remark = f"{self.kind}: {self.remark}" if self.remark else self.kind
        return f"| {self.method} | {self.data} | {figures} | {remark} |"


def row(method: str, data: str, ours: float, theirs: float, kind: str, remark: str = "") -> Row:
    """Return a line of two figures."""
    return Row(method, data, float(ours), float(theirs), abs(float(ours) - float(theirs)), kind, remark)


def make_random(images: int = 3_007, classes: int = 10) -> Said:
    """Return made-up predictions, surer than they should be: their best temperature is about 1.7."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, (images, classes))
    shares = [np.exp(scaled) / np.exp(scaled).sum(1, keepdims=True) for scaled in (logits, logits * 0.6)]
    labels = (shares[1].cumsum(1) > random.random((images, 1))).argmax(1)
    return Said("random", labels, shares[0].astype(np.float32))


def read_run(run: Run) -> Said:
    """Return what a run said about its measured images, without those that leaked, as its figures are."""
    rows = run.predictions
    kept = np.array([row["leaked"] != "1" and not row["error"] for row in rows])
    classes = list(run.facts["classes"])
    labels = np.array([classes.index(row["label"]) for row in rows])
    return Said(Path(run.facts["data"]).name, labels[kept], np.load(run.probabilities_file)[kept])


def by_netcal(said: Said) -> Iterator[Row]:
    """Calibration error and temperature."""
    from netcal.metrics import ECE
    from netcal.scaling import TemperatureScaling

    def theirs(of: Said, *, equal_intervals: bool) -> float:
        given = of.probabilities.astype(np.float64), of.labels
        if given[0].shape[1] == 2:  # it would measure the probability of the second class, not that of the answer
            given = of.confidence, of.hits.astype(np.int64)
        try:
            return float(ECE(_BINS, equal_intervals=equal_intervals).measure(*given))
        except ValueError:  # "The smallest edge difference is numerically 0": many equal confidences
            return float("nan")

    even = distinct(said)
    found = calibration_error(even.confidence, even.hits, _BINS)[0]
    remark = f"equal_intervals=False, {len(even.labels):,} images of distinct confidence, a multiple of the bins"
    yield row("netcal ECE", said.name, found, theirs(even, equal_intervals=False), _SAME, remark)
    found = calibration_error(said.confidence, said.hits, _BINS)[0]
    remark = "where the bins do not divide the images, quantiles between two images end them at other images"
    yield row("netcal ECE, all images", said.name, found, theirs(said, equal_intervals=False), _OTHER, remark)
    remark = "bins of equal width, its default; ours hold equally many images"
    yield row("netcal ECE, all images", said.name, found, theirs(said, equal_intervals=True), _OTHER, remark)
    logits = said.logits
    fitted = fit_temperature(logits, said.labels).fitted
    scaling = TemperatureScaling(method="mle")
    scaling.fit(said.probabilities.astype(np.float64), said.labels, random_state=0, tensorboard=False)
    kind, why = _SAME, "it gives what logits are multiplied by; inverted here"
    if len(said.labels) < _UNHELD:
        kind, why = _OTHER, _HELD
    yield row("netcal temperature", said.name, fitted, 1 / float(np.squeeze(scaling.temperature)), kind, why)


def distinct(said: Said) -> Said:
    """Return the images of distinct confidence, as many as can be divided among the bins."""
    rows = np.unique(said.confidence, return_index=True)[1]
    return said.only(rows[: len(rows) // _BINS * _BINS])


def by_mapie(said: Said) -> Iterator[Row]:
    """Sets of classes: chosen on two thirds of the images, measured on the others."""
    from mapie.classification import SplitConformalClassifier
    from mapie.conformity_scores import APSConformityScore
    from sklearn.base import BaseEstimator, ClassifierMixin

    class Given(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
        """A classifier whose inputs are its probabilities."""

        def fit(self, given: Shares, labels: Labels) -> Given:
            self.classes_ = np.arange(given.shape[1])
            return self

        def predict_proba(self, given: Shares) -> Shares:
            return given

        def predict(self, given: Shares) -> Labels:
            return np.asarray(given.argmax(1))

    class Ones(np.random.RandomState):
        """Chance that always takes off the whole probability of the last class: no randomisation."""

        def uniform(self, *arguments: Any, size: Any = None, **named: Any) -> Any:
            return np.ones(size)

    order = np.random.default_rng(0).permutation(len(said.labels))
    first, other = said.only(order[: 2 * len(order) // 3]), said.only(order[2 * len(order) // 3 :])
    mass = choose_mass(first.labels, first.probabilities)
    if mass is None:
        print(f"| MAPIE APS | {said.name} | none | | | not run: ours asks for more images |")
        return
    told = describe_sets(other.labels, other.probabilities, mass, len(first.labels))
    names = tuple(str(k) for k in range(other.probabilities.shape[1]))
    paths, empty = ("",) * len(other.labels), np.zeros((len(other.labels), 1), np.float32)
    sets = Predictions(names, paths, other.probabilities, empty, (None,) * len(paths)).sets(mass)
    ours = np.array([[name in one for name in names] for one in sets])

    def theirs(random: np.random.RandomState, last: str | bool) -> tuple[float, npt.NDArray[np.bool_]]:
        estimator = Given().fit(first.probabilities, first.labels)
        score = APSConformityScore()
        split = SplitConformalClassifier(estimator, COVERAGE, score, prefit=True, random_state=random)
        split.conformalize(first.probabilities, first.labels)
        said = split.predict_set(other.probabilities, conformity_score_params={"include_last_label": last})[1]
        return float(np.squeeze(score.quantiles_)), said[:, :, 0]

    quantile, held = theirs(Ones(), "randomized")
    remark = "conformity_score=aps, random_state that draws 1: both then count what is before the true class"
    yield row("MAPIE APS, threshold", said.name, mass, quantile, _SAME, remark)
    differ = int((ours != held).any(1).sum())
    remark = f"sets of runtime.Predictions; {differ} of {len(held):,} differ"
    largest = float(np.abs(ours.sum(1) - held.sum(1)).max())
    yield Row("MAPIE APS, mean size", said.name, float(ours.sum(1).mean()), held.sum(1).mean(), largest, _SAME, remark)
    remark = "sets as describe_sets counts them"
    yield row("MAPIE APS, mean size", said.name, told["mean_size"], held.sum(1).mean(), _SAME, remark)
    covered = held[np.arange(len(held)), other.labels].mean()
    yield row("MAPIE APS, coverage", said.name, told["coverage"]["value"], covered, _SAME, "describe_sets")
    _, held = theirs(np.random.RandomState(0), "randomized")
    covered = held[np.arange(len(held)), other.labels].mean()
    remark = f"randomised, so sets may be empty ({int((held.sum(1) == 0).sum())} are); ours are not"
    yield row("MAPIE APS, coverage", said.name, told["coverage"]["value"], covered, _OTHER, remark)
    yield row("MAPIE APS, mean size", said.name, told["mean_size"], held.sum(1).mean(), _OTHER, remark)


def by_pytorch_ood(said: Said) -> Iterator[Row]:
    """Telling wrong answers by their confidence, calibration error and temperature."""
    import torch
    from pytorch_ood.metrics.functional import calibration_error as binned
    from pytorch_ood.utils import temperature_calibration

    doubt, hits = 1 - said.confidence, said.hits
    ours = separation(doubt[hits], doubt[~hits])
    yield row("pytorch-ood AUROC", said.name, ours, auroc(doubt[hits], doubt[~hits]), _SAME, "wrong answers by doubt")
    rough = np.round(doubt, 1)
    ours = separation(rough[hits], rough[~hits])
    yield row("pytorch-ood AUROC", said.name, ours, auroc(rough[hits], rough[~hits]), _SAME, "rounded: nearly all ties")
    even = distinct(said)
    found = calibration_error(even.confidence, even.hits, _BINS)[0]
    confidence, right = torch.from_numpy(even.confidence), torch.from_numpy(even.hits)
    theirs = binned(confidence, right, p="1", beta=len(even.labels) // _BINS)
    yield row("pytorch-ood ECE", said.name, found, theirs, _SAME, "p=1; images as for netcal")
    logits = said.logits
    fitted = fit_temperature(logits, said.labels).fitted
    kind, why = (_SAME, "bisection to 1e-4") if len(said.labels) >= _UNHELD else (_OTHER, _HELD)
    yield row("pytorch-ood temperature", said.name, fitted, temperature_calibration(logits, said.labels), kind, why)


def auroc(known: npt.NDArray[Any], new: npt.NDArray[Any]) -> float:
    """Return pytorch-ood's area; its labels of what is new are negative."""
    import torch
    from pytorch_ood.metrics.functional import auroc as area

    labels = np.repeat([0, -1], [len(known), len(new)])
    return float(area(torch.from_numpy(np.concatenate([known, new])), torch.from_numpy(labels)))


def novelty_by_pytorch_ood(run: Run, foreign: list[Path]) -> Iterator[Row]:
    """Telling foreign images by the same features: our novelty, and the library's detectors beside it."""
    import torch
    from pytorch_ood.detector import KNN, Mahalanobis, ViM
    from safetensors.numpy import load_file

    classifier = Classifier.open(run.model_file, threads=1)
    known, labels = look(run, classifier, "train", _KNOWN)
    val, _ = look(run, classifier, "val", _VAL)
    test, _ = look(run, classifier, "test", _TEST)
    novelty = fit_novelty(known, labels, int(labels.max()) + 1, val)
    weights = load_file(run.weights_file)
    head = [torch.from_numpy(weights[name].astype(np.float32)) for name in ("head.weight", "head.bias")]

    def fitted(detector: Any, change: Callable[[Shares], Shares] = lambda given: given) -> Callable[[Shares], Floats]:
        before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)  # Mahalanobis's covariance: at 32 bits its inverse may be noise
        try:
            detector.fit_features(torch.from_numpy(change(known)).double(), torch.from_numpy(labels))
        finally:
            torch.set_default_dtype(before)
        return lambda asked: detector.predict_features(torch.from_numpy(change(asked)).double()).numpy()

    fifth = fitted(KNN(None, k=5))
    others = {
        "Mahalanobis": fitted(Mahalanobis(None)),
        "Mahalanobis, length one": fitted(Mahalanobis(None), unit),
        "KNN, k=5": fifth,
        "ViM": fitted(ViM(None, known.shape[1] // 2, *head)),
    }
    few = ", fewer images than features: no inverse but for its 1e-6" if len(known) <= known.shape[1] else ""
    for folder in foreign:
        paths = find_images(folder)[0]
        said = classifier.predict(paths[:: max(1, len(paths) // _FOREIGN)][:_FOREIGN])
        new = said.features[said.is_ok]
        where = f"{Path(run.facts['data']).name}, new: {folder.name}"
        asked = novelty.of(test), novelty.of(new)
        ours = separation(*asked)
        yield row("pytorch-ood AUROC", where, ours, auroc(*asked), _SAME, "our novelty")
        cosine = nearest(known, labels, val)
        remark = "benchmarks/novelty.py's fifth nearest: cosine ranks as distance does at length one"
        theirs = auroc(fifth(test), fifth(new))
        yield row("pytorch-ood KNN", where, separation(cosine(test), cosine(new)), theirs, _SAME, remark)
        for name, score in others.items():
            remark = f"ours: novelty{few if name.startswith('Maha') else ''}"
            yield row(f"pytorch-ood {name}", where, ours, auroc(score(test), score(new)), _BESIDE, remark)


def by_grad_cam(weights: Path, photos: Path) -> Iterator[Row]:
    """Maps of photos for their first answer, by the same pretrained network."""
    import timm
    import torch
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    from safetensors.torch import load_file

    from sightline.networks.gradcam import grad_cam
    from sightline.networks.network import Network

    state = {name: value.float() for name, value in load_file(weights).items()}
    plain = timm.create_model("mobilenetv2_100", num_classes=len(state["classifier.weight"]))
    plain.load_state_dict(state)
    body = timm.create_model("mobilenetv2_100", num_classes=0)
    body.load_state_dict({name: value for name, value in state.items() if not name.startswith("classifier.")})
    mean, std = plain.default_cfg["mean"], plain.default_cfg["std"]
    network = Network(body, plain.num_features, plain.num_classes, mean, std)
    network.head.load_state_dict({name: state[f"classifier.{name}"] for name in ("weight", "bias")})
    plain.eval()
    network.eval()
    pixels = read_photos(photos)
    images = (torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255 - network.mean) / network.std
    with torch.no_grad():
        classes = plain(images).argmax(1).numpy()
    ours = grad_cam(network, pixels, classes)
    cam = GradCAM(plain, [plain.get_submodule(ours.layer)])
    targets = [ClassifierOutputTarget(int(k)) for k in classes]
    theirs = cam(images, targets)
    stored = [kept[0].numpy() for kept in (cam.activations_and_grads.activations, cam.activations_and_grads.gradients)]
    small = np.maximum(cam.get_cam_image(images, cam.target_layers[0], targets, *stored), 0)
    # Convolutions of 3 by 3 and stride 2, padded by 1: the first place has its centre at pixel 0, the next 32 on.
    laid = [map_coordinates(one, np.mgrid[:_SIDE, :_SIDE] / _STRIDE, order=1, mode="nearest") for one in small]
    laid = np.stack(laid) / np.stack(laid).max((1, 2), keepdims=True)
    where = f"{len(pixels)} photos, layer {ours.layer}"
    remark = "its 7 x 7 map, laid over where receptive fields have their centres"
    yield compare_maps("grad-cam, mean of maps", where, ours.maps, laid, _SAME, remark)
    even = (np.mgrid[:_SIDE, :_SIDE] + 0.5) / _STRIDE - 0.5
    spread = np.stack([map_coordinates(one, even, order=1, mode="nearest") for one in small])
    spread /= spread.max((1, 2), keepdims=True)
    remark = "the same 7 x 7 map, enlarged evenly: all that differs is where places are laid, 15.5 pixels"
    yield compare_maps("grad-cam, mean of maps", where, ours.maps, spread, _OTHER, remark)
    remark = "its own call: evenly enlarged, and the least of each map taken off; ours keeps 0 where nothing was raised"
    yield compare_maps("grad-cam, mean of maps", where, ours.maps, theirs, _OTHER, remark)


def read_photos(folder: Path) -> npt.NDArray[np.uint8]:
    """Return a few squares."""
    paths = find_images(folder)[0]
    squares = []
    for path in paths[:: max(1, len(paths) // _PHOTOS)][:_PHOTOS]:
        with Image.open(path) as image:
            squares.append(np.asarray(image.convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC)))
    return np.stack(squares)


def compare_maps(
    method: str, data: str, ours: npt.NDArray[Any], theirs: npt.NDArray[Any], kind: str, remark: str
) -> Row:
    """Return a line of the maps' means, the largest difference of a pixel, and the least cosine."""
    flat = [maps.reshape(len(maps), -1).astype(np.float64) for maps in (ours, theirs)]
    cosines = (flat[0] * flat[1]).sum(1) / np.linalg.norm(flat[0], axis=1) / np.linalg.norm(flat[1], axis=1)
    remark = f"{remark}; cosine from {cosines.min():.6f}"
    return Row(method, data, float(ours.mean()), float(theirs.mean()), float(np.abs(ours - theirs).max()), kind, remark)


def show(library: str, make: Callable[[], Iterator[Row]]) -> None:
    """Print the rows of a library, or why there are none."""
    try:
        for one in make():
            print(one, flush=True)
    except ImportError as error:
        print(f"| {library} | | | | | not run: {error} |", flush=True)


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("runs", nargs="*")
    parser.add_argument("--foreign", nargs="*", type=Path, default=[], help="images unlike those of the runs")
    parser.add_argument("--weights", type=Path, help="of timm's mobilenetv2_100, as safetensors")
    parser.add_argument("--photos", type=Path, help="images for Grad-CAM")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")  # theirs, of what other libraries are about to change
    runs = [Run(folder) for folder in arguments.runs]
    sets = [make_random(), *(read_run(run) for run in runs)]
    print("| method | data | ours | theirs | largest difference | |\n| --- | --- | --- | --- | --- | --- |")
    tables = {"netcal": by_netcal, "MAPIE": by_mapie, "pytorch-ood": by_pytorch_ood}
    for library, measure in tables.items():
        for said in sets:
            show(library, partial(measure, said))
    for run in runs:
        if arguments.foreign and Path(run.facts["data_root"]).exists():
            show("pytorch-ood", partial(novelty_by_pytorch_ood, run, arguments.foreign))
    if arguments.weights and arguments.photos:
        show("grad-cam", partial(by_grad_cam, arguments.weights, arguments.photos))


if __name__ == "__main__":
    main()
