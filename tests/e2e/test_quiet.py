"""Nothing is sent, and nothing is written that was not asked for, by every command and the API."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import no_network
from sightline.runs.folder import Run

pytestmark = pytest.mark.e2e

TESTS = Path(__file__).parents[1]
# Where one of these is set, onnxruntime and MLflow take themselves for tested and report nothing, whoever asks.
SILENCING = (
    *("APPVEYOR", "BITBUCKET_BUILD_NUMBER", "BUILDKITE", "CI", "CIRCLECI", "CODEBUILD_BUILD_ID", "GITHUB_ACTIONS"),
    *("GITLAB_CI", "JENKINS_URL", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", "TEAMCITY_VERSION", "TF_BUILD", "TRAVIS"),
    *("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS", "HF_HUB_DISABLE_TELEMETRY", "DO_NOT_TRACK"),
    *("MLFLOW_DISABLE_TELEMETRY", "PYTEST_CURRENT_TEST", "PYTEST_VERSION"),
)
# What decides where things are kept.
PLACES = ("SIGHTLINE_CACHE", "SIGHTLINE_STATE", "TORCHINDUCTOR_CACHE_DIR", "MPLCONFIGDIR", "HF_HOME")
GUARD = f"import sys; sys.path.append({str(TESTS)!r}); import no_network; no_network.forbid_network()"
# A user of whom the system has no name, as in containers.
NAMELESS = "import pwd; pwd.getpwuid = {}.__getitem__"


def run_guarded(first: str, argv: list[str], folder: Path, more: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Run a script in ``folder``, after a line; with fresh places to keep things, and nothing that silences."""
    names = (*SILENCING, *PLACES, "HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "XDG_STATE_HOME", "TMPDIR")
    environment = {name: value for name, value in os.environ.items() if name not in names} | more
    code = f"{first}; import runpy, sys; sys.argv = {argv!r}; runpy.run_path({argv[0]!r}, run_name='__main__')"
    command = [sys.executable, "-c", code]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


@pytest.mark.skipif(not no_network.IS_POSSIBLE, reason="the guard is a filter of the Linux kernel")
def test_no_command_opens_a_socket_or_writes_elsewhere(finished_run: Run, colours: Path, tmp_path: Path) -> None:
    places = {name: tmp_path / name for name in ("home", "tmp", "work")}
    for place in places.values():
        place.mkdir()
    home = {name: str(places["home"]) for name in ("HOME", "USERPROFILE", "LOCALAPPDATA")}
    before = files_below(colours.parent)
    argv = [str(Path(__file__).with_name("tour.py")), str(finished_run.folder), str(colours)]
    result = run_guarded(GUARD, argv, places["work"], {**home, "TMPDIR": str(places["tmp"])})
    assert result.returncode == 0, result.stdout + result.stderr
    steps = result.stdout.splitlines()
    assert [step for step in steps if not step.startswith("0 ")] == [], result.stderr
    verbs = {step.split()[1] for step in steps}
    assert verbs >= set(_verbs()) - {"demo"}, "test_the_demo_goes_the_whole_way has the same guard"
    assert files_below(places["tmp"]) == set()
    kept = {name for name in files_below(places["home"]) if (places["home"] / name).is_file()}
    own = (".cache/sightline/", ".local/state/sightline/", ".cache/matplotlib/fontlist-")
    assert {name for name in kept if not name.startswith(own)} == set()
    asked = {"runs", "check.html", "preview.png", "measured", "explained"}
    assert {name.split("/")[0] for name in files_below(places["work"])} == asked
    assert files_below(colours.parent) == before


def _verbs() -> list[str]:
    from sightline.cli.app import VERBS

    return [verb.__name__ for verb in VERBS]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such users")
def test_what_ships_is_made_and_used_without_a_home_and_a_name(colours: Path, tmp_path: Path) -> None:
    """A container's user: the cache and the state have no place, which is said once, and nothing fails."""
    script = tmp_path / "go.py"
    commands = [
        ["check", str(colours)],
        ["train", str(colours), "--name", "a", "--model", "small-fast", "--epochs", "1"],
        ["predict", "a", str(colours / "red" / "000.png")],
        ["evaluate", "a", str(colours), "--out", "measured"],
        ["check", "~/photos"],
    ]
    script.write_text(
        "import sys; from sightline.cli.app import main\n"
        f"for words in {commands!r}:\n"
        "    sys.argv = ['sightline', *words]\n"
        "    try: main()\n"
        "    except SystemExit as end: print('END', words[0], end.code)\n"
    )
    empty = {"USER": "", "LOGNAME": "", "LNAME": "", "USERNAME": ""}
    result = run_guarded(NAMELESS, [str(script)], tmp_path, empty)
    ends = [line for line in result.stdout.splitlines() if line.startswith("END")]
    wanted = ["END check 0", "END train 0", "END predict 0", "END evaluate 0", "END check 2"]
    assert ends == wanted, result.stdout + result.stderr
    assert result.stderr.count("warning[cache.unwritable]") == 1, result.stderr
    assert "atplotlib" not in result.stderr and "error[path.no-home]" in result.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"go.py", "runs", "measured"}
    assert json.loads((tmp_path / "runs" / "a" / "run.json").read_text())["status"] == "finished"
