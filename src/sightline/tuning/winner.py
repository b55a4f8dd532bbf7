"""The end of a search: the winner and the plain recipe are trained as usual runs, and measured on test side by side.

What ships was decided on validation before either is measured on test.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sightline.data.split import Split
from sightline.errors import RunError
from sightline.events import Event, Noted, RunStarted
from sightline.pipeline.decide import Decided
from sightline.pipeline.engine import ENGINES
from sightline.pipeline.finish import finish
from sightline.pipeline.job import Job
from sightline.pipeline.repeat import seeded_plan
from sightline.pipeline.train import describe_run, kept_status, record_data, write_report_of
from sightline.pipeline.workbench import Session
from sightline.planning.repeats import REPEATS
from sightline.reviewing.compare import compare_runs
from sightline.runs.folder import Run
from sightline.runs.writer import RunWriter
from sightline.tuning.outcome import Outcome
from sightline.tuning.seeds import describe_seeds
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
        seeds: trainings of each of the two, with other seeds; 1: the plain seed alone.
        folder: of the search, where those of further seeds lie.
    """

    job: Job
    name: str
    split: Split
    facts: dict[str, Any]
    record: dict[str, Any]
    seeds: int = 1
    folder: Path = Path()

    def place(self, role: str, number: int = 1) -> Path:
        """Return the folder of a run: ``best`` or ``plain``, and which of its seeds, from 1."""
        if number > 1:
            return self.folder / "seeds" / self.name / f"{role}-{number}"
        return Path(self.job.out) / (self.name + ("" if role == self.facts["ships"] else _SUFFIXES[role]))


def train_finals(bench: Bench, verdict: Verdict, final: Final) -> Generator[Event, None, tuple[Run, Run | None, str]]:
    """Train what ships, and the other one before it; returns both, and how they compare on the measured images.

    Args:
        bench: of the search.
        verdict: on validation; it decides what ships.
        final: names, and what is recorded.
    """
    ships = "best" if verdict.ships_best else "plain"
    other = "plain" if ships == "best" else "best"
    trials = {"best": verdict.best, "plain": verdict.plain}
    beside, runs = None, dict[str, list[Run]]()
    for role in (ships,) if verdict.best.is_plain else (other, ships):
        runs[role] = []
        words = _words(trials[role])
        if role == other:
            yield Noted(f"Training {words} again, which is measured beside what ships.")
            beside = yield from _train(bench, trials[role], final, role)
            runs[role].append(beside)
        for number in range(2, final.seeds + 1):
            yield Noted(f"Training {words} with seed {number} of {final.seeds}.")
            runs[role].append((yield from _train(bench, trials[role], final, role, number)))
    yield Noted(f"Training {_words(trials[ships])} again, which ships.")
    run = yield from _train(bench, trials[ships], final, ships, 1, runs)
    return run, beside, str(run.facts.get("search", {}).get("test", {}).get("sentence", ""))


def _words(trial: Outcome) -> str:
    return "the plain recipe" if trial.is_plain else f"trial {trial.number}"


def _train(
    bench: Bench, trial: Outcome, final: Final, role: str, number: int = 1, runs: dict[str, list[Run]] | None = None
) -> Generator[Event, None, Run]:
    """Train one as ``train`` does; one that an earlier try finished is taken as it is.

    Args:
        bench, trial, final: what is trained.
        role: ``best`` or ``plain``.
        number: of its seed, from 1: that of the search.
        runs: those that were made before the one that ships, by role; None: this is one of them.
    """
    folder, job = final.place(role, number), final.job
    found = _made_before(folder, final)
    if found is not None:
        return found
    decided = yield from bench.decide({} if trial.is_plain else trial.settings)
    decided = replace(decided, plan=seeded_plan(decided.plan, REPEATS["seeds"], number, final.seeds))
    workbench = yield from bench.set_up(decided)
    _, origin = yield from bench.fetch(decided)
    search = {**final.facts, "role": role, "trial": trial.number, **({"seed": number} if final.seeds > 1 else {})}
    facts = describe_run(job, bench.looked, decided, final.split, origin)
    own = {"chosen": _chosen(bench, trial, decided), "keep_checkpoints": False, "search": search}
    writer = RunWriter.create(folder.parent, folder.name, job.data_name, {**facts, **own})
    plan = decided.plan
    with kept_status(writer):
        writer.write_plan(plan.to_toml())
        writer.write_search(final.record)
        yield RunStarted(str(writer.run.folder))
        whole = record_data(writer, plan, bench.looked, workbench, final.split)
        yield from ENGINES[plan.settings.engine].fit(plan, workbench, Session(writer))
        headline = yield from finish(writer, plan, workbench, whole, is_counted=runs is not None)
        if runs:
            search |= yield from _compare_all(writer.run, runs, role)
            writer.update(search=search)
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


def _compare_all(run: Run, runs: dict[str, list[Run]], role: str) -> Generator[Event, None, dict[str, Any]]:
    """Return how the run that ships compares with the one beside it, and both over all of their seeds."""
    found: dict[str, Any] = {}
    for other, made in runs.items():
        if other != role and made:
            found["test"] = yield from _compare(run, made[0], role)
    if any(len(made) > (other != role) for other, made in runs.items()):
        found["seeds"] = describe_seeds({**runs, role: [run, *runs[role]]})
    return found


def _compare(run: Run, beside: Run, role: str) -> Generator[Event, None, dict[str, Any]]:
    """Return how the best trial compares with the plain recipe on the measured images."""
    plain, best = (beside, run) if role == "best" else (run, beside)
    compared = yield from compare_runs([plain, best])
    pair = compared.to_dict()["pairs"][0]
    kept = {name: value for name, value in pair.items() if not name.startswith("images_")}
    return {"sentence": compared.verdicts()[0], "images": len(compared.paths), "pair": kept}
