"""Figures of a search: its history, which settings mattered, and which values did well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sightline.reporting.canvas import INK, PAPER, empty_figure, leave_room, paint
from sightline.reporting.letters import drawable_text
from sightline.runs.recorded import Recorded
from sightline.runs.search_record import SearchRecord, TrialRow

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["draw_importance", "draw_search", "draw_settings", "draw_two_settings", "two_that_matter"]

_TRIAL, _PLAIN, _BEST, _STOPPED = "#2563eb", "#d97706", "#0f8a5f", "#8b95a3"
Floats = npt.NDArray[np.float64]

_COLOURS = "viridis"
_LEAST_TRIALS = 3  # that were trained to their end, for figures of settings
_LEAST_FILLED = 10  # from which on the plane between the trials is filled
_MOST_DIALS = 8  # axes side by side
_WIDTH, _AXIS = 6.0, 1.05  # inches, so that letters are still read on a telephone; of them an axis beside others
_SPREAD = 0.09  # of an axis, over which trials of one choice are drawn beside each other
_LEAST_VALUES = 5  # on both axes, from which on the plane is filled


def draw_search(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the validation accuracy of each trial, and the best so far; None without a search."""
    from matplotlib.ticker import MaxNLocator

    search = run.search
    if search is None or not search.complete:
        return None
    figure = empty_figure((_WIDTH, 3.3))
    axes = figure.add_subplot()
    stopped = [trial for trial in search.trials if trial.score is None and trial.course]
    others = [trial for trial in search.complete if trial.number not in (search.best, search.plain)]
    _scatter(axes, stopped, _STOPPED, "x", f"stopped early, at its last {'fold' if search.folds else 'epoch'}", 26)
    _scatter(axes, others, _TRIAL, "o", "trial", 20)
    _scatter(axes, [search.trial(search.plain)], _PLAIN, "D", "plain recipe", 44)
    if search.best != search.plain:
        _scatter(axes, [search.trial(search.best)], _BEST, "*", "best", 110)
    numbers = [trial.number for trial in search.complete]
    best = np.maximum.accumulate([100 * trial.reached for trial in search.complete])
    axes.step(numbers, best, where="post", color=_TRIAL, lw=1.2, alpha=0.6, label="best so far", zorder=1)
    axes.set(xlabel="trial", title=f"{search.accuracy_words} of each trial, %")
    low = min(100 * trial.reached for trial in search.complete)
    _leave_low_out(axes, low, float(best[-1]), [100 * trial.reached for trial in stopped])
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    room: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2), "ncols": 3, "columnspacing": 1.0}
    axes.legend(frameon=False, labelcolor=INK[theme], fontsize=9, handletextpad=0.2, **room)
    paint(axes, INK[theme])
    leave_room(figure, 0.6, 0.95)
    return figure


def _scatter(axes: Axes, trials: Sequence[TrialRow], colour: str, marker: str, label: str, size: float) -> None:
    if trials:
        places, values = [trial.number for trial in trials], [100 * trial.reached for trial in trials]
        axes.scatter(places, values, s=size, c=colour, marker=marker, label=label, zorder=3, linewidths=1.2)


def _leave_low_out(axes: Axes, low: float, high: float, stopped: Sequence[float]) -> None:
    """Let stopped trials take half of the height at most: those of early epochs can be far below all others."""
    margin = max(0.5, 0.08 * (high - low))
    bottom = max(min([low, *stopped]), low - max(high - low, 4 * margin))
    top = max([high, *stopped])  # of few folds it can be above all that were measured on all
    axes.set_ylim(max(0.0, bottom - margin), min(100.5, top + margin))


def draw_importance(run: Recorded, theme: str = "light") -> Figure | None:
    """Return how much of the differences between trials each setting explains; None where that is not known."""
    search = run.search
    if search is None or not search.importance:
        return None
    rows = sorted(search.importance.items(), key=lambda row: row[1])
    figure = empty_figure((_WIDTH, 0.9 + 0.3 * len(rows)))
    axes = figure.add_subplot()
    axes.barh([drawable_text(name) for name, _ in rows], [100 * value for _, value in rows], color=_TRIAL, height=0.6)
    for place, (_, value) in enumerate(rows):
        axes.annotate(f" {100 * value:.0f}", (100 * value, place), va="center", color=INK[theme], fontsize=9)
    axes.set(
        title="Share of the differences that a setting explains, %",
        xlim=(0, min(108.0, 115 * max(rows[-1][1], 0.1))),
    )
    paint(axes, INK[theme])
    leave_room(figure, 1.6, 0.35)
    return figure


