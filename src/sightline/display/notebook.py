"""Events in a notebook: one table that grows, in the cell that trains."""

from __future__ import annotations

import sys
import time
from typing import Any

from sightline.display.lines import expected_line, line_of, plan_lines, progress_line
from sightline.events import EpochEnded, Event, Planned, Progressed, RunStarted, StageStarted, Warned
from sightline.text import as_html, duration, share

__all__ = ["Notebook", "in_notebook"]

_SECONDS = 0.5


def in_notebook() -> bool:
    """Tell whether this process is a notebook's kernel (Jupyter, Colab, VS Code), without importing IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return type(shell).__name__ in ("ZMQInteractiveShell", "Shell")


class Notebook:
    """Shows events as one cell's output, at most twice a second; plain HTML, no widgets."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._lines: list[str] = []
        self._epochs: list[EpochEnded] = []
        self._plan: list[str] = []
        self._now = ""
        self._shown = 0.0
        self._handle: Any = None

    def show(self, event: Event) -> None:
        """Show one event."""
        if self._quiet and not isinstance(event, Warned):
            return
        if isinstance(event, Progressed):
            self._now = progress_line(event)
        elif isinstance(event, EpochEnded):
            self._epochs.append(event)
        elif isinstance(event, StageStarted):
            self._now = f"{event.name} ..."
        elif isinstance(event, Planned):
            self._plan = plan_lines(event.rows)
            self._lines += [] if event.seconds is None else [expected_line(event)]
        elif not isinstance(event, RunStarted) and (text := line_of(event)) is not None:
            self._lines.append(text)
        if time.monotonic() - self._shown > _SECONDS:
            self._draw()

    def close(self) -> None:
        """Show the last state."""
        self._now = ""
        if self._lines or self._epochs:
            self._draw()

    def _draw(self) -> None:
        from IPython.display import HTML, display

        self._shown = time.monotonic()
        page = HTML(self.to_html())
        if self._handle is None:
            self._handle = display(page, display_id=True)
        else:
            self._handle.update(page)

    def to_html(self) -> str:
        """Return what the cell shows."""
        shown = [f'<div style="white-space:pre-wrap">{as_html(line)}</div>' for line in self._lines if line]
        plan = as_html("\n".join(self._plan[1:]))
        details = f"<details><summary>The plan, with reasons</summary><pre>{plan}</pre></details>" if plan else ""
        lines = "".join(shown) + details + f"<div>{as_html(self._now)}</div>"
        if not self._epochs:
            return lines
        head = "<tr><th>epoch</th><th>loss</th><th>val loss</th><th>val accuracy</th><th>time</th></tr>"
        rows = "".join(
            f"<tr><td>{e.epoch or ('start' if e.epochs else 'head')}</td><td>{e.train_loss:.4f}</td>"
            f"<td>{e.val_loss:.4f}</td><td>{share(e.val_accuracy, 2)}</td><td>{duration(e.seconds)}</td></tr>"
            for e in self._epochs
        )
        return f"{lines}<table>{head}{rows}</table>"
