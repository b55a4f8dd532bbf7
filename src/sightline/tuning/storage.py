"""Where a study is kept: Optuna's journal in the search's folder, or a database that several machines share."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

from sightline.errors import InputError
from sightline.text import one_line
from sightline.tuning.journal import open_journal

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

__all__ = ["JOURNAL", "open_storage", "study_names", "without_password"]

JOURNAL = "journal.log"
_TRIES, _AGAIN = 3, 0.3  # how often a database is opened, and the seconds before the second time


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

    # SQLite lets one process write at a time: the others wait, for longer than its five seconds. A server may end a
    # connection that nobody uses for long.
    kept = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {"pool_pre_ping": True}
    try:
        # Processes that begin at the same time on an empty database make the same tables: all but one fail.
        for tried in range(1, _TRIES):
            with contextlib.suppress(sqlalchemy.exc.DatabaseError):
                return RDBStorage(url, engine_kwargs=kept)
            time.sleep(_AGAIN * tried)
        return RDBStorage(url, engine_kwargs=kept)
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
