"""Without the packages of an extra, each command that needs them says so before any work; the others work."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.installation import EXTRAS
from sightline.runs.folder import Run

_TYPER = "pydantic"  # comes with typer, and so with Sightline itself
_BEYOND = ("pandas", "tensorboard", "pyarrow")
BARE = {name for name in (*EXTRAS["light"], *EXTRAS["train"], *_BEYOND) if name != _TYPER}
TORCH = {*EXTRAS["train"], *_BEYOND}

# Runs commands in a process in which some packages can't be found; prints (exit code, stderr) of each as JSON.
SCRIPT = """
import contextlib, io, json, sys
from importlib.machinery import PathFinder
absent, commands = json.loads(sys.stdin.read())
find = PathFinder.find_spec
def find_others(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in absent else find(name, path, target)
PathFinder.find_spec = classmethod(find_others)
from sightline.cli.app import main
found = []
for words in commands:
    sys.argv, said = ["sightline", *words], io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            main()
        except SystemExit as end:
            found.append((end.code, said.getvalue()))
print(json.dumps(found))
"""


def run_without(absent: set[str], commands: list[list[str]], folder: Path) -> list[tuple[int, str]]:
    given = json.dumps([sorted(absent), commands])
    done = subprocess.run([sys.executable, "-c", SCRIPT], input=given, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [(code, err) for code, err in json.loads(done.stdout)]


@pytest.fixture
def places(copied_run: Run, colours: Path) -> dict[str, str]:
    image = next((colours / "red").iterdir())
    return {"run": str(copied_run.folder), "images": str(colours), "image": str(image)}


LIGHT = """
check {images}
check {images} --embeddings {run}
train {images}
train {images} --plan
train {images} --folds 3
evaluate {run} {images} --out out
explain {run} {image} --out out
robustness {run} --images 2
compare {run} {run}
verify {run}
report {run}
export {run}
models
demo
selftest --quick
"""
TRAIN = """
preview {images}
models resnet*
export {run}
export {run} --format pt2
check {images} --embeddings resnet18
"""


@pytest.mark.parametrize(
    ("absent", "extra", "commands"), [(BARE, "light", LIGHT), (TORCH, "train", TRAIN)], ids=["light", "train"]
)
def test_what_needs_an_extra_says_so_first(places, tmp_path, absent, extra, commands):
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    lines = [line.format(**places) for line in commands.strip().splitlines()]
    for line, (code, err) in zip(lines, run_without(absent, [line.split() for line in lines], tmp_path), strict=True):
        assert code == 2 and err.startswith("error[install.missing-extra]") and f"[{extra}]" in err, (line, err)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_what_needs_none_works(places, tmp_path):
    lines = ["recipes", f"runs {Path(places['run']).parent}", "predict {run} {image}".format(**places)]
    assert [code for code, _ in run_without(BARE, [line.split() for line in lines], tmp_path)] == [0, 0, 0]


def test_without_torch_a_finished_run_is_measured_explained_and_reported(places, tmp_path):
    """With [light] alone; robustness once failed at its end, after all its work."""
    lines = ["robustness {run} --images 2", "explain {run} {image} --out out", "verify {run}", "report {run}"]
    found = run_without(TORCH, [line.format(**places).split() for line in lines], tmp_path)
    assert [code for code, _ in found] == [0, 0, 0, 0], found
