"""The end of a search: the winner and the plain recipe are trained as usual runs, and measured on test side by side.

What ships was decided on validation before either is measured on test.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sightline.data.split import Split
from sightline.errors import RunError
from sightline.events import Event, Noted, RunStarted
from sightline.pipeline.decide import Decided
from sightline.pipeline.engine import ENGINES
from sightline.pipeline.finish import finish
from sightline.pipeline.job import Job
from sightline.pipeline.train import describe_run, kept_status, record_data, write_report_of
from sightline.pipeline.workbench import Session
from sightline.reviewing.compare import compare_runs
from sightline.runs.folder import Run
from sightline.runs.writer import RunWriter
from sightline.tuning.outcome import Outcome
from sightline.tuning.trial import Bench
from sightline.tuning.verdict import Verdict

__all__ = ["Final", "train_finals"]

_SUFFIXES = {"plain": "-plain", "best": "-best"}  # of the run beside the one that ships


@dataclass(frozen=True, slots=True)
class Final:
    """What is trained in the end.

    Attributes:
        job: of the plain recipe.
        name: of the run that ships; the other one has it with ``-plain`` or ``-best``.
        split: the whole one.
        facts: of the search, that the runs record.
        record: of the search with its trials, as :class:`~sightline.runs.search_record.SearchRecord` reads it.
    """

    job: Job
    name: str
    split: Split
    facts: dict[str, Any]
    record: dict[str, Any]


def train_finals(bench: Bench, verdict: Verdict, final: Final) -> Generator[Event, None, tuple[Run, Run | None, str]]:
    """Train what ships, and the other one before it; returns both, and how they compare on the measured images.

    Args:
        bench: of the search.
        verdict: on validation; it decides what ships.
        final: names, and what is recorded.
    """
    ships = "best" if verdict.ships_best else "plain"
    trials = {"best": verdict.best, "plain": verdict.plain}
    beside = None
    if not verdict.best.is_plain:
        other = "plain" if ships == "best" else "best"
        yield Noted(f"Training {_words(trials[other])} again, which is measured beside what ships.")
        beside = yield from _train(bench, trials[other], final, final.name + _SUFFIXES[other], other)
    yield Noted(f"Training {_words(trials[ships])} again, which ships.")
    run = yield from _train(bench, trials[ships], final, final.name, ships, beside)
    return run, beside, str(run.facts.get("search", {}).get("test", {}).get("sentence", ""))


def _words(trial: Outcome) -> str:
    return "the plain recipe" if trial.is_plain else f"trial {trial.number}"


def _train(
    bench: Bench, trial: Outcome, final: Final, name: str, role: str, beside: Run | None = None
) -> Generator[Event, None, Run]:
    """Train one of the two as ``train`` does; one that an earlier try finished is taken as it is."""
    job, found = final.job, _made_before(Path(final.job.out) / name, final)
    if found is not None:
        return found
    decided = yield from bench.decide({} if trial.is_plain else trial.settings)
    workbench = yield from bench.set_up(decided)
    _, origin = yield from bench.fetch(decided)
    search = {**final.facts, "role": role, "trial": trial.number}
    facts = describe_run(job, bench.looked, decided, final.split, origin)
    own = {"chosen": _chosen(bench, trial, decided), "keep_checkpoints": False, "search": search}
    writer = RunWriter.create(job.out, name, job.data_name, {**facts, **own})
    plan = decided.plan
    with kept_status(writer):
        writer.write_plan(plan.to_toml())
        writer.write_search(final.record)
        yield RunStarted(str(writer.run.folder))
        whole = record_data(writer, plan, bench.looked, workbench, final.split)
        yield from ENGINES[plan.settings.engine].fit(plan, workbench, Session(writer))
        headline = yield from finish(writer, plan, workbench, whole, is_counted=role == final.facts["ships"])
        if beside is not None:
            pair = yield from _compare(writer.run, beside, role)
            writer.update(search={**search, "test": pair})
        yield from write_report_of(writer, headline)
    writer.drop_checkpoints()
    return writer.run


def _chosen(bench: Bench, trial: Outcome, decided: Decided) -> dict[str, Any]:
    values = {} if trial.is_plain else trial.settings
    return {**decided.recipe.chosen, **bench.options_with(values).chosen}


def _made_before(folder: Path, final: Final) -> Run | None:
    """Return the finished run of this search in a folder; what was left unfinished there is removed."""
    if not (folder / "run.json").is_file():
        return None
    run = Run(folder)
    if run.facts.get("search", {}).get("id") != final.facts["id"]:
        raise RunError("run.exists", f"{folder} exists already, and is not of this search", "give another --name")
    if run.status == "finished":
        return run
    RunWriter.open(run).discard()
    return None


def _compare(run: Run, beside: Run, role: str) -> Generator[Event, None, dict[str, Any]]:
    """Return how the best trial compares with the plain recipe on the measured images."""
    plain, best = (beside, run) if role == "best" else (run, beside)
    compared = yield from compare_runs([plain, best])
    pair = compared.to_dict()["pairs"][0]
    kept = {name: value for name, value in pair.items() if not name.startswith("images_")}
    return {"sentence": compared.verdicts()[0], "images": len(compared.paths), "pair": kept}
