"""Every command says what ``latest`` is: whatever was trained last may know other classes."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from sightline.runs.folder import Run

# Each ends soon after, by an error or its work: only what is said first counts here.
COMMANDS = [
    "predict latest no-such.png",
    "explain latest no-such-folder",
    "evaluate latest no-such-folder",
    "robustness latest --images 0",
    "robustness --images 0",
    "compare latest latest",
    "verify latest --no-data",
    "verify --no-data",
    "report latest --data no-such-folder",
    "export latest --format no-such-format",
]


@pytest.fixture
def runs(here: Path, finished_run: Run) -> Path:
    """A folder with one run."""
    shutil.copytree(finished_run.folder, here / "runs" / "colours")
    return here / "runs"


@pytest.mark.parametrize("command", COMMANDS)
def test_latest_is_named_with_its_data_and_classes(sightline, runs, colours, command):
    _, out, err = sightline(*command.split())
    named = f"latest is {Path('runs') / 'colours'}, trained on {colours}; classes: blue, green, red"
    assert err.splitlines().count(named) == 1 + (command.count("latest") == 2), err
    assert named not in out


@pytest.mark.parametrize("command", [command for command in COMMANDS if "latest" in command])
def test_a_run_that_was_named_is_not_named_again(sightline, runs, command):
    _, _, err = sightline(*command.replace("latest", "colours").split())
    assert "latest is" not in err


def test_many_classes_are_counted(sightline, runs):
    file = runs / "colours" / "run.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "classes": [f"c{k}" for k in range(1000)]}))
    assert "classes: c0, c1, c2, c3, c4, c5 and 994 more" in sightline("predict", "latest", "no-such.png")[2]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="macOS and Windows always have such a program")
def test_a_page_that_can_not_be_opened_here_is_said_in_one_line(sightline, runs, no_figures, monkeypatch, here):
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    program = here / "bin" / "xdg-open"
    program.parent.mkdir()
    noise = "#!/bin/sh\necho noise\necho noise >&2\n"
    program.write_text(f'{noise}echo "$1" > {here}/half\nmv {here}/half {here}/opened\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    status, out, err = sightline("report", "colours", "--open")
    assert status == 0 and out.strip().endswith("report.html")
    assert err == "no browser can be started here: open that file where there is one\n"
    monkeypatch.setenv("DISPLAY", ":0")
    assert sightline("report", "colours", "--open")[1:] == (out, "")
    wait_for(here / "opened")
    assert (here / "opened").read_text().strip() == str((runs / "colours" / "report.html").resolve())


def wait_for(path: Path) -> None:
    """Wait for a file that another process makes."""
    while not path.exists():
        time.sleep(0.01)


def test_only_runs_that_can_be_compared_are_proposed(sightline, runs):
    for name in ("b", "c", "d", "e"):
        shutil.copytree(runs / "colours", runs / name)
    replace_in(runs / "b" / "run.json", '"green"', '"verdant"')  # other classes
    replace_in(runs / "b" / "data" / "samples.csv", ",green,", ",verdant,")
    samples = runs / "c" / "data" / "samples.csv"
    samples.write_text(re.sub(r"\b[0-9a-f]{64}\b", lambda found: found[0][::-1], samples.read_text()))  # other images
    (runs / "d" / "evaluation" / "predictions.csv").write_text("damaged")
    out = sightline("runs", "--sort", "name")[1]
    assert "Next: sightline compare colours e " in out or "Next: sightline compare e colours " in out, out
    shutil.rmtree(runs / "e")
    assert "Next: sightline compare" not in sightline("runs", "--sort", "accuracy")[1]


def replace_in(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
