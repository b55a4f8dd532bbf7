"""Help and completion: what ``--help`` shows, and what a shell is offered."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sightline.cli.app import VERBS
from sightline.cli.help_page import examples_of

SIGHTLINE = Path(sys.executable).with_name("sightline")


@pytest.fixture(autouse=True)
def wide(monkeypatch):
    """A terminal in which no short line is broken."""
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.__name__)
def test_the_help_of_a_verb_ends_with_examples_of_it(sightline, verb):
    status, out, _ = sightline(verb.__name__, "--help")
    examples = examples_of(verb)
    assert status == 0 and examples
    assert out.rstrip().endswith("Examples:\n" + "\n".join(f"  {line}" for line in examples))
    assert all(shlex.split(line)[:2] == ["sightline", verb.__name__] for line in examples)


def test_the_list_of_commands_cuts_no_words_off_on_a_narrow_terminal(sightline, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    _, out, _ = sightline("--help")
    rows = out.partition("\nCommands:\n")[2].splitlines()
    assert [row.split()[0] for row in rows] == [verb.__name__ for verb in VERBS]
    assert not [row for row in rows if "..." in row]


def test_the_options_of_train_stand_in_groups(sightline):
    _, out, _ = sightline("train", "--help")
    heads = [line for line in out.splitlines() if line.endswith(":") and not line.startswith(" ")]
    groups = ["Data:", "Network:", "Learning:", "Time and devices:", "Output:"]
    assert heads == ["Arguments:", *groups, "Options:", "Examples:"]
    place = {name: out.index(f"\n{name}\n") for name in heads}
    for option, group, after in (
        ("--val", "Data:", "Network:"),
        ("--size", "Network:", "Learning:"),
        ("--lr", "Learning:", "Time and devices:"),
        ("--devices", "Time and devices:", "Output:"),
        ("--json", "Output:", "Options:"),
    ):
        assert place[group] < out.index(f"{option} ") < place[after], option
    assert out.partition("\nOptions:\n")[2].split("\n\n")[0].split() == [
        "-h,",
        "--help",
        "Show",
        "this",
        "message",
        "and",
        "exit.",
    ]


def test_help_loads_nothing_heavy(tmp_path):
    code = (
        "import sys; sys.argv = ['sightline', *sys.argv[1:]]\n"
        "from sightline.cli import main\n"
        "try: main()\n"
        "finally: print([m for m in ('rich', 'torch', 'numpy', 'PIL', 'onnxruntime', 'sklearn') if m in sys.modules])\n"
    )
    for arguments in (["--help"], ["train", "--help"]):
        result = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=tmp_path)
        assert result.stdout.splitlines()[-1] == "[]", arguments


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_verbs_and_options_after_the_installation(tmp_path):
    asked = (
        "sightline --install-completion bash >&2\n"
        "source ~/.bashrc\n"
        "complete -p sightline\n"
        "COMP_WORDS=(sightline pre) COMP_CWORD=1; _sightline_completion sightline; echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(sightline train --fo) COMP_CWORD=2; _sightline_completion sightline; echo ${COMPREPLY[@]}\n"
        "COMP_WORDS=(sightline explain --method '') COMP_CWORD=3\n"
        "_sightline_completion sightline; echo ${COMPREPLY[@]}\n"
    )
    path = f"{SIGHTLINE.parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "HOME": str(tmp_path), "PATH": path}
    result = subprocess.run(["bash", "--norc", "-c", asked], env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    installed, *offered = result.stdout.splitlines()
    assert "_sightline_completion" in installed
    assert offered == ["preview predict", "--folds --follow-links", "auto gradcam occlusion"]


def test_completion_loads_nothing_heavy(tmp_path):
    environment = {
        **os.environ,
        "_SIGHTLINE_COMPLETE": "complete_bash",
        "COMP_WORDS": "sightline train --",
        "COMP_CWORD": "2",
    }
    command = [sys.executable, "-X", "importtime", SIGHTLINE]
    result = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "--epochs" in result.stdout.split()
    loaded = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"torch", "numpy", "PIL", "onnxruntime", "sklearn"}