def draw_settings(run: Recorded, theme: str = "light") -> Figure | None:
    """Return parallel coordinates: a line a trial through its settings, coloured by its accuracy; the best is green."""
    search = run.search
    if search is None or len(search.complete) < _LEAST_TRIALS or len(search.space) < 2:
        return None
    names = _by_importance(search)[:_MOST_DIALS]
    scales = [_Scale.of(name, search.space[name], search.complete) for name in names]
    shown = [trial for trial in search.complete if all(name in trial.settings for name in names)]
    if len(shown) < _LEAST_TRIALS:
        return None
    scores = np.array([100 * trial.reached for trial in shown])
    figure = empty_figure((max(_WIDTH, _AXIS * (len(names) + 1)), 3.8))
    axes = figure.add_subplot()
    colour, low, high = _colours(scores)
    places = np.stack([_spread(scale, shown, scores) for scale in scales])
    for place in np.argsort(scores, kind="stable").tolist():
        is_best = shown[place].number == search.best
        heights = [*places[:, place], max(0.0, float((scores[place] - low) / (high - low)))]
        if is_best:
            axes.plot(heights, color=_BEST, lw=3, label="best", zorder=4)
        else:
            axes.plot(heights, color=colour(scores[place]), lw=1.1, alpha=0.65)
    for place, scale in enumerate(scales):
        _mark(axes, place, scale.marks(), theme)
    below = "≤ " if scores.min() < low else ""
    _mark(axes, len(scales), [(0.0, f"{below}{low:.1f}"), (1.0, f"{high:.1f}")], theme)
    axes.set(xlim=(-0.3, len(scales) + 0.45), ylim=(-0.08, 1.08), yticks=[])
    labels = [drawable_text(name.replace("_", "\n", 1)) for name in names]
    axes.set_xticks(range(len(scales) + 1), [*labels, "accuracy, %"])
    paint(axes, INK[theme])
    axes.spines["left"].set_visible(False)
    leave_room(figure, 0.1, 0.65, top=0.12)
    return figure


def _mark(axes: Axes, place: int, marks: Sequence[tuple[float, str]], theme: str) -> None:
    """Draw an upright axis with its values."""
    axes.axvline(place, color=INK[theme], lw=0.6, alpha=0.5, zorder=0)
    from matplotlib.patheffects import withStroke

    halo = withStroke(linewidth=3, foreground=PAPER[theme])
    for height, text in marks:
        words = axes.annotate(
            f" {text}", (place, height), fontsize=9, color=INK[theme], va="center", annotation_clip=False, zorder=5
        )
        words.set_path_effects([halo])


def _spread(scale: _Scale, trials: Sequence[TrialRow], scores: Floats) -> Floats:
    """Return ``[T]`` where the trials lie on an axis; those of one value beside each other, the best on top."""
    places = np.array([scale.place(trial.settings[scale.name]) for trial in trials])
    if not scale.choices:
        return places
    for value in np.unique(places):
        rows = np.flatnonzero(places == value)
        rows = rows[np.argsort(scores[rows], kind="stable")]
        width = min(_SPREAD, 0.5 / max(1, len(scale.choices) - 1))
        places[rows] += width * (np.arange(len(rows)) / max(1, len(rows) - 1) - 0.5) if len(rows) > 1 else 0.0
    return places


def draw_two_settings(run: Recorded, theme: str = "light") -> Figure | None:
    """Return the accuracy over the two settings that matter most; None where there are fewer or too few trials."""
    search = run.search
    chosen = two_that_matter(search) if search is not None else ()
    if search is None or len(chosen) < 2:
        return None
    shown = [trial for trial in search.complete if all(name in trial.settings for name in chosen)]
    across, up = (_Scale.of(name, search.space[name], search.complete) for name in chosen)
    scores = np.array([100 * trial.reached for trial in shown])
    x, y = _spread(across, shown, scores), _spread(up, shown, scores)
    figure = empty_figure((_WIDTH, 3.8))
    axes = figure.add_subplot()
    colour, low, high = _colours(scores)
    if not across.choices and not up.choices:
        _fill(axes, x, y, scores, (low, high))
    axes.scatter(x, y, c=[colour(score) for score in scores], s=42, edgecolors="white", linewidths=0.8, zorder=3)
    for trial, left, height in zip(shown, x, y, strict=True):
        if trial.number in (search.best, search.plain):
            words = "best" if trial.number == search.best else "plain recipe"
            axes.annotate(words, (left, height), (7, 6), textcoords="offset points", color=INK[theme], fontsize=9)
    for axis, scale in ((axes.xaxis, across), (axes.yaxis, up)):
        axis.set_ticks([height for height, _ in scale.marks()], [text for _, text in scale.marks()])
    axes.set(xlabel=drawable_text(across.name), ylabel=drawable_text(up.name), xlim=(-0.05, 1.08), ylim=(-0.06, 1.1))
    axes.set_title(f"{search.accuracy_words}, %: dark {low:.1f}, bright {high:.1f}")
    paint(axes, INK[theme])
    leave_room(figure, 1.1, 0.5)
    return figure


