"""The study of a search: Optuna's, in a journal or a database; asked for settings, told what came of them."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from sightline.errors import InputError
from sightline.tuning.differences import difference_of
from sightline.tuning.heartbeat import Heart, Silence
from sightline.tuning.outcome import Outcome
from sightline.tuning.sampling import count_points, decoded, draw, encoded, make_pruner, make_sampler
from sightline.tuning.shared_locks import SharedLock, find_lock
from sightline.tuning.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["Asked", "Study"]

_FACTS, _OUTCOME, _PLAIN, _WORKER, _RETRY = "sightline", "outcome", "plain", "worker", "retry_of"
_RESULT = "result"
_LOST = "its process was stopped or killed"
_MOST_TRIES = 4  # of settings whose process is gone each time: after that they are to blame


@dataclass(frozen=True, slots=True)
class Asked:
    """A trial that this process is to make.

    Attributes:
        trial: Optuna's.
        number: in the study.
        settings: dial -> value.
        is_plain: whether it is the plain recipe, whatever ``settings`` are.
        retry_of: number of the lost trial that it repeats.
        same_as: a trial of the same settings that ended before; None: there is none.
    """

    trial: optuna.Trial
    number: int
    settings: dict[str, Any]
    is_plain: bool
    retry_of: int | None
    same_as: Outcome | None


class Study:
    """Optuna's study, and the locks that tell which of its trials are alive.

    Args:
        folder: of the search.
        storage: of ``open_storage``.
        name: of the study in it.
        space: what is searched.
        facts: what the search is about; one that was begun with others is refused.
        worker: number of this process among those that one search started, from 1; 0: it is not one of them.

    Raises:
        InputError: if the study there is about other data, another space, recipe or version.
    """

    def __init__(
        self,
        folder: Path,
        storage: BaseStorage,
        name: str,
        space: Space,
        facts: Mapping[str, Any],
        worker: int = 0,
    ) -> None:
        import optuna

        self._worker = worker
        self.folder, self.name, self.space, self._storage = folder, name, space, storage
        self._token = f"{os.getpid()}-{os.urandom(4).hex()}"
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        self._lock_file = (folder / "workers" / f"{self._token}.lock").resolve()
        self._alive = FileLock(self._lock_file, fallback_to_soft=False)
        self._alive.acquire()
        self._heart, self._silence = Heart(storage), Silence()
        self._mutex = find_lock(storage, folder, name, "study")
        with self._mutex, _quiet():
            self._study = optuna.create_study(
                storage=storage, study_name=name, direction="maximize", load_if_exists=True
            )
            before = self._study.user_attrs.get(_FACTS)
            if before is None:
                self._study.set_user_attr(_FACTS, dict(facts))
            elif told := difference_of(before, facts):
                message = f"the search {name} was begun with something else: {told}"
                raise InputError("tune.differs", message, "give --new to start another beside it, or undo the change")

    def choose(self, sampler: str, pruner: str, epochs: int, seed: int) -> None:
        """Say how settings are drawn, and which trials are stopped early.

        Raises:
            InputError: if a grid is too large.
        """
        trials = len(self._study.get_trials(deepcopy=False))
        with _quiet():
            # A search that goes on must not draw again what it drew from the same seed before.
            # Nor must processes that begin together; a search by one process is repeated by its seed.
            own = self._worker or (os.getpid() % 1000 if self.count_alive() else 0)
            self._study.sampler = make_sampler(sampler, self.space, seed + 1000 * trials + own)
            self._study.pruner = make_pruner(pruner, epochs)

    def close(self) -> None:
        """Let others see that this process makes no more trials."""
        self._heart.close()
        self._alive.release()
        self._lock_file.unlink(missing_ok=True)

    def lead_lock(self) -> SharedLock | None:
        """Return the lock of who makes the result, where other machines may take part; None: the folder's is enough."""
        return find_lock(self._storage, self.folder, self.name, "lead") if self.is_shared else None

    @property
    def is_shared(self) -> bool:
        """Whether the study is in a database, and so in reach of processes that don't see the search's folder."""
        return hasattr(self._storage, "engine")

    def result(self) -> dict[str, Any]:
        """Return where the result of the search was made last; empty: nowhere so far."""
        return dict(self._study.user_attrs.get(_RESULT, {}))

    def keep_result(self, result: Mapping[str, Any]) -> None:
        """Let all processes know where the result is."""
        self._study.set_user_attr(_RESULT, dict(result))

    def outcomes(self) -> list[Outcome]:
        """Return every trial that was begun, in order."""
        import optuna

        waiting = optuna.trial.TrialState.WAITING
        return [self._outcome(trial) for trial in self._trials() if trial.state != waiting]

    def ask(self, most: int | None, plain: Mapping[str, Any]) -> Asked | None:
        """Return the next trial, or None: there are ``most``, or every combination was tried.

        Args:
            most: trials in all, lost ones left out; None: no limit.
            plain: values of the plain recipe, for those dials whose range has them; it is the first trial.
        """
        with self._mutex, _quiet():
            self._begin(plain)
            self._give_back_lost()
            begun = [outcome for outcome in self.outcomes() if outcome.state != "lost"]
            if (most is not None and len(begun) >= most) or self._is_exhausted(begun):
                return None
            trial = self._study.ask()
            own = {"host": platform.node(), "pid": os.getpid(), "lock": str(self._lock_file)}
            trial.set_user_attr(_WORKER, {"token": self._token, **own})
            attributes = trial.user_attrs
            is_plain = bool(attributes.get(_PLAIN))
            dials = [dial for dial in self.space if not is_plain or dial.name in plain]
            settings = {dial.name: draw(trial, dial) for dial in dials}
        self._heart.beat_for(self._key_of(trial.number))
        ended = (one for one in begun if one.state in ("complete", "failed") and not one.is_plain)
        same = None if is_plain else next((one for one in ended if one.settings == settings), None)
        return Asked(trial, trial.number, settings, is_plain, attributes.get(_RETRY), same)

    def report(self, asked: Asked, epoch: int, accuracy: float) -> bool:
        """Note an epoch's accuracy; returns whether the trial should stop early, which the plain recipe never does."""
        from optuna.exceptions import UpdateFinishedTrialError

        if asked.is_plain:
            return False
        with _quiet():
            try:
                asked.trial.report(accuracy, epoch)
            except UpdateFinishedTrialError:  # this machine slept, and others took the trial for lost
                return True
            return asked.trial.should_prune()

    def tell(self, asked: Asked, outcome: Outcome) -> Outcome:
        """Keep what came of a trial; from now on it is finished. Returns it as it is kept.

        Where others took it for lost meanwhile, since this machine gave no sign, that stays: it is tried again.
        """
        from optuna.exceptions import UpdateFinishedTrialError
        from optuna.trial import TrialState

        self._heart.beat_for(None)
        outcome = replace(
            outcome,
            number=asked.number,
            settings=asked.settings,
            is_plain=asked.is_plain,
            retry_of=asked.retry_of,
            worker=f"process {os.getpid()} on {platform.node()}",
        )
        states = {"complete": TrialState.COMPLETE, "pruned": TrialState.PRUNED}
        with _quiet():
            try:
                asked.trial.set_user_attr(_OUTCOME, outcome.to_dict())
            except UpdateFinishedTrialError:
                return self._outcome(self._frozen(asked.number))
            self._study.tell(
                asked.trial,
                outcome.score if outcome.state == "complete" else None,
                state=states.get(outcome.state, TrialState.FAIL),
            )
        return outcome

    def give_up(self, asked: Asked, reason: str) -> None:
        """Say that a trial is lost, since its process is being stopped; it is tried again."""
        self._heart.beat_for(None)
        with self._mutex, _quiet():
            trial = self._frozen(asked.number)
            if not trial.state.is_finished():
                self._retry(trial, reason)

    def count_alive(self) -> int:
        """Return how many trials other living processes are making now, as far as is known."""
        with self._mutex, _quiet():
            self._give_back_lost()
        return sum(self._is_running(trial) for trial in self._trials())

    def count_waiting(self) -> int:
        """Return how many trials were lost and are not tried again yet."""
        import optuna

        return sum(trial.state == optuna.trial.TrialState.WAITING for trial in self._trials())

    # -- inside -------------------------------------------------------------------------------------------

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _frozen(self, number: int) -> FrozenTrial:
        return next(trial for trial in self._trials() if trial.number == number)

    def _key_of(self, number: int) -> int:
        """Return what the storage knows a trial by."""
        study = self._storage.get_study_id_from_name(self.name)
        return self._storage.get_trial_id_from_study_id_trial_number(study, number)

    def _begin(self, plain: Mapping[str, Any]) -> None:
        """Put the plain recipe first."""
        if not any(trial.user_attrs.get(_PLAIN) for trial in self._trials()):
            self._study.enqueue_trial(
                {name: encoded(value) for name, value in plain.items()}, user_attrs={_PLAIN: True}
            )

    def _is_exhausted(self, begun: list[Outcome]) -> bool:
        if self.count_waiting():
            return False
        from optuna.samplers import GridSampler

        sampler = self._study.sampler
        if begun and isinstance(sampler, GridSampler):
            return sampler.is_exhausted(self._study)
        tried = {str(sorted(one.settings.items())) for one in begun if len(one.settings) == len(self.space)}
        return len(tried) >= count_points(self.space)

    def _give_back_lost(self) -> None:
        """Find trials whose process is gone, say so, and have them tried again."""
        for trial in self._trials():
            if self._is_orphan(trial):
                self._retry(trial, _LOST)
                if lock := self._seen_lock(trial):
                    lock.unlink(missing_ok=True)

    def _is_running(self, trial: FrozenTrial) -> bool:
        """Whether another process is said to make a trial now."""
        import optuna

        is_other = trial.user_attrs.get(_WORKER, {}).get("token") != self._token
        return trial.state == optuna.trial.TrialState.RUNNING and is_other

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether the process is gone that is said to make a trial.

        On this machine a lock tells, which the system frees; of others it is known by their silence.
        """
        if not self._is_running(trial):
            return False
        if trial.user_attrs.get(_WORKER) is None and self._mutex.is_for_all:
            return True  # killed between being given the trial and saying so; nobody else is in here now
        file = self._seen_lock(trial)
        if file is None:
            return self._silence.is_long(trial)
        lock = FileLock(file, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        lock.release()
        return True

    def _seen_lock(self, trial: FrozenTrial) -> Path | None:
        """Return the lock of the process that makes a trial; None where it is on another machine, or of that name."""
        worker = trial.user_attrs.get(_WORKER, {})
        file = Path(worker["lock"]) if worker.get("host") == platform.node() and "lock" in worker else None
        return file if file is not None and file.is_file() else None

    def _retry(self, trial: FrozenTrial, reason: str) -> None:
        """Enqueue a lost trial again, then say that it is lost: killed in between, the next process does the rest."""
        import optuna

        trials = self._trials()
        tries = _tries_of(trial, trials)
        is_failed = reason == _LOST and tries >= _MOST_TRIES
        if is_failed:
            reason = f"its process was killed each of {tries} times that it was tried; it may need too much memory"
        elif not any(other.user_attrs.get(_RETRY) == trial.number for other in trials):
            attributes = {_RETRY: trial.number, **({_PLAIN: True} if trial.user_attrs.get(_PLAIN) else {})}
            self._study.enqueue_trial(dict(trial.params), user_attrs=attributes)
        lost = replace(self._outcome(trial), state="failed" if is_failed else "lost", reason=reason)
        self._storage.set_trial_user_attr(self._key_of(trial.number), _OUTCOME, lost.to_dict())
        self._study.tell(trial.number, state=optuna.trial.TrialState.FAIL)

    def _outcome(self, trial: FrozenTrial) -> Outcome:
        """Return the record of a trial; of one that runs, as far as it is known."""
        kept = trial.user_attrs.get(_OUTCOME)
        if kept is not None and trial.state.is_finished():
            return Outcome.from_dict(kept)
        dials = {dial.name: dial for dial in self.space}
        worker = trial.user_attrs.get(_WORKER, {})
        return Outcome(
            number=trial.number,
            state="lost" if trial.state.is_finished() else "running",
            settings={name: decoded(value, dials[name]) for name, value in trial.params.items() if name in dials},
            is_plain=bool(trial.user_attrs.get(_PLAIN)),
            worker=f"process {worker.get('pid', '?')} on {worker.get('host', '?')}",
            retry_of=trial.user_attrs.get(_RETRY),
        )


def _tries_of(trial: FrozenTrial, trials: Sequence[FrozenTrial]) -> int:
    """Return how many times the settings of a trial were tried whose process was gone each time, this one included."""
    by_number = {other.number: other for other in trials}
    tries, before = 1, trial.user_attrs.get(_RETRY)
    while before is not None and by_number[before].user_attrs.get(_OUTCOME, {}).get("reason") == _LOST:
        tries, before = tries + 1, by_number[before].user_attrs.get(_RETRY)
    return tries


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's remarks about its own experimental parts, and about enqueued values, from the user."""
    import optuna

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
        yield
