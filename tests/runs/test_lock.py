"""One process at a time writes into a run folder; a lock ends with its process, whatever ends that."""

from __future__ import annotations

import errno
import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.errors import RunError
from sightline.runs import lock as locks
from sightline.runs.lock import lock_run

HOLD = """
import sys, time
from pathlib import Path
from sightline.runs.lock import lock_run
lock = lock_run(Path(sys.argv[1]))
print("held", flush=True)
time.sleep(600)
"""


def refused(folder: Path) -> str:
    with pytest.raises(RunError) as caught:
        lock_run(folder)
    assert caught.value.code == "run.locked"
    return caught.value.message


def test_a_second_writer_is_refused_and_told_who_the_first_is(tmp_path: Path) -> None:
    with lock_run(tmp_path) as lock:
        assert not lock.problem
        assert f"process {os.getpid()} on " in refused(tmp_path)
    lock_run(tmp_path).release()


def test_a_lock_may_be_released_twice(tmp_path: Path) -> None:
    first = lock_run(tmp_path)
    first.release()
    second = lock_run(tmp_path)
    first.release()  # not the second one's
    assert refused(tmp_path)
    second.release()


def test_a_process_that_is_killed_leaves_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLD, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        assert f"process {process.pid} on " in refused(tmp_path)
        process.kill()
        process.wait()
        lock_run(tmp_path).release()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_neither_keeps_nor_ends_the_lock(tmp_path: Path) -> None:
    lock = lock_run(tmp_path)
    context = multiprocessing.get_context("fork")
    ready, end = context.Event(), context.Event()

    def run() -> None:
        lock.release()
        ready.set()
        end.wait(60)

    child = context.Process(target=run)
    child.start()
    assert ready.wait(60)
    assert refused(tmp_path)  # still ours
    lock.release()
    lock_run(tmp_path).release()  # free, though the child lives on
    end.set()
    child.join()


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_said_and_locks_nothing(tmp_path, monkeypatch, number) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(locks.FileLock, "acquire", refuse)
    with lock_run(tmp_path) as lock:
        assert "has no locks" in lock.problem


def test_a_folder_that_can_not_be_written_is_a_run_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError) as caught:
        lock_run(tmp_path / "file")
    assert caught.value.code == "run.write"


def test_an_owner_that_is_not_written_down_is_another_process(tmp_path: Path) -> None:
    with lock_run(tmp_path):
        (tmp_path / "run.lock.json").write_text("[]")
        assert "another process" in refused(tmp_path)


def test_a_request_to_stop_while_the_lock_is_signed_leaves_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("sightline.runs.lock.write_json", stopped)
        with pytest.raises(KeyboardInterrupt) as caught:
            lock_run(tmp_path)
    assert caught.traceback  # who keeps the error keeps its frames
    lock_run(tmp_path).release()
