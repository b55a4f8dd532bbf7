"""How much memory this process can still use, and what limits it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import torch

from sightline.process_settings import give_back_memory

__all__ = ["free_bytes"]

# (file of the limit, file of the usage, entry of memory.stat that the system can reclaim)
_GROUP_FILES = (
    ("memory.max", "memory.current", "inactive_file"),  # control groups, version 2
    ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),  # version 1
)


def free_bytes(device: torch.device) -> tuple[int, str]:
    """Return (bytes that this process can still use on a device, the limit in words): the smallest of all limits.

    On a CPU: the machine's available memory, the limits of its control groups (containers, systemd, Slurm) and
    ``ulimit -v``. Swap is not counted, and what this process keeps for its next step is given back before. On a GPU:
    CUDA's free memory and what torch has reserved.

    Example:
        ``free, reason = free_bytes(torch.device("cpu"))``
    """
    if device.type == "cuda":
        kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + kept, "on the GPU"
    import psutil

    give_back_memory()
    limits = [(int(psutil.virtual_memory().available), "available on this machine")]
    limits += _group_limits(Path("/proc/self/cgroup"), Path("/sys/fs/cgroup"))
    limits += _address_limit(int(psutil.Process().memory_info().vms))
    free, reason = min(limits)
    return max(0, free), reason


def _group_limits(proc: Path, root: Path) -> Iterator[tuple[int, str]]:
    """Yield the memory left in each control group of this process and in their parents, whose limits apply too."""
    with contextlib.suppress(OSError):
        for line in proc.read_text().splitlines():
            _, controllers, path = line.split(":", 2)
            if controllers == "":
                mounts = [root, root / "unified"]
            elif "memory" in controllers.split(","):
                mounts = [root / "memory"]
            else:
                continue
            group = Path(path.lstrip("/"))
            for mount in mounts:  # inside a container the path may be that of the host: then only the mount exists
                for folder in (mount / group, *(mount / parent for parent in group.parents)):
                    left = _left_in(folder)
                    if left is not None:
                        yield left, f"of the memory limit of the control group {path}"


def _left_in(folder: Path) -> int | None:
    for limit_file, use_file, reclaimable in _GROUP_FILES:
        with contextlib.suppress(OSError, ValueError):  # "max" means no limit
            limit = int((folder / limit_file).read_text())
            used = int((folder / use_file).read_text())
            stat = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
            return limit - used + int(stat.get(reclaimable, 0))
    return None


def _address_limit(used: int) -> Iterator[tuple[int, str]]:
    """Yield what ``ulimit -v`` leaves, where it exists and is set; Windows does not have it."""
    with contextlib.suppress(ImportError):
        import resource

        limit = resource.getrlimit(resource.RLIMIT_AS)[0]
        if limit != resource.RLIM_INFINITY:
            yield limit - used, "of the limit of ulimit -v"
