"""A search, from a job to a finished run: trials until the budget is used, then the winner beside the plain recipe."""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import shutil
import time
from collections import Counter
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sightline.caches import cache_limit
from sightline.data.split import Split
from sightline.data.units import number_units
from sightline.errors import InputError, StopRequested
from sightline.events import Event, Noted, Planned, Progressed, RunEnded, StageEnded, StageStarted, TrialEnded, Warned
from sightline.installation import require_extra
from sightline.pipeline.decide import Decided, decide
from sightline.pipeline.engine import ENGINES, engine_of
from sightline.pipeline.job import Job
from sightline.pipeline.look import Looked, look
from sightline.planning.settings import Settings
from sightline.runs.folder import Run
from sightline.steps import Steps
from sightline.text import count_of, duration
from sightline.tuning.budget import Budget, shorter_trials
from sightline.tuning.fit_space import suggest_space
from sightline.tuning.folders import SearchFolder, find_folder, find_result, is_elsewhere
from sightline.tuning.folds import measure
from sightline.tuning.job import SearchJob, refuse_search
from sightline.tuning.networks_here import comparable_networks
from sightline.tuning.outcome import Outcome, completed, settings_words
from sightline.tuning.sampling import importance_of
from sightline.tuning.space import STRENGTH, Space, describe_space
from sightline.tuning.storage import JOURNAL, open_storage, without_password
from sightline.tuning.study import Asked, Study
from sightline.tuning.table import read_search, write_best, write_search, write_trials, write_units
from sightline.tuning.trial import Bench
from sightline.tuning.verdict import Verdict, judge
from sightline.tuning.winner import Final, train_finals
from sightline.tuning.workers import Crew, share_machine, watch_workers, words_of_workers

__all__ = ["Searching", "search_job", "try_all"]

_LEAST_FAILED, _MOST_FAILED = 5, 0.5  # trials that failed, and their share, from which on a space is given up
_TABLE_SECONDS = 1.0  # how often the table is written while trials are fast
_POLL = 0.2  # seconds between looks at the trials of others


@dataclass(slots=True)
class Searching:
    """A search while it runs."""

    search: SearchJob
    place: SearchFolder
    study: Study
    bench: Bench
    space: Space
    budget: Budget
    facts: dict[str, Any]
    written: float = field(default=0.0)

    @property
    def count(self) -> int:
        """Images that measure a trial."""
        return len(self.bench.val)

    @property
    def images(self) -> str:
        """What these images are, in words."""
        return f"images in {self.bench.folds} folds" if self.bench.folds else "validation images"

    def write(self, **facts: Any) -> None:
        """Write down what is known of the search, and its table."""
        self.facts |= {"seconds": round(self.budget.spent(), 1), **facts}
        write_search(self.place.folder, self.facts)
        write_trials(self.place.folder, self.study.outcomes(), self.space, self.count)
        self.written = time.monotonic()


def search_job(search: SearchJob) -> Generator[Event, None, Run]:
    """Search; returns the run that ships. One that joins a search which another process began returns its run.

    Whatever ends it early, the study keeps every finished trial, and the same command goes on.
    """
    require_extra("tune", "a search")
    job, plain = search.job, search.plain
    given = refuse_search(search)
    require_extra(ENGINES[engine_of(plain)].extra, "training")
    cache_limit()
    place = find_folder(search)
    looked, (split, *_) = yield from look(job)
    decided, planned, closing = yield from _decide(plain, looked)
    before = read_search(place.folder)
    space = given if given is not None else _suggest(decided.plan.settings, plain, before)
    _refuse_space(space, plain, decided)
    bench = Bench(plain.options, looked, decided, search.folds or 0)
    spent, training = before.get("seconds", 0.0), planned.seconds or 0.0
    trainings = len(bench.parts), search.seeds or 1
    budget = Budget(job.started, search.limit, spent, training, closing, *trainings, planned.least)
    budget.refuse_too_short(shorter_trials(decided.plan.settings))
    yield Noted(f"Space: {describe_space(space)}.")
    if search.workers == 1:
        each = count_of(decided.plan.settings.threads, "thread")
        yield Noted(f"Workers: 1, since a trial computes with {each} already; --workers N makes N trials at a time.")
    study = Study(
        place.folder, open_storage(place.folder, search.storage), place.name, space, _facts(search, bench, space)
    )
    try:
        return (yield from _go(Searching(search, place, study, bench, space, budget, {}), split))
    finally:
        study.close()


