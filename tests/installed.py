"""Sightline as it was installed into an environment of its own: its commands, one by one or many in one process."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import no_network

__all__ = ["Said", "clean_environment", "drive", "program", "run_program", "sightline"]

# Runs commands one after the other, without a network where the kernel can forbid it, and counts the images whose
# features are computed, not taken from the cache. Figures are drawn and not rendered, which takes half of the time.
_DRIVER = f"""
import contextlib, io, json, sys
if {no_network.IS_POSSIBLE}:
    sys.path.append({str(Path(no_network.__file__).parent)!r})
    import no_network; no_network.forbid_network()
    sys.path.pop()
from sightline.cli import main
from sightline.reading import frozen_features
class Counted:
    def __init__(self, session):
        self.session = session
    def run(self, names, inputs):
        global computed
        computed += sum(map(len, inputs.values()))
        return self.session.run(names, inputs)
computed, opened = 0, frozen_features.open_session
frozen_features.open_session = lambda *more, **others: Counted(opened(*more, **others))
from matplotlib.figure import Figure
from PIL import Image
def unrendered(figure, target, *, format="png", **others):
    if format == "svg": target.write("<svg xmlns='http://www.w3.org/2000/svg'><g id='figure_1'></g></svg>")
    else: Image.new("L", (1, 1)).save(target, format)
Figure.savefig = unrendered
for line in sys.stdin.read().splitlines():
    sys.argv, computed, out, err = ["sightline", *json.loads(line)], 0, io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try: main(); code = 0
        except SystemExit as end: code = end.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue(), computed]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Said:
    """What a command ended with.

    Attributes:
        code: exit code.
        out, err: stdout and stderr.
        computed: images whose features were computed, not taken from the cache; None where it was not counted.
    """

    code: int
    out: str
    err: str
    computed: int | None = None


def program(folder: Path, name: str) -> Path:
    """Return ``python`` or ``sightline`` of the environment ``venv`` in a folder."""
    return folder / "venv" / ("Scripts" if os.name == "nt" else "bin") / name


def clean_environment(folder: Path | None = None) -> dict[str, str]:
    """Return the variables of a process that must not see the checkout; its caches are in the folder."""
    own = {"SIGHTLINE_CACHE": str(folder / "cache"), "SIGHTLINE_STATE": str(folder / "state")} if folder else {}
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")} | own


def run_program(*command: object, cwd: Path | None = None) -> str:
    """Return the stdout of a command that must succeed."""
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=clean_environment(), capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"
    return done.stdout


def sightline(folder: Path, *words: object, cwd: Path) -> Said:
    """Run one command as a person does; caches are in its working directory."""
    command = [str(word) for word in (program(folder, "sightline"), *words)]
    done = subprocess.run(command, cwd=cwd, env=clean_environment(cwd), capture_output=True, text=True)
    return Said(done.returncode, done.stdout, done.stderr)


def drive(folder: Path, commands: Sequence[str], *, cwd: Path) -> list[Said]:
    """Run commands, each a line of words, in one process; caches are in its working directory."""
    lines = "\n".join(json.dumps(command.split()) for command in commands)
    done = subprocess.run(
        [str(program(folder, "python")), "-c", _DRIVER],
        input=lines,
        cwd=cwd,
        env=clean_environment(cwd),
        capture_output=True,
        text=True,
    )
    said = [Said(*json.loads(line)) for line in done.stdout.splitlines()]
    assert len(said) == len(commands), f"the process ended with {done.returncode}: {done.stderr}"
    return said
