"""A worker of a search: it makes trials of the study until there is nothing left to try, and writes nothing else.

``python -m sightline.tuning.worker FOLDER`` is started by ``--workers``. It learns from its standard input which
worker it is, and ends at once when that is closed, and so when the process is gone that started it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from sightline.errors import SightlineError
from sightline.launch import end_with_parent
from sightline.pipeline.job import Job
from sightline.planning.recipe import Recipe
from sightline.process_settings import set_up_process
from sightline.steps import result_of
from sightline.tuning.folders import SearchFolder
from sightline.tuning.handover import Share, read_bench
from sightline.tuning.job import SearchJob
from sightline.tuning.search import Searching, try_all
from sightline.tuning.space import check_space
from sightline.tuning.storage import open_storage
from sightline.tuning.study import Study

__all__ = ["make_trials"]


def make_trials(folder: Path, share: Share, storage: str) -> None:
    """Make trials until the budget is used, or all were tried.

    Args:
        folder: that ``write_bench`` wrote.
        share: what this worker has of its own.
        storage: URL of the database; empty: the journal in the search's folder.

    Raises:
        SightlineError: if the storage can't be reached, or the search makes no sense any more.
    """
    bench, about, budget = read_bench(folder, share)
    space = check_space(about["space"])
    options = {"time": budget.limit} if budget.limit else {}
    job = Job("", bench.decided.recipe, Recipe(**{**bench.options.chosen, **options}), started=budget.started)
    asked = {name: about[name] for name in ("trials", "sampler", "pruner", "folds")}
    search = SearchJob(job, space=about["space"], storage=storage, **asked)
    place = Path(about["folder"])
    study = Study(place, open_storage(place, storage), about["name"], space, about["facts"], share.number)
    own = SearchFolder(folder / f"worker-{share.number}", place)  # its scratch is its own
    try:
        result_of(try_all(Searching(search, own, study, bench, space, budget, {})))
    finally:
        study.close()


def _read_line() -> bytes:
    """Return the first line of the standard input; nothing is left in a buffer that a thread would lock."""
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 2**16)
        if not more:
            os._exit(1)
        line += more
    return line


def main() -> None:
    """Run as a worker; an error goes to the standard error, which its search reads."""
    set_up_process()
    given = json.loads(_read_line())
    end_with_parent()
    try:
        make_trials(Path(sys.argv[1]), Share(**given["share"]), given["storage"])
    except SightlineError as error:
        sys.exit(f"{error.code}: {error.message}")


if __name__ == "__main__":
    main()