def _decide(plain: Job, looked: Looked) -> Generator[Event, None, tuple[Decided, Planned, float]]:
    """Return the plain recipe's plan, what its training takes, and the seconds of what comes after it."""
    steps, planned, closing = Steps(decide(plain, looked)), Planned((), None), 0.0
    for event in steps:
        if isinstance(event, Planned):
            planned, closing = event, max(0.0, event.around - (time.monotonic() - plain.started))
        yield event
    return steps.result, planned, closing


def _suggest(settings: Settings, plain: Job, before: Mapping[str, Any]) -> Space:
    """Return the space where none was given; a search that goes on keeps the networks that it began with."""
    return suggest_space(settings, plain.options.chosen, comparable_networks(settings, before.get("space")))


def _refuse_space(space: Space, plain: Job, decided: Decided) -> None:
    """Raise ``InputError`` for dials that the plain recipe leaves nothing to turn at, or that a person typed."""
    if not space:
        raise InputError(
            "tune.space", "everything that is searched by default was given", "leave out an option, or give --space"
        )
    for dial in space:
        if dial.name in plain.options.chosen:
            message = f"{dial.name} is given as an option, and is in the space"
            raise InputError("tune.space", message, "leave it out of one of them")
        if dial.name == STRENGTH and not decided.plan.settings.epochs:
            message = "augmentation is in the space, and a head alone is trained without it"
            raise InputError(
                "tune.space", message, "leave it out of the space, or train more than the head: --epochs 3"
            )
        for value in dial.ends() if dial.name == "model" else ():
            ENGINES[decided.plan.settings.engine].describe(str(value), None)


def _facts(search: SearchJob, bench: Bench, space: Space) -> dict[str, Any]:
    """Return what a search is about: one that was begun with other facts is not continued."""
    looked, chosen = bench.looked, search.plain.chosen
    parts = zip(looked.samples.digests.tolist(), looked.split.parts.tolist(), strict=True)
    left_out = ("device", "threads")
    return {
        "version": version("sightline"),
        "data": looked.samples.fingerprint(),
        "split": hashlib.sha256(repr(sorted(parts)).encode()).hexdigest(),
        "classes": list(looked.samples.classes),
        "measured": f"{search.folds} folds" if search.folds else "the validation images",
        "space": {dial.name: dial.to_dict() for dial in space},
        "chosen": {name: value for name, value in chosen.items() if name not in left_out},
    }


def _go(state: Searching, split: Split) -> Generator[Event, None, Run]:
    """Make trials; whoever holds the search's lock makes the end of it, the others wait for that."""
    place, search, study = state.place, state.search, state.study
    place.share(study.lead_lock())
    is_owner, made = place.own(), study.result()
    before = read_search(place.folder)
    if is_owner and before.get("status") == "finished" and not _asks_for_more(search, before):
        yield Noted(f"The search {place.name} is finished, and nothing was changed; --new starts another beside it.")
        return Run(Path(search.job.out) / before["run"])
    if is_owner and is_elsewhere(made, before) and not _asks_for_more(search, made):
        return (yield from find_result(place, made))
    if not is_owner:
        yield Noted(f"Another process leads the search {place.name}: this one joins it.")
    state.facts = {"name": place.name, "id": place.id_of(before), **_described(state), "status": "running"}
    if is_owner:
        state.write()
        write_units(place.folder, number_units(state.bench.looked.samples, state.bench.val))
    try:
        yield from try_all(state) if search.workers == 1 else _try_with_workers(state)
        while not place.own():
            time.sleep(_POLL)
            yield Progressed(0, 0, "trials")
        after = read_search(place.folder)
        if not is_owner and after.get("status") == "finished":
            return Run(Path(search.job.out) / after["run"])
        if not is_owner and study.result() != made:
            return (yield from find_result(place, study.result()))
        state.facts["id"] = place.id_of(after)
        yield from _wait_for_others(state)
        return (yield from _end(state, split))
    except BaseException as error:
        stopped = isinstance(error, StopRequested | KeyboardInterrupt | SystemExit | GeneratorExit)
        if place.is_owned:
            with contextlib.suppress(Exception):
                state.write(status="interrupted" if stopped else "failed", error=str(error) or type(error).__name__)
        raise
    finally:
        place.release()


