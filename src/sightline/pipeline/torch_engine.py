"""Training with torch: whole networks, on any device."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager

from sightline.caches import expand_home
from sightline.events import Event, Warned
from sightline.installation import import_library
from sightline.pipeline.fit import fit
from sightline.pipeline.torch_trained import TorchTrained
from sightline.pipeline.workbench import Session, Workbench
from sightline.planning.budget import Costs
from sightline.planning.facts import EarlierRun, Hardware, NetworkFacts
from sightline.planning.plan import Plan
from sightline.planning.settings import Settings
from sightline.process_settings import kept_memory
from sightline.runs.folder import Run

__all__ = ["TorchEngine"]


class TorchEngine:
    """See :class:`~sightline.pipeline.engine.Engine`. Torch is imported when a method first needs it."""

    extra = "train"
    loading = "loading torch"

    def probe(self, device: str | None) -> Hardware:
        """Return the machine as torch sees it."""
        import_library("torch")
        from sightline.training.hardware import probe_hardware

        return probe_hardware(device)

    def describe(self, name: str, earlier: EarlierRun | None) -> NetworkFacts:
        """Return the facts of one of our own or any timm network."""
        from sightline.networks.describe import describe_network

        return describe_network(name)

    def refuse_weights(self, name: str, weights: str) -> None:
        """Raise where a file lacks tensors of one of timm's networks."""
        from sightline.networks.build import refuse_unfit_file

        refuse_unfit_file(name, expand_home(weights))

    def measure(self, plan: Plan, classes: int, train: int, val: int, earlier: EarlierRun | None) -> Costs:
        """Measure real steps on random images."""
        from sightline.training.estimate import measure_costs

        with kept_memory():  # as in the training
            return measure_costs(plan.settings, classes, train, val)

    def fit_memory(self, plan: Plan, classes: int, train: int) -> tuple[Plan, Warned | None]:
        """Divide batches where the memory is small."""
        from sightline.training.memory import fit_memory

        return fit_memory(plan, classes, train)

    def versions(self) -> dict[str, str]:
        """Return versions, torch's first."""
        from sightline.training.setup import versions

        return versions()

    def fit(self, plan: Plan, workbench: Workbench, session: Session) -> Generator[Event, None, Plan]:
        """Train the planned network."""
        with kept_memory():
            return (yield from fit(plan, workbench, session))

    def open(self, run: Run, plan: Plan, classes: int) -> tuple[TorchTrained, int | None]:
        """Return the network of the best checkpoint, or of what ships."""
        return TorchTrained.load(plan, classes, run.best_checkpoint, run.weights_file)

    def named_errors(self, settings: Settings) -> AbstractContextManager[None]:
        """Name a lack of memory."""
        from sightline.training.update import named_errors

        return named_errors(settings)
