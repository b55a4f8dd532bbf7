"""Groups of images that a finished classifier is measured on: by the rule of its training, or one that is typed."""

from __future__ import annotations

import tomllib
from dataclasses import replace

import numpy as np
import pytest
import tomli_w

import sightline
from finished import record_again, write_colours
from sightline.errors import InputError
from sightline.events import Noted, Warned
from sightline.measuring.grouping import group_measured
from sightline.runs.safe_files import read_rows, write_columns

PATHS = ["a/p1_1.png", "a/p1_2.png", "b/p2_1.png", "b/p2_2.png"]


def grouped(run, rule: str, groups, extra: str = ""):
    """Let a run look as if its training had groups: by a rule; ``extra`` names a column of its table that has them."""
    settings = tomllib.loads(run.plan_file.read_text(encoding="utf-8"))
    settings["group"]["value"] = rule
    run.plan_file.write_text(tomli_w.dumps(settings), encoding="utf-8")
    rows = read_rows(run.samples_file)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    columns["group"] = [groups(row["path"]) for row in rows]
    if extra:
        columns[f"extra:{extra}"] = columns["group"]
    write_columns(run.samples_file, columns)
    record_again(run)
    return run


def ask(samples, rule, run):
    """Return the groups, and the events."""
    events, steps = [], group_measured(samples, rule, run)
    while True:
        try:
            events.append(next(steps))
        except StopIteration as stop:
            return stop.value.groups.tolist(), events


def test_the_rule_of_the_training_is_used_and_said(table, copied_run) -> None:
    run = grouped(copied_run, r"/(p\d)_", lambda path: path[:3])
    groups, events = ask(table([0, 0, 1, 1], paths=PATHS), None, run)
    assert groups == ["p1", "p1", "p2", "p2"]
    assert [type(event) for event in events] == [Noted, Noted]
    assert "by the rule of the training" in events[0].message and r"/(p\d)_: 2 groups of 4" in events[1].message


def test_what_is_typed_wins_and_an_empty_rule_is_none(table, copied_run) -> None:
    run = grouped(copied_run, r"/(p\d)_", lambda path: path[:3])
    samples = table([0, 0, 1, 1], paths=PATHS)
    assert ask(samples, r"_(\d)", run)[0] == ["1", "2", "1", "2"]
    assert ask(samples, "", run) == ([""] * 4, [])
    with pytest.raises(InputError):
        ask(samples, "nowhere", run)


def test_groups_that_the_images_have_themselves_stay(table, copied_run) -> None:
    run = grouped(copied_run, r"/(p\d)_", lambda path: path[:3])
    assert ask(table([0, 1], paths=PATHS[::2], groups=["x", "y"]), None, run) == (["x", "y"], [])


def test_a_column_of_the_training_is_found_or_missed_aloud(table, copied_run) -> None:
    run = grouped(copied_run, "p", lambda path: path[:3], extra="p")  # which would match every path as an expression
    samples = table([0, 0, 1, 1], paths=PATHS)
    groups, (said,) = ask(samples, None, run)
    assert groups == [""] * 4 and isinstance(said, Warned) and said.code == "evaluation.no-groups"
    assert "by p, these are in none" in said.message and "--group" in said.cure
    here = replace(samples, extra={"p": np.array(["x", "x", "y", "y"], object)})
    assert ask(here, None, run)[0] == ["x", "x", "y", "y"]
    nothing = replace(samples, extra={"p": np.array([""] * 4, object)})
    assert isinstance(ask(nothing, None, run)[1][0], Warned)


@pytest.mark.parametrize("rule", ["", "group", "(patient[0-9]+)_"])
def test_groups_of_the_training_that_can_not_be_made_here_are_missed_aloud(table, copied_run, rule) -> None:
    run = grouped(copied_run, rule, lambda path: path[:3])
    groups, (said,) = ask(table([0, 0, 1, 1], paths=["group/1.png", *PATHS[1:]]), None, run)
    assert groups == [""] * 4 and said.code == "evaluation.no-groups"


def test_a_training_without_groups_asks_for_none(table, copied_run) -> None:
    samples = table([0, 0, 1, 1], paths=PATHS)
    assert ask(samples, None, copied_run) == ask(samples, None, None) == ([""] * 4, [])


def test_a_run_that_can_not_be_read_is_said(table, copied_run) -> None:
    copied_run.plan_file.unlink()
    groups, (said,) = ask(table([0, 1]), None, copied_run)
    assert groups == ["", ""] and said.code == "evaluation.no-groups" and "plan.toml" in said.message


@pytest.mark.e2e
def test_the_figures_count_groups_by_the_rule_of_the_training(copied_run, tmp_path) -> None:
    run = grouped(copied_run, r"(\d)\d\.png", lambda path: path[-6])
    data = write_colours(tmp_path / "more", 30, seed=7)
    by_rule = sightline.evaluate(run.folder, data, out=tmp_path / "a", quiet=True)
    assert by_rule.metrics["count_groups"] == 3
    assert "count_groups" not in sightline.evaluate(run.folder, data, group="", out=tmp_path / "b", quiet=True).metrics
    columns = tmp_path / "columns.csv"
    lines = [f"{path.relative_to(data).as_posix()},{path.stem[-1]}" for path in data.rglob("*.png")]
    columns.write_text("\n".join(["path,patient", *lines]))
    typed = sightline.evaluate(run.folder, data, group="patient", columns=columns, out=tmp_path / "c", quiet=True)
    assert typed.metrics["count_groups"] == 10
