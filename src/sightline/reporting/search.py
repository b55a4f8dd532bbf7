"""The section of the report on the search that found the settings: what its result is worth, and its trials."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sightline.reporting.canvas import both_themes
from sightline.reporting.search_figures import (
    draw_importance,
    draw_search,
    draw_settings,
    draw_two_settings,
    two_that_matter,
)
from sightline.runs.recorded import Recorded
from sightline.runs.search_record import SearchRecord, TrialRow
from sightline.text import duration, share, signed

__all__ = ["search"]

_ROWS = 200  # of the table; trials.csv has all


def search(run: Recorded) -> dict[str, Any] | None:
    """What the search found and how; None for a run that no search made."""
    found = run.search
    if found is None:
        return None
    lead, facts = found.lead, run.facts.get("search", {})
    has_lead = found.best != found.plain
    rows = sorted(found.trials, key=lambda trial: (trial.score is None, -(trial.score or 0.0), trial.number))
    return {
        "found": found,
        "test": facts.get("test", {}).get("sentence", ""),
        "is_over": "role" in facts,
        "seeds": facts.get("seeds", {}).get("sentence", ""),
        "counts": ", ".join(f"{count:,} {state}" for state, count in found.counts.items()),
        "seconds": duration(found.seconds),
        "how": f"{found.sampler}, {_pruning(found.pruner)}",
        "has_line": any(found.best == trial.number and len(trial.settings) == len(found.space) for trial in rows),
        "observed": _points(lead["observed"]) if has_lead else "",
        "expected": f"{_points(lead['expected'])} ({_points(lead['low'])} to {_points(lead['high'])})",
        "luck": _points(lead["luck"]),
        "history": both_themes(run, draw_search),
        "importance": both_themes(run, draw_importance),
        "settings": both_themes(run, draw_settings),
        "two": both_themes(run, draw_two_settings),
        "names": " and ".join(two_that_matter(found)),
        "dials": list(found.space),
        "rows": [_row(found, trial) for trial in rows[:_ROWS]],
        "left_out": max(0, len(rows) - _ROWS),
    }


def _pruning(name: str) -> str:
    return "every trial trained to its end" if name == "none" else f"trials that are behind stopped by {name}"


def _points(value: float) -> str:
    return signed(100 * value)


def _row(found: SearchRecord, trial: TrialRow) -> dict[str, Any]:
    """Return the cells of a trial."""
    marks = {found.plain: "plain recipe", found.best: "best"}
    return {
        "number": trial.number,
        "mark": marks.get(trial.number, ""),
        "result": trial.state if trial.score is None else share(trial.score, 2),
        "why": trial.reason,
        "values": [_cell(trial.settings, name) for name in found.space],
        "seconds": f"{trial.seconds:.1f}",
    }


def _cell(settings: Mapping[str, Any], name: str) -> str:
    value = settings.get(name, "–")
    return f"{value:.3g}" if isinstance(value, float) else str(value)