def _asks_for_more(search: SearchJob, before: Mapping[str, Any]) -> bool:
    """Whether a budget is larger than that of the finished search."""
    trials, limit = before.get("budget", (None, 0.0))
    more_seeds = (search.seeds or 1) > before.get("seeds", 1)
    return (search.trials or 0) > (trials or 0) or search.limit > (limit or 0.0) or more_seeds


def _described(state: Searching) -> dict[str, Any]:
    search, settings = state.search, state.bench.decided.plan.settings
    return {
        "storage": without_password(search.storage) if search.storage else str(state.study.folder / JOURNAL),
        "study": state.study.name,
        "sampler": search.sampler,
        "pruner": _pruner(search, settings),
        "folds": state.bench.folds,
        "budget": [search.trials, search.limit],
        "seeds": search.seeds or 1,
        "space": {dial.name: dial.to_dict() for dial in state.space},
        "validation_images": state.count,
    }


def _pruner(search: SearchJob, settings: Settings) -> str:
    return search.pruner or ("halving" if _steps(search, settings) > 1 else "none")


def _steps(search: SearchJob, settings: Settings) -> int:
    """Return after how many folds or epochs a trial can be compared with others."""
    return search.folds or settings.epochs


def try_all(state: Searching) -> Generator[Event, None, None]:
    """Make trials until the budget is used, every combination was tried, or most of them fail."""
    study, search, settings = state.study, state.search, state.bench.decided.plan.settings
    study.choose(search.sampler, _pruner(search, settings), _steps(search, settings), settings.seed)
    plain = {dial.name: _plain_value(dial.name, settings) for dial in state.space}
    plain = {dial.name: plain[dial.name] for dial in state.space if dial.contains(plain[dial.name])}
    total = f"{search.trials} trials" if search.trials else f"trials for {duration(search.limit)}"
    yield StageStarted(
        "Searching", f"{total}, {count_of(len(state.space), 'setting')}, on {state.count:,} {state.images}"
    )
    start = time.monotonic()
    while state.budget.has_time_for(study.outcomes()):
        asked = study.ask(search.trials, plain)
        if asked is None:
            break
        outcome = yield from _try_one(state, asked)
        yield _shown(state, outcome)
        _refuse_failing(study.outcomes())
        yield Progressed(len(study.outcomes()), search.trials or 0, "trials")
    yield _ended(state, start)


def _ended(state: Searching, start: float) -> StageEnded:
    """Write the table; return how many trials came to what."""
    if state.place.is_owned:
        state.write()
    done = Counter(outcome.state for outcome in state.study.outcomes())
    words = ", ".join(f"{count} {name}" for name, count in done.items())
    return StageEnded("Searching", words, time.monotonic() - start)


