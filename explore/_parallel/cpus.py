"""The number of CPUs that this process may use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path


@cache
def usable_cpus(root: Path = Path("/")) -> int:
    """Return the smaller of the CPU affinity and the CPU quota (rounded up), at least 1.

    Binder and JupyterHub give a quota: all cores of a machine are visible, and a process may use
    the time of one or two. More threads than that are slower, not faster.

    Args:
        root: folder that contains ``proc`` and ``sys``.
    """
    quota = cpu_quota(root)
    cpus = affinity_cpus()
    return cpus if quota is None else max(1, min(cpus, math.ceil(quota)))


def affinity_cpus() -> int:
    """Return the number of CPUs on which the operating system may schedule this process."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_quota(root: Path = Path("/")) -> float | None:
    """Return the CPU quota of this process in CPUs, or None if its control groups set none.

    Control groups (cgroups) are nested; the smallest quota counts. Version 2 is read from
    ``cpu.max``, version 1 from ``cpu.cfs_quota_us`` and ``cpu.cfs_period_us``.

    Args:
        root: folder that contains ``proc`` and ``sys``.
    """
    return min(_quotas(root), default=None)


def _quotas(root: Path) -> Iterator[float]:
    for folder in _cgroup_folders(root):
        words = _words(folder / "cpu.max") or [
            *_words(folder / "cpu.cfs_quota_us"),
            *_words(folder / "cpu.cfs_period_us"),
        ]
        try:
            quota, period = (float(word) for word in words)
        except ValueError:  # "max", or no such files
            continue
        if quota > 0 and period > 0:  # version 1 writes -1 where there is no quota
            yield quota / period


def _cgroup_folders(root: Path) -> Iterator[Path]:
    """List the folders of this process's control group and of all groups above it."""
    base = root / "sys" / "fs" / "cgroup"
    mounts = {"": base, "cpu": base / "cpu"}
    groups = {"": "/", "cpu": "/"}  # in a container its own group is the root of the mount
    for line in _words(root / "proc" / "self" / "cgroup"):
        controllers, _, path = line.partition(":")[2].partition(":")
        controller = "cpu" if "cpu" in controllers.split(",") else controllers
        if controller in groups:
            groups[controller] = path
    for controller, mount in mounts.items():
        folder = mount / groups[controller].strip("/")
        while folder != mount.parent:
            yield folder
            folder = folder.parent


def _words(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="ascii", errors="replace").split()
    except OSError:
        return []
