"""The study of a search: Optuna's, in a journal or a database; asked for settings, told what came of them."""

from __future__ import annotations

import os
import platform
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from sightline.errors import InputError
from sightline.text import one_line
from sightline.tuning.differences import difference_of
from sightline.tuning.journal import open_journal
from sightline.tuning.outcome import Outcome
from sightline.tuning.sampling import count_points, decoded, draw, encoded, make_pruner, make_sampler
from sightline.tuning.space import Space

if TYPE_CHECKING:
    import optuna
    from optuna.storages import BaseStorage
    from optuna.trial import FrozenTrial

__all__ = ["JOURNAL", "Asked", "Study", "open_storage", "study_names", "without_password"]

JOURNAL = "journal.log"
_FACTS, _OUTCOME, _PLAIN, _WORKER, _RETRY = "sightline", "outcome", "plain", "worker", "retry_of"
_LOST = "its process was stopped or killed"


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


def open_storage(folder: Path, url: str) -> BaseStorage:
    """Return the journal in a folder, or the database of a URL.

    Raises:
        InputError: if the database can't be reached, or its driver is not installed.
    """
    _silence()
    if not url:
        return open_journal(folder / JOURNAL)
    import sqlalchemy
    from optuna.exceptions import OptunaError
    from optuna.storages import RDBStorage

    try:
        return RDBStorage(url)
    except ModuleNotFoundError as error:
        cure = f"install the driver: pip install {_driver(str(error.name))}"
        raise InputError("tune.storage", f"{without_password(url)} needs the package {error.name}", cure) from error
    except (sqlalchemy.exc.SQLAlchemyError, ImportError, OptunaError, ValueError, OSError) as error:
        reason = one_line(getattr(error, "orig", None) or error.__cause__ or error)
        cure = "check the address, and that the server runs: sqlite:///tune.db, postgresql+psycopg://USER@HOST/NAME"
        raise InputError("tune.storage", f"{without_password(url)} can't be reached: {reason}", cure) from error


def _driver(module: str) -> str:
    return {"psycopg2": "psycopg2-binary", "psycopg": "'psycopg[binary]'", "MySQLdb": "mysqlclient"}.get(module, module)


def without_password(url: str) -> str:
    """Return the URL of a database as it may be shown and kept."""
    import sqlalchemy

    try:
        return sqlalchemy.engine.make_url(url).render_as_string(hide_password=True)
    except sqlalchemy.exc.SQLAlchemyError:
        return repr(url)


def _silence() -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)


def study_names(storage: BaseStorage) -> set[str]:
    """Return the names of the studies that a storage holds."""
    return {study.study_name for study in storage.get_all_studies()}


class Study:
    """Optuna's study, and the locks that tell which of its trials are alive.

    Args:
        folder: of the search.
        storage: of ``open_storage``.
        name: of the study in it.
        space: what is searched.
        facts: what the search is about; one that was begun with others is refused.

    Raises:
        InputError: if the study there is about other data, another space, recipe or version.
    """

    def __init__(self, folder: Path, storage: BaseStorage, name: str, space: Space, facts: Mapping[str, Any]) -> None:
        import optuna

        self.folder, self.name, self.space, self._storage = folder, name, space, storage
        self._token = f"{os.getpid()}-{os.urandom(4).hex()}"
        (folder / "workers").mkdir(parents=True, exist_ok=True)
        self._alive = FileLock(self._lock_file(self._token), fallback_to_soft=False)
        self._alive.acquire()
        self._mutex = FileLock(folder / "study.lock", fallback_to_soft=False)
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
            own = os.getpid() % 1000 if self.count_alive() else 0
            self._study.sampler = make_sampler(sampler, self.space, seed + 1000 * trials + own)
            self._study.pruner = make_pruner(pruner, epochs)

    def close(self) -> None:
        """Let others see that this process makes no more trials."""
        self._alive.release()
        self._lock_file(self._token).unlink(missing_ok=True)

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
            trial.set_user_attr(_WORKER, {"token": self._token, "host": platform.node(), "pid": os.getpid()})
            attributes = trial.user_attrs
            is_plain = bool(attributes.get(_PLAIN))
            dials = [dial for dial in self.space if not is_plain or dial.name in plain]
            settings = {dial.name: draw(trial, dial) for dial in dials}
        ended = (one for one in begun if one.state in ("complete", "failed") and not one.is_plain)
        same = None if is_plain else next((one for one in ended if one.settings == settings), None)
        return Asked(trial, trial.number, settings, is_plain, attributes.get(_RETRY), same)

    def report(self, asked: Asked, epoch: int, accuracy: float) -> bool:
        """Note an epoch's accuracy; returns whether the trial should stop early, which the plain recipe never does."""
        if asked.is_plain:
            return False
        with _quiet():
            asked.trial.report(accuracy, epoch)
            return asked.trial.should_prune()

    def tell(self, asked: Asked, outcome: Outcome) -> Outcome:
        """Keep what came of a trial; from now on it is finished. Returns it as it is kept."""
        from optuna.trial import TrialState

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
            asked.trial.set_user_attr(_OUTCOME, outcome.to_dict())
            self._study.tell(
                asked.trial,
                outcome.score if outcome.state == "complete" else None,
                state=states.get(outcome.state, TrialState.FAIL),
            )
        return outcome

    def give_up(self, asked: Asked, reason: str) -> None:
        """Say that a trial is lost, since its process is being stopped; it is tried again."""
        with self._mutex, _quiet():
            self._retry(self._frozen(asked.number), reason)

    def count_alive(self) -> int:
        """Return how many trials other living processes of this machine are making now."""
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

    def _lock_file(self, token: str) -> Path:
        return self.folder / "workers" / f"{token}.lock"

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

    def _is_running(self, trial: FrozenTrial) -> bool:
        import optuna

        worker = trial.user_attrs.get(_WORKER, {})
        is_here = worker.get("host") == platform.node() and worker.get("token") != self._token
        return trial.state == optuna.trial.TrialState.RUNNING and is_here

    def _is_orphan(self, trial: FrozenTrial) -> bool:
        """Whether a trial of this machine is said to be running, and its process is gone."""
        import optuna

        if trial.state != optuna.trial.TrialState.RUNNING:
            return False
        worker = trial.user_attrs.get(_WORKER)
        if worker is None:  # killed between being given the trial and saying so; nobody else is in here now
            return True
        if worker["host"] != platform.node() or worker["token"] == self._token:
            return False
        file = self._lock_file(worker["token"])
        if not file.exists():
            return True
        lock = FileLock(file, fallback_to_soft=False)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return False
        lock.release()
        file.unlink(missing_ok=True)
        return True

    def _retry(self, trial: FrozenTrial, reason: str) -> None:
        """Enqueue a lost trial again, then say that it is lost: killed in between, the next process does the rest."""
        import optuna

        if not any(other.user_attrs.get(_RETRY) == trial.number for other in self._trials()):
            attributes = {_RETRY: trial.number, **({_PLAIN: True} if trial.user_attrs.get(_PLAIN) else {})}
            self._study.enqueue_trial(dict(trial.params), user_attrs=attributes)
        lost = replace(self._outcome(trial), state="lost", reason=reason)
        study_id = self._storage.get_study_id_from_name(self.name)
        key = self._storage.get_trial_id_from_study_id_trial_number(study_id, trial.number)
        self._storage.set_trial_user_attr(key, _OUTCOME, lost.to_dict())
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


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's remarks about its own experimental parts, and about enqueued values, from the user."""
    import optuna

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        warnings.filterwarnings("ignore", category=UserWarning, module="optuna")
        yield