def _try_with_workers(state: Searching) -> Generator[Event, None, None]:
    """Let workers make the trials, as ``try_all`` does; this process shows what they come to."""
    search, study, start = state.search, state.study, time.monotonic()
    shares = share_machine(state.bench, search.workers)
    yield words_of_workers(shares)
    yield from state.bench.set_up(state.bench.decided)  # images are decoded once, and not by each worker
    total = f"{search.trials} trials" if search.trials else f"trials for {duration(search.limit)}"
    yield StageStarted("Searching", f"{total}, {count_of(len(state.space), 'setting')}, {len(shares)} workers")
    about = {
        "name": study.name,
        "trials": search.trials,
        "sampler": search.sampler,
        "pruner": search.pruner,
        "folds": search.folds,
        "space": {dial.name: dial.to_dict() for dial in state.space},
        "facts": _facts(search, state.bench, state.space),
    }

    def start_workers(folder: Path) -> Crew:
        return Crew(folder, shares, search.storage)

    def show(outcome: Outcome) -> Event:
        _refuse_failing(study.outcomes())
        return _shown(state, outcome)

    yield from watch_workers(study, state.bench, state.budget, about, start_workers, show)
    yield _ended(state, start)


def _plain_value(name: str, settings: Settings) -> Any:
    return 1.0 if name == STRENGTH else getattr(settings, name)


def _try_one(state: Searching, asked: Asked) -> Generator[Event, None, Outcome]:
    """Make one trial, and keep what came of it."""
    study, start = state.study, time.monotonic()
    if asked.same_as is not None:
        same = asked.same_as
        words = same.reason or f"the same settings as in trial {same.number}"
        return study.tell(
            asked, Outcome(-1, same.state, words, score=same.score, loss=same.loss, epoch=same.epoch, hits=same.hits)
        )
    outcomes, step = study.outcomes(), "fold" if state.bench.folds else "epoch"

    def watch(epoch: int | None, accuracy: float) -> tuple[str, str]:
        if state.budget.is_over(outcomes, time.monotonic() - start) and not asked.is_plain:
            return "pruned", "the time was over"
        if epoch is not None and study.report(asked, epoch, accuracy):
            return "pruned", f"behind other trials after {step} {epoch}"
        return "", ""

    values = {} if asked.is_plain else asked.settings
    folder = state.place.folder / "scratch" / f"trial-{asked.number}"
    try:
        steps = Steps(measure(state.bench, values, folder, watch))
        for event in steps:
            yield event
            if isinstance(event, StageEnded):  # images were decoded as this trial sees them
                yield StageStarted("Searching", f"trial {asked.number}")
        return study.tell(asked, steps.result)
    except BaseException as error:
        reason = (
            "it was stopped"
            if isinstance(error, StopRequested | KeyboardInterrupt | SystemExit)
            else "its process ended"
        )
        study.give_up(asked, reason)
        raise


def _shown(state: Searching, outcome: Outcome) -> TrialEnded:
    """Return a trial's line, and write the table now and then."""
    if state.place.is_owned and time.monotonic() - state.written > _TABLE_SECONDS:
        state.write()
    scores = [one.score for one in state.study.outcomes() if one.score is not None and one.number != outcome.number]
    is_best = outcome.score is not None and outcome.score > max(scores, default=-1.0)
    words = "the plain recipe" if outcome.is_plain else settings_words(outcome.settings)
    return TrialEnded(outcome.number, outcome.state, outcome.words(), words, outcome.seconds, is_best)


def _refuse_failing(outcomes: list[Outcome]) -> None:
    """Raise ``InputError`` where the plain recipe fails, or most trials do.

    Raises:
        InputError: with the most frequent reason.
    """
    plain = next((one for one in outcomes if one.is_plain and one.state == "failed"), None)
    if plain is not None:
        cure = "mend the recipe first: sightline train DATA with the same options"
        raise InputError("tune.plain", f"the plain recipe itself fails: {plain.reason}", cure)
    ended = [one for one in outcomes if one.state in ("complete", "pruned", "failed") and not one.is_plain]
    reasons = Counter(one.reason for one in ended if one.state == "failed")
    failed = sum(reasons.values())
    if failed >= _LEAST_FAILED and failed > _MOST_FAILED * len(ended):
        (reason, times), *_ = reasons.most_common(1)
        message = f"{failed} of {len(ended)} trials failed, {times} of them with: {reason}"
        raise InputError("tune.failing", message, "take such settings out of the --space, and start over with --new")


