"""A run as a notebook's cell shows it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from sightline.text import as_html, share

__all__ = ["run_cell"]


def run_cell(folder: Path, facts: dict[str, Any], history: dict[str, list[float]]) -> str:
    """Return HTML of a run: its folder, status, headline and history."""
    lines = [f"<b>{as_html(str(folder))}</b>: {as_html(facts['status'])}"]
    lines += [as_html(facts["headline"])] if facts.get("headline") else []
    shown: dict[str, Callable[[float], str]] = {
        "epoch": "{:.0f}".format,
        "train_loss": "{:.4f}".format,
        "val_loss": "{:.4f}".format,
        "val_accuracy": lambda value: share(value, 2),
    }
    names = [name for name in shown if name in history]
    head = "".join(f"<th>{name.replace('_', ' ')}</th>" for name in names)
    body = "".join(
        "<tr>" + "".join(f"<td>{shown[n](value)}</td>" for n, value in zip(names, row, strict=True)) + "</tr>"
        for row in zip(*(history[name] for name in names), strict=True)
    )
    table = f"<table><tr>{head}</tr>{body}</table>" if names else ""
    return "<div>" + "<br>".join(lines) + table + "</div>"
