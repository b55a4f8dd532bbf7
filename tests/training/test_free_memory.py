"""Memory that is free: the smallest of the machine's, the control groups' and the address space's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from sightline import process_settings
from sightline.training import free_memory
from sightline.training.free_memory import free_bytes

MIB = 2**20


def group(folder: Path, limit: str, used: int, inactive: int, *, version: int = 2) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = {
        1: ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        2: ("memory.max", "memory.current", "inactive_file"),
    }[version]
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {inactive}\nslab 7\n")


@pytest.fixture
def limits(tmp_path: Path):
    """Return a function that says what is left in the groups of a ``/proc/self/cgroup``, smallest first."""

    def ask(text: str) -> list[int]:
        (tmp_path / "cgroup").write_text(text)
        return sorted(left for left, _ in free_memory._group_limits(tmp_path / "cgroup", tmp_path / "sys"))

    return ask


def test_without_limits_it_is_what_the_machine_has(monkeypatch):
    monkeypatch.setattr(free_memory, "_group_limits", lambda *_: iter(()))
    monkeypatch.setattr(free_memory, "_address_limit", lambda _: iter(()))
    free, reason = free_bytes(torch.device("cpu"))
    assert free == pytest.approx(psutil.virtual_memory().available, rel=0.3) and "machine" in reason


def test_the_smallest_limit_wins_and_is_named(monkeypatch):
    monkeypatch.setattr(free_memory, "_group_limits", lambda *_: iter([(7 * MIB, "of the group")]))
    assert free_bytes(torch.device("cpu")) == (7 * MIB, "of the group")
    monkeypatch.setattr(free_memory, "_group_limits", lambda *_: iter([(-5, "of the group")]))
    assert free_bytes(torch.device("cpu"))[0] == 0


def test_a_group_leaves_its_limit_less_what_is_used_and_can_not_be_given_back(tmp_path, limits):
    group(tmp_path / "sys" / "app.slice" / "one", "1000", 700, 200)
    assert limits("0::/app.slice/one\n") == [500]


def test_a_groups_parents_hold_it_too_and_max_is_no_limit(tmp_path, limits):
    group(tmp_path / "sys" / "app.slice" / "one", "max", 700, 0)
    group(tmp_path / "sys" / "app.slice", "1000", 900, 0)
    assert limits("0::/app.slice/one\n") == [100]


def test_version_1_and_a_container_whose_path_is_the_one_outside(tmp_path, limits):
    group(tmp_path / "sys" / "memory", "1000", 600, 100, version=1)
    assert set(limits("5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/docker/abc\n")) == {500}


def test_a_system_without_groups_has_no_such_limit(tmp_path, limits):
    assert limits("0::/nowhere\n") == []
    assert list(free_memory._group_limits(tmp_path / "none", tmp_path)) == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no ulimit")
def test_ulimit_counts_what_the_process_holds_already():
    code = (
        "import resource, psutil, torch; from sightline.training.free_memory import free_bytes, give_back_memory;"
        "give_back_memory(); held = psutil.Process().memory_info().vms;"
        "resource.setrlimit(resource.RLIMIT_AS, (held + (300 << 20), resource.RLIM_INFINITY));"
        "print(*free_bytes(torch.device('cpu')))"
    )
    free, *reason = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.split()
    assert 250 * MIB < int(free) <= 300 * MIB and "ulimit" in reason


@pytest.mark.skipif(process_settings._libc() is None, reason="mallopt is glibc's")
def test_what_a_training_keeps_for_its_next_step_is_free(monkeypatch):
    """As where it starts over at another width, and asks whether that fits."""
    as_set = process_settings.ProcessSettings("passive", "passive", "kept")
    monkeypatch.setattr(process_settings, "set_up_process", lambda: as_set)
    held = psutil.Process().memory_info
    with process_settings.kept_memory():
        steps = [torch.ones(25 * MIB) for _ in range(3)]
        least = torch.ones(4 * MIB)  # above them in the heap, so that it can't just become shorter
        del steps
        kept = held().rss
        free_bytes(torch.device("cpu"))
        assert held().rss < kept - 250 * MIB and least.sum() == 4 * MIB
