"""Describe the machine of a run: its processor, threads and the versions of packages."""

from __future__ import annotations

import platform
import re
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path


def threads() -> int:
    """Return the number of PyTorch threads; 1 if PyTorch is not imported."""
    torch = sys.modules.get("torch")
    return torch.get_num_threads() if torch else 1


def processor() -> str:
    """Return the name of the processor."""
    try:
        match = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        match = None
    return match[1] if match else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that influence results."""
    installed = {"python": platform.python_version()}
    for package in ("explore-labs", "numpy", "torch", "xarray", "zarr"):
        with suppress(PackageNotFoundError):
            installed[package] = version(package)
    return installed
