"""``Run``: a run folder, open for reading. All names inside a run folder stand here, and nowhere else."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sightline.errors import RunError
from sightline.pixels.containers import Place, place_of
from sightline.pixels.modes import Range
from sightline.runs.array_files import read_arrays
from sightline.runs.cell import run_cell
from sightline.runs.damage import named_damage
from sightline.runs.facts_file import FACTS_FILE, read_facts
from sightline.runs.json_forms import refuse_form
from sightline.runs.kept_images import Explanations, Views
from sightline.runs.safe_files import read_columns, read_json, read_rows
from sightline.runs.unchanged import refuse_changed
from sightline.runtime.classifier import MODEL_FILE, Classifier

if TYPE_CHECKING:
    from sightline.evaluation.corruption_drops import Robustness
    from sightline.evaluation.learning_curve import LearningCurve
    from sightline.evaluation.shift import LabelledPredictions
    from sightline.planning.plan import Plan
    from sightline.runs.search_record import SearchRecord
    from sightline.runs.versions_record import VersionsRecord

__all__ = ["LOCK_FILE", "RUNS_FOLDER", "Run", "list_runs"]

RUNS_FOLDER = "runs"
LOCK_FILE = "run.lock"  # in a run folder, held by the process that writes into it


class Run:
    """A run folder, open for reading; everything is read when it is asked for.

    Args:
        folder: the run's folder.
        moved_to: where its images lie now; None: where it recorded them. ``runs.moved`` finds out whether they do.

    Raises:
        RunError: if it is not a run folder.

    Example:
        ``Run("runs/2026-11-22-photos-01").metrics["accuracy"]["value"]``
    """

    def __init__(self, folder: str | Path, *, moved_to: Path | None = None) -> None:
        self.folder = Path(folder)
        self.moved_to = moved_to
        if not self.facts_file.is_file():
            raise RunError("run.missing", f"{self.folder} is not a run folder", "sightline.list_runs() lists the runs")

    def _read(self, path: Path, read: Callable[[Path], Any]) -> Any:
        """Return what ``read`` makes of a file of the run; one that is damaged is named."""
        with named_damage(path, self.folder):
            return read(path)

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r}, status={self.status!r})"

    # -- where things lie ---------------------------------------------------------------------------------

    @property
    def facts_file(self) -> Path:
        """``run.json``."""
        return self.folder / FACTS_FILE

    @property
    def plan(self) -> Plan:
        """The plan that the run followed.

        Raises:
            RunError: if it is damaged or missing.
        """
        from sightline.planning.plan import Plan

        with named_damage(self.plan_file, self.folder):
            return Plan.from_toml(self.plan_file.read_text(encoding="utf-8"))

    @property
    def value_range(self) -> Range | None:
        """Black and white of 16-bit, 32-bit and float images; None where there was none to choose."""
        return self.plan.preprocess.value_range

    @property
    def plan_file(self) -> Path:
        """``plan.toml``."""
        return self.folder / "plan.toml"

    @property
    def samples_file(self) -> Path:
        """``data/samples.csv``."""
        return self.folder / "data" / "samples.csv"

    @property
    def split_file(self) -> Path:
        """``data/split.csv``."""
        return self.folder / "data" / "split.csv"

    @property
    def findings_file(self) -> Path:
        """``data/findings.json``."""
        return self.folder / "data" / "findings.json"

    @property
    def earlier_file(self) -> Path:
        """``data/earlier.csv``: images that the networks saw which this one started from, through all runs before."""
        return self.folder / "data" / "earlier.csv"

    @property
    def views_file(self) -> Path:
        """``data/augmented.npz``: a few training images, plain and as random changes leave them."""
        return self.folder / "data" / "augmented.npz"

    @property
    def history_file(self) -> Path:
        """``history.csv``."""
        return self.folder / "history.csv"

    @property
    def steps_file(self) -> Path:
        """``steps.csv``: one row an update of the weights."""
        return self.folder / "steps.csv"

    @property
    def tensorboard_folder(self) -> Path:
        """``tensorboard``, where TensorBoard was asked for."""
        return self.folder / "tensorboard"

    @property
    def rates_file(self) -> Path:
        """``learning_rate.csv``: what the learning rate finder saw; not there where it was not asked for."""
        return self.folder / "learning_rate.csv"

    @property
    def checkpoints_folder(self) -> Path:
        """``checkpoints``: ``best``, and ``last`` with the whole state of the training."""
        return self.folder / "checkpoints"

    @property
    def best_checkpoint(self) -> Path:
        """``checkpoints/best``: the network of the best epoch."""
        return self.folder / "checkpoints" / "best"

    @property
    def head_checkpoint(self) -> Path:
        """``checkpoints/head``: the network with the fitted head alone, before its first epoch."""
        return self.folder / "checkpoints" / "head"

    @property
    def classifier_folder(self) -> Path:
        """``classifier``: what ships."""
        return self.folder / "classifier"

    @property
    def model_file(self) -> Path:
        """``classifier/model.onnx``."""
        return self.classifier_folder / MODEL_FILE

    @property
    def weights_file(self) -> Path:
        """``classifier/model.safetensors``."""
        return self.classifier_folder / "model.safetensors"

    @property
    def predictions_file(self) -> Path:
        """``evaluation/predictions.csv``."""
        return self.folder / "evaluation" / "predictions.csv"

    @property
    def probabilities_file(self) -> Path:
        """``evaluation/probabilities.npy``."""
        return self.folder / "evaluation" / "probabilities.npy"

    @property
    def features_file(self) -> Path:
        """``evaluation/features.npy``."""
        return self.folder / "evaluation" / "features.npy"

    @property
    def metrics_file(self) -> Path:
        """``evaluation/metrics.json``."""
        return self.folder / "evaluation" / "metrics.json"

    @property
    def validation_file(self) -> Path:
        """``evaluation/validation.npz``: what the network of the best epoch predicted for validation images."""
        return self.folder / "evaluation" / "validation.npz"

    @property
    def evaluations_folder(self) -> Path:
        """``evaluations``: of the classifier on other images, a folder each."""
        return self.folder / "evaluations"

    @property
    def explanations_file(self) -> Path:
        """``evaluation/explanations.npz``: which places of a few measured images moved the score."""
        return self.folder / "evaluation" / "explanations.npz"

    @property
    def robustness_file(self) -> Path:
        """``evaluation/robustness.json``: the accuracy under changes of the measured images."""
        return self.folder / "evaluation" / "robustness.json"

    @property
    def search_file(self) -> Path:
        """``search.json``: the search that the run came from."""
        return self.folder / "search.json"

    @property
    def learning_curve_file(self) -> Path:
        """``learning_curve.json``: what more training images would be expected to give."""
        return self.folder / "learning_curve.json"

    @property
    def versions_folder(self) -> Path:
        """``versions``: smaller versions of the classifier, each a run folder of its own."""
        return self.folder / "versions"

    @property
    def versions_file(self) -> Path:
        """``versions/versions.json``: what each version costs and gives, as it was measured."""
        return self.versions_folder / "versions.json"

    @property
    def figures_folder(self) -> Path:
        """``figures``."""
        return self.folder / "figures"

    @property
    def report_file(self) -> Path:
        """``report.html``."""
        return self.folder / "report.html"

    @property
    def log_file(self) -> Path:
        """``log.txt``."""
        return self.folder / "log.txt"

    # -- what they say ------------------------------------------------------------------------------------

    @property
    def facts(self) -> dict[str, Any]:
        """``run.json``: status, versions, hardware, times, data, weights; with where the images lie now."""
        facts = read_facts(self.facts_file)
        if self.moved_to:
            facts["data_root"] = str(self.moved_to)
        return facts

    @property
    def recorded_facts(self) -> dict[str, Any]:
        """``run.json``, as it was written."""
        return read_facts(self.facts_file)

    @property
    def status(self) -> str:
        """``running``, ``interrupted``, ``failed`` or ``finished``."""
        status: str = self.facts["status"]
        return status

    @property
    def is_repeated(self) -> bool:
        """Whether this measures a recipe by several runs, which lie inside (``fold-1``, ``seed-1`` ...)."""
        from sightline.planning.repeats import REPEATS

        return self.facts.get("kind") in REPEATS

    @property
    def parts(self) -> list[Run]:
        """The finished runs inside, where there are several, in order."""
        done = [run for run in list_runs(self.folder) if run.status == "finished"]
        done = [Run(run.folder, moved_to=self.moved_to) for run in done]
        return sorted(done, key=lambda run: int(run.folder.name.rpartition("-")[2]))

    @property
    def history(self) -> dict[str, list[float]]:
        """The training's history as columns, one entry an epoch (``epoch``, ``train_loss``, ``val_loss`` ...)."""
        history: dict[str, list[float]] = self._read(self.history_file, read_columns)
        return history

    @property
    def steps(self) -> dict[str, list[float]]:
        """Every update as columns: ``step``, ``epoch``, ``loss``, ``learning_rate``, ``gradient_norm`` ..."""
        steps: dict[str, list[float]] = self._read(self.steps_file, read_columns)
        return steps

    @property
    def rates(self) -> dict[str, list[float]]:
        """What the learning rate finder saw, as columns (``learning_rate``, ``loss``); empty where it was not used."""
        rates: dict[str, list[float]] = self._read(self.rates_file, read_columns)
        return rates

    @property
    def metrics(self) -> dict[str, Any]:
        """``evaluation/metrics.json``: every metric with its interval and count.

        Raises:
            RunError: if the run was not evaluated, or the file is damaged.
        """
        from sightline.runs.metrics_file import read_metrics  # prediction needs no statistics

        if not self.metrics_file.is_file():
            raise RunError("run.not-evaluated", f"{self.folder} has no evaluation", "train to the end first")
        metrics: dict[str, Any] = self._read(self.metrics_file, read_metrics)
        return metrics

    @property
    def findings(self) -> list[dict[str, Any]]:
        """``data/findings.json``: what is wrong with the data."""
        found: list[dict[str, Any]] = self._read(self.findings_file, _read_findings)
        return found

    @property
    def views(self) -> Views | None:
        """A few training images, plain and as random changes leave them; None where none were kept."""
        arrays = self._read(self.views_file, read_arrays)
        with named_damage(self.views_file, self.folder):
            return None if arrays is None else Views(**arrays)

    @property
    def explanations(self) -> Explanations | None:
        """Which places of a few measured images moved the score; None where that was not kept."""
        arrays = self._read(self.explanations_file, read_arrays)
        with named_damage(self.explanations_file, self.folder):
            return None if arrays is None else Explanations.from_arrays(arrays)

    @property
    def validation(self) -> LabelledPredictions | None:
        """Predictions of the validation images that calibrated the classifier; None where the run kept none."""
        from sightline.evaluation.shift import LabelledPredictions

        arrays = self._read(self.validation_file, read_arrays)
        with named_damage(self.validation_file, self.folder):
            return None if arrays is None else LabelledPredictions(**arrays)

    @property
    def robustness(self) -> Robustness | None:
        """``evaluation/robustness.json``; None where it was not measured."""
        from sightline.evaluation.corruption_drops import Robustness

        if not self.robustness_file.is_file():
            return None
        with named_damage(self.robustness_file, self.folder):
            return Robustness.from_dict(read_json(self.robustness_file))

    @property
    def search(self) -> SearchRecord | None:
        """``search.json``; None for a run that no search made."""
        from sightline.runs.search_record import SearchRecord

        if not self.search_file.is_file():
            return None
        with named_damage(self.search_file, self.folder):
            return SearchRecord.from_dict(read_json(self.search_file))

    @property
    def versions(self) -> VersionsRecord | None:
        """``versions/versions.json``; None where the classifier was not made smaller."""
        from sightline.runs.versions_record import VersionsRecord

        if not self.versions_file.is_file():
            return None
        with named_damage(self.versions_file, self.folder):
            return VersionsRecord.from_dict(read_json(self.versions_file))

    @property
    def learning_curve(self) -> LearningCurve | None:
        """``learning_curve.json``; None where it was not measured, or there are too few images."""
        from sightline.evaluation.learning_curve import LearningCurve

        if not self.learning_curve_file.is_file():
            return None
        with named_damage(self.learning_curve_file, self.folder):
            return LearningCurve.from_dict(read_json(self.learning_curve_file))

    @property
    def samples(self) -> list[dict[str, str]]:
        """``data/samples.csv``, one dict an image, with its ``split`` and whether it ``leaked`` (``1``); for notebooks.

        As arrays: :func:`~sightline.runs.dataset.read_dataset`.
        """
        split_rows, own = (self._read(path, read_rows) for path in (self.split_file, self.samples_file))
        with named_damage(self.split_file, self.folder):
            rows = {row["path"]: row for row in split_rows}
            found = [(row, rows[row["path"]]) for row in own]
            return [{**row, "split": split["split"], "leaked": split.get("leaked", "0")} for row, split in found]

    @property
    def predictions(self) -> list[dict[str, str]]:
        """``evaluation/predictions.csv``, one dict an image; for notebooks.

        As arrays: :func:`~sightline.runs.measured.read_measured`.
        """
        rows: list[dict[str, str]] = self._read(self.predictions_file, read_rows)
        return rows

    def files(self, part: str) -> list[Place]:
        """Return where the images of ``train``, ``val`` or ``test`` lie, in the order of ``samples``."""
        root = Path(self.facts["data_root"])
        return [place_of(root, row["path"]) for row in self.samples if row["split"] == part]

    def trained_digests(self, parts: tuple[str, ...] = ("train", "val")) -> set[str]:
        """Return the sha256 of every image that trained the network or chose its epoch, or nearly is such a one."""
        samples = self.samples
        before = self._read(self.earlier_file, read_rows) if self.earlier_file.is_file() else []
        with named_damage(self.samples_file.parent, self.folder):
            used = {row["sha256"] for row in samples if row["split"] in parts or row["leaked"] == "1"}
            return (used | {row["sha256"] for row in before if row["split"] in parts}) - {""}

    def classifier(self) -> Classifier:
        """Open the run's classifier.

        Raises:
            RunError: if it is not the one that the run recorded.
            ModelError: as for :func:`sightline.load`.
        """
        refuse_changed(self, self.model_file)
        return Classifier.open(self.model_file)

    def _repr_html_(self) -> str:
        """Show the run in a notebook: status, headline and the history."""
        return run_cell(self.folder, self.facts, self.history)


_FINDING = {"code": str, "severity": str, "message": str, "cure": str, "cases": [{"paths": [str], "note": str}]}


def _read_findings(path: Path) -> Any:
    found = read_json(path)
    refuse_form(found, [_FINDING])
    return found


def list_runs(folder: str | Path = RUNS_FOLDER) -> list[Run]:
    """Return the runs in a folder, oldest first (by when they were started); damaged ones are left out.

    Example:
        ``[run.status for run in list_runs()]``
    """
    parent = Path(folder)
    if not parent.is_dir():
        return []
    started = {}
    for path in parent.glob(f"*/{FACTS_FILE}"):
        with contextlib.suppress(RunError):
            started[path.parent] = str(Run(path.parent).facts.get("started", ""))
    return [Run(folder) for folder in sorted(started, key=lambda folder: (started[folder], folder.name))]
