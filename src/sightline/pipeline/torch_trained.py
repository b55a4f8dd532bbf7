"""A network that torch computes, after its training."""

from __future__ import annotations

import copy
import math
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sightline.evaluation.abstain import Novelty
from sightline.events import Progressed
from sightline.pipeline.trained import Features
from sightline.pipeline.workbench import Workbench
from sightline.planning.plan import Plan

if TYPE_CHECKING:
    from sightline.exporting.parity import Exportable
    from sightline.networks.network import Network

__all__ = ["TorchTrained"]


@dataclass(frozen=True, slots=True, eq=False)
class TorchTrained:
    """See :class:`~sightline.pipeline.trained.Trained`."""

    network: Network
    plan: Plan

    @classmethod
    def load(cls, plan: Plan, classes: int, checkpoint: Path, shipped: Path) -> tuple[TorchTrained, int | None]:
        """Return (the network on its device, its epoch) from a checkpoint, or from the shipped weights.

        Raises:
            RunError: if neither exists, they are damaged, or don't fit the plan.
        """
        from sightline.training.setup import load_trained, on_device

        network, epoch = load_trained(plan.settings, classes, checkpoint, shipped)
        return cls(on_device(network, plan.settings), plan), epoch

    @property
    def feature_size(self) -> int:
        """D."""
        return self.network.feature_size

    def extract(
        self, workbench: Workbench, rows: npt.NDArray[np.intp], total: int, done: int, until: float = math.inf
    ) -> Generator[Progressed, None, Features]:
        """Return ``[N, D]`` features, by the fastest engine for ``total`` images, in fp32."""
        from sightline.training.head import extract_features
        from sightline.training.setup import make_batches

        labels, device = workbench.samples.labels[rows].tolist(), self.network.head.weight.device
        batches = make_batches(self.plan, workbench.store, rows.tolist(), labels, device)
        found: Features = yield from extract_features(self.network, batches, total, done, until=until)
        return found

    def logits(self, features: Features) -> Features:
        """Return ``[N, K]`` of ``[N, D]``."""
        weight, bias = (part.detach().cpu().numpy() for part in (self.network.head.weight, self.network.head.bias))
        logits: Features = features @ weight.T + bias
        return logits

    def graph(self, temperature: float = 1.0, novelty: Novelty | None = None) -> Exportable:
        """Return a copy for export, on the CPU."""
        from sightline.networks.onnx_graph import Graph

        return Graph(copy.deepcopy(self.network), temperature, novelty).eval().cpu()
