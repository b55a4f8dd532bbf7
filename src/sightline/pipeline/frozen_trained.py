"""A head on the features of a frozen network, after its training without torch."""

from __future__ import annotations

import math
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.evaluation.abstain import Novelty
from sightline.events import Progressed
from sightline.networks.frozen import FrozenNetwork
from sightline.pipeline.trained import Features
from sightline.pipeline.workbench import Workbench
from sightline.planning.plan import Plan
from sightline.reading.frozen_features import count_extracted, extract_frozen
from sightline.runs.checkpoint_files import read_checkpoint, write_checkpoint
from sightline.runs.folder import Run

if TYPE_CHECKING:
    from sightline.exporting.parity import Exportable

__all__ = ["FrozenTrained"]

_WEIGHTS, _BODY = "model.safetensors", "body.onnx"


@dataclass(frozen=True, slots=True, eq=False)
class FrozenTrained:
    """See :class:`~sightline.pipeline.trained.Trained`."""

    network: FrozenNetwork
    plan: Plan

    @classmethod
    def load(cls, run: Run, plan: Plan) -> tuple[FrozenTrained, int | None]:
        """Return (the network, its epoch 0) from a run's checkpoint, or (the network, None) from what it ships.

        Raises:
            RunError, WeightsError, ModelError: if neither is there, or they are damaged.
        """
        if (run.best_checkpoint / "manifest.json").is_file() or not run.weights_file.is_file():
            files, _ = read_checkpoint(run.best_checkpoint)
            tensors, body = files[_WEIGHTS], run.best_checkpoint / _BODY
            return cls(FrozenNetwork.read(tensors, plan.settings, body), plan), 0
        return cls(FrozenNetwork.read(run.weights_file.read_bytes(), plan.settings, run.model_file), plan), None

    def save(self, run: Run, loss: float, accuracy: float) -> None:
        """Write the network as the run's best checkpoint; loss in nats and accuracy are those on validation.

        Raises:
            RunError: if the disk is full or can't be written.
        """
        files = {_WEIGHTS: self.network.weights(), _BODY: self.network.body}
        write_checkpoint(run.best_checkpoint, files, {"epoch": 0, "val_loss": loss, "val_accuracy": accuracy})

    @property
    def feature_size(self) -> int:
        """D."""
        return self.network.feature_size

    def extract(
        self, workbench: Workbench, rows: npt.NDArray[np.intp], total: int, done: int, until: float = math.inf
    ) -> Generator[Progressed, None, Features]:
        """Return ``[N, D]`` features, from the cache where they are there."""
        threads = self.plan.settings.threads
        samples, store, preprocess = workbench.samples, workbench.store, self.plan.preprocess
        extracting = extract_frozen(
            self.network, samples, store, preprocess, rows, threads=threads, progress=(done, total), until=until
        )
        return self.network.scaled((yield from extracting))

    def count_missing(self, workbench: Workbench, rows: npt.NDArray[np.intp]) -> int:
        """Return of how many images the features are not in the cache."""
        return len(rows) - count_extracted(self.network, workbench.samples, self.plan.preprocess, rows)

    def logits(self, features: Features) -> Features:
        """Return ``[N, K]`` of ``[N, D]``."""
        return self.network.logits(features)

    def graph(self, temperature: float = 1.0, novelty: Novelty | None = None) -> Exportable:
        """Return what is exported."""
        from sightline.networks.frozen_graph import FrozenGraph

        return FrozenGraph(self.network, temperature, novelty)
