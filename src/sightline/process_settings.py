"""How a process waits for work and keeps memory, as it was measured to be best, also where the machine does more.

Threads of OpenMP (torch) and OpenBLAS (numpy, scikit-learn) that have no work turn in circles, in case some comes: on a
busy machine they take the processor from those that compute. And malloc gives blocks of more than 32 MiB back to the
system, which clears them again for the next step. ``benchmarks/busy.py`` measures both.

The libraries read the environment when they are loaded: so it is set before, and whatever came too late is recorded.
What a user set stays. Only on Linux, where it was measured.
"""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["SWITCH", "ProcessSettings", "give_back_memory", "kept_memory", "set_up_process"]

SWITCH = "SIGHTLINE_PROCESS_SETTINGS"  # off: everything is left as it is
_FALSE = ("0", "false", "no", "off")
_OPENMP = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "0"}
_OPENBLAS = {"OPENBLAS_THREAD_TIMEOUT": "4"}  # of 4 to 30: 2 to that power, in ticks of the processor; 26 by default
_CURE = "start Python with {} in its environment, or set them before any other import"
_MAPS = Path("/proc/self/maps")

# Parameters of glibc's mallopt, their values while a process trains, and those after that: malloc itself comes to them
# while a process works, but no more once one of them was set. The room on top keeps the heaps of threads.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4
_DURING = {_MMAP_MAX: 0, _TRIM_THRESHOLD: -1, _TOP_PAD: 64 * 2**20}
_AFTER = {_MMAP_MAX: 65_536, _MMAP_THRESHOLD: 32 * 2**20, _TRIM_THRESHOLD: 64 * 2**20, _TOP_PAD: 2**17}


@dataclass(frozen=True, slots=True)
class ProcessSettings:
    """How the threads of this process wait, and what its malloc does with memory that training frees.

    Attributes:
        openmp: ``passive``; ``yours``; ``late``: torch was loaded before, and waits in its own way; ``off``: you want
            it so; ``system``: nothing is set on this system.
        openblas: the same, for numpy.
        malloc: ``kept`` for the next step, in trainings with torch; else as ``openmp``.
        own: variables that the user set, which stay.
        cure: what to do where something came too late; else empty.
    """

    openmp: str
    openblas: str
    malloc: str
    own: Mapping[str, str] = field(default_factory=dict)
    cure: str = ""

    def record(self) -> dict[str, object]:
        """Return it as JSON, without what is empty."""
        more = {"own": dict(self.own), "cure": self.cure}
        named = {"openmp": self.openmp, "openblas": self.openblas, "malloc": self.malloc}
        return {**named, **{name: value for name, value in more.items() if value}}

    def describe(self) -> str:
        """Return it in words.

        Example:
            >>> ProcessSettings("off", "off", "off").describe()
            'left as it is, since SIGHTLINE_PROCESS_SETTINGS is off'
        """
        if self.openmp == "off":
            return f"left as it is, since {SWITCH} is off"
        if self.openmp == "system":
            return "left as it is: it was measured on Linux only"
        waiting = {"OpenMP": self.openmp, "OpenBLAS": self.openblas}
        asleep = [name for name, state in waiting.items() if state == "passive"]
        words = [f"threads without work sleep ({', '.join(asleep)})"] if asleep else []
        words += ["memory is kept between the steps of a training"] if self.malloc == "kept" else []
        words += [f"{name}={value} is yours and stays" for name, value in self.own.items()]
        words += [f"{name} was loaded before" for name, state in waiting.items() if state == "late"]
        return "; ".join(words)


@functools.cache
def set_up_process() -> ProcessSettings:
    """Set the environment of this process and those that it starts, and return what came of it; once a process.

    Call it before torch and numpy are loaded; that costs no time.

    Example:
        >>> set_up_process() is set_up_process()
        True
    """
    if os.environ.get(SWITCH, "").strip().lower() in _FALSE:
        return ProcessSettings("off", "off", "off")
    if not sys.platform.startswith("linux"):
        return ProcessSettings("system", "system", "system")
    own = _own_malloc() if _is_glibc() else {}
    malloc = "yours" if own else "kept" if _is_glibc() else "system"
    is_torch_here = "torch" in sys.modules or _is_mapped("/libgomp.so")  # torch takes one that is there already
    openmp, own_openmp = _set(_OPENMP, ("KMP_BLOCKTIME",), is_torch_here)
    openblas, own_openblas = _set(_OPENBLAS, ("GOTO_THREAD_TIMEOUT",), "numpy" in sys.modules)
    late = {**(_OPENMP if openmp == "late" else {}), **(_OPENBLAS if openblas == "late" else {})}
    cure = _CURE.format(" ".join(f"{name}={value}" for name, value in late.items())) if late else ""
    return ProcessSettings(openmp, openblas, malloc, {**own, **own_openmp, **own_openblas}, cure)


def _set(wanted: Mapping[str, str], others: tuple[str, ...], is_loaded: bool) -> tuple[str, dict[str, str]]:
    """Set variables together, or none of them where a user chose; returns (state, the user's own)."""
    there = {name: os.environ[name] for name in (*wanted, *others) if name in os.environ}
    if there == dict(wanted):  # so did the process that started this one, or the user
        return "passive", {}
    if there:
        return "yours", there
    os.environ.update(wanted)
    return ("late" if is_loaded else "passive"), {}


def _own_malloc() -> dict[str, str]:
    """Return the variables by which a user chose how malloc works, or another one."""
    found = {name: value for name, value in os.environ.items() if name.startswith("MALLOC_") and name.endswith("_")}
    for name in ("GLIBC_TUNABLES", "LD_PRELOAD"):
        if "malloc" in os.environ.get(name, ""):
            found[name] = os.environ[name]
    return found


def _is_glibc() -> bool:
    """Whether the C library is glibc, of 64 bits: with fewer, addresses are too few to keep any."""
    try:
        return sys.maxsize > 2**32 and (os.confstr("CS_GNU_LIBC_VERSION") or "").startswith("glibc")
    except (ValueError, OSError, AttributeError):  # musl, or no such call
        return False


def _is_mapped(name: str) -> bool:
    try:
        return name in _MAPS.read_text()
    except OSError:
        return False


@contextmanager
def kept_memory() -> Iterator[None]:
    """Let malloc keep what is freed inside the ``with`` block, for the next step; at its end the system has it back.

    Does nothing where :func:`set_up_process` says that malloc is not to be touched. A process that trains takes about a
    tenth more memory so.

    Example:
        >>> with kept_memory():
        ...     step = bytearray(2**26)
    """
    libc = _libc() if set_up_process().malloc == "kept" else None
    if libc is None:
        yield
        return
    mallopt, trim = libc
    for name, value in _DURING.items():
        mallopt(name, value)
    try:
        yield
    finally:
        for name, value in _AFTER.items():
            mallopt(name, value)
        trim(0)


def give_back_memory() -> None:
    """Give the system what malloc keeps and nothing uses: before free memory is counted. It is taken anew when needed.

    Example:
        >>> give_back_memory()
    """
    libc = _libc() if set_up_process().malloc == "kept" else None
    if libc is not None:
        libc[1](0)


def _libc() -> tuple[Callable[[int, int], int], Callable[[int], int]] | None:
    """Return malloc's functions, where the process has them."""
    import ctypes  # some milliseconds, which a prediction need not wait for

    try:
        library = ctypes.CDLL(None)
        return library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
