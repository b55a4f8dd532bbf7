"""Training without torch: a head on the features of a pretrained network, which onnxruntime computes."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib.metadata import version

import numpy as np

from sightline.caches import expand_home
from sightline.errors import DeviceError
from sightline.events import Event, Warned
from sightline.machine import cpu_name, time_runs, usable_threads
from sightline.networks.carried import carried_file
from sightline.networks.frozen import build_frozen, cut_body, refuse_other_tensors
from sightline.networks.weights import find_file
from sightline.pipeline.fit_head import fit_head_alone
from sightline.pipeline.frozen_trained import FrozenTrained
from sightline.pipeline.workbench import Session, Workbench
from sightline.pixels.limits import squares_at_once
from sightline.planning.budget import SIDES, Costs, fit_seconds, surety
from sightline.planning.carried_network import CARRIED, is_carried
from sightline.planning.facts import EarlierRun, Hardware, NetworkFacts
from sightline.planning.head_in_time import LARGEST
from sightline.planning.plan import Plan
from sightline.planning.settings import Chosen, Settings
from sightline.runs.folder import Run
from sightline.runtime.classifier import MODEL_FILE
from sightline.runtime.onnx_session import INPUT, open_session

__all__ = ["FrozenEngine", "refuse_other_body"]

_LONGEST = 1.5  # seconds that measuring takes on a quiet machine


class FrozenEngine:
    """See :class:`~sightline.pipeline.engine.Engine`."""

    extra = "light"
    loading = ""

    def probe(self, device: str | None) -> Hardware:
        """Return this machine's CPU, the only device.

        Raises:
            DeviceError: for another one.
        """
        if device not in (None, "cpu"):
            message = f"without torch training runs on the CPU, not on {device!r}"
            raise DeviceError("device.missing", message, "leave out --device")
        reason = "chosen by you" if device else "onnxruntime computes on the CPU"
        return Hardware("cpu", cpu_name(), usable_threads(), reason, engine="onnxruntime")

    def describe(self, name: str, earlier: EarlierRun | None) -> NetworkFacts:
        """Return the facts of the carried network, or of an earlier run's."""
        if earlier is None:
            assert is_carried(name), "any other network was refused before"
            return CARRIED
        facts = earlier.settings
        return replace(
            CARRIED,
            name=earlier.model,
            size=facts["size"],
            resize=facts["size"],
            interpolation=facts["interpolation"],
            mean=facts["mean"],
            std=facts["std"],
            licence=earlier.licence,
        )

    def refuse_weights(self, name: str, weights: str) -> None:
        """Do nothing: a file that is not the carried network's was refused before data were read."""

    def measure(self, plan: Plan, classes: int, train: int, val: int, earlier: EarlierRun | None) -> Costs:
        """Measure the seconds of an image's features."""
        settings = plan.settings
        weights = expand_home(settings.weights) if settings.weights else carried_file()
        weights = weights if earlier is None else earlier.file
        network = build_frozen(settings, classes, weights, is_run=earlier is not None)
        session, count = open_session(network.body, threads=settings.threads), squares_at_once(settings.size)
        squares = np.zeros((count, settings.size, settings.size, 3), np.uint8)
        timing = time_runs(lambda: session.run(["features"], {INPUT: squares}), _LONGEST)
        feature = timing.seconds / count
        largest = max(settings.size, LARGEST)
        sides = tuple(side for side in SIDES if side <= largest) if is_carried(settings.model) else ()
        fit = fit_seconds(train + val, network.feature_groups, classes)
        return Costs(0.0, feature, feature, fit, sides, surety([timing]), timing.waited)

    def fit_memory(self, plan: Plan, classes: int, train: int) -> tuple[Plan, Warned | None]:
        """Return the plan: features take little memory."""
        return plan, None

    def versions(self) -> dict[str, str]:
        """Return versions of what computes features and head."""
        return {name: version(name) for name in ("numpy", "pillow", "onnxruntime", "scikit-learn")}

    def fit(self, plan: Plan, workbench: Workbench, session: Session) -> Generator[Event, None, Plan]:
        """Fit the head."""
        return (yield from fit_head_alone(plan, workbench, session))

    def open(self, run: Run, plan: Plan, classes: int) -> tuple[FrozenTrained, int | None]:
        """Return the network of the checkpoint, or of what ships."""
        return FrozenTrained.load(run, plan)

    def named_errors(self, settings: Settings) -> AbstractContextManager[None]:
        """Return a context that does nothing: a batch takes some megabytes."""
        return contextlib.nullcontext()


def refuse_other_body(chosen: Chosen, earlier: EarlierRun | None) -> None:
    """Raise, before data are read, where chosen weights are not those of a network that onnxruntime can compute.

    Raises:
        WeightsError, ModelError: if a file is not the carried network's, or a run has no graph.
    """
    if earlier is not None:
        if not is_carried(earlier.model):
            cut_body(earlier.file.with_name(MODEL_FILE), int(earlier.settings["size"]))
    elif chosen.get("weights"):
        refuse_other_tensors(find_file(str(chosen["weights"])))
