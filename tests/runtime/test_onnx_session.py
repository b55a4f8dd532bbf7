"""A prediction reports nothing to anyone: no file of onnxruntime's maker appears, and no socket is opened."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import warnings
from pathlib import Path

import pytest

import no_network
from sightline.errors import InputError
from sightline.runtime.classifier import Classifier
from sightline.runtime.onnx_session import open_session

TESTS = str(Path(__file__).parents[1])
GUARDED = f"import sys; sys.path.append({TESTS!r})\nimport no_network\nno_network.forbid_network()\n"
PREDICT = "import sys\nfrom sightline.cli import main\nmain()\n"
IN_A_CHILD = f"import subprocess\nsys.exit(subprocess.call([sys.executable, '-c', {PREDICT!r}, *sys.argv[1:]]))\n"
# What a program does that opens the graph without our door, and one that goes through it; both then wait to be let go.
ANY_PROGRAM = """
import sys
import onnxruntime
onnxruntime.InferenceSession(sys.argv[2])
sys.stdin.read()
"""
OUR_DOOR = """
import sys
from sightline.runtime.classifier import Classifier
assert Classifier.open(sys.argv[2]).predict(sys.argv[3])[0].error is None
sys.stdin.read()
"""
# Where one of these is set, onnxruntime 1.32 takes itself for tested and reports nothing, whoever opens the graph.
SILENCING = (
    *("APPVEYOR", "BITBUCKET_BUILD_NUMBER", "BUILDKITE", "CI", "CIRCLECI", "CODEBUILD_BUILD_ID", "GITHUB_ACTIONS"),
    *("GITLAB_CI", "JENKINS_URL", "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI", "TEAMCITY_VERSION", "TF_BUILD", "TRAVIS"),
    *("ORT_DISABLE_TELEMETRY", "ORT_RUNNING_UNIT_TESTS"),
)
guarded = pytest.mark.skipif(not no_network.IS_POSSIBLE, reason="the guard is a filter of the Linux kernel")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that processes take for their home, cache and temporary folder; no variable silences them."""
    for name in (*SILENCING, "SIGHTLINE_CACHE", "SIGHTLINE_STATE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE", "LOCALAPPDATA", "XDG_CACHE_HOME", "TMPDIR"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.fixture
def start(tiny_model: Path, colours: Path, home: Path):
    """Return a function that starts code in a process of its own, as ``predict MODEL IMAGE``."""

    def begin(code: str) -> subprocess.Popen[bytes]:
        arguments = ["predict", str(tiny_model), str(colours / "red" / "000.png")]
        return subprocess.Popen([sys.executable, "-c", code, *arguments], cwd=home, stdin=subprocess.PIPE)

    return begin


def files_below(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file()}


def end(process: subprocess.Popen[bytes]) -> int:
    """Let a process go, and return its code."""
    process.communicate(timeout=100)
    return process.returncode


@guarded
@pytest.mark.parametrize("code", [PREDICT, IN_A_CHILD], ids=["alone", "started by another"])
def test_a_prediction_leaves_no_file_and_opens_no_socket(start, home, code):
    assert end(start(GUARDED + code)) == 0
    assert files_below(home) == set()


@guarded
def test_a_process_that_lives_on_looks_nobody_up(start, home):
    """Without our door the maker's file is there at once, and mostly a socket is opened some ten seconds later.

    When that is, and whether, is up to onnxruntime; so either of them shows that these tests can fail.
    """
    with start(GUARDED + OUR_DOOR) as ours, start(GUARDED + ANY_PROGRAM) as other:
        until = time.monotonic() + 100
        while "deviceid" not in files_below(home) and other.poll() != no_network.ENDED:
            # Where this fails, the installed onnxruntime reports nothing here, and these tests can't fail: look which
            # variables its library reads, or whether it still reports at all.
            assert time.monotonic() < until
            time.sleep(0.1)
        with contextlib.suppress(subprocess.TimeoutExpired):
            other.wait(timeout=15)
        other.kill()
        assert end(ours) == 0


@guarded
def test_the_guard_ends_processes_that_open_a_socket_and_no_others(start):
    assert end(start(GUARDED + "import socket; socket.socket(socket.AF_INET)")) == no_network.ENDED
    assert end(start(GUARDED + "import socket; socket.socket(socket.AF_INET6)")) == no_network.ENDED
    assert end(start(GUARDED + "import socket; socket.socketpair()")) == 0
    in_a_child = "import subprocess\ncode = subprocess.call([sys.executable, '-c', 'import socket; socket.socket()'])\n"
    assert end(start(GUARDED + in_a_child + "assert code == no_network.ENDED")) == 0


def test_a_provider_that_is_not_there_is_refused(tiny_model):
    with pytest.raises(InputError, match="no NpuExecutionProvider") as caught:
        Classifier.open(tiny_model, providers=["NpuExecutionProvider"])
    assert "CPUExecutionProvider" in caught.value.cure
    with pytest.raises(InputError):
        open_session(tiny_model.read_bytes(), providers=[])


def test_a_provider_whose_libraries_do_not_load_is_refused(tiny_model, monkeypatch):
    import onnxruntime

    listed = onnxruntime.get_available_providers()
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: ["CUDAExecutionProvider", *listed])
    with warnings.catch_warnings(), pytest.raises(InputError, match="CUDAExecutionProvider does not start"):
        warnings.simplefilter("ignore")  # onnxruntime's own, of a provider that it was not built with
        open_session(tiny_model.read_bytes(), providers=["CUDAExecutionProvider", "CPUExecutionProvider"])


def test_threads_without_work_sleep(tiny_model):
    options = open_session(tiny_model.read_bytes(), threads=2).get_session_options()
    assert options.get_session_config_entry("session.intra_op.allow_spinning") == "0"