def _wait_for_others(state: Searching) -> Generator[Event, None, None]:
    """Let the trials of other processes end; what they lose is tried here."""
    outcomes = state.study.outcomes()
    while state.study.count_alive() and not (completed(outcomes) and state.budget.is_over(outcomes, 0.0)):
        time.sleep(_POLL)
        outcomes = state.study.outcomes()
        yield Progressed(0, 0, "trials")
    if state.study.count_waiting() and state.budget.has_time_for(state.study.outcomes()):
        yield from try_all(state)


def _end(state: Searching, split: Split) -> Generator[Event, None, Run]:
    """Judge the trials, train the winner beside the plain recipe, and write down what came out."""
    start = time.monotonic()
    samples, place = state.bench.looked.samples, state.place
    verdict = judge(state.study.outcomes(), state.count, number_units(samples, state.bench.val), state.images)
    if verdict is None:
        message = "the plain recipe has not been trained to its end: nothing can be compared"
        raise InputError("tune.no-trial", message, "give more --time")
    yield Noted(verdict.sentence())
    _write_best(state, verdict)
    name = place.result_name(state.facts["id"])
    counts = dict(Counter(outcome.state for outcome in state.study.outcomes()))
    about = {"id": state.facts["id"], "name": place.name, "folder": os.path.relpath(place.folder, state.search.job.out)}
    facts = {**about, **verdict.to_dict(), "trials": counts}
    known = facts, _recorded(state, verdict)
    final = Final(state.search.plain, name, split, *known, state.search.seeds or 1, place.folder)
    run, beside, words = yield from train_finals(state.bench, verdict, final)
    if words:
        yield Noted(f"On the measured images: {words}")
    if seeds := run.facts.get("search", {}).get("seeds"):
        yield Noted(seeds["sentence"])
    ends = {"run": run.folder.name, "beside": beside.folder.name if beside else None, "test": words}
    if state.study.is_shared:
        kept = {"folder": str(run.folder.resolve()), "id": state.facts["id"], "budget": state.facts["budget"]}
        state.study.keep_result({**kept, "host": platform.node(), "pid": os.getpid()})
    state.write(status="finished", verdict=verdict.to_dict(), **ends)
    shutil.rmtree(place.folder / "scratch", ignore_errors=True)
    spent = state.budget.spent()
    if state.search.limit and spent > state.search.limit:
        over = f"the search took {duration(spent - state.search.limit)} more than its {duration(state.search.limit)}"
        cure = "give more time, or keep other jobs off this machine"
        yield Warned("run.over-time", over, cure)
    yield RunEnded(str(run.folder), f"{run.facts['headline']}; {time.monotonic() - start:.0f} s after the search")
    return run


def _recorded(state: Searching, verdict: Verdict) -> dict[str, Any]:
    """Return what the run keeps of the search, for its report."""
    trials = [outcome.to_dict() for outcome in state.study.outcomes() if outcome.state != "running"]
    kept = [{name: value for name, value in trial.items() if name not in ("hits", "worker")} for trial in trials]
    known = {"name": state.place.name, "seconds": round(state.budget.spent(), 1), **_described(state)}
    return {
        **known,
        **verdict.to_dict(),
        "importance": importance_of(state.study.outcomes(), state.space),
        "trials": kept,
    }


def _write_best(state: Searching, verdict: Verdict) -> None:
    """Write the recipe of the best trial; it is the plain one where none is better."""
    best = verdict.best
    options = state.bench.options_with({} if best.is_plain else best.settings).chosen
    chosen = {**state.bench.decided.recipe.chosen, **options}
    kept = {name: value for name, value in chosen.items() if name not in ("device", "threads", "time", "seed")}
    write_best(state.place.folder, kept, f"trial {best.number} of the search {state.place.name}")
