"""What computes networks in a training: torch, or onnxruntime with a head alone; the steps in which they differ."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sightline.errors import InputError
from sightline.events import Event, Warned
from sightline.installation import install_command, missing_modules, require_extra
from sightline.pipeline.frozen_engine import FrozenEngine, refuse_other_body
from sightline.pipeline.job import Job
from sightline.pipeline.torch_engine import TorchEngine
from sightline.pipeline.trained import Trained
from sightline.pipeline.workbench import Session, Workbench
from sightline.planning.budget import Costs
from sightline.planning.facts import EarlierRun, Hardware, NetworkFacts
from sightline.planning.head_alone import refuse_torch_settings
from sightline.planning.plan import Plan
from sightline.planning.settings import Chosen, Settings
from sightline.runs.earlier import find_earlier
from sightline.runs.folder import Run
from sightline.text import did_you_mean

__all__ = ["ENGINES", "Engine", "choose_engine", "engine_of", "find_engine", "refuse_for_head"]


class Engine(Protocol):
    """What a training needs to be computed by.

    Attributes:
        extra: whose packages it needs.
        loading: what it does first, in words, where that takes seconds.
    """

    extra: str
    loading: str

    def probe(self, device: str | None) -> Hardware:
        """Return the machine: with the device asked for, or the best.

        Raises:
            DeviceError: if there is no such device.
        """

    def describe(self, name: str, earlier: EarlierRun | None) -> NetworkFacts:
        """Return the facts of a network, or of an earlier run's.

        Raises:
            InputError: if there is no such network.
        """

    def refuse_weights(self, name: str, weights: str) -> None:
        """Raise ``WeightsError`` where a safetensors file is not of the network of that name."""

    def measure(self, plan: Plan, classes: int, train: int, val: int, earlier: EarlierRun | None) -> Costs:
        """Return what a plan costs on this machine."""

    def fit_memory(self, plan: Plan, classes: int, train: int) -> tuple[Plan, Warned | None]:
        """Return a plan that fits into the memory, and what was changed for that."""

    def versions(self) -> dict[str, str]:
        """Return the versions of what affects the numbers."""

    def fit(self, plan: Plan, workbench: Workbench, session: Session) -> Generator[Event, None, Plan]:
        """Train; the best epoch is in the run's folder then. Returns the plan, which may have changed on the way."""

    def open(self, run: Run, plan: Plan, classes: int) -> tuple[Trained, int | None]:
        """Return the network of a run's best epoch, and its epoch; of a finished run, None."""

    def named_errors(self, settings: Settings) -> AbstractContextManager[None]:
        """Return a context in which a lack of memory raises ``TrainingError`` with a cure."""


ENGINES: dict[str, Engine] = {"torch": TorchEngine(), "onnxruntime": FrozenEngine()}


def choose_engine(chosen: Chosen, earlier: EarlierRun | None) -> tuple[str, str]:
    """Return (engine, reason): the one that was asked for, or torch where it is installed.

    Args:
        chosen: settings that a person chose.
        earlier: the run that ``weights`` names, if it is one.

    Raises:
        InputError: for another name, or for a setting that the engine does not have.
        MissingExtra: if its packages are not installed.
    """
    asked = chosen.get("engine")
    if asked is not None and asked not in ENGINES:
        cure = did_you_mean(str(asked), ENGINES, f"give {' or '.join(ENGINES)}")
        raise InputError("plan.bad-value", f"there is no engine {asked!r}", cure)
    missing = missing_modules("train")
    if asked is None and missing and "torch" not in missing:
        require_extra("train", "training with torch, which is here,")
    name = asked or ("onnxruntime" if missing else "torch")
    require_extra(ENGINES[name].extra, "training")
    if name == "torch":
        return name, "chosen by you" if asked else "it is installed, and trains whole networks"
    why, cure = _why_head_alone()
    refuse_torch_settings(chosen, earlier, why, cure)
    refuse_other_body(chosen, earlier)
    if not missing:
        return name, "chosen by you"
    more = "fine-tuning, other networks, augmentation and GPUs"
    return name, f"{why}; it would add {more}: {install_command('train')}"


def _why_head_alone() -> tuple[str, str]:
    """Return why a training is without torch, and what to do where it should not be, in words."""
    missing = missing_modules("train")
    if missing:
        return f"{missing[0]} is not installed", f"install it: {install_command('train')}"
    return "engine = onnxruntime", "give --set engine=torch"


def engine_of(job: Job) -> str:
    """Return the engine of a new training.

    Raises:
        SightlineError: as ``choose_engine``; or if ``weights`` names a run that has none.
    """
    return choose_engine(job.chosen, find_earlier(job.chosen.get("weights", ""), folder=job.out))[0]


def refuse_for_head(job: Job, engine: str) -> None:
    """Raise ``InputError`` for what makes no sense where a head alone is trained: several processes, or seeds."""
    if engine == "torch":
        return
    why, cure = _why_head_alone()
    if job.devices not in ("", "1"):
        message = f"--devices {job.devices}, but {why}: one process fits the head"
        raise InputError("plan.needs-torch", message, f"leave out --devices; or {cure}")
    if job.seeds:
        message = f"--seeds {job.seeds}, but {why}: a head on frozen features comes out the same with each seed"
        more = f"give --folds {max(2, job.seeds)} to see how much results vary with the data"
        raise InputError("plan.needs-torch", message, f"{more}; or {cure}")


def find_engine(name: str, formats: Sequence[str] = ("onnx",)) -> Engine:
    """Return the engine of a plan; torch where a run of another one ships in further formats that need it."""
    if set(formats) == {"onnx"}:
        return ENGINES[name]
    from sightline.exporting.formats import need_network

    return ENGINES["torch" if need_network(formats) else name]