def two_that_matter(search: SearchRecord) -> tuple[str, ...]:
    """Return the two settings that explain most of the differences; fewer where the trials show none."""
    done = [trial for trial in search.complete if trial.settings]
    names = [
        name
        for name in _by_importance(search)
        if len({str(trial.settings[name]) for trial in done if name in trial.settings}) > 1
    ]
    return tuple(names[:2]) if len(done) >= _LEAST_TRIALS and len(names) > 1 else ()


def _fill(axes: Axes, x: Floats, y: Floats, scores: Floats, ends: tuple[float, float]) -> None:
    """Fill the plane between the trials, where they are many and don't lie on one line."""
    if len(scores) < _LEAST_FILLED or min(len(np.unique(x)), len(np.unique(y))) < _LEAST_VALUES:
        return
    # Several trials at one place can't be joined by triangles: their mean stands for them.
    points, inverse = np.unique(np.round(np.stack([x, y], 1), 4), axis=0, return_inverse=True)
    means = np.bincount(inverse.ravel(), scores) / np.bincount(inverse.ravel())
    if np.linalg.matrix_rank(points - points.mean(0), tol=1e-3) < 2:
        return
    levels = np.linspace(ends[0], ends[1], 9)
    axes.tricontourf(points[:, 0], points[:, 1], means, levels=levels, cmap=_COLOURS, alpha=0.45, extend="both")


def _colours(scores: Floats) -> tuple[Any, float, float]:
    """Return (score -> colour, the lowest and the highest score that have colours of their own)."""
    import matplotlib

    low, high = float(np.quantile(scores, 0.1)), float(scores.max())  # a few that failed must not hide the others
    if high - low < 1e-9:
        low = high - 1.0
    palette = matplotlib.colormaps[_COLOURS]
    return lambda score: palette(min(1.0, max(0.0, (score - low) / (high - low)))), low, high


def _by_importance(search: SearchRecord) -> list[str]:
    """Return the dials, the most important first."""
    return sorted(search.space, key=lambda name: -search.importance.get(name, 0.0))


@dataclass(frozen=True, slots=True)
class _Scale:
    """An axis of a setting: where its values lie, from 0 to 1."""

    name: str
    choices: tuple[str, ...]
    low: float
    high: float
    is_log: bool

    @classmethod
    def of(cls, name: str, dial: Mapping[str, Any], trials: Sequence[TrialRow]) -> _Scale:
        values = [trial.settings[name] for trial in trials if name in trial.settings]
        if "choices" in dial or any(isinstance(value, str | bool | list | dict) for value in values):
            choices = [_words(value) for value in dial.get("choices", [])]
            return cls(name, tuple(dict.fromkeys([*choices, *map(_words, values)])), 0.0, 1.0, False)
        return cls(name, (), float(dial["low"]), float(dial["high"]), bool(dial.get("log")))

    def place(self, value: Any) -> float:
        """Return where a value lies; one outside of the range at its end."""
        if self.choices:
            return self.choices.index(_words(value)) / max(1, len(self.choices) - 1)
        low, high, number = self.low, self.high, float(value)
        if self.is_log:
            low, high, number = np.log(low), np.log(high), np.log(max(number, 1e-30))
        return float(min(1.0, max(0.0, (number - low) / ((high - low) or 1.0))))

    def marks(self) -> list[tuple[float, str]]:
        """Return (place, text) of the values that are written."""
        if self.choices:
            return [(self.place(choice), drawable_text(choice)) for choice in self.choices]
        middle = float(np.sqrt(self.low * self.high)) if self.is_log else (self.low + self.high) / 2
        return [(self.place(value), f"{value:.2g}") for value in (self.low, middle, self.high)]


def _words(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
