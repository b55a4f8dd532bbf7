"""How a process waits and keeps memory: set before it is read, what a user set kept, and what came too late told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from sightline import process_settings
from sightline.process_settings import kept_memory, set_up_process

NAMES = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "OPENBLAS_THREAD_TIMEOUT", "KMP_BLOCKTIME", "GOTO_THREAD_TIMEOUT")
ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measured on Linux, and set there alone")
GLIBC = pytest.mark.skipif(not process_settings._is_glibc(), reason="mallopt is glibc's")


def without_settings(**more: str) -> dict[str, str]:
    """Return the environment of a user who set nothing but that."""
    left_out = (*NAMES, "GLIBC_TUNABLES", "LD_PRELOAD", process_settings.SWITCH)
    plain = {name: value for name, value in os.environ.items() if name not in left_out}
    return {name: value for name, value in plain.items() if not name.startswith("MALLOC_")} | more


def ask(code: str, **more: str) -> Any:
    """Return what a fresh process prints as JSON last."""
    command = [sys.executable, "-c", f"import json, os, sys\n{code}"]
    said = subprocess.run(command, env=without_settings(**more), capture_output=True, text=True, check=True)
    return json.loads(said.stdout.splitlines()[-1])


SET_UP = "from sightline.process_settings import set_up_process\nrecord = set_up_process().record()\n"
RECORD = f"{SET_UP}print(json.dumps(record))"
THERE = f"{{n: os.environ[n] for n in {NAMES!r} if n in os.environ}}"
# What the variables are when numpy is looked for, and when torch is; there the process ends.
TELLING = f"""
class Telling:
    def find_spec(self, name, path=None, target=None):
        if name in ("numpy", "torch"):
            seen.setdefault(name, [os.environ.get(each) for each in {NAMES[:3]!r}])
        if name == "torch":
            print(json.dumps(seen), flush=True)
            os._exit(0)
seen = {{}}
sys.meta_path.insert(0, Telling())
"""
SET = ["PASSIVE", "0", "4"]


@ON_LINUX
def test_the_command_line_sets_all_before_numpy_or_torch_is_loaded() -> None:
    start = "from sightline.cli import main\nsys.argv = ['sightline', 'models', 'resnet18']\nmain()"
    assert ask(TELLING + start) == {"numpy": SET, "torch": SET}


@ON_LINUX
@pytest.mark.parametrize("room", ["networks.build", "training.process_group", "exporting.pt2_format"])
def test_each_room_that_loads_torch_sets_it_before(room: str) -> None:
    assert ask(f"{TELLING}import sightline.{room}, torch")["torch"] == SET


@ON_LINUX
@pytest.mark.parametrize(
    ("own", "state"),
    [
        ({"OMP_WAIT_POLICY": "ACTIVE"}, "openmp"),
        ({"GOMP_SPINCOUNT": "500"}, "openmp"),
        ({"KMP_BLOCKTIME": "20"}, "openmp"),
        ({"OPENBLAS_THREAD_TIMEOUT": "20"}, "openblas"),
        ({"GOTO_THREAD_TIMEOUT": "20"}, "openblas"),
    ],
)
def test_what_a_user_set_stays_whole_and_is_told(own: dict[str, str], state: str) -> None:
    record, environment = ask(f"{SET_UP}print(json.dumps([record, {THERE}]))", **own)
    assert record[state] == "yours" and record["own"] == own
    group = NAMES[:2] if state == "openmp" else NAMES[2:3]
    assert {name: environment.get(name) for name in (*group, *own)} == {**dict.fromkeys(group), **own}
    assert "passive" in record.values(), "the other library's is set all the same"


@GLIBC
@pytest.mark.parametrize("name", ["MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES", "LD_PRELOAD"])
def test_a_users_own_malloc_is_not_touched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    value = {"LD_PRELOAD": "/usr/lib/libjemalloc-malloc.so", "GLIBC_TUNABLES": "glibc.malloc.arena_max=1"}.get(
        name, "9"
    )
    monkeypatch.setenv(name, value)
    assert process_settings._own_malloc()[name] == value
    found = set_up_process.__wrapped__()
    assert found.malloc == "yours" and found.own[name] == value and f"{name}={value} is yours" in found.describe()


@pytest.mark.parametrize("word", ["off", "0", "False", " no "])
def test_it_can_be_switched_off(word: str) -> None:
    record, environment = ask(f"{SET_UP}print(json.dumps([record, {THERE}]))", SIGHTLINE_PROCESS_SETTINGS=word)
    assert record == dict.fromkeys(("openmp", "openblas", "malloc"), "off") and environment == {}


@ON_LINUX
def test_processes_that_are_started_have_it_too() -> None:
    inner = f"import json\n{RECORD}"
    record = ask(f"import subprocess\n{SET_UP}sys.exit(subprocess.call([sys.executable, '-c', {inner!r}]))")
    assert record["openmp"] == record["openblas"] == "passive" and "own" not in record and "cure" not in record


@ON_LINUX
def test_what_comes_too_late_is_told_with_its_cure() -> None:
    record = ask(f"import numpy\nsys.modules['torch'] = numpy\n{RECORD}")
    assert record["openmp"] == record["openblas"] == "late"
    cure = str(record["cure"])
    typed = dict(word.split("=") for word in cure.split() if "=" in word)
    assert typed == dict(zip(NAMES[:3], ("PASSIVE", "0", "4"), strict=True))
    assert "cure" not in ask(f"import numpy\nsys.modules['torch'] = numpy\n{RECORD}", **typed), "the cure works"


def test_other_systems_and_other_c_libraries_are_left_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(name: str) -> str:
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "confstr", unknown, raising=False)
    found = set_up_process.__wrapped__()
    assert found.malloc == "system"
    monkeypatch.setattr(process_settings, "set_up_process", lambda: found)
    with kept_memory():
        pass
    monkeypatch.setattr(sys, "platform", "darwin")
    assert set_up_process.__wrapped__().record() == dict.fromkeys(("openmp", "openblas", "malloc"), "system")


@GLIBC
def test_a_c_library_without_these_functions_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import ctypes

    monkeypatch.setattr(ctypes, "CDLL", lambda name: object())
    with kept_memory():
        pass


STEPS = """
import numpy as np, psutil, resource
from contextlib import nullcontext
from sightline.process_settings import kept_memory
def step():
    for _ in range(4): np.ones(12_000_000)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def rss():
    return psutil.Process().memory_info().rss / 2**20
before = rss()
with kept_memory():
    step()
    start = faults()
    for _ in range(3): step()
    during, held = faults() - start, rss() - before
left = rss() - before
start = faults()
step()
print(json.dumps({"during": during, "held": held, "left": left, "after": faults() - start}))
"""


@GLIBC
def test_memory_is_kept_between_steps_and_given_back_at_the_end() -> None:
    """By the kernel's own count of pages that it had to clear; a step takes blocks of 92 MiB."""
    kept, plain = ask(STEPS), ask(STEPS, SIGHTLINE_PROCESS_SETTINGS="off")
    assert plain["during"] > 1_000 and plain["held"] < 20, plain
    assert kept["during"] < plain["during"] / 20 and kept["held"] > 80, kept
    assert kept["left"] < 20 and kept["after"] > 1_000 / 4, kept
