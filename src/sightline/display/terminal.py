"""Events on stderr: a live bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO

from sightline.display.lines import expected_line, line_of, progress_line
from sightline.events import (
    EpochEnded,
    Event,
    Planned,
    Progressed,
    RunEnded,
    RunStarted,
    StageEnded,
    StageStarted,
    Warned,
)
from sightline.text import between

if TYPE_CHECKING:
    from rich.progress import Progress

__all__ = ["Terminal", "outlived", "tell_at_once"]

_LOG_SECONDS = 20.0  # how often a log gets a line about progress


class Terminal:
    """Shows events; made for one run, and closed after it.

    Args:
        quiet: show warnings only.
        show_plan: show the decisions of the plan; otherwise only how long the training will take.
    """

    def __init__(self, *, quiet: bool = False, show_plan: bool = True) -> None:
        self._quiet = quiet
        self._show_plan = show_plan
        self._live = sys.stderr.isatty() and os.environ.get("TERM") != "dumb" and not quiet
        self._progress: Progress | None = None
        self._task: Any = None
        self._stage = ""
        self._is_known = False  # whether the bar shows what the whole training takes
        self._logged = time.monotonic()
        self._is_gone = False
        self.folder = ""  # of the run, once there is one

    def show(self, event: Event) -> None:
        """Show one event. A terminal that is gone never stops a training: from then on nothing is shown."""
        if isinstance(event, RunStarted):
            self.folder = event.folder
        if self._is_gone:
            return
        try:
            if isinstance(event, Progressed):
                self._show_progress(event)
            else:
                self._show_line(event)
        except OSError as error:  # a full disk may have room again, what is gone stays so
            if _is_gone(error, sys.stderr):
                self._is_gone = True
                _silence(sys.stderr)
                self.close()

    def close(self) -> None:
        """Take the bar away."""
        if self._progress is not None:
            with contextlib.suppress(OSError):
                self._progress.stop()
            self._progress = None

    def _show_line(self, event: Event) -> None:
        if isinstance(event, StageStarted):
            self._stage = event.name
        if isinstance(event, StageStarted | StageEnded | EpochEnded):
            self.close()
        if self._quiet and not isinstance(event, Warned):
            return
        if isinstance(event, RunEnded) or (self._live and isinstance(event, StageStarted)):
            if isinstance(event, StageStarted):
                self._open_bar(event.name, None)
            return
        text = line_of(event)
        if isinstance(event, Planned) and not self._show_plan:
            text = None if event.seconds is None else expected_line(event)
        if text:
            self._print(text, is_warning=isinstance(event, Warned))

    def _show_progress(self, event: Progressed) -> None:
        if self._quiet:
            return
        if self._live:
            is_known = event.left[1] > 0
            if self._progress is None or self._progress.tasks[0].total != event.total or is_known != self._is_known:
                self.close()
                self._open_bar(self._stage, event.total, is_known=is_known)
            assert self._progress is not None
            left = f"{between(*event.left)} left" if is_known else ""
            self._progress.update(self._task, completed=min(event.done, event.total), left=left)
        elif time.monotonic() - self._logged > _LOG_SECONDS:
            self._print(f"{self._stage}: {progress_line(event)}")

    def _open_bar(self, name: str, total: int | None, *, is_known: bool = False) -> None:
        """Show a bar; ``is_known``: with the time that the whole training takes, else with that of the bar itself."""
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        left = TextColumn("{task.fields[left]}") if is_known else TimeRemainingColumn()
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), left)
        self._is_known = is_known
        self._progress = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._progress.add_task(name, total=total, left="")
        self._progress.start()

    def _print(self, text: str, *, is_warning: bool = False) -> None:
        self._logged = time.monotonic()
        console = self._progress.console if self._progress is not None else None
        if console is not None:
            console.print(text, markup=False, highlight=False, emoji=False, style="yellow" if is_warning else None)
            return
        if is_warning and self._live and "NO_COLOR" not in os.environ:
            text = f"\x1b[33m{text}\x1b[0m"
        print(text, file=sys.stderr, flush=True)


def tell_at_once(text: str) -> None:
    """Write a line to stderr from within a signal handler, where a buffered stream may be in use."""
    with contextlib.suppress(OSError):
        os.write(2, f"\n{text}\n".encode())


@contextlib.contextmanager
def outlived(stream: TextIO) -> Iterator[None]:
    """Print something that nobody may be left to read: a pipe that was closed, a terminal that is gone.

    What is printed to it from then on vanishes, and the command continues to its exit code.

    Raises:
        OSError: for any other reason, a full disk for example.

    Example:
        ``with outlived(sys.stdout): print("done")``
    """
    try:
        yield
        stream.flush()
    except OSError as error:
        if not _is_gone(error, stream):
            raise
        _silence(stream)


def _is_gone(error: OSError, stream: TextIO) -> bool:
    """Tell whether an error says that the other end of a stream is gone."""
    if isinstance(error, BrokenPipeError) or (os.name == "nt" and error.errno == errno.EINVAL):  # Windows' closed pipe
        return True
    try:  # of a terminal that was hung up nothing but its kind can be asked
        return error.errno == errno.EIO and stat.S_ISCHR(os.fstat(stream.fileno()).st_mode)
    except (OSError, ValueError):
        return False


def _silence(stream: TextIO) -> None:
    """Lead a stream to nowhere, below Python: what libraries and other threads print must not fail either."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
