"""What describes the machine that a run computes on: its processor, threads and the versions of packages."""

from __future__ import annotations

import platform
import re
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def threads() -> int:
    """Threads that torch computes with; 1 for a run that never imported it."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else 1


def processor() -> str:
    """The name of this machine's processor."""
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1] if found else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Python and the packages that decide what a run computes."""
    found = {"python": platform.python_version()}
    for package in ("explore-labs", "numpy", "torch", "xarray", "zarr"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
